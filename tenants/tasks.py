"""Work behind the request: telling webhooks what happened, and people that they are invited."""

from __future__ import annotations

import logging
from uuid import UUID

from celery import shared_task
from django.conf import settings
from kombu.exceptions import OperationalError as BrokerUnavailable

from . import invitations, webhooks

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


@shared_task(name="tenants.invitations", ignore_result=True)  # type: ignore[untyped-decorator]
def send_invitations() -> None:
    """In every tenant: invitations that were not sent at once, or not taken by the mail server."""
    if settings.EMAIL_HOST:
        for tenant in invitations.all_tenants():
            for invitation in invitations.waiting(tenant):
                invitations.send(tenant, invitation)


@shared_task(name="tenants.invite", ignore_result=True)  # type: ignore[untyped-decorator]
def send_invitation(tenant: str, invitation: str) -> None:
    """One attempt to send one; the next one is `send_invitations`'s."""
    invitations.send(UUID(tenant), UUID(invitation))


def dispatch_invitation(tenant: UUID, invitation: UUID) -> None:
    """Hands an invitation to the workers, after the commit; without a broker it waits for `send_invitations`."""
    try:
        send_invitation.delay(str(tenant), str(invitation))
    except BrokerUnavailable:
        log.warning("the broker does not answer; invitation %s waits", invitation)
