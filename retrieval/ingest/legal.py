"""Numbered sections as laws and contracts have them: "§ 5 Notice", "Article 3", "Section 4.1", "1.2.3 Title"."""

from __future__ import annotations

import re
from bisect import bisect_right
from collections.abc import Iterator
from dataclasses import dataclass, replace

from retrieval.data import Extracted

from .formats.draft import STEP

#: Characters of a line that can be the title of a section.
MOST_TITLE = 120
#: So many sections make a text one that is ordered by them.
LEAST_SECTIONS = 3

_NUMBER = r"(?:\d{1,4}(?:\.\d{1,3}){0,4}[a-z]?|[IVXLC]{1,7}|[A-Z])"
_WORDS = (
    r"(?:article|art\.|section|sec\.|clause|chapter|part|title|schedule|annex|appendix|exhibit|rule|regulation|"
    r"artikel|abschnitt|kapitel|teil|anlage|ziffer|titre|chapitre|clause|annexe|artículo|sección|capítulo|articolo|"
    r"sezione|capitolo|artigo|seção|paragraf)"
)
_SIGN = re.compile(r"(§{1,2}\s?\d{1,4}[a-z]?)\b\.?\s*(.{0,160})")
_WORD = re.compile(rf"({_WORDS}\s+{_NUMBER})(?![\w,])\.?\s*[-–—:.]?\s*(.{{0,160}})", re.IGNORECASE)
_FIGURE = re.compile(r"(\d{1,3}(?:\.\d{1,3}){0,4})\.?\s+([^\W\d_].{0,119})")
#: High words order lower ones: a chapter holds articles, an article its paragraphs.
_LEVELS = (("part", "teil", "title", "titre"), ("chapter", "kapitel", "chapitre", "capítulo", "capitolo"))


@dataclass(frozen=True, slots=True)
class _Mark:
    """A section: where its line begins, its level (1 is the highest), its name."""

    place: int
    level: int
    name: str


def with_legal_sections(found: Extracted) -> Extracted:
    """A text with its numbered sections added below its headings, if it has so many that it is ordered by them."""
    marks = list(_marks(found))
    if len(marks) < LEAST_SECTIONS:
        return found
    places = dict(found.sections)
    known = sorted(places)
    path: list[_Mark] = []
    above = ""
    for mark in marks:
        index = bisect_right(known, mark.place)
        heading = places[known[index - 1]] if index else ""
        if mark.place in places or heading != above:
            path, above = [], heading
        if mark.place in places:
            continue
        path = [one for one in path if one.level < mark.level] + [mark]
        places[mark.place] = STEP.join(filter(None, (heading, *(one.name for one in path))))
    return replace(found, sections=tuple(sorted(places.items())))


def _marks(found: Extracted) -> Iterator[_Mark]:
    """The lines that begin numbered sections; none in tables, and no items of a list."""
    tables = [(first, end) for first, end, _ in found.tables]
    starts = [first for first, _ in tables]
    place, before = 0, ""
    for line in found.text.split("\n"):
        index = bisect_right(starts, place)
        in_table = index > 0 and place < tables[index - 1][1]
        mark = None if in_table or not line.strip() else _mark(line, place, before)
        if mark is not None:
            yield mark
        before = line if line.strip() else ""
        place += len(line) + 1


def _mark(line: str, place: int, before: str) -> _Mark | None:
    text = line.strip()
    place += len(line) - len(line.lstrip())
    sign = _SIGN.match(text)
    if sign and _ends(before):
        return _Mark(place, 4, _named(sign[1], sign[2]))
    word = _WORD.match(text)
    if word and _ends(before) and _is_title(word[2]):
        return _Mark(place, _level(word[1]), _named(word[1], word[2]))
    figure = _FIGURE.fullmatch(text)
    if figure and not before and _is_title(figure[2]) and len(text) <= MOST_TITLE and _is_heading(figure):
        return _Mark(place, 5 + figure[1].count("."), _named(figure[1], figure[2]))
    return None


def _ends(before: str) -> bool:
    """Whether a new line may begin a section: after nothing, or after the end of a sentence, or of a title."""
    return not before or before.rstrip().endswith((".", ";", ":", "!", "?")) or len(before.strip()) < 60


def _is_title(text: str) -> bool:
    """Whether what follows a number is a title: nothing, or letters that begin large."""
    return not text or not text[0].isalpha() or not text[0].islower()


def _is_heading(figure: re.Match[str]) -> bool:
    """A numbered line that is no sentence and no item of a list of goods."""
    title = figure[2].rstrip()
    deep = "." in figure[1]
    return not title.endswith((",", ";", ":")) and (deep or not title.endswith(".")) and len(title.split()) <= 12


def _level(said: str) -> int:
    word = said.split()[0].lower()
    place = next((number for number, words in enumerate(_LEVELS, start=1) if word in words), 3)
    return place + said.count(".") if place == 3 else place


def _named(number: str, title: str) -> str:
    """The number, and its title unless that is the text itself."""
    title = title.strip()
    short = title if len(title) <= 80 and not title.endswith((".", ";")) else ""
    return f"{' '.join(number.split())} {short}".strip().rstrip(":")
