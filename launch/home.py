"""The home: the one directory (`CUSTOMHOUSE_HOME`) that keeps an installation's data, secrets and logs."""

from __future__ import annotations

import fcntl
import json
import os
import secrets
import shelve
import shutil
import stat
import tempfile
from dataclasses import dataclass
from pathlib import Path

from .errors import HomeInUse, HomeNotUsable

KEPT_LOGS = 3
_OUTSIDE = "customhouse-"


@dataclass(frozen=True, slots=True)
class Home:
    """Paths of an installation, and what is kept in them."""

    path: Path

    @classmethod
    def at(cls, path: Path) -> Home:
        """Makes the directory if need be (private) and checks that it can be written."""
        home = cls(path.expanduser().resolve())
        try:
            home.path.mkdir(mode=0o700, parents=True, exist_ok=True)
            home.logs.mkdir(mode=0o700, exist_ok=True)
            home.redis.mkdir(mode=0o700, exist_ok=True)
            for place in (home.path, home.logs, home.redis):
                _check_writable(place)
        except OSError as error:
            raise HomeNotUsable(
                f"{home.path} cannot be used ({error.strerror}): "
                "set CUSTOMHOUSE_HOME to a directory that you may write, or run as the user who made it."
            ) from error
        return home

    @property
    def postgres(self) -> Path:
        """Holds PostgreSQL's data directory; belongs to the user who runs that server."""
        return self.path / "postgres"

    @property
    def redis(self) -> Path:
        """Redis' working directory, with its append-only files."""
        return self.path / "redis"

    @property
    def logs(self) -> Path:
        """One log for each child."""
        return self.path / "logs"

    @property
    def demo(self) -> Path:
        """Addresses and keys of the demo tenants, there when they work."""
        return self.path / "demo.json"

    @property
    def demo_to_be(self) -> Path:
        """What `manage.py seed_demo` writes: `demo` before everything is ready."""
        return self.path / "demo.starting.json"

    @property
    def secret(self) -> Path:
        """The installation's secret, made once: 32 random bytes in hexadecimal."""
        path = self.path / "secret"
        if not path.exists():
            write_private(path, secrets.token_hex(32) + "\n")
        return path

    @property
    def schedule(self) -> Path:
        """Where Celery's beat keeps when it last ran what (a shelf: one file or several that begin like this)."""
        return self.path / "schedule"

    def mend_schedule(self) -> None:
        """Removes a schedule that a crash left half-written: beat would end with it at every start. Nothing is lost
        but when each thing ran last.
        """
        try:
            with shelve.open(str(self.schedule), "r") as shelf:  # noqa: S301  our own file, private
                dict(shelf)
        except Exception:  # noqa: BLE001  whatever is wrong with it; a missing one as well
            for path in self.path.glob("schedule*"):
                path.unlink()

    def password(self, name: str) -> str:
        """The password of a server's role, made once."""
        path = self.path / "passwords.json"
        kept: dict[str, str] = json.loads(path.read_text()) if path.exists() else {}
        if name not in kept:
            kept[name] = secrets.token_urlsafe(32)
            write_private(path, json.dumps(kept, indent=1) + "\n")
        return kept[name]

    def log(self, name: str) -> Path:
        """A fresh log for a child; the ones of earlier starts are kept as `.1` to `.3`."""
        path = self.logs / f"{name}.log"
        for number in range(KEPT_LOGS, 0, -1):
            older = path if number == 1 else path.with_suffix(f".log.{number - 1}")
            if older.exists():
                older.replace(path.with_suffix(f".log.{number}"))
        write_private(path, "")
        return path

    def hold(self) -> HomeLock:
        """Takes the home for this process; a second start is told who has it."""
        return HomeLock(self.path / "lock")

    def outside(self, parent: Path, mode: int = 0o700) -> Path:
        """Makes a directory outside the home, and remembers it so that it goes even after a crash."""
        path = Path(tempfile.mkdtemp(prefix=_OUTSIDE, dir=parent))
        path.chmod(mode)
        self._remember([*self._remembered(), str(path)])
        return path

    def remove_outside(self) -> None:
        """Removes all directories that `outside` made, in this start or an earlier one."""
        for name in self._remembered():
            path = Path(name)
            if path.name.startswith(_OUTSIDE) and path.is_dir() and not path.is_symlink():
                shutil.rmtree(path, ignore_errors=True)
        self._remember([])

    def _remembered(self) -> list[str]:
        path = self.path / "outside.json"
        return json.loads(path.read_text()) if path.exists() else []

    def _remember(self, names: list[str]) -> None:
        path = self.path / "outside.json"
        if names:
            write_private(path, json.dumps(names) + "\n")
        else:
            path.unlink(missing_ok=True)


class HomeLock:
    """An exclusive hold on a home; the kernel lets go of it when the process ends."""

    def __init__(self, path: Path) -> None:
        self._file = os.fdopen(os.open(path, os.O_RDWR | os.O_CREAT | os.O_CLOEXEC, 0o600), "r+")
        try:
            fcntl.flock(self._file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            holder = self._file.read().strip() or "unknown"
            self._file.close()
            raise HomeInUse(
                f"Customhouse runs already in {path.parent} (process {holder}): "
                "stop that one, or set CUSTOMHOUSE_HOME to another directory."
            ) from None
        self._file.truncate(0)
        self._file.write(f"{os.getpid()}\n")
        self._file.flush()

    def release(self) -> None:
        """Lets another start have the home."""
        self._file.close()


def write_private(path: Path, text: str) -> None:
    """Writes a file that only its owner may read, at once or not at all."""
    fresh = path.with_name(path.name + ".new")
    fresh.unlink(missing_ok=True)
    with os.fdopen(os.open(fresh, os.O_WRONLY | os.O_CREAT | os.O_EXCL, stat.S_IRUSR | stat.S_IWUSR), "w") as file:
        file.write(text)
    fresh.replace(path)


def _check_writable(place: Path) -> None:
    if not os.access(place, os.R_OK | os.W_OK | os.X_OK):
        raise PermissionError(13, "permission denied", str(place))
