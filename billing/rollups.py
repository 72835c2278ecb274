"""The ledger by day: kept by a trigger (sql/rollup.sql), merged behind the writers, compared with the ledger.

Reports read roll-ups and never millions of rows of the ledger. That they are its sums holds at every moment, because
both are written by one transaction; `compare` proves it, `rebuild` makes them anew should somebody have broken them.
"""

from __future__ import annotations

from datetime import date, datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from audit.data import Finding
from audit.services import first_id
from tenants.isolation import PLATFORM, scope

_SQL = Path(__file__).parent / "sql"
_COMPACT = (_SQL / "compact.sql").read_text()
_CROWDED = (_SQL / "crowded_days.sql").read_text()
_COMPARED = (_SQL / "rollups_compared.sql").read_text()
_REBUILD = (_SQL / "rebuild.sql").read_text()

#: days that are looked at for something to merge: nothing is written for a day long past
RECENT = timedelta(days=40)
FIRST_DAY, LAST_DAY = date(1970, 1, 1), date(9999, 12, 30)


def compact_all() -> None:
    """Merges what writers added, in every tenant."""
    for tenant in tenants():
        with scope(tenant):
            compact()


def compact(today: date | None = None) -> tuple[int, int]:
    """Merges roll-ups of the open tenant; days that are over end with one row for each set of names.

    Returns how many rows were taken, and how many stand for them now.
    """
    today = today or timezone.now().date()
    asked: dict[str, Any] = {"since": today - RECENT, "today": today}
    with connection.cursor() as cursor:
        cursor.execute(_CROWDED, asked)
        days = [day for (day,) in cursor.fetchall()]
        cursor.execute(_COMPACT, {**asked, "days": days})
        taken, made = cursor.fetchone()
        return taken, made


def compare(since: datetime, until: datetime) -> list[Finding]:
    """Days of the open tenant, between two times and wholly, whose roll-ups are not the ledger's sums."""
    first_day, last_day = since.date(), until.date() + timedelta(days=1)
    span = {"first": first_id(since - timedelta(days=1)), "last": first_id(until + timedelta(days=1), after=True)}
    return _compared({"first_day": first_day, "last_day": last_day, **span})


def compare_everything() -> list[Finding]:
    """The same for all days."""
    return _compared({"first_day": FIRST_DAY, "last_day": LAST_DAY, "first": None, "last": None})


def rebuild(first_day: date = FIRST_DAY, last_day: date = LAST_DAY) -> None:
    """Makes the open tenant's roll-ups anew from the ledger, from a day to before another."""
    with connection.cursor() as cursor:
        cursor.execute(_REBUILD, {"first_day": first_day, "last_day": last_day})


def tenants() -> list[UUID]:
    """All tenants."""
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute("select id from tenants_tenant order by id")
        return [row[0] for row in cursor.fetchall()]


def _compared(asked: dict[str, Any]) -> list[Finding]:
    with connection.cursor() as cursor:
        cursor.execute(_COMPARED, asked)
        return [Finding(*row) for row in cursor.fetchall()]
