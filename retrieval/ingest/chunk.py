"""Cuts a text into chunks: some 200 words each, ending with a sentence, a fifth shared with the one before.

A heading begins a new chunk where the one before is long enough to stand alone. A table is cut between rows, and its
header names each part of it. A document that fits into one chunk stays whole: cutting an abstract in two costs more
than its length.
"""

from __future__ import annotations

import re
from bisect import bisect_left, bisect_right
from collections.abc import Iterator
from dataclasses import dataclass
from typing import TypeVar
from uuid import UUID, uuid5

from retrieval.data import Extracted, Piece

Said = TypeVar("Said")

#: Scripts that write no spaces (Thai, Lao, Burmese, Khmer, Japanese, Chinese): each character counts as a word.
_UNSPACED = "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff\u3040-\u30ff\u3400-\u9fff\uf900-\ufaff"
#: A word as it is counted; an endless string counts as several.
_WORD = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]{{1,40}}")
_SENTENCE_END = re.compile(r"[.!?…]['\")\]»”’]*(?=\s)|[。！？।]|\n\s*\n")

_LINE_END = re.compile(r"\n")
#: Between a heading's path and a table's header; characters of both that are kept.
STEP, MOST_SECTION = " › ", 300
#: A chunk ends with a sentence if one ends in its last third, and before a heading if it has half its words.
SENTENCE_FROM, HEADING_FROM = 0.65, 0.5


@dataclass(frozen=True, slots=True)
class Chunking:
    """Words a chunk, words shared with the one before, and up to how many words a document stays whole."""

    words: int = 200
    overlap: int = 40
    whole: int = 300


def pieces(extracted: Extracted, chunking: Chunking | None = None) -> list[Piece]:
    """The chunks of a text, in order. Texts are trimmed; `start` and `end` say where exactly they stand."""
    spans = _spans(extracted, chunking or Chunking())
    return [_piece(extracted, number, first, last) for number, (first, last) in enumerate(spans)]


def chunk_id(document: UUID, version: int, ordinal: int) -> UUID:
    """The same chunk of the same version always has the same id."""
    return uuid5(document, f"{version}:{ordinal}")


def _piece(extracted: Extracted, ordinal: int, first: int, last: int) -> Piece:
    page = _latest(extracted.pages, first)
    named = [_latest(extracted.sections, first) or "", _header(extracted, first)]
    section = STEP.join(name for name in named if name)
    return Piece(ordinal, extracted.text[first:last], first, last, page, section[:MOST_SECTION])


def _header(extracted: Extracted, at: int) -> str:
    """What the columns are called of the table whose rows a chunk begins with, "" where it begins with the header."""
    index = bisect_right(extracted.tables, at, key=lambda table: table[0])
    if not index:
        return ""
    first, end, body = extracted.tables[index - 1]
    return extracted.text[first:body].strip().replace("\n", " ") if body <= at < end else ""


def _latest(places: tuple[tuple[int, Said], ...], at: int) -> Said | None:
    """What the last place at or before a character says."""
    index = bisect_right(places, at, key=lambda place: place[0])
    return places[index - 1][1] if index else None


def _spans(extracted: Extracted, chunking: Chunking) -> Iterator[tuple[int, int]]:
    """First character and end of each chunk."""
    text = extracted.text
    words = [match.span() for match in _WORD.finditer(text)]
    if len(words) <= chunking.whole:
        if words:
            yield words[0][0], words[-1][1]
        return
    starts = [first for first, _ in words]
    ends = [match.end() for match in _SENTENCE_END.finditer(text)]
    sentences = sorted({bisect_left(starts, place) for place in (*ends, *_rows(extracted))})
    headings = sorted({bisect_left(starts, place) for place, _ in extracted.sections})
    first = 0
    while first < len(words):
        last = _end(first, len(words), sentences, headings, chunking)
        yield words[first][0], words[last - 1][1]
        if last >= len(words):
            return
        first = _next(first, last, sentences, headings, chunking)


def _rows(extracted: Extracted) -> Iterator[int]:
    """Where the rows of tables begin."""
    for first, end, _ in extracted.tables:
        yield from (first + match.end() for match in _LINE_END.finditer(extracted.text[first:end]))


def _end(first: int, count: int, sentences: list[int], headings: list[int], chunking: Chunking) -> int:
    """The word before which a chunk ends that begins with word `first`."""
    limit = first + chunking.words
    if limit >= count:
        limit = count
    heading = _within(headings, first + int(chunking.words * HEADING_FROM), limit)
    if heading is not None:
        return heading
    if limit == count:
        return count
    sentence = _within(sentences, first + int(chunking.words * SENTENCE_FROM), limit)
    return limit if sentence is None else sentence


def _next(first: int, last: int, sentences: list[int], headings: list[int], chunking: Chunking) -> int:
    """Where the next chunk begins: at the heading, or some words back, with a sentence if one begins there."""
    if chunking.overlap == 0 or _within(headings, last, last) is not None:
        return last
    back = max(last - chunking.overlap, first + 1)
    index = bisect_left(sentences, back)
    return sentences[index] if index < len(sentences) and sentences[index] < last else back


def _within(places: list[int], low: int, high: int) -> int | None:
    """The last of the places that lies in low..high."""
    index = bisect_right(places, high)
    return places[index - 1] if index and places[index - 1] >= low else None
