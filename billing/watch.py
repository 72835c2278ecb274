"""Who is told before money runs out: budgets past a threshold, budgets that refuse, days far from the usual.

Everything is told once: a row of Notice stands for it, made in the transaction that writes the event of the audit trail
(which webhooks are told of) and the mail to the tenant's billing managers and owners.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import UTC, date, datetime, time, timedelta
from decimal import Decimal
from pathlib import Path
from statistics import median
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction

from audit.services import Action, first_id, record
from tenants import references
from tenants.isolation import current, scope
from tenants.models import Membership, Tenant
from tenants.roles import Role

from . import mail
from .data import BudgetState, window_of
from .forecasts import forecasts
from .models import Budget, Notice, NoticeKind, RefusalDay
from .prices import money_string
from .reports import budget_states, usage

_SQL = Path(__file__).parent / "sql"
_REFUSED = (_SQL / "refused_by_budget.sql").read_text()
_REFUSED_ON = (_SQL / "refused_on_day.sql").read_text()

WATCHER: dict[str, str] = {"type": "system", "id": "", "name": "watch"}
#: how far back refusals are looked for: a watch comes every minute, and may have been away
REFUSALS_SEEN = timedelta(hours=1)
#: the usual is known after two weeks, and is that of four
HISTORY, KNOWN_AFTER = 28, 14
#: how many robust deviations from the median are far (Iglewicz and Hoaglin, How to Detect and Handle Outliers, 1993)
FAR = Decimal("3.5")
_TO_DEVIATIONS = Decimal("0.6745")
LEAST_SPENDING, LEAST_REFUSALS = Decimal(1), Decimal(20)
PERIODS = {"day": "today's", "month": "this month's", "total": "the"}


# -- budgets ---------------------------------------------------------------------------------------------------------


def watch_budgets(tenant: UUID, now: datetime | None = None) -> list[Notice]:
    """Tells of a tenant's budgets that passed a threshold or refused a call; returns what was told now."""
    now = now or datetime.now(UTC)
    with scope(tenant, actor=WATCHER):
        budgets = {budget.pk: budget for budget in Budget.objects.all()}
        if not budgets:
            return []
        states = budget_states(now=now)
        return [*_passed(budgets, states, now), *_refused(budgets, states, now)]


def _passed(budgets: Mapping[UUID, Budget], states: Mapping[UUID, BudgetState], now: datetime) -> list[Notice]:
    told = []
    for budget in budgets.values():
        state = states[budget.pk]
        due = sorted(share for share in budget.warn_at if budget.limit > 0 and state.spent >= share * budget.limit)
        fresh = [notice for share in due if (notice := _warn(budget, state, share, now))]
        if fresh:
            told += fresh
            _mail_budget(budget, state, f"{_percent(due[-1])} of {_name(budget)} is spent", now)
    return told


def _warn(budget: Budget, state: BudgetState, share: Decimal, now: datetime) -> Notice | None:
    figures = {**_figures(budget, state), "share": str(share)}
    notice = _once(NoticeKind.BUDGET_WARNING, budget.pk, window_of(budget.period, now).starts, figures, share)
    if notice is not None:
        record(Action.BUDGET_WARN, object_type="budget", object_id=str(budget.pk), detail=figures)
    return notice


def _refused(budgets: Mapping[UUID, Budget], states: Mapping[UUID, BudgetState], now: datetime) -> list[Notice]:
    told = []
    since = now - REFUSALS_SEEN
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED, {"since": since, "first": first_id(since)})
        found = {UUID(budget): (count, first) for budget, count, first in cursor.fetchall()}
    for budget_id, (count, first) in found.items():
        budget = budgets.get(budget_id)
        if budget is None or first < window_of(budget.period, now).starts:
            continue
        figures = {**_figures(budget, states[budget_id]), "refused": count, "first_at": first.isoformat()}
        starts = window_of(budget.period, now).starts
        notice = _once(NoticeKind.BUDGET_EXHAUSTED, budget_id, starts, figures)
        if notice is not None:
            record(
                Action.BUDGET_REFUSE, decision="deny", object_type="budget", object_id=str(budget_id), detail=figures
            )
            _mail_budget(budget, states[budget_id], f"Calls are refused: {_name(budget)} has no room", now)
            told.append(notice)
    return told


