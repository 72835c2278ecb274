"""Says in one pass over a text which recognizers are worth showing it to.

Every recognizer names a clue: an expression that stands in every text in which it can find something. Hyperscan looks
for all clues at once. Where it is not installed, every clue counts as found, and only speed is lost.
"""

from __future__ import annotations

import threading
from collections.abc import Sequence
from typing import Any

try:
    import hyperscan
except ImportError:  # not built for this platform
    hyperscan = None  # type: ignore[assignment,unused-ignore]


def available() -> bool:
    """Whether clues are looked for at all."""
    return hyperscan is not None


class Prefilter:
    """Clues found in bytes, as a set of bits: bit i for expression i. Safe to use from several threads."""

    def __init__(self, expressions: Sequence[str]) -> None:
        self.everything = (1 << len(expressions)) - 1
        self._database: Any = _compile(expressions) if available() else None
        self._local = threading.local()

    def clues(self, data: bytes) -> int:
        """The bits of the clues that stand in `data` (UTF-8)."""
        if self._database is None:
            return self.everything
        found: list[int] = []
        self._database.scan(data, match_event_handler=_on_match, context=found, scratch=self._scratch())
        bits = 0
        for index in found:
            bits |= 1 << index
        return bits

    def _scratch(self) -> Any:
        """A scan needs working memory that no other thread uses at the same time."""
        try:
            return self._local.scratch
        except AttributeError:
            self._local.scratch = hyperscan.Scratch(self._database)
            return self._local.scratch


def _on_match(index: int, _start: int, _end: int, _flags: int, found: list[int]) -> None:
    found.append(index)


def _compile(expressions: Sequence[str]) -> Any:
    flags = hyperscan.HS_FLAG_CASELESS | hyperscan.HS_FLAG_SINGLEMATCH | hyperscan.HS_FLAG_DOTALL
    database = hyperscan.Database(mode=hyperscan.HS_MODE_BLOCK)
    database.compile(
        expressions=[expression.encode() for expression in expressions],
        ids=list(range(len(expressions))),
        elements=len(expressions),
        flags=[flags] * len(expressions),
    )
    return database
