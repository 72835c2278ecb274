"""From the probabilities of words to spans. In doubt a span is longer: half a name still names somebody."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import Final

import numpy as np

from policies.pii.data import Entity
from policies.pii.ner.model import TYPES, Floats
from policies.pii.ner.words import Word

BIAS: Final[Mapping[str, float]] = {"PERSON": 0.4, "LOCATION": 0.2, "ORGANIZATION": 0.4, "STREET_ADDRESS": 0.0}
"""Added to a type's log-probabilities: more finds more, and more that is none. Chosen on the sets' held-out parts."""
BESIDE: Final = 0.15
"""A word beside a named one belongs to the name from this chance on; a name needs one word with at least a half."""
_KEEPS_POINT: Final = frozenset({"jr", "sr", "inc", "ltd", "co", "corp", "llc", "st", "rd", "ave", "blvd"})

Part = tuple[Sequence[Word], str]


def found(parts: Sequence[Part], tags: Floats, bias: Mapping[str, float] = BIAS) -> Iterator[tuple[Entity, ...]]:
    """The entities of each segment; `start` and `end` count its words. The score is the highest chance of a word."""
    chances = np.exp(tags)
    if any(bias.values()):
        chances[:, 1:] *= np.exp(np.repeat([bias[kind] for kind in TYPES], 2))
        chances /= chances.sum(1, keepdims=True)
    named = np.flatnonzero(chances[:, 0] < 1 - BESIDE)
    rows = dict(zip(named.tolist(), chances[named].tolist(), strict=True))
    at = 0
    for words, text in parts:
        inside = {index - at: rows[index] for index in range(at, at + len(words)) if index in rows} if rows else {}
        at += len(words)
        entities = (_entity(start, end, words, inside, text) for start, end in _runs(inside))
        yield tuple(entity for entity in entities if entity is not None) if inside else ()


def _runs(inside: Mapping[int, list[float]]) -> Iterator[tuple[int, int]]:
    """Stretches of named words; a word that begins a name begins a new one."""
    start = end = -1
    for index, chances in inside.items():
        if index != end or sum(chances[1::2]) > sum(chances[2::2]):
            if start >= 0:
                yield start, end
            start = index
        end = index + 1
    if start >= 0:
        yield start, end


def _entity(start: int, end: int, words: Sequence[Word], inside: Mapping[int, list[float]], text: str) -> Entity | None:
    chances = [inside[index] for index in range(start, end)]
    if min(each[0] for each in chances) >= 0.5:
        return None
    by_type = [sum(each[1 + 2 * kind] + each[2 + 2 * kind] for each in chances) for kind in range(len(TYPES))]
    while end > start and _is_trailing(words, start, end, text):
        end -= 1
    while start < end and not text[words[start].start].isalnum():
        start += 1
    kind = TYPES[by_type.index(max(by_type))]
    said = text[words[start].start : words[end - 1].end] if start < end else ""
    if kind != "STREET_ADDRESS" and (not any(map(str.isalpha, said)) or (len(said) == 1 and said.islower())):
        return None  # a figure or `b` alone names nobody
    if start == end:
        return None
    return Entity(kind, start, end, round(1 - min(each[0] for each in chances), 3))


def _is_trailing(words: Sequence[Word], start: int, end: int, text: str) -> bool:
    """A mark that ends a sentence, or the s of a possessive, is no part of the name before it."""
    last = words[end - 1]
    said = text[last.start : last.end]
    if said == ".":
        before = text[words[end - 2].start : words[end - 2].end] if end - 2 >= start else ""
        return len(before) > 1 and before.lower() not in _KEEPS_POINT
    if said in ("s", "S") and end - 2 > start and text[words[end - 2].start] == "'":
        return True
    return said != ")" and not said[0].isalnum()
