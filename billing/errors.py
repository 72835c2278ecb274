"""What can go wrong with money.

BillingError
 ├── BudgetExhausted      a budget has no room for the worst case of a call
 ├── LedgerUnavailable    the database cannot be asked (never an answer about a budget)
 ├── UnknownGroup         usage cannot be grouped by that word
 ├── PriceRefused         a price that cannot be kept exactly, or makes no sense
 ├── ReportTooLarge       a report that its format cannot hold
 ├── InvoiceUnreadable    a vendor's file that is not what it was said to be
 ├── NoExchangeRate       a statement in a currency of which no rate is known
 ├── RequestRefused       more budget cannot be asked for, or given, like this
 └── NoMailServer         mail is wanted and there is no server for it
"""

from __future__ import annotations

from datetime import datetime
from typing import TYPE_CHECKING

if TYPE_CHECKING:
    from .data import BudgetView


class BillingError(Exception):
    """Something about money."""

    def __init__(self, message: str | None = None) -> None:
        super().__init__(message or self.__doc__)


class BudgetExhausted(BillingError):
    """The budget is used up."""

    def __init__(self, budget: BudgetView, renews_at: datetime | None) -> None:
        self.budget, self.renews_at = budget, renews_at
        when = f"It renews at {renews_at:%Y-%m-%dT%H:%M:%SZ}." if renews_at else "It does not renew by itself."
        super().__init__(f"{budget.title} has no room for this call. {when}")


class LedgerUnavailable(BillingError):
    """Budgets cannot be checked at the moment. Try again shortly."""


class UnknownGroup(BillingError):
    """Usage is grouped by department, user, key, model, deployment, collection or day."""


class PriceRefused(BillingError):
    """A price is a decimal of at most six places per million tokens, and not negative."""


class ReportTooLarge(BillingError):
    """The report has more rows than its format holds."""


class NoMailServer(BillingError):
    """No mail server is set: the platform's operator sets CUSTOMHOUSE_SMTP_URL."""


class InvoiceUnreadable(BillingError):
    """The file is not an export of this vendor."""


class NoExchangeRate(BillingError):
    """There is no exchange rate."""


class RequestRefused(BillingError):
    """More budget cannot be asked for, or given, like this."""
