"""`python -m launch`: everything that `make up` starts, in order, and its end."""

from __future__ import annotations

import os
import signal
import socket
import subprocess
import sys
import time
from collections.abc import Mapping
from pathlib import Path

from . import process, ready, roles, schema
from .errors import BadSetting, LaunchError, StartFailed
from .home import Home
from .ports import listen
from .servers import Servers, begin
from .supervisor import Kept, end_all, say

CHECKOUT = Path(__file__).resolve().parent.parent
DRAIN_SECONDS = 20
BACKGROUND = 10  #: how far background work steps back when processors are scarce
START_SECONDS = 180

_CELERY = {
    "worker": ("worker", "--concurrency", "2", "--loglevel", "warning", "--without-gossip", "--without-mingle"),
    "beat": ("beat", "--loglevel", "warning", "--pidfile="),
}


class Stopped(Exception):
    """The person asked to stop while Customhouse was starting."""


class Wish:
    """How often the person asked to stop. Once: end in order. Again: end at once."""

    def __init__(self) -> None:
        self.times = 0
        for number in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            signal.signal(number, self._heard)

    def _heard(self, *_: object) -> None:
        self.times += 1

    def check(self) -> None:
        """Raises Stopped when asked."""
        if self.times:
            raise Stopped


class Launcher:
    """One start of one home on servers that run."""

    def __init__(self, home: Home, listener: socket.socket, servers: Servers, app_url: str, wish: Wish) -> None:
        self._home = home
        self._listener = listener
        self._servers = servers
        self._app_url = app_url
        self._wish = wish
        self._kept: list[Kept] = []

    def run(self) -> None:
        """Starts all of it, says how to use it, keeps it alive until the person wishes to stop. Raises LaunchError."""
        owner = self._servers.database_url
        if not schema.in_step(self._home, owner):
            self._manage("migrate", "-v0", database_url=owner)
            schema.note(self._home, owner)
        log = self._home.log("server")
        for number in range(1, workers(os.environ) + 1):
            self._keep(Kept(f"Server {number}", log, lambda: self._server(log)))
        self._manage("seed_demo", "--demo-json", str(self._home.demo_to_be))
        self._wait()
        for name, arguments in _CELERY.items():
            self._keep(self._celery(name, arguments))
        # Whoever waits for this file may read the greeting next: both come when all is ready, not while it starts.
        self._home.demo_to_be.replace(self._home.demo)
        say(ready.greeting(self._home.demo))
        while not self._wish.times:
            self._look_after()
            time.sleep(0.1)

    def end(self) -> None:
        """Ends what was started: servers first finish the calls they have. A second wish ends it at once."""
        self._listener.close()
        end_all(self._kept, DRAIN_SECONDS + 5, lambda: self._wish.times > 1)

    def _keep(self, child: Kept) -> None:
        child.start()
        self._kept.append(child)

    def _server(self, log: Path) -> subprocess.Popen[bytes]:
        return process.spawn(
            [
                *(sys.executable, "-m", "config.serve", str(self._listener.fileno())),
            ],
            log,
            environment=self._environment(self._app_url),
            directory=CHECKOUT,
            descriptors=[self._listener.fileno()],
        )

    def _celery(self, name: str, arguments: tuple[str, ...]) -> Kept:
        log = self._home.log(name)
        command = [sys.executable, "-m", "celery", "-A", "config.celery", *arguments]
        if name == "beat":
            command += ["--schedule", str(self._home.schedule)]
        environment = self._environment(self._app_url)

        def spawn() -> subprocess.Popen[bytes]:
            if name == "beat":
                self._home.mend_schedule()
            # Sealing, ingesting and sweeping can wait a moment; a call cannot.
            return process.spawn(command, log, environment=environment, directory=CHECKOUT, niceness=BACKGROUND)

        return Kept(f"Celery's {name}", log, spawn)

    def _manage(self, command: str, *arguments: str, database_url: str = "") -> None:
        """Runs a management command to its end. Raises StartFailed, Stopped."""
        log = self._home.log(command)
        child = process.spawn(
            [sys.executable, str(CHECKOUT / "manage.py"), command, *arguments],
            log,
            environment=self._environment(database_url or self._app_url),
            directory=CHECKOUT,
        )
        try:
            while child.poll() is None:
                self._wish.check()
                time.sleep(0.02)
        finally:
            process.kill_session(child)
        if child.returncode:
            raise StartFailed(f"`manage.py {command}` failed.", log)

    def _wait(self) -> None:
        """Returns when the servers answer. Raises StartFailed, Stopped."""
        until = time.monotonic() + START_SECONDS
        while not ready.answers(self._port):
            self._wish.check()
            ended = next((child for child in self._kept if child.ended()), None)
            if ended is not None:
                raise StartFailed(f"{ended.name} ended while it started.", ended.log)
            if time.monotonic() > until:
                raise StartFailed(f"The server was not ready within {START_SECONDS} s.", self._kept[0].log)
            time.sleep(0.05)

    def _look_after(self) -> None:
        for child in self._kept:
            child.revive()
        for name, server in (("PostgreSQL", self._servers.postgres), ("Redis", self._servers.redis)):
            if server is not None and server.pid is None:
                say(f"The embedded {name} has ended; starting it again.")
                try:
                    server.start()
                except StartFailed as error:
                    say(f"{error}\nTrying again.")

    @property
    def _port(self) -> int:
        port: int = self._listener.getsockname()[1]
        return port

    def _environment(self, database_url: str) -> dict[str, str]:
        """What the application's processes get; the owner's address only where it is needed."""
        kept = {name: value for name, value in os.environ.items() if name not in ("DATABASE_APP_URL", "PYTHONPATH")}
        return kept | {
            "DATABASE_URL": database_url,
            "REDIS_URL": self._servers.redis_url,
            "CUSTOMHOUSE_HOME": str(self._home.path),
            "CUSTOMHOUSE_PORT": str(self._port),
            "CUSTOMHOUSE_WORKERS": str(workers(os.environ)),
            "CUSTOMHOUSE_SECRET_FILE": str(self._home.secret),
            "DJANGO_SETTINGS_MODULE": "config.settings",
            "LITELLM_LOCAL_MODEL_COST_MAP": "True",
            process.MARK: str(self._home.path),
        }


