"""Work behind the request: ingesting documents, and looking after what was lost or has expired."""

from __future__ import annotations

import logging
import random
from collections.abc import Sequence
from datetime import timedelta
from uuid import UUID

from celery import Task, shared_task
from django.db import connection
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from tenants.isolation.scope import PLATFORM, scope

from .ingest import index, pipeline
from .models import Document, IngestItem, State

log = logging.getLogger("customhouse.ingest")

#: Items of one message: enough to be cheap for ten thousand small documents, few enough to be shared among workers.
ITEMS = 20
#: Seconds to the next attempt: doubled each time, with a random part, so that many do not come back at once.
BACKOFF, LONGEST = 2.0, 120.0
#: A queued item that nobody took for so long has lost its message.
LOST_AFTER = timedelta(minutes=10)


@shared_task(bind=True, name="retrieval.ingest", max_retries=pipeline.MOST_ATTEMPTS, ignore_result=True)  # type: ignore[untyped-decorator]
def ingest(self: Task, tenant: str, items: Sequence[str]) -> None:
    """Ingests documents of one tenant, each on its own; those that met a passing fault come again later."""
    again = []
    for item in items:
        try:
            pipeline.process(UUID(tenant), UUID(item))
        except pipeline.TRANSIENT as error:
            log.warning("ingest item %s waits: %s", item, type(error).__name__)
            again.append(item)
    if again:
        wait = min(LONGEST, BACKOFF * 2**self.request.retries) * random.uniform(0.5, 1.5)  # noqa: S311
        raise self.retry(args=[tenant, again], countdown=wait)


def dispatch(tenant: UUID, items: Sequence[UUID]) -> None:
    """Hands items to the workers. Call it after the commit; a broker that is away costs time, not documents."""
    try:
        for first in range(0, len(items), ITEMS):
            ingest.delay(str(tenant), [str(item) for item in items[first : first + ITEMS]])
    except BrokerUnavailable:
        log.warning("the broker does not answer; %d documents wait for housekeeping", len(items))


@shared_task(name="retrieval.housekeeping", ignore_result=True)  # type: ignore[untyped-decorator]
def housekeeping() -> None:
    """In every tenant: hands out again what was lost, and removes what has expired."""
    for tenant in _tenants():
        with scope(pipeline.of_tenant(tenant)):
            waiting = _lost()
            expired = list(Document.objects.filter(expires_at__lte=timezone.now()).values_list("pk", flat=True)[:1000])
        dispatch(tenant, waiting)
        for document in expired:
            _purge(tenant, document)


@shared_task(name="retrieval.recount", ignore_result=True)  # type: ignore[untyped-decorator]
def recount() -> None:
    """In every tenant: counts the terms anew. Once a night is enough."""
    for tenant in _tenants():
        with scope(pipeline.of_tenant(tenant)):
            index.recount()


def _purge(tenant: UUID, document: UUID) -> None:
    with scope(pipeline.of_tenant(tenant)):
        index.lock()
        expired = Document.objects.select_for_update().filter(pk=document, expires_at__lte=timezone.now()).first()
        if expired is not None:  # nobody gave it more time meanwhile
            index.remove(document)
            expired.delete()


def _tenants() -> list[UUID]:
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute("select id from tenants_tenant order by id")
        return [row[0] for row in cursor.fetchall()]


def _lost() -> list[UUID]:
    """Items without a worker. They are marked as seen, so that they are handed out once and not at every round."""
    now = timezone.now()
    queued = IngestItem.objects.filter(state=State.QUEUED, changed_at__lt=now - LOST_AFTER)
    dead = IngestItem.objects.filter(state=State.RUNNING, changed_at__lt=now - pipeline.DEAD_AFTER)
    found = [*queued.values_list("pk", flat=True), *dead.values_list("pk", flat=True)]
    IngestItem.objects.filter(pk__in=found).update(state=State.QUEUED, changed_at=now)
    return found
