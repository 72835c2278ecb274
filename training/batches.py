"""Batches of words for training, made in processes of their own: documents, drawn anew in every round."""

from __future__ import annotations

import multiprocessing
import random
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from queue import Empty
from typing import Any

import numpy as np

from policies.pii.ner.words import FIRM, GIVEN, PLACE, SURNAME, Lexicon, segments

from .documents import Span, Writer
from .names import Names
from .sets import ENGLISH, IGNORED, SETS, TYPES, Document

ROUND = 120_000
"""Words that are drawn and shuffled together."""
GENERATED = 0.46
"""How much of it is generated."""


@dataclass(slots=True)
class Batch:
    """Flat over words: `start` and `end` say where each word's segment lies. Labels: 0, or 1 + 2 * type (+ 1 inside)."""

    rows: np.ndarray[Any, Any]
    rest: np.ndarray[Any, Any]
    owner: np.ndarray[Any, Any]
    weight: np.ndarray[Any, Any]
    start: np.ndarray[Any, Any]
    end: np.ndarray[Any, Any]
    label: np.ndarray[Any, Any]


Segment = tuple[list[tuple[int, ...]], list[tuple[int, ...]], list[int]]


def encode(lexicon: Lexicon, text: str, spans: list[Span], most: int) -> Iterator[Segment]:
    """A document's segments: rows, further pieces and label of each word. A label of -1 teaches nothing."""
    at = 0
    spans = sorted(spans)
    for begin, stop in segments(text, most):
        rows, rests, labels = [], [], []
        while at and spans[at - 1][1] > begin:
            at -= 1
        for word in lexicon.words(text[begin:stop]):
            start, end = word.start + begin, word.end + begin
            while at < len(spans) and spans[at][1] <= start:
                at += 1
            label = 0
            if at < len(spans) and spans[at][0] < end:
                kind = spans[at][2]
                label = -1 if kind == IGNORED else 1 + 2 * TYPES.index(kind) + (start > spans[at][0])
            rows.append(word.rows)
            rests.append(word.rest)
            labels.append(label)
        if rows:
            yield rows, rests, labels


def pack(parts: list[Segment]) -> Batch:
    """Segments, end to end."""
    rows, labels, rest, owner, weight, start, end = [], [], [], [], [], [], []
    for segment_rows, rests, segment_labels in parts:
        base, count = len(rows), len(segment_rows)
        for number, pieces in enumerate(rests):
            if pieces:
                rest += pieces
                owner += [base + number] * len(pieces)
                weight += [1 / len(pieces)] * len(pieces)
        rows += segment_rows
        labels += segment_labels
        start += [base] * count
        end += [base + count] * count
    whole = np.int64
    return Batch(
        np.array(rows, whole),
        np.array(rest, whole),
        np.array(owner, whole),
        np.array(weight, np.float32),
        np.array(start, whole),
        np.array(end, whole),
        np.array(labels, whole),
    )


class Source:
    """Draws documents and says them in many ways."""

    def __init__(
        self,
        lexicon: Lexicon,
        names: Names,
        documents: list[Document],
        seed: int,
        words: int = 8_192,
    ) -> None:
        self._lexicon, self._rng, self._words = lexicon, random.Random(seed), words
        names.draw_from(self._rng)
        self._writer = Writer(names, self._rng)
        self._by_set = {name: [each for each in documents if each.source == name] for name in SETS}

    def round(self) -> list[Batch]:
        """About ROUND words in batches."""
        rng = self._rng
        parts: list[Segment] = []
        words = 0
        while words < ROUND * GENERATED:
            text, spans = self._writer.document()
            words += self._add(parts, text, spans)
        weights = {name: SETS[name] * sum(len(d.text) for d in docs) for name, docs in self._by_set.items() if docs}
        while words < ROUND:
            name = rng.choices(list(weights), list(weights.values()))[0]
            drawn = rng.choice(self._by_set[name])
            text, spans = drawn.text, drawn.spans
            if name in ENGLISH and rng.random() < 0.5:
                text, spans = self._writer.renamed(text, spans)
            words += self._add(parts, text, spans)
        rng.shuffle(parts)
        batches, current, count = [], [], 0
        for part in parts:
            current.append(part)
            count += len(part[2])
            if count >= self._words:
                batches.append(self._forgetful(pack(current)))
                current, count = [], 0
        return batches

    def _add(self, parts: list[Segment], text: str, spans: list[Span]) -> int:
        text, spans = self._said(text, spans)
        most = self._rng.choice([50, 120, 120, 120, 120, 240])
        new = list(encode(self._lexicon, text, spans, most))
        parts += new
        return sum(len(part[2]) for part in new)

    def _said(self, text: str, spans: list[Span]) -> tuple[str, list[Span]]:
        """The same document in another case; folded once more, as new names may have accents."""
        from policies.pii.readings import fold

        folded = fold(text)
        if folded.starts is None:
            text = folded.text
        pick = self._rng.random()
        new = text
        if pick < 0.17:
            new = text.lower()
        elif pick < 0.28:
            new = text.upper()
        elif pick < 0.30:
            new = text.title()
        elif pick < 0.37:
            change = str.lower if pick < 0.35 else str.upper
            for start, end, _ in spans:
                new = new[:start] + change(new[start:end]) + new[end:]
        return (new if len(new) == len(text) else text), spans

    def _forgetful(self, batch: Batch) -> Batch:
        """Some words lose what is known about them, so that the model also learns to do without."""
        rng = np.random.default_rng(self._rng.getrandbits(32))
        kinds = self._lexicon.kinds
        bits = batch.rows[:, 4] - kinds
        names = GIVEN | SURNAME | PLACE | FIRM
        lost = rng.random(len(bits)) < 0.25
        segment_lost = rng.random(len(bits)) < 0.22
        lost |= segment_lost[batch.start]
        bits[lost] &= ~names
        unknown = rng.random(len(bits)) < 0.03
        bits[unknown] = 0
        batch.rows[:, 4] = kinds + bits
        letters = batch.rows[:, 0] != self._lexicon._figure
        batch.rows[unknown & letters, 0] = self._lexicon._unknown
        batch.weight[unknown[batch.owner]] = 0
        return batch


class Stream:
    """Batches without end, made by so many processes beside the training. When they fall behind, old ones come again."""

    def __init__(self, source: Callable[[int], Source], processes: int, kept: int = 12_000) -> None:
        self._queue: Any = multiprocessing.Queue(400)
        self._kept: list[Batch] = []
        self._most = kept
        self._rng = random.Random(5)
        self.fresh = self.again = 0

        def work(number: int) -> None:
            drawn = source(number)
            while True:
                for batch in drawn.round():
                    self._queue.put(batch)

        for number in range(processes):
            multiprocessing.Process(target=work, args=(number,), daemon=True).start()

    def __iter__(self) -> Iterator[Batch]:
        while True:
            try:
                made = self._queue.get(block=len(self._kept) < 200)
                self.fresh += 1
            except Empty:
                self.again += 1
                yield self._rng.choice(self._kept)
                continue
            if len(self._kept) < self._most:
                self._kept.append(made)
            else:
                self._kept[self._rng.randrange(self._most)] = made
            yield made
