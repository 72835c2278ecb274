"""Billing's work on Celery."""

from __future__ import annotations

from celery import shared_task

from .sweeper import sweep

#: what Celery's beat runs, and how often in seconds
BEAT = {"billing.sweep": {"task": "billing.sweep", "schedule": 10.0, "options": {"expires": 10}}}


@shared_task(name="billing.sweep")  # type: ignore[untyped-decorator]
def sweep_task() -> None:
    """Settles what dead workers left open."""
    sweep()
