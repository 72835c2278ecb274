"""Markdown: the text stays as it is; headings and tables in it are found."""

from __future__ import annotations

import re
from collections.abc import Iterator

from .draft import STEP, Draft
from .letters import decoded

_HEADING = re.compile(r" {0,3}(#{1,6})[ \t]+(.+)")
_UNDERLINE = re.compile(r" {0,3}(=+|-+)[ \t]*")
_FENCE = re.compile(r" {0,3}(`{3,}|~{3,})")
_DIVIDER = re.compile(r"\s*\|?\s*:?-+:?\s*(\|\s*:?-+:?\s*)*\|?\s*")

Table = tuple[int, int, int]


def read(content: bytes, draft: Draft) -> None:
    """Writes a Markdown file on the draft."""
    text = decoded(content)
    draft.verbatim(text, sections(text), tables(text))


def sections(text: str) -> list[tuple[int, str]]:
    """(first character, path of headings) of each heading; none within code."""
    path: list[tuple[int, str]] = []
    found = []
    for place, level, name in _headings(text):
        path = [(depth, said) for depth, said in path if depth < level] + [(level, name)]
        found.append((place, STEP.join(said for _, said in path)))
    return found


def tables(text: str) -> list[Table]:
    """(first character, end, first character after the header) of each table."""
    found: list[Table] = []
    before: tuple[int, str] | None = None
    begun: tuple[int, int] | None = None
    for place, line in _outside_code(text):
        if begun is not None and "|" not in line:
            found.append((begun[0], place - 1, begun[1]))
            begun = None
        elif begun is None and before is not None and "|" in before[1] and "|" in line and _DIVIDER.fullmatch(line):
            begun = (before[0], place + len(line) + 1)
        before = (place, line)
    if begun is not None:
        found.append((begun[0], len(text.rstrip()), begun[1]))
    return [(first, end, body) for first, end, body in found if first <= body < end]


def _headings(text: str) -> Iterator[tuple[int, int, str]]:
    before = (0, "")
    for place, line in _outside_code(text):
        match = _HEADING.fullmatch(line)
        if match:
            name = re.sub(r"[ \t]+#+[ \t]*$", "", match[2]).strip()
            yield place, len(match[1]), name
        elif _UNDERLINE.fullmatch(line) and _is_title(before[1]):
            yield before[0], 1 if "=" in line else 2, before[1].strip()
        before = (place, line)


def _outside_code(text: str) -> Iterator[tuple[int, str]]:
    """Lines with their first characters; those of fenced code are left out."""
    fence = ""
    place = 0
    for line in text.split("\n"):
        match = _FENCE.match(line)
        if match and not fence:
            fence = match[1]
        elif match and match[1].startswith(fence) and not line[match.end() :].strip():
            fence = ""
        elif not fence and not match:
            yield place, line
        place += len(line) + 1


def _is_title(line: str) -> bool:
    """Whether a line that is underlined is a heading: short, and neither a row nor an item nor a quotation."""
    plain = line.strip() and not _HEADING.fullmatch(line) and "|" not in line
    return bool(plain) and len(line) <= 120 and not line.lstrip().startswith(("-", "*", ">"))
