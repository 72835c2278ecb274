"""A worker process that spends one budget as fast as it can, with random costs.

hammer.py URL TENANT BUDGET LIMIT SECONDS; what it did stands in the database.
"""

from __future__ import annotations

import asyncio
import random
import sys
import time
from uuid import UUID

import django

django.setup()

from billing.data import BudgetView  # noqa: E402
from billing.errors import BudgetExhausted  # noqa: E402
from billing.services import Leases  # noqa: E402
from gateway.data import Tokens  # noqa: E402
from gateway.journal import Attempt, Intent, Journal, Outcome  # noqa: E402
from tenants.data import Caller  # noqa: E402
from tenants.ids import uuid7  # noqa: E402

WORST = 7 * 10**10
DEPLOYMENT = uuid7()


async def call(journal: Journal, leases: Leases, caller: Caller, budget: BudgetView) -> None:
    worst = random.randrange(WORST // 10, WORST)
    reservation = await leases.reserve(caller.tenant, (budget,), worst, at_least=worst // 4)
    intent = Intent(
        uuid7(), caller, "chat", "gpt", None, "v/gpt", DEPLOYMENT, "eu", "baseline@1", reservation, 10, 4096
    )
    await journal.intent(intent)
    await asyncio.sleep(random.random() * 0.01)
    cost = random.randrange(reservation.amount + 1)
    await journal.outcome(Outcome(intent, [Attempt("v/gpt", DEPLOYMENT, "eu", Tokens(output=1), cost)]))


async def main(url: str, tenant: UUID, budget: UUID, limit: int, seconds: float) -> None:
    caller = Caller(
        tenant=tenant,
        tenant_slug="acme",
        key=uuid7(),
        user=None,
        name="hammer",
        role="developer",
        clearance=1,
        department=None,
        department_slug="",
        departments=(),
    )
    view = BudgetView(budget, "tenant", None, "month", limit)
    leases = Leases(url)
    journal = Journal(url, leases)
    await leases.start()
    await journal.start()
    until = time.monotonic() + seconds

    async def user() -> None:
        while time.monotonic() < until:
            try:
                await call(journal, leases, caller, view)
            except BudgetExhausted:
                await asyncio.sleep(0.05)

    await asyncio.gather(*(user() for _ in range(8)))
    await journal.stop()
    await leases.stop()


asyncio.run(main(sys.argv[1], UUID(sys.argv[2]), UUID(sys.argv[3]), int(sys.argv[4]), float(sys.argv[5])))
