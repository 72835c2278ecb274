"""Billing's work on Celery."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerUnavailable

from tenants.isolation import scope

from . import jobs, mail, reconciliation, rerating, rollups, watch
from .sweeper import sweep

log = logging.getLogger("customhouse.reports")


@shared_task(name="billing.sweep")  # type: ignore[untyped-decorator]
def sweep_task() -> None:
    """Settles what dead workers left open."""
    sweep()


@shared_task(name="billing.compact")  # type: ignore[untyped-decorator]
def compact_task() -> None:
    """Merges the roll-ups that calls have added."""
    rollups.compact_all()


@shared_task(name="billing.report")  # type: ignore[untyped-decorator]
def report_task(tenant: str, report: str) -> None:
    """Makes a report."""
    jobs.make(UUID(tenant), UUID(report))


@shared_task(name="billing.reconcile")  # type: ignore[untyped-decorator]
def reconcile_task(tenant: str, row: str) -> None:
    """Compares a vendor's export with the ledger."""
    reconciliation.make(UUID(tenant), UUID(row))


@shared_task(name="billing.rerate")  # type: ignore[untyped-decorator]
def rerate_task(tenant: str, row: str) -> None:
    """Rates a period anew."""
    rerating.make(UUID(tenant), UUID(row))


@shared_task(name="billing.housekeeping")  # type: ignore[untyped-decorator]
def housekeeping_task() -> None:
    """In every tenant: asks for reports that are due, forgets what has expired, hands out again what was lost."""
    for tenant in rollups.tenants():
        with scope(tenant, actor=jobs.MAKER):
            found = [*jobs.due(), *jobs.housekeeping()]
            lost = reconciliation.lost()
            waiting = rerating.lost()
        for report in found:
            dispatch(tenant, report)
        for row in lost:
            dispatch_reconciliation(tenant, row)
        for row in waiting:
            dispatch_rerating(tenant, row)


@shared_task(name="billing.mail")  # type: ignore[untyped-decorator]
def mail_task() -> None:
    """Sends the mail that waits."""
    if mail.is_possible():
        for tenant in rollups.tenants():
            mail.send_due(tenant)


@shared_task(name="billing.watch")  # type: ignore[untyped-decorator]
def watch_task() -> None:
    """In every tenant: tells of budgets that passed a threshold or refuse calls."""
    for tenant in rollups.tenants():
        watch.watch_budgets(tenant)


@shared_task(name="billing.watch_days")  # type: ignore[untyped-decorator]
def watch_days_task() -> None:
    """In every tenant: tells of days that are far from the usual."""
    for tenant in rollups.tenants():
        watch.watch_days(tenant)


def dispatch(tenant: UUID, report: UUID) -> None:
    """Hands a report to the workers. Call it after the commit; without a broker it waits for housekeeping."""
    try:
        report_task.delay(str(tenant), str(report))
    except BrokerUnavailable:
        log.warning("the broker does not answer; report %s waits for housekeeping", report)


def dispatch_reconciliation(tenant: UUID, row: UUID) -> None:
    """The same for a reconciliation."""
    try:
        reconcile_task.delay(str(tenant), str(row))
    except BrokerUnavailable:
        log.warning("the broker does not answer; reconciliation %s waits for housekeeping", row)


def dispatch_rerating(tenant: UUID, row: UUID) -> None:
    """The same for a re-rating."""
    try:
        rerate_task.delay(str(tenant), str(row))
    except BrokerUnavailable:
        log.warning("the broker does not answer; re-rating %s waits for housekeeping", row)
