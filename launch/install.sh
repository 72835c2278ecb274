#!/bin/sh
# Brings .venv up to date: `sh launch/install.sh up` for running Customhouse, `... test` with what its tests need.
# This script only finds a Python; launch/install.py does the work.
set -eu
cd -- "$(dirname -- "$0")/.."

supported() {
    "$1" -c "import sys${2:-}; sys.exit(not (3, 11) <= sys.version_info[:2] <= (3, 13))" >/dev/null 2>&1
}

if supported .venv/bin/python ", pip"; then  # without pip it was cut short while it was made
    exec .venv/bin/python -m launch.install "$@"
fi
for python in "${PYTHON:-python3.11}" python3.11 python3.12 python3.13 python3; do
    if supported "$python"; then
        exec "$python" -m launch.install "$@"
    fi
done
echo "Customhouse needs Python 3.11, 3.12 or 3.13, and found none of them: install one, or set PYTHON to its path." >&2
exit 1
