"""A vendor that fails: retry or fallback before the first byte, a clear error after it."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import httpx
import openai
import pytest

from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

LONG = "a text that is long enough to break in the middle of it"


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def outcome(gateway: Gateway, request_id: str) -> dict[str, Any]:
    [found] = [event for event in gateway.events(request_id) if event["action"] == "call.outcome"]
    return found


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("mode", "error", "status", "code"),
    [
        ("error-400", openai.BadRequestError, 400, "upstream_rejected"),
        ("error-429", openai.RateLimitError, 429, "upstream_rate_limited"),
        ("error-500", openai.InternalServerError, 502, "upstream_error"),
        ("garbage", openai.InternalServerError, 502, "upstream_error"),
        ("hang", openai.InternalServerError, 504, "upstream_timeout"),
    ],
)
def test_a_vendor_that_fails_is_told_in_the_sdks_class(
    gateway: Gateway, mode: str, error: type[openai.APIStatusError], status: int, code: str, stream: bool
):
    with pytest.raises(error) as raised:
        gateway.sdk().chat.completions.create(model=gateway[mode], messages=say("x"), stream=stream)
    assert (raised.value.status_code, raised.value.code) == (status, code)
    ended = outcome(gateway, raised.value.response.headers["x-request-id"])
    assert (ended["reason"], Decimal(ended["cost"])) == (code, 0)


def test_what_the_vendor_rejects_is_not_sent_again(gateway: Gateway, vendor: Vendor):
    before = len(vendor.inbox)
    gateway.ask("error-400", "x")
    assert len(vendor.inbox) == before + 1


@pytest.mark.parametrize("stream", [False, True])
def test_a_connection_that_was_reset_before_any_byte_is_tried_again(gateway: Gateway, vendor: Vendor, stream: bool):
    before = len(vendor.inbox)
    answer = gateway.ask("reset", f"again {stream}", stream=stream)
    assert answer.status_code == 200
    assert len(vendor.inbox) == before + 2
    assert outcome(gateway, answer.headers["x-request-id"])["tokens"]["output"] == 10


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize("mode", ["error-429", "error-500", "garbage", "hang"])
def test_another_deployment_answers_before_the_first_byte(gateway: Gateway, mode: str, stream: bool):
    routes = [{"deployment": gateway[name], "priority": number} for number, name in enumerate((mode, "echo"), 1)]
    name = f"{gateway.run}-{mode}-else-echo-{stream}"
    gateway.manage("POST", "models", {"name": name, "deployments": routes}, expect=201)
    gateway.wait_for_model(name)
    body = {"model": name, "messages": say("still here"), "stream": stream}
    headers = {"authorization": f"Bearer {gateway.key}"}
    answer = httpx.post(gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30)
    assert (answer.status_code, answer.headers["x-customhouse-model"]) == (200, f"{gateway.run}/echo")
    assert outcome(gateway, answer.headers["x-request-id"])["deployment"] == f"{gateway.run}/echo"


@pytest.mark.parametrize(
    ("mode", "code"), [("breaks", "upstream_error"), ("garbles", "upstream_error"), ("stalls", "upstream_timeout")]
)
def test_a_stream_that_goes_wrong_says_so_and_charges_what_was_delivered(gateway: Gateway, mode: str, code: str):
    answer = gateway.ask(mode, LONG, stream=True)
    assert answer.status_code == 200
    assert f'"code":"{code}"' in answer.text.rstrip().rpartition("\n")[2]
    assert "[DONE]" not in answer.text
    ended = outcome(gateway, answer.headers["x-request-id"])
    assert ended["reason"] == code
    assert 0 < ended["tokens"]["output"] < len(LONG.split())


def test_the_sdk_raises_in_the_middle_of_such_a_stream(gateway: Gateway):
    events = gateway.sdk().chat.completions.create(model=gateway["breaks"], messages=say(LONG), stream=True)
    said: list[str] = []
    with pytest.raises(openai.APIError) as raised:
        said.extend(event.choices[0].delta.content or "" for event in events)
    assert raised.value.code == "upstream_error"
    assert "".join(said)
    assert LONG.startswith("".join(said))
