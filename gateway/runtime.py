"""What a worker holds while it lives: connections, the snapshot, the journal, leases, limits and the detector."""

from __future__ import annotations

import sys
from dataclasses import dataclass

import psycopg
from psycopg_pool import PoolTimeout

from billing.services import Leases
from policies.services import engine
from tenants.data import Caller
from tenants.errors import DirectoryUnavailable, UnknownCredential
from tenants.isolation.pool import Pool, make_pool, within
from tenants.snapshot import Snapshot, Snapshots

from .bodies import Bodies
from .breakers import Breakers
from .errors import InvalidKey, Unavailable
from .journal import Journal
from .limits import Limits
from .memory import Memory
from .pipeline import Pipeline
from .providers import close_all

#: this process's own, while it runs
_RUNNING: list[Runtime] = []
READY_SECONDS = 2.0  #: for which the database may think about whether it is there


@dataclass(slots=True)
class Runtime:
    """Starts and stops all of it. One per worker process."""

    snapshot_pool: Pool
    search_pool: Pool
    snapshots: Snapshots
    journal: Journal
    leases: Leases
    limits: Limits
    memory: Memory
    bodies: Bodies
    pipeline: Pipeline
    breakers: Breakers

    @classmethod
    def from_settings(cls) -> Runtime:
        """Everything as the settings say; nothing is connected yet."""
        from django.conf import settings

        # One pool for each use: a search that waits must not make a key look slow.
        snapshot_pool, search_pool = make_pool(settings.DATABASE_URL, 2), make_pool(settings.DATABASE_URL, 4)
        snapshots = Snapshots(settings.DATABASE_DIRECT_URL, snapshot_pool, settings.API_KEY_PEPPER)
        leases = Leases(settings.DATABASE_URL, settings.DATABASE_DIRECT_URL)
        journal = Journal(settings.DATABASE_URL, leases)
        limits = Limits(settings.REDIS_URL, workers=settings.WORKERS)
        keep = settings.RESPONSES_KEPT_DAYS
        memory = Memory(settings.DATABASE_URL, snapshot_pool, settings.RESPONSES_KEY, keep, journal.crowd)
        bodies = Bodies(settings.DATABASE_URL, journal.crowd)
        pipeline = Pipeline(snapshots, journal, leases, limits, engine(), search_pool, memory, bodies)
        breakers = Breakers(settings.REDIS_URL, pipeline.router)
        return cls(snapshot_pool, search_pool, snapshots, journal, leases, limits, memory, bodies, pipeline, breakers)

    async def start(self) -> None:
        """Connects. What is away is waited for in the background: calls get 503 until it is back."""
        # Long texts are masked in a thread; with Python's own 5 ms every step of the loop beside one waits 15 ms.
        sys.setswitchinterval(0.001)
        for pool in (self.snapshot_pool, self.search_pool):
            await pool.open()
        await self.leases.start()
        await self.journal.start()
        await self.memory.start()
        await self.bodies.start()
        await self.limits.start()
        await self.breakers.start()
        await self.snapshots.start()
        _RUNNING.append(self)

    async def stop(self) -> None:
        """Ends in the reverse order: what is still running may write its outcome."""
        _RUNNING.clear()
        await self.snapshots.stop()
        await self.journal.stop()
        await self.memory.stop()
        await self.bodies.stop()
        await self.leases.stop()
        await self.breakers.stop()
        await self.limits.stop()
        await close_all()
        for pool in (self.snapshot_pool, self.search_pool):
            await pool.close()

    async def identify(self, credential: str, address: str) -> tuple[Caller, Snapshot]:
        """The caller behind a key. Raises InvalidKey; Unavailable when the database cannot be asked."""
        try:
            return await self.snapshots.identify(credential, address)
        except UnknownCredential as error:
            raise InvalidKey(str(error)) from None
        except DirectoryUnavailable as error:
            raise Unavailable(str(error), retry_after=2) from None

    async def problem(self) -> str:
        """Why this worker cannot answer calls at the moment; '' when it can."""
        try:
            await within(READY_SECONDS, self._ask())
        except (psycopg.Error, PoolTimeout, OSError):
            return "the database does not answer"
        return ""

    async def _ask(self) -> None:
        async with self.snapshot_pool.connection() as connection:
            await connection.execute("select 1")


def running() -> Runtime | None:
    """What answers this process's calls; None in one that answers none."""
    return _RUNNING[-1] if _RUNNING else None
