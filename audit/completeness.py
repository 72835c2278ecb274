"""Nothing is missing: once a day every tenant's trail is compared with itself and with what others keep of its calls.

An app above adds its own comparison when it is ready (`data.comparison`). What is found becomes an event and an error
in the log; that nothing was found becomes an event as well, so that a day without a check shows.
"""

from __future__ import annotations

import logging
from dataclasses import asdict
from datetime import datetime, timedelta
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection
from django.utils import timezone

from tenants.isolation.scope import scope

from . import seals
from .actions import Action
from .data import COMPARISONS, Finding
from .models import Seal
from .services import findings, record

log = logging.getLogger("customhouse.completeness")

#: A call that began so long ago has ended, or its worker was buried and the call settled.
SETTLED = timedelta(hours=1)
#: what is looked at: a day, and an hour of the one before
DAY = timedelta(hours=25)
WITHOUT_PLACE = "event without a place in the history"
CHECKER = {"type": "system", "id": "", "name": "completeness"}

_SQL = Path(__file__).parent / "sql"
_CALLS = (_SQL / "calls_compared.sql").read_text()
_STRAYS = (_SQL / "strays.sql").read_text()


def check(tenant: UUID, since: datetime | None = None, until: datetime | None = None) -> list[Finding]:
    """Compares a tenant's day, and records what was found. Events that no seal has taken in are sealed."""
    until = until or timezone.now() - SETTLED
    since = since or until - DAY
    seals.seal(tenant)
    with scope(tenant, actor=CHECKER):
        found = [*findings(_CALLS, since, until), *_without_place()]
        for compare in COMPARISONS.values():
            found += compare(since, until)
        detail: dict[str, Any] = {"from": since, "to": until, "found": [asdict(one) for one in found]}
        record(Action.TRAIL_ALERT if found else Action.TRAIL_CHECK, object_type="trail", detail=detail)
    for one in found:
        log.error("tenant %s: %s, %d times (%s)", tenant, one.what, one.count, ", ".join(one.examples))
    if any(one.what == WITHOUT_PLACE for one in found):
        seals.seal(tenant, anew=True)
    return found


def check_all() -> int:
    """Checks every tenant; returns how many findings there were. One that fails keeps no other from being checked."""
    count = 0
    for tenant in seals.tenants():
        try:
            count += len(check(tenant))
        except Exception:
            log.exception("tenant %s could not be checked", tenant)
            count += 1
    return count


def _without_place() -> list[Finding]:
    last = Seal.objects.first()
    if last is None:
        return []
    with connection.cursor() as cursor:
        cursor.execute(_STRAYS, {"seen": last.snapshot})
        events = [str(event) for event, _ in cursor.fetchall()]
    return [Finding(WITHOUT_PLACE, len(events), events[:5])] if events else []
