"""Periods of whole days, in UTC."""

from __future__ import annotations

from datetime import UTC, date, datetime, time, timedelta

from django.utils import timezone


def today() -> date:
    """The day of reports: UTC."""
    return timezone.now().date()


def start_of(day: date) -> datetime:
    return datetime.combine(day, time.min, tzinfo=UTC)


def days_back(number: int) -> datetime:
    """The beginning of the day `number - 1` days ago: 1 is today, 7 a week with today."""
    return start_of(today() - timedelta(days=number - 1))


def read_day(text: str | None) -> date | None:
    """A day as `2026-11-20`, None when it is none."""
    try:
        return date.fromisoformat(text or "")
    except ValueError:
        return None
