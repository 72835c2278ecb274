"""From passages to numbered sources, and from an answer's marks back to what they cite."""

from __future__ import annotations

import re
from collections.abc import Iterable, Iterator, Sequence
from dataclasses import asdict
from typing import Any

from .analyser import terms
from .data import Cited, NumberedPassage, Passage

#: Tokens for all sources together, when the caller sets none.
SOURCES_BUDGET = 4_000
#: Tokens of a word: in English somewhat more than one; in scripts without spaces, of a character.
TOKENS_PER_WORD = 1.3

#: [1], [2, 3], [1-3] and the full-width form that some models write.
_MARK = re.compile(r"[\[【]\s*(\d{1,3}(?:\s*[,;–-]\s*\d{1,3})*)\s*[\]】]")
_SENTENCE_END = re.compile(r"[.!?…]+['\")\]»”’]*(?=\s)|[。！？।]+|\n\s*\n")
_UNSPACED = "\u0e00-\u0eff\u3040-\u30ff\u3400-\u9fff\uac00-\ud7af"
_UNITS = re.compile(rf"[{_UNSPACED}]|[^\s{_UNSPACED}]+")

MOST_QUOTED = 400


def tokens(text: str) -> int:
    """About how many tokens a model counts."""
    return int(sum(max(1, len(unit) / 8) for unit in _UNITS.findall(text)) * TOKENS_PER_WORD) + 1


def numbered(passages: Sequence[Passage], budget: int = SOURCES_BUDGET) -> list[NumberedPassage]:
    """The passages as sources from 1, whole ones, while they fit into the budget; the first one always does."""
    found: list[NumberedPassage] = []
    left = budget
    for passage in passages:
        left -= tokens(passage.text) + tokens(passage.title) + 8  # the number and the place
        if found and left < 0:
            break
        found.append(NumberedPassage(**asdict(passage), number=len(found) + 1))
    return found


def cite(answer: str, sources: Sequence[NumberedPassage]) -> Cited:
    """The citations of an answer. Without any mark that points at a source, all sources are listed as unmarked, so that
    the reader sees what the answer was made from.
    """
    said = _said(answer)
    numbers = {source.number for source in sources}
    unknown = tuple(sorted({number for number, _ in said} - numbers))
    marked = {number for number, _ in said} & numbers
    listed = [source for source in sources if source.number in marked or not marked]
    citations = [_citation(source, _statements(said, source.number) or [answer], bool(marked)) for source in listed]
    return Cited(citations, unknown, bool(marked))


def _said(answer: str) -> list[tuple[int, str]]:
    """Each mark of an answer with the statement that it follows."""
    found: list[tuple[int, str]] = []
    for match in _MARK.finditer(answer):
        statement = _last_sentence(_MARK.sub("", answer[max(0, match.start() - 600) : match.start()]))
        found.extend((number, statement) for number in _numbers(match[1]))
    return found


def _numbers(mark: str) -> Iterable[int]:
    for part in re.split(r"\s*[,;]\s*", mark):
        ends = [int(number) for number in re.split(r"\s*[–-]\s*", part)]
        yield from range(ends[0], min(ends[-1], ends[0] + 99) + 1)


def _sentences(text: str) -> Iterator[tuple[int, int]]:
    """First character and end of each sentence, without the blanks around it."""
    first = 0
    for last in [*(match.end() for match in _SENTENCE_END.finditer(text)), len(text)]:
        part = text[first:last]
        if part.strip():
            yield first + len(part) - len(part.lstrip()), first + len(part.rstrip())
        first = last


def _last_sentence(text: str) -> str:
    last = ""
    for first, end in _sentences(text):
        last = text[first:end]
    return last


def _statements(said: list[tuple[int, str]], number: int) -> list[str]:
    return [statement for marked, statement in said if marked == number and statement]


def _citation(source: NumberedPassage, statements: list[str], marked: bool) -> dict[str, Any]:
    first, last = _quoted(source.text, " ".join(statements))
    return {
        "number": source.number,
        "document": {
            "id": str(source.document_id),
            "external_id": source.external_id,
            "title": source.title,
            "version": source.version,
        },
        "chunk_id": str(source.chunk_id),
        "page": source.page,
        "section": source.section,
        "start": source.start + first,
        "end": source.start + last,
        "quote": source.text[first:last],
        "score": source.score,
        "marked": marked,
    }


def _quoted(text: str, statement: str) -> tuple[int, int]:
    """The range of the sentence that shares most terms with a statement, cut to MOST_QUOTED characters."""
    wanted = {term.slot for term in terms(statement[:2_000])}
    best, best_share = (0, len(text)), -1.0
    for first, last in _sentences(text):
        found = {term.slot for term in terms(text[first:last])}
        share = len(found & wanted) / (len(found) + 4) if found else 0.0
        if share > best_share:
            best, best_share = (first, last), share
    return best[0], min(best[1], best[0] + MOST_QUOTED)
