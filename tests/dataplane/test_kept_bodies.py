"""Prompts and answers are kept only where the policy says so: sealed, for some days, for those who may read them."""

from __future__ import annotations

from collections.abc import Iterator
from datetime import timedelta
from typing import Any

import httpx
import pytest
from django.db import connection
from django.utils import timezone

from audit import bodies
from audit.models import Body, Hold
from tenants.isolation import scope
from tests.conftest import House
from tests.dataplane.conftest import Gateway

EMAIL = "mary.roe@example.com"
SAID = f"Write to {EMAIL} about the lease."


@pytest.fixture
def logging(gateway: Gateway) -> Iterator[Any]:
    """Puts a mode of logging in force for Acme."""

    def activate(mode: str, **more: Any) -> None:
        gateway.put_in_force("bodies", {"logging": mode, **more})

    yield activate
    activate("metadata")


def asked(gateway: Gateway, text: str = SAID, **more: Any) -> str:
    """A call's id; its whole answer was read."""
    answer = gateway.ask("echo", text, **more)
    assert answer.status_code == 200, answer.text
    if not more.get("stream"):
        assert answer.json()["choices"][0]["message"]["content"] == text
    identity: str = answer.headers["x-request-id"]
    return identity


def read(gateway: Gateway, request: str, key: str, reason: str = "") -> httpx.Response:
    headers = {"authorization": f"Bearer {key}"} | ({"x-audit-reason": reason} if reason else {})
    return httpx.get(f"{gateway.root}/api/v1/audit/bodies/{request}", headers=headers, timeout=30)


def test_without_a_policy_nothing_is_kept(gateway: Gateway):
    assert read(gateway, asked(gateway), gateway.acme.owner_key).status_code == 404


@pytest.mark.parametrize("stream", [False, True])
def test_redacted_keeps_what_went_out_and_what_came_back(gateway: Gateway, logging: Any, stream: bool):
    logging("redacted")
    request = asked(gateway, stream=stream)
    shown = read(gateway, request, gateway.acme.keys["auditor"], "an incident").json()
    assert shown["mode"] == "redacted"
    assert shown.keys() & {"request", "answer"} == set()
    out, back = shown["sent"]["messages"][0]["content"], shown["said"]["choices"][0]["message"]["content"]
    assert out == back
    assert out.startswith("Write to [EMAIL_ADDRESS_")
    assert EMAIL not in str(shown)


@pytest.mark.parametrize("stream", [False, True])
def test_full_keeps_the_originals_for_those_who_may_reveal_them_and_say_what_for(
    gateway: Gateway, logging: Any, stream: bool
):
    logging("full", retention={"days": 3})
    request, auditor = asked(gateway, stream=stream), gateway.acme.keys["auditor"]
    masked = read(gateway, request, auditor).json()
    assert EMAIL not in str(masked)
    kept = timezone.datetime.fromisoformat(masked["expires_at"]) - timezone.datetime.fromisoformat(masked["created_at"])
    assert kept == timedelta(days=3)
    whole = read(gateway, request, auditor, "complaint 17").json()
    assert whole["request"]["messages"][0]["content"] == SAID
    assert whole["answer"]["choices"][0]["message"]["content"] == SAID
    developer = read(gateway, request, gateway.key, "curious")  # whose call it was
    assert developer.status_code == 200
    assert EMAIL not in developer.text
    events = gateway.manage("GET", "audit/events?action=body.", key=gateway.acme.owner_key)["results"]
    mine = [event for event in events if event["object"]["id"] == request]
    assert sorted((event["action"], event["reason"]) for event in mine) == [
        ("body.read", ""),
        ("body.read", "curious"),
        ("body.reveal", "complaint 17"),
    ]


def test_somebody_elses_call_and_another_tenants_are_not_there(gateway: Gateway, logging: Any, globex: House):
    logging("full")
    request = asked(gateway)
    assert read(gateway, request, gateway.acme.key("developer", "sales")).status_code == 404
    assert read(gateway, request, globex.owner_key, "spying").status_code == 404


def test_what_is_kept_cannot_be_read_in_the_database(gateway: Gateway, logging: Any):
    logging("full")
    request = asked(gateway)
    with scope(gateway.acme.id):
        with connection.cursor() as cursor:
            cursor.execute("select b::text from audit_body b where id = %s", [request])
            [row] = cursor.fetchone()
        assert EMAIL.encode().hex() not in row
        assert EMAIL not in row
        body = Body.objects.get(pk=request)
        assert EMAIL in str(bodies.content_of(body))
        body.key = bytes(60)  # destroyed
        with pytest.raises(bodies.BodyGone):
            bodies.content_of(body)


def test_a_call_that_fails_keeps_what_went_out(gateway: Gateway, logging: Any):
    logging("redacted")
    answer = gateway.ask("error-500", SAID)
    shown = read(gateway, answer.headers["x-request-id"], gateway.acme.owner_key).json()
    assert "[EMAIL_ADDRESS_" in shown["sent"]["messages"][0]["content"]
    assert shown["said"] is None


def test_expired_bodies_go_unless_a_hold_keeps_them(gateway: Gateway, logging: Any):
    logging("redacted", retention={"days": 1})
    held, free = asked(gateway), asked(gateway)
    with scope(gateway.acme.id):
        Hold.objects.create(name="Smith ./. Acme", reason="x", filter={"request_id": held})
    past = timezone.now() + timedelta(days=2)
    with pytest.MonkeyPatch.context() as patched:
        patched.setattr(bodies.timezone, "now", lambda: past)
        with scope(gateway.acme.id):
            assert bodies.purge() >= 1
            left = {str(body.pk) for body in Body.objects.all()}
    assert held in left
    assert free not in left
