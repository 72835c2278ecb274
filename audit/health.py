"""How calls went lately, told by the trail: how fast they were, and how each deployment did.

Of a period only the newest calls are read, so that a page costs the same beside a trail of millions.
"""

from __future__ import annotations

from collections.abc import Collection
from dataclasses import dataclass
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any

from django.db import connection

from .times import first_id

_SQL = Path(__file__).parent / "sql"
_DEPLOYMENTS = (_SQL / "deployments.sql").read_text()
_LATENCY = (_SQL / "latency.sql").read_text()

#: calls that are read, the newest first
MOST = 10_000
#: how far back is looked when nobody says
LATELY = timedelta(minutes=15)


@dataclass(frozen=True, slots=True)
class Health:
    """One deployment (`provider/model`) in the newest calls; times in milliseconds, `error` is the last one's code."""

    deployment: str
    answered: int
    failed: int
    median_ms: float | None
    slow_ms: float | None  #: 95 of 100 were faster
    answered_at: datetime | None
    failed_at: datetime | None
    error: str

    @property
    def reason(self) -> str:
        """The last failure in words."""
        return self.error.replace("_", " ")

    @property
    def failing(self) -> bool:
        """Whether it has failed since it last answered."""
        if self.failed_at is None:
            return False
        return self.answered_at is None or self.failed_at > self.answered_at


def deployments(since: datetime, actors: Collection[str] | None = None) -> list[Health]:
    """How deployments did since a time, in calls of the open tenant; `actors`: whose calls count (None: all)."""
    return [
        Health(name, answered, failed, median, slow, answered_at, failed_at, error or "")
        for name, answered, failed, median, slow, answered_at, failed_at, error in _rows(_DEPLOYMENTS, since, actors)
    ]


def latency(since: datetime, actors: Collection[str] | None = None) -> float | None:
    """Milliseconds within which 95 of 100 calls were answered; None without calls."""
    [(found,)] = _rows(_LATENCY, since, actors)
    return None if found is None else float(found)


def _rows(statement: str, since: datetime, actors: Collection[str] | None) -> list[Any]:
    asked: dict[str, Any] = {"since": since, "first": first_id(since), "most": MOST}
    asked["actors"] = None if actors is None else list(actors)
    with connection.cursor() as cursor:
        cursor.execute(statement, asked)
        return list(cursor.fetchall())
