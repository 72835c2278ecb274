"""Personal data that a model makes up is treated as the policy's rules for responses say; what it was told is not."""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator
from typing import Any

import openai
import pytest

from tests.dataplane.conftest import Gateway
from tests.vendor import INVENTED, Vendor

TOLD = "Mary Roe <mary.roe@corp.com> of Berlin, phone +49 30 1234567, says hello."
Activate = Callable[[dict[str, Any]], None]


@pytest.fixture(scope="module")
def policy(gateway: Gateway) -> Iterator[Activate]:
    def activate(pii: dict[str, Any]) -> None:
        gateway.put_in_force("answers", {"pii": pii})

    yield activate
    activate({"default": "placeholder"})


def both(action: str) -> dict[str, Any]:
    return {"default": {"action": action, "directions": ["request", "response"]}}


def answered(gateway: Gateway, stream: bool, text: str = TOLD) -> str:
    asked: dict[str, Any] = {"model": gateway["invents"], "messages": [{"role": "user", "content": text}]}
    if not stream:
        return str(gateway.sdk().chat.completions.create(**asked).choices[0].message.content)
    chunks = gateway.sdk().chat.completions.create(**asked, stream=True)
    return "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices)


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("request_action", ["placeholder", "surrogate"])
def test_what_it_was_told_comes_back_and_what_it_made_up_does_not(
    gateway: Gateway, policy: Activate, stream: bool, request_action: str
):
    policy(
        {
            "default": {"action": request_action, "directions": ["request", "response"]},
            "PERSON": both("mask")["default"],
        }
    )
    if request_action == "surrogate":
        policy(both("surrogate"))
    said = answered(gateway, stream)
    for word in ("Carol", "Danvers", "rival.example", "Rotterdam", "7946 0018"):
        assert word not in said
    if request_action == "surrogate":
        assert said.startswith(TOLD)
        assert "[" not in said
    else:
        assert "mary.roe@corp.com" in said
        assert re.search(r"\[LOCATION_[A-Z0-9]{5}\]", said)
        assert "***** *******" in said


@pytest.mark.parametrize("stream", [False, True])
def test_without_a_rule_for_answers_they_pass(gateway: Gateway, policy: Activate, stream: bool):
    policy({"default": "placeholder"})
    assert answered(gateway, stream) == f"{TOLD} {INVENTED}"


@pytest.mark.parametrize("stream", [False, True])
def test_what_was_let_pass_in_the_request_is_no_invention(gateway: Gateway, policy: Activate, stream: bool):
    policy({"default": "allow", "PERSON": {"action": "mask", "directions": ["response"]}})
    said = answered(gateway, stream, text="Mary Roe asks")
    assert said.startswith("Mary Roe asks Ask ***** *******")
    assert "carol.danvers@rival.example" in said


def test_a_blocked_answer_is_paid_and_recorded_and_nobody_gets_it(gateway: Gateway, vendor: Vendor, policy: Activate):
    policy({"default": "placeholder", "EMAIL_ADDRESS": {"action": "block", "directions": ["response"]}})
    before = len(vendor.inbox)
    with pytest.raises(openai.PermissionDeniedError, match=r"personal_data.*EMAIL_ADDRESS") as refused:
        answered(gateway, stream=False, text="Who knows?")
    assert len(vendor.inbox) == before + 1
    events = gateway.events(refused.value.response.headers["x-request-id"])
    outcome = next(event for event in events if event["action"] == "call.outcome")
    assert float(outcome["cost"]) > 0
    [decision] = outcome["detail"]["guardrails"]
    assert (decision["guardrail"], decision["mode"], decision["label"]) == ("personal_data", "block", "EMAIL_ADDRESS")
    assert "carol" not in json.dumps(events)


def test_the_trail_tells_how_much_was_made_up(gateway: Gateway, policy: Activate):
    policy(both("placeholder"))
    answer = gateway.ask("invents", "Who knows?")
    events = gateway.events(answer.headers["x-request-id"])
    outcome = next(event for event in events if event["action"] == "call.outcome")
    told = {row["label"]: row["count"] for row in outcome["detail"]["guardrails"]}
    assert told == {"EMAIL_ADDRESS": 1, "LOCATION": 1, "PERSON": 1, "PHONE_NUMBER": 1}
    assert {row["direction"] for row in outcome["detail"]["guardrails"]} == {"response"}
