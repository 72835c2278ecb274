"""What a worker holds while it lives: connections, the snapshot, the journal, leases, limits and the detector."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID, uuid4

import psycopg
from psycopg_pool import PoolTimeout

from billing.services import Leases
from policies.services import Pii
from tenants.data import Caller
from tenants.errors import DirectoryUnavailable, UnknownCredential
from tenants.isolation.pool import Pool, make_pool
from tenants.snapshot import Snapshot, Snapshots

from .errors import InvalidKey, Unavailable
from .journal import Journal
from .limits import Limits
from .pipeline import Pipeline
from .providers import close_all


@dataclass(slots=True)
class Runtime:
    """Starts and stops all of it. One per worker process."""

    worker: UUID
    snapshot_pool: Pool
    search_pool: Pool
    lease_pool: Pool
    snapshots: Snapshots
    journal: Journal
    leases: Leases
    limits: Limits
    pii: Pii
    pipeline: Pipeline

    @classmethod
    def from_settings(cls) -> Runtime:
        """Everything as the settings say; nothing is connected yet."""
        from django.conf import settings

        worker = uuid4()
        # One pool for each use: a search that waits must not make a key look slow, nor a lease.
        pools = [make_pool(settings.DATABASE_URL, size) for size in (2, 4, 2)]
        snapshots = Snapshots(settings.DATABASE_URL, pools[0], settings.API_KEY_PEPPER)
        journal = Journal(settings.DATABASE_URL, worker)
        leases = Leases(pools[2], worker)
        limits = Limits(settings.REDIS_URL, settings.WORKERS)
        pii = Pii(settings.CACHE_KEY)
        pipeline = Pipeline(snapshots, journal, leases, limits, pii, pools[1])
        return cls(worker, *pools, snapshots, journal, leases, limits, pii, pipeline)

    async def start(self) -> None:
        for pool in (self.snapshot_pool, self.search_pool, self.lease_pool):
            await pool.open()
        await self.journal.start()
        await self.leases.start()
        await self.limits.start()
        await self.snapshots.start()
        await self.pii.start()

    async def stop(self) -> None:
        """Ends in the reverse order: what is still running may write its outcome."""
        await self.pipeline.drain()
        await self.snapshots.stop()
        await self.limits.stop()
        await self.journal.stop()
        await self.leases.stop()
        await close_all()
        for pool in (self.snapshot_pool, self.search_pool, self.lease_pool):
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
            async with self.snapshot_pool.connection() as connection:
                await connection.execute("select 1")
        except (psycopg.Error, PoolTimeout, OSError):
            return "the database does not answer"
        return ""
