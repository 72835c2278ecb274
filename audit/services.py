"""The door of audit: what others write events with, and how events are searched."""

from __future__ import annotations

import json
from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.db.models import Q, QuerySet

from tenants.isolation.scope import current
from tenants.models import Department
from tenants.roles import Role

from .actions import Action, known, sentence
from .bodies import BODIES, body_row
from .data import Finding
from .figures import compliance
from .models import Event
from .times import first_id

__all__ = [
    "AREAS",
    "BODIES",
    "EVENTS",
    "Action",
    "Page",
    "as_shown",
    "body_row",
    "compliance",
    "department_id",
    "findings",
    "first_id",
    "known",
    "narrowed",
    "record",
    "search",
    "sentence",
]

_SQL = Path(__file__).parent / "sql"
#: intents and refusals, for the journal: one parameter ($1), a JSON array of one tenant's rows
EVENTS = (_SQL / "events.sql").read_text()
_RECORD = (_SQL / "record.sql").read_text()

MOST = 1000


#: What the managers of an area see of the trail: actions that begin with these, besides what they did themselves.
AREAS: dict[str, tuple[str, ...]] = {
    Role.POLICY_MANAGER: ("policy.", "call.refused"),
    Role.BILLING_MANAGER: (
        "budget.",
        "price.",
        "usage.",
        "report.",
        "report_schedule.",
        "reconciliation.",
        "rerating.",
    ),
}


@dataclass(frozen=True, slots=True)
class Page:
    """Events as the outside sees them, newest first; `next` and `previous` are cursors, None at the ends."""

    results: list[dict[str, Any]]
    next: str | None
    previous: str | None


def findings(statement: str, since: datetime, until: datetime) -> list[Finding]:
    """What a comparison's statement finds between two times, in the open scope. It is given `since`, `until`, and the
    bounds of the ids that were made between them, `first` and `last`.
    """
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
    }
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return [Finding(*row) for row in cursor.fetchall()]


def record(
    action: Action | str,
    *,
    decision: str = "allow",
    reason: str = "",
    request_id: UUID | None = None,
    object_type: str = "",
    object_id: str = "",
    detail: Mapping[str, Any] | None = None,
) -> None:
    """Writes one event in the open scope and its transaction, signed by the scope's actor.

    For what no trigger sees: reading, revealing, signing in. The same action on the same object within one request is
    recorded once. Raises ValueError for an action outside the vocabulary.
    """
    if not known(str(action)):
        raise ValueError(f"The vocabulary of the audit trail has no action {action!r}.")
    with connection.cursor() as cursor:
        cursor.execute(
            _RECORD,
            {
                "action": str(action),
                "decision": decision,
                "reason": reason[:300],
                "request_id": request_id,
                "object_type": object_type,
                "object_id": object_id[:80],
                "detail": json.dumps(dict(detail or {}), default=str),
            },
        )


def search(
    *,
    request_id: UUID | None = None,
    actor: str | None = None,
    action: str | None = None,
    decision: str | None = None,
    department: UUID | str | None = None,
    since: datetime | None = None,
    until: datetime | None = None,
    actors: Collection[str] | None = None,
    areas: Sequence[str] = (),
    cursor: str | None = None,
    limit: int = 50,
) -> Page:
    """The open tenant's events, newest first.

    `actor` is a key's or user's id; `action` a whole action, or the beginning of some when it ends with a dot;
    `department` an id or slug; `until` is not included. `actors` (ids) and `areas` (beginnings of actions) narrow to
    what a role may see: an event is shown when either fits; None and () show all. `cursor` comes from a Page; one
    that means nothing is a ValueError.
    """
    events = narrowed(Event.objects.all(), actors, areas)
    events = _matching(events, request_id, actor, action, decision, department_id(department))
    if since is not None:
        events = events.filter(id__gte=first_id(since), time__gte=since)
    if until is not None:
        events = events.filter(id__lt=first_id(until, after=True), time__lt=until)
    return _page(events, cursor, max(1, min(limit, MOST)))


def as_shown(event: Event, departments: Mapping[UUID, str]) -> dict[str, Any]:
    """One event in the outside's shape; `departments`: id -> slug."""
    whose = event.department_id
    return {
        "id": str(event.id),
        "seq": event.seq,
        "time": _time(event.time),
        "actor": {"type": event.actor_type, "id": event.actor_id, "name": event.actor_name},
        "department": departments.get(whose, str(whose)) if whose else None,
        "department_id": str(whose) if whose else None,
        "action": event.action,
        "decision": event.decision,
        "reason": event.reason,
        "request_id": str(event.request_id) if event.request_id else None,
        "object": {"type": event.object_type, "id": event.object_id} if event.object_type else None,
        "policy": event.policy,
        "model": event.model,
        "deployment": event.deployment,
        "region": event.region,
        "entities": event.entities,
        "passages": event.passages,
        "tokens": event.tokens,
        "cost": None if event.cost is None else _money(event.cost),
        "latency_ms": event.latency_ms,
        "detail": event.detail,
    }


def narrowed(
    events: QuerySet[Event], actors: Collection[str] | None = None, areas: Sequence[str] = ()
) -> QuerySet[Event]:
    """The events that a role may see: of these actors, or in these areas; None and () leave all."""
    if actors is None and not areas:
        return events
    allowed = Q(actor_id__in=list(actors or ()))
    for area in areas:
        allowed |= Q(action__startswith=area)
    return events.filter(allowed)


def _matching(
    events: QuerySet[Event],
    request_id: UUID | None,
    actor: str | None,
    action: str | None,
    decision: str | None,
    department: UUID | None,
) -> QuerySet[Event]:
    wanted: dict[str, Any] = {
        "request_id": request_id,
        "actor_id": actor,
        "decision": decision,
        "department_id": department,
        "action__startswith" if action and action.endswith(".") else "action": action,
    }
    return events.filter(**{name: value for name, value in wanted.items() if value is not None})


def department_id(department: UUID | str | None) -> UUID | None:
    """A department's id from its id or slug; an unknown one is an id that no event has."""
    if department is None or isinstance(department, UUID):
        return department
    try:
        return UUID(department)
    except ValueError:
        found = Department.objects.filter(slug=department).values_list("id", flat=True).first()
        return found or UUID(int=0)


def _page(events: QuerySet[Event], cursor: str | None, limit: int) -> Page:
    """A cursor is `before:<id>` (older ones) or `after:<id>` (newer ones)."""
    way, _, place = (cursor or "").partition(":")
    if cursor and way not in ("before", "after"):
        raise ValueError("This cursor means nothing here.")
    if way == "after":
        newer = list(events.filter(id__gt=UUID(place)).order_by("id")[: limit + 1])
        shown, more_newer, more_older = newer[:limit][::-1], len(newer) > limit, True
    else:
        older = events.filter(id__lt=UUID(place)) if way else events
        found = list(older.order_by("-id")[: limit + 1])
        shown, more_newer, more_older = found[:limit], bool(way), len(found) > limit
    slugs = _slugs(shown)
    return Page(
        [as_shown(event, slugs) for event in shown],
        f"before:{shown[-1].id}" if shown and more_older else None,
        f"after:{shown[0].id}" if shown and more_newer else None,
    )


def _slugs(events: Sequence[Event]) -> dict[UUID, str]:
    wanted = {event.department_id for event in events if event.department_id}
    return dict(Department.objects.filter(id__in=wanted).values_list("id", "slug")) if wanted and current() else {}


def _money(amount: Decimal) -> str:
    whole, _, places = f"{amount:f}".partition(".")
    return f"{whole}.{places.rstrip('0'):0<2}"


def _time(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z")