def _figures(budget: Budget, state: BudgetState) -> dict[str, Any]:
    return {
        "scope": budget.scope,
        "target": str(budget.target) if budget.target else None,
        "period": budget.period,
        "limit": money_string(budget.limit),
        "spent": money_string(state.spent),
        "reserved": money_string(state.reserved),
        "remaining": money_string(state.remaining),
    }


def _mail_budget(budget: Budget, state: BudgetState, subject: str, now: datetime) -> None:
    likely = forecasts([budget], {budget.pk: state}, now)[budget.pk]
    lines = [
        f"{subject}.",
        "",
        f"Limit: {money_string(budget.limit)} USD",
        f"Spent: {money_string(state.spent)} USD",
        f"Reserved by calls that run: {money_string(state.reserved)} USD",
        f"Remaining: {money_string(state.remaining)} USD",
    ]
    if likely.spent is not None:
        lines.append(f"Likely by the end of the period: {likely.spent:.2f} USD")
    if likely.runs_out_at is not None:
        lines.append(f"Likely to run out: {likely.runs_out_at:%Y-%m-%d %H:%M} UTC")
    _mail(subject, lines)


def _name(budget: Budget) -> str:
    """A budget as people call it, by what it limits."""
    which = f"{PERIODS[budget.period]} budget"
    if budget.target is None:
        return f"{which} of the whole tenant"
    named = references.names(budget.scope, [budget.target]).get(budget.target, str(budget.target))
    return f"{which} of the {budget.scope} {named}"


def _percent(share: Decimal) -> str:
    return f"{(share * 100).normalize():f} %"


# -- days far from the usual -----------------------------------------------------------------------------------------


def watch_days(tenant: UUID, now: datetime | None = None) -> list[Notice]:
    """Tells of today (as far as it went) and yesterday, where spending or refusals are far above the usual."""
    now = now or datetime.now(UTC)
    told: list[Notice] = []
    with scope(tenant, actor=WATCHER):
        for day in (now.date() - timedelta(days=1), now.date()):
            for department, costs in _spending(day).items():
                told += _unusual(NoticeKind.UNUSUAL_SPENDING, day, department, costs, LEAST_SPENDING)
            told += _unusual(NoticeKind.UNUSUAL_REFUSALS, day, None, _refusals(day, now.date()), LEAST_REFUSALS)
    return told


def usual_most(before: Mapping[date, Decimal], day: date, least: Decimal) -> Decimal | None:
    """What a day may reach before it is unusual; None while the usual is not known.

    More than twice the most of the same weekday in four weeks, more than FAR robust deviations above the median of all
    days, and `least` above it: a day has to be all three to be unusual.
    """
    first = min(before, default=day)
    days = [day - timedelta(days=number) for number in range(1, HISTORY + 1) if day - timedelta(days=number) >= first]
    if len(days) < KNOWN_AFTER:
        return None
    values = [before.get(one, Decimal(0)) for one in days]
    middle = median(values)
    spread = median(abs(value - middle) for value in values)
    same = max(before.get(day - timedelta(days=7 * weeks), Decimal(0)) for weeks in range(1, 5))
    return max(2 * same, middle + FAR * spread / _TO_DEVIATIONS, middle + least)


