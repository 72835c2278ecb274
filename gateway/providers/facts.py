"""What is known of models without asking anybody: prices and abilities from the table in the litellm package.

The table is read as a file; litellm itself is not imported for it. Used when deployments are set up, never by a call.
"""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from decimal import Decimal
from functools import lru_cache
from typing import Any, Final

from .tokens import package_file

TABLE: Final = "model_prices_and_context_window_backup.json"

#: The table's fields for one token -> kinds of tokens (`billing.models.Kind`).
PRICES: Final = {
    "input_cost_per_token": "input",
    "cache_read_input_token_cost": "cached_input",
    "cache_creation_input_token_cost": "cache_write",
    "output_cost_per_token": "output",
    "output_cost_per_reasoning_token": "reasoning",
}
_PER_MILLION: Final = 6
_PLACES: Final = Decimal("0.000001")

#: The table's fields for what a model can do -> words of a deployment's capabilities.
ABILITIES: Final = {
    "supports_vision": "vision",
    "supports_function_calling": "tools",
    "supports_response_schema": "json",
    "supports_reasoning": "reasoning",
    "supports_audio_input": "audio",
    "supports_pdf_input": "files",
}


@dataclass(frozen=True, slots=True)
class ModelFacts:
    """One row of the table. Counts are tokens, None where it does not say."""

    name: str
    vendor: str
    max_input_tokens: int | None
    max_output_tokens: int | None
    capabilities: frozenset[str]


def price_table() -> Iterator[tuple[str, dict[str, Decimal]]]:
    """(litellm's model name, {kind: US dollars per million tokens}) for chat and embedding models that have a price."""
    for name, row in _table().items():
        prices = _prices(row)
        if prices and row.get("mode") in ("chat", "responses", "embedding"):
            yield name, prices


def model_prices(name: str) -> dict[str, Decimal]:
    """US dollars per million tokens by kind; {} when the table does not know the model."""
    row = _row(name)
    return {} if row is None else _prices(row)


def model_facts(name: str) -> ModelFacts | None:
    """What the table says of a model, found with or without its vendor's prefix; None when it does not know it."""
    row = _row(name)
    if row is None:
        return None
    most = row.get("max_output_tokens") or row.get("max_tokens")
    return ModelFacts(
        name=name,
        vendor=str(row.get("litellm_provider", "")),
        max_input_tokens=_whole(row.get("max_input_tokens")),
        max_output_tokens=None if row.get("mode") == "embedding" else _whole(most),
        capabilities=_capabilities(row),
    )


def vendors() -> frozenset[str]:
    """Every vendor that the table names, in litellm's words."""
    return frozenset(str(row.get("litellm_provider", "")) for row in _table().values())


def _capabilities(row: Mapping[str, Any]) -> frozenset[str]:
    mode = row.get("mode")
    found = {word for field, word in ABILITIES.items() if row.get(field) is True}
    if mode in ("chat", "responses"):
        found.add("chat")
    if mode == "embedding":
        found.add("embeddings")
    return frozenset(found)


def _prices(row: Mapping[str, Any]) -> dict[str, Decimal]:
    found = {}
    for field, kind in PRICES.items():
        price = row.get(field)
        if isinstance(price, Decimal | int):
            found[kind] = Decimal(price).scaleb(_PER_MILLION).quantize(_PLACES)
    if row.get("mode") == "embedding" and "input" in found:
        found = {"embedding": found["input"]}
    return found


def _row(name: str) -> Mapping[str, Any] | None:
    table = _table()
    found = table.get(name)
    if found is None and "/" in name:
        found = table.get(name.partition("/")[2])
    return found


def _whole(value: Any) -> int | None:
    return int(value) if isinstance(value, int | Decimal) else None


@lru_cache(maxsize=1)
def _table() -> Mapping[str, Mapping[str, Any]]:
    found = json.loads(package_file(TABLE).read_bytes(), parse_float=Decimal)
    found.pop("sample_spec", None)
    return {name: row for name, row in found.items() if isinstance(row, dict)}
