#!/bin/sh
# All tests, or those that are named. The tests in which servers and workers are frozen and killed measure seconds, so
# they run by themselves; all others on two processes, each with a PostgreSQL and a Redis of its own.
set -eu
cd -- "$(dirname -- "$0")/.."

if [ $# -gt 0 ]; then
    exec .venv/bin/python -m pytest "$@"
fi
alone="tests/baddays tests/retrieval/test_killed_workers.py"
ignored=$(for path in $alone; do echo "--ignore $path"; done)
# shellcheck disable=SC2086  # each word is an argument
.venv/bin/python -m pytest --numprocesses 2 --dist loadfile --no-loadscope-reorder $ignored
# shellcheck disable=SC2086
exec .venv/bin/python -m pytest $alone
