"""POST /v1/retrieval/search: passages in the caller's rights."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import orjson

from gateway.data import RetrievalRequest
from gateway.errors import InvalidRequest

MOST_PASSAGES = 100


def parse(raw: bytes) -> tuple[str, RetrievalRequest]:
    """The query and what is asked. Raises InvalidRequest."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest("The request body is not valid JSON.") from error
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    query = body.pop("query", None)
    if not isinstance(query, str) or not query.strip():
        raise InvalidRequest("query must be a string that is not empty.", param="query")
    return query, retrieval(body)


def retrieval(asked: Any, place: str = "") -> RetrievalRequest:
    """The `retrieval` object of a chat call, or the body of a search. Raises InvalidRequest."""
    if not isinstance(asked, dict):
        raise InvalidRequest("retrieval must be an object.", param="retrieval")
    unknown = sorted(set(asked) - {"collections", "top_k", "filter", "min_score"})
    if unknown:
        raise InvalidRequest(f"{place}{unknown[0]} is unknown.", param=place + unknown[0])
    collections, top_k = asked.get("collections"), asked.get("top_k", 8)
    if collections is not None and (
        not isinstance(collections, list) or not all(isinstance(name, str) for name in collections)
    ):
        raise InvalidRequest("collections must be a list of names.", param=place + "collections")
    if not isinstance(top_k, int) or isinstance(top_k, bool) or not 1 <= top_k <= MOST_PASSAGES:
        raise InvalidRequest(f"top_k must be a whole number from 1 to {MOST_PASSAGES}.", param=place + "top_k")
    wanted, lowest = asked.get("filter"), asked.get("min_score")
    if wanted is not None and not isinstance(wanted, dict):
        raise InvalidRequest("filter must be an object.", param=place + "filter")
    if lowest is not None and (not isinstance(lowest, (int, float)) or isinstance(lowest, bool)):
        raise InvalidRequest("min_score must be a number.", param=place + "min_score")
    return RetrievalRequest(
        collections=None if collections is None else tuple(collections),
        top_k=top_k,
        filter=wanted,
        min_score=None if lowest is None else float(lowest),
    )


def listing(passages: Iterable[Any]) -> dict[str, Any]:
    """Passages in the contract's shape."""
    rows = [_row(passage) for passage in passages]
    return {"object": "list", "data": rows, "usage": {"passages": len(rows)}}


def _row(passage: Any) -> dict[str, Any]:
    return {
        "document": {
            "id": str(passage.document_id),
            "external_id": passage.external_id,
            "title": passage.title,
            "version": passage.version,
        },
        "chunk_id": str(passage.chunk_id),
        "text": passage.text,
        "page": passage.page,
        "section": passage.section,
        "start": passage.start,
        "end": passage.end,
        "score": passage.score,
        "scores": {"vector": passage.vector, "text": passage.lexical, "rerank": None},
    }
