"""What benchmarks stand on: PostgreSQL, Redis, a migrated database of their own, and a tenant with everything on."""

from __future__ import annotations

import json
import os
import socket
import subprocess
import sys
import tempfile
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import ExitStack, contextmanager
from dataclasses import dataclass
from pathlib import Path
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit

import psycopg
from psycopg import sql

from launch.servers import servers

from .processes import Watched

ROOT = Path(__file__).resolve().parent.parent


@dataclass(frozen=True, slots=True)
class Stage:
    """Servers that run, and a database with the demo tenants. The environment of this process says where they are."""

    home: Path
    told: dict[str, Any]
    postgres: Watched | None  #: None when PostgreSQL was given
    owner_url: str  #: the database, as its owner


@contextmanager
def stage() -> Iterator[Stage]:
    """Embedded servers, or those of DATABASE_URL and REDIS_URL in a database of its own; all gone afterwards."""
    with ExitStack() as open_:
        home = Path(open_.enter_context(tempfile.TemporaryDirectory(prefix="customhouse-bench-")))
        running = open_.enter_context(servers(home / "servers", dict(os.environ)))
        owner, app = _database(open_, running.database_url)
        os.environ |= {
            "DATABASE_URL": app,
            "REDIS_URL": running.redis_url,
            "CUSTOMHOUSE_HOME": str(home / "home"),
            "CUSTOMHOUSE_SECRET": token_hex(32),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
        }
        (home / "home").mkdir()
        manage("migrate", "-v0", DATABASE_URL=owner)
        with psycopg.connect(owner, autocommit=True) as connection:
            connection.execute(sql.SQL("grant customhouse_app to {}").format(sql.Identifier(urlsplit(app).username)))
        manage("seed_demo", "--demo-json", str(home / "demo.json"))
        pid = running.postgres.pid if running.postgres else None
        yield Stage(home, json.loads((home / "demo.json").read_text()), Watched(pid) if pid else None, owner)


def _database(open_: ExitStack, url: str) -> tuple[str, str]:
    """An empty database and a role for the application: both addresses."""
    name, password = f"bench_{token_hex(4)}", token_hex(16)
    made = (sql.SQL("create database {}"), sql.SQL("create role {} login password {} nosuperuser nobypassrls"))
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(made[0].format(sql.Identifier(name)))
        connection.execute(made[1].format(sql.Identifier(name), sql.Literal(password)))
    open_.callback(_drop, url, name)
    owner = urlsplit(url)._replace(path=f"/{name}")
    host = owner.netloc.rpartition("@")[2]
    return owner.geturl(), owner._replace(netloc=f"{name}:{password}@{host}").geturl()


def _drop(url: str, name: str) -> None:
    with psycopg.connect(url, autocommit=True) as connection:
        connection.execute(sql.SQL("drop database {} with (force)").format(sql.Identifier(name)))
        connection.execute(sql.SQL("drop role {}").format(sql.Identifier(name)))


def manage(*arguments: str, **environment: str) -> None:
    """Runs a management command to its end."""
    command = [sys.executable, "manage.py", *arguments]
    subprocess.run(command, check=True, cwd=ROOT, env=os.environ | environment, stdout=subprocess.DEVNULL)


@dataclass(frozen=True, slots=True)
class Server:
    """One worker of the gateway."""

    root: str
    process: Watched

    def manage(self, key: str, path: str, body: dict[str, Any]) -> dict[str, Any]:
        """POSTs to the management API. Raises RuntimeError with the answer when it is refused."""
        headers = {"authorization": f"Bearer {key}", "content-type": "application/json"}
        request = urllib.request.Request(f"{self.root}/api/v1/{path}", json.dumps(body).encode(), headers)
        try:
            with urllib.request.urlopen(request, timeout=30) as answer:
                made: dict[str, Any] = json.loads(answer.read())
                return made
        except urllib.error.HTTPError as error:
            raise RuntimeError(f"{path}: {error.code} {error.read()[:300]!r}") from None


@contextmanager
def server() -> Iterator[Server]:
    """The gateway as `make up` starts it: one worker on a port of its own."""
    with socket.socket() as listener:
        listener.bind(("127.0.0.1", 0))
        listener.listen(2048)
        fd, port = listener.fileno(), listener.getsockname()[1]
        command = [sys.executable, "-m", "config.serve", str(fd)]
        process = subprocess.Popen(command, cwd=ROOT, pass_fds=(fd,), env=os.environ | {"CUSTOMHOUSE_WORKERS": "1"})
        try:
            _ready(f"http://127.0.0.1:{port}/readyz", process)
            yield Server(f"http://127.0.0.1:{port}", Watched(process.pid))
        finally:
            process.terminate()
            process.wait(40)


def _ready(url: str, process: subprocess.Popen[bytes]) -> None:
    for _ in range(600):
        if process.poll() is not None:
            raise RuntimeError("the gateway ended while it started")
        try:
            with urllib.request.urlopen(url, timeout=5):
                return
        except OSError:
            time.sleep(0.1)
    raise RuntimeError("the gateway was not ready within a minute")


def governed(gateway: Server, platform_key: str, upstream: str, models: tuple[str, ...]) -> str:
    """A tenant with limits on its key, a budget, prices and the baseline policy; its key. Models are named as above."""
    slug = f"bench-{token_hex(3)}"
    owner = gateway.manage(platform_key, "tenants", {"slug": slug, "name": "Bench"})["owner_key"]
    provider = {"name": slug, "kind": "openai_compatible", "base_url": upstream, "api_key": "none", "tenants": [slug]}
    gateway.manage(platform_key, "providers", provider)
    gateway.manage(owner, "departments", {"slug": "load", "name": "Load"})
    for name in models:
        row = {"provider": slug, "name": name, "upstream_model": name, "capabilities": ["chat"], "max_concurrency": 512}
        deployment = gateway.manage(owner, "deployments", row)["id"]
        for kind, amount in (("input", "0.15"), ("output", "0.60")):
            price = {
                "deployment": deployment,
                "kind": kind,
                "per_million": amount,
                "valid_from": "2020-01-01T00:00:00Z",
            }
            gateway.manage(owner, "prices", price)
        gateway.manage(owner, "models", {"name": name, "deployments": [{"deployment": deployment}]})
    gateway.manage(owner, "budgets", {"scope": "tenant", "period": "month", "limit": "100000.00", "warn_at": ["0.8"]})
    limits = {"rpm": 100_000_000, "tpm": 2_000_000_000}
    key = {"name": "load", "department": "load", "role": "developer", "limits": limits}
    return str(gateway.manage(owner, "api-keys", key)["key"])
