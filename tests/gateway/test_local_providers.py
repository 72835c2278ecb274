"""The providers that answer in process: one quotes, one does what its name says."""

from __future__ import annotations

import json
import time
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
from gateway.providers import PASSAGES, close_all, provider_for
from gateway.providers.events import DONE, EventReader
from gateway.providers.extractive import NO_PASSAGES, ExtractiveProvider
from gateway.providers.scripted import ScriptedProvider
from gateway.streaming import StreamRewriter
from tests.gateway.fakes import target

pytestmark = pytest.mark.asyncio

HANDBOOK = [
    {
        "number": 1,
        "title": "Travel policy",
        "text": "# Travel\n\nFlights over six hours may be booked in premium economy. "
        "Hotels are paid up to 180 EUR a night.\n\n"
        "- Taxis need a receipt.\n- Trains are preferred to flights.",
    },
    {
        "number": 2,
        "title": "Leave policy",
        "text": "Employees have 28 days of paid leave each year. Leave is requested from [PERSON_K7Q2M] in the portal.",
    },
]


def ask(text: str, **more: Any) -> dict[str, Any]:
    return {"messages": [{"role": "system", "content": "Be brief."}, {"role": "user", "content": text}], **more}


async def text(provider: Any, body: dict[str, Any], **at: Any) -> str:
    reply = await provider.chat(target(**at), body)
    return str(reply.body["choices"][0]["message"]["content"])


async def streamed(provider: Any, body: dict[str, Any], **at: Any) -> tuple[str, StreamRewriter]:
    """The streamed text; the blocks are as strict as an upstream's."""
    reader, rewriter = EventReader(), StreamRewriter("m", "id")
    async for block in provider.stream(target(**at), body):
        assert reader.feed(block) == block
        rewriter.feed(block)
    assert rewriter.done
    assert rewriter.end().endswith(DONE)
    return rewriter.text(), rewriter


# -- extractive -------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("question", "sentence", "number"),
    [
        ("How many days of leave do I have?", "Employees have 28 days of paid leave each year.", 2),
        ("What may a hotel cost per night?", "Hotels are paid up to 180 EUR a night.", 1),
        ("Do I need receipts for a taxi?", "Taxis need a receipt.", 1),
        ("Whom do I request leave from?", "Leave is requested from [PERSON_K7Q2M] in the portal.", 2),
    ],
)
async def test_the_best_sentence_is_quoted_with_its_mark(question: str, sentence: str, number: int) -> None:
    found = await text(ExtractiveProvider(), ask(question, **{PASSAGES: HANDBOOK}))
    assert found.startswith(f"{sentence} [{number}]")


async def test_it_says_nothing_that_is_not_in_a_passage() -> None:
    found = await text(
        ExtractiveProvider(), ask("Tell me of flights, trains, taxis and leave.", **{PASSAGES: HANDBOOK})
    )
    for part in found.split("] "):
        quote, _, number = part.rstrip("]").rpartition(" [")
        assert quote in HANDBOOK[int(number) - 1]["text"]
    assert 1 <= found.count("[1]") + found.count("[2]") <= 3


async def test_without_passages_it_says_so() -> None:
    for body in (ask("How many days?"), ask("How many days?", **{PASSAGES: []})):
        assert await text(ExtractiveProvider(), body) == NO_PASSAGES
    assert NO_PASSAGES.count(".") == 1


async def test_a_stream_says_the_same_and_counts_the_same() -> None:
    provider, body = ExtractiveProvider(), ask("How many days of leave?", **{PASSAGES: HANDBOOK})
    reply = await provider.chat(target(), body)
    said, rewriter = await streamed(provider, body)
    assert said == reply.body["choices"][0]["message"]["content"]
    assert rewriter.tokens == reply.tokens
    assert rewriter.finish_reasons == {0: "stop"}


async def test_json_mode_names_its_passages() -> None:
    body = ask("How many days of leave?", response_format={"type": "json_object"}, **{PASSAGES: HANDBOOK})
    found = json.loads(await text(ExtractiveProvider(), body))
    assert found["answer"].startswith("Employees have 28 days")
    assert found["citations"] == [2]


async def test_several_choices_and_a_limit() -> None:
    provider = ExtractiveProvider()
    reply = await provider.chat(target(), ask("leave days?", n=2, max_tokens=3, **{PASSAGES: HANDBOOK}))
    assert [choice["index"] for choice in reply.body["choices"]] == [0, 1]
    assert reply.body["choices"][1]["message"]["content"] == "Employees have 28"
    assert reply.body["choices"][1]["finish_reason"] == "length"
    assert reply.tokens.output == 6


