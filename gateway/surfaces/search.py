"""POST /v1/retrieval/search: passages in the caller's rights."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import replace
from typing import Any, Final

from gateway.data import RetrievalRequest
from gateway.errors import InvalidRequest

from .reading import is_whole, purpose_of, read_object

MOST_PASSAGES = 100
MOST_QUERIES = 8
#: Tokens that sources may have together, at most and at least.
MOST_TOKENS, FEWEST_TOKENS = 200_000, 100


def parse(raw: bytes) -> RetrievalRequest:
    """What is asked. Raises InvalidRequest."""
    body = read_object(raw)
    if body.get("query") is None:
        raise InvalidRequest(_NO_QUERY, param="query")
    _known(body, _FIELDS | {"metadata"}, "")
    metadata = body.get("metadata")
    if metadata is not None and not isinstance(metadata, dict):
        raise InvalidRequest("metadata must be an object.", param="metadata")
    return replace(_request(body, ""), purpose=purpose_of(metadata))


def retrieval(asked: Any, place: str = "") -> RetrievalRequest:
    """The `retrieval` object of a chat call. Raises InvalidRequest."""
    if not isinstance(asked, dict):
        raise InvalidRequest("retrieval must be an object.", param="retrieval")
    _known(asked, _FIELDS | {"max_tokens", "when_empty"}, place)
    return _request(asked, place)


_NO_QUERY: Final = "query must be a string that is not empty, or a list of such strings."
_FIELDS: Final = frozenset({"query", "collections", "top_k", "filter", "min_score"})


def _known(asked: dict[str, Any], names: frozenset[str], place: str) -> None:
    unknown = sorted(set(asked) - names)
    if unknown:
        raise InvalidRequest(f"{place}{unknown[0]} is unknown.", param=place + unknown[0])


def _request(asked: dict[str, Any], place: str) -> RetrievalRequest:
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
    budget, when_empty = asked.get("max_tokens"), asked.get("when_empty", "refuse")
    if budget is not None and (not is_whole(budget) or not FEWEST_TOKENS <= budget <= MOST_TOKENS):
        raise InvalidRequest(
            f"max_tokens must be a whole number from {FEWEST_TOKENS} to {MOST_TOKENS:,}.", param=place + "max_tokens"
        )
    if when_empty not in ("refuse", "ask"):
        raise InvalidRequest('when_empty must be "refuse" or "ask".', param=place + "when_empty")
    return RetrievalRequest(
        collections=None if collections is None else tuple(collections),
        top_k=top_k,
        filter=wanted,
        min_score=None if lowest is None else float(lowest),
        queries=_queries(asked.get("query"), place),
        budget=budget,
        ask_anyway=when_empty == "ask",
    )


def _queries(asked: Any, place: str) -> tuple[str, ...]:
    if asked is None:
        return ()
    given = [asked] if isinstance(asked, str) else asked
    if not isinstance(given, list) or not all(isinstance(query, str) and query.strip() for query in given):
        raise InvalidRequest(_NO_QUERY, param=place + "query")
    if not 1 <= len(given) <= MOST_QUERIES:
        raise InvalidRequest(f"query may hold 1 to {MOST_QUERIES} questions.", param=place + "query")
    return tuple(given)


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
