"""GET /v1/models and /v1/models/{id}, in OpenAI's form and in Anthropic's at once: no field means two things."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import UTC, datetime
from typing import Any

from gateway.catalogue import ModelView
from gateway.errors import ModelNotFound


def listing(models: Iterable[ModelView]) -> dict[str, Any]:
    """The models that a caller may call, by name."""
    rows = [_row(model) for model in sorted(models, key=lambda model: model.name)]
    ends = {"first_id": rows[0]["id"], "last_id": rows[-1]["id"]} if rows else {"first_id": None, "last_id": None}
    return {"object": "list", "data": rows, "has_more": False, **ends}


def one(models: Iterable[ModelView], name: str) -> dict[str, Any]:
    """One of them. Raises ModelNotFound."""
    for model in models:
        if model.name == name:
            return _row(model)
    raise ModelNotFound(f"The model {name!r} does not exist or you may not call it.", param="model")


def _row(model: ModelView) -> dict[str, Any]:
    return {
        "id": model.name,
        "object": "model",
        "created": model.created,
        "owned_by": model.owned_by,
        "type": "model",
        "display_name": model.name,
        "created_at": datetime.fromtimestamp(model.created, UTC).isoformat().replace("+00:00", "Z"),
    }
