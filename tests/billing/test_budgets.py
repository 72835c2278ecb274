"""Budgets cannot be overspent, however many workers there are, and however they end."""

from __future__ import annotations

import asyncio
import os
import random
import signal
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager, contextmanager
from dataclasses import replace
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from psycopg.rows import dict_row

from billing import budgets as budgets_module
from billing.budgets import load_budgets
from billing.data import BudgetState, BudgetView, window_of
from billing.errors import BudgetExhausted, LedgerUnavailable
from billing.prices import decimal
from billing.services import Leases, budget_states, sweep
from tenants.isolation import scope
from tests.billing.house import CENT, DOLLAR, House
from tests.gateway.proxy import Proxy

pytestmark = pytest.mark.asyncio


@asynccontextmanager
async def worker(url: str) -> AsyncIterator[Leases]:
    leases = Leases(url)
    await leases.start()
    try:
        yield leases
    finally:
        await leases.stop()


def held(house: House) -> tuple[Decimal, Decimal, Decimal]:
    """Spent and reserved of the windows, and what the leases hold."""
    [(spent, reserved, leased)] = house.rows(
        "select coalesce(sum(spent), 0), coalesce(sum(reserved), 0), "
        "(select coalesce(sum(amount), 0) from billing_lease) from billing_budgetwindow"
    )
    return spent, reserved, leased


# -- one worker ------------------------------------------------------------------------------------------------------


async def test_a_reservation_within_the_slice_asks_nobody(acme: House) -> None:
    budget = acme.budget(100 * DOLLAR)
    async with Proxy(acme.servers.app) as proxy, worker(proxy.url) as leases:
        first = await leases.reserve(acme.tenant, (budget,), CENT)
        proxy.away()
        second = await leases.reserve(acme.tenant, (budget,), CENT)
        assert first.amount == second.amount == CENT
        proxy.back()


