"""Whether the database is in step with the migrations, without starting Django to find out."""

from __future__ import annotations

import hashlib
from pathlib import Path

import psycopg

from .home import Home, write_private

CHECKOUT = Path(__file__).resolve().parent.parent
_DATABASE = (Path(__file__).parent / "sql" / "database.sql").read_bytes()
#: What decides which migrations there are and what they do, those of installed packages included.
_DECIDING = ("*/migrations/*.py", "*/sql/*.sql", "*/*/sql/*.sql", "requirements/run.txt", "config/settings.py")


def in_step(home: Home, url: str) -> bool:
    """True when `migrate` would find nothing to do: the files are those of the last time, and all are applied."""
    stamp = home.path / "migrated"
    return stamp.exists() and stamp.read_text() == _stamp(url) and not _migrations() - _applied(url)


def note(home: Home, url: str) -> None:
    """Remembers that the database was brought in step."""
    write_private(home.path / "migrated", _stamp(url))


def _stamp(url: str) -> str:
    digest = hashlib.sha256()
    for pattern in _DECIDING:
        for file in sorted(CHECKOUT.glob(pattern)):
            digest.update(file.name.encode() + b"\0" + file.read_bytes() + b"\0")
    return f"{digest.hexdigest()} {identity(url)}\n"


def identity(url: str) -> str:
    """Which database this is, whatever its address is today."""
    with psycopg.connect(url) as connection:
        row = connection.execute(_DATABASE).fetchone()
    assert row is not None
    return f"{row[0]}/{row[1]}"


def _migrations() -> set[tuple[str, str]]:
    files = CHECKOUT.glob("*/migrations/[0-9]*.py")
    return {(file.parent.parent.name, file.stem) for file in files}


def _applied(url: str) -> set[tuple[str, str]]:
    with psycopg.connect(url) as connection:
        if connection.execute("select to_regclass('django_migrations')").fetchone() == (None,):
            return set()
        return set(connection.execute("select app, name from django_migrations").fetchall())
