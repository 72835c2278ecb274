"""OpenAI's chat form on the way in and out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.data import Call, RetrievalRequest
from gateway.errors import InvalidRequest
from gateway.surfaces.openai_chat import answer_text, json_mode, media_types, parse, plain

ID = UUID("0190aabb-ccdd-7eef-8000-000000000001")
USER = {"role": "user", "content": "hello"}
CALL = {"id": "call_1", "type": "function", "function": {"name": "book", "arguments": "{}"}}
TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}


def call(**body: Any) -> Call:
    return parse(orjson.dumps({"model": "our-model", "messages": [USER], **body}), ID)


def message(**fields: Any) -> Call:
    return call(messages=[{**USER, **fields}])


# -- in ---------------------------------------------------------------------------------------------------------------


def test_a_plain_call() -> None:
    found = parse(orjson.dumps({"model": "m", "messages": [USER]}), ID, client_ip="203.0.113.9", traceparent="00-1")
    assert (found.id, found.kind, found.model, found.stream) == (ID, "chat", "m", False)
    assert (found.client_ip, found.traceparent) == ("203.0.113.9", "00-1")
    assert found.body == {"model": "m", "messages": [USER]}


def test_unknown_fields_are_kept() -> None:
    assert call(x_new={"deep": ["text"]}).body["x_new"] == {"deep": ["text"]}
    assert message(x_note="a").body["messages"][0]["x_note"] == "a"


def test_a_stream_and_its_usage() -> None:
    assert call(stream=True).stream
    assert not call(stream=True).include_usage
    assert call(stream=True, stream_options={"include_usage": True}).include_usage
    assert not call(stream_options={"include_usage": True}).include_usage


def test_retrieval_is_taken_out_of_the_body() -> None:
    found = call(retrieval={"collections": ["handbook"], "top_k": 3, "filter": {"year": {"gte": 2020}}})
    assert found.retrieval == RetrievalRequest(("handbook",), 3, {"year": {"gte": 2020}})
    assert "retrieval" not in found.body
    assert call(retrieval={}).retrieval == RetrievalRequest()
    assert call(retrieval=None).retrieval is None


@pytest.mark.parametrize(
    "fields",
    [
        {"role": "assistant", "content": None, "tool_calls": [CALL]},
        {"role": "assistant", "content": None},
        {"role": "tool", "tool_call_id": "call_1", "content": "done"},
        {"role": "developer"},
        {"content": [{"type": "text", "text": "a"}, {"type": "x_part", "x": "y"}]},
        {"content": ""},
        {"name": "Alice"},
    ],
)
def test_messages_that_are_accepted(fields: dict[str, Any]) -> None:
    assert message(**fields).body["messages"] == [{**USER, **fields}]


@pytest.mark.parametrize(
    ("fields", "param"),
    [
        ({"role": "robot"}, "messages[0].role"),
        ({"role": None}, "messages[0].role"),
        ({"content": None}, "messages[0].content"),
        ({"content": 5}, "messages[0].content"),
        ({"content": ["a"]}, "messages[0].content[0]"),
        ({"content": [{"text": "a"}]}, "messages[0].content[0]"),
        ({"content": [{"type": "text", "text": 5}]}, "messages[0].content[0].text"),
        ({"role": "tool"}, "messages[0].tool_call_id"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": 1}}]}, "messages[0].tool_calls"),
        ({"role": "assistant", "tool_calls": [{"function": {"name": "a", "arguments": {}}}]}, "messages[0].tool_calls"),
        ({"name": 5}, "messages[0].name"),
    ],
)
def test_messages_that_are_refused(fields: dict[str, Any], param: str) -> None:
    with pytest.raises(InvalidRequest) as raised:
        message(**fields)
    assert raised.value.param == param


@pytest.mark.parametrize(
    ("field", "wrong", "right"),
    [
        ("model", ["", None, 5, ["m"]], ["m"]),
        ("messages", ["hello", [], None, {}, ["a"], [[]]], []),
        ("stream", ["true", 1], [True, None]),
        ("n", [0, 17, 1.5, "2", True], [1, 16, None]),
        ("max_tokens", [0, -1, "5", 1.5], [1]),
        ("max_completion_tokens", [0, True], [5]),
        ("temperature", ["hot", True, [1]], [0, 0.7, None]),
        ("stop", [5, [5], {}], ["a", ["a", "b"], None]),
        ("tools", [{}, ["a"], [{}], [{"type": "function"}]], [[TOOL], [{"type": "x_own"}], []]),
        ("tool_choice", [5, {}], ["auto", {"type": "function", "function": {"name": "book"}}]),
        ("response_format", ["json", {}], [{"type": "json_object"}]),
        ("stream_options", [True, "x"], [{}, None]),
        ("metadata", ["x", []], [{"a": "b"}]),
        ("logit_bias", [[]], [{"50256": -100}]),
        ("user", [5], ["alice"]),
        ("seed", ["1", 1.5], [1]),
        ("retrieval", ["handbook", True, [], {"top_k": 0}, {"top_k": 101}, {"collections": "x"}, {"new": 1}], [{}]),
        ("x_passages", [[], None], []),
    ],
)
def test_fields_that_the_gateway_relies_on(field: str, wrong: list[Any], right: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(InvalidRequest) as raised:
            call(**{field: value})
        assert (raised.value.param or "").startswith(field)
        assert raised.value.body()["error"]["type"] == "invalid_request_error"
    for value in right:
        call(**{field: value})


@pytest.mark.parametrize(
    "raw",
    [
        b'{"model": ',
        b"",
        b"[]",
        b'"text"',
        b"null",
        b'{"model": "\xff\xfe"}',
        b'{"model":' + b"[" * 50_000,
        b'{"model": "m", "messages": "\\ud800"}',
        b'{"model": "m", "n": NaN}',
    ],
)
def test_a_body_that_is_no_object_is_refused(raw: bytes) -> None:
    with pytest.raises(InvalidRequest):
        parse(raw, ID)


def nested(levels: int) -> bytes:
    return (
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "x": ' + b"[" * levels + b"]" * levels + b"}"
    )


def test_nesting_has_a_limit() -> None:
    parse(nested(63), ID)
    with pytest.raises(InvalidRequest, match="64 levels"):
        parse(nested(64), ID)


def test_many_objects_side_by_side_are_not_deep() -> None:
    assert len(call(messages=[USER] * 500).body["messages"]) == 500


def test_numbers_beyond_64_bits_can_be_sent_on() -> None:
    found = parse(
        b'{"model": "m", "messages": [{"role": "user", "content": "a"}], "x": 123456789012345678901234567890}', ID
    )
    assert orjson.dumps(found.body)


@pytest.mark.parametrize(
    ("part", "kind"),
    [
        ({"type": "image_url", "image_url": {"url": "data:image/png;base64,"}}, "image"),
        ({"type": "input_audio", "input_audio": {"data": ""}}, "audio"),
        ({"type": "file", "file": {"file_id": "f"}}, "file"),
        ({"type": "video_url", "video_url": {"url": "x"}}, "video"),
        ({"type": "x_unknown", "image_url": {"url": "x"}}, "image"),
    ],
)
def test_media_are_noticed(part: dict[str, Any], kind: str) -> None:
    text = {"type": "text", "text": "look"}
    assert media_types(message(content=[text, part]).body) == {kind}
    assert media_types(message(content=[text]).body) == set()


# -- out --------------------------------------------------------------------------------------------------------------

ANSWER = {
    "id": "chatcmpl-up",
    "model": "gpt-4o-2024",
    "created": 5,
    "choices": [{"index": 0, "message": {"role": "assistant", "content": "hi"}, "finish_reason": "stop"}],
    "usage": {"prompt_tokens": 1},
    "system_fingerprint": "fp",
}


def test_an_answer_has_the_name_that_was_asked_and_our_id() -> None:
    found = plain(call(), ANSWER)
    assert found["model"] == "our-model"
    assert found["id"] == f"chatcmpl-{ID.hex}"
    assert found["object"] == "chat.completion"
    assert (found["created"], found["system_fingerprint"], found["choices"]) == (5, "fp", ANSWER["choices"])
    assert "citations" not in found


def test_citations_stand_beside_the_choices() -> None:
    assert plain(call(), {**ANSWER, "citations": ["the vendor's"]}, [{"number": 1}])["citations"] == [{"number": 1}]
    assert plain(call(), ANSWER, [])["citations"] == []


def test_the_text_of_an_answer() -> None:
    assert answer_text(ANSWER) == "hi"
    assert answer_text({"choices": [{"message": {"content": None}}]}) == ""
    assert answer_text({"choices": []}) == ""


def test_json_mode() -> None:
    assert json_mode({"response_format": {"type": "json_schema"}})
    assert not json_mode({"response_format": {"type": "text"}})
    assert not json_mode({})
