"""Bodies that mean nothing and keys that open nothing: OpenAI's shape of an error, and its SDK's class for it."""

from __future__ import annotations

from typing import Any

import httpx
import openai
import pytest

from tenants import keys
from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

HI = [{"role": "user", "content": "x"}]


class Instead(httpx.HTTPTransport):
    """Sends these bytes in the place of every body."""

    def __init__(self, body: bytes) -> None:
        super().__init__()
        self._body = body

    def handle_request(self, request: httpx.Request) -> httpx.Response:
        headers = {**request.headers, "content-length": str(len(self._body))}
        return super().handle_request(httpx.Request(request.method, request.url, headers=headers, content=self._body))


def told(error: openai.APIStatusError) -> tuple[int, str | None]:
    """Status and code of an error, after a look at its shape."""
    body = error.response.json()
    assert set(body) == {"error"}
    assert set(body["error"]) == {"message", "type", "param", "code"}
    assert error.response.headers["x-request-id"]
    return error.status_code, error.code


@pytest.mark.parametrize("route", ["chat", "embeddings"])
@pytest.mark.parametrize(
    "body",
    [
        b"",
        b'{"model": ',
        b'{"model": "m", "messages": [], "input": "x"} more',
        b'{"model": "\xff\xfe", "messages": [], "input": "x"}',
        b'{"model": "\\ud800", "messages": [{"role": "user", "content": "x"}], "input": "x"}',
        b'{"model": NaN}',
        b"[]",
        b'"text"',
        b"{}",
        b'{"model":' + b"[" * 100_000,
        b'{"model": "m", "input": "x", "messages": [{"role": "user", "content": "x"}], "x": '
        + b"[" * 99
        + b"]" * 99
        + b"}",
    ],
    ids=lambda body: repr(body[:24]),
)
def test_a_body_that_means_nothing_is_a_bad_request(gateway: Gateway, route: str, body: bytes):
    sdk = gateway.sdk().copy(http_client=httpx.Client(transport=Instead(body)))
    calls = {
        "chat": lambda: sdk.chat.completions.create(model="m", messages=HI),
        "embeddings": lambda: sdk.embeddings.create(model="m", input="x"),
    }
    with pytest.raises(openai.BadRequestError) as refused:
        calls[route]()
    assert told(refused.value) == (400, "invalid_request")


@pytest.mark.parametrize(
    ("param", "value"),
    [
        ("model", 5),
        ("messages", "hello"),
        ("messages", []),
        ("messages", ["hello"]),
        ("messages", [{"role": "user", "content": 5}]),
        ("messages", [{"role": 7, "content": "x"}]),
        ("max_tokens", "many"),
        ("max_tokens", -1),
        ("temperature", "warm"),
        ("n", 0),
        ("n", 1e9),
        ("stream", "yes"),
        ("stop", {"at": "once"}),
        ("tools", {"name": "book"}),
        ("retrieval", ["leases"]),
        ("retrieval", {"top_k": "all"}),
    ],
)
def test_a_field_of_a_wrong_type_is_named(gateway: Gateway, param: str, value: Any):
    with pytest.raises(openai.BadRequestError) as refused:
        gateway.sdk().chat.completions.create(model=gateway["echo"], messages=HI, extra_body={param: value})
    assert told(refused.value) == (400, "invalid_request")
    assert refused.value.param.startswith(param)


def test_a_body_that_is_too_large_is_refused_whether_or_not_it_says_so(gateway: Gateway):
    with pytest.raises(openai.APIStatusError) as refused:
        gateway.sdk().chat.completions.create(model=gateway["echo"], messages=[{**HI[0], "content": "x" * (11 << 20)}])
    assert told(refused.value) == (413, "request_too_large")
    headers = {"authorization": f"Bearer {gateway.key}"}
    parts = (b"x" * (1 << 20) for _ in range(11))
    answer = httpx.post(gateway.root + "/v1/chat/completions", content=parts, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["code"]) == (413, "request_too_large")


def test_a_model_that_does_not_exist_is_not_found(gateway: Gateway):
    for name in ("nothing", "../models", "\0", "x" * 10_000):
        with pytest.raises(openai.NotFoundError) as refused:
            gateway.sdk().chat.completions.create(model=name, messages=HI)
        assert told(refused.value) == (404, "model_not_found")


def test_a_key_that_opens_nothing_is_an_authentication_error(gateway: Gateway):
    revoked = gateway.acme.key("developer", "legal")
    gateway.manage("DELETE", f"api-keys/{gateway.acme.key_ids[revoked]}", expect=204)
    elsewhere = keys.derive(b"another installation", "acme/app").key
    for key in ("nobody", "sk-ch-nobody", gateway.key[:-1] + "0", elsewhere, revoked):
        with pytest.raises(openai.AuthenticationError) as refused:
            gateway.sdk(key).chat.completions.create(model=gateway["echo"], messages=HI)
        assert told(refused.value) == (401, "invalid_api_key")
        assert key not in refused.value.response.text


def test_another_tenants_key_does_not_even_find_the_model(gateway: Gateway, vendor: Vendor):
    before = len(vendor.inbox)
    charlie = house("globex", ("research",)).keys["developer"]
    with pytest.raises(openai.NotFoundError) as refused:
        gateway.sdk(charlie).chat.completions.create(model=gateway["echo"], messages=HI)
    assert told(refused.value) == (404, "model_not_found")
    assert len(vendor.inbox) == before


def test_a_key_that_may_not_call_the_model_is_denied(gateway: Gateway):
    narrow = gateway.acme.key("developer", "legal", model_names=[gateway["echo"]])
    for key, model in ((narrow, "fixed"), (gateway.acme.keys["auditor"], "echo")):
        with pytest.raises(openai.PermissionDeniedError) as refused:
            gateway.sdk(key).chat.completions.create(model=gateway[model], messages=HI)
        assert told(refused.value) == (403, "model_not_allowed")
