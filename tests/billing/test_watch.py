"""People are told before money runs out, once; and of days that are far from the usual."""

from __future__ import annotations

import asyncio
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from audit.models import Event
from audit.services import record
from billing import mail, watch
from billing.data import BudgetView, Forecast
from billing.forecasts import ahead, expected, forecasts
from billing.models import Budget, Mail, Notice, RefusalDay
from billing.services import Leases, budget_states
from gateway.data import Tokens
from gateway.journal import Intent, Journal, Outcome
from tenants.ids import uuid7
from tenants.isolation import scope
from tenants.models import Membership
from tenants.services import make_user
from tests.billing.house import CENT, DOLLAR, House
from tests.billing.mailbox import Mailbox
from tests.billing.test_reports import attempt
from tests.billing.test_rollups import charge

NOW = datetime.now(UTC)
NOON = NOW.replace(hour=12, minute=0, second=0, microsecond=0)


def spend(house: House, cents: int) -> None:
    """A call that is charged to the budgets of the house, through leases and journal as in life."""

    with scope(house.tenant):
        budgets = [
            BudgetView(one.pk, one.scope, one.target, one.period, int(one.limit * DOLLAR))
            for one in Budget.objects.all()
        ]

    async def run() -> None:
        leases = Leases(house.servers.app)
        journal = Journal(house.servers.app, leases)
        await leases.start()
        await journal.start()
        reservation = await leases.reserve(house.tenant, budgets, cents * CENT)
        intent = Intent(uuid7(), house.alice, "chat", "m", None, "v/m", None, "eu", "baseline@1", reservation, 10, 100)
        await journal.intent(intent)
        await journal.outcome(Outcome(intent, [attempt(Tokens(input=1), cents * CENT)]))
        await journal.stop()
        await leases.stop()

    asyncio.run(run())


def budget(house: House, limit: str = "10", **more: Any) -> Budget:
    given = {"scope": "tenant", "period": "month", "limit": Decimal(limit), "warn_at": ["0.5", "0.8"], **more}
    with scope(house.tenant):
        made = Budget.objects.create(**given)
        made.refresh_from_db()
        return made


def manager(house: House) -> str:
    with scope(house.tenant):
        user = make_user(f"bill-{house.tenant}@acme.example", "Bill")
        Membership.objects.create(user=user, role="billing_manager", clearance=1)
        return user.email


def told(house: House, action: str) -> list[dict[str, Any]]:
    with scope(house.tenant):
        return [event.detail for event in Event.objects.filter(action=action).order_by("id")]


def test_each_threshold_is_told_once_a_period_by_event_and_mail(acme: House, mailbox: Mailbox) -> None:
    made, address = budget(acme), manager(acme)
    spend(acme, 499)
    assert watch.watch_budgets(acme.tenant) == []
    spend(acme, 1)
    assert [str(notice.share) for notice in watch.watch_budgets(acme.tenant)] == ["0.500"]
    assert watch.watch_budgets(acme.tenant) == []
    spend(acme, 300)
    assert [str(notice.share) for notice in watch.watch_budgets(acme.tenant)] == ["0.800"]
    assert [(one["share"], one["spent"], one["remaining"]) for one in told(acme, "budget.warn")] == [
        ("0.500", "5.00", "5.00"),
        ("0.800", "8.00", "2.00"),
    ]
    assert mail.send_due(acme.tenant) == 2
    assert [to for to, _ in mailbox.messages] == [address, address]
    assert "80 % of this month's budget of the whole tenant is spent" in str(mailbox.messages[1][1]["subject"])
    assert "Remaining: 2.00 USD" in mailbox.messages[1][1].get_content()  # type: ignore[attr-defined]
    with scope(acme.tenant):
        assert Notice.objects.filter(subject=made.pk).count() == 2


def test_two_thresholds_at_once_are_two_events_and_one_mail(acme: House, mailbox: Mailbox) -> None:
    budget(acme)
    manager(acme)
    spend(acme, 950)
    assert len(watch.watch_budgets(acme.tenant)) == 2
    with scope(acme.tenant):
        assert Mail.objects.count() == 1


def test_the_next_period_is_told_anew(acme: House) -> None:
    made = budget(acme, period="day", warn_at=["0.5"])
    spend(acme, 600)
    assert len(watch.watch_budgets(acme.tenant)) == 1
    with scope(acme.tenant):
        Notice.objects.filter(subject=made.pk).update(starts_at=NOON - timedelta(days=3))
    assert len(watch.watch_budgets(acme.tenant)) == 1


def test_a_budget_that_refuses_is_told_of_once(acme: House) -> None:
    made = budget(acme, warn_at=[])
    with scope(acme.tenant):
        for _ in range(3):
            record("call.refused", decision="deny", reason="insufficient_quota", detail={"budget": str(made.pk)})
        record("call.refused", decision="deny", reason="pii_blocked")
    [notice] = watch.watch_budgets(acme.tenant)
    assert (notice.kind, notice.figures["refused"]) == ("budget_exhausted", 3)
    assert watch.watch_budgets(acme.tenant) == []
    assert [one["refused"] for one in told(acme, "budget.refuse")] == [3]


# -- forecasts -------------------------------------------------------------------------------------------------------

MONDAY = date(2026, 11, 2)


def test_a_weekday_costs_what_it_used_to() -> None:
    costs = {MONDAY + timedelta(days=number): Decimal(10 if number % 7 < 5 else 1) for number in range(28)}
    assert expected(costs, MONDAY + timedelta(days=28)) == [Decimal(10)] * 5 + [Decimal(1)] * 2


