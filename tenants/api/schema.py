"""What every route of the management plane has in common, for the OpenAPI document: who may ask, and how it refuses."""

from __future__ import annotations

from typing import Any

from drf_spectacular.openapi import AutoSchema

_REFUSED = {"$ref": "#/components/responses/Problem"}

#: what the document's routes refer to
COMPONENTS: dict[str, dict[str, Any]] = {
    "securitySchemes": {
        "key": {"type": "http", "scheme": "bearer", "description": "An API key with the right."},
        "session": {
            "type": "apiKey",
            "in": "cookie",
            "name": "sessionid",
            "description": "Of somebody who is signed in to the console; changes need the X-CSRFToken header as well.",
        },
    },
    "responses": {
        "Problem": {
            "description": "It was refused, and nothing was changed (RFC 9457).",
            "content": {"application/problem+json": {"schema": {"$ref": "#/components/schemas/Problem"}}},
        }
    },
    "schemas": {
        "Problem": {
            "type": "object",
            "properties": {
                "type": {"type": "string"},
                "title": {"type": "string"},
                "status": {"type": "integer"},
                "detail": {"type": "string", "description": "What is wrong, in a sentence."},
                "errors": {
                    "type": "array",
                    "description": "The places that are wrong.",
                    "items": {
                        "type": "object",
                        "properties": {"field": {"type": "string"}, "message": {"type": "string"}},
                        "required": ["field", "message"],
                    },
                },
            },
            "required": ["type", "title", "status", "detail"],
        }
    },
}


class Described(AutoSchema):
    """One route: a caller is needed everywhere, and every refusal is a problem with details."""

    def get_auth(self) -> list[dict[str, Any]]:
        """A key, or the session of who is signed in."""
        return [{"key": []}, {"session": []}]

    def _map_serializer(self, serializer: Any, direction: Any, bypass_extensions: bool = False) -> dict[str, Any]:
        """With what a serializer says of its answers in `sometimes` and `shown`."""
        found: dict[str, Any] = super()._map_serializer(serializer, direction, bypass_extensions)  # type: ignore[no-untyped-call]
        absent = getattr(serializer, "sometimes", ())
        if absent and "required" in found:
            found["required"] = [name for name in found["required"] if name not in absent]
        for name in getattr(serializer, "shown", ()):
            found["properties"][name] = {"type": ["string", "null"], "readOnly": True}
        return found

    def _get_response_bodies(self, direction: Any = "response") -> dict[str, Any]:
        answers: dict[str, Any] = super()._get_response_bodies(direction)
        return {**answers, "4XX": _REFUSED, "503": _REFUSED}
