"""Times in query parameters."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework import exceptions
from rest_framework.request import Request

#: Nothing was recorded before or will be after; beyond them reckoning with times overflows.
EARLIEST, LATEST = datetime(1970, 1, 2, tzinfo=UTC), datetime(9999, 12, 30, tzinfo=UTC)


def moment(request: Request, name: str) -> datetime | None:
    """The time in a query parameter: ISO 8601, or a date (its beginning, in UTC). None when it is not given."""
    text = request.query_params.get(name)
    if not text:
        return None
    try:
        found = parse_datetime(text.replace(" ", "+"))
        if found is None and (day := parse_date(text)) is not None:
            found = datetime(day.year, day.month, day.day, tzinfo=UTC)
    except ValueError:
        found = None
    if found is None:
        raise exceptions.ValidationError({name: "Must be a time in ISO 8601, such as 2026-11-20T12:00:00Z."})
    return min(max(found if found.tzinfo else found.replace(tzinfo=UTC), EARLIEST), LATEST)
