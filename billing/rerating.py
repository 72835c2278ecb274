"""Re-rating: what the calls of a period cost at the prices as they stand now, and corrections where that differs.

A row of the ledger is never changed. A correction stands beside it, with what is to be added to (or taken from) its
cost; roll-ups and reports hold both. A dry run says what would differ, applying writes the corrections of that moment:
a second time there is nothing left to correct. Budgets are not touched: their periods paid what was charged then.
"""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.services import first_id, record
from tenants.isolation import scope

from .jobs import LOST_AFTER
from .models import Rerating, ReratingState
from .prices import ALL_PRICES, FALLBACK, money_string, per_token, rate

log = logging.getLogger("customhouse.rerating")

_SQL = Path(__file__).parent / "sql"
_RATED = (_SQL / "rated.sql").read_text()
#: what would differ, by deployment
_DIFFERENCES = (
    _RATED
    + """
select deployment, count(*), sum(charged), sum(due) from rated where due <> charged group by deployment order by 1
"""
)
_CORRECT = (
    _RATED
    + """
insert into billing_correction (
    tenant_id, id, usage_id, rerating_id, time, department_id, user_id, key_id, model_id, model, deployment_id,
    deployment, collections, cost
)
select wall.tenant(), uuidv7(), id, %(rerating)s, time, department_id, user_id, key_id, model_id, model, deployment_id,
       deployment, collections, due - charged
from rated where due <> charged
"""
)

_LOCK = "select pg_advisory_xact_lock(hashtextextended('billing.rerating ' || wall.tenant()::text, 0))"

KINDS = ("input", "cached_input", "cache_write", "output", "reasoning", "embedding")
LAST = datetime(9999, 12, 30, tzinfo=UTC)
#: deployment, from, to before, pico-dollars a token by kind
Interval = tuple[UUID, datetime, datetime, Mapping[str, int]]


# -- asked for, and made ---------------------------------------------------------------------------------------------


def ask(since: datetime, until: datetime, made_by: str) -> Rerating:
    """Writes down that a period is to be looked at, in the open scope."""
    made = Rerating.objects.create(since=since, until=until, made_by=made_by[:200])
    detail = {"from": since, "to": until}
    record("rerating.create", object_type="rerating", object_id=str(made.pk), detail=detail)
    return made


def wish(rerating: Rerating, applied_by: str) -> bool:
    """Says that a dry run is to be applied; False when it is none (any more)."""
    drafted = Rerating.objects.filter(pk=rerating.pk, state=ReratingState.DRAFTED)
    return bool(drafted.update(state=ReratingState.APPLYING, applied_by=applied_by[:200], changed_at=timezone.now()))


def make(tenant: UUID, rerating: UUID) -> None:
    """A worker's part: the dry run of what is queued, the corrections of what is to be applied."""
    try:
        with scope(tenant):
            row = Rerating.objects.select_for_update().get(pk=rerating)
            if row.state == ReratingState.QUEUED:
                _settle(row, ReratingState.DRAFTED, differences(row.since, row.until))
            elif row.state == ReratingState.APPLYING:
                found = apply(row)
                _settle(row, ReratingState.APPLIED, found)
    except Exception as error:
        log.exception("re-rating %s failed", rerating)
        with scope(tenant):
            Rerating.objects.filter(pk=rerating).update(
                state=ReratingState.FAILED, error=type(error).__name__, changed_at=timezone.now()
            )


def _settle(row: Rerating, state: ReratingState, figures: dict[str, Any]) -> None:
    Rerating.objects.filter(pk=row.pk).update(state=state, figures=figures, changed_at=timezone.now())
    if state == ReratingState.APPLIED:
        detail = {"total": figures["total"], "by": row.applied_by}
        record("rerating.update", object_type="rerating", object_id=str(row.pk), detail=detail)


def lost(now: datetime | None = None) -> list[UUID]:
    """Those of the open tenant that are to be handed out again: each transaction is done wholly or not at all."""
    waiting = Rerating.objects.filter(state__in=[ReratingState.QUEUED, ReratingState.APPLYING])
    old = waiting.filter(changed_at__lt=(now or timezone.now()) - LOST_AFTER)
    return list(old.values_list("pk", flat=True)[:100])


# -- rating ----------------------------------------------------------------------------------------------------------


def differences(since: datetime, until: datetime) -> dict[str, Any]:
    """What would differ, in the open scope: rows and costs before and after, by deployment and in all."""
    with connection.cursor() as cursor:
        cursor.execute(_DIFFERENCES, _asked(since, until))
        rows = cursor.fetchall()
    lines = [_line(rows_, before, after) | {"deployment": name} for name, rows_, before, after in rows]
    total = _line(
        sum(row[1] for row in rows),
        sum((row[2] for row in rows), Decimal(0)),
        sum((row[3] for row in rows), Decimal(0)),
    )
    return {"total": total, "deployments": lines}


def apply(row: Rerating) -> dict[str, Any]:
    """Writes the corrections of a period as it stands now, in the open scope; returns what was corrected.

    One at a time for each tenant: the second one sees what the first has corrected.
    """
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)
    found = differences(row.since, row.until)
    with connection.cursor() as cursor:
        cursor.execute(_CORRECT, {**_asked(row.since, row.until), "rerating": row.pk})
    return found


def intervals(rows: Iterable[tuple[UUID, str, Decimal, datetime]]) -> list[Interval]:
    """Prices as they held one after the other, from rows (deployment, kind, USD per million, valid from)."""
    changes: dict[UUID, dict[datetime, dict[str, int]]] = {}
    for deployment, kind, per_million, since in rows:
        changes.setdefault(deployment, {}).setdefault(since, {})[kind] = per_token(per_million)
    found: list[Interval] = []
    for deployment, steps in changes.items():
        holding: dict[str, int] = {}
        starts = sorted(steps)
        for start, end in zip(starts, [*starts[1:], LAST], strict=True):
            holding = {**holding, **steps[start]}
            found.append((deployment, start, end, holding))
    return found


def _asked(since: datetime, until: datetime) -> dict[str, Any]:
    with connection.cursor() as cursor:
        cursor.execute(ALL_PRICES)
        held = [one for one in intervals(cursor.fetchall()) if one[1] < until and one[2] > since]
    rates: dict[str, Any] = {kind: [rate(kind, prices) for *_, prices in held] for kind in KINDS}
    # an embedding costs what input costs, unless it has a price of its own
    rates["embedding"] = [prices.get("embedding") for *_, prices in held]
    assert FALLBACK["embedding"] == "input"
    return {
        **rates,
        "deployments": [one[0] for one in held],
        "starts": [one[1] for one in held],
        "ends": [one[2] for one in held],
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
    }


def _line(rows: int, before: Decimal, after: Decimal) -> dict[str, Any]:
    return {
        "rows": rows,
        "before": money_string(before),
        "after": money_string(after),
        "difference": money_string(after - before),
    }
