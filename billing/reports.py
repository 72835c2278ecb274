"""What was spent: usage by group, and how budgets stand. Read in the open scope."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Sequence
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from audit.services import first_id
from tenants import references
from tenants.api.moments import EARLIEST, LATEST

from .data import BudgetState, Window, window_of
from .errors import UnknownGroup
from .models import Budget
from .prices import money_string

_SQL = Path(__file__).parent / "sql"
_USAGE = (_SQL / "usage.sql").read_text()
_STATES = (_SQL / "budget_states.sql").read_text()

GROUPS = ("department", "user", "key", "model", "deployment", "collection", "day")
TOKENS = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens", "reasoning_tokens")
_COUNTS = ("calls", *TOKENS, "estimated")


def usage(
    group_by: Sequence[str],
    since: datetime | None = None,
    until: datetime | None = None,
    *,
    departments: Collection[UUID] | None = None,
    users: Collection[UUID] | None = None,
    keys: Collection[UUID] | None = None,
    models: Collection[str] | None = None,
) -> dict[str, Any]:
    """Usage of the open tenant from `since` to before `until`, by any of GROUPS, narrowed to what is given.

    Answers `{"results": [{<group>, <group>_id, "calls", <tokens>, "cost", "estimated"}], "total": {…}}`; costs are
    exact decimal strings, `estimated` is the number of estimated calls. A call belongs to the collections that its
    passages came from: to one, to several together ("a, b"), or to none (""). `models` are ids, or names of models that
    have none. Raises UnknownGroup.
    """
    if not set(group_by) <= set(GROUPS):
        raise UnknownGroup
    asked: dict[str, Any] = {group: group in group_by for group in GROUPS}
    asked |= {"departments": _list(departments), "users": _list(users), "keys": _list(keys)}
    asked["models"] = None if models is None else list(models)
    rows = _rows(_USAGE, asked | parts_of(since, until))
    named = _named_collections(rows) if "collection" in group_by else {}
    for row in rows:
        row["collection"] = ", ".join(named.get(one, one) for one in (row["collection_id"] or "").split(","))
    return {"results": [_shown(row, group_by) for row in rows], "total": _total(rows)}


def parts_of(since: datetime | None, until: datetime | None) -> dict[str, Any]:
    """A period as `usage.sql` reads it: its whole days, and what is left of a day at either end."""
    first, last = since or EARLIEST, until or LATEST
    first_day, last_day = _midnight(first, up=True), _midnight(last)
    if first_day > last_day:  # within one day
        head, tail = (first, last), (last, last)
        last_day = first_day
    else:
        head, tail = (first, first_day), (last_day, last)
    return {
        "first_day": first_day.date(),
        "last_day": last_day.date(),
        **_edge("head", *head),
        **_edge("tail", *tail),
    }


def _edge(name: str, since: datetime, until: datetime) -> dict[str, Any]:
    """A part of a day; an empty one is null, so that the ledger is not looked into."""
    values = (since, until, first_id(since), first_id(until, after=True)) if since < until else (None,) * 4
    return {f"{name}_{part}": value for part, value in zip(("since", "until", "first", "last"), values, strict=True)}


def _midnight(moment: datetime, *, up: bool = False) -> datetime:
    """The beginning (UTC) of a moment's day; `up`: of the next one, unless it is one itself."""
    utc = moment.astimezone(UTC)
    day = utc.replace(hour=0, minute=0, second=0, microsecond=0)
    return day + timedelta(days=1) if up and utc > day else day


def _named_collections(rows: Iterable[dict[str, Any]]) -> dict[str, str]:
    ids = {one for row in rows for one in (row["collection_id"] or "").split(",") if one}
    return {str(one): name for one, name in references.names("collection", [UUID(one) for one in ids]).items()}


def budget_states(ids: Iterable[UUID] | None = None, now: datetime | None = None) -> dict[UUID, BudgetState]:
    """How budgets of the open tenant (those of `ids`, or all) stand in their present period."""
    found = Budget.objects.all() if ids is None else Budget.objects.filter(id__in=list(ids))
    budgets = {budget.id: budget for budget in found}
    moment = now or datetime.now(UTC)
    windows = {key: window_of(budget.period, moment) for key, budget in budgets.items()}
    asked = {"budgets": list(windows), "starts": [window.starts for window in windows.values()]}
    held = {row["budget_id"]: row for row in _rows(_STATES, asked)} if windows else {}
    return {key: _state(budget.limit, windows[key], held.get(key, {})) for key, budget in budgets.items()}


def _state(limit: Decimal, window: Window, held: dict[str, Any]) -> BudgetState:
    zero = Decimal(0)
    spent, reserved = held.get("spent", zero), held.get("reserved", zero)
    return BudgetState(
        spent=spent,
        reserved=reserved,
        remaining=max(limit - spent - reserved, zero),
        overrun=held.get("overrun", zero),
        renews_at=window.ends,
    )


def _shown(row: dict[str, Any], group_by: Sequence[str]) -> dict[str, Any]:
    shown: dict[str, Any] = {}
    for group in GROUPS:
        if group in group_by:
            shown[group] = row[group]
            if group != "day":
                shown[f"{group}_id"] = None if row[f"{group}_id"] is None else str(row[f"{group}_id"])
    return shown | {name: int(row[name]) for name in _COUNTS} | {"cost": money_string(row["cost"])}


def _total(rows: list[dict[str, Any]]) -> dict[str, Any]:
    total: dict[str, Any] = {name: sum(int(row[name]) for row in rows) for name in _COUNTS}
    return total | {"cost": money_string(sum((row["cost"] for row in rows), Decimal(0)))}


def _list(ids: Collection[UUID] | None) -> list[UUID] | None:
    return None if ids is None else list(ids)


def _rows(sql: str, parameters: dict[str, Any]) -> list[dict[str, Any]]:
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters)
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
