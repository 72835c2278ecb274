"""What statements know beside the ledger: discounts of the platform's contract with a tenant, and exchange rates.

Neither changes a price, the ledger or a budget. Both are dated rows that are added and never changed.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, date, timedelta
from decimal import ROUND_HALF_EVEN, Decimal

from tenants.isolation import PLATFORM

from .errors import NoExchangeRate
from .models import Discount, ExchangeRate, Report

PICO_PLACES, CURRENCY_PLACES = Decimal("1e-12"), Decimal("1e-6")


@dataclass(frozen=True, slots=True)
class Terms:
    """Discounts, those of one deployment and later ones first; and how much of the currency a dollar is."""

    discounts: Sequence[Discount]
    rate: Decimal | None

    def off(self, deployment: str | None, day: date, cost: Decimal) -> Decimal:
        """What is taken off a cost of a day, to the pico-dollar."""
        found = next((one for one in self.discounts if _holds(one, deployment, day)), None)
        part = Decimal(0) if found is None else found.percent / 100
        return (cost * part).quantize(PICO_PLACES, ROUND_HALF_EVEN)


def terms_of(report: Report) -> Terms:
    """The terms that hold in a report's period, in the open scope. Raises NoExchangeRate."""
    last = (report.until.astimezone(UTC) - timedelta(microseconds=1)).date()
    found = Discount.objects.filter(tenant=PLATFORM, valid_from__lte=last)
    discounts = sorted(found, key=lambda one: (one.deployment_id is None, -one.valid_from.toordinal(), -one.pk.int))
    return Terms(discounts, rate_of(report.currency, last) if report.currency else None)


def rate_of(currency: str, day: date) -> Decimal:
    """How much of a currency a US dollar is on a day. Raises NoExchangeRate."""
    held = ExchangeRate.objects.filter(tenant=PLATFORM, currency=currency, valid_from__lte=day)
    found = held.order_by("-valid_from").first()
    if found is None:
        raise NoExchangeRate(f"There is no exchange rate of {currency} on {day}: the platform's operator adds it.")
    return found.per_usd


def _holds(discount: Discount, deployment: str | None, day: date) -> bool:
    whose = discount.deployment_id is None or str(discount.deployment_id) == deployment
    return whose and discount.valid_from <= day and (discount.valid_until is None or day < discount.valid_until)
