#!/bin/sh
# All tests, or those that are named. The tests in which servers are frozen and killed measure seconds, so they run by
# themselves; all others on three processes (they wait nearly as often as they work), each with a PostgreSQL and a Redis
# of its own.
set -eu
cd -- "$(dirname -- "$0")/.."

if [ $# -gt 0 ]; then
    exec .venv/bin/python -m pytest "$@"
fi
.venv/bin/python -m pytest --numprocesses 3 --dist loadfile --no-loadscope-reorder --ignore tests/baddays
exec .venv/bin/python -m pytest tests/baddays
