"""A request body as bytes, read into an object that the gateway can rely on."""

from __future__ import annotations

from typing import Any, Final

import orjson

from gateway.errors import InvalidRequest

#: Objects and lists within one another; no client needs more, and every walk over a body stays short.
MOST_LEVELS: Final = 64


def read_object(raw: bytes) -> dict[str, Any]:
    """The body as an object. Raises InvalidRequest for anything else, and for one that is nested too deeply."""
    try:
        body = orjson.loads(raw)
    except orjson.JSONDecodeError as error:
        raise InvalidRequest(f"The request body is not valid JSON: {_place(error)}.") from None
    if not isinstance(body, dict):
        raise InvalidRequest("The request body must be a JSON object.")
    # As many brackets as levels are needed to be too deep; most bodies have fewer.
    if raw.count(b"{") + raw.count(b"[") > MOST_LEVELS and is_deep(body):
        raise InvalidRequest(f"The request body is nested more than {MOST_LEVELS} levels deep.")
    return body


def is_deep(value: Any) -> bool:
    """Whether a value has more than MOST_LEVELS levels."""
    level = [value]
    for _ in range(MOST_LEVELS + 1):
        if not level:
            return False
        inner: list[Any] = []
        for container in level:
            values = container.values() if isinstance(container, dict) else container
            inner += [found for found in values if isinstance(found, dict | list)]
        level = inner
    return True


def refuse(param: str, must: str) -> InvalidRequest:
    """The error for one field: `temperature must be a number.`"""
    return InvalidRequest(f"{param} must be {must}.", param=param)


def is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def is_whole(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool)


def _place(error: orjson.JSONDecodeError) -> str:
    """Where it is wrong, without the text around it."""
    return f"line {error.lineno}, column {error.colno}"


def purpose_of(metadata: Any) -> str:
    """What a request is for, as its client says in `metadata`; '' when it does not."""
    purpose = metadata.get("purpose") if isinstance(metadata, dict) else None
    return purpose if isinstance(purpose, str) else ""
