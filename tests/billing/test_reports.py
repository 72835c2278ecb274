"""What was spent, by whom and for what: exact, and each tenant's own."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing.data import Reservation
from billing.errors import UnknownGroup
from billing.models import Budget
from billing.services import Leases, budget_states, usage
from gateway.data import Tokens
from gateway.journal import Attempt, Intent, Journal, Outcome
from tenants.data import Caller
from tenants.ids import uuid7
from tenants.isolation import scope
from tests.billing.house import House

SMALL, LARGE, FIRST, SECOND = uuid7(), uuid7(), uuid7(), uuid7()


def call(caller: Caller, model: str, *attempts: Attempt, collections: tuple[UUID, ...] = ()) -> Outcome:
    model_id = SMALL if model == "small" else LARGE
    reservation = Reservation(caller.tenant, 0)
    intent = Intent(
        uuid7(), caller, "chat", model, model_id, "v/first", FIRST, "eu", "baseline@1", reservation, 10, 100
    )
    return Outcome(intent, attempts, passages=[{"collection": str(one)} for one in collections])


def attempt(tokens: Tokens | None = None, cost: int = 0, deployment: str = "v/first") -> Attempt:
    return Attempt(deployment, FIRST if deployment == "v/first" else SECOND, "eu", tokens, cost)


def write(house: House, *outcomes: Outcome) -> None:
    async def run() -> None:
        leases = Leases(house.servers.app)
        journal = Journal(house.servers.app, leases)
        await leases.start()
        await journal.start()
        await asyncio.gather(*(journal.intent(outcome.intent) for outcome in outcomes))
        await asyncio.gather(*(journal.outcome(outcome) for outcome in outcomes))
        await journal.stop()
        await leases.stop()

    asyncio.run(run())


@pytest.fixture
def spent(acme: House, globex: House) -> House:
    write(
        acme,
        call(acme.alice, "small", attempt(Tokens(input=10, output=5), 123)),
        call(acme.alice, "small", attempt(), attempt(Tokens(input=20, output=7, cached_input=3), 456, "v/second")),
        call(acme.bob, "large", attempt(Tokens(input=100, output=50, reasoning=9, estimated=True), 10**12)),
    )
    write(globex, call(globex.alice, "small", attempt(Tokens(input=10**6), 99 * 10**12)))
    return acme


def rows(house: House, *groups: str, **more: Any) -> list[dict[str, Any]]:
    with scope(house.tenant):
        return usage(groups, **more)["results"]  # type: ignore[no-any-return]


def test_usage_by_department_and_model(spent: House) -> None:
    legal, sales = rows(spent, "department", "model")
    assert legal == {
        "department": "legal",
        "department_id": str(spent.legal),
        "model": "small",
        "model_id": str(SMALL),
        "calls": 2,
        "input_tokens": 30,
        "cached_input_tokens": 3,
        "cache_write_tokens": 0,
        "output_tokens": 12,
        "reasoning_tokens": 0,
        "estimated": 0,
        "cost": "0.000000000579",
    }
    assert (sales["department"], sales["model"], sales["cost"], sales["estimated"]) == ("sales", "large", "1.00", 1)


def test_the_total_is_of_this_tenant_alone(spent: House, globex: House) -> None:
    with scope(spent.tenant):
        total = usage(())["total"]
    assert (total["calls"], total["cost"], total["input_tokens"]) == (3, "1.000000000579", 130)


def test_a_call_with_two_attempts_is_one_call_at_the_deployment_that_answered(spent: House) -> None:
    found = {row["deployment"]: row["calls"] for row in rows(spent, "deployment")}
    assert found == {"v/first": 2, "v/second": 1}


def test_days_are_utc_days_and_periods_end_before_their_end(spent: House) -> None:
    today = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    [day] = rows(spent, "day", since=today - timedelta(hours=1), until=today + timedelta(days=1))
    assert day["day"] == f"{datetime.now(UTC):%Y-%m-%d}"
    assert rows(spent, "day", until=today - timedelta(days=1)) == []
    assert rows(spent, "day", since=today + timedelta(days=1)) == []


def test_a_developer_may_be_shown_their_own_alone(spent: House) -> None:
    assert [row["department"] for row in rows(spent, "department", departments=[spent.sales])] == ["sales"]
    assert [row["key_id"] for row in rows(spent, "key", keys=[spent.alice.key])] == [str(spent.alice.key)]
    assert rows(spent, "user", users=[]) == []


def test_an_unknown_group_is_an_error(acme: House) -> None:
    with scope(acme.tenant), pytest.raises(UnknownGroup):
        usage(["weather"])


def test_without_a_scope_there_is_nothing(spent: House) -> None:
    assert usage(())["results"] == []


def test_the_sum_over_any_grouping_is_the_same(spent: House) -> None:
    sums = {sum(Decimal(row["cost"]) for row in rows(spent, group)) for group in ("department", "key", "model", "day")}
    assert sums == {Decimal("1.000000000579")}


def test_a_budget_without_a_window_is_untouched(acme: House) -> None:
    with scope(acme.tenant):
        budget = Budget.objects.create(scope="tenant", period="month", limit=Decimal(10))
        state = budget_states()[budget.id]
    assert (state.spent, state.reserved, state.remaining) == (0, 0, 10)
