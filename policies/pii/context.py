"""How sure a find is, and the words that make it surer."""

from __future__ import annotations

import re
from collections.abc import Callable, Iterable
from dataclasses import dataclass
from functools import lru_cache
from typing import Final

from policies.pii.data import Entity
from policies.pii.readings import folded

SURE: Final = 0.5
"""From this score on, a find needs no context."""
FLOOR: Final = 0.3
"""Below this score, a find is forgotten."""
NOTHING: Final = 0.1
"""The score of what is nothing at all without context."""
LIFT: Final = 0.35
"""What context adds to a score."""
LIFTED: Final = 0.65
"""What a find with context is worth at least."""
BEFORE: Final = 60
"""Characters before a find in which context counts."""
AFTER: Final = 30
"""Characters after a find in which context counts."""

DIGIT: Final = r"\d"
MARGIN: Final = 64
"""No find reaches further than this beyond its first or last anchor, and none has a gap of twice as much inside."""

Find = Callable[[str], Iterable[Entity]]


@dataclass(frozen=True, slots=True)
class Context:
    """Words that make a weak find sure when they stand near it. Short ones stand alone, others may begin a word."""

    words: tuple[str, ...]

    @property
    def clue(self) -> str:
        """An expression that stands wherever one of the words does."""
        return "|".join(re.escape(word) for word in self.words)

    @property
    def pattern(self) -> re.Pattern[str]:
        """Finds one of the words in folded text."""
        return _context_pattern(self.words)

    @classmethod
    def of(cls, *words: str) -> Context:
        """The words as they stand in folded text, in lower case."""
        return cls(tuple(dict.fromkeys(folded(word).lower().strip() for word in words)))


@lru_cache(maxsize=512)
def _context_pattern(words: tuple[str, ...]) -> re.Pattern[str]:
    longest_first = sorted(words, key=lambda word: (-len(word), word))
    parts = (re.escape(word) + (r"(?![a-z])" if len(word) <= 4 else "") for word in longest_first)
    return re.compile(r"(?<![a-z])(?:" + "|".join(parts) + ")", re.IGNORECASE | re.ASCII)
