"""One database and one Redis for the whole test session, ready before Django reads its settings.

Loaded with `-p tests.session`. DATABASE_URL and REDIS_URL are used where they are given, else embedded servers are
started. What tests write is committed, as in life; each makes tenants of its own. Where the tests are spread over
processes (`-n 2`), each has servers of its own, or a database of its own on those that are given.
"""

from __future__ import annotations

import json
import os
import subprocess
import sys
import tempfile
from contextlib import ExitStack
from pathlib import Path
from secrets import token_hex
from urllib.parse import urlsplit

import psycopg
import pytest
from psycopg import sql

ROOT = Path(__file__).resolve().parent.parent
_OPEN = ExitStack()
#: where processes that run a part of the tests learn which servers were given
_GIVEN = "CUSTOMHOUSE_TEST_SERVERS"


@pytest.hookimpl(tryfirst=True)
def pytest_load_initial_conftests(early_config: pytest.Config) -> None:
    """Starts what is missing and says where it is."""
    from launch.servers import servers

    given = _given()
    spread = early_config.known_args_namespace.numprocesses and "PYTEST_XDIST_WORKER" not in os.environ
    if spread:  # this process only hands the tests out
        os.environ |= {_GIVEN: json.dumps(given), "DATABASE_URL": "postgresql:///nobody", "REDIS_URL": "redis://nobody"}
        os.environ |= _SETTINGS
        return
    home = Path(
        _OPEN.enter_context(tempfile.TemporaryDirectory(prefix="customhouse-test-", ignore_cleanup_errors=True))
    )
    running = _OPEN.enter_context(servers(home / "servers", given))
    name, role, password = f"test_{token_hex(4)}", f"test_{token_hex(4)}", token_hex(16)
    owner = urlsplit(running.database_url)._replace(path=f"/{name}")
    host = owner.netloc.rpartition("@")[2]
    with psycopg.connect(running.database_url, autocommit=True) as connection:
        connection.execute(sql.SQL("create database {}").format(sql.Identifier(name)))
    os.environ |= {
        "OWNER_DATABASE_URL": owner.geturl(),
        "DATABASE_URL": owner._replace(netloc=f"{role}:{password}@{host}").geturl(),
        "REDIS_URL": running.redis_url,
        "CUSTOMHOUSE_HOME": str(home / "home"),
        **_SETTINGS,
    }
    migrated = os.environ | {"DATABASE_URL": owner.geturl()}
    subprocess.run([sys.executable, "manage.py", "migrate", "-v0"], check=True, cwd=ROOT, env=migrated)
    with psycopg.connect(owner.geturl(), autocommit=True) as connection:
        login = sql.SQL("create role {} login password {} nosuperuser nobypassrls in role customhouse_app")
        connection.execute(login.format(sql.Identifier(role), sql.Literal(password)))
    _OPEN.callback(_remove, running.database_url, name, role)


_SETTINGS = {
    "CUSTOMHOUSE_SECRET": token_hex(32),
    "DJANGO_SETTINGS_MODULE": "config.settings",
    "LITELLM_LOCAL_MODEL_COST_MAP": "True",
}


def _given() -> dict[str, str]:
    """The servers that were given to the whole run. Processes that share a Redis have a database in it each."""
    worker = os.environ.get("PYTEST_XDIST_WORKER", "").removeprefix("gw")
    if not worker:
        return {name: os.environ[name] for name in ("DATABASE_URL", "REDIS_URL") if os.environ.get(name)}
    given: dict[str, str] = json.loads(os.environ[_GIVEN])
    if "REDIS_URL" in given:
        given["REDIS_URL"] = urlsplit(given["REDIS_URL"])._replace(path=f"/{worker}").geturl()
    return given


def pytest_unconfigure() -> None:
    _OPEN.close()


def _remove(url: str, name: str, role: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(role)))
