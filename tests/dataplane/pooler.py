"""PgBouncer in transaction mode before the tests' database, where the machine has it."""

from __future__ import annotations

import os
import shutil
import signal
import socket
import subprocess
import tempfile
import time
from pathlib import Path
from urllib.parse import parse_qsl, urlsplit

import psycopg

from launch import process
from launch.process import Identity

#: Debian keeps it where ordinary users do not look
PROGRAM = shutil.which("pgbouncer", path=os.environ.get("PATH", os.defpath) + ":/usr/sbin:/usr/local/sbin")


class Pooler:
    """A pooler whose few connections are shared by all clients, transaction by transaction."""

    def __init__(self, database_url: str, connections: int = 3) -> None:
        assert PROGRAM is not None
        parts = urlsplit(database_url)
        beyond = dict(parse_qsl(parts.query)).get("host") or parts.hostname or ""
        self._home = Path(tempfile.mkdtemp(prefix="pooler-", dir="/tmp"))
        port = _free_port()
        self.url = parts._replace(netloc=f"{parts.username}:{parts.password}@127.0.0.1:{port}", query="").geturl()
        (self._home / "users").write_text(f'"{parts.username}" "{parts.password}"\n')
        server = f"host={beyond}" + (f" port={parts.port}" if parts.port else "")
        (self._home / "settings").write_text(
            f"[databases]\n* = {server}\n[pgbouncer]\nlisten_addr = 127.0.0.1\nlisten_port = {port}\n"
            f"unix_socket_dir =\nauth_type = scram-sha-256\nauth_file = {self._home}/users\n"
            f"pool_mode = transaction\ndefault_pool_size = {connections}\nmax_client_conn = 200\n"
        )
        identity = _identity(beyond)
        if identity is not None:
            for path in (self._home, *self._home.iterdir()):
                os.chown(path, identity.uid, identity.gid)
        self._log = self._home.with_suffix(".log")
        self._child: subprocess.Popen[bytes] = process.spawn(
            [PROGRAM, str(self._home / "settings")],
            self._log,
            environment={"PATH": os.defpath},
            directory=Path("/"),
            identity=identity,
        )
        self._wait()

    def stop(self) -> None:
        process.stop(self._child, signal.SIGINT, 10)
        shutil.rmtree(self._home)
        self._log.unlink()

    def _wait(self) -> None:
        until = time.monotonic() + 10
        while True:
            try:
                psycopg.connect(self.url).close()
                return
            except psycopg.OperationalError:
                assert time.monotonic() < until, self._log.read_text()
                time.sleep(0.05)


def _identity(beyond: str) -> Identity | None:
    """Who runs it when we are root, which it refuses: the owner of the database's socket, or nobody in particular."""
    if os.geteuid() != 0:
        return None
    if beyond.startswith("/"):
        found = os.stat(beyond)
        return Identity(found.st_uid, found.st_gid)
    return Identity(65534, 65534)


def _free_port() -> int:
    with socket.socket() as tried:
        tried.bind(("127.0.0.1", 0))
        port: int = tried.getsockname()[1]
        return port
