"""However a call ends, there is one intent, one outcome and one charge."""

from __future__ import annotations

import threading
import time
from collections.abc import Callable
from decimal import Decimal

import httpx

from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor


def actions(gateway: Gateway, request_id: str) -> list[str]:
    return sorted(event["action"] for event in gateway.events(request_id))


def test_every_call_is_recorded_once(gateway: Gateway):
    answers = [gateway.ask(mode, "hello") for mode in ("echo", "error-500", "garbage", "no-usage")]
    for answer in answers:
        assert actions(gateway, answer.headers["x-request-id"]) == ["call.intent", "call.outcome"]


def test_a_refused_call_leaves_one_event_and_nothing_leaves_the_house(gateway: Gateway, vendor: Vendor):
    before = len(vendor.inbox)
    answer = gateway.ask("echo", "x", key=gateway.acme.key("developer", "legal", model_names=["other"]))
    assert actions(gateway, answer.headers["x-request-id"]) == ["call.refused"]
    assert len(vendor.inbox) == before


def test_usage_not_counted_by_the_vendor_is_estimated_and_flagged(gateway: Gateway):
    gateway.ask("no-usage", "some words to count")
    rows = gateway.manage("GET", "billing/usage?group_by=model")["results"]
    row = next(row for row in rows if row["model"] == gateway["no-usage"])
    assert row["estimated"] > 0
    assert row["output_tokens"] > 0


def test_a_client_that_hangs_up_pays_for_what_was_delivered(gateway: Gateway, vendor: Vendor):
    body = {"model": gateway["slow"], "messages": [{"role": "user", "content": "x"}], "stream": True}
    headers = {"authorization": f"Bearer {gateway.key}"}
    before = vendor.hung_up
    with httpx.stream("POST", gateway.root + "/v1/chat/completions", json=body, headers=headers) as answer:
        assert answer.status_code == 200, answer.read()
        request_id = answer.headers["x-request-id"]
        for number, _ in enumerate(answer.iter_bytes()):
            if number == 5:
                break
    outcome = _outcome(gateway, request_id)
    assert outcome["reason"] == "interrupted"
    assert 0 < outcome["tokens"]["output"] < 100
    # input is counted here, for the vendor did not get to say; each token at its price
    charged = outcome["tokens"]["input"] * Decimal("0.000003") + outcome["tokens"]["output"] * Decimal("0.000015")
    assert Decimal(outcome["cost"]) == charged
    assert eventually(lambda: vendor.hung_up == before + 1), "the vendor goes on, and so does its bill"


def test_a_revoked_key_is_refused_at_once_and_its_stream_is_cut(gateway: Gateway):
    key = gateway.acme.key("developer", "legal")
    revoked = gateway.acme.key_ids[key]
    body = {"model": gateway["slow"], "messages": [{"role": "user", "content": "x"}], "stream": True}
    text = []

    def listen() -> None:
        headers = {"authorization": f"Bearer {key}"}
        with httpx.stream(
            "POST", gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30
        ) as answer:
            text.extend(answer.iter_text())

    stream = threading.Thread(target=listen)
    stream.start()
    time.sleep(1)
    gateway.manage("DELETE", f"api-keys/{revoked}", expect=204)
    began = time.monotonic()
    stream.join(10)
    assert time.monotonic() - began < 2
    assert '"code":"revoked"' in "".join(text)
    assert "[DONE]" not in "".join(text)
    assert gateway.ask("echo", "x", key=key).status_code == 401


def test_a_budget_is_reached_and_never_passed(gateway: Gateway):
    poor = house("poor", ("legal",))
    gateway.manage(
        "PATCH", f"providers/{gateway.provider}", {"tenants": [gateway.acme.slug, poor.slug]}, gateway.platform_key
    )
    mine = Gateway(gateway.root, poor, gateway.platform_key, gateway.run + "p", gateway.provider)
    assert mine.ask("echo", "x").status_code == 200
    mine.manage("POST", "budgets", {"scope": "tenant", "period": "day", "limit": "0.01"}, expect=201)
    answers = [mine.ask("echo", "x", max_tokens=20) for _ in range(40)]
    last = answers[-1]
    assert answers[0].status_code == 200
    assert (last.status_code, last.json()["error"]["code"]) == (429, "insufficient_quota")
    assert last.headers["x-should-retry"] == "false"
    [budget] = mine.manage("GET", "budgets")["results"]
    [refused] = mine.events(last.headers["x-request-id"])
    assert (refused["action"], refused["detail"]["budget"]) == ("call.refused", budget["id"])
    assert Decimal(budget["spent"]) + Decimal(budget["reserved"]) <= Decimal("0.01")


def test_globex_reaches_nothing_of_acmes(gateway: Gateway):
    globex = house("globex", ("research",))
    key = globex.keys["developer"]
    assert gateway.ask("echo", "x", key=key).json()["error"]["code"] == "model_not_found"
    found = gateway.manage("GET", "audit/events", key=globex.keys["admin"])["results"]
    assert gateway.acme.slug not in str(found)
    assert str(gateway.acme.id) not in str(found)


def eventually(holds: Callable[[], bool]) -> bool:
    for _ in range(50):
        if holds():
            return True
        time.sleep(0.1)
    return False


def _outcome(gateway: Gateway, request_id: str) -> dict:
    assert eventually(lambda: "call.outcome" in actions(gateway, request_id)), "no outcome"
    return next(event for event in gateway.events(request_id) if event["action"] == "call.outcome")
