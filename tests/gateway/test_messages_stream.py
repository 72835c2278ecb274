"""Anthropic's stream events, made of a vendor's chunks however they are split."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.data import Tokens
from gateway.errors import UpstreamError
from gateway.streaming import StreamRewriter
from gateway.surfaces.anthropic_events import MessagesForm
from tests.gateway.fakes import Names, events

ALICE = 'Alice "Al" Roe'
USAGE = {"prompt_tokens": 9, "completion_tokens": 7, "prompt_tokens_details": {"cached_tokens": 4}}


def rewriter(**options: Any) -> StreamRewriter:
    form = MessagesForm("msg_1", "our-model", thinking=options.pop("thinking", False), stops=options.pop("stops", ()))
    return StreamRewriter("our-model", "msg_1", Names, form=form, **options)


def contents(*texts: str) -> list[dict[str, Any]]:
    return [{"content": text} for text in texts]


def tool(arguments: str, index: int = 0, name: str | None = None) -> dict[str, Any]:
    head = {"id": f"c{index}", "type": "function"} if name else {}
    function = {"arguments": arguments, **({"name": name} if name else {})}
    return {"tool_calls": [{"index": index, **head, "function": function}]}


def run(found: StreamRewriter, stream: list[bytes], per_block: int = 1, **ending: Any) -> list[dict[str, Any]]:
    blocks = [b"".join(stream[at : at + per_block]) for at in range(0, len(stream), per_block)]
    return parsed(b"".join([*(found.feed(block) for block in blocks), found.end(**ending)]))


def parsed(out: bytes) -> list[dict[str, Any]]:
    """The events' data, after a look at their names."""
    found = []
    for part in out.decode().split("\n\n")[:-1]:
        name, data = part.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert name == f"event: {value['type']}"
        found.append(value)
    return found


