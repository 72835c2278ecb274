"""A stream on its way back: names, ids, originals, the held end, the ceiling."""

from __future__ import annotations

import json
from itertools import pairwise
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from gateway.data import Tokens
from gateway.errors import UpstreamError
from gateway.providers.events import DONE, EventReader
from gateway.providers.tokens import count_text
from gateway.streaming import StreamRewriter, usage_of
from policies.pii.restore import Restorer, restore_text
from policies.pii.vault import Vault
from tests.gateway.fakes import Names, events

USAGE = {"prompt_tokens": 5, "completion_tokens": 7, "total_tokens": 12}
ROLE = {"role": "assistant", "content": ""}


def rewriter(make: Any = Names, **more: Any) -> StreamRewriter:
    return StreamRewriter("our-model", "chatcmpl-ours", make, **more)


def run(found: StreamRewriter, blocks: list[bytes], **end: Any) -> bytes:
    return b"".join([*(found.feed(block) for block in blocks), found.end(**end)])


def parsed(stream: bytes) -> list[dict[str, Any]]:
    """The events before [DONE], which must be there, once, at the end."""
    *found, done, empty = stream.split(b"\n\n")
    assert (done, empty) == (b"data: [DONE]", b"")
    return [json.loads(event.removeprefix(b"data: ")) for event in found]


def text_of(stream: bytes, index: int = 0, field: str = "content") -> str:
    return "".join(
        choice["delta"].get(field) or ""
        for event in parsed(stream)
        for choice in event["choices"]
        if choice["index"] == index
    )


def arguments_of(stream: bytes, call: int = 0) -> str:
    return "".join(
        part.get("function", {}).get("arguments", "")
        for event in parsed(stream)
        for choice in event["choices"]
        for part in choice["delta"].get("tool_calls", ())
        if part["index"] == call
    )


def contents(*pieces: str) -> list[dict[str, Any]]:
    return [ROLE, *({"content": piece} for piece in pieces)]


def regrouped(stream: bytes, cuts: list[int]) -> list[bytes]:
    """The stream as a provider gives it when its bytes arrive cut like this."""
    reader, edges = EventReader(), [0, *sorted(cut % len(stream) for cut in cuts), len(stream)]
    blocks = [reader.feed(stream[a:b]) for a, b in pairwise(edges)]
    return [block for block in blocks if block]


# -- names ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("make", [None, Names])
def test_every_event_has_our_model_and_our_id(make: Any) -> None:
    out = run(rewriter(make, include_usage=True), events(contents(*"abcdefgh"), usage=USAGE))
    assert {(event["model"], event["id"]) for event in parsed(out)} == {("our-model", "chatcmpl-ours")}


def test_a_text_that_quotes_the_upstreams_name_keeps_it() -> None:
    said = '"model":"up-1" and {"id":"chatcmpl-up"}'
    out = run(rewriter(None), [b"".join(events(contents("a", said, "b")))])
    assert text_of(out) == "a" + said + "b"


def test_unknown_fields_pass() -> None:
    raw = b'data: {"id":"x","model":"m","choices":[{"index":0,"delta":{"content":"a"},"seen":1}],"x_new":{"a":[1]}}\n\n'
    found = rewriter(None)
    event = parsed(run(found, [raw, DONE]))[0]
    assert event["x_new"] == {"a": [1]}
    assert event["choices"][0]["seen"] == 1


def test_an_event_without_a_model_gets_ours() -> None:
    out = run(rewriter(None), [b'data: {"choices":[{"index":0,"delta":{"content":"a"}}]}\n\n', DONE])
    assert parsed(out)[0]["model"] == "our-model"


# -- originals ------------------------------------------------------------------------------------------------------


def test_a_placeholder_in_two_events_is_restored() -> None:
    assert text_of(run(rewriter(), events(contents("Dear [", "A", "], hello")))) == 'Dear Alice "Al" Roe, hello'


def test_text_that_only_looks_like_the_beginning_is_not_lost() -> None:
    assert text_of(run(rewriter(), events(contents("see [", "1")))) == "see [1"


def test_held_text_comes_before_the_finish_of_its_choice() -> None:
    found = parsed(run(rewriter(), events(contents("end ["))))
    assert found[-1]["choices"][0]["finish_reason"] == "stop"
    assert [event["choices"][0]["delta"].get("content") for event in found[-3:]] == ["end ", "[", None]


def test_a_finish_event_with_text_keeps_the_order() -> None:
    last = events(contents("a ["))[:-2]
    last.append(b'data: {"choices":[{"index":0,"delta":{"content":"B] [C"},"finish_reason":"stop"}]}\n\n')
    assert text_of(run(rewriter(), [*last, DONE])) == "a Bob\nBolt [C"


