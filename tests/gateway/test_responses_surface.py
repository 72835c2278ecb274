"""The form of OpenAI's responses on the way in and out."""

from __future__ import annotations

from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.data import Call, RetrievalRequest
from gateway.errors import InvalidRequest
from gateway.surfaces.openai_responses import continued, parse, plain, remembered, request_id_of

ID = UUID("0190aabb-ccdd-7eef-8000-000000000001")
USER = {"role": "user", "content": "hello"}
CALL = {"type": "function_call", "call_id": "c1", "name": "book", "arguments": '{"room":"4"}'}
RESULT = {"type": "function_call_output", "call_id": "c1", "output": "booked"}
INSIDE = {"id": "c1", "type": "function", "function": {"name": "book", "arguments": '{"room":"4"}'}}


def call(**body: Any) -> Call:
    return parse(orjson.dumps({"model": "our-model", "input": "hello", **body}), ID)


def messages(*items: Any) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = call(input=list(items)).body["messages"]
    return found


# -- in ---------------------------------------------------------------------------------------------------------------


def test_a_plain_call_has_chats_form_inside() -> None:
    found = call(instructions="Be brief.", max_output_tokens=5, temperature=0.5, store=False, metadata={"a": "b"})
    assert (found.kind, found.dialect, found.model, found.stream) == ("chat", "responses", "our-model", False)
    assert found.body == {
        "model": "our-model",
        "messages": [{"role": "system", "content": "Be brief."}, USER],
        "max_tokens": 5,
        "temperature": 0.5,
    }


def test_unknown_fields_are_kept() -> None:
    assert call(x_new={"deep": ["text"]}).body["x_new"] == {"deep": ["text"]}


def test_retrieval_is_taken_out_of_the_body() -> None:
    found = call(retrieval={"collections": ["handbook"]})
    assert found.retrieval == RetrievalRequest(("handbook",))
    assert "retrieval" not in found.body


def test_items_become_messages() -> None:
    said = {"type": "message", "role": "assistant", "content": [{"type": "output_text", "text": "I book."}]}
    thought = {"type": "reasoning", "summary": [], "content": [{"type": "reasoning_text", "text": "hm"}]}
    assert messages(USER, thought, said, CALL, RESULT, USER) == [
        USER,
        {"role": "assistant", "content": "I book.", "tool_calls": [INSIDE]},
        {"role": "tool", "tool_call_id": "c1", "content": "booked"},
        USER,
    ]
    assert messages(CALL)[0] == {"role": "assistant", "content": None, "tool_calls": [INSIDE]}


