"""POST /v1/rerank: Cohere's form to a Call, and an answer back to it."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, Final
from uuid import UUID

from gateway.data import Call, Tokens
from gateway.errors import UpstreamError
from gateway.providers.base import INTERNAL

from .reading import is_number, is_whole, read_object, refuse

MOST_DOCUMENTS: Final = 1_000


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field."""
    body = read_object(raw)
    for name in ("model", "query"):
        if not isinstance(body.get(name), str) or not body[name].strip():
            raise refuse(name, "a string that is not empty")
    for name in INTERNAL & body.keys():
        raise refuse(name, "left out: it is the gateway's own")
    body["documents"] = _documents(body.get("documents"))
    most = body.get("top_n")
    if most is not None and (not is_whole(most) or most < 1):
        raise refuse("top_n", "a whole number of at least 1")
    for name in ("return_documents", "stream"):
        if not isinstance(body.get(name), bool | None) or (name == "stream" and body.get(name)):
            raise refuse(name, "false" if name == "stream" else "true or false")
    return Call(
        id=request_id,
        kind="rerank",
        dialect="rerank",
        model=body["model"],
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
    """A whole answer as the client sees it: the best first, its documents as they were sent."""
    documents = call.body["documents"]
    rows = sorted((_row(row, len(documents)) for row in body["results"]), key=lambda row: -row["relevance_score"])
    rows = rows[: call.body.get("top_n") or len(rows)]
    if call.body.get("return_documents"):
        rows = [{**row, "document": {"text": documents[row["index"]]}} for row in rows]
    return {
        "id": str(call.id),
        "model": call.model,
        "results": rows,
        "meta": {"api_version": {"version": "2"}, "billed_units": {"search_units": 1}},
    }


def _documents(value: Any) -> list[str]:
    if not isinstance(value, list) or not value:
        raise refuse("documents", "a list of texts, not empty")
    if len(value) > MOST_DOCUMENTS:
        raise refuse("documents", f"a list of at most {MOST_DOCUMENTS} texts")
    texts: list[str] = []
    for number, row in enumerate(value):
        text = row.get("text") if isinstance(row, dict) else row
        if not isinstance(text, str):
            raise refuse(f"documents[{number}]", "a string, or an object with a text")
        texts.append(text)
    return texts


def _row(row: Any, count: int) -> dict[str, Any]:
    if not isinstance(row, dict) or not is_whole(row.get("index")) or not 0 <= row["index"] < count:
        raise UpstreamError("The model's answer is no ranking of these documents.")
    score: Any = row.get("relevance_score", row.get("score"))
    if not is_number(score):
        raise UpstreamError("The model's answer is no ranking of these documents.")
    return {"index": row["index"], "relevance_score": float(score)}
