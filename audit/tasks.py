"""Audit's work on Celery."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerUnavailable

from tenants.isolation.scope import scope

from . import bodies, erasure, exports
from .completeness import check_all
from .models import ErasureState
from .seals import seal_all, tenants

log = logging.getLogger("customhouse.exports")


@shared_task(name="audit.seal")  # type: ignore[untyped-decorator]
def seal_task() -> None:
    """Seals what was committed since the last time, in every tenant."""
    seal_all()


@shared_task(name="audit.export")  # type: ignore[untyped-decorator]
def export_task(tenant: str, export: str) -> None:
    """Makes an export."""
    exports.make(UUID(tenant), UUID(export))


@shared_task(name="audit.completeness")  # type: ignore[untyped-decorator]
def completeness_task() -> None:
    """Compares the day's trail with itself and the ledger, in every tenant."""
    check_all()


@shared_task(name="audit.housekeeping")  # type: ignore[untyped-decorator]
def housekeeping_task() -> None:
    """In every tenant: forgets exports and bodies that have expired, and hands out again what was lost."""
    for tenant in tenants():
        with scope(tenant):
            lost = exports.housekeeping(tenant)
            bodies.purge()
            unfinished = erasure.unfinished()
        for export in lost:
            dispatch(tenant, export)
        for request, state in unfinished:
            dispatch_erasure(tenant, request, state)


@shared_task(name="audit.erasure")  # type: ignore[untyped-decorator]
def erasure_task(tenant: str, request: str, state: str) -> None:
    """Searches for the subject of an erasure request, or removes what is found of it."""
    step = erasure.look if state == ErasureState.SEARCHING else erasure.erase
    step(UUID(tenant), UUID(request))


def dispatch_erasure(tenant: UUID, request: UUID, state: str) -> None:
    """Hands an erasure's next step to the workers. Call it after the commit; a lost one waits for housekeeping."""
    try:
        erasure_task.delay(str(tenant), str(request), state)
    except BrokerUnavailable:
        log.warning("the broker does not answer; erasure %s waits for housekeeping", request)


def dispatch(tenant: UUID, export: UUID) -> None:
    """Hands an export to the workers. Call it after the commit; without a broker it waits for housekeeping."""
    try:
        export_task.delay(str(tenant), str(export))
    except BrokerUnavailable:
        log.warning("the broker does not answer; export %s waits for housekeeping", export)
