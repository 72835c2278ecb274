"""Whether the ledger and the trail agree on every call."""

from __future__ import annotations

from datetime import datetime
from pathlib import Path

from audit.data import Finding
from audit.services import findings

_COMPARED = (Path(__file__).parent / "sql" / "calls_compared.sql").read_text()


def compare(since: datetime, until: datetime) -> list[Finding]:
    """Calls of the open tenant whose outcome and ledger disagree, between two times."""
    return findings(_COMPARED, since, until)
