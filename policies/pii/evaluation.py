"""How well personal data is found in a marked data set: recall, precision, F2 by type, and what is covered at all.

A marked span is found when a span of the same type overlaps it. It is covered when spans of whatever types leave no
letter or figure of it: that is what keeps it from leaving. Types that a data set does not mark are not judged on it.
"""

from __future__ import annotations

import json
import time
from collections import defaultdict
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Final

from policies.pii.data import DEFAULT_THRESHOLD, Entity
from policies.pii.engine import Engine
from policies.pii.masking import without_overlaps

ALIASES: Final = {
    "PER": "PERSON",
    "NAME": "PERSON",
    "LOC": "LOCATION",
    "GPE": "LOCATION",
    "ORG": "ORGANIZATION",
    "ADDRESS": "STREET_ADDRESS",
    "EMAIL": "EMAIL_ADDRESS",
    "PHONE": "PHONE_NUMBER",
    "IBAN": "IBAN_CODE",
}
NUMBERS: Final = "ID_NUMBER"
"""A data set's word for all numbers that name somebody; our types are finer."""


@dataclass(frozen=True, slots=True)
class Example:
    """A text with its marked spans, and the types that are marked in it wherever they stand."""

    text: str
    spans: tuple[Entity, ...]
    annotated: frozenset[str]


@dataclass(slots=True)
class Score:
    """Counts for one type."""

    marked: int = 0
    found: int = 0
    covered: int = 0
    said: int = 0
    right: int = 0

    @property
    def recall(self) -> float:
        return self.found / self.marked if self.marked else 0.0

    @property
    def precision(self) -> float:
        return self.right / self.said if self.said else 0.0

    @property
    def f2(self) -> float:
        """Recall counts twice as much as precision."""
        whole = 4 * self.precision + self.recall
        return 5 * self.precision * self.recall / whole if whole else 0.0

    @property
    def cover(self) -> float:
        return self.covered / self.marked if self.marked else 0.0


@dataclass(slots=True)
class Report:
    """Scores by type and the speed."""

    types: dict[str, Score] = field(default_factory=lambda: defaultdict(Score))
    examples: int = 0
    characters: int = 0
    seconds: float = 0.0

    @property
    def kilobytes_a_second(self) -> float:
        return self.characters / 1024 / self.seconds if self.seconds else 0.0

    def all(self) -> Score:
        """The sum of all types."""
        whole = Score()
        for score in self.types.values():
            whole.marked += score.marked
            whole.found += score.found
            whole.covered += score.covered
            whole.said += score.said
            whole.right += score.right
        return whole


def evaluate(engine: Engine, examples: Iterable[Example], threshold: float = DEFAULT_THRESHOLD) -> Report:
    """Runs the engine over the examples."""
    report = Report()
    for example in examples:
        began = time.perf_counter()
        entities = engine.detect(example.text)
        report.seconds += time.perf_counter() - began
        report.examples += 1
        report.characters += len(example.text)
        count(report.types, example, without_overlaps(each for each in entities if each.score >= threshold))
    return report


def count(scores: dict[str, Score], example: Example, entities: Iterable[Entity]) -> None:
    """Adds one example to the scores."""
    said = [Entity(_as_marked(each.type, example.annotated), each.start, each.end, each.score) for each in entities]
    hidden = {index for each in said for index in range(each.start, each.end)}
    for span in example.spans:
        score = scores[span.type]
        score.marked += 1
        score.found += any(_overlap(span, each) for each in said if each.type == span.type)
        score.covered += all(index in hidden for index in range(span.start, span.end) if example.text[index].isalnum())
    for each in said:
        if each.type in example.annotated:
            scores[each.type].said += 1
            scores[each.type].right += any(_overlap(span, each) for span in example.spans if span.type == each.type)


def _overlap(one: Entity, other: Entity) -> bool:
    return one.start < other.end and other.start < one.end


def _as_marked(kind: str, annotated: frozenset[str]) -> str:
    """The data set's word for one of our types."""
    if kind in annotated or NUMBERS not in annotated:
        return kind
    return NUMBERS if kind.endswith(("_NUMBER", "_ID", "_CODE", "_PASSPORT", "_LICENSE", "_NINO", "_NHS")) else kind


# --- reading data sets ------------------------------------------------------------------------------------------------


def read(path: Path) -> list[Example]:
    """A data set: our JSON Lines, Presidio's JSON, or CoNLL's columns; told apart by their beginning.

    Raises ValueError for anything else.
    """
    text = path.read_text(encoding="utf-8")
    begin = text.lstrip()[:1]
    if begin == "[":
        return _with_types([_from_presidio(entry) for entry in json.loads(text)])
    if begin == "{":
        entries = [json.loads(line) for line in text.split("\n") if line.strip()]
        if any("full_text" in entry for entry in entries):
            return _with_types([_from_presidio(entry) for entry in entries])
        return _with_types([_from_lines(entry) for entry in entries])
    return _with_types(list(_from_columns(text)))


def _with_types(examples: list[Example]) -> list[Example]:
    """Examples that do not say what is marked in them mark what any of them does."""
    used = frozenset(span.type for example in examples for span in example.spans)
    return [each if each.annotated else Example(each.text, each.spans, used) for each in examples]


def _from_lines(entry: Mapping[str, Any]) -> Example:
    spans = tuple(Entity(_type(span["label"]), span["start"], span["end"], 1.0) for span in entry["spans"])
    return Example(entry["text"], spans, frozenset(map(_type, entry.get("annotated", ()))))


def _from_presidio(entry: Mapping[str, Any]) -> Example:
    spans = tuple(
        Entity(_type(span["entity_type"]), span["start_position"], span["end_position"], 1.0) for span in entry["spans"]
    )
    return Example(entry["full_text"], spans, frozenset())


def _from_columns(text: str) -> Iterator[Example]:
    """Word first, tag last on each line; an empty line ends a sentence. Tags are IO, BIO or BIOES."""
    for block in text.split("\n\n"):
        lines = [
            line.split() for line in block.split("\n") if line.strip() and not line.startswith(("-DOCSTART-", "# "))
        ]
        if not lines:
            continue
        if any(len(line) < 2 for line in lines):
            raise ValueError("Neither JSON nor columns of words and tags.")
        said, spans, at, open_type, open_start, last = "", [], 0, "", 0, 0
        for word, *_, tag in [*lines, ["", "O"]]:
            prefix, _, kind = tag.rpartition("-")
            kind = "" if tag == "O" else _type(kind)
            if open_type and (kind != open_type or prefix in ("B", "S")):
                spans.append(Entity(open_type, open_start, last, 1.0))
                open_type = ""
            if kind and not open_type:
                open_type, open_start = kind, at
            said += word + " "
            last, at = at + len(word), at + len(word) + 1
        yield Example(said.rstrip(), tuple(spans), frozenset())


def _type(label: str) -> str:
    return ALIASES.get(label.upper(), label.upper())
