"""Re-rating: ledger and corrections are what the tokens cost at the prices as they stand; twice changes nothing.

What a row costs is reckoned here a second time, in another way: with decimals per million, row by row, from the price
list itself.
"""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from audit.models import Event
from billing import rerating, rollups
from billing.models import Correction, Price, Rerating, Usage
from billing.services import usage
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tests.billing.house import House
from tests.billing.test_rollups import charge, differences

MARCH = datetime(2026, 3, 1, tzinfo=UTC)
APRIL = datetime(2026, 4, 1, tzinfo=UTC)
TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")


def price(house: House, deployment: UUID, kind: str, per_million: str, since: datetime = MARCH) -> None:
    with scope(house.tenant):
        Price.objects.create(deployment_id=deployment, kind=kind, per_million=Decimal(per_million), valid_from=since)


def by_hand(row: Usage, prices: list[Price]) -> Decimal | None:
    """What a row costs by the price list; None where none of its prices held yet."""
    held = [one for one in prices if one.deployment_id == row.deployment_id and one.valid_from <= row.time]
    if not held:
        return None

    def per_million(*kinds: str) -> Decimal:
        for kind in kinds:
            found = [one for one in held if one.kind == kind]
            if found:
                return max(found, key=lambda one: one.valid_from).per_million
        return Decimal(0)

    embedded = any(one.kind == "embedding" for one in held) and not row.output_tokens and not row.reasoning_tokens
    sums = [
        row.input_tokens * (per_million("embedding") if embedded else per_million("input")),
        row.cached_input_tokens * per_million("cached_input", "input"),
        row.cache_write_tokens * per_million("cache_write", "input"),
        row.output_tokens * per_million("output"),
        row.reasoning_tokens * per_million("reasoning", "output"),
    ]
    return sum(sums, Decimal(0)) / 1_000_000


def balance(house: House, row: UUID) -> Decimal:
    """What a row costs with its corrections."""
    added = sum((one.cost for one in Correction.objects.filter(usage_id=row)), Decimal(0))
    return Usage.objects.get(pk=row).cost + added


def apply(house: House, since: datetime = MARCH, until: datetime = APRIL) -> dict[str, Any]:
    """Dry run and corrections, as API and worker do it."""
    with scope(house.tenant):
        asked = rerating.ask(since, until, "Bill")
    rerating.make(house.tenant, asked.pk)
    with scope(house.tenant):
        asked.refresh_from_db()
        assert asked.state == "drafted", asked.error
        drafted = asked.figures
        assert rerating.wish(asked, "Olivia")
    rerating.make(house.tenant, asked.pk)
    with scope(house.tenant):
        asked.refresh_from_db()
        assert (asked.state, asked.figures) == ("applied", drafted)
        return asked.figures


amounts = st.integers(0, 10**7).map(lambda number: Decimal(number).scaleb(-6))
prices_ = st.lists(
    st.tuples(
        st.integers(0, 1),
        st.sampled_from(["input", "cached_input", "cache_write", "output", "reasoning", "embedding"]),
        amounts,
        st.integers(-2, 30),
    ),
    max_size=12,
    unique_by=lambda one: (one[0], one[1], one[3]),
)
calls = st.lists(
    st.tuples(
        st.integers(0, 1), st.integers(0, 30 * 24), st.lists(st.integers(0, 10**6), min_size=5, max_size=5), amounts
    ),
    max_size=8,
)


@settings(max_examples=25, deadline=None, suppress_health_check=[HealthCheck.function_scoped_fixture])
@given(prices=prices_, rows=calls)
def test_after_re_rating_the_ledger_is_tokens_times_price_and_again_changes_nothing(
    acme: House, prices: list[Any], rows: list[Any]
) -> None:
    deployments = (uuid7(), uuid7())
    for which, kind, amount, day in prices:
        price(acme, deployments[which], kind, str(amount), MARCH + timedelta(days=day))
    for which, hour, tokens, cost in rows:
        charge(
            acme,
            MARCH + timedelta(hours=hour, minutes=1),
            str(cost),
            deployment_id=deployments[which],
            deployment=f"v/{which}",
            **dict(zip(TOKENS, tokens, strict=True)),
        )
    apply(acme)
    with scope(acme.tenant):
        listed = list(Price.objects.filter(deployment_id__in=deployments))
        for row in Usage.objects.filter(deployment_id__in=deployments):
            due = by_hand(row, listed)
            assert balance(acme, row.pk) == (row.cost if due is None else due)
        before = (Correction.objects.count(), usage(["deployment"]))
    assert apply(acme)["total"] == {"rows": 0, "before": "0.00", "after": "0.00", "difference": "0.00"}
    with scope(acme.tenant):
        assert (Correction.objects.count(), usage(["deployment"])) == before
    assert differences(acme) == []


@pytest.fixture
def rated(acme: House) -> House:
    """Two calls at a price that turns out to be wrong, and one of another deployment that has none."""
    deployment = UUID(int=acme.tenant.int ^ 1)
    price(acme, deployment, "input", "2")
    for cost in ("0.000002", "0.000002"):
        charge(acme, MARCH + timedelta(days=3), cost, deployment_id=deployment, deployment="v/m", input_tokens=1)
    charge(acme, MARCH + timedelta(days=3), "7", deployment_id=uuid7(), deployment="v/free", input_tokens=1)
    return acme