async def test_it_makes_no_embeddings() -> None:
    with pytest.raises(UpstreamRejected):
        await ExtractiveProvider().embed(target(), {"input": "a"})


# -- scripted ---------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("echo", "good morning"),
        ("vendor/echo@split=1", "good morning"),
        ("no-usage", "good morning"),
        ("json-echo", '{"echo": "good morning"}'),
        ("fixed@n=3", "The customs house"),
        ("slow@wait=0.01,n=2", "The customs"),
    ],
)
async def test_it_does_what_its_name_says(model: str, expected: str) -> None:
    provider = ScriptedProvider()
    assert await text(provider, ask("good morning"), model=model) == expected
    assert (await streamed(provider, ask("good morning"), model=model))[0] == expected


async def test_pieces_are_as_long_as_asked() -> None:
    blocks = [block async for block in ScriptedProvider().stream(target(model="echo@split=1"), ask("abcd"))]
    assert b"".join(blocks).count(b'"content":') == 1 + 4


async def test_a_tool_is_called() -> None:
    tools = [{"type": "function", "function": {"name": "book"}}]
    reply = await ScriptedProvider().chat(target(model="tool-echo"), ask("room 5", tools=tools))
    call = reply.body["choices"][0]["message"]["tool_calls"][0]["function"]
    assert (call["name"], json.loads(call["arguments"])) == ("book", {"text": "room 5"})
    assert reply.body["choices"][0]["finish_reason"] == "tool_calls"
    _, rewriter = await streamed(ScriptedProvider(), ask("room 5", tools=tools), model="tool-echo")
    assert rewriter.finish_reasons == {0: "tool_calls"}


@pytest.mark.parametrize(
    ("model", "expected"),
    [
        ("error400", UpstreamRejected),
        ("error401", UpstreamUnauthorized),
        ("error429", UpstreamRateLimited),
        ("error500", UpstreamError),
        ("error503", UpstreamError),
        ("hang", UpstreamTimeout),
        ("slow@wait=60", UpstreamTimeout),
    ],
)
async def test_it_fails_as_its_name_says(model: str, expected: type[GatewayError]) -> None:
    at = target(model=model, first_token_timeout_s=0.02)
    for call in (ScriptedProvider().chat(at, ask("a")), anext(ScriptedProvider().stream(at, ask("a")))):
        with pytest.raises(expected):
            await call


async def test_flaky_fails_every_second_time() -> None:
    provider = ScriptedProvider()
    await text(provider, ask("a"), model="flaky")
    with pytest.raises(UpstreamError):
        await text(provider, ask("a"), model="flaky")
    await text(provider, ask("a"), model="flaky")


async def test_a_stream_that_breaks_gives_half() -> None:
    stream = ScriptedProvider().stream(target(model="break-mid-stream@split=1"), ask("abcdef"))
    assert (await anext(stream)).count(b'"content":"') == 1 + 3
    with pytest.raises(UpstreamError):
        await anext(stream)


async def test_a_delay_is_kept_between_pieces() -> None:
    began = time.monotonic()
    said, _ = await streamed(ScriptedProvider(), ask("a"), model="fixed@n=5,delay=0.01")
    assert len(said.split()) == 5
    assert time.monotonic() - began > 0.05


async def test_usage_is_the_same_each_time_and_can_be_missing() -> None:
    provider = ScriptedProvider()
    replies = [await provider.chat(target(model="echo"), ask("one two three")) for _ in range(2)]
    assert replies[0].tokens == replies[1].tokens
    assert replies[0].tokens.output == 3
    assert (await provider.chat(target(model="no-usage"), ask("a"))).tokens is None
    assert (await streamed(provider, ask("a"), model="no-usage"))[1].tokens is None


async def test_embeddings_depend_on_the_text_alone() -> None:
    provider = ScriptedProvider()
    one = await provider.embed(target(), {"input": ["a", "b"], "dimensions": 4})
    two = await provider.embed(target(), {"input": "b", "dimensions": 4})
    assert one.body["data"][1]["embedding"] == two.body["data"][0]["embedding"]
    assert one.body["data"][0]["embedding"] != one.body["data"][1]["embedding"]
    assert one.tokens == Tokens(embedding=2)


# -- the list of kinds ------------------------------------------------------------------------------------------------


async def test_there_is_one_provider_of_each_kind() -> None:
    for kind in ("openai_compatible", "litellm", "extractive", "scripted"):
        assert provider_for(kind) is provider_for(kind)
    with pytest.raises(UpstreamError):
        provider_for("carrier-pigeon")
    await close_all()
