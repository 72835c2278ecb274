"""Webhooks: what happened, told to an address of the tenant's, signed, until it answers.

Events come from the audit trail, which lies above: the wiring says how they are read (`events_from`). A delivery is a
row beside its webhook, so that it survives whatever happens to broker and workers, and is the log. Signatures are those
of https://www.standardwebhooks.com: base64 of HMAC-SHA-256 over `id.timestamp.body`.
"""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import os
import random
import time
from collections.abc import Callable, Iterable
from datetime import datetime, timedelta
from http.client import HTTPException
from typing import Any
from uuid import UUID

from django.conf import settings
from django.utils import timezone

from .addresses import post
from .ids import uuid7
from .isolation import PLATFORM, current, scope
from .models import DeliveryState, Tenant, Webhook, WebhookDelivery
from .sealing import seal, unseal

#: what happened in the open scope since a time, as the trail shows it
Source = Callable[[datetime], Iterable[dict[str, Any]]]

#: An event that commits so long after it was made is told as well.
SLACK = timedelta(minutes=1)
#: Seconds before the second, third, … attempt; after the last the delivery has failed.
WAITS = (5, 30, 120, 600, 3600, 4 * 3600, 12 * 3600)
TIMEOUT = 10.0
#: A worker that has a delivery in hand may take so long; then another one may.
LEASE = timedelta(seconds=60)
MOST_AT_ONCE = 200
KEPT = timedelta(days=30)
_sources: list[Source] = []


def events_from(source: Source) -> None:
    """Says where events are read; the wiring's to call, once."""
    _sources[:] = [source]


# -- the webhooks themselves ------------------------------------------------------------------------------------------


def make_webhook(url: str, events: list[str], secret: str = "", active: bool = True) -> tuple[Webhook, str]:
    """A webhook of the open tenant and its secret, which is known only now."""
    identity, secret = uuid7(), secret or "whsec_" + base64.b64encode(os.urandom(24)).decode()
    made = Webhook.objects.create(
        id=identity, url=url, events=events, active=active, sealed=seal_secret(secret, identity), seen_at=timezone.now()
    )
    _tell_platform()
    return made, secret


def remove_webhook(webhook: Webhook) -> None:
    """Ends a webhook and its log."""
    webhook.delete()
    _tell_platform()


def seal_secret(secret: str, webhook: UUID) -> bytes:
    """The sealed form of a webhook's secret, bound to the tenant and to it."""
    return seal(settings.WEBHOOK_KEY, secret.encode(), UUID(current()).bytes + webhook.bytes)


def open_secret(webhook: Webhook) -> str:
    """The secret again, to sign with."""
    return unseal(settings.WEBHOOK_KEY, webhook.sealed, webhook.tenant_id.bytes + webhook.pk.bytes).decode()


def _tell_platform() -> None:
    """Which tenants have webhooks is all that the platform sees of them, so that it need not look into every tenant."""
    Tenant.objects.filter(pk=current()).update(has_webhooks=Webhook.objects.exists())


def wants(webhook: Webhook, action: str) -> bool:
    """Whether a webhook is told of an action: by name, by its beginning (`policy.*`), or of all (`*`)."""
    return any(
        pattern in ("*", action) or (pattern.endswith(".*") and action.startswith(pattern[:-1]))
        for pattern in webhook.events
    )


# -- what is to be told -----------------------------------------------------------------------------------------------


def tenants_with_webhooks() -> list[UUID]:
    """All tenants that have any."""
    with scope(PLATFORM):
        return list(Tenant.objects.filter(has_webhooks=True).values_list("pk", flat=True))


