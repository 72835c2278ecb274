"""What a dead worker left open is settled; what a living one is doing is left alone."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from django.db import connections

from billing.data import BudgetView, Reservation, Swept
from billing.services import Leases, sweep
from gateway.journal import Attempt, Intent, Journal, Outcome
from tenants.ids import uuid7
from tests.billing.house import CENT, House

pytestmark = pytest.mark.asyncio
MODEL, DEPLOYMENT = uuid7(), uuid7()


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[tuple[Journal, Leases]]:
    leases = Leases(url)
    journal = Journal(url, leases)
    await leases.start()
    await journal.start()
    try:
        yield journal, leases
    finally:
        await journal.stop()
        await leases.stop()


async def begin(house: House, journal: Journal, leases: Leases, budget: BudgetView | None = None) -> Intent:
    """A call that is running: its intent is durable."""
    reservation = await leases.reserve(house.tenant, () if budget is None else (budget,), 6 * CENT)
    intent = Intent(
        call=uuid7(),
        caller=house.alice,
        kind="chat",
        model="gpt",
        model_id=MODEL,
        deployment="v/gpt",
        deployment_id=DEPLOYMENT,
        region="eu",
        policy="baseline@1",
        reservation=reservation,
        input_tokens=100,
        output_tokens=4096,
    )
    await journal.intent(intent)
    return intent


async def swept(silent: float, patience: float) -> Swept:
    def run() -> Swept:
        try:
            return sweep(silent, patience)
        finally:
            connections["default"].close()

    return await asyncio.to_thread(run)


async def silenced(leases: Leases) -> None:
    """The worker says no more that it lives, as if it hung."""
    for task in list(leases._tasks):
        task.cancel()
    await asyncio.sleep(0.05)


async def test_a_living_worker_is_left_alone(acme: House) -> None:
    async with worker(acme.servers.app) as (journal, leases):
        intent = await begin(acme, journal, leases)
        for _ in range(2):
            await swept(18, 6)
        assert acme.rows("select 1 from audit_event where action = 'call.outcome'") == []
        await journal.outcome(Outcome(intent))


async def test_a_suspected_worker_that_speaks_again_is_left_alone(acme: House) -> None:
    """As when the database was away for longer than workers may be silent."""
    async with worker(acme.servers.app) as (journal, leases):
        intent = await begin(acme, journal, leases)
        await silenced(leases)
        await swept(0.0, 60)
        assert acme.servers.ask("select 1 from billing_worker where id = %s and suspected_at < now()", leases.worker)
        await leases._beat()
        await swept(18, 0.0)
        assert acme.rows("select 1 from audit_event where action = 'call.outcome'") == []
        await journal.outcome(Outcome(intent))


async def test_the_call_of_a_dead_worker_is_charged_at_its_worst_case_and_flagged(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as (journal, leases):
        intent = await begin(acme, journal, leases, budget)
        await silenced(leases)
        await swept(0.0, 0.0)
        await swept(0.0, 0.0)
        assert acme.rows(
            "select request_id, model_id, key_id, department_id, cost, output_tokens, estimated from billing_usage"
        ) == [(intent.call, MODEL, acme.alice.key, acme.legal, acme.one("select 0.06::numeric"), 4096, True)]
        assert acme.rows("select reason, cost, actor_name from audit_event where action = 'call.outcome'") == [
            ("interrupted", acme.one("select 0.06::numeric"), "Alice's key")
        ]
        assert acme.rows("select spent, reserved, overrun from billing_budgetwindow") == [
            (acme.one("select 0.06::numeric"), 0, 0)
        ]


async def test_an_outcome_that_comes_after_the_sweep_changes_nothing(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as (journal, leases):
        intent = await begin(acme, journal, leases, budget)
        await silenced(leases)
        await swept(0.0, 0.0)
        await swept(0.0, 0.0)
        await journal.outcome(Outcome(intent, [Attempt("v/gpt", DEPLOYMENT, cost=CENT)]))
    assert acme.one("select count(*) from audit_event where action = 'call.outcome'") == 1
    assert acme.one("select sum(cost) from billing_usage") == acme.one("select spent from billing_budgetwindow")


async def test_a_call_begun_by_a_worker_taken_for_dead_is_charged_to_the_budget_all_the_same(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as (journal, leases):
        await begin(acme, journal, leases, budget)
        reservation: Reservation = await leases.reserve(acme.tenant, (budget,), 6 * CENT)
        await silenced(leases)
        await swept(0.0, 0.0)
        await swept(0.0, 0.0)
        late = await begin(acme, journal, leases)
        late.reservation = reservation
        await journal.outcome(Outcome(late, [Attempt("v/gpt", DEPLOYMENT, cost=2 * CENT)]))
    [(spent, overrun)] = acme.rows("select spent, overrun from billing_budgetwindow")
    assert spent + overrun == acme.one("select sum(cost) from billing_usage") == acme.one("select 0.08::numeric")


async def test_two_sweepers_at_once_settle_once(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as (journal, leases):
        for _ in range(10):
            await begin(acme, journal, leases, budget)
        await silenced(leases)
        await swept(0.0, 0.0)
        await asyncio.gather(*(swept(0.0, 0.0) for _ in range(4)))
    assert acme.one("select count(*) from audit_event where action = 'call.outcome'") == 10
    assert acme.rows("select spent, reserved from billing_budgetwindow") == [(acme.one("select 0.6::numeric"), 0)]


async def test_a_worker_that_leaves_in_order_leaves_nothing_to_sweep(acme: House) -> None:
    async with worker(acme.servers.app) as (journal, leases):
        await journal.outcome(Outcome(await begin(acme, journal, leases)))
    assert acme.servers.ask("select 1 from billing_worker where id = %s", leases.worker) == []
