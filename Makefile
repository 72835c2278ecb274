# The work is done by launch/: its scripts bear spaces in paths, which make does not.
.DEFAULT_GOAL := help
.PHONY: help up test check bench lock clean

help:  ## this list
	@sed -n 's/^\([a-z]*\):.*##  *\(.*\)$$/  make \1\t\2/p' Makefile | expand -t 16

up:  ## install, start everything, seed two demo tenants; Ctrl-C stops all of it
	@sh launch/install.sh up && exec .venv/bin/python -m launch

test:  ## the whole test suite, against a real PostgreSQL and a real Redis
	@sh launch/install.sh test && exec sh launch/test.sh $(ARGS)

check:  ## format, lint, types, import contracts, migrations and OpenAPI schema in step
	@sh launch/install.sh test && exec .venv/bin/python -m launch.check

bench:  ## the benchmark suite; writes benchmarks/RESULTS.md
	@sh launch/install.sh test && exec .venv/bin/python -m benchmarks $(ARGS)

lock:  ## resolve the requirements anew and lock them by hash
	@sh launch/install.sh test && exec sh launch/lock.sh

clean:  ## remove the virtualenv and caches (not var/, which holds your data)
	@rm -rf .venv .mypy_cache .ruff_cache .pytest_cache .hypothesis .import_linter_cache staticfiles
	@find . -name __pycache__ -type d -prune -exec rm -rf {} +