def collect(tenant: UUID) -> list[UUID]:
    """Makes deliveries of what happened, and returns those that are due; each is returned to one caller at a time."""
    now = timezone.now()
    with scope(tenant):
        hooks = list(Webhook.objects.select_for_update().filter(active=True).order_by("pk"))
        for event in _events(min(hook.seen_at for hook in hooks) - SLACK) if hooks else ():
            for hook in hooks:
                if event["time"] >= _text(hook.created_at) and wants(hook, event["action"]):
                    _tell(hook, event, now)
        Webhook.objects.filter(pk__in=[hook.pk for hook in hooks]).update(seen_at=now)
        WebhookDelivery.objects.filter(created_at__lt=now - KEPT).delete()
        due = WebhookDelivery.objects.select_for_update(skip_locked=True).filter(
            state=DeliveryState.PENDING, next_at__lte=now, webhook__in=hooks
        )
        found = list(due.order_by("next_at").values_list("pk", flat=True)[:MOST_AT_ONCE])
        WebhookDelivery.objects.filter(pk__in=found).update(next_at=now + LEASE)
    return found


def _events(since: datetime) -> Iterable[dict[str, Any]]:
    return _sources[0](since) if _sources else ()


def _tell(hook: Webhook, event: dict[str, Any], now: datetime) -> None:
    fresh = WebhookDelivery(webhook=hook, event_id=event["id"], action=event["action"], payload=event, next_at=now)
    WebhookDelivery.objects.bulk_create([fresh], ignore_conflicts=True)


def _text(moment: datetime) -> str:
    return moment.isoformat(timespec="microseconds").replace("+00:00", "Z")


# -- telling it -------------------------------------------------------------------------------------------------------


def deliver(tenant: UUID, delivery: UUID) -> None:
    """One attempt. No transaction is open while the address answers."""
    with scope(tenant):
        found = (
            WebhookDelivery.objects.select_related("webhook").filter(pk=delivery, state=DeliveryState.PENDING).first()
        )
        if found is None or not found.webhook.active:
            return
        secret = open_secret(found.webhook)
    status, error = _send(found, secret)
    with scope(tenant):
        attempts = found.attempts + 1
        done = 200 <= status < 300
        over = not done and attempts > len(WAITS)
        wait = 0 if done or over else WAITS[attempts - 1] * random.uniform(0.8, 1.2)  # noqa: S311
        WebhookDelivery.objects.filter(pk=delivery, state=DeliveryState.PENDING).update(
            state=DeliveryState.DELIVERED if done else DeliveryState.FAILED if over else DeliveryState.PENDING,
            attempts=attempts,
            status=status or None,
            error=error,
            tried_at=timezone.now(),
            next_at=timezone.now() + timedelta(seconds=wait),
        )


def _send(delivery: WebhookDelivery, secret: str) -> tuple[int, str]:
    """The answer's status (0: there was none), and what was wrong, in words for the log."""
    message = {"type": delivery.action, "timestamp": delivery.payload["time"], "data": delivery.payload}
    body = json.dumps({"id": str(delivery.pk), **message}, separators=(",", ":")).encode()
    stamp = str(int(time.time()))
    headers = {
        "Content-Type": "application/json",
        "User-Agent": "Customhouse",
        "webhook-id": str(delivery.pk),
        "webhook-timestamp": stamp,
        "webhook-signature": sign(secret, str(delivery.pk), stamp, body),
    }
    try:
        status = post(delivery.webhook.url, body, headers, TIMEOUT)
    except (OSError, HTTPException, ValueError) as error:
        return 0, f"{type(error).__name__}: {error}"[:300]
    return status, "" if 200 <= status < 300 else f"It answered {status}."


def sign(secret: str, identity: str, stamp: str, body: bytes) -> str:
    """`v1,` and the base64 of HMAC-SHA-256 over what is sent."""
    signed = hmac.digest(_key(secret), f"{identity}.{stamp}.".encode() + body, hashlib.sha256)
    return f"v1,{base64.b64encode(signed).decode()}"


def _key(secret: str) -> bytes:
    """What is behind `whsec_` is base64; any other secret is taken as it stands."""
    if not secret.startswith("whsec_"):
        return secret.encode()
    try:
        return base64.b64decode(secret.removeprefix("whsec_"), validate=True)
    except ValueError:
        return secret.encode()
