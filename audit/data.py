"""What audit and the apps above it tell each other."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import asdict, dataclass
from datetime import datetime
from functools import cached_property
from typing import Any
from uuid import UUID


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


#: the names of the legal holds that keep something; it is given marks as `holds.holds_over` takes them
Held = Callable[..., tuple[str, ...]]


@dataclass(frozen=True)
class Subject:
    """Who is to be forgotten: a value in texts, or a person or key whose doings are meant (`principals`, their ids)."""

    type: str
    value: str
    principals: frozenset[str] = frozenset()

    @cached_property
    def _pattern(self) -> re.Pattern[str]:
        if self.type == "phone":
            digits = re.sub(r"\D", "", self.value)
            return re.compile(r"(?<!\d)" + r"[\s().\-/]*".join(digits) + r"(?!\d)")
        words = r"\s+".join(map(re.escape, self.value.split()))
        return re.compile(rf"(?<!\w){words}(?!\w)", re.IGNORECASE)

    def is_in(self, text: str) -> bool:
        """Whether a text names the subject: whatever its case and its spaces, as a word of its own."""
        return not self.principals and self._pattern.search(text) is not None

    def is_in_any(self, value: Any) -> bool:
        """Whether any string of a JSON value does, keys included."""
        return any(self.is_in(text) for text in _strings(value))


@dataclass(frozen=True, slots=True)
class Trace:
    """A place where the subject was found: in what, which one, and whose; `held` names legal holds that keep it."""

    kind: str
    id: UUID
    time: datetime
    label: str = ""
    held: tuple[str, ...] = ()

    def row(self) -> dict[str, Any]:
        """As a request's row shows it."""
        return {**asdict(self), "id": str(self.id), "time": self.time.isoformat()}


def _strings(value: Any) -> Iterator[str]:
    if isinstance(value, str):
        yield value
    elif isinstance(value, Mapping):
        for key, found in value.items():
            yield str(key)
            yield from _strings(found)
    elif isinstance(value, list | tuple):
        for found in value:
            yield from _strings(found)
