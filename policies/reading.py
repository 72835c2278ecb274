"""Reading the parts of a policy document; what is wrong is told by its place."""

from __future__ import annotations

from collections.abc import Set
from typing import Any

from .errors import RulesError


def read_object(value: Any, place: str, known: Set[str]) -> dict[str, Any]:
    """An object with no other names than these. Raises RulesError."""
    if not isinstance(value, dict):
        raise RulesError(f"{place} must be an object.")
    unknown = sorted(set(value) - known)
    if unknown:
        raise RulesError(f"{place}.{unknown[0]} is unknown; known are {', '.join(sorted(known))}.")
    return value
