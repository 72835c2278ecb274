"""The servers that Customhouse stands on: given ones, or embedded ones in a home.

with servers(Path("var"), os.environ) as running:
    running.database_url    # the owner's: migrations and roles
    running.redis_url
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path

from .home import Home
from .postgres import Postgres
from .redis import Redis

__all__ = ["Servers", "begin", "embedded", "servers"]


@dataclass(frozen=True, slots=True)
class Servers:
    """A PostgreSQL and a Redis that answer. Embedded ones can be stopped, started and killed."""

    database_url: str
    redis_url: str
    postgres: Postgres | None = None
    redis: Redis | None = None

    def stop(self) -> None:
        """Ends the embedded ones, in order."""
        if self.redis is not None:
            self.redis.stop()
        if self.postgres is not None:
            self.postgres.stop()


@contextmanager
def servers(home: Path, environment: Mapping[str, str]) -> Iterator[Servers]:
    """`DATABASE_URL` and `REDIS_URL` from `environment`; for each that is missing an embedded server in `home`."""
    database_url, redis_url = environment.get("DATABASE_URL", ""), environment.get("REDIS_URL", "")
    if database_url and redis_url:
        yield Servers(database_url, redis_url)
        return
    place = Home.at(home)
    lock = place.hold()
    try:
        running = begin(place, database_url, redis_url)
        try:
            yield running
        finally:
            running.stop()
            place.remove_outside()
    finally:
        lock.release()


@contextmanager
def embedded(home: Path) -> Iterator[Servers]:
    """Both servers embedded in `home` (made if missing), stopped at the end. From the main thread only."""
    with servers(home, {}) as running:
        yield running


def begin(home: Home, database_url: str, redis_url: str) -> Servers:
    """Starts what is not given, both at once; the caller holds the home and stops them."""
    postgres = None if database_url else Postgres(home)
    redis = None if redis_url else Redis(home)
    started = [server for server in (redis, postgres) if server is not None]
    try:
        for server in started:
            server.prepare()
            server.begin()
        for server in started:
            server.wait()
    except BaseException:
        for server in started:
            server.stop()
        raise
    return Servers(
        postgres.url if postgres else database_url,
        redis.url if redis else redis_url,
        postgres,
        redis,
    )