async def test_the_limit_is_reached_exactly_and_never_passed(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as leases:
        for _ in range(25):
            await leases.reserve(acme.tenant, (budget,), 4 * CENT)
        with pytest.raises(BudgetExhausted):
            await leases.reserve(acme.tenant, (budget,), 1)
        assert held(acme) == (0, 1, 1)


async def test_near_the_limit_a_call_gets_what_is_left(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with worker(acme.servers.app) as leases:
        await leases.reserve(acme.tenant, (budget,), 7 * CENT)
        assert (await leases.reserve(acme.tenant, (budget,), 7 * CENT, at_least=CENT)).amount == 3 * CENT
        with pytest.raises(BudgetExhausted):
            await leases.reserve(acme.tenant, (budget,), 7 * CENT, at_least=CENT)


async def test_the_refusal_says_which_budget_and_when_it_renews(acme: House) -> None:
    budget = acme.budget(CENT, "department", acme.legal, "day")
    async with worker(acme.servers.app) as leases:
        with pytest.raises(BudgetExhausted) as refused:
            await leases.reserve(acme.tenant, (budget,), 2 * CENT)
    assert refused.value.budget is budget
    assert refused.value.renews_at == window_of("day", datetime.now(UTC)).ends
    assert str(refused.value).startswith(
        "The daily budget of this department has no room for this call. It renews at 20"
    )


async def test_all_budgets_hold_or_none(acme: House) -> None:
    wide, narrow = acme.budget(100 * CENT), acme.budget(5 * CENT, "department", acme.legal)
    both = tuple(sorted((wide, narrow), key=lambda one: one.id))
    async with worker(acme.servers.app) as leases:
        with pytest.raises(BudgetExhausted) as refused:
            await leases.reserve(acme.tenant, both, 6 * CENT)
        assert refused.value.budget is narrow
        assert (await leases.reserve(acme.tenant, (wide,), 100 * CENT)).amount == 100 * CENT


async def test_what_is_released_can_be_reserved_again(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with worker(acme.servers.app) as leases:
        for _ in range(30):
            leases.release(await leases.reserve(acme.tenant, (budget,), 10 * CENT))


async def test_many_calls_that_wait_share_one_top_up(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    budget, asked = acme.budget(100 * DOLLAR), 0
    original = budgets_module.ledger.top_up

    async def counted(*rest: object, **more: object) -> object:
        nonlocal asked
        asked += 1
        return await original(*rest, **more)  # type: ignore[arg-type]

    monkeypatch.setattr(budgets_module.ledger, "top_up", counted)
    async with worker(acme.servers.app) as leases:
        await asyncio.gather(*(leases.reserve(acme.tenant, (budget,), CENT) for _ in range(50)))
    assert asked <= 2


async def test_a_slice_is_a_quarter_of_what_is_left_at_most(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as leases:
        await leases.reserve(acme.tenant, (budget,), 10 * CENT)
        assert held(acme)[1] == decimal(25 * CENT)


async def test_unused_slices_go_back_by_themselves(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(budgets_module, "IDLE_SECONDS", 0.1)
    monkeypatch.setattr(budgets_module, "BEAT_SECONDS", 0.1)
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as leases:
        leases.release(await leases.reserve(acme.tenant, (budget,), CENT))
        assert held(acme)[1] > 0
        await asyncio.sleep(0.5)
        assert held(acme) == (0, 0, 0)
        assert (await leases.reserve(acme.tenant, (budget,), 100 * CENT)).amount == 100 * CENT


async def test_everything_goes_back_at_the_end(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as leases:
        leases.release(await leases.reserve(acme.tenant, (budget,), CENT))
    assert held(acme) == (0, 0, 0)
    assert acme.servers.ask("select 1 from billing_worker where id = %s", leases.worker) == []


async def test_a_new_day_is_a_new_window(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    budget = acme.budget(10 * CENT, period="day")
    async with worker(acme.servers.app) as leases:
        old = await leases.reserve(acme.tenant, (budget,), 10 * CENT)
        now = time.time
        monkeypatch.setattr(time, "time", lambda: now() + 86400)
        assert (await leases.reserve(acme.tenant, (budget,), 10 * CENT)).amount == 10 * CENT
        leases.settle(old, leases.charge(old, 3 * CENT))
        assert held(acme)[1] == decimal(20 * CENT)


async def test_a_raised_limit_holds_at_once_and_a_lowered_one_too(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with worker(acme.servers.app) as leases:
        first = await leases.reserve(acme.tenant, (budget,), 10 * CENT)
        with pytest.raises(BudgetExhausted):
            await leases.reserve(acme.tenant, (budget,), CENT)
        raised = replace(budget, limit=20 * CENT)
        await leases.reserve(acme.tenant, (raised,), 10 * CENT)
        leases.release(first)
        lowered = replace(budget, limit=12 * CENT)
        leases.release(await leases.reserve(acme.tenant, (lowered,), CENT))
        await asyncio.sleep(0.1)
        with pytest.raises(BudgetExhausted):
            await leases.reserve(acme.tenant, (lowered,), 5 * CENT)


async def test_without_a_database_nothing_is_reserved(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with Proxy(acme.servers.app) as proxy, worker(proxy.url) as leases:
        await leases.reserve(acme.tenant, (), CENT)
        proxy.away()
        began = time.monotonic()
        waiting = [leases.reserve(acme.tenant, (budget,), CENT) for _ in range(20)]
        found = await asyncio.gather(*waiting, return_exceptions=True)
        assert {type(one) for one in found} == {LedgerUnavailable}
        assert time.monotonic() - began < 3, "they wait together, not one after the other"
        proxy.back()


# -- several workers -------------------------------------------------------------------------------------------------


async def test_what_one_worker_holds_unused_is_returned_when_another_needs_it(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as one, worker(acme.servers.app) as other:
        await asyncio.sleep(0.2)  # both listen
        one.release(await one.reserve(acme.tenant, (budget,), 50 * CENT))
        assert (await other.reserve(acme.tenant, (budget,), 100 * CENT)).amount == 100 * CENT


async def test_two_workers_together_reserve_the_limit_and_no_more(acme: House) -> None:
    budget, taken = acme.budget(100 * CENT), 0
    async with worker(acme.servers.app) as one, worker(acme.servers.app) as other:
        await asyncio.sleep(0.2)
        for _ in range(200):
            try:
                chosen = random.choice((one, other))
                taken += (await chosen.reserve(acme.tenant, (budget,), 3 * CENT, at_least=1)).amount
            except BudgetExhausted:
                break
        assert taken == 100 * CENT


async def test_a_worker_taken_for_dead_begins_anew(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with worker(acme.servers.app) as leases:
        await leases.reserve(acme.tenant, (budget,), 10 * CENT)
        was = leases.worker
        acme.servers.ask("update billing_worker set swept_at = now() where id = %s", was)
        acme.servers.ask("delete from billing_lease")
        acme.servers.ask("update billing_budgetwindow set reserved = 0")
        leases._sure_until = 0.0
        assert (await leases.reserve(acme.tenant, (budget,), 10 * CENT)).amount == 10 * CENT
        assert leases.worker != was


@contextmanager
def hammers(house: House, budget: BudgetView, number: int, seconds: float) -> Iterator[list[subprocess.Popen[bytes]]]:
    arguments = [house.servers.app, str(house.tenant), str(budget.id), str(budget.limit), str(seconds)]
    script = Path(__file__).with_name("hammer.py")
    environment = os.environ | {"PYTHONPATH": str(settings.BASE_DIR) + os.pathsep + os.environ.get("PYTHONPATH", "")}
    started = [subprocess.Popen([sys.executable, str(script), *arguments], env=environment) for _ in range(number)]
    try:
        yield started
    finally:
        for process in started:
            if process.poll() is None:
                process.kill()
            process.wait()


def check_window(house: House, limit: int) -> None:
    """What holds at every moment: nothing overspent, and what is reserved is what the leases hold."""
    found = house.servers.ask(
        "select w.spent, w.reserved, (select coalesce(sum(amount), 0) from billing_lease l where l.window_id = w.id), "
        "(select coalesce(sum(spent), 0) from billing_lease l where l.window_id = w.id), "
        "(select coalesce(sum(cost), 0) from billing_usage u where u.tenant_id = w.tenant_id), w.overrun "
        "from billing_budgetwindow w where w.tenant_id = %s",
        house.tenant,
    )
    for spent, reserved, leased, spent_of_leases, used, overrun in found:
        assert spent + reserved <= decimal(limit)
        assert reserved == leased
        assert spent + spent_of_leases + overrun == used
        assert overrun == 0


async def test_workers_that_are_killed_overspend_nothing_and_hold_nothing_back(acme: House) -> None:
    budget = acme.budget(100_000 * DOLLAR)
    with hammers(acme, budget, 4, seconds=5) as processes:
        await working(acme, 200)
        for victim in processes[:2]:
            for _ in range(5):
                await asyncio.sleep(0.1)
                check_window(acme, budget.limit)
            victim.send_signal(signal.SIGKILL)
        for process in processes[2:]:
            assert await asyncio.to_thread(process.wait, 30) == 0
    check_window(acme, budget.limit)
    intents, outcomes = counted(acme)
    assert intents > outcomes, "the killed ones left calls open"

    first = await asyncio.to_thread(sweep_in_its_own_thread)
    assert counted(acme) == (intents, intents)
    assert first == acme.one("select count(*) from audit_event where reason = 'interrupted'") > 0
    check_window(acme, budget.limit)
    assert held(acme)[1:] == (0, 0)
    assert await asyncio.to_thread(sweep_in_its_own_thread) == 0, "a second sweep finds nothing"


async def test_workers_that_fight_for_the_last_cent_spend_the_limit_and_no_more(acme: House) -> None:
    budget = acme.budget(5 * DOLLAR)
    with hammers(acme, budget, 3, seconds=4) as processes:
        await working(acme, 50)
        while any(process.poll() is None for process in processes):
            await asyncio.sleep(0.1)
            check_window(acme, budget.limit)
    spent, reserved, _ = held(acme)
    assert reserved == 0
    assert decimal(5 * DOLLAR - 7 * CENT // 4) < spent <= 5, "less is left than the cheapest call asks for"


async def working(house: House, calls: int) -> None:
    """Waits until the hammers have made some calls."""
    for _ in range(600):
        if counted(house)[1] >= calls:
            return
        await asyncio.sleep(0.05)


def counted(house: House) -> tuple[int, int]:
    """Intents and outcomes."""
    [(intents, outcomes)] = house.rows(
        "select count(*) filter (where action = 'call.intent'), count(*) filter (where action = 'call.outcome') "
        "from audit_event"
    )
    return intents, outcomes


def sweep_in_its_own_thread() -> int:
    """Suspects, buries and settles without waiting; how many calls."""
    from django.db import connections

    try:
        time.sleep(0.05)
        suspected = sweep(silent=0.0, patience=0.0)
        return suspected.calls + sweep(silent=0.0, patience=0.0).calls
    finally:
        connections["default"].close()


# -- views -----------------------------------------------------------------------------------------------------------


async def test_the_snapshot_finds_the_budgets_of_a_call(acme: House, globex: House) -> None:
    whole = acme.budget(5 * DOLLAR)
    legal = acme.budget(3 * DOLLAR, "department", acme.legal, "day")
    acme.budget(DOLLAR, "department", acme.sales)
    globex.budget(DOLLAR)
    async with await psycopg.AsyncConnection.connect(acme.servers.app, row_factory=dict_row) as connection:
        await connection.execute("select set_config('app.tenant', %s, true)", (str(acme.tenant),))
        found = await load_budgets(connection, acme.tenant)
    assert found.of(department=acme.legal, key=acme.alice.key) == (whole, legal)
    assert found.of(department=UUID(int=1)) == (whole,)


async def test_a_budget_shows_what_is_spent_and_reserved_now(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with worker(acme.servers.app) as leases:
        await leases.reserve(acme.tenant, (budget,), 25 * CENT)

        def read() -> BudgetState:
            with scope(acme.tenant):
                return budget_states([budget.id])[budget.id]

        state = await asyncio.to_thread(read)
    assert (state.spent, state.reserved, state.remaining) == (0, Decimal("0.25"), Decimal("0.75"))


@pytest.mark.parametrize(
    ("period", "starts", "ends"),
    [
        ("day", datetime(2026, 12, 31, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("month", datetime(2026, 12, 1, tzinfo=UTC), datetime(2027, 1, 1, tzinfo=UTC)),
        ("total", datetime(1970, 1, 1, tzinfo=UTC), None),
    ],
)
async def test_periods_are_in_utc(period: str, starts: datetime, ends: datetime | None) -> None:
    window = window_of(period, datetime(2026, 12, 31, 23, 59, tzinfo=UTC))
    assert (window.starts, window.ends) == (starts, ends)