def test_parts_are_chats_parts() -> None:
    parts = [
        {"type": "input_text", "text": "look"},
        {"type": "input_image", "image_url": "data:image/png;base64,AAAA", "detail": "low"},
        {"type": "input_file", "filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"},
    ]
    assert messages({"role": "user", "content": parts})[0]["content"] == [
        {"type": "text", "text": "look"},
        {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA", "detail": "low"}},
        {"type": "file", "file": {"filename": "a.pdf", "file_data": "data:application/pdf;base64,AAAA"}},
    ]


def test_a_lone_text_is_a_string() -> None:
    assert messages({"role": "user", "content": [{"type": "input_text", "text": "hello"}]}) == [USER]


def test_tools_and_the_form_of_the_answer() -> None:
    tool = {"type": "function", "name": "book", "description": None, "parameters": {"type": "object"}, "strict": True}
    wanted = {"type": "json_schema", "name": "answer", "schema": {"type": "object"}, "strict": True}
    found = call(tools=[tool], tool_choice={"type": "function", "name": "book"}, text={"format": wanted}).body
    function = {"name": "book", "parameters": {"type": "object"}, "strict": True}
    assert found["tools"] == [{"type": "function", "function": function}]
    assert found["tool_choice"] == {"type": "function", "function": {"name": "book"}}
    schema = {"name": "answer", "schema": {"type": "object"}, "strict": True}
    assert found["response_format"] == {"type": "json_schema", "json_schema": schema}


def test_a_model_that_reasons_gets_the_newer_name_of_the_limit() -> None:
    found = call(reasoning={"effort": "low"}, max_output_tokens=9).body
    assert (found["reasoning_effort"], found["max_completion_tokens"]) == ("low", 9)


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("model", ["", None, 5]),
        ("input", [None, [], 5, ["a"], [{"role": "robot", "content": "x"}], [{"type": "item_reference"}]]),
        ("input[0].content", [[{"role": "user", "content": value}] for value in (None, [], 5, [{}])]),
        ("input[0]", [[{"type": "function_call", "name": "x"}], [{"type": "function_call_output", "output": "x"}]]),
        ("instructions", [5, ["x"]]),
        ("tools", [{}, [{"type": "web_search"}], [{"type": "function"}]]),
        ("tool_choice", [5, {"type": "mcp"}]),
        ("text", ["json", {"format": {"type": "xml"}}, {"format": {"type": "json_schema"}}]),
        ("max_output_tokens", [0, "5"]),
        ("reasoning", ["low"]),
        ("metadata", ["x"]),
        ("store", ["yes"]),
        ("background", [True]),
        ("truncation", ["auto"]),
        ("conversation", ["conv_1"]),
        ("previous_response_id", [5, "resp_x", "x"]),
        ("retrieval", ["handbook"]),
        ("n", [2]),
        ("x_passages", [[]]),
    ],
)
def test_fields_that_the_gateway_relies_on(field: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(InvalidRequest) as raised:
            call(**{field.partition("[")[0]: value})
        assert (raised.value.param or "").startswith(field)


def test_a_conversation_goes_on_after_what_was_said() -> None:
    before = [USER, {"role": "assistant", "content": "hi"}]
    found = call(previous_response_id=f"resp_{ID.hex}", instructions="Be brief.", input="and now?")
    assert found.previous == ID == request_id_of(f"resp_{ID.hex}")
    assert [message["content"] for message in continued(found, before).body["messages"]] == [
        *("Be brief.", "hello", "hi", "and now?"),
    ]


# -- out --------------------------------------------------------------------------------------------------------------


def answer(message: dict[str, Any], finish: str = "stop", **choice: Any) -> dict[str, Any]:
    found = {"index": 0, "message": {"role": "assistant", "content": None, **message}, "finish_reason": finish}
    return {"id": "x", "choices": [{**found, **choice}], "usage": {"prompt_tokens": 7, "completion_tokens": 3}}


def test_an_answer_is_a_response() -> None:
    found = plain(call(metadata={"a": "b"}), answer({"content": "hi"}), [{"number": 1}])
    assert (found["id"], found["object"], found["model"]) == (f"resp_{ID.hex}", "response", "our-model")
    assert (found["status"], found["metadata"], found["citations"]) == ("completed", {"a": "b"}, [{"number": 1}])
    [item] = found["output"]
    assert (item["type"], item["role"], item["content"][0]["text"]) == ("message", "assistant", "hi")
    assert (found["usage"]["input_tokens"], found["usage"]["output_tokens"], found["usage"]["total_tokens"]) == (
        7,
        3,
        10,
    )


def test_calls_are_items() -> None:
    found = plain(call(), answer({"content": "I book.", "tool_calls": [INSIDE]}, "tool_calls"))
    assert [item["type"] for item in found["output"]] == ["message", "function_call"]
    assert {name: found["output"][1][name] for name in CALL} == CALL


def test_an_answer_that_was_cut_is_incomplete() -> None:
    found = plain(call(), answer({"content": "hi"}, "length"))
    assert (found["status"], found["incomplete_details"]) == ("incomplete", {"reason": "max_output_tokens"})


def test_reasoning_is_shown_to_those_who_asked_for_it() -> None:
    thought = answer({"content": "hi", "reasoning_content": "hm"})
    assert [item["type"] for item in plain(call(), thought)["output"]] == ["message"]
    assert plain(call(reasoning={"effort": "low"}), thought)["output"][0]["content"][0]["text"] == "hm"


def test_what_is_kept_is_the_conversation_without_its_instructions() -> None:
    asked = call(instructions="Be brief.")
    kept = remembered(asked, plain(asked, answer({"content": "hi", "tool_calls": [INSIDE]})))
    assert kept is not None
    assert kept["messages"] == [USER, {"role": "assistant", "content": "hi", "tool_calls": [INSIDE]}]
    assert kept["response"]["id"] == f"resp_{ID.hex}"
    assert remembered(call(store=False), {}) is None
