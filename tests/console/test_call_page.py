"""The page of one call: where it went and why, what it cost line by line, its seal, and its receipt as a file."""

from __future__ import annotations

import json

import pytest
from django.urls import reverse
from django.utils import timezone
from django.utils.html import strip_tags

from audit.models import Event
from audit.seals import seal
from audit.verify_customhouse import check
from billing.models import Price, Usage
from tenants.ids import uuid7
from tests.console.conftest import make_call


@pytest.fixture
def call(acme):
    """A call that failed at one deployment and was answered by another, with two kinds of tokens; its outcome."""
    _, deployment, model = acme.objects[:3]
    request, now = uuid7(), timezone.now()
    detail = {
        "route": {
            "strategy": "cheapest",
            "candidates": ["vendor/first", "vendor/second", "vendor/third"],
            "rejected": [{"deployment": "vendor/far", "reason": "its region is not allowed"}],
            "needs": ["tools"],
            "private": "a passage is confidential",
        },
        "failed": [{"deployment": "vendor/first", "error": "upstream_timeout"}],
        "steps": [["model", 3.0]],
    }
    key = acme.keys["assistant"]
    common = {"request_id": request, "actor_type": "key", "actor_id": str(key.pk), "actor_name": key.name}
    with acme.open():
        Event.objects.create(id=uuid7(), time=now, action="call.intent", **common)
        outcome = Event.objects.create(
            id=uuid7(), time=now, action="call.outcome", deployment="vendor/second", detail=detail, **common
        )
        price = {"deployment_id": deployment.pk, "kind": "output", "per_million": "10"}
        Price.objects.get_or_create(**price, defaults={"valid_from": "2020-01-01T00:00:00Z"})
        Usage.objects.create(
            id=uuid7(),
            request_id=request,
            time=now,
            key_id=key.pk,
            deployment_id=deployment.pk,
            deployment="vendor/second",
            model=model.name,
            input_tokens=1000,
            output_tokens=50,
            cost="0.002",
            estimated=True,
        )
    return outcome


def page(client, event):
    answer = client.get(reverse("admin:audit_event_change", args=[event.pk]))
    return answer, " ".join(answer.content.decode().split())


def test_it_says_where_it_went_and_why(as_role, call):
    answer, text = page(as_role("owner"), call)
    stops = [(stop.deployment, stop.state, stop.why) for stop in answer.context_data["way"].stops]
    assert stops == [
        ("vendor/first", "failed", "upstream timeout"),
        ("vendor/second", "answered", ""),
        ("vendor/third", "spare", ""),
        ("vendor/far", "rejected", "its region is not allowed"),
    ]
    assert "The model chooses by: cheapest. It needed: tools. It had to stay in the house" in text
    assert "&quot;route&quot;" not in text, "what is told in words is not shown as JSON as well"


def test_it_says_what_it_cost_line_by_line(as_role, call):
    answer, text = page(as_role("owner"), call)
    [charge] = answer.context_data["charges"]
    lines = [[strip_tags(cell) for cell in line] for line in charge["lines"]]
    assert lines == [["input", "1,000", "$1.50", "$0.0015"], ["output", "50", "$10.00", "$0.0005"]]
    assert "tokens counted here: the vendor did not" in text
    assert strip_tags(charge["cost"]) == "$0.002"


def test_whoever_sees_less_is_told_less(as_role, call):
    answer, text = page(as_role("auditor"), call)
    assert answer.context_data["way"] is not None
    alice, text = page(as_role("alice"), call)  # a developer of the key's department
    assert alice.status_code == 200
    assert "seal_link" not in alice.context_data
    assert "Download the receipt" in text
    assert page(as_role("bob"), call)[0].status_code == 404


def test_its_seal_is_shown_and_verified_from_here(acme, as_role, call):
    owner = as_role("owner")
    assert "waits for the next seal" in page(owner, call)[1]
    seal(acme.tenant)
    answer, text = page(owner, call)
    assert f"seal {answer.context_data['seal'].number}" in text
    verified = owner.post(answer.context_data["seal_verify"], follow=True).content.decode()
    assert "True:" in verified


@pytest.mark.parametrize("role", ["owner", "alice"])
def test_its_receipt_is_a_file_that_verifies(acme, as_role, call, role, tmp_path):
    answer = as_role(role).get(reverse("admin:audit_event_receipt", args=[call.pk]))
    assert f'filename="receipt-{call.request_id}.json"' in answer["content-disposition"]
    receipt = json.loads(answer.content)
    assert {event["action"] for event in receipt["events"]} == {"call.intent", "call.outcome"}
    place = tmp_path / "receipt.json"
    place.write_bytes(answer.content)
    assert check(str(place)).faults == []
    with acme.open():
        assert Event.objects.filter(action="receipt.read", object_id=str(call.request_id)).exists()


def test_nobody_gets_the_receipt_of_what_they_do_not_see(globex, enter, as_role, call):
    address = reverse("admin:audit_event_receipt", args=[call.pk])
    assert as_role("bob").get(address).status_code == 404
    assert enter(globex.people["charlie"]).get(address).status_code == 404


def test_a_call_without_a_choice_shows_no_way(acme, as_role):
    with acme.open():
        request = make_call(acme, acme.keys["copilot"])
        outcome = Event.objects.get(request_id=request, action="call.outcome")
    answer, text = page(as_role("owner"), outcome)
    assert answer.context_data["way"] is None
    assert "Where it went" not in text
