"""Billing's work on Celery."""

from __future__ import annotations

from celery import shared_task

from .sweeper import sweep

#: what Celery's beat runs, and how often in seconds


@shared_task(name="billing.sweep")  # type: ignore[untyped-decorator]
def sweep_task() -> None:
    """Settles what dead workers left open."""
    sweep()
