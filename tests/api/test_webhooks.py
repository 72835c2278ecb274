"""Webhooks: what happened is told, signed, to an address of the tenant's, until it answers."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import threading
from collections.abc import Iterator
from datetime import timedelta
from http.server import BaseHTTPRequestHandler, HTTPServer
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.utils import timezone

from audit.models import Event
from tenants import addresses, webhooks
from tenants.isolation import scope
from tenants.models import Webhook, WebhookDelivery
from tests.api.test_attack import call
from tests.api.test_shapes import make
from tests.conftest import House, house


class Listener:
    """An address on loopback that keeps what it is told and answers what it is told to."""

    def __init__(self) -> None:
        self.told: list[tuple[dict[str, str], bytes]] = []
        self.status = 204
        listener = self

        class Handler(BaseHTTPRequestHandler):
            def do_POST(self) -> None:
                body = self.rfile.read(int(self.headers["content-length"]))
                listener.told.append(({name.lower(): value for name, value in self.headers.items()}, body))
                self.send_response(listener.status)
                self.send_header("location", "http://127.0.0.1:1/")
                self.end_headers()

            def log_message(self, *args: Any) -> None:
                """Quietly."""

        self.server = HTTPServer(("127.0.0.1", 0), Handler)
        threading.Thread(target=self.server.serve_forever, daemon=True).start()
        self.url = f"http://127.0.0.1:{self.server.server_port}/hook?from=customhouse"


@pytest.fixture
def listener(monkeypatch: pytest.MonkeyPatch) -> Iterator[Listener]:
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    made = Listener()
    yield made
    made.server.shutdown()
    made.server.server_close()


@pytest.fixture
def initech(database: None) -> House:
    return house("initech", ("legal",))


def hook(tenant: House, listener: Listener, *events: str, **more: Any) -> dict[str, Any]:
    return make(tenant, "webhooks", {"url": listener.url, "events": list(events), **more})


def tell(tenant: House) -> None:
    """What Celery does every few seconds."""
    for delivery in webhooks.collect(tenant.id):
        webhooks.deliver(tenant.id, delivery)


def log(tenant: House, made: dict[str, Any]) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call("get", f"/api/v1/webhooks/{made['id']}/deliveries", tenant.owner_key).json()[
        "results"
    ]
    return found


def test_its_secret_is_shown_once_and_sealed(initech: House, listener: Listener):
    made = hook(initech, listener, "*")
    assert set(made) >= {"id", "url", "events", "secret", "active"}
    shown = call("get", f"/api/v1/webhooks/{made['id']}", initech.owner_key)
    assert shown.json() == {name: value for name, value in made.items() if name != "secret"}
    with scope(initech.id):
        assert made["secret"].encode() not in bytes(Webhook.objects.get(pk=made["id"]).sealed)
    events = call("get", "/api/v1/audit/events?action=webhook.create", initech.owner_key)
    assert events.json()["results"][0]["object"]["id"] == made["id"]
    assert "sealed" not in events.content.decode()


def test_what_happened_is_told_signed_and_once(initech: House, listener: Listener):
    made = hook(initech, listener, "department.*")
    department = make(initech, "departments", {"slug": token_hex(4), "name": "Told"})
    make(initech, "collections", {"name": "Not told"})
    for _ in range(3):
        tell(initech)
    [(headers, body)] = listener.told
    told = json.loads(body)
    assert (told["type"], told["data"]["object"]["id"]) == ("department.create", department["id"])
    key = base64.b64decode(made["secret"].removeprefix("whsec_"))
    signed = f"{headers['webhook-id']}.{headers['webhook-timestamp']}.".encode() + body
    expected = base64.b64encode(hmac.digest(key, signed, hashlib.sha256)).decode()
    assert headers["webhook-signature"] == f"v1,{expected}"
    [row] = log(initech, made)
    assert (row["state"], row["attempts"], row["status"], row["action"]) == ("delivered", 1, 204, "department.create")


def test_a_secret_of_ones_own_signs(initech: House, listener: Listener):
    secret = token_hex(16)
    hook(initech, listener, "department.create", secret=secret)
    make(initech, "departments", {"slug": token_hex(4), "name": "Told"})
    tell(initech)
    [(headers, body)] = listener.told
    stamp = (headers["webhook-id"], headers["webhook-timestamp"])
    assert headers["webhook-signature"] == webhooks.sign(secret, *stamp, body)


def test_that_its_secret_was_replaced_is_recorded_and_the_secret_is_not(initech: House, listener: Listener):
    made, secret = hook(initech, listener, "department.create"), token_hex(16)
    path = f"/api/v1/webhooks/{made['id']}"
    assert call("patch", path, initech.owner_key, {"secret": secret}).status_code == 200
    with scope(initech.id):
        event = Event.objects.get(action="webhook.update", object_id=made["id"])
        Webhook.objects.filter(pk=made["id"]).update(seen_at=timezone.now())
        assert Event.objects.filter(action="webhook.update", object_id=made["id"]).count() == 1
    assert event.detail["replaced"] == ["sealed"]
    assert secret not in json.dumps(event.detail)


@pytest.mark.parametrize("status", [500, 302, 404])
def test_it_is_told_again_until_it_is_heard(initech: House, listener: Listener, status: int):
    made = hook(initech, listener, "department.create")
    make(initech, "departments", {"slug": token_hex(4), "name": "Told"})
    listener.status = status
    tell(initech)
    [row] = log(initech, made)
    assert (row["state"], row["attempts"], row["status"]) == ("pending", 1, status)
    tell(initech)
    assert len(listener.told) == 1  # not yet
    listener.status = 200
    with scope(initech.id):
        WebhookDelivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    tell(initech)
    assert [headers["webhook-id"] for headers, _ in listener.told] == [row["id"]] * 2
    assert log(initech, made)[0]["state"] == "delivered"


def test_what_is_never_heard_fails_at_last(initech: House, listener: Listener):
    made = hook(initech, listener, "department.create")
    listener.server.shutdown()
    listener.server.server_close()
    make(initech, "departments", {"slug": token_hex(4), "name": "Told"})
    for _ in range(len(webhooks.WAITS) + 2):
        tell(initech)
        with scope(initech.id):
            WebhookDelivery.objects.update(next_at=timezone.now() - timedelta(seconds=1))
    [row] = log(initech, made)
    assert (row["state"], row["attempts"], row["status"]) == ("failed", len(webhooks.WAITS) + 1, None)
    assert "ConnectionRefused" in row["error"]


def test_what_lies_before_it_and_what_is_switched_off_is_not_told(initech: House, listener: Listener):
    made = hook(initech, listener, "*", active=False)
    make(initech, "departments", {"slug": token_hex(4), "name": "Not told"})
    tell(initech)
    assert log(initech, made) == []


def test_two_workers_do_not_tell_the_same(initech: House, listener: Listener):
    hook(initech, listener, "department.create")
    make(initech, "departments", {"slug": token_hex(4), "name": "Told"})
    assert (len(webhooks.collect(initech.id)), len(webhooks.collect(initech.id))) == (1, 0)


@pytest.mark.parametrize("url", ["http://127.0.0.1/", "https://localhost/x", "http://10.0.0.1", "ftp://x.example", "x"])
def test_it_points_to_no_place_inside_the_house(initech: House, url: str):
    body = {"url": url, "events": ["*"]}
    answer = call("post", "/api/v1/webhooks", initech.owner_key, body)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "url")


def test_a_name_that_leads_into_the_house_later_is_not_followed(monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr(addresses, "_resolved", lambda host, port: ["93.184.216.34", "127.0.0.1"])
    with pytest.raises(OSError, match="private or local"):
        addresses.post("http://hook.example/", b"", {}, 1)


@pytest.mark.parametrize("events", [[], ["Policy"], ["policy.activate; drop"], "policy.activate"])
def test_what_is_no_event_is_refused(initech: House, listener: Listener, events: Any):
    body = {"url": listener.url, "events": events}
    assert call("post", "/api/v1/webhooks", initech.owner_key, body).status_code == 400


def test_only_tenants_with_webhooks_are_looked_into(initech: House, listener: Listener):
    assert initech.id not in webhooks.tenants_with_webhooks()
    made = hook(initech, listener, "*")
    assert initech.id in webhooks.tenants_with_webhooks()
    assert call("delete", f"/api/v1/webhooks/{UUID(made['id'])}", initech.owner_key).status_code == 204
    assert initech.id not in webhooks.tenants_with_webhooks()
