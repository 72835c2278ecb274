"""Finds persons, places, organisations and street addresses, segment by segment.

What was found in a segment is remembered under a keyed hash: sentences of a template, of a system prompt or of a
conversation's history cost no computation when they come again, and figures or e-mail addresses in them may differ.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from functools import cache
from typing import Final

from policies.pii.allowance import Allowance
from policies.pii.cache import Findings
from policies.pii.data import Entity
from policies.pii.ner.model import TYPES, Model
from policies.pii.ner.spans import BIAS, found
from policies.pii.ner.words import SEGMENT_CHARACTERS, Word, is_marked, key_text, places, segments
from policies.pii.readings import fold

REMEMBERED: Final = 100_000
AT_ONCE: Final = 512
"""Words computed in one go: it bounds the memory, and how long a thread that waits for the model is stuck."""

Found = tuple[Entity, ...]


class NameDetector:
    """A detector for the engine. Thread-safe; loads its model when it is made."""

    def __init__(
        self, model: Model | None = None, bias: Mapping[str, float] = BIAS, most: int = SEGMENT_CHARACTERS
    ) -> None:
        """Raises DetectorFailed when the model cannot be loaded."""
        self._model = model or Model()
        self._bias, self._most = dict(bias), most
        self._known = Findings(REMEMBERED)
        strictness = ",".join(f"{self._bias[kind]:g}" for kind in TYPES)
        self.version = f"names-1/{self._model.sha256[:12]}/{strictness}/{most}"

    def detect(self, text: str) -> list[Entity]:
        """What is found in the text; offsets in code points."""
        return self._detect(text, None)

    def detect_within(self, text: str, allowance: Allowance) -> list[Entity]:
        """As `detect`. Raises Exhausted before it computes more than is allowed."""
        return self._detect(text, allowance)

    def _detect(self, text: str, allowance: Allowance | None) -> list[Entity]:
        reading = fold(text) if not text.isascii() else None
        plain = text if reading is None else reading.text
        entities = list(_joined(plain, self._found(plain, allowance)))
        if reading is None or reading.starts is None:
            return entities
        return [Entity(each.type, *reading.span(each.start, each.end), each.score) for each in entities]

    def _found(self, text: str, allowance: Allowance | None) -> Iterator[Entity]:
        """The entities of all segments, by place."""
        known = self._known
        parts = [(start, text[start:end]) for start, end in segments(text, self._most)]
        keys = [known.key(*key_text(part), "") for _, part in parts]
        results = {key: known.get(key) for key in keys}
        fresh = {key: part for key, (_, part) in zip(keys, parts, strict=True) if results[key] is None}
        if fresh:
            if allowance is not None:
                allowance.compute(sum(map(len, fresh.values())))
            results.update(self._computed(fresh))
        for key, (start, part) in zip(keys, parts, strict=True):
            for entity in self._placed(results[key] or (), part):
                yield Entity(entity.type, start + entity.start, start + entity.end, entity.score)

    def _placed(self, entities: Found, part: str) -> Found:
        """A segment's entities as stretches of this segment: the marks in the remembered one may be shorter."""
        if not entities or not is_marked(part):
            return entities
        words = places(part)
        return tuple(Entity(each.type, words[each.start][0], words[each.end - 1][1], each.score) for each in entities)

    def _computed(self, fresh: Mapping[bytes, str]) -> dict[bytes, Found]:
        """What the model finds in segments; remembers it. In those with marks, places are numbers of words."""
        waiting = ((key, part, self._model.lexicon.words(part)) for key, part in fresh.items())
        results: dict[bytes, Found] = {}
        while batch := list(_worth(waiting)):
            full = [(words, part) for _, part, words in batch if words]
            tags = self._model.tags([words for words, _ in full]) if full else None
            entities = found(full, tags, self._bias) if tags is not None else iter(())
            for key, part, words in batch:
                each = next(entities) if words else ()
                if not is_marked(part):
                    each = tuple(
                        Entity(one.type, words[one.start].start, words[one.end - 1].end, one.score) for one in each
                    )
                self._known.put(key, each)
                results[key] = each
        return results


def _worth(waiting: Iterator[tuple[bytes, str, list[Word]]]) -> Iterator[tuple[bytes, str, list[Word]]]:
    """Segments of together about AT_ONCE words."""
    count = 0
    for item in waiting:
        yield item
        count += len(item[2]) + 1
        if count >= AT_ONCE:
            return


_BETWEEN: Final = {"PERSON": (" ", "-", ""), "STREET_ADDRESS": (" ", ", ", ",", "\n", ",\n", "")}
"""What may part two halves of one name."""


def _joined(text: str, entities: Iterator[Entity]) -> Iterator[Entity]:
    """Whole words, and names of persons that only a space or a hyphen parts as one: a half name is none."""
    last: Entity | None = None
    for entity in entities:
        start, end = _whole(text, entity)
        entity = Entity(entity.type, start, end, entity.score)
        if last is None:
            last = entity
            continue
        between = text[last.end : entity.start]
        if entity.start < last.end or (last.type == entity.type and between in _BETWEEN.get(last.type, ())):
            last = Entity(last.type, last.start, max(last.end, entity.end), max(last.score, entity.score))
        else:
            yield last
            last = entity
    if last is not None:
        yield last


def _whole(text: str, entity: Entity) -> tuple[int, int]:
    """The span with the rest of a word that a hyphen or an apostrophe parts: `Jean-Luc`, `O'Brien`."""
    start, end = entity.start, entity.end
    if entity.type != "PERSON":
        return start, end
    while start >= 2 and text[start - 1] in "-'" and text[start - 2].isalpha() and text[start].isupper():
        begin = start - 2
        while begin > 0 and text[begin - 1].isalpha():
            begin -= 1
        if not text[begin].isupper():
            break
        start = begin
    while end + 1 < len(text) and text[end] in "-'" and text[end + 1].isupper() and text[end - 1].isalpha():
        end += 2
        while end < len(text) and text[end].isalpha():
            end += 1
    return start, end


@cache
def names() -> NameDetector:
    """The process's detector, made on first use."""
    return NameDetector()
