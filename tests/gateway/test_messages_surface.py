"""Anthropic's form on the way in and out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.data import Call, RetrievalRequest, Tokens
from gateway.errors import BudgetExhausted, InvalidKey, InvalidRequest, UpstreamTimeout
from gateway.surfaces import anthropic_messages
from gateway.surfaces.anthropic_messages import counted, outgoing, parse, parse_count, plain, refusal

ID = UUID("0190aabb-ccdd-7eef-8000-000000000001")
USER = {"role": "user", "content": "hello"}
PNG = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
USE = {"type": "tool_use", "id": "toolu_1", "name": "book", "input": {"room": "4"}}
RESULT = {"type": "tool_result", "tool_use_id": "toolu_1", "content": "booked"}
SIGNED = {"type": "thinking", "thinking": "hm", "signature": "c2lnbmVk"}


def call(**body: Any) -> Call:
    return parse(orjson.dumps({"model": "our-model", "max_tokens": 5, "messages": [USER], **body}), ID)


def said(role: str, *blocks: dict[str, Any]) -> list[dict[str, Any]]:
    """The messages that one message of these blocks becomes."""
    messages: list[dict[str, Any]] = call(messages=[{"role": role, "content": list(blocks)}]).body["messages"]
    return messages


# -- in ---------------------------------------------------------------------------------------------------------------


def test_a_plain_call_has_openais_form_inside() -> None:
    found = call(system="Be brief.", stop_sequences=["END"], temperature=0.5, metadata={"user_id": "u1"}, top_k=3)
    assert (found.kind, found.dialect, found.model, found.stream) == ("chat", "messages", "our-model", False)
    assert found.body == {
        "model": "our-model",
        "messages": [{"role": "system", "content": "Be brief."}, USER],
        "max_tokens": 5,
        "stop": ["END"],
        "temperature": 0.5,
        "user": "u1",
        "top_k": 3,
    }


def test_unknown_fields_are_kept() -> None:
    assert call(x_new={"deep": ["text"]}).body["x_new"] == {"deep": ["text"]}
    assert call(metadata={"case": "7"}).body["metadata"] == {"case": "7"}


def test_retrieval_is_taken_out_of_the_body() -> None:
    found = call(retrieval={"collections": ["handbook"], "top_k": 3})
    assert found.retrieval == RetrievalRequest(("handbook",), 3)
    assert "retrieval" not in found.body


def test_system_may_be_blocks() -> None:
    cached = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
    found = call(system=[{"type": "text", "text": "a"}, cached]).body["messages"][0]
    assert found == {"role": "system", "content": [{"type": "text", "text": "a"}, cached]}
    with pytest.raises(InvalidRequest):
        call(system=[PNG])


def test_a_picture_is_an_image_part() -> None:
    [message] = said("user", {"type": "text", "text": "look"}, PNG)
    assert message["content"][1] == {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    linked = {"type": "image", "source": {"type": "url", "url": "https://example.com/a.png"}}
    assert said("user", linked)[0]["content"][0]["image_url"]["url"] == "https://example.com/a.png"


def test_a_conversation_with_tools_becomes_calls_and_answers() -> None:
    messages = [
        {"role": "assistant", "content": [{"type": "text", "text": "I book."}, USE]},
        {"role": "user", "content": [{"type": "text", "text": "and then?"}, RESULT]},
    ]
    assert call(messages=messages).body["messages"] == [
        {
            "role": "assistant",
            "content": "I book.",
            "tool_calls": [
                {"id": "toolu_1", "type": "function", "function": {"name": "book", "arguments": '{"room":"4"}'}}
            ],
        },
        {"role": "tool", "tool_call_id": "toolu_1", "content": "booked"},
        {"role": "user", "content": "and then?"},
    ]


def test_a_result_of_blocks_is_text_and_its_pictures_follow() -> None:
    result = {
        **RESULT,
        "is_error": True,
        "content": [{"type": "text", "text": "no"}, {"type": "text", "text": "room"}, PNG],
    }
    tool, user = said("user", result)
    assert tool["content"] == "Error: no\nroom"
    assert user["content"][0]["type"] == "image_url"


def test_documents_are_messages_of_their_own_and_known_as_such() -> None:
    text = {
        "type": "document",
        "title": "Lease",
        "source": {"type": "text", "media_type": "text/plain", "data": "rent"},
    }
    found = {"type": "search_result", "source": "s", "title": "t", "content": [{"type": "text", "text": "x"}]}
    made = call(messages=[USER, {"role": "user", "content": [text, found, {"type": "text", "text": "how much?"}]}])
    assert [message["content"] for message in made.body["messages"]] == ["hello", "Lease\nrent", "t\ns\nx", "how much?"]
    assert made.documents == {1, 2}


def test_a_pdf_is_a_file() -> None:
    source = {"type": "base64", "media_type": "application/pdf", "data": "AAAA"}
    [message] = said("user", {"type": "document", "title": "a.pdf", "source": source})
    assert message["content"] == [
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}}
    ]


def test_tools_and_the_choice_among_them() -> None:
    schema = {"type": "object", "properties": {}}
    tool = {"name": "book", "description": "Books.", "input_schema": schema}
    found = call(tools=[tool], tool_choice={"type": "tool", "name": "book", "disable_parallel_tool_use": True}).body
    assert found["tools"] == [
        {"type": "function", "function": {"name": "book", "parameters": schema, "description": "Books."}}
    ]
    assert found["tool_choice"] == {"type": "function", "function": {"name": "book"}}
    assert found["parallel_tool_calls"] is False
    for theirs, ours in (("auto", "auto"), ("any", "required"), ("none", "none")):
        assert call(tool_choice={"type": theirs}).body["tool_choice"] == ours


def test_an_answer_of_a_schema_is_a_response_format() -> None:
    found = call(output_config={"effort": "low", "format": {"type": "json_schema", "schema": {"type": "object"}}}).body
    assert found["response_format"]["json_schema"]["schema"] == {"type": "object"}
    assert found["reasoning_effort"] == "low"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("max_tokens", [None, 0, "5", 1.5, True]),
        ("model", ["", None, 5]),
        ("messages", ["hello", [], None, {}, ["a"], [{"role": "system", "content": "x"}], [{"role": "user"}]]),
        ("messages[0].content[0]", [[{"role": "user", "content": [block]}] for block in ("a", {}, {"type": 5})]),
        ("system", [5, [5], {"type": "text"}]),
        ("stop_sequences", ["END", [5]]),
        ("tools", [{}, ["a"], [{}], [{"name": "a"}]]),
        ("tool_choice", ["auto", {"type": "tool"}, {"type": "x"}]),
        ("metadata", ["u", {"user_id": 5}]),
        ("temperature", ["hot"]),
        ("stream", ["yes"]),
        ("retrieval", ["handbook", {"top_k": 0}]),
        ("output_config", ["low", {"format": {}}]),
        ("thinking", ["enabled"]),
        ("n", [2]),
        ("x_passages", [[]]),
    ],
)
def test_fields_that_the_gateway_relies_on(field: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(InvalidRequest) as raised:
            call(**{field.partition("[")[0]: value})
        assert (raised.value.param or "").startswith(field)


def test_max_tokens_is_needed_for_a_call_and_not_for_a_count() -> None:
    raw = orjson.dumps({"model": "m", "messages": [USER]})
    with pytest.raises(InvalidRequest, match="max_tokens"):
        parse(raw, ID)
    assert counted(parse_count(raw, ID))["input_tokens"] > 0


def test_a_picture_counts_as_a_picture_and_not_as_its_letters() -> None:
    big = {**PNG, "source": {**PNG["source"], "data": "ABCD" * 50_000}}
    found = call(messages=[{"role": "user", "content": [{"type": "text", "text": "look"}, big]}])
    assert anthropic_messages.MEDIUM_TOKENS < counted(found)["input_tokens"] < anthropic_messages.MEDIUM_TOKENS + 50


# -- to a vendor ------------------------------------------------------------------------------------------------------


def test_a_vendor_of_openais_form_gets_an_effort_and_no_blocks_of_thinking() -> None:
    cached = {"type": "text", "text": "b", "cache_control": {"type": "ephemeral"}}
    found = call(
        thinking={"type": "enabled", "budget_tokens": 4000},
        messages=[{"role": "user", "content": [cached, cached]}, {"role": "assistant", "content": [SIGNED, USE]}],
    )
    sent = outgoing(found, found.body, knows_thinking=False)
    assert (sent["reasoning_effort"], sent["max_completion_tokens"]) == ("medium", 5)
    assert not {"thinking", "thinking_blocks", "cache_control", "max_tokens"} & set(
        orjson.dumps(sent).decode().split('"')
    )


def test_signed_thinking_goes_back_only_as_it_came() -> None:
    found = call(messages=[USER, {"role": "assistant", "content": [SIGNED, USE]}])
    assert outgoing(found, found.body, knows_thinking=True)["messages"][1]["thinking_blocks"] == [SIGNED]
    masked = {**found.body, "messages": [USER, {**found.body["messages"][1], "thinking_blocks": [{**SIGNED}]}]}
    assert "thinking_blocks" not in outgoing(found, masked, knows_thinking=True)["messages"][1]


def test_thinking_that_nobody_signed_is_not_sent_back() -> None:
    unsigned = {**SIGNED, "signature": ""}
    assert said("assistant", unsigned, USE)[0].keys() == {"role", "content", "tool_calls"}


# -- out --------------------------------------------------------------------------------------------------------------


def answer(message: dict[str, Any], finish: str = "stop", **choice: Any) -> dict[str, Any]:
    found = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {"id": "x", "choices": [{**found, **choice}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def test_an_answer_has_the_name_that_was_asked_and_our_id() -> None:
    assert plain(call(), answer({"content": "hi"})) == {
        "id": f"msg_{ID.hex}",
        "type": "message",
        "role": "assistant",
        "model": "our-model",
        "content": [{"type": "text", "text": "hi"}],
        "stop_reason": "end_turn",
        "stop_sequence": None,
        "usage": {
            "input_tokens": 7,
            "cache_creation_input_tokens": 0,
            "cache_read_input_tokens": 0,
            "output_tokens": 3,
        },
    }


def test_citations_stand_beside_the_content() -> None:
    assert plain(call(), answer({"content": "hi"}), [{"number": 1}])["citations"] == [{"number": 1}]
    assert "citations" not in plain(call(), answer({"content": "hi"}))


@pytest.mark.parametrize(
    ("finish", "reason"),
    [("length", "max_tokens"), ("content_filter", "refusal"), ("tool_calls", "tool_use"), ("x", "end_turn")],
)
def test_why_the_model_stopped(finish: str, reason: str) -> None:
    assert plain(call(), answer({"content": "hi"}, finish))["stop_reason"] == reason


def test_the_stop_sequence_is_told_where_the_vendor_says_it() -> None:
    found = plain(call(stop_sequences=["END"]), answer({"content": "hi"}, stop_reason="END"))
    assert (found["stop_reason"], found["stop_sequence"]) == ("stop_sequence", "END")


@pytest.mark.parametrize(("arguments", "input"), [('{"a": 1}', {"a": 1}), ("", {}), ("{half", {"arguments": "{half"})])
def test_tool_calls_are_blocks_with_an_object(arguments: str, input: dict[str, Any]) -> None:
    calls = [{"id": "c1", "type": "function", "function": {"name": "book", "arguments": arguments}}]
    found = plain(call(), answer({"tool_calls": calls}))
    assert found["content"] == [{"type": "tool_use", "id": "c1", "name": "book", "input": input}]
    assert found["stop_reason"] == "tool_use"


def test_thinking_is_shown_to_those_who_asked_for_it() -> None:
    thought = answer({"content": "hi", "reasoning_content": "hm"})
    wanting = call(thinking={"type": "enabled", "budget_tokens": 1024})
    assert [block["type"] for block in plain(call(), thought)["content"]] == ["text"]
    assert plain(wanting, thought)["content"][0] == {"type": "thinking", "thinking": "hm", "signature": ""}
    signed = answer({"content": "hi", "reasoning_content": "hm", "thinking_blocks": [SIGNED]})
    assert plain(wanting, signed)["content"][0] == SIGNED


def test_tokens_that_the_vendor_did_not_count_are_told() -> None:
    found = plain(call(), {"choices": []}, None, Tokens(input=3, cached_input=2, cache_write=1, output=4, reasoning=5))
    assert found["usage"] == {
        "input_tokens": 3,
        "cache_creation_input_tokens": 1,
        "cache_read_input_tokens": 2,
        "output_tokens": 9,
    }


def test_errors_have_anthropics_shape() -> None:
    found = refusal(InvalidRequest("no", param="messages"), ID)
    assert found == {
        "type": "error",
        "error": {"type": "invalid_request_error", "message": "no", "code": "invalid_request", "param": "messages"},
        "request_id": str(ID),
    }
    kinds = [refusal(error("x"), ID)["error"]["type"] for error in (InvalidKey, BudgetExhausted, UpstreamTimeout)]
    assert kinds == ["authentication_error", "billing_error", "timeout_error"]
