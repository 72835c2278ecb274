"""The overview: is all well, and what happened today? Every number leads to the list behind it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any
from urllib.parse import quote
from uuid import UUID

from django.db import connection
from django.db.models import Exists
from django.http import HttpRequest
from django.urls import reverse
from django.utils import timezone

from audit import health
from audit.services import first_id
from billing.models import Usage
from billing.services import usage
from gateway.models import Provider
from policies.models import Policy, PolicyState
from retrieval.models import Document
from tenants.console import cells
from tenants.console.member import Member, callers_seen, visible_keys
from tenants.console.periods import days_back
from tenants.isolation import current
from tenants.models import ApiKey, Department, Tenant
from tenants.roles import Role

_EVENTS = (Path(__file__).parent / "sql" / "events_by_slot.sql").read_text()


@dataclass(frozen=True, slots=True)
class Period:
    """What the page looks back on: so many slots (hours or days, UTC), the current one among them."""

    name: str
    title: str
    slot: str
    slots: int

    @property
    def step(self) -> timedelta:
        return timedelta(hours=1) if self.slot == "hour" else timedelta(days=1)

    def begin(self) -> datetime:
        """When the first slot begins."""
        now = timezone.now().astimezone(UTC)
        last = now.replace(minute=0, second=0, microsecond=0) if self.slot == "hour" else days_back(1)
        return last - (self.slots - 1) * self.step

    def named(self, begins: datetime) -> str:
        """A slot in words."""
        return f"{begins:%a %H:%M}" if self.slot == "hour" else f"{begins:%a %d %b}"


PERIODS = {
    period.name: period
    for period in (
        Period("24h", "24 hours", "hour", 24),
        Period("7d", "7 days", "day", 7),
        Period("30d", "30 days", "day", 30),
    )
}
USUAL = "7d"
#: Whoever may do the first steps of a new tenant.
STEPS_RIGHT = "departments.change"


@dataclass(frozen=True, slots=True)
class Slot:
    """One hour's or day's calls (UTC); cost in US dollars."""

    begins: datetime
    calls: int = 0
    cost: Decimal = Decimal(0)
    entities: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of today (or this hour) and of the period, with the list behind it and its course (0 to 100)."""

    title: str
    right: str
    today: str
    whole: str
    link_today: str
    link_whole: str
    course: list[tuple[str, int]]


@dataclass(frozen=True, slots=True)
class Step:
    """A thing to do first; `done` ticks itself off."""

    title: str
    text: str
    link: str
    done: bool


def figures(site: Any, request: HttpRequest, member: Member) -> dict[str, Any]:
    """What the page shows to this person."""
    period = PERIODS.get(request.GET.get("period", ""), PERIODS[USUAL])
    actors = callers_seen(member)
    slots = slots_of(period, actors, {} if member.may("usage.all") else {"keys": _keys(member)})
    return {
        "period": period,
        "periods": list(PERIODS.values()),
        "figures": [figure for figure in _figures(period, slots) if member.may(figure.right)],
        "latency": _latency(actors, period) if member.may("events.view") else None,
        "health": _health(actors) if member.may("routes.view") and member.may("events.view") else None,
        "budgets": site.page("billing.budget").bars(request) if member.may("budgets.view") else None,
        "steps": first_steps() if member.may(STEPS_RIGHT) else [],
    }


def _keys(member: Member) -> list[UUID]:
    return list(visible_keys(member).values_list("id", flat=True))


def slots_of(period: Period, actors: list[str] | None, whose: Mapping[str, Any]) -> list[Slot]:
    """The period's slots, oldest first, those without calls included.

    `actors` are those whose calls count (None: all), `whose` is what of the ledger does, as `billing.services.usage`
    takes it.
    """
    since = period.begin()
    seen = _events(actors, period, since)
    spent = _usage(whose, since) if period.slot == "day" else {}
    found = []
    for number in range(period.slots):
        begins = since + number * period.step
        calls, cost, refused, entities = seen.get(begins, (0, Decimal(0), 0, 0))
        if period.slot == "day":  # by the ledger, whose roll-ups are exact for whole days
            calls, cost = spent.get(begins.date(), (0, Decimal(0)))
        found.append(Slot(begins, calls, cost, entities, refused))
    return found


