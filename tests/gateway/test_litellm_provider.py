"""Vendors that litellm translates for, against a vendor on loopback that speaks Anthropic's form."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator
from typing import Any

import pytest

from gateway.data import Tokens
from gateway.errors import (
    GatewayError,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.providers.events import EventReader
from gateway.providers.litellm_provider import LiteLLMProvider
from gateway.streaming import StreamRewriter
from tests.gateway.fakes import HANG_UP, STREAM_END, STREAM_HEAD, Names, Seen, Vendor, always, framed, http, target

pytestmark = [pytest.mark.asyncio, pytest.mark.filterwarnings("ignore::UserWarning", "ignore::DeprecationWarning")]

ASK: dict[str, Any] = {
    "model": "our-model",
    "messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": "hello"}],
    "max_tokens": 50,
}
MESSAGE = {
    "id": "msg_1",
    "type": "message",
    "role": "assistant",
    "model": "claude-sonnet-4-5",
    "content": [{"type": "text", "text": "hello [A]"}],
    "stop_reason": "end_turn",
    "stop_sequence": None,
    "usage": {
        "input_tokens": 10,
        "output_tokens": 4,
        "cache_read_input_tokens": 3,
        "cache_creation_input_tokens": 2,
    },
}
TOOLS = [{"type": "function", "function": {"name": "book", "parameters": {"type": "object", "properties": {}}}}]
TOKENS = Tokens(input=10, cached_input=3, cache_write=2, output=4)


def claude(vendor: Vendor, **more: Any) -> Any:
    more = {"model": "claude-sonnet-4-5", "vendor": "anthropic", "kind": "litellm", **more}
    return target(vendor.url.removesuffix("/v1"), **more)


def event(kind: str, **value: Any) -> bytes:
    return f"event: {kind}\ndata: {json.dumps({'type': kind, **value})}\n\n".encode()


def message_events(*blocks: bytes, stop: str = "end_turn") -> list[bytes]:
    start = {**MESSAGE, "content": [], "stop_reason": None}
    return [
        event("message_start", message=start),
        *blocks,
        event("message_delta", delta={"stop_reason": stop, "stop_sequence": None}, usage={"output_tokens": 4}),
        event("message_stop"),
    ]


def text_block(*pieces: str) -> list[bytes]:
    return [
        event("content_block_start", index=0, content_block={"type": "text", "text": ""}),
        *(event("content_block_delta", index=0, delta={"type": "text_delta", "text": piece}) for piece in pieces),
        event("content_block_stop", index=0),
    ]


def tool_block(*pieces: str) -> list[bytes]:
    start = {"type": "tool_use", "id": "toolu_1", "name": "book", "input": {}}
    deltas = ({"type": "input_json_delta", "partial_json": piece} for piece in pieces)
    return [
        event("content_block_start", index=0, content_block=start),
        *(event("content_block_delta", index=0, delta=delta) for delta in deltas),
        event("content_block_stop", index=0),
    ]


def streamed(parts: list[bytes]) -> Any:
    return always(STREAM_HEAD, *map(framed, parts), STREAM_END)


async def stream(at: Any, body: dict[str, Any]) -> tuple[bytes, StreamRewriter]:
    """What the client gets; each block is as strict as those of any other upstream."""
    reader, rewriter, out = EventReader(), StreamRewriter("m", "id", Names, include_usage=True), b""
    async for block in LiteLLMProvider().stream(at, body):
        assert reader.feed(block) == block
        out += rewriter.feed(block)
    assert rewriter.done
    return out + rewriter.end(), rewriter


async def test_a_plain_call() -> None:
    async with Vendor(always(http(200, MESSAGE))) as vendor:
        reply = await LiteLLMProvider().chat(claude(vendor), {**ASK, "x_passages": [], "user": "u", "seed": 1})
    message = reply.body["choices"][0]["message"]
    assert (message["role"], message["content"]) == ("assistant", "hello [A]")
    assert reply.body["choices"][0]["finish_reason"] == "stop"
    assert reply.tokens == TOKENS
    seen = vendor.seen[0]
    assert seen.path == "/v1/messages"
    assert seen.headers["x-api-key"] == "sk-upstream-secret"
    assert seen.body["model"] == "claude-sonnet-4-5"
    assert "x_passages" not in seen.body
    json.dumps(reply.body)


async def test_tools() -> None:
    content = [{"type": "tool_use", "id": "toolu_1", "name": "book", "input": {"room": 5}}]
    async with Vendor(always(http(200, {**MESSAGE, "content": content, "stop_reason": "tool_use"}))) as vendor:
        reply = await LiteLLMProvider().chat(claude(vendor), {**ASK, "tools": TOOLS})
    choice = reply.body["choices"][0]
    assert choice["finish_reason"] == "tool_calls"
    assert json.loads(choice["message"]["tool_calls"][0]["function"]["arguments"]) == {"room": 5}
    assert choice["message"]["content"] is None


async def test_a_stream() -> None:
    async with Vendor(streamed(message_events(*text_block("hello [", "A", "]", " and more")))) as vendor:
        out, rewriter = await stream(claude(vendor), ASK)
    assert rewriter.restored() == 'hello Alice "Al" Roe and more'
    assert rewriter.tokens == TOKENS
    assert rewriter.finish_reasons == {0: "stop"}
    assert vendor.seen[0].body["stream"] is True
    assert b"claude" not in out
    assert b"cost" not in out


async def test_a_streamed_tool_call() -> None:
    events = message_events(*tool_block('{"to": ', '"[A', ']"}'), stop="tool_use")
    async with Vendor(streamed(events)) as vendor:
        out, rewriter = await stream(claude(vendor), {**ASK, "tools": TOOLS})
    assert rewriter.finish_reasons == {0: "tool_calls"}
    arguments = "".join(
        call["function"].get("arguments") or ""
        for line in out.decode().splitlines()
        if line.startswith("data: {")
        for choice in json.loads(line[6:])["choices"]
        for call in choice["delta"].get("tool_calls") or ()
    )
    assert json.loads(arguments) == {"to": 'Alice "Al" Roe'}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, UpstreamRejected),
        (401, UpstreamUnauthorized),
        (403, UpstreamUnauthorized),
        (404, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamError),
        (529, UpstreamError),
    ],
)
async def test_each_status_is_an_error_of_ours(status: int, expected: type[GatewayError]) -> None:
    body = {"type": "error", "error": {"type": "some_error", "message": "no, sk-upstream-secret is wrong"}}
    async with Vendor(always(http(status, body, retry_after="3"))) as vendor:
        for call in (LiteLLMProvider().chat(claude(vendor), ASK), stream(claude(vendor), ASK)):
            with pytest.raises(expected) as raised:
                await call
            assert type(raised.value) is expected
            assert "sk-upstream-secret" not in str(raised.value)
            assert str(vendor.port) not in str(raised.value)
    assert len(vendor.seen) == 2  # litellm retries nothing
    if status == 429:
        assert raised.value.retry_after == 3.0


async def never(_: Seen) -> AsyncIterator[bytes]:
    await asyncio.sleep(60)
    yield b""


async def test_time_limits() -> None:
    async with Vendor(never) as vendor:
        with pytest.raises(UpstreamTimeout):
            await LiteLLMProvider().chat(claude(vendor, timeout_s=0.2), ASK)
        with pytest.raises(UpstreamTimeout):
            await stream(claude(vendor, first_token_timeout_s=0.2), ASK)


@pytest.mark.parametrize("body", [b"<html>", b"{}"])
async def test_garbage_is_an_upstream_error(body: bytes) -> None:
    async with Vendor(always(http(200, body))) as vendor:
        with pytest.raises(UpstreamError):
            await LiteLLMProvider().chat(claude(vendor), ASK)


async def keep(blocks: AsyncIterator[bytes], said: list[bytes]) -> None:
    async for block in blocks:
        said.append(block)  # noqa: PERF401  what was said before an error counts


@pytest.mark.parametrize("end", [HANG_UP, STREAM_END, framed(event("error", error={"type": "overloaded_error"}))])
async def test_a_stream_that_ends_too_early_is_an_error(end: bytes) -> None:
    half = message_events(*text_block("hello ", "there"))[:4]
    async with Vendor(always(STREAM_HEAD, *map(framed, half), end, HANG_UP)) as vendor:
        said: list[bytes] = []
        with pytest.raises(UpstreamError):
            await keep(LiteLLMProvider().stream(claude(vendor), ASK), said)
    assert b"there" in b"".join(said)
    assert b"[DONE]" not in b"".join(said)


async def test_closing_the_generator_hangs_up() -> None:
    async def endless(_: Seen) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        start, *_ = message_events()
        yield framed(start + text_block("a")[0])
        while True:
            yield framed(text_block("word ")[1])
            await asyncio.sleep(0.005)

    async with Vendor(endless) as vendor:
        answer = LiteLLMProvider().stream(claude(vendor), ASK)
        for _ in range(3):
            await anext(answer)
        await answer.aclose()
        await asyncio.wait_for(vendor.hung_up.wait(), 2)


# -- what litellm is not given ----------------------------------------------------------------------------------------


async def test_a_client_cannot_point_litellm_elsewhere() -> None:
    bad = {
        "api_base": "http://127.0.0.1:1",
        "base_url": "http://127.0.0.1:1",
        "api_key": "stolen",
        "custom_llm_provider": "openai",
        "extra_headers": {"x-evil": "1"},
        "mock_response": "nothing was asked",
        "fallbacks": ["gpt-4o"],
        "metadata": {"a": "b"},
    }
    async with Vendor(always(http(200, MESSAGE))) as vendor:
        reply = await LiteLLMProvider().chat(claude(vendor), {**ASK, **bad})
    assert reply.body["choices"][0]["message"]["content"] == "hello [A]"
    assert vendor.seen[0].headers["x-api-key"] == "sk-upstream-secret"
    assert "x-evil" not in vendor.seen[0].headers


async def test_a_credential_in_the_environment_is_not_used(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-of-the-operator")
    async with Vendor(always(http(200, MESSAGE))) as vendor:
        await LiteLLMProvider().chat(claude(vendor, credential=""), ASK)
    assert "sk-of-the-operator" not in str(vendor.seen[0].headers)


@pytest.mark.parametrize(
    "credential", ["os.environ/HOME", "oidc/google/x", '{"api_key": "os.environ/HOME"}', "{broken"]
)
async def test_a_credential_that_points_elsewhere_is_refused(credential: str) -> None:
    async with Vendor(always(http(200, MESSAGE))) as vendor:
        with pytest.raises(UpstreamUnauthorized):
            await LiteLLMProvider().chat(claude(vendor, credential=credential), ASK)
    assert vendor.seen == []


@pytest.mark.parametrize("vendor", ["bedrock", "vertex_ai", "sagemaker"])
async def test_vendors_that_would_look_around_need_their_credential(vendor: str) -> None:
    with pytest.raises(UpstreamUnauthorized, match="credential with"):
        await LiteLLMProvider().chat(target(model="x", vendor=vendor), ASK)


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "http://169.254.169.254/latest"}},
        {"type": "image_url", "image_url": " HTTPS://example.com/a.png"},
        {"type": "file", "file": {"file_id": "gs://bucket/a.pdf"}},
        {"type": "x_new", "x": [{"y": "file:///etc/passwd"}]},
    ],
)
async def test_nothing_is_fetched_for_a_request(part: dict[str, Any]) -> None:
    async with Vendor(always(http(200, MESSAGE))) as vendor:
        body = {**ASK, "messages": [{"role": "user", "content": [{"type": "text", "text": "http://a is fine"}, part]}]}
        with pytest.raises(UpstreamRejected, match="inline"):
            await LiteLLMProvider().chat(claude(vendor), body)
    assert vendor.seen == []


@pytest.mark.parametrize(("url", "vendor"), [("http://127.0.0.1:1", "anthropic"), ("", "ollama"), ("", "hosted_vllm")])
async def test_a_tenants_own_provider_goes_to_public_vendors_only(url: str, vendor: str) -> None:
    with pytest.raises(UpstreamError, match="public address"):
        await LiteLLMProvider().chat(target(url, vendor=vendor, guarded=True), ASK)
