"""Billing's work on Celery."""

from __future__ import annotations

from celery import shared_task

from . import rollups
from .sweeper import sweep


@shared_task(name="billing.sweep")  # type: ignore[untyped-decorator]
def sweep_task() -> None:
    """Settles what dead workers left open."""
    sweep()


@shared_task(name="billing.compact")  # type: ignore[untyped-decorator]
def compact_task() -> None:
    """Merges the roll-ups that calls have added."""
    rollups.compact_all()
