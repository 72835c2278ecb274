"""Work behind the request: telling webhooks what happened."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from kombu.exceptions import OperationalError as BrokerUnavailable

from . import webhooks

log = logging.getLogger("customhouse.webhooks")


@shared_task(name="tenants.webhooks", ignore_result=True)  # type: ignore[untyped-decorator]
def tell_webhooks() -> None:
    """In every tenant that has webhooks: what is due is handed to the workers."""
    for tenant in webhooks.tenants_with_webhooks():
        for delivery in webhooks.collect(tenant):
            try:
                deliver.delay(str(tenant), str(delivery))
            except BrokerUnavailable:
                log.warning("the broker does not answer; webhooks wait")
                return


@shared_task(name="tenants.deliver", ignore_result=True)  # type: ignore[untyped-decorator]
def deliver(tenant: str, delivery: str) -> None:
    """One attempt at one delivery; the next one is `tell_webhooks`'s to hand out."""
    webhooks.deliver(UUID(tenant), UUID(delivery))
