"""The door of billing: what money is reserved, charged, priced and reported with."""

from __future__ import annotations

from .budgets import Leases, load_budgets
from .data import Budgets, BudgetState, BudgetView, Charge, Forecast, Reservation, Swept
from .forecasts import forecasts
from .ledger import OUTCOMES
from .pricelist import PRICE_KINDS, price_rows, set_price
from .prices import (
    Prices,
    cost,
    dearest,
    decimal,
    import_prices,
    is_priced,
    load_prices,
    money_string,
    per_token,
    pico,
    prices_at,
    rate,
    usd,
)
from .reports import budget_states, usage
from .sweeper import sweep

__all__ = [
    "OUTCOMES",
    "PRICE_KINDS",
    "BudgetState",
    "BudgetView",
    "Budgets",
    "Charge",
    "Forecast",
    "Leases",
    "Prices",
    "Reservation",
    "Swept",
    "budget_states",
    "cost",
    "dearest",
    "decimal",
    "forecasts",
    "import_prices",
    "is_priced",
    "load_budgets",
    "load_prices",
    "money_string",
    "per_token",
    "pico",
    "price_rows",
    "prices_at",
    "rate",
    "set_price",
    "sweep",
    "usage",
    "usd",
]
