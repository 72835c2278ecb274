"""The overview: is all well, and what happened today? Every number leads to the list behind it."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import date, datetime, timedelta
from decimal import Decimal
from pathlib import Path
from typing import Any

from django.db import connection
from django.http import HttpRequest
from django.urls import reverse

from audit.services import first_id
from billing.models import Usage
from billing.services import usage
from gateway.models import Provider
from policies.models import Policy, PolicyState
from retrieval.models import Document
from tenants.console import cells
from tenants.console.member import Member, visible_keys
from tenants.console.periods import days_back, today
from tenants.models import ApiKey, Department
from tenants.roles import Role

_EVENTS_BY_DAY = (Path(__file__).parent / "sql" / "events_by_day.sql").read_text()

DAYS = 7


@dataclass(frozen=True, slots=True)
class Day:
    """One day's calls (UTC); cost in US dollars."""

    day: date
    calls: int = 0
    cost: Decimal = Decimal(0)
    entities: int = 0
    refused: int = 0


@dataclass(frozen=True, slots=True)
class Figure:
    """A number of today and of the week, with the list behind it and its course over the days (0 to 100)."""

    title: str
    right: str
    today: str
    week: str
    link_today: str
    link_week: str
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
    days = _days(member)
    return {
        "figures": [figure for figure in _figures(days) if member.may(figure.right)],
        "budgets": site.page("billing.budget").bars(request) if member.may("budgets.view") else None,
        "steps": _steps() if member.may("departments.change") else [],
        "first_day": days[0].day,
    }


def _days(member: Member) -> list[Day]:
    """Today and the days before it, oldest first, days without calls included."""
    since = days_back(DAYS)
    spent, seen = _usage(member, since), _events(member, since)
    found = []
    for number in range(DAYS):
        day = today() - timedelta(days=DAYS - 1 - number)
        calls, cost = spent.get(day, (0, Decimal(0)))
        refused, entities = seen.get(day, (0, 0))
        found.append(Day(day, calls, cost, entities, refused))
    return found


def _usage(member: Member, since: datetime) -> dict[date, tuple[int, Decimal]]:
    keys = None if member.may("usage.all") else list(visible_keys(member).values_list("id", flat=True))
    rows = usage(("day",), since, keys=keys)["results"]
    return {date.fromisoformat(row["day"]): (row["calls"], Decimal(row["cost"])) for row in rows}


def _events(member: Member, since: datetime) -> dict[date, tuple[int, int]]:
    actors = None
    if not member.may("events.all"):
        actors = [str(key) for key in visible_keys(member).values_list("id", flat=True)]
    with connection.cursor() as cursor:
        cursor.execute(_EVENTS_BY_DAY, {"first": first_id(since), "since": since, "actors": actors})
        return {day: (refused, entities) for day, refused, entities in cursor.fetchall()}


def _figures(days: list[Day]) -> list[Figure]:
    usage, events = reverse("admin:billing_usage_changelist"), reverse("admin:audit_event_changelist")
    return [
        _figure("Calls", "events.view", days, "calls", f"{events}?area=calls"),
        _figure("Cost", "usage.view", days, "cost", f"{usage}?group_by=department"),
        _figure("Personal data masked", "events.view", days, "entities", f"{events}?area=calls&found=entities"),
        _figure("Refused", "events.view", days, "refused", f"{events}?area=calls&decision=deny"),
    ]


def _figure(title: str, right: str, days: list[Day], name: str, link: str) -> Figure:
    values = [getattr(day, name) for day in days]
    top = max(values) or 1
    return Figure(
        title,
        right,
        _shown(values[-1]),
        _shown(sum(values, start=type(values[0])(0))),
        f"{link}&since={days[-1].day}",
        f"{link}&since={days[0].day}",
        [
            (f"{day.day:%a %d %b}: {_shown(value)}", int(value * 100 / top))
            for day, value in zip(days, values, strict=True)
        ],
    )


def _shown(value: int | Decimal) -> str:
    return cells.dollars(value) if isinstance(value, Decimal) else f"{value:,}"


def _steps() -> list[Step]:
    """The checklist of a new tenant, empty when all of it is done."""
    steps = [
        _step("A provider", "Where models are called.", "gateway_provider_changelist", Provider.objects.exists()),
        _step("A department", "Who pays for calls.", "tenants_department_changelist", Department.objects.exists()),
        _step("An API key", "What an application signs in with.", "tenants_apikey_changelist", _has_key()),
        _step("A policy in force", "What must not leave.", "policies_policy_changelist", _has_policy()),
        _step("A first document", "What answers are grounded in.", "retrieval_document_changelist", _has_document()),
        _step("A first call", "Use the key with any OpenAI SDK.", "billing_usage_changelist", Usage.objects.exists()),
    ]
    return [] if all(step.done for step in steps) else steps


def _step(title: str, text: str, page: str, done: bool) -> Step:
    return Step(title, text, reverse(f"admin:{page}"), done)


def _has_key() -> bool:
    return ApiKey.objects.filter(revoked_at=None).exclude(role=Role.OWNER).exists()


def _has_policy() -> bool:
    return Policy.objects.filter(state=PolicyState.ACTIVE).exists()


def _has_document() -> bool:
    return Document.objects.exists()
