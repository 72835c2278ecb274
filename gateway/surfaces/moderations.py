"""POST /v1/moderations: texts judged by the guardrails of the caller's own policy; no model is asked."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, Final
from uuid import UUID

from policies.services import Guardrails

from .reading import read_object, refuse

MOST_TEXTS: Final = 256
#: What judges, whatever model is named.
MODEL: Final = "customhouse-guardrails"


def parse(raw: bytes) -> list[str]:
    """The texts of a request. Raises InvalidRequest."""
    given = read_object(raw).get("input")
    texts = [given] if isinstance(given, str) else given
    if not isinstance(texts, list) or not 0 < len(texts) <= MOST_TEXTS:
        raise refuse("input", f"a string, or a list of at most {MOST_TEXTS} texts")
    return [_text(f"input[{number}]", item) for number, item in enumerate(texts)]


def judge(texts: Sequence[str], guardrails: Guardrails) -> list[dict[str, Any]]:
    """One result a text. Takes CPU, a few milliseconds for each thousand characters. Raises GuardrailFailed."""
    return [_result(guardrails.scores(text), guardrails) for text in texts]


def answer(request_id: UUID, results: list[dict[str, Any]]) -> dict[str, Any]:
    """OpenAI's shape; the categories are our own."""
    return {"id": f"modr-{request_id.hex}", "model": MODEL, "results": results}


def _result(scores: dict[str, float], guardrails: Guardrails) -> dict[str, Any]:
    flags = guardrails.flags(scores)
    return {"flagged": any(flags.values()), "categories": flags, "category_scores": scores}


def _text(place: str, item: Any) -> str:
    if isinstance(item, dict) and item.get("type") == "text":
        item = item.get("text")
    if not isinstance(item, str):
        raise refuse(place, "a text: pictures are not judged")
    return item
