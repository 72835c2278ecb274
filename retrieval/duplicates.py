"""Drops passages that say the same as a better one: mirrored pages, copied clauses, two versions of one file."""

from __future__ import annotations

from collections.abc import Sequence
from itertools import pairwise

from .analyser import words
from .data import Passage

#: Two passages are the same when they share so many of their pairs of words.
SAME = 0.9
#: Only those are compared whose scores lie this near and whose lengths differ this little: texts that share nine tenths
#: of their pairs cannot lie further apart, and to compare all with all would cost more than to find them.
NEAR, LENGTH = 0.03, 0.85

Shingles = frozenset[tuple[str, str]]


def distinct(passages: Sequence[Passage], most: int) -> list[Passage]:
    """The first `most` passages that repeat none before them."""
    kept: list[Passage] = []
    known: dict[int, Shingles] = {}

    def shingles(passage: Passage) -> Shingles:
        if id(passage) not in known:
            known[id(passage)] = _shingles(passage.text)
        return known[id(passage)]

    for passage in passages:
        if len(kept) == most:
            break
        near = (other for other in kept if _close(passage, other))
        if not any(_overlap(shingles(passage), shingles(other)) >= SAME for other in near):
            kept.append(passage)
    return kept


def _close(one: Passage, other: Passage) -> bool:
    shorter, longer = sorted((len(one.text), len(other.text)))
    return (
        abs(one.vector - other.vector) <= NEAR
        and abs(one.lexical - other.lexical) <= NEAR
        and shorter >= LENGTH * longer
    )


def _shingles(text: str) -> Shingles:
    found = words(text)
    return frozenset(pairwise(found)) or frozenset((word, "") for word in found)


def _overlap(one: Shingles, other: Shingles) -> float:
    """The share of common pairs among all (Jaccard)."""
    together = len(one & other)
    return together / max(1, len(one) + len(other) - together)