def _spending(day: date) -> dict[UUID | None, dict[date, Decimal]]:
    """Cost by day up to and with `day`, of the tenant (None) and of each department."""
    since = datetime.combine(day - timedelta(days=HISTORY), time.min, tzinfo=UTC)
    until = datetime.combine(day + timedelta(days=1), time.min, tzinfo=UTC)
    found: dict[UUID | None, dict[date, Decimal]] = {None: {}}
    for row in usage(["department", "day"], since, until)["results"]:
        at, cost = date.fromisoformat(row["day"]), Decimal(row["cost"])
        found[None][at] = found[None].get(at, Decimal(0)) + cost
        if row["department_id"]:
            found.setdefault(UUID(row["department_id"]), {})[at] = cost
    return found


def _refusals(day: date, today: date) -> dict[date, Decimal]:
    """Refused calls by day since the tenant is there; days that are over are counted once and kept."""
    kept = {row.day: Decimal(row.refused) for row in RefusalDay.objects.filter(day__gte=day - timedelta(days=HISTORY))}
    for number in range(HISTORY, 0, -1):
        one = day - timedelta(days=number)
        if one not in kept and one < today:
            kept[one] = Decimal(_refused_on(one))
            RefusalDay.objects.bulk_create([RefusalDay(day=one, refused=int(kept[one]))], ignore_conflicts=True)
    began = Tenant.objects.get(pk=current()).created_at.date()
    return {one: count for one, count in kept.items() if began <= one < day} | {day: Decimal(_refused_on(day))}


def _refused_on(day: date) -> int:
    since = datetime.combine(day, time.min, tzinfo=UTC)
    until = since + timedelta(days=1)
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
    }
    with connection.cursor() as cursor:
        cursor.execute(_REFUSED_ON, asked)
        return int(cursor.fetchone()[0])


def _unusual(
    kind: NoticeKind, day: date, department: UUID | None, values: Mapping[date, Decimal], least: Decimal
) -> Iterable[Notice]:
    value = values.get(day, Decimal(0))
    most = usual_most({at: one for at, one in values.items() if at < day}, day, least)
    if most is None or value <= most:
        return
    starts = datetime.combine(day, time.min, tzinfo=UTC)
    said = money_string if kind == NoticeKind.UNUSUAL_SPENDING else str
    figures = {
        "what": "spending" if kind == NoticeKind.UNUSUAL_SPENDING else "refusals",
        "day": day.isoformat(),
        "department": str(department) if department else None,
        "value": said(value),
        "usual_most": said(most.quantize(Decimal("0.000001"))) if said is money_string else str(int(most)),
    }
    notice = _once(kind, department, starts, figures)
    if notice is not None:
        record(Action.USAGE_ALERT, object_type="day", object_id=day.isoformat(), detail=figures)
        whose = references.names("department", [department]).get(department, "") if department else ""
        subject = f"Unusual {figures['what']} on {day}" + (f" in {whose}" if whose else "")
        _mail(subject, [f"{subject}: {figures['value']}, usually at most {figures['usual_most']}."])
        yield notice


# -- telling ---------------------------------------------------------------------------------------------------------


def _once(
    kind: NoticeKind, subject: UUID | None, starts: datetime, figures: Mapping[str, Any], share: Decimal | None = None
) -> Notice | None:
    """The notice, if nobody was told of the same before; two workers at once make one."""
    same = {"kind": kind, "subject": subject, "starts_at": starts, "share": share}
    if Notice.objects.filter(**same).exists():
        return None
    try:
        with transaction.atomic():
            return Notice.objects.create(**same, figures=dict(figures))
    except IntegrityError:
        return None


def _mail(subject: str, lines: Iterable[str]) -> None:
    tenant = Tenant.objects.get(pk=current())
    mail.write(recipients(), f"{tenant.name}: {subject}", "\n".join(lines) + "\n")


def recipients() -> list[str]:
    """Who is told by mail: the open tenant's billing managers and owners."""
    places = Membership.objects.filter(role__in=[Role.BILLING_MANAGER, Role.OWNER]).select_related("user")
    return sorted(place.user.email for place in places if place.user.is_active)