def deployment_of(house: House) -> UUID:
    return UUID(int=house.tenant.int ^ 1)


def test_at_unchanged_prices_there_is_nothing_to_correct(rated: House) -> None:
    assert apply(rated)["total"]["rows"] == 0


def test_a_dry_run_says_what_would_differ_and_changes_nothing(rated: House) -> None:
    price(rated, deployment_of(rated), "input", "1.5", MARCH + timedelta(days=2))
    with scope(rated.tenant):
        before = usage(())
        found = rerating.differences(MARCH, APRIL)
        assert found["total"] == {"rows": 2, "before": "0.000004", "after": "0.000003", "difference": "-0.000001"}
        assert [line["deployment"] for line in found["deployments"]] == ["v/m"]
        assert (usage(()), Correction.objects.count()) == (before, 0)


def test_corrections_stand_beside_the_ledger_and_reports_hold_both(rated: House) -> None:
    price(rated, deployment_of(rated), "input", "1.5", MARCH + timedelta(days=2))
    with scope(rated.tenant):
        ledger = list(Usage.objects.order_by("id").values())
    apply(rated)
    with scope(rated.tenant):
        assert list(Usage.objects.order_by("id").values()) == ledger
        assert usage(["day"])["results"][0]["cost"] == "7.000003"
        within = usage(["day"], MARCH + timedelta(days=2, hours=5), MARCH + timedelta(days=3, hours=5))  # parts of days
        assert (within["total"]["cost"], within["total"]["calls"]) == ("7.000003", 3)
        told = Event.objects.filter(action="rerating.update").get()
        assert (told.detail["by"], told.detail["total"]["difference"]) == ("Olivia", "-0.000001")
        rollups.rebuild()
        assert usage(["day"])["results"][0]["cost"] == "7.000003"
    assert differences(rated) == []


def test_a_price_that_is_put_right_again_is_corrected_back(rated: House) -> None:
    price(rated, deployment_of(rated), "input", "9", MARCH + timedelta(days=1))
    assert apply(rated)["total"]["difference"] == "0.000014"
    price(rated, deployment_of(rated), "input", "2", MARCH + timedelta(days=2))
    assert apply(rated)["total"]["difference"] == "-0.000014"
    with scope(rated.tenant):
        assert usage(())["total"]["cost"] == "7.000004"


def test_two_workers_at_once_correct_once(rated: House) -> None:
    price(rated, deployment_of(rated), "input", "3", MARCH + timedelta(days=1))
    with scope(rated.tenant):
        asked = [rerating.ask(MARCH, APRIL, "Bill") for _ in range(4)]
        Rerating.objects.update(state="applying")

    def work(row: UUID) -> None:
        rerating.make(rated.tenant, row)
        connections.close_all()

    workers = [threading.Thread(target=work, args=[one.pk]) for one in asked]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    with scope(rated.tenant):
        assert usage(())["total"]["cost"] == "7.000006"
        assert Correction.objects.count() == 2


def test_what_the_sweeper_charged_as_reserved_stays(acme: House) -> None:
    deployment = uuid7()
    price(acme, deployment, "input", "2")
    charge(acme, MARCH + timedelta(days=3), "5", deployment_id=deployment, input_tokens=1, estimated=True)
    with scope(acme.tenant):
        row = Usage.objects.get()
        detail = {"settled_by": "sweeper"}
        Event.objects.create(id=row.pk, action="call.outcome", actor_type="key", request_id=uuid7(), detail=detail)
    assert apply(acme)["total"]["rows"] == 0


def test_where_the_platform_prices_a_deployment_a_tenants_price_does_not_count(acme: House) -> None:
    deployment = uuid7()
    with scope(PLATFORM):
        Price.objects.create(deployment_id=deployment, kind="input", per_million=Decimal(4), valid_from=MARCH)
    price(acme, deployment, "input", "0.000001")
    charge(acme, MARCH + timedelta(days=3), "1", deployment_id=deployment, deployment="v/m", input_tokens=1_000_000)
    assert apply(acme)["total"]["after"] == "4.00"


def test_the_ledger_and_its_corrections_cannot_be_changed(rated: House) -> None:
    for table in ("billing_usage", "billing_correction"):
        with scope(rated.tenant), connection.cursor() as cursor:
            cursor.execute("select has_table_privilege(current_user, %s, 'update, delete')", [table])
            assert cursor.fetchone() == (False,)


def test_another_tenants_ledger_is_not_rated(rated: House, globex: House) -> None:
    price(rated, deployment_of(rated), "input", "9", MARCH + timedelta(days=1))
    charge(globex, MARCH + timedelta(days=3), "1", deployment_id=deployment_of(rated), input_tokens=1)
    apply(rated)
    with scope(globex.tenant):
        assert usage(())["total"]["cost"] == "1.00"
        assert rerating.differences(MARCH, APRIL)["total"]["rows"] == 0