def workers(environment: Mapping[str, str]) -> int:
    """The number of server processes."""
    asked = environment.get("CUSTOMHOUSE_WORKERS") or "1"
    if not asked.isdecimal() or not 1 <= int(asked) <= 256:
        raise BadSetting(f"CUSTOMHOUSE_WORKERS must be a number from 1 to 256, not {asked!r}.")
    return int(asked)


def start(wish: Wish) -> None:
    """Starts Customhouse and returns when it has ended. Raises LaunchError, Stopped."""
    workers(os.environ)  # a wrong value is told at once
    home = Home.at(Path(os.environ.get("CUSTOMHOUSE_HOME") or CHECKOUT / "var"))
    lock = home.hold()
    process.end(process.marked(home.path), signal.SIGTERM, 2)  # of a start that crashed: they hold the port
    with listen(os.environ) as listener:
        say("Starting Customhouse ...")
        try:
            servers = begin(home, os.environ.get("DATABASE_URL", ""), os.environ.get("REDIS_URL", ""))
            try:
                wish.check()
                app_url = roles.application_url(home, servers.database_url, os.environ.get("DATABASE_APP_URL", ""))
                launcher = Launcher(home, listener, servers, app_url, wish)
                try:
                    launcher.run()
                finally:
                    say("Stopping ...")
                    launcher.end()
            finally:
                servers.stop()
        finally:
            home.remove_outside()
            lock.release()


def main() -> int:
    """Returns the exit status."""
    try:
        start(Wish())
    except Stopped:
        return 0
    except LaunchError as error:
        print(f"Customhouse cannot start: {error}", file=sys.stderr, flush=True)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
