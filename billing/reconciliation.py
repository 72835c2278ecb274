"""A vendor's figures against the ledger, by day, model and key, and why they differ.

equal        nothing differs (by more than the tolerance of costs)
price        the same tokens, another amount
estimated    the vendor sent no usage for some attempts: the ledger counted by tokenizer
aborted      calls were cut off: the ledger charges what was delivered, the vendor what it made
retried      attempts failed and were followed by another: the vendor may have counted what never arrived
unmatched    only one side knows of it
unexplained  none of these
"""

from __future__ import annotations

import csv
import logging
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.services import first_id, record
from tenants.isolation import scope

from .invoices import TOKENS, Cell, Told, bare, read
from .jobs import DEAD_AFTER, LOST_AFTER
from .models import Reconciliation, ReportState
from .prices import money_string

log = logging.getLogger("customhouse.reconciliation")

_LEDGER = (Path(__file__).parent / "sql" / "ledger_by_vendor.sql").read_text()

CLASSES = ("equal", "price", "estimated", "aborted", "retried", "unmatched", "unexplained")
CAUSES = ("estimated", "aborted", "retried")
FIGURES = ("requests", *TOKENS, "cost")
#: vendors round each line of an invoice
TOLERANCE = Decimal("0.01")


@dataclass(slots=True)
class Ours:
    """The ledger's figures of one day, model and key, and how many attempts may explain a difference."""

    told: Told
    estimated: int = 0
    aborted: int = 0
    retried: int = 0


# -- asked for, and made ---------------------------------------------------------------------------------------------


def ask(
    text: str,
    vendor: str,
    *,
    file_name: str,
    made_by: str,
    mapping: Mapping[str, str] | None = None,
    keys: Mapping[str, str] | None = None,
    providers: Sequence[str] | None = None,
    tolerance: Decimal = TOLERANCE,
) -> Reconciliation:
    """Reads a vendor's file and writes down that it is to be compared, in the open scope. `keys` says which of our
    providers uses which of the vendor's keys: only then is compared by key. Raises InvoiceUnreadable.
    """
    told = read(text, vendor, mapping)
    days = [day for day, _, _ in told]
    rows = [
        [day.isoformat(), model, key, *(_kept(getattr(one, name)) for name in FIGURES)]
        for (day, model, key), one in sorted(told.items())
    ]
    made = Reconciliation.objects.create(
        vendor=vendor,
        file_name=file_name[:200],
        first_day=min(days),
        last_day=max(days),
        options={"keys": dict(keys or {}), "providers": None if providers is None else list(providers)},
        tolerance=tolerance,
        told=rows,
        made_by=made_by[:200],
    )
    detail = {"vendor": vendor, "file": file_name, "first_day": made.first_day, "last_day": made.last_day}
    record("reconciliation.create", object_type="reconciliation", object_id=str(made.pk), detail=detail)
    return made


def make(tenant: UUID, reconciliation: UUID) -> None:
    """Compares. What goes wrong leaves it failed."""
    with scope(tenant):
        claimed = Reconciliation.objects.filter(pk=reconciliation, state=ReportState.QUEUED)
        if not claimed.update(state=ReportState.RUNNING, changed_at=timezone.now()):
            return
    try:
        with scope(tenant):
            row = Reconciliation.objects.get(pk=reconciliation)
            lines = compare(row)
            Reconciliation.objects.filter(pk=row.pk).update(
                state=ReportState.SUCCEEDED, lines=lines, summary=summed(lines), changed_at=timezone.now()
            )
    except Exception as error:
        log.exception("reconciliation %s failed", reconciliation)
        with scope(tenant):
            Reconciliation.objects.filter(pk=reconciliation).update(
                state=ReportState.FAILED, error=type(error).__name__, changed_at=timezone.now()
            )


def lost(now: datetime | None = None) -> list[UUID]:
    """Those of the open tenant that are to be handed out again: the message was lost, or the worker died."""
    now = now or timezone.now()
    dead = Reconciliation.objects.filter(state=ReportState.RUNNING, changed_at__lt=now - DEAD_AFTER)
    dead.update(state=ReportState.QUEUED, changed_at=now)
    waiting = Reconciliation.objects.filter(state=ReportState.QUEUED, changed_at__lt=now - LOST_AFTER)
    return list(waiting.values_list("pk", flat=True)[:100])


# -- comparing -------------------------------------------------------------------------------------------------------


def compare(row: Reconciliation) -> list[dict[str, Any]]:
    """Every day, model and key that either side knows, in the open scope, the largest difference first."""
    keys: dict[str, str] = row.options["keys"]
    providers: list[str] | None = row.options["providers"] or (list(set(keys.values())) or None)
    theirs = _theirs(row, keys)
    ours = _ours(row.first_day, row.last_day, providers, by_key=bool(keys))
    theirs, ours = matched(theirs, ours)
    lines = [line(cell, theirs.get(cell), ours.get(cell), row.tolerance) for cell in theirs | ours]
    return sorted(lines, key=lambda one: (-abs(Decimal(one["difference"]["cost"] or 0)), one["day"], one["model"]))


def _theirs(row: Reconciliation, keys: Mapping[str, str]) -> dict[Cell, Told]:
    found: dict[Cell, Told] = {}
    for day, model, key, *figures in row.told:
        values = dict(zip(FIGURES, figures, strict=True))
        cost = values.pop("cost")
        told = Told(**values, cost=None if cost is None else Decimal(cost))
        # a key that nobody named stays as it is, so that it shows up as unmatched
        whose = keys.get(key, key) if keys else ""
        found.setdefault((date.fromisoformat(day), model, whose), Told()).add(told)
    return found


