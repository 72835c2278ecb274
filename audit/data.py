"""What audit and the apps above it tell each other."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from datetime import datetime


@dataclass(frozen=True, slots=True)
class Finding:
    """Something that does not add up: what, how often, and some of the requests or events."""

    what: str
    count: int
    examples: list[str]


#: compares, in the open scope, what happened between two times (the end not included)
Comparison = Callable[[datetime, datetime], list[Finding]]
COMPARISONS: dict[str, Comparison] = {}


def comparison(name: str, compare: Comparison) -> None:
    """Adds a comparison to the daily check of completeness; apps add theirs when they are ready."""
    COMPARISONS[name] = compare
