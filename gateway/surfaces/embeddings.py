"""POST /v1/embeddings: OpenAI's form to a Call, and an answer back to it."""

from __future__ import annotations

import base64
import sys
from array import array
from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from gateway.data import Call, Tokens
from gateway.errors import InvalidRequest, UpstreamError

from .reading import is_whole, read_object, refuse

MOST_INPUTS: Final = 2048
FORMATS: Final = frozenset({"float", "base64"})


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field."""
    body = read_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "the name of a model")
    _check_input(body.get("input"))
    wanted = body.get("encoding_format")
    if wanted is not None and (not isinstance(wanted, str) or wanted not in FORMATS):
        raise refuse("encoding_format", "float or base64")
    dimensions = body.get("dimensions")
    if dimensions is not None and (not is_whole(dimensions) or dimensions < 1):
        raise refuse("dimensions", "a whole number of at least 1")
    if not isinstance(body.get("user") or "", str):
        raise refuse("user", "a string")
    return Call(
        id=request_id,
        kind="embeddings",
        dialect="embeddings",
        model=model,
        body=body,
        client_ip=client_ip,
        traceparent=traceparent,
    )


def plain(
    call: Call,
    body: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]] | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """A whole answer as the client sees it: the name that it asked, and vectors in the form that it asked."""
    as_text = call.body.get("encoding_format") == "base64"
    rows = [_row(row, as_text) for row in body["data"]]
    answer = {"object": "list", "data": rows, "model": call.model}
    if body.get("usage") is not None:
        answer["usage"] = body["usage"]
    return answer


def _check_input(value: Any) -> None:
    if isinstance(value, str) and value:
        return
    if not isinstance(value, list) or not value:
        raise refuse("input", "a string or a list of strings, not empty")
    if any(is_whole(item) or (isinstance(item, list) and item and all(map(is_whole, item))) for item in value):
        raise InvalidRequest(
            "input must be text: token arrays cannot be scanned for personal data. Send strings "
            "(LangChain: check_embedding_ctx_length=False).",
            param="input",
        )
    if not all(isinstance(item, str) and item for item in value):
        raise refuse("input", "a string or a list of strings, none of them empty")
    if len(value) > MOST_INPUTS:
        raise refuse("input", f"a list of at most {MOST_INPUTS} strings")


def _row(row: Any, as_text: bool) -> dict[str, Any]:
    """One embedding in the form that was asked: some vendors know only one of the two."""
    if not isinstance(row, dict):
        raise UpstreamError("The model's answer is not a list of embeddings.")
    vector = row.get("embedding")
    if as_text and isinstance(vector, list):
        vector = _packed(vector)
    elif not as_text and isinstance(vector, str):
        vector = _unpacked(vector)
    return {**row, "embedding": vector}


def _packed(vector: list[Any]) -> str:
    """Little-endian 32-bit floats in base64, as OpenAI sends them."""
    try:
        numbers = array("f", vector)
    except (TypeError, OverflowError):
        raise UpstreamError("The model's answer is not a list of embeddings.") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return base64.b64encode(numbers.tobytes()).decode()


def _unpacked(text: str) -> list[float]:
    try:
        numbers = array("f", base64.b64decode(text, validate=True))
    except ValueError:
        raise UpstreamError("The model's answer is not a list of embeddings.") from None
    if sys.byteorder == "big":
        numbers.byteswap()
    return numbers.tolist()