def _ours(first: date, last: date, providers: list[str] | None, *, by_key: bool) -> dict[Cell, Ours]:
    since = datetime.combine(first, time.min, tzinfo=UTC)
    until = datetime.combine(last + timedelta(days=1), time.min, tzinfo=UTC)
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
        "providers": providers,
    }
    found: dict[Cell, Ours] = {}
    with connection.cursor() as cursor:
        cursor.execute(_LEDGER, asked)
        names = [column.name for column in cursor.description or ()]
        for values in cursor.fetchall():
            row = dict(zip(names, values, strict=True))
            cell = (row["day"], row["model"], row["provider"] if by_key else "")
            ours = found.setdefault(cell, Ours(Told()))
            told = Told(cost=row["cost"])
            for name in FIGURES[:-1]:
                setattr(told, name, int(row[name]))
            ours.told.add(told)
            for cause in CAUSES:
                setattr(ours, cause, getattr(ours, cause) + row[cause])
    return found


def matched(theirs: dict[Cell, Told], ours: dict[Cell, Ours]) -> tuple[dict[Cell, Told], dict[Cell, Ours]]:
    """Both under one name for each model: their own where both use it, else without path and date."""
    exact = {model for _, model, _ in theirs} & {model for _, model, _ in ours}
    told: dict[Cell, Told] = {}
    for (day, model, key), one in theirs.items():
        told.setdefault((day, model if model in exact else bare(model), key), Told()).add(one)
    known: dict[Cell, Ours] = {}
    for (day, model, key), other in ours.items():
        kept = known.setdefault((day, model if model in exact else bare(model), key), Ours(Told()))
        kept.told.add(other.told)
        for cause in CAUSES:
            setattr(kept, cause, getattr(kept, cause) + getattr(other, cause))
    return told, known


def line(cell: Cell, theirs: Told | None, ours: Ours | None, tolerance: Decimal) -> dict[str, Any]:
    """One day, model and key as it is stored and shown; a difference is the vendor's figure less ours."""
    day, model, key = cell
    causes = {cause: getattr(ours, cause) for cause in CAUSES if ours is not None and getattr(ours, cause)}
    return {
        "day": day.isoformat(),
        "model": model,
        "key": key,
        "class": class_of(theirs, ours, tolerance),
        "causes": causes,
        "vendor": None if theirs is None else _shown(theirs),
        "ledger": None if ours is None else _shown(ours.told),
        "difference": _difference(theirs, None if ours is None else ours.told),
    }


def class_of(theirs: Told | None, ours: Ours | None, tolerance: Decimal) -> str:
    """Why a vendor's figures differ from ours, or that they do not."""
    if theirs is None or ours is None:
        return "unmatched"
    tokens = [name for name in TOKENS if getattr(theirs, name) is not None]
    same_tokens = all(getattr(theirs, name) == getattr(ours.told, name) for name in tokens)
    same_cost = theirs.cost is None or abs(theirs.cost - (ours.told.cost or 0)) <= tolerance
    if same_tokens and same_cost:
        return "equal"
    if tokens and same_tokens:
        return "price"
    cause = next((cause for cause in CAUSES if getattr(ours, cause)), None)
    return cause or ("unexplained" if tokens else "price")


def summed(lines: Iterable[Mapping[str, Any]]) -> dict[str, Any]:
    """Lines and costs by class, and in all."""
    found: dict[str, dict[str, Any]] = {}
    for one in lines:
        for name in (one["class"], "total"):
            kept = found.setdefault(name, {"lines": 0, "vendor": Decimal(0), "ledger": Decimal(0)})
            kept["lines"] += 1
            for side in ("vendor", "ledger"):
                kept[side] += Decimal((one[side] or {}).get("cost") or 0)
    return {
        name: {"lines": kept["lines"], "vendor_cost": _money(kept["vendor"]), "ledger_cost": _money(kept["ledger"])}
        for name, kept in found.items()
    }


def as_csv(row: Reconciliation) -> str:
    """All lines, for a spreadsheet."""
    page = StringIO()
    writer = csv.writer(page)
    sides = ("vendor", "ledger", "difference")
    writer.writerow(
        ["day", "model", "key", "class", *CAUSES, *(f"{side}_{name}" for side in sides for name in FIGURES)]
    )
    for one in row.lines or ():
        figures = [(one[side] or {}).get(name) for side in sides for name in FIGURES]
        causes = [one["causes"].get(cause, 0) for cause in CAUSES]
        writer.writerow([one["day"], *map(_word, (one["model"], one["key"])), one["class"], *causes, *figures])
    return page.getvalue()


def _word(text: str) -> str:
    """A word that no spreadsheet takes for a formula."""
    return "'" + text if text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _difference(theirs: Told | None, ours: Told | None) -> dict[str, Any]:
    """What is told, less ours; None where the vendor's file does not tell."""
    found: dict[str, Any] = {}
    for name in FIGURES:
        vendor = 0 if theirs is None else getattr(theirs, name)
        ledger = 0 if ours is None else getattr(ours, name) or 0
        found[name] = None if vendor is None else vendor - ledger
    return {name: _kept(value) for name, value in found.items()}


def _shown(told: Told) -> dict[str, Any]:
    return {name: _kept(getattr(told, name)) for name in FIGURES}


def _kept(value: Any) -> Any:
    return _money(value) if isinstance(value, Decimal) else value


def _money(amount: Decimal) -> str:
    """Exact; a vendor may tell more places than the ledger has."""
    return money_string(amount) if amount == amount.quantize(Decimal("1e-12")) else f"{amount:f}"
