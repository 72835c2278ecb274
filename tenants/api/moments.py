"""Times in query parameters."""

from __future__ import annotations

from datetime import UTC, datetime

from django.utils.dateparse import parse_date, parse_datetime
from rest_framework import exceptions
from rest_framework.request import Request


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
    return found if found.tzinfo else found.replace(tzinfo=UTC)