def blocks(stream: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The content of a stream as a client puts it together; each block must be begun and ended in its turn."""
    found: list[tuple[str, str]] = []
    open_ = None
    for event in stream:
        if event["type"] == "content_block_start":
            assert open_ is None
            assert event["index"] == len(found)
            open_ = event["index"]
            found.append((event["content_block"]["type"], ""))
        elif event["type"] == "content_block_delta":
            assert event["index"] == open_
            kind, text = found[open_]
            delta = dict(event["delta"])
            if delta.pop("type") != "signature_delta":
                [piece] = delta.values()
                found[open_] = kind, text + piece
        elif event["type"] == "content_block_stop":
            assert event["index"] == open_
            open_ = None
    assert open_ is None
    return found


@pytest.mark.parametrize("per_block", [1, 3, 100])
def test_a_text_is_one_block_between_start_and_stop(per_block: int) -> None:
    stream = run(
        rewriter(), events([{"role": "assistant"}, *contents("one ", "two ", "three")], usage=USAGE), per_block
    )
    kinds = [event["type"] for event in stream if event["type"] != "content_block_delta"]
    assert kinds == [
        *("message_start", "ping", "content_block_start", "content_block_stop", "message_delta", "message_stop"),
    ]
    assert blocks(stream) == [("text", "one two three")]
    message = stream[0]["message"]
    assert (message["id"], message["model"], message["content"]) == ("msg_1", "our-model", [])


def test_the_end_tells_why_and_what_it_cost() -> None:
    [delta] = [
        e for e in run(rewriter(), events(contents("a"), usage=USAGE), cost="0.0012") if e["type"] == "message_delta"
    ]
    assert delta["delta"] == {"stop_reason": "end_turn", "stop_sequence": None}
    assert delta["usage"] == {
        "input_tokens": 5,
        "cache_creation_input_tokens": 0,
        "cache_read_input_tokens": 4,
        "output_tokens": 7,
        "cost": "0.0012",
    }


def test_tokens_are_told_when_only_we_have_counted() -> None:
    stream = run(rewriter(), events(contents("a")), tokens=Tokens(input=3, output=4, estimated=True))
    assert (stream[-2]["usage"]["input_tokens"], stream[-2]["usage"]["output_tokens"]) == (3, 4)


def test_citations_are_told_at_the_end() -> None:
    assert run(rewriter(), events(contents("a")), citations=[{"number": 1}])[-2]["citations"] == [{"number": 1}]


@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("per_block", [1, 7, 1000])
def test_originals_return_in_texts_and_in_arguments_however_they_are_split(size: int, per_block: int) -> None:
    text, arguments = "To [A] and [B], [C]! [", '{"to": "[A]", "cc": ["[B]", "[C]"]}'
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    deltas = [*contents(*cut), tool("", name="send"), *(tool(piece) for piece in pieces)]
    first, second = blocks(run(rewriter(), events(deltas, finish="tool_calls"), per_block))
    assert first == ("text", f"To {ALICE} and Bob\nBolt, Charlie 😀! [")
    assert json.loads(second[1]) == {"to": ALICE, "cc": ["Bob\nBolt", "Charlie 😀"]}


def test_what_is_held_of_a_text_goes_out_before_the_next_block() -> None:
    deltas = [*contents("see [A"), tool("{}", name="send")]
    assert blocks(run(rewriter(), events(deltas))) == [("text", "see [A"), ("tool_use", "{}")]


def test_parallel_calls_are_blocks_one_after_the_other() -> None:
    deltas = [tool("", 0, "one"), tool('{"a": "[A]"}', 0), tool("", 1, "two"), tool("{", 1), tool("}", 1)]
    stream = run(rewriter(), events(deltas, finish="tool_calls"))
    assert [kind for kind, _ in blocks(stream)] == ["tool_use", "tool_use"]
    starts = [event["content_block"] for event in stream if event["type"] == "content_block_start"]
    assert [(block["id"], block["name"], block["input"]) for block in starts] == [("c0", "one", {}), ("c1", "two", {})]
    assert stream[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_text_after_a_call_is_a_block_of_its_own() -> None:
    deltas = [*contents("a", "b"), tool("{}", name="x"), *contents("c", "d", "e")]
    assert blocks(run(rewriter(), events(deltas))) == [("text", "ab"), ("tool_use", "{}"), ("text", "cde")]


def test_thinking_comes_first_and_only_for_those_who_asked() -> None:
    signed = {"thinking_blocks": [{"type": "thinking", "thinking": "", "signature": "c2ln"}]}
    deltas = [{"reasoning_content": "I see [A"}, {"reasoning_content": "]."}, signed, *contents("Yes, ", "[A].")]
    stream = run(rewriter(thinking=True), events(deltas))
    assert blocks(stream) == [("thinking", f"I see {ALICE}."), ("text", f"Yes, {ALICE}.")]
    assert [e["delta"]["signature"] for e in stream if e.get("delta", {}).get("type") == "signature_delta"] == ["c2ln"]
    assert blocks(run(rewriter(), events(deltas))) == [("text", f"Yes, {ALICE}.")]


def test_a_stream_that_the_budget_cuts_ends_with_max_tokens() -> None:
    words = [" ledger", " cargo", " duty", " paid"] * 30
    stream = run(rewriter(ceiling=17), events(contents(*words)))
    assert blocks(stream) == [("text", "".join(words[:17]))]
    assert stream[-2]["delta"]["stop_reason"] == "max_tokens"
    assert stream[-2]["customhouse"] == {"stopped_by": "budget"}


def test_a_stop_sequence_is_told_where_the_vendor_says_it() -> None:
    last = b'data: {"choices": [{"index": 0, "delta": {}, "finish_reason": "stop", "stop_reason": "END"}]}\n\n'
    stream = run(rewriter(stops=("END",)), [*events(contents("a"))[:-2], last, b"data: [DONE]\n\n"])
    assert stream[-2]["delta"] == {"stop_reason": "stop_sequence", "stop_sequence": "END"}


def test_an_answer_without_content_is_whole() -> None:
    stream = run(rewriter(), events([]))
    assert [event["type"] for event in stream] == ["message_start", "ping", "message_delta", "message_stop"]


def test_nothing_of_the_end_is_sent_before_it_is_asked_for() -> None:
    found = rewriter()
    early = b"".join(found.feed(block) for block in events(contents("a", "b"), usage=USAGE))
    assert b"message_delta" not in early
    assert b"content_block_stop" not in early


def test_a_stream_that_broke_says_so_in_anthropics_shape() -> None:
    [event] = parsed(rewriter().broken(UpstreamError("gone")))
    assert (event["type"], event["error"]["type"], event["error"]["code"]) == ("error", "api_error", "upstream_error")
