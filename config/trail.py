"""What webhooks are told: the audit trail as it is shown, which lies above the app that tells them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import datetime
from typing import Any

from audit.services import search

PAGE, MOST_PAGES = 1000, 50


def since(moment: datetime) -> Iterator[dict[str, Any]]:
    """The open tenant's events since a moment, newest first."""
    cursor: str | None = None
    for _ in range(MOST_PAGES):
        page = search(since=moment, cursor=cursor, limit=PAGE)
        yield from page.results
        cursor = page.next
        if cursor is None:
            return
