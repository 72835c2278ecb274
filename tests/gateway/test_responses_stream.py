"""The stream events of OpenAI's responses, made of a vendor's chunks however they are split."""

from __future__ import annotations

import json
from typing import Any

import pytest

from gateway.errors import UpstreamError
from gateway.streaming import StreamRewriter
from gateway.surfaces.responses_events import ResponsesForm
from tests.gateway.fakes import Names, events
from tests.gateway.test_messages_stream import ALICE, USAGE, contents, tool

ENDS = ("response.completed", "response.incomplete", "response.failed")


def rewriter(**options: Any) -> StreamRewriter:
    form = ResponsesForm(
        {"id": "resp_1", "status": "in_progress", "output": []}, reasoning=options.pop("reasoning", False)
    )
    return StreamRewriter("our-model", "resp_1", Names, form=form, **options)


def run(found: StreamRewriter, stream: list[bytes], per_block: int = 1, **ending: Any) -> list[dict[str, Any]]:
    blocks = [b"".join(stream[at : at + per_block]) for at in range(0, len(stream), per_block)]
    return parsed(b"".join([*(found.feed(block) for block in blocks), found.end(**ending)]))


def parsed(out: bytes) -> list[dict[str, Any]]:
    found = []
    for number, part in enumerate(out.decode().split("\n\n")[:-1]):
        name, data = part.split("\n")
        value = json.loads(data.removeprefix("data: "))
        assert (name, value["sequence_number"]) == (f"event: {value['type']}", number)
        found.append(value)
    return found


def told(stream: list[dict[str, Any]]) -> list[tuple[str, str]]:
    """The output as a client puts it together from the deltas; what is told as a whole must be the same."""
    texts: dict[int, str] = {}
    kinds: dict[int, str] = {}
    for event in stream:
        kind = event["type"].removeprefix("response.")
        if kind == "output_item.added":
            kinds[event["output_index"]], texts[event["output_index"]] = event["item"]["type"], ""
        elif kind.endswith(".delta"):
            texts[event["output_index"]] += event["delta"]
        elif kind in ("output_text.done", "reasoning_text.done"):
            assert event["text"] == texts[event["output_index"]]
        elif kind == "function_call_arguments.done":
            assert event["arguments"] == texts[event["output_index"]]
    final = stream[-1]["response"]["output"]
    done = [event["item"] for event in stream if event["type"] == "response.output_item.done"]
    assert stream[-1]["type"] in ENDS
    assert done == final
    whole = [item["arguments"] if item["type"] == "function_call" else item["content"][0]["text"] for item in final]
    assert whole == [texts[index] for index in sorted(texts)]
    return [(kinds[index], texts[index]) for index in sorted(texts)]


@pytest.mark.parametrize("per_block", [1, 3, 100])
def test_a_text_is_one_item_with_one_part(per_block: int) -> None:
    stream = run(
        rewriter(), events([{"role": "assistant"}, *contents("one ", "two ", "three")], usage=USAGE), per_block
    )
    assert [event["type"].removeprefix("response.") for event in stream if not event["type"].endswith("delta")] == [
        *("created", "in_progress", "output_item.added", "content_part.added", "output_text.done"),
        *("content_part.done", "output_item.done", "completed"),
    ]
    assert told(stream) == [("message", "one two three")]


def test_the_last_event_tells_usage_cost_and_citations() -> None:
    last = run(rewriter(), events(contents("a"), usage=USAGE), cost="0.0012", citations=[{"number": 1}])[-1]["response"]
    assert last["usage"] == {
        "input_tokens": 9,
        "input_tokens_details": {"cached_tokens": 4, "cache_write_tokens": 0},
        "output_tokens": 7,
        "output_tokens_details": {"reasoning_tokens": 0},
        "total_tokens": 16,
        "cost": "0.0012",
    }
    assert (last["status"], last["citations"]) == ("completed", [{"number": 1}])


@pytest.mark.parametrize("size", [1, 2, 3, 5, 50])
@pytest.mark.parametrize("per_block", [1, 7, 1000])
def test_originals_return_in_texts_and_in_arguments_however_they_are_split(size: int, per_block: int) -> None:
    text, arguments = "To [A] and [B], [C]! [", '{"to": "[A]", "cc": ["[B]", "[C]"]}'
    cut = [text[at : at + size] for at in range(0, len(text), size)]
    pieces = [arguments[at : at + size] for at in range(0, len(arguments), size)]
    deltas = [*contents(*cut), tool("", name="send"), *(tool(piece) for piece in pieces)]
    first, second = told(run(rewriter(), events(deltas, finish="tool_calls"), per_block))
    assert first == ("message", f"To {ALICE} and Bob\nBolt, Charlie 😀! [")
    assert json.loads(second[1]) == {"to": ALICE, "cc": ["Bob\nBolt", "Charlie 😀"]}


def test_parallel_calls_are_items_one_after_the_other() -> None:
    deltas = [tool("", 0, "one"), tool('{"a": 1}', 0), tool("", 1, "two"), tool("{", 1), tool("}", 1)]
    stream = run(rewriter(), events(deltas, finish="tool_calls"))
    assert told(stream) == [("function_call", '{"a": 1}'), ("function_call", "{}")]
    items = stream[-1]["response"]["output"]
    assert [(item["call_id"], item["name"], item["status"]) for item in items] == [
        ("c0", "one", "completed"),
        ("c1", "two", "completed"),
    ]


def test_reasoning_comes_first_and_only_for_those_who_asked() -> None:
    deltas = [{"reasoning_content": "I see [A"}, {"reasoning_content": "]."}, *contents("Yes, ", "[A].", " ok")]
    assert told(run(rewriter(reasoning=True), events(deltas))) == [
        ("reasoning", f"I see {ALICE}."),
        ("message", f"Yes, {ALICE}. ok"),
    ]
    assert told(run(rewriter(), events(deltas))) == [("message", f"Yes, {ALICE}. ok")]


def test_a_stream_that_the_budget_cuts_is_incomplete() -> None:
    words = [" ledger", " cargo", " duty", " paid"] * 30
    stream = run(rewriter(ceiling=17), events(contents(*words)))
    assert told(stream) == [("message", "".join(words[:17]))]
    last = stream[-1]["response"]
    assert (stream[-1]["type"], last["incomplete_details"]) == ("response.incomplete", {"reason": "max_output_tokens"})
    assert last["customhouse"] == {"stopped_by": "budget"}


def test_a_stream_that_broke_is_a_failed_response_with_what_was_said() -> None:
    found = rewriter()
    early = found.feed(b"".join(events(contents("so ", "far"))[:2]))
    last = parsed(early + found.broken(UpstreamError("gone")))[-1]
    assert (last["type"], last["response"]["status"]) == ("response.failed", "failed")
    assert last["response"]["error"] == {"code": "upstream_error", "message": "gone"}
    assert last["response"]["output"][0]["content"][0]["text"] == "so far"


def test_nothing_of_the_end_is_sent_before_it_is_asked_for() -> None:
    found = rewriter()
    early = b"".join(found.feed(block) for block in events(contents("a", "b"), usage=USAGE))
    assert b".done" not in early
    assert b"completed" not in early
