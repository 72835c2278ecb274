"""Where a call goes for what it is, and what the audit trail says of that."""

from __future__ import annotations

import time
from typing import Any

import httpx
import pytest

from tests.dataplane.conftest import Gateway

SSN = "My social security number is 536-90-4399."


def outcome(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    assert answer.status_code == 200, answer.text
    events = gateway.events(answer.headers["x-request-id"])
    return next(event for event in events if event["action"] == "call.outcome")


@pytest.fixture(scope="module")
def routed(gateway: Gateway) -> str:
    """A model with a vendor's deployment first, then one that sees, then one in the house."""
    run = gateway.run
    own = {"name": f"{run}-own", "kind": "scripted", "self_hosted": True, "tenants": [gateway.acme.slug]}
    gateway.manage("POST", "providers", own, gateway.platform_key, expect=201)
    deployments = [gateway["echo"]]
    for name, provider, able in (("sees", gateway.provider, ["chat", "vision"]), ("own", f"{run}-own", ["chat"])):
        body = {"provider": provider, "name": f"{run}-{name}", "upstream_model": "echo", "capabilities": able}
        key = gateway.platform_key if name == "own" else None
        made = gateway.manage("POST", "deployments", body, key, expect=201)
        deployments.append(made["id"])
        for kind in ("input", "output") if name == "sees" else ():
            price = {
                "deployment": made["id"],
                "kind": kind,
                "per_million": "1.00",
                "valid_from": "2020-01-01T00:00:00Z",
            }
            gateway.manage("POST", "prices", price, expect=201)
    routes = [{"deployment": deployment, "priority": number} for number, deployment in enumerate(deployments, 1)]
    gateway.manage("POST", "models", {"name": f"{run}-routed", "deployments": routes}, expect=201)
    gateway.wait_for_model(f"{run}-routed")
    return f"{run}-routed"


def put(gateway: Gateway, rules: dict[str, Any]) -> None:
    """Puts a policy in force for Acme."""
    made = gateway.manage("POST", "policies", {"name": "routes", "rules": rules}, expect=201)
    gateway.manage("POST", f"policies/{made['id']}/activate", expect=200)
    for _ in range(100):
        if gateway.ask("echo", "x").headers["x-customhouse-policy"].startswith(made["id"]):
            return
        time.sleep(0.05)
    raise AssertionError("the worker did not hear of the policy")


def ask(gateway: Gateway, model: str, content: Any, **more: Any) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": content}], **more}
    headers = {"authorization": f"Bearer {gateway.key}"}
    return httpx.post(gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30)


def test_a_call_goes_where_it_can_be_answered_and_the_trail_says_why(gateway: Gateway, routed: str):
    put(gateway, {"pii": {"media": ["image"]}})
    image = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    plain, seen = ask(gateway, routed, "hello"), ask(gateway, routed, [{"type": "text", "text": "look"}, image])
    route = outcome(gateway, plain)["detail"]["route"]
    assert outcome(gateway, plain)["deployment"] == f"{gateway.run}/echo"
    assert (route["strategy"], len(route["candidates"]), route["rejected"]) == ("priority", 3, [])
    found = outcome(gateway, seen)
    assert found["detail"]["route"]["needs"] == ["vision"]
    assert {row["reason"] for row in found["detail"]["route"]["rejected"]} == {"does not say that it knows vision"}
    assert len(found["detail"]["route"]["candidates"]) == 1


def test_detected_data_stays_in_the_house(gateway: Gateway, routed: str):
    put(gateway, {"models": {"private": {"entities": ["US_SSN"]}}})
    assert outcome(gateway, ask(gateway, routed, "hello"))["deployment"] == f"{gateway.run}/echo"
    found = outcome(gateway, ask(gateway, routed, SSN))
    assert found["deployment"] == f"{gateway.run}-own/echo"
    assert found["detail"]["route"]["private"] == "it holds US_SSN"
    refused = gateway.ask("echo", SSN)
    assert (refused.status_code, refused.json()["error"]["code"]) == (403, "policy_violation")
    [event] = gateway.events(refused.headers["x-request-id"])
    assert event["action"] == "call.refused"
    assert "is not self-hosted" in event["detail"]["route"]["rejected"][0]["reason"]


def test_a_confidential_documents_words_stay_in_the_house(gateway: Gateway, routed: str):
    from retrieval.services import Upload, create_collection, ingest_now
    from tenants.isolation import scope

    put(gateway, {"models": {"private": {"classification": "confidential"}}})
    key = gateway.acme.key("developer", "legal", clearance=2)
    with scope(gateway.acme.id):
        for name, level in (("open-terms", 1), ("closed-terms", 2)):
            made = create_collection(name)
            text = "The settlement with Brightwater is 90,000 euros."
            ingest_now(Upload(collection=made.pk, text=text, title=name, classification=level))
    answers = {}
    for name in ("open-terms", "closed-terms"):
        body = {"model": routed, "messages": [{"role": "user", "content": "What is the settlement with Brightwater?"}]}
        headers = {"authorization": f"Bearer {key}"}
        body["retrieval"] = {"collections": [name]}
        answers[name] = httpx.post(gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert outcome(gateway, answers["open-terms"])["deployment"] == f"{gateway.run}/echo"
    assert outcome(gateway, answers["closed-terms"])["deployment"] == f"{gateway.run}-own/echo"
