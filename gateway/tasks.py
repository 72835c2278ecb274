"""The gateway's work on Celery."""

from __future__ import annotations

from uuid import UUID

from celery import shared_task
from django.db import connection
from django.utils import timezone

from tenants.isolation.scope import PLATFORM, scope

from .models import StoredResponse


@shared_task(name="gateway.forget", ignore_result=True)  # type: ignore[untyped-decorator]
def forget() -> None:
    """In every tenant: removes kept answers that have expired."""
    for tenant in _tenants():
        with scope(tenant):
            StoredResponse.objects.filter(expires_at__lte=timezone.now()).delete()


def _tenants() -> list[UUID]:
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute("select id from tenants_tenant order by id")
        return [row[0] for row in cursor.fetchall()]
