"""What a compliance report needs of the trail, in figures."""

from __future__ import annotations

from dataclasses import dataclass
from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from .models import Event, Hold, Seal
from .times import first_id

_COMPLIANCE = (Path(__file__).parent / "sql" / "compliance.sql").read_text()
#: changes and holds that are listed one by one
MOST_LISTED = 500


@dataclass(frozen=True, slots=True)
class Compliance:
    """A period of the open tenant. `figures` are (area, figure, count); the rest are rows for people: policy changes
    (time, action, who, policy), holds that stand (name, reason, since, by), and the last seal (None: there is none).
    """

    figures: list[tuple[str, str, int]]
    changes: list[tuple[datetime, str, str, str]]
    holds: list[tuple[str, str, datetime, str]]
    seal: dict[str, Any] | None


def compliance(since: datetime, until: datetime) -> Compliance:
    """The figures from `since` to before `until`; holds and seal as they are now."""
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COMPLIANCE, asked)
        figures = [(area, figure, int(count)) for area, figure, count in cursor.fetchall()]
    changes = Event.objects.filter(
        id__gte=asked["first"], id__lt=asked["last"], time__gte=since, time__lt=until, action__startswith="policy."
    ).exclude(action="policy.simulate")
    holds = Hold.objects.filter(released_at=None).order_by("created_at")
    return Compliance(
        figures,
        [(one.time, one.action, one.actor_name, _policy_of(one)) for one in changes.order_by("id")[:MOST_LISTED]],
        [(one.name, one.reason, one.created_at, one.made_by) for one in holds[:MOST_LISTED]],
        _seal(),
    )


def _policy_of(event: Event) -> str:
    changed = event.detail.get("after") or event.detail.get("before") or {}
    return str(changed.get("name") or event.object_id)


def _seal() -> dict[str, Any] | None:
    last = Seal.objects.first()
    if last is None:
        return None
    return {"number": last.number, "time": last.time, "records": last.size, "root": bytes(last.root).hex()}
