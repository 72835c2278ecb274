"""`python -m launch.check`: what `make check` runs. All checks run, so that one look shows all there is to mend."""

from __future__ import annotations

import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path

from .servers import servers

CHECKOUT = Path(__file__).resolve().parent.parent
PACKAGES = ("config", "gateway", "retrieval", "policies", "billing", "audit", "tenants", "launch")


def checks() -> dict[str, list[str]]:
    """What is checked, by what it is called."""
    python, programs = sys.executable, Path(sys.executable).parent
    manage = [python, "manage.py"]
    return {
        "format": [python, "-m", "ruff", "format", "--check", "--quiet", "."],
        "lint": [python, "-m", "ruff", "check", "--quiet", "."],
        "types": [python, "-m", "mypy", "--no-error-summary", *PACKAGES],
        "imports": [str(programs / "lint-imports"), "--no-cache"],
        "migrations": [*manage, "makemigrations", "--check", "--dry-run"],
        "OpenAPI schema": [*manage, "check_schema"],
    }


def run(environment: Mapping[str, str]) -> list[str]:
    """Runs all checks and returns the names of those that failed."""
    failed = []
    for name, command in checks().items():
        began = time.monotonic()
        done = subprocess.run(
            command,
            cwd=CHECKOUT,
            env=environment,
            check=False,
            text=True,
            stdout=subprocess.PIPE,
            stderr=subprocess.STDOUT,
        )
        print(f"{'ok' if done.returncode == 0 else 'FAILED':>6}  {name} ({time.monotonic() - began:.1f} s)", flush=True)
        if done.returncode != 0:
            print(done.stdout, flush=True)
            failed.append(name)
    return failed


def main() -> int:
    """Returns the exit status."""
    with tempfile.TemporaryDirectory(prefix="customhouse-check-") as home, servers(Path(home), os.environ) as running:
        environment = os.environ | {
            "DATABASE_URL": running.database_url,
            "REDIS_URL": running.redis_url,
            "CUSTOMHOUSE_HOME": home,
            "CUSTOMHOUSE_SECRET": "checks need one, and keep nothing with it",
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        return 1 if run(environment) else 0


if __name__ == "__main__":
    sys.exit(main())
