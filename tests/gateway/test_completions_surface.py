"""The older form of OpenAI's completions, and rankings in Cohere's form, on the way in and out."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.data import Call
from gateway.errors import InvalidRequest, UpstreamError
from gateway.streaming import StreamRewriter
from gateway.surfaces import openai_completions, rerank
from tests.gateway.fakes import Names, completion, events

ID = UUID("0190aabb-ccdd-7eef-8000-000000000001")


def call(**body: Any) -> Call:
    return openai_completions.parse(orjson.dumps({"model": "m", "prompt": "hello", **body}), ID)


def ranking(**body: Any) -> Call:
    return rerank.parse(orjson.dumps({"model": "m", "query": "rent?", "documents": ["a", "b"], **body}), ID)


def run(found: StreamRewriter, stream: list[bytes], **ending: Any) -> list[dict[str, Any]]:
    out = b"".join([*map(found.feed, stream), found.end(**ending)]).decode()
    assert out.endswith("data: [DONE]\n\n")
    return [json.loads(part[6:]) for part in out.split("\n\n")[:-2]]


# -- completions ------------------------------------------------------------------------------------------------------


def test_a_prompt_is_the_users_message() -> None:
    found = call(max_tokens=5, stop=["."], stream=True, stream_options={"include_usage": True})
    assert (found.kind, found.dialect, found.stream, found.include_usage) == ("chat", "completions", True, True)
    assert found.body["messages"] == [{"role": "user", "content": "hello"}]
    assert call(prompt=["hello"]).body["messages"] == [{"role": "user", "content": "hello"}]
    assert call(x_new="kept").body["x_new"] == "kept"


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("prompt", [None, "", [], ["a", "b"], [1, 2], 5]),
        ("suffix", ["x"]),
        ("best_of", [2]),
        ("logprobs", [3]),
        ("echo", ["yes"]),
        ("messages", [[]]),
        ("n", [0]),
        ("model", [None]),
    ],
)
def test_fields_that_the_gateway_relies_on(field: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(InvalidRequest) as raised:
            call(**{field: value})
        assert raised.value.param == field


def test_an_answer_is_a_text() -> None:
    found = openai_completions.plain(call(echo=True), completion(" world", {"prompt_tokens": 1}), [{"number": 1}])
    assert (found["object"], found["id"], found["model"]) == ("text_completion", f"cmpl-{ID.hex}", "m")
    assert found["choices"] == [{"text": "hello world", "index": 0, "logprobs": None, "finish_reason": "stop"}]
    assert (found["usage"], found["citations"]) == ({"prompt_tokens": 1}, [{"number": 1}])


@pytest.mark.parametrize("split", [1, 2, 50])
def test_a_stream_is_texts_with_the_originals(split: int) -> None:
    text = 'To [A] and [B], "[C]"!'
    deltas = [{"role": "assistant"}, *({"content": text[at : at + split]} for at in range(0, len(text), split))]
    usage = {"prompt_tokens": 1, "completion_tokens": 2}
    form = openai_completions.form(call(stream_options={"include_usage": True}, echo=True))
    found = run(StreamRewriter("m", "x", Names, form=form), events(deltas, usage=usage), cost="0.1")
    said = "".join(choice["text"] for event in found for choice in event["choices"])
    assert said == 'helloTo Alice "Al" Roe and Bob\nBolt, "Charlie 😀"!'
    assert found[-2]["choices"][0]["finish_reason"] == "stop"
    assert found[-1]["usage"] == {**usage, "cost": "0.1"}


# -- rankings ---------------------------------------------------------------------------------------------------------


def test_documents_are_texts_or_objects_with_one() -> None:
    found = ranking(documents=["a", {"text": "b"}], top_n=1)
    assert (found.kind, found.dialect, found.body["documents"]) == ("rerank", "rerank", ["a", "b"])


@pytest.mark.parametrize(
    ("field", "wrong"),
    [
        ("query", [None, "", " ", 5]),
        ("documents", [None, [], "a", [5], [{}], ["a"] * 1001]),
        ("top_n", [0, "1", 1.5]),
        ("return_documents", ["yes"]),
        ("stream", [True]),
        ("model", [None]),
    ],
)
def test_fields_of_a_ranking(field: str, wrong: list[Any]) -> None:
    for value in wrong:
        with pytest.raises(InvalidRequest) as raised:
            ranking(**{field: value})
        assert (raised.value.param or "").startswith(field)


def test_the_best_comes_first_and_no_more_than_asked() -> None:
    results = [{"index": 0, "relevance_score": 0.1}, {"index": 1, "score": 0.9}]
    found = rerank.plain(ranking(top_n=1, return_documents=True), {"results": results})
    assert found["results"] == [{"index": 1, "relevance_score": 0.9, "document": {"text": "b"}}]


@pytest.mark.parametrize("row", [{"index": 2, "relevance_score": 1}, {"index": 0}, "x"])
def test_a_ranking_of_other_documents_is_an_error(row: Any) -> None:
    with pytest.raises(UpstreamError):
        rerank.plain(ranking(), {"results": [row]})
