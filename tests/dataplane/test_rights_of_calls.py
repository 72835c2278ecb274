"""What the management plane decides about rights holds on the data plane, a moment after its commit."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any

import httpx
import pytest

from tenants.isolation import scope
from tenants.models import User
from tenants.services import add_person, change_place, make_key, remove_person
from tests.dataplane.conftest import Gateway

#: Seconds after a commit until a worker knows; until a running stream is cut.
KNOWN, CUT = 1.0, 2.0


def status(gateway: Gateway, key: str, mode: str = "echo", **more: Any) -> tuple[int, str]:
    answer = gateway.ask(mode, "hello", key=key, **more)
    return answer.status_code, "" if answer.is_success else answer.json()["error"]["code"]


def becomes(ask: Callable[[], tuple[int, str]], wanted: tuple[int, str]) -> float:
    """Seconds until the answer is as wanted, and it stays so."""
    began = time.monotonic()
    while (found := ask()) != wanted:
        assert time.monotonic() - began < 10, found
    waited = time.monotonic() - began
    assert [ask() for _ in range(3)] == [wanted] * 3
    return waited


@pytest.fixture
def model(gateway: Gateway) -> str:
    name = gateway["echo"]
    return str(gateway.manage("GET", f"models?name={name}")["results"][0]["id"])


def grant(gateway: Gateway, model: str, to: tuple[str, Any], **more: Any) -> str:
    whom = {"type": to[0], "id": str(to[1])}
    body = {"object": {"type": "model", "id": model}, "to": whom, "right": "use", **more}
    return str(gateway.manage("POST", "grants", body, gateway.acme.owner_key, expect=201)["id"])


@pytest.mark.parametrize("kind", ["key", "department"])
def test_a_model_that_is_denied_is_not_called(gateway: Gateway, model: str, kind: str):
    key, other = gateway.acme.key("developer", "sales"), gateway.acme.key("developer", "legal")
    assert becomes(lambda: status(gateway, key), (200, "")) < KNOWN
    whom = gateway.acme.key_ids[key] if kind == "key" else gateway.acme.departments["sales"].pk
    denial = grant(gateway, model, (kind, whom), deny=True)
    assert becomes(lambda: status(gateway, key), (403, "model_not_allowed")) < KNOWN
    assert gateway["echo"] not in {found.id for found in gateway.sdk(key).models.list()}
    assert status(gateway, other) == (200, "")
    gateway.manage("DELETE", f"grants/{denial}", key=gateway.acme.owner_key)
    assert becomes(lambda: status(gateway, key), (200, "")) < KNOWN


def test_a_grant_lets_a_role_call_one_model_and_no_other(gateway: Gateway, model: str):
    key = gateway.acme.key("auditor", "legal")
    assert becomes(lambda: status(gateway, key), (403, "model_not_allowed")) < KNOWN
    grant(gateway, model, ("key", gateway.acme.key_ids[key]))
    assert becomes(lambda: status(gateway, key), (200, "")) < KNOWN
    assert status(gateway, key, "fixed") == (403, "model_not_allowed")
    assert [found.id for found in gateway.sdk(key).models.list()] == [gateway["echo"]]


def test_a_demoted_maker_takes_their_keys_along_and_a_removed_one_ends_them(gateway: Gateway):
    legal = gateway.acme.departments["legal"]
    with scope(gateway.acme.id):
        place = add_person(f"{token_hex(4)}@acme.example", "Alice", "admin", 3, [legal])
        _, hers = make_key(name="hers", department=legal, role="admin", user=User.objects.get(pk=place.user_id))
    becomes(lambda: status(gateway, hers), (200, ""))
    made = gateway.manage("POST", "api-keys", {"name": "app", "department": "legal"}, hers, expect=201)["key"]
    assert becomes(lambda: status(gateway, made), (200, "")) < KNOWN
    with scope(gateway.acme.id):
        change_place(place, "billing_manager", 1, [legal])
    assert becomes(lambda: status(gateway, made), (403, "model_not_allowed")) < KNOWN
    with scope(gateway.acme.id):
        change_place(place, "member", 1, [legal])
    assert becomes(lambda: status(gateway, made), (200, "")) < KNOWN
    with scope(gateway.acme.id):
        remove_person(place)
    for key in (hers, made):
        assert becomes(lambda key=key: status(gateway, key), (401, "invalid_api_key")) < KNOWN


def test_a_policy_may_depend_on_the_purpose_and_the_network(gateway: Gateway):
    key = gateway.acme.key("developer", "sales")
    place = {"scope": "key", "target": str(gateway.acme.key_ids[key])}

    def activate(*conditions: dict[str, Any]) -> None:
        body = {"name": token_hex(4), "applies_to": place, "rules": {"conditions": list(conditions)}}
        policy = gateway.manage("POST", "policies", body, expect=201)["id"]
        gateway.manage("POST", f"policies/{policy}/activate", expect=200)

    activate({"unless": {"purpose": ["support"]}, "refuse": "Say that it is for support."})
    assert becomes(lambda: status(gateway, key), (403, "policy_violation")) < KNOWN
    assert status(gateway, key, metadata={"purpose": "support"}) == (200, "")
    activate({"unless": {"network": ["10.0.0.0/8"]}, "refuse": "Only from the office."})
    assert becomes(lambda: status(gateway, key, metadata={"purpose": "support"}), (403, "policy_violation")) < KNOWN
    activate({"unless": {"network": ["127.0.0.0/8"]}, "refuse": "Only from the office."})
    assert becomes(lambda: status(gateway, key), (200, "")) < KNOWN


def end_of_stream(gateway: Gateway, key: str, change: Callable[[], Any], mode: str = "slow") -> tuple[float, str]:
    """How long after a change a running stream ends, and with what."""
    body = {"model": gateway[mode], "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers, text = {"authorization": f"Bearer {key}"}, ""
    changed: list[float] = []

    def do() -> None:
        change()
        changed.append(time.monotonic())

    with httpx.stream("POST", gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30) as answer:
        assert answer.status_code == 200, answer.read()
        doing: threading.Thread | None = None
        for number, part in enumerate(answer.iter_text()):
            text += part
            if number == 3:
                doing = threading.Thread(target=do)
                doing.start()
        ended = time.monotonic()
    assert doing is not None
    doing.join(10)
    return ended - changed[0], text


def clock(moment: datetime) -> str:
    return moment.strftime("%H:%M:%S")


def test_a_running_stream_is_cut_when_the_time_for_it_is_over(gateway: Gateway):
    key = gateway.acme.key("developer", "legal")
    gateway["slow"]
    becomes(lambda: status(gateway, key), (200, ""))
    place = {"scope": "key", "target": str(gateway.acme.key_ids[key])}
    ends = datetime.now(UTC) + timedelta(seconds=3)
    hours = {"from": clock(ends - timedelta(hours=2)), "to": clock(ends)}
    rules = {"conditions": [{"unless": {"time": hours}, "refuse": "Only in office hours."}]}
    policy = gateway.manage("POST", "policies", {"name": token_hex(4), "applies_to": place, "rules": rules}, expect=201)
    waited, text = end_of_stream(
        gateway, key, lambda: gateway.manage("POST", f"policies/{policy['id']}/activate", expect=200)
    )
    assert datetime.now(UTC) < ends + timedelta(seconds=CUT)
    assert waited > 0.5  # it went on as long as it might
    assert ('"code":"revoked"' in text.replace(" ", ""), "[DONE]" in text) == (True, False)
    assert status(gateway, key) == (403, "policy_violation")


def test_a_running_stream_is_cut_when_its_key_is_revoked_or_its_model_withdrawn(gateway: Gateway):
    slow = gateway["slow"]
    identity = gateway.manage("GET", f"models?name={slow}")["results"][0]["id"]
    key = gateway.acme.key("developer", "legal")
    becomes(lambda: status(gateway, key), (200, ""))
    denied = {"name": token_hex(4), "rules": {"models": {"deny": [slow]}}}
    policy = gateway.manage(
        "POST",
        "policies",
        {**denied, "applies_to": {"scope": "key", "target": str(gateway.acme.key_ids[key])}},
        expect=201,
    )["id"]
    second = gateway.acme.key("developer", "legal")
    becomes(lambda: status(gateway, second), (200, ""))
    for used, change in (
        (key, lambda: gateway.manage("POST", f"policies/{policy}/activate", expect=200)),
        (second, lambda: gateway.manage("DELETE", f"api-keys/{gateway.acme.key_ids[second]}")),
    ):
        waited, text = end_of_stream(gateway, used, change)
        assert waited < CUT
        assert text.rstrip().endswith("}}")
        assert '"code":"revoked"' in text.replace(" ", "")
        assert "[DONE]" not in text
    third = gateway.acme.key("developer", "legal")
    becomes(lambda: status(gateway, third), (200, ""))
    waited, text = end_of_stream(gateway, third, lambda: gateway.manage("DELETE", f"models/{identity}"))
    assert (waited < CUT, "[DONE]" in text) == (True, False)
    assert becomes(lambda: status(gateway, third, "slow"), (404, "model_not_found")) < KNOWN


def test_what_refuses_calls_refuses_searches_and_all_else_that_tells_of_texts(gateway: Gateway):
    key = gateway.acme.key("developer", "legal")
    headers = {"authorization": f"Bearer {key}"}
    becomes(lambda: status(gateway, key), (200, ""))
    place = {"scope": "key", "target": str(gateway.acme.key_ids[key])}
    rules = {"conditions": [{"unless": {"purpose": ["support"]}, "refuse": "Say that it is for support."}]}
    policy = gateway.manage("POST", "policies", {"name": token_hex(4), "applies_to": place, "rules": rules}, expect=201)
    gateway.manage("POST", f"policies/{policy['id']}/activate", expect=200)
    becomes(lambda: status(gateway, key), (403, "policy_violation"))
    messages = [{"role": "user", "content": "x"}]
    for path, body in (
        ("retrieval/search", {"query": "x"}),
        ("moderations", {"input": "x"}),
        ("messages/count_tokens", {"model": gateway["echo"], "messages": messages}),
        ("embeddings", {"model": gateway["embed"], "input": "x"}),
        ("rerank", {"model": "local-rerank", "query": "x", "documents": ["x"]}),
        ("completions", {"model": gateway["echo"], "prompt": "x"}),
        ("responses", {"model": gateway["echo"], "input": "x"}),
        ("messages", {"model": gateway["echo"], "messages": messages, "max_tokens": 20}),
    ):
        answer = httpx.post(f"{gateway.root}/v1/{path}", json=body, headers=headers, timeout=30)
        assert (path, answer.status_code) == (path, 403), answer.text
    search = {"query": "x", "metadata": {"purpose": "support"}}
    assert httpx.post(f"{gateway.root}/v1/retrieval/search", json=search, headers=headers).status_code == 200
    search = {"query": "x", "metadata": {"purpose": "sales"}}
    refused = httpx.post(f"{gateway.root}/v1/retrieval/search", json=search, headers=headers)
    [event] = gateway.events(refused.headers["x-request-id"])
    assert (event["action"], event["decision"]) == ("call.refused", "deny")