def test_with_less_than_a_week_every_day_is_the_mean_of_those_there_were() -> None:
    costs = {MONDAY: Decimal(6), MONDAY + timedelta(days=2): Decimal(3)}
    assert expected(costs, MONDAY + timedelta(days=3)) == [Decimal(3)] * 7
    assert expected({}, MONDAY) == [Decimal(0)] * 7


@pytest.mark.parametrize(
    ("spent", "limit", "ends", "likely"),
    [
        # Monday noon: half of it and two more days are to come, at 4 a day
        ("3", "100", 3, Forecast(Decimal("13.000000"), None)),
        ("3", "5", 3, Forecast(Decimal("13.000000"), datetime(2026, 11, 3, 0, 0, tzinfo=UTC))),
        ("3", "7", 3, Forecast(Decimal("13.000000"), datetime(2026, 11, 3, 12, tzinfo=UTC))),
        ("9", "9", 3, Forecast(Decimal("19.000000"), datetime(2026, 11, 2, 12, tzinfo=UTC))),
        ("3", "25", None, Forecast(None, datetime(2026, 11, 8, 0, tzinfo=UTC))),
    ],
)
def test_a_forecast_can_be_followed_by_hand(spent: str, limit: str, ends: int | None, likely: Forecast) -> None:
    now = datetime(2026, 11, 2, 12, tzinfo=UTC)
    until = None if ends is None else now.replace(hour=0) + timedelta(days=ends)
    assert ahead(Decimal(spent), Decimal(limit), [Decimal(4)] * 7, now, until) == likely


def test_a_departments_budget_is_forecast_by_its_own_spending(acme: House) -> None:
    for number in range(1, 15):
        charge(acme, NOON - timedelta(days=number), "2", department_id=acme.legal)
        charge(acme, NOON - timedelta(days=number), "50", department_id=acme.sales)
    whole = budget(acme, period="day")
    legal = budget(acme, period="day", scope="department", target=acme.legal)
    none = budget(acme, period="day", scope="department", target=UUID(int=7))
    midnight = NOON.replace(hour=0)
    with scope(acme.tenant):
        found = forecasts([whole, legal, none], budget_states(now=midnight), midnight)
    assert [found[one.pk].spent for one in (whole, legal, none)] == [Decimal(52), Decimal(2), Decimal(0)]


# -- days ------------------------------------------------------------------------------------------------------------


def usual(day: date, values: list[str]) -> dict[date, Decimal]:
    """Values of the days before, the last one first."""
    return {day - timedelta(days=number): Decimal(value) for number, value in enumerate(values, 1)}


@pytest.mark.parametrize(
    ("values", "most"),
    [
        (["10"] * 13, None),  # two weeks are not over
        (["10"] * 28, "20"),  # twice the same weekday
        (["0"] * 28, "1"),  # at least a dollar
        (["10", "30"] * 14, "71.890289"),  # far from the median where days differ: 20 + 3.5 * 10 / 0.6745
        (["10"] * 6 + ["100"] + ["10"] * 21, "200"),  # a large Monday is usual on Mondays
    ],
)
def test_what_is_usual_is_that_of_four_weeks(values: list[str], most: str | None) -> None:
    found = watch.usual_most(usual(MONDAY, values), MONDAY, Decimal(1))
    assert (found if found is None else f"{found.quantize(Decimal('0.000001')).normalize():f}") == most


def test_a_day_of_unusual_spending_is_told_once_for_tenant_and_department(acme: House) -> None:
    for number in range(1, 21):
        charge(acme, NOON - timedelta(days=number), "10", department_id=acme.legal)
        charge(acme, NOON - timedelta(days=number), "5", department_id=acme.sales)
    charge(acme, NOON, "5", department_id=acme.sales)
    assert watch.watch_days(acme.tenant, NOON) == []
    charge(acme, NOON, "60", department_id=acme.legal)
    found = {notice.subject: notice.figures for notice in watch.watch_days(acme.tenant, NOON)}
    assert set(found) == {None, acme.legal}
    assert (found[None]["value"], found[None]["usual_most"]) == ("65.00", "30.00")
    assert (found[acme.legal]["value"], found[acme.legal]["usual_most"]) == ("60.00", "20.00")
    assert watch.watch_days(acme.tenant, NOON) == []
    assert len(told(acme, "usage.alert")) == 2


def test_a_day_of_unusual_refusals_is_told(acme: House) -> None:
    acme.servers.ask("update tenants_tenant set created_at = now() - interval '60 days' where id = %s", acme.tenant)
    with scope(acme.tenant):
        for _ in range(20):
            record("call.refused", decision="deny", reason="pii_blocked")
    assert watch.watch_days(acme.tenant, datetime.now(UTC)) == []
    with scope(acme.tenant):
        record("call.refused", decision="deny", reason="pii_blocked")
    [notice] = watch.watch_days(acme.tenant, datetime.now(UTC))
    assert (notice.kind, notice.figures["value"], notice.figures["usual_most"]) == ("unusual_refusals", "21", "20")
    with scope(acme.tenant):
        assert RefusalDay.objects.count() >= 28  # counted once, kept


def test_a_new_tenant_has_no_usual_day(acme: House) -> None:
    with scope(acme.tenant):
        for _ in range(50):
            record("call.refused", decision="deny", reason="pii_blocked")
    assert watch.watch_days(acme.tenant, datetime.now(UTC)) == []
