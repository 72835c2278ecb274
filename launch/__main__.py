"""`python -m launch`: everything that `make up` starts, in order, and its end."""

from __future__ import annotations

import hashlib
import json
import os
import signal
import socket
import subprocess
import sys
import time
import urllib.error
import urllib.request
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import psycopg

from .errors import BadSetting, LaunchError, PortBusy, StartFailed
from .home import Home
from .process import MARK, spawn, stop
from .roles import application_url
from .servers import Servers, begin

CHECKOUT = Path(__file__).resolve().parent.parent
BACKLOG = 2048
DRAIN_SECONDS = 20


@dataclass(slots=True)
class Child:
    """A process that is kept alive: `begin` starts it, `number` ends it."""

    name: str
    begin: Callable[[], subprocess.Popen[bytes]]
    number: signal.Signals = signal.SIGTERM
    process: subprocess.Popen[bytes] | None = None
    failures: int = 0
    again_at: float = 0.0


@dataclass(slots=True)
class Launcher:
    """One start of one home."""

    home: Home
    listener: socket.socket
    servers: Servers
    app_url: str
    children: list[Child] = field(default_factory=list)
    logs: dict[str, Path] = field(default_factory=dict)
    ending: bool = False

    @property
    def port(self) -> int:
        port: int = self.listener.getsockname()[1]
        return port

    def environment(self, database_url: str | None = None) -> dict[str, str]:
        """What the application's processes get; the owner's database URL only where it is asked for."""
        return {
            **{name: value for name, value in os.environ.items() if name not in ("DATABASE_APP_URL", "PYTHONPATH")},
            "DATABASE_URL": database_url or self.app_url,
            "REDIS_URL": self.servers.redis_url,
            "CUSTOMHOUSE_HOME": str(self.home.path),
            "CUSTOMHOUSE_PORT": str(self.port),
            "CUSTOMHOUSE_WORKERS": str(_workers()),
            "CUSTOMHOUSE_SECRET_FILE": str(self.home.secret),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            MARK: str(self.home.path),
        }

    # -- start --------------------------------------------------------------------------------------------------------

    def run(self) -> None:
        """Starts all of it, says how to use it, and keeps it alive until it is told to end."""
        self._migrate()
        environment = self.environment()
        for number in range(_workers()):
            self.children.append(Child(f"server-{number + 1}", lambda: self._server(environment)))
        for child in self.children:
            child.process = child.begin()
        self._manage("seed_demo", "--demo-json", str(self.home.demo))
        self._wait(60)
        self._tell()
        for name, arguments in _CELERY.items():
            child = Child(name, lambda name=name, arguments=arguments: self._celery(name, arguments))  # type: ignore[misc]
            child.process = child.begin()
            self.children.append(child)
        while not self.ending:
            self._revive()
            time.sleep(0.25)

    def end(self) -> None:
        """Ends in the reverse order; running streams are drained first."""
        for child in self.children:
            if child.process is not None and child.process.poll() is None:
                child.process.send_signal(child.number)
        until = time.monotonic() + DRAIN_SECONDS + 5
        for child in self.children:
            stop(child.process, child.number, max(0.1, until - time.monotonic()))
        self.servers.stop()

    def _migrate(self) -> None:
        """Brings the database in step; skipped when neither the migrations nor the database have changed."""
        stamp, wanted = self.home.path / "migrated", _migrations() + _database_id(self.servers.database_url)
        if stamp.exists() and stamp.read_text() == wanted:
            return
        self._manage("migrate", "-v0", database_url=self.servers.database_url)
        stamp.write_text(wanted)

    def _manage(self, *arguments: str, database_url: str | None = None) -> None:
        log = self.home.log(arguments[0])
        with open(log, "wb") as out:
            done = subprocess.Popen(
                [sys.executable, str(CHECKOUT / "manage.py"), *arguments],
                cwd=CHECKOUT,
                env=self.environment(database_url),
                stdin=subprocess.DEVNULL,
                stdout=out,
                stderr=out,
                start_new_session=True,
            )
            while done.poll() is None:
                if self.ending:
                    done.kill()
                    raise KeyboardInterrupt
                time.sleep(0.05)
        if done.returncode:
            raise StartFailed(f"`manage.py {arguments[0]}` failed.", log)

    def _server(self, environment: dict[str, str]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "uvicorn", "config.asgi:application", "--fd", str(self.listener.fileno())]
        command += ["--loop", "uvloop", "--http", "httptools", "--no-access-log", "--log-level", "warning"]
        command += ["--lifespan", "on", "--timeout-graceful-shutdown", str(DRAIN_SECONDS)]
        fds = (self.listener.fileno(),)
        return spawn(command, self._log("server"), environment=environment, directory=CHECKOUT, descriptors=fds)

    def _celery(self, name: str, arguments: tuple[str, ...]) -> subprocess.Popen[bytes]:
        command = [sys.executable, "-m", "celery", "-A", "config.celery", *arguments]
        if name == "beat":
            command += ["-s", str(self.home.path / "schedule"), "--pidfile="]
        return spawn(command, self._log(name), environment=self.environment(), directory=CHECKOUT)

    def _log(self, name: str) -> Path:
        """A fresh log at the first start of a child, the same one when it is started again."""
        if name not in self.logs:
            self.logs[name] = self.home.log(name)
        return self.logs[name]

    def _wait(self, seconds: float) -> None:
        """Returns when the servers answer calls."""
        until = time.monotonic() + seconds
        while not self._healthy():
            ended = next((c for c in self.children if c.process is not None and c.process.poll() is not None), None)
            if ended is not None or time.monotonic() > until:
                raise StartFailed("The server did not start.", self.logs["server"])
            time.sleep(0.05)

    def _healthy(self) -> bool:
        if self.ending:
            raise KeyboardInterrupt
        try:
            with urllib.request.urlopen(f"http://127.0.0.1:{self.port}/readyz", timeout=5) as answer:
                return bool(answer.status == 200)
        except (urllib.error.URLError, OSError):
            return False

    # -- while it runs ------------------------------------------------------------------------------------------------

    def _revive(self) -> None:
        """Starts again what has died: at once the first time, then more and more slowly."""
        now = time.monotonic()
        for child in self.children:
            if child.process is None or child.process.poll() is None:
                continue
            if child.again_at == 0.0:
                pause = min(30.0, 0.0 if child.failures == 0 else 0.5 * 2**child.failures)
                child.again_at, child.failures = now + pause, child.failures + 1
                print(f"{child.name} has ended ({child.process.returncode}); starting it again.", flush=True)
            if now >= child.again_at:
                child.again_at, child.process = 0.0, child.begin()
        for name, server in (("PostgreSQL", self.servers.postgres), ("Redis", self.servers.redis)):
            if server is not None and server.child is not None and server.child.poll() is not None:
                print(f"{name} has ended; starting it again.", flush=True)
                server.start()

    def _tell(self) -> None:
        demo = json.loads(self.home.demo.read_text())
        acme, console = demo["tenants"][0], demo["console"]
        asked = {
            "model": "local-extractive",
            "messages": [{"role": "user", "content": acme["question"]}],
            "retrieval": {"collections": [acme["collection"]]},
        }
        print(
            f"""
Customhouse is ready.

  Console   {console["url"]}
            {console["email"]} / {console["password"]}
  API       {demo["base_url"]}   (key of {acme["slug"]}: {acme["api_key"]})
  All keys  {self.home.demo}

Try it:

curl -s {demo["base_url"]}/chat/completions -H 'Authorization: Bearer {acme["api_key"]}' -H 'Content-Type: application/json' -d {_quoted(asked)}

Ctrl-C stops all of it.
""",
            flush=True,
        )


