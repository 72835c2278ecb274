"""Calls over real sockets to a vendor that answers exactly as told."""

from __future__ import annotations

import asyncio
import socket
from collections.abc import AsyncIterator
from typing import Any

import pytest
import pytest_asyncio

from gateway.data import Tokens
from gateway.errors import (
    GatewayError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.providers.events import DONE
from gateway.providers.http import is_public
from gateway.providers.openai_compatible import OpenAICompatible, retry_after
from tests.gateway.fakes import (
    HANG_UP,
    STREAM_END,
    STREAM_HEAD,
    Seen,
    Vendor,
    always,
    completion,
    events,
    framed,
    http,
    target,
)

pytestmark = pytest.mark.asyncio

ASK: dict[str, Any] = {"model": "our-model", "messages": [{"role": "user", "content": "hello"}]}
USAGE = {
    "prompt_tokens": 10,
    "completion_tokens": 9,
    "prompt_tokens_details": {"cached_tokens": 4},
    "completion_tokens_details": {"reasoning_tokens": 2},
}


@pytest_asyncio.fixture
async def provider() -> AsyncIterator[OpenAICompatible]:
    found = OpenAICompatible()
    yield found
    await found.close()


def streamed(*parts: bytes) -> tuple[bytes, ...]:
    return (STREAM_HEAD, *map(framed, parts), STREAM_END)


async def collect(provider: OpenAICompatible, at: Any) -> list[bytes]:
    return [block async for block in provider.stream(at, ASK)]


# -- plain ----------------------------------------------------------------------------------------------------------


async def test_a_plain_call(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi", USAGE)))) as vendor:
        reply = await provider.chat(target(vendor.url), {**ASK, "x_new": 1, "stream_options": None})
    assert reply.body["choices"][0]["message"]["content"] == "hi"
    assert reply.tokens == Tokens(input=6, cached_input=4, output=7, reasoning=2)
    seen = vendor.seen[0]
    assert seen.path == "/v1/chat/completions"
    assert seen.headers["authorization"] == "Bearer sk-upstream-secret"
    assert seen.body == {"model": "up-1", "messages": ASK["messages"], "x_new": 1}


async def test_the_gateways_own_fields_stay_in_the_house(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi")))) as vendor:
        await provider.chat(target(vendor.url), {**ASK, "x_passages": [{"text": "secret"}]})
    assert "x_passages" not in vendor.seen[0].body


async def test_without_usage_there_are_no_tokens(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi")))) as vendor:
        assert (await provider.chat(target(vendor.url), ASK)).tokens is None


async def test_embeddings(provider: OpenAICompatible) -> None:
    answer = {"object": "list", "data": [{"index": 0, "embedding": [0.5]}], "usage": {"prompt_tokens": 3}}
    async with Vendor(always(http(200, answer))) as vendor:
        reply = await provider.embed(target(vendor.url), {"input": ["a"], "model": "x"})
    assert vendor.seen[0].path == "/v1/embeddings"
    assert reply.tokens == Tokens(embedding=3)


async def test_connections_are_kept(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi")))) as vendor:
        for _ in range(3):
            await provider.chat(target(vendor.url), ASK)
    assert vendor.connections == 1


async def test_azure_names_the_deployment_in_its_address(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi")))) as vendor:
        root = vendor.url.removesuffix("/v1")
        await provider.chat(target(root, "gpt/4o", vendor="azure"), ASK)
        await provider.chat(target(root + "/openai/deployments/four?api-version=1", vendor="azure"), ASK)
        await provider.chat(target(root + "/openai/v1", vendor="azure"), ASK)
    assert [seen.path for seen in vendor.seen] == [
        "/openai/deployments/gpt%2F4o/chat/completions?api-version=2024-10-21",
        "/openai/deployments/four/chat/completions?api-version=1",
        "/openai/v1/chat/completions",
    ]
    assert vendor.seen[0].headers["api-key"] == "sk-upstream-secret"
    assert "authorization" not in vendor.seen[0].headers


@pytest.mark.parametrize("body", [b"<html>It works!</html>", b"[]", b"{}", b'{"choices": 1}', b'{"error": "no"}'])
async def test_an_answer_that_is_none_is_an_upstream_error(provider: OpenAICompatible, body: bytes) -> None:
    async with Vendor(always(http(200, body))) as vendor:
        with pytest.raises(UpstreamError):
            await provider.chat(target(vendor.url), ASK)


# -- errors ---------------------------------------------------------------------------------------------------------

REFUSED = {"error": {"message": "no: sk-upstream-secret", "type": "invalid_request_error", "param": "messages"}}


@pytest.mark.parametrize(
    ("status", "expected"),
    [
        (400, UpstreamRejected),
        (401, UpstreamUnauthorized),
        (403, UpstreamUnauthorized),
        (404, UpstreamRejected),
        (408, UpstreamTimeout),
        (422, UpstreamRejected),
        (429, UpstreamRateLimited),
        (500, UpstreamError),
        (503, UpstreamError),
        (302, UpstreamError),
    ],
)
async def test_each_status_is_an_error_of_ours(
    provider: OpenAICompatible, status: int, expected: type[GatewayError]
) -> None:
    async with Vendor(always(http(status, REFUSED, location="/v1/elsewhere", retry_after="7"))) as vendor:
        for call in (provider.chat(target(vendor.url), ASK), collect(provider, target(vendor.url))):
            with pytest.raises(expected) as raised:
                await call
            assert type(raised.value) is expected
            assert "sk-upstream-secret" not in str(raised.value)
    assert len(vendor.seen) == 2
    if status == 429:
        assert raised.value.retry_after == 7.0
    if status == 400:
        assert "no: [credential]" in str(raised.value)
        assert raised.value.param == "messages"


@pytest.mark.parametrize(
    ("headers", "seconds"),
    [
        ({}, None),
        ({"retry-after": "2"}, 2.0),
        ({"retry-after": "0.5"}, 0.5),
        ({"retry-after-ms": "250", "retry-after": "9"}, 0.25),
        ({"retry-after": "Thu, 01 Jan 1970 00:00:00 GMT"}, 0.0),
        ({"retry-after": "soon"}, None),
    ],
)
async def test_how_long_a_vendor_asks_to_wait(headers: dict[str, str], seconds: float | None) -> None:
    assert retry_after(headers) == seconds


async def test_nobody_listening_is_an_upstream_error(provider: OpenAICompatible) -> None:
    with socket.socket() as free:
        free.bind(("127.0.0.1", 0))
        port = free.getsockname()[1]
    with pytest.raises(UpstreamError) as raised:
        await provider.chat(target(f"http://127.0.0.1:{port}/v1"), ASK)
    assert str(port) not in str(raised.value)


@pytest.mark.parametrize("address", ["", "no-address", "ftp://x/v1", "http://", "file:///etc/passwd"])
async def test_an_address_that_is_none_is_an_upstream_error(provider: OpenAICompatible, address: str) -> None:
    with pytest.raises(UpstreamError):
        await provider.chat(target(address), ASK)


async def test_a_reset_before_any_byte_may_be_tried_again(provider: OpenAICompatible) -> None:
    async with Vendor(always(HANG_UP)) as vendor:
        for call in (provider.chat(target(vendor.url), ASK), collect(provider, target(vendor.url))):
            with pytest.raises(UpstreamDisconnected):
                await call


async def test_a_break_in_a_plain_answer_may_not(provider: OpenAICompatible) -> None:
    async with Vendor(always(http(200, completion("hi"))[:-10], HANG_UP)) as vendor:
        with pytest.raises(UpstreamError) as raised:
            await provider.chat(target(vendor.url), ASK)
    assert not isinstance(raised.value, UpstreamDisconnected)


async def never(_: Seen) -> AsyncIterator[bytes]:
    await asyncio.sleep(60)
    yield b""


async def test_a_plain_answer_has_its_total_time(provider: OpenAICompatible) -> None:
    async with Vendor(never) as vendor:
        with pytest.raises(UpstreamTimeout):
            await provider.chat(target(vendor.url, timeout_s=0.1), ASK)


async def test_an_answer_that_is_too_large_is_refused(
    provider: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr("gateway.providers.openai_compatible.MOST_BYTES", 1000)
    async with Vendor(always(http(200, completion("x" * 2000)))) as vendor:
        with pytest.raises(UpstreamError, match="larger"):
            await provider.chat(target(vendor.url), ASK)


# -- streams --------------------------------------------------------------------------------------------------------

STREAM = b"".join(events([{"content": "Grüße"}, {"content": " 😀"}], usage=USAGE))


async def test_usage_is_always_asked_for(provider: OpenAICompatible) -> None:
    async with Vendor(always(*streamed(STREAM))) as vendor:
        await collect(provider, target(vendor.url))
    assert vendor.seen[0].body["stream"] is True
    assert vendor.seen[0].body["stream_options"] == {"include_usage": True}


async def test_a_stream_cut_at_every_byte_is_the_same_stream(provider: OpenAICompatible) -> None:
    async def bytewise(_: Seen) -> AsyncIterator[bytes]:
        for byte in b"".join(streamed(STREAM)):
            yield bytes([byte])

    async with Vendor(bytewise) as vendor:
        blocks = await collect(provider, target(vendor.url))
    assert b"".join(blocks) == STREAM
    assert len(blocks) > 2


async def test_events_come_as_they_arrive(provider: OpenAICompatible) -> None:
    go_on = asyncio.Event()

    async def slowly(_: Seen) -> AsyncIterator[bytes]:
        first, *rest = events([{"content": "a"}, {"content": "b"}])
        yield STREAM_HEAD + framed(first)
        await go_on.wait()
        yield b"".join(map(framed, rest)) + STREAM_END

    async with Vendor(slowly) as vendor:
        stream = provider.stream(target(vendor.url), ASK)
        assert b'"a"' in await anext(stream)
        go_on.set()
        assert (await anext(stream)).endswith(DONE)


async def test_the_connection_of_a_stream_is_kept(provider: OpenAICompatible) -> None:
    async with Vendor(always(b"".join(streamed(STREAM)))) as vendor:
        for _ in range(3):
            await collect(provider, target(vendor.url))
    assert vendor.connections == 1


@pytest.mark.parametrize(
    "parts",
    [
        (STREAM_HEAD, framed(STREAM[:200]), HANG_UP),
        (STREAM_HEAD, framed(STREAM.replace(DONE, b"")), STREAM_END),
    ],
    ids=["broken", "without an end"],
)
async def test_a_stream_that_ends_too_early_is_an_error(provider: OpenAICompatible, parts: tuple[bytes, ...]) -> None:
    async with Vendor(always(*parts)) as vendor:
        stream = provider.stream(target(vendor.url), ASK)
        assert await anext(stream)
        with pytest.raises(UpstreamError):
            async for _ in stream:
                pass


@pytest.mark.parametrize("body", [b'data: {"choices": [{"delta"\n\n', b"<html>\n\n</html>", b""])
async def test_garbage_is_an_error_before_the_first_block(provider: OpenAICompatible, body: bytes) -> None:
    async with Vendor(always(http(200, body))) as vendor:
        with pytest.raises(UpstreamError):
            await anext(provider.stream(target(vendor.url), ASK))


async def test_an_error_inside_the_stream_comes_after_what_was_sent(provider: OpenAICompatible) -> None:
    first = events([{"content": "a"}])[0]
    async with Vendor(always(*streamed(first + b'data: {"error": {"message": "overloaded"}}\n\n'))) as vendor:
        stream = provider.stream(target(vendor.url), ASK)
        assert await anext(stream) == first
        with pytest.raises(UpstreamError, match="overloaded"):
            await anext(stream)


async def test_the_first_token_has_its_own_time(provider: OpenAICompatible) -> None:
    async def head_only(_: Seen) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        await asyncio.sleep(60)

    for answer in (never, head_only):
        async with Vendor(answer) as vendor:
            at = target(vendor.url, first_token_timeout_s=0.1, timeout_s=60)
            with pytest.raises(UpstreamTimeout):
                await asyncio.wait_for(anext(provider.stream(at, ASK)), 2)


async def test_a_stream_has_its_total_time(provider: OpenAICompatible) -> None:
    async def endless(_: Seen) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        while True:
            yield framed(events([{"content": "a"}])[0])
            await asyncio.sleep(0.02)

    async with Vendor(endless) as vendor:
        with pytest.raises(UpstreamTimeout):
            await collect(provider, target(vendor.url, timeout_s=0.3))


async def test_closing_the_generator_hangs_up_at_once(provider: OpenAICompatible) -> None:
    async def endless(_: Seen) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        while True:
            yield framed(events([{"content": "a"}])[0])
            await asyncio.sleep(0.005)

    async with Vendor(endless) as vendor:
        stream = provider.stream(target(vendor.url), ASK)
        await anext(stream)
        await stream.aclose()
        await asyncio.wait_for(vendor.hung_up.wait(), 1)


async def test_a_cancelled_call_hangs_up_at_once(provider: OpenAICompatible) -> None:
    async with Vendor(never) as vendor:
        call = asyncio.ensure_future(provider.chat(target(vendor.url), ASK))
        await asyncio.wait_for(vendor.asked.wait(), 1)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
        assert call.cancelled()


# -- a tenant's own provider ----------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "host", ["127.0.0.1", "localhost", "[::1]", "10.0.0.1", "169.254.169.254", "[::ffff:10.0.0.1]"]
)
async def test_a_guarded_provider_connects_to_no_private_address(provider: OpenAICompatible, host: str) -> None:
    async with Vendor(always(http(200, completion("secret")))) as vendor:
        with pytest.raises(UpstreamError):
            await provider.chat(target(f"http://{host}:{vendor.port}/v1", guarded=True, timeout_s=1), ASK)
    assert vendor.connections == 0


async def test_public_addresses_are_public() -> None:
    assert is_public("93.184.216.34")
    assert is_public("2606:4700::1111")
    assert not any(map(is_public, ["192.168.1.1", "0.0.0.0", "224.0.0.1", "fe80::1%eth0", "100.64.0.1"]))


async def test_a_proxy_in_the_environment_is_not_used(
    provider: OpenAICompatible, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:1")
    async with Vendor(always(http(200, completion("hi")))) as vendor:
        await provider.chat(target(vendor.url), ASK)
    assert len(vendor.seen) == 1
