"""Whether the ledger and the trail agree on every call."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path
from typing import Any

from django.db import connection

from audit.data import Finding
from audit.services import first_id

_COMPARED = (Path(__file__).parent / "sql" / "calls_compared.sql").read_text()


def compare(since: datetime, until: datetime) -> list[Finding]:
    """Calls of the open tenant whose outcome and ledger disagree, between two times."""
    asked: dict[str, Any] = {
        "since": since,
        "until": until,
        "first": first_id(since),
        "last": first_id(until, after=True),
    }
    with connection.cursor() as cursor:
        cursor.execute(_COMPARED, asked)
        return [Finding(*row) for row in cursor.fetchall()]
