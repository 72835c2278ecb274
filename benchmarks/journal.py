"""How many calls the journal makes durable in a second: an intent and an outcome each, in batches."""

from __future__ import annotations

import asyncio
import time
from uuid import UUID

from billing.services import Leases
from gateway.data import Tokens
from gateway.journal import Attempt, Intent, Journal, Outcome
from tenants.data import Caller
from tenants.ids import uuid7

from .load import share
from .report import Section, table

WAITING = (1, 16, 32, 128)
SECONDS = 3


def run() -> list[Section]:
    """Measures one worker's journal in this process."""
    from django.conf import settings

    rows = asyncio.run(_all(settings.DATABASE_URL, _tenant()))
    text = table(
        ("calls at once", "calls/s", "rows/s", "rows a commit", "intent p50 ms", "p99 ms", "CPU µs a call"), rows
    )
    said = "Each call is two rows in two transactions: the intent, then the outcome with its usage; fsync is on."
    return [Section("The journal", f"{said}\n\n{text}")]


def _tenant() -> UUID:
    from tenants.isolation import PLATFORM, scope
    from tenants.services import make_tenant

    with scope(PLATFORM):
        return make_tenant(f"journal-{uuid7().hex[-6:]}", "Journal")[0].pk


async def _all(url: str, tenant: UUID) -> list[tuple[str, ...]]:
    leases = Leases(url)
    journal = Journal(url, leases)
    await leases.start()
    await journal.start()
    try:
        return [await _at(journal, leases, tenant, waiting) for waiting in WAITING]
    finally:
        await journal.stop()
        await leases.stop()


async def _at(journal: Journal, leases: Leases, tenant: UUID, waiting: int) -> tuple[str, ...]:
    """Calls in a closed loop, so many at once."""
    caller = _caller(tenant)
    took: list[float] = []
    batches, cpu, began = journal.metrics.batches, time.process_time(), time.perf_counter()
    until = began + SECONDS

    async def client() -> None:
        while time.perf_counter() < until:
            took.append(await _call(journal, leases, caller))

    await asyncio.gather(*(client() for _ in range(waiting)))
    wall = time.perf_counter() - began
    batch = 2 * len(took) / max(1, journal.metrics.batches - batches)
    each = (time.process_time() - cpu) * 1e6 / len(took)
    print(f"  {waiting:4} at once  {len(took) / wall:7.0f} calls/s", flush=True)
    return (
        str(waiting),
        f"{len(took) / wall:,.0f}",
        f"{2 * len(took) / wall:,.0f}",
        f"{batch:.1f}",
        f"{share(took, 0.5):.1f}",
        f"{share(took, 0.99):.1f}",
        f"{each:.0f}",
    )


async def _call(journal: Journal, leases: Leases, caller: Caller) -> float:
    """One call; how many milliseconds its intent took."""
    reservation = await leases.reserve(caller.tenant, (), 1_000_000)
    model = uuid7()
    intent = Intent(uuid7(), caller, "chat", "m", model, "v/m", model, "eu", "baseline@1", reservation, 100, 4096)
    began = time.perf_counter()
    await journal.intent(intent)
    durable = time.perf_counter()
    await journal.outcome(Outcome(intent, [Attempt("v/m", model, "eu", Tokens(input=100, output=20), 900_000)]))
    return (durable - began) * 1e3


def _caller(tenant: UUID) -> Caller:
    return Caller(
        tenant=tenant,
        tenant_slug="journal",
        key=uuid7(),
        user=None,
        name="load",
        role="developer",
        clearance=1,
        department=None,
        department_slug="",
        departments=(),
    )
