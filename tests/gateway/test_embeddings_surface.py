"""OpenAI's embeddings form on the way in and out."""

from __future__ import annotations

import base64
import struct
from typing import Any
from uuid import UUID

import orjson
import pytest

from gateway.data import Call
from gateway.errors import InvalidRequest, UpstreamError
from gateway.surfaces.embeddings import parse, plain

ID = UUID("0190aabb-ccdd-7eef-8000-000000000001")


def call(**body: Any) -> Call:
    return parse(orjson.dumps({"model": "our-model", "input": "hello", **body}), ID)


@pytest.mark.parametrize("value", ["text", ["one", "two"]])
def test_text_is_accepted(value: Any) -> None:
    found = call(input=value)
    assert (found.kind, found.model, found.stream, found.body["input"]) == ("embeddings", "our-model", False, value)


@pytest.mark.parametrize("value", [[1, 2, 3], [[1, 2], [3]], ["a", [1]]])
def test_tokens_are_refused_because_nobody_can_scan_them(value: Any) -> None:
    with pytest.raises(InvalidRequest, match="personal data") as raised:
        call(input=value)
    assert raised.value.param == "input"


@pytest.mark.parametrize(
    ("field", "value"),
    [
        ("input", ""),
        ("input", []),
        ("input", [""]),
        ("input", None),
        ("input", {}),
        ("input", [[]]),
        ("input", ["a"] * 2049),
        ("model", ""),
        ("encoding_format", "hex"),
        ("dimensions", 0),
        ("dimensions", "8"),
        ("user", 5),
    ],
)
def test_wrong_fields_are_refused(field: str, value: Any) -> None:
    with pytest.raises(InvalidRequest) as raised:
        call(**{field: value})
    assert raised.value.param == field


NUMBERS = [0.5, -0.25, 1.0]
PACKED = base64.b64encode(struct.pack("<3f", *NUMBERS)).decode()


def answer(vector: Any) -> dict[str, Any]:
    return {"object": "list", "model": "up", "data": [{"index": 0, "embedding": vector}], "usage": {"prompt_tokens": 1}}


@pytest.mark.parametrize("sent", [NUMBERS, PACKED])
@pytest.mark.parametrize(("wanted", "expected"), [("float", NUMBERS), ("base64", PACKED), (None, NUMBERS)])
def test_vectors_come_in_the_form_that_was_asked(sent: Any, wanted: str | None, expected: Any) -> None:
    found = plain(call(encoding_format=wanted), answer(sent))
    assert found["data"][0]["embedding"] == expected
    assert (found["model"], found["usage"]) == ("our-model", {"prompt_tokens": 1})


@pytest.mark.parametrize(("wanted", "vector"), [("base64", ["a"]), ("float", "no base64!"), ("float", "AAA=")])
def test_a_vector_that_is_none_is_an_upstream_error(wanted: str, vector: Any) -> None:
    with pytest.raises(UpstreamError):
        plain(call(encoding_format=wanted), answer(vector))