def test_choices_do_not_mix() -> None:
    blocks = []
    for zero, one in zip(events(contents("[", "A]")), events(contents("[", "B]"), index=1), strict=True):
        blocks += [zero, one] if b"[DONE]" not in zero else [zero]
    out = run(rewriter(), blocks)
    assert text_of(out, 0) == 'Alice "Al" Roe'
    assert text_of(out, 1) == "Bob\nBolt"


def tool_call(index: int, arguments: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": index, "function": {"arguments": arguments}}]}


def test_arguments_of_tools_stay_json() -> None:
    deltas = [tool_call(0, '{"to": "['), tool_call(1, '{"cc": "[B'), tool_call(0, 'A]"}'), tool_call(1, ']"}')]
    out = run(rewriter(), events(deltas, finish="tool_calls"))
    assert json.loads(arguments_of(out, 0)) == {"to": 'Alice "Al" Roe'}
    assert json.loads(arguments_of(out, 1)) == {"cc": "Bob\nBolt"}


def test_held_arguments_come_before_the_finish() -> None:
    out = run(rewriter(), events([tool_call(2, '{"a": ['), tool_call(2, "")], finish="tool_calls"))
    assert arguments_of(out, 2) == '{"a": ['


def test_content_stays_json_in_json_mode() -> None:
    out = run(rewriter(json_mode=True), events(contents('{"name": "', "[B]", '"}')))
    assert json.loads(text_of(out)) == {"name": "Bob\nBolt"}


@pytest.mark.parametrize(
    "pieces", [('{"name": "', "[B]", '"}'), ("\n ", "{", '"name": "[B]"}'), ("", ' {"name": "[B]"}')]
)
def test_content_that_begins_as_json_stays_json(pieces: tuple[str, ...]) -> None:
    found = rewriter()
    out = run(found, events(contents(*pieces)))
    assert json.loads(text_of(out)) == {"name": "Bob\nBolt"}
    assert found.restored() == text_of(out)


@pytest.mark.parametrize("field", ["refusal", "reasoning_content", "x_thoughts"])
def test_every_text_of_a_delta_is_restored(field: str) -> None:
    out = run(rewriter(), events([{field: "I know ["}, {field: "A]"}, {field: " ["}]))
    assert text_of(out, field=field) == 'I know Alice "Al" Roe ['


def test_a_field_beside_the_text_is_restored_as_well() -> None:
    deltas = [*contents("a", "b"), {"content": "c", "x_thoughts": "of [A]"}]
    assert text_of(run(rewriter(), events(deltas)), field="x_thoughts") == 'of Alice "Al" Roe'


def test_texts_deep_in_a_delta_are_restored() -> None:
    deltas = [{"details": [{"index": 0, "text": part}]} for part in ("by [", "C", "] [")]
    found = [
        detail["text"]
        for event in parsed(run(rewriter(), events(deltas)))
        for detail in event["choices"][0]["delta"].get("details", ())
    ]
    assert "".join(found) == "by Charlie 😀 ["


PIECES = st.lists(st.text(alphabet='[]ABC{}"\\ \n1eé😀', max_size=6), max_size=14)
CUTS = st.lists(st.integers(0, 10_000), max_size=10)


@given(PIECES, CUTS)
def test_the_text_is_the_same_however_it_is_cut(pieces: list[str], cuts: list[int]) -> None:
    whole = Names("".join(pieces).lstrip()[:1] == "{")
    expected = whole.feed("".join(pieces)) + whole.flush()
    stream = b"".join(events(contents(*pieces), usage=USAGE))
    out = run(rewriter(), regrouped(stream, cuts))
    assert text_of(out) == expected


@given(PIECES, CUTS)
def test_without_originals_the_text_is_untouched(pieces: list[str], cuts: list[int]) -> None:
    stream = b"".join(events(contents(*pieces)))
    assert text_of(run(rewriter(None), regrouped(stream, cuts))) == "".join(pieces)


@given(PIECES, CUTS)
def test_what_is_kept_is_what_was_sent(pieces: list[str], cuts: list[int]) -> None:
    found = rewriter()
    out = run(found, regrouped(b"".join(events(contents(*pieces))), cuts))
    assert found.text() == "".join(pieces)
    assert found.restored() == text_of(out)


@settings(max_examples=60)
@given(st.lists(st.integers(0, 400), max_size=60), CUTS, st.booleans())
def test_the_real_restorer_gives_the_same_at_every_cut(splits: list[int], cuts: list[int], as_json: bool) -> None:
    vault = Vault(b"0" * 32)
    names = [vault.placeholder("PERSON", 'Mary "M" Roe'), vault.placeholder("EMAIL_ADDRESS", "mary@roe.example")]
    text = f'{{"to": "{names[0]} at {names[1]}", "again": "{names[1].lower()} \\n 😀 [1] Person"}}' * 2
    text = text if as_json else "Dear " + text
    edges = [0, *sorted(at % len(text) for at in splits), len(text)]
    pieces = [text[a:b] for a, b in pairwise(edges)]
    deltas = [tool_call(0, piece) for piece in pieces] if as_json else contents(*pieces)
    out = run(rewriter(lambda json: Restorer(vault, json)), regrouped(b"".join(events(deltas)), cuts))
    assert (arguments_of(out) if as_json else text_of(out)) == restore_text(text, vault, as_json)


def test_half_an_emoji_in_each_of_two_events_is_one_emoji() -> None:
    base = 'data: {"id":"a","model":"m","choices":[{"index":0,"delta":{"content":"%s"},"finish_reason":null}]}\n\n'
    blocks = [(base % part).encode() for part in ("x", "y", "\\ud83d", "\\ude00", "[A]", "\\ud83d")]
    out = run(rewriter(), [*blocks, DONE])
    joined = text_of(out).encode("utf-16", "surrogatepass").decode("utf-16", "replace")
    assert joined.startswith('xy😀Alice "Al" Roe')


def test_other_spacing_and_escapes_are_the_same_json() -> None:
    base = 'data: {"id": "u", "model": "m", "choices": [{"index": 0, "delta": {"content": "%s"}}]}\n\n'
    blocks = [(base % part).encode() for part in ("x", "y", "\\u005bA\\u005D", "\\u005b", "\\u0042]", "\\\\ [")]
    out = run(rewriter(), [blocks[0], b"".join(blocks[1:4]), *blocks[4:], DONE])
    assert text_of(out) == 'xyAlice "Al" RoeBob\nBolt\\ ['


# -- the end --------------------------------------------------------------------------------------------------------


def test_nothing_of_the_end_is_sent_before_it_is_asked_for() -> None:
    found = rewriter(include_usage=True)
    early = b"".join(found.feed(block) for block in events(contents("a", "b"), usage=USAGE))
    assert b"stop" not in early
    assert b"usage" not in early
    assert b"[DONE]" not in early
    assert found.done
    assert found.finish_reasons == {0: "stop"}
    assert text_of(early + found.end()) == "ab"


def test_a_finish_that_is_not_the_last_is_sent_when_more_comes() -> None:
    found = rewriter(None)
    early = found.feed(b"".join(events(contents("zero"))[:-1]))
    assert b'"finish_reason":"stop"' not in early
    more = found.feed(b"".join(events(contents("one"), index=1)))
    assert b'"finish_reason":"stop"' in more
    assert text_of(early + more + found.end(), 1) == "one"


def test_a_held_finish_goes_before_what_follows_it() -> None:
    found = rewriter(None)
    found.feed(b"".join(events(contents("a", "b"))[:3]))
    assert found.feed(events([], index=1)[0]) == b""
    assert b'"finish_reason":"stop"' in found.feed(events(contents("c"))[1])


def test_usage_is_sent_only_to_those_who_asked() -> None:
    blocks = events(contents("a"), usage=USAGE)
    assert all(event["choices"] and "usage" not in event for event in parsed(run(rewriter(), blocks)))
    last = parsed(run(rewriter(include_usage=True), blocks, cost="0.000123"))[-1]
    assert last["choices"] == []
    assert last["usage"] == {**USAGE, "cost": "0.000123"}


def test_usage_in_the_finish_event_is_moved_to_one_of_its_own() -> None:
    blocks = [*events(contents("a"))[:-2]]
    choice = {"index": 0, "delta": {}, "finish_reason": "stop"}
    blocks.append(b"data: " + json.dumps({"choices": [choice], "usage": USAGE}).encode() + b"\n\n")
    found = rewriter()
    assert all("usage" not in event for event in parsed(run(found, [*blocks, DONE])))
    assert found.tokens == Tokens(input=5, output=7)
    assert parsed(run(rewriter(include_usage=True), [*blocks, DONE]))[-1]["usage"] == USAGE


def test_usage_that_was_not_reported_is_taken_from_the_estimate() -> None:
    found = rewriter(include_usage=True)
    last = parsed(run(found, events(contents("a")), tokens=Tokens(input=3, output=4, estimated=True)))[-1]
    assert found.tokens is None
    assert last["usage"] == {"prompt_tokens": 3, "completion_tokens": 4, "total_tokens": 7}


def test_citations_are_on_the_last_event() -> None:
    cited = [{"number": 1}]
    plain = parsed(run(rewriter(), events(contents("a"), usage=USAGE), citations=cited))
    asked = parsed(run(rewriter(include_usage=True), events(contents("a"), usage=USAGE), citations=cited))
    for found in (plain, asked):
        assert found[-1]["citations"] == cited
        assert all("citations" not in event for event in found[:-1])
    assert plain[-1]["choices"][0]["finish_reason"] == "stop"


def test_citations_have_an_event_when_nothing_else_is_left() -> None:
    found = parsed(run(rewriter(), [*events(contents("a"))[:2], DONE], citations=[]))
    assert found[-1]["citations"] == []


def test_an_error_event_is_an_error() -> None:
    with pytest.raises(UpstreamError, match="overloaded"):
        rewriter().feed(b'data: {"error": {"message": "overloaded"}}\n\n')


@pytest.mark.parametrize("raw", [b"data: {half\n\n", b"data: [1]\n\n", b'data: "x"\n\n'])
def test_an_event_that_is_no_chunk_is_an_error(raw: bytes) -> None:
    with pytest.raises(UpstreamError):
        rewriter().feed(raw)


def test_the_end_is_given_once() -> None:
    found = rewriter()
    run(found, events(contents("a")))
    assert found.end() == b""


# -- the ceiling ----------------------------------------------------------------------------------------------------

WORDS = [" ledger", " cargo", " duty", " paid"] * 30


@pytest.mark.parametrize("per_block", [1, 7, 1000])
@pytest.mark.parametrize("ceiling", [1, 17, 119, 120])
def test_a_stream_ends_properly_at_its_ceiling(ceiling: int, per_block: int) -> None:
    found = rewriter(None, ceiling=ceiling)
    stream = events(contents(*WORDS), usage=USAGE)
    blocks = [b"".join(stream[at : at + per_block]) for at in range(0, len(stream), per_block)]
    out = run(found, blocks)
    assert count_text(text_of(out)) == ceiling == found.output_tokens()
    last = parsed(out)[-1]
    if ceiling < len(WORDS):
        assert last["choices"][0]["finish_reason"] == "length"
        assert last["customhouse"] == {"stopped_by": "budget"}
        assert found.stopped_by == "budget"
    else:
        assert last["choices"][0]["finish_reason"] == "stop"
        assert "customhouse" not in last


def test_a_long_event_is_shortened_at_the_ceiling() -> None:
    out = run(rewriter(None, ceiling=5), events(contents("".join(WORDS))))
    assert text_of(out) == "".join(WORDS[:5])


def test_arguments_past_the_ceiling_are_not_sent() -> None:
    deltas = [tool_call(0, '{"a": 1'), tool_call(0, "".join(WORDS) + "}")]
    found = rewriter(None, ceiling=20)
    out = run(found, events(deltas))
    assert arguments_of(out) == '{"a": 1'
    assert found.stopped_by == "budget"


def test_nothing_is_taken_after_the_cut() -> None:
    found = rewriter()
    found.feed(events(contents("one [A"))[1])
    found.cut()
    assert found.feed(events(contents("two"))[1]) == b""
    assert text_of(found.end()) == "[A"


def test_every_choice_that_was_cut_has_an_end() -> None:
    found = rewriter()
    for index in (0, 1):
        found.feed(b"".join(events(contents("a"), index=index)[:2]))
    found.cut()
    ends = {event["choices"][0]["index"]: event["choices"][0]["finish_reason"] for event in parsed(found.end())}
    assert ends == {0: "length", 1: "length"}


def test_counting_waits_until_it_matters(monkeypatch: pytest.MonkeyPatch) -> None:
    counted: list[str] = []
    monkeypatch.setattr("gateway.streaming.count_text", lambda text: counted.append(text) or len(text.split()))
    run(rewriter(None, ceiling=4096), events(contents(*WORDS)))
    assert counted == []


def test_output_is_counted_over_all_texts() -> None:
    found = rewriter()
    run(found, events([*contents("one two"), {"reasoning_content": "three"}, tool_call(0, "four")]))
    assert found.output_tokens() == count_text("one two") + count_text("three") + count_text("four")


def test_usage_of_tokens_is_the_sum_of_its_kinds() -> None:
    usage = usage_of(Tokens(input=1, cached_input=2, cache_write=4, output=8, reasoning=16))
    assert (usage["prompt_tokens"], usage["completion_tokens"], usage["total_tokens"]) == (7, 24, 31)