_CELERY: dict[str, tuple[str, ...]] = {
    "worker": ("worker", "-c", "2", "-l", "warning", "--without-gossip", "--without-mingle"),
    "beat": ("beat", "-l", "warning"),
}


def _quoted(value: Any) -> str:
    return "'" + json.dumps(value).replace("'", "'\\''") + "'"


def _workers() -> int:
    try:
        return max(1, int(os.environ.get("CUSTOMHOUSE_WORKERS") or 1))
    except ValueError:
        raise BadSetting("CUSTOMHOUSE_WORKERS must be a whole number.") from None


def listen() -> socket.socket:
    """The socket that all servers share, bound before the long work begins. Raises LaunchError."""
    asked = os.environ.get("CUSTOMHOUSE_PORT")
    try:
        first = int(asked or 8000)
    except ValueError:
        raise BadSetting("CUSTOMHOUSE_PORT must be a number.") from None
    for port in [first] if asked else range(first, first + 100):
        listener = socket.socket()
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        try:
            listener.bind(("127.0.0.1", port))
        except OSError:
            listener.close()
            continue
        listener.listen(BACKLOG)
        listener.set_inheritable(True)
        if port != first:
            print(f"Port {first} is in use: listening on port {port} instead.", flush=True)
        return listener
    raise PortBusy(f"Port {first} is in use. Stop what listens there, or set CUSTOMHOUSE_PORT to another.")


def _migrations() -> str:
    digest = hashlib.sha256()
    for file in sorted([*CHECKOUT.glob("*/migrations/*.py"), *CHECKOUT.glob("**/sql/*.sql")]):
        if ".venv" not in file.parts:
            digest.update(file.read_bytes())
    return digest.hexdigest()


def _database_id(url: str) -> str:
    """Which database this is, whatever its address is today."""
    with psycopg.connect(url) as connection:
        row = connection.execute(
            "select system_identifier::text || '/' || (select oid from pg_database where datname = current_database()) "
            "from pg_control_system()"
        ).fetchone()
        return "/" + str(row[0] if row else "")


def main() -> int:
    """Returns the exit status."""
    launcher: Launcher | None = None

    def end(*_: object) -> None:
        if launcher is None:
            raise KeyboardInterrupt
        launcher.ending = True

    for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
        signal.signal(number, end)
    try:
        home = Home.at(Path(os.environ.get("CUSTOMHOUSE_HOME") or CHECKOUT / "var"))
        lock = home.hold()
        listener = listen()
        print("Starting Customhouse ...", flush=True)
        servers = begin(home, os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", ""))
        launcher = Launcher(home, listener, servers, "")
        launcher.app_url = os.environ.get("DATABASE_APP_URL") or application_url(home, servers.database_url)
        launcher.run()
    except LaunchError as error:
        print(f"Customhouse cannot start: {error}", file=sys.stderr, flush=True)
        return 1
    except KeyboardInterrupt:
        pass
    finally:
        if launcher is not None:
            print("Stopping ...", flush=True)
            launcher.end()
            home.remove_outside()
            lock.release()
    return 0


if __name__ == "__main__":
    sys.exit(main())
