"""How a budget's period is likely to end, from what its days cost before.

    a day still to come costs the mean of the same weekdays in the 28 days before today
    (less than a week of history: the mean of the days there were)
    forecast = spent + the rest of today, as a share of its day + the days to come until the period ends

What it runs out at is where the sum reaches the limit. It is an estimate to look at, never to charge by.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from .data import BudgetState, Forecast, window_of
from .models import Budget

_SPENT = (Path(__file__).parent / "sql" / "spent_by_day.sql").read_text()

HISTORY = 28
WEEK = 7
#: further than this nobody looks ahead
HORIZON = 366
_DAY = timedelta(days=1)
_PLACES = Decimal("0.000001")
Costs = Mapping[date, Decimal]


def forecasts(
    budgets: Iterable[Budget], states: Mapping[UUID, BudgetState], now: datetime | None = None
) -> dict[UUID, Forecast]:
    """Forecasts of budgets of the open tenant, by id."""
    found = list(budgets)
    now = now or datetime.now(UTC)
    history = _history({(budget.scope, budget.target) for budget in found}, now.date()) if found else {}
    return {
        budget.pk: _forecast(budget, states[budget.pk], history.get((budget.scope, budget.target), {}), now)
        for budget in found
    }


def expected(costs: Costs, today: date) -> list[Decimal]:
    """What a day of each weekday (from Monday) is likely to cost, by the days before `today`."""
    if not costs:
        return [Decimal(0)] * WEEK
    first = max(min(costs), today - timedelta(days=HISTORY))
    days = [first + timedelta(days=number) for number in range((today - first).days)]
    by_weekday: dict[int, list[Decimal]] = defaultdict(list)
    for day in days:
        by_weekday[day.weekday()].append(costs.get(day, Decimal(0)))
    if len(days) < WEEK:
        return [_mean([costs.get(day, Decimal(0)) for day in days])] * WEEK
    return [_mean(by_weekday[weekday]) for weekday in range(WEEK)]


def ahead(spent: Decimal, limit: Decimal, usual: list[Decimal], now: datetime, ends: datetime | None) -> Forecast:
    """The forecast itself: pure, so that it can be followed by hand."""
    at, sum_, runs_out = now, spent, now if spent >= limit else None
    until = ends or now + timedelta(days=HORIZON)
    while at < until and (runs_out is None or ends is not None):
        midnight = at.replace(hour=0, minute=0, second=0, microsecond=0)
        next_at = min(midnight + _DAY, until)
        share = Decimal((next_at - at) // timedelta(seconds=1)) / Decimal(86_400)
        cost = usual[at.weekday()] * share
        if runs_out is None and cost > 0 and sum_ + cost >= limit:
            runs_out = at + (next_at - at) * float((limit - sum_) / cost)
        at, sum_ = next_at, sum_ + cost
    return Forecast(sum_.quantize(_PLACES) if ends else None, runs_out)


def _forecast(budget: Budget, state: BudgetState, costs: Costs, now: datetime) -> Forecast:
    ends = window_of(budget.period, now).ends
    return ahead(state.spent, budget.limit, expected(costs, now.date()), now.astimezone(UTC), ends)


def _history(wanted: set[tuple[str, UUID | None]], today: date) -> dict[tuple[str, UUID | None], dict[date, Decimal]]:
    asked: dict[str, Any] = {
        "since": today - timedelta(days=HISTORY),
        "today": today,
        "scopes": [scope for scope, _ in wanted],
        "targets": [target for _, target in wanted],
    }
    found: dict[tuple[str, UUID | None], dict[date, Decimal]] = defaultdict(dict)
    with connection.cursor() as cursor:
        cursor.execute(_SPENT, asked)
        for scope, target, day, cost in cursor.fetchall():
            found[scope, target][day] = cost
    return found


def _mean(values: list[Decimal]) -> Decimal:
    return sum(values, Decimal(0)) / len(values) if values else Decimal(0)