def _usage(whose: Mapping[str, Any], since: datetime) -> dict[date, tuple[int, Decimal]]:
    rows = usage(("day",), since, **whose)["results"]
    return {date.fromisoformat(row["day"]): (row["calls"], Decimal(row["cost"])) for row in rows}


def _events(actors: list[str] | None, period: Period, since: datetime) -> dict[datetime, tuple[int, Decimal, int, int]]:
    asked: dict[str, Any] = {
        "slot": period.slot,
        "first": first_id(since),
        "since": since,
        "actors": actors,
    }
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS, asked)
        return {row[0]: (row[1], row[2], row[3], row[4]) for row in cursor.fetchall()}


def _latency(actors: list[str] | None, period: Period) -> str:
    """Within which time 95 of 100 calls were answered, in words; '' without calls."""
    found = health.latency(period.begin(), actors)
    return "" if found is None else _duration(found)


def _duration(milliseconds: float) -> str:
    return f"{milliseconds:,.0f} ms" if milliseconds < 1000 else f"{milliseconds / 1000:,.1f} s"


def _health(actors: list[str] | None) -> list[dict[str, Any]]:
    """How the providers' deployments did lately; those that fail first."""
    link = reverse("admin:audit_event_changelist") + "?area=calls&q="
    return [
        {
            "name": one.deployment,
            "link": link + quote(one.deployment),
            "failing": one.failing,
            "answered": one.answered,
            "failed": one.failed,
            "slow": "" if one.slow_ms is None else _duration(one.slow_ms),
            "error": one.reason,
        }
        for one in sorted(health.deployments(timezone.now() - health.LATELY, actors), key=lambda one: not one.failing)
    ]


def _figures(period: Period, slots: list[Slot]) -> list[Figure]:
    usage, events = reverse("admin:billing_usage_changelist"), reverse("admin:audit_event_changelist")
    return [
        _figure("Calls", "events.view", period, slots, "calls", f"{events}?area=calls"),
        _figure("Cost", "usage.view", period, slots, "cost", f"{usage}?group_by=department"),
        _figure(
            "Personal data masked", "events.view", period, slots, "entities", f"{events}?area=calls&found=entities"
        ),
        _figure("Refused", "events.view", period, slots, "refused", f"{events}?area=calls&decision=deny"),
    ]


def _figure(title: str, right: str, period: Period, slots: list[Slot], name: str, link: str) -> Figure:
    values = [getattr(slot, name) for slot in slots]
    top = max(values) or 1
    return Figure(
        title,
        right,
        _shown(values[-1]),
        _shown(sum(values, start=type(values[0])(0))),
        f"{link}&since={slots[-1].begins.date()}",
        f"{link}&since={slots[0].begins.date()}",
        [
            (f"{period.named(slot.begins)}: {_shown(value)}", int(value * 100 / top))
            for slot, value in zip(slots, values, strict=True)
        ],
    )


def _shown(value: int | Decimal) -> str:
    return cells.dollars(value) if isinstance(value, Decimal) else f"{value:,}"


def first_steps() -> list[Step]:
    """The checklist of a new tenant, empty when all of it is done."""
    done = Tenant.objects.values(
        provider=Exists(Provider.objects.all()),
        department=Exists(Department.objects.all()),
        key=Exists(ApiKey.objects.filter(revoked_at=None).exclude(role=Role.OWNER)),
        policy=Exists(Policy.objects.filter(state=PolicyState.ACTIVE)),
        document=Exists(Document.objects.all()),
        call=Exists(Usage.objects.all()),
    ).get(pk=current())
    steps = [
        _step("A provider", "Where models are called.", "gateway_provider_changelist", done["provider"]),
        _step("A department", "Who pays for calls.", "tenants_department_changelist", done["department"]),
        _step("An API key", "What an application signs in with.", "tenants_apikey_changelist", done["key"]),
        _step("A policy in force", "What must not leave.", "policies_policy_changelist", done["policy"]),
        _step("A first document", "What answers are grounded in.", "retrieval_document_changelist", done["document"]),
        _step("A first call", "Use the key with any OpenAI SDK.", "billing_usage_changelist", done["call"]),
    ]
    return [] if all(step.done for step in steps) else steps


def _step(title: str, text: str, page: str, done: bool) -> Step:
    return Step(title, text, reverse(f"admin:{page}"), done)
