"""Discounts and currencies: on statements alone, by day, exact; prices, ledger and budgets know nothing of them."""

from __future__ import annotations

import json
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import pytest

from billing import jobs
from billing.jobs import Wanted
from billing.models import Discount, ExchangeRate, Report
from billing.services import usage
from billing.terms import Terms
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tests.billing.house import House
from tests.billing.test_report_files import READERS
from tests.billing.test_rollups import charge

MARCH, APRIL = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
FIRST, OTHER = uuid7(), uuid7()


def discount(house: House, percent: str, since: date, **more: Any) -> None:
    with scope(PLATFORM):
        Discount.objects.create(shared_with=[house.tenant], percent=Decimal(percent), valid_from=since, **more)


def statement(house: House, format_: str = "json", **more: Any) -> Report:
    with scope(house.tenant):
        asked = jobs.ask(Wanted("statement", format_, MARCH, APRIL, **more), "Bill")
    jobs.make(house.tenant, asked.pk)
    with scope(house.tenant):
        asked.refresh_from_db()
        return asked


def told(house: House, **more: Any) -> dict[str, Any]:
    report = statement(house, **more)
    assert report.state == "succeeded", report.error
    with scope(house.tenant):
        return json.loads(jobs.contents(report))  # type: ignore[no-any-return]


@pytest.fixture
def spending(acme: House) -> House:
    """A dollar a day for ten days, at each of two deployments."""
    for number in range(10):
        for deployment, name in ((FIRST, "v/first"), (OTHER, "v/other")):
            charge(acme, MARCH + timedelta(days=number), "1", deployment_id=deployment, deployment=name)
    return acme


def test_a_discount_is_taken_off_in_its_days(spending: House) -> None:
    discount(spending, "10", date(2026, 3, 3), valid_until=date(2026, 3, 8))
    total = told(spending)["total"]
    assert (total["cost"], total["discount"], total["net"]) == ("20.00", "1.00", "19.00")


def test_a_deployments_own_discount_comes_first_and_a_later_one_takes_its_place(spending: House) -> None:
    discount(spending, "10", date(2026, 1, 1))
    discount(spending, "50", date(2026, 3, 1), deployment_id=FIRST)
    discount(spending, "20", date(2026, 3, 6))
    rows = {row["deployment"]: row["discount"] for row in told(spending)["tables"][0]["rows"]}
    assert rows == {"v/first": "5.00", "v/other": "1.50"}


def test_all_formats_hold_what_is_charged(spending: House) -> None:
    discount(spending, "33.333", date(2026, 3, 1))
    found = {}
    for name, read in READERS.items():
        report = statement(spending, name)
        with scope(spending.tenant):
            found[name] = read(jobs.contents(report))
    assert found == dict.fromkeys(READERS, (20, "20.00"))
    assert told(spending)["total"]["net"] == "13.3334"


def test_prices_and_usage_know_no_discount_and_others_none_of_ours(spending: House, globex: House) -> None:
    discount(spending, "10", date(2026, 3, 1))
    charge(globex, MARCH, "1")
    with scope(spending.tenant):
        assert usage(())["total"]["cost"] == "20.00"
        Discount.objects.create(percent=Decimal(100), valid_from=date(2026, 3, 2))  # nobody gives oneself one
    assert told(spending)["total"]["net"] == "18.00"
    assert told(globex)["total"]["net"] == "1.00"


@pytest.mark.parametrize(("percent", "off"), [("12.5", "0.000000000002"), ("37.5", "0.000000000004")])
def test_half_of_a_pico_dollar_is_rounded_to_even(percent: str, off: str) -> None:
    terms = Terms([Discount(percent=Decimal(percent), valid_from=date(2026, 1, 1))], None)
    cost = Decimal("0.00000000002") if percent == "12.5" else Decimal("0.000000000012")
    assert terms.off(str(UUID(int=1)), date(2026, 3, 1), cost) == Decimal(off)


def test_another_currency_is_told_at_the_rate_of_the_last_day(spending: House) -> None:
    currency = "X" + chr(65 + spending.tenant.int % 26) + chr(65 + spending.tenant.int // 26 % 26)
    with scope(PLATFORM):
        for rate, since in (("0.9", date(2026, 1, 1)), ("0.92", date(2026, 3, 31)), ("5", date(2026, 4, 1))):
            ExchangeRate.objects.get_or_create(currency=currency, valid_from=since, defaults={"per_usd": Decimal(rate)})
    content = told(spending, currency=currency)
    assert content["total"]["in_currency"] == "18.40"
    assert content["facts"][f"In {currency}"] == "18.40 (0.920000000 a US dollar)"


def test_a_currency_without_a_rate_fails_and_says_what_to_do(spending: House) -> None:
    report = statement(spending, currency="ZZZ")
    assert (report.state, "operator adds it" in report.error) == ("failed", True)
