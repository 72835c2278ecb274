"""Word documents (DOCX): headings by style, automatic numbers, tables, notes where they are referred to, text boxes,
headers and footers once at the end. What was deleted under "track changes" is left out.
"""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass, field

from .draft import Draft
from .markup import Element, all_of, attribute, child, main_part, parsed, relations, tag
from .numerals import numeral
from .packed import Package

#: Content that is not part of the text: what was deleted, fields' instructions, and the fallback of newer drawings.
_LEFT_OUT = {"del", "moveFrom", "delText", "instrText", "Fallback", "rPr", "pPr", "sectPr", "tblPr", "tcPr", "trPr"}
_SIGNS = {"tab": " ", "br": "\n", "cr": "\n", "noBreakHyphen": "-"}
_HEADING = re.compile(r"heading (\d)", re.IGNORECASE)
#: Outline levels run from 0; 9 is body text.
_LEVELS = 9


def read(content: bytes, draft: Draft) -> None:
    """Writes a DOCX file on the draft."""
    package = Package(content)
    part = main_part(package, "word/document.xml")
    _Reader(package, part, draft).body(parsed(package.read(part)))


@dataclass(frozen=True, slots=True)
class _Style:
    level: int | None
    number: tuple[str, int] | None


@dataclass(slots=True)
class _Said:
    """What one paragraph says: its text, and what hangs on it."""

    text: list[str] = field(default_factory=list)
    notes: list[tuple[str, str]] = field(default_factory=list)
    boxes: list[Element] = field(default_factory=list)
    breaks: int = 0


class _Reader:
    def __init__(self, package: Package, part: str, draft: Draft) -> None:
        self._draft = draft
        self._parts: dict[str, list[Element]] = {}
        for kind, name in relations(package, part).values():
            if kind in ("styles", "numbering", "footnotes", "endnotes", "header", "footer", "comments"):
                content = package.get(name)
                if content:
                    self._parts.setdefault(kind, []).append(parsed(content))
        self._styles = dict(self._read_styles())
        self._numbers = _Numbers(self._parts.get("numbering", []))
        self._notes = dict(self._read_notes())
        self._page, self._rendered = 1, False

    def body(self, root: Element) -> None:
        self._rendered = next(all_of(root, "lastRenderedPageBreak"), None) is not None
        if self._rendered:
            self._draft.page(1)
        self._blocks(child(root, "body") if tag(root) == "document" else root)
        if self._rendered:
            self._draft.page_count = self._page
        self._margins()

    def _blocks(self, parent: Element | None) -> None:
        for element in parent if parent is not None else ():
            name = tag(element)
            if name == "p":
                self._paragraph(element)
            elif name == "tbl":
                self._table(element)
            elif name == "AlternateContent":
                self._blocks(child(element, "Choice"))
            elif name and name not in _LEFT_OUT:
                self._blocks(element)

    def _paragraph(self, element: Element) -> None:
        said = _Said()
        self._gather(element, said)
        text = "".join(said.text).strip()
        early = bool(said.breaks) and _breaks_first(element)
        self._turn(said.breaks if early else 0)
        level, number = self._form(element)
        if text:
            text = f"{number} {text}".strip()
        if level is not None:
            self._draft.heading(text, level)
        else:
            self._draft.paragraph(text)
        self._turn(0 if early else said.breaks)
        for box in said.boxes:
            self._blocks(box)
        for mark, note in said.notes:
            self._draft.paragraph(f"[{mark}] {note}")

    def _turn(self, pages: int) -> None:
        if pages and self._rendered:
            self._page += pages
            self._draft.page(self._page)

    def _gather(self, element: Element, said: _Said) -> None:
        """Collects the text below an element, and what is to follow it."""
        for part in element:
            name = tag(part)
            if name == "t":
                said.text.append(part.text or "")
            elif name in _SIGNS:
                said.text.append(_SIGNS[name])
            elif name == "lastRenderedPageBreak":
                said.breaks += 1
            elif name in ("footnoteReference", "endnoteReference"):
                self._refer(name.removesuffix("Reference"), attribute(part, "id"), said)
            elif name == "txbxContent":
                said.boxes.append(part)
            elif name and name not in _LEFT_OUT:
                self._gather(part, said)

    def _refer(self, kind: str, number: str, said: _Said) -> None:
        note = self._notes.get((kind, number))
        if note:
            said.text.append(f"[{number}]")
            said.notes.append((number, note))

    def _form(self, element: Element) -> tuple[int | None, str]:
        """A paragraph's level as a heading (None: it is none), and its automatic number."""
        properties = child(element, "pPr")
        named = child(properties, "pStyle") if properties is not None else None
        style = self._styles.get(attribute(named, "val") if named is not None else "", _Style(None, None))
        if properties is None:
            return style.level, ""
        own = _outline(properties)
        number = _number(properties) or style.number
        return (style.level if own is None else own), self._numbers.next(number) if number else ""

    def _table(self, element: Element) -> None:
        rows = list(_rows(element))
        named = sum(1 for row in rows if child(row, "trPr", "tblHeader") is not None)
        self._turn(sum(1 for _ in all_of(element, "lastRenderedPageBreak")))
        self._draft.table((self._cells(row) for row in rows), header=named or None)

    def _cells(self, row: Element) -> list[str]:
        found = []
        for cell in _below(row, "tc"):
            found.append(self._cell(cell))
            span = child(cell, "tcPr", "gridSpan")
            width = attribute(span, "val") if span is not None else ""
            found += [""] * (min(int(width), 64) - 1 if width.isdigit() else 0)
        return found

    def _cell(self, cell: Element) -> str:
        """The text of a cell in one line; a table in it is told row by row."""
        parts = []
        for element in _below(cell, "p", "tbl"):
            if tag(element) == "p":
                said = _Said()
                self._gather(element, said)
                parts.append("".join(said.text).strip())
                parts += [f"[{mark}] {note}" for mark, note in said.notes]
            else:
                parts += [", ".join(filter(None, self._cells(row))) + ";" for row in _rows(element)]
        return " ".join(part for part in parts if part.strip(" ;"))

    def _margins(self) -> None:
        """What pages carry at top and bottom, each once."""
        known: set[str] = set()
        for root in [*self._parts.get("header", []), *self._parts.get("footer", [])]:
            for paragraph in all_of(root, "p"):
                said = _Said()
                self._gather(paragraph, said)
                text = "".join(said.text).strip()
                if len(text) > 2 and not text.isdigit() and text not in known:
                    known.add(text)
                    self._draft.paragraph(text)

    def _read_notes(self) -> Iterator[tuple[tuple[str, str], str]]:
        for kind in ("footnote", "endnote"):
            for root in self._parts.get(f"{kind}s", []):
                for note in all_of(root, kind):
                    if attribute(note, "type") in ("separator", "continuationSeparator", "continuationNotice"):
                        continue
                    said = _Said()
                    self._gather(note, said)
                    yield (kind, attribute(note, "id")), "".join(said.text).strip()

    def _read_styles(self) -> Iterator[tuple[str, _Style]]:
        known = {attribute(style, "styleId"): style for root in self._parts.get("styles", []) for style in root}
        for key, style in known.items():
            level: int | None = None
            number: tuple[str, int] | None = None
            for form in _ancestry(style, known):
                level = _level_of(form) if level is None else level
                properties = child(form, "pPr")
                if number is None and properties is not None:
                    number = _number(properties)
            yield key, _Style(level, number)


def _ancestry(style: Element, known: dict[str, Element]) -> Iterator[Element]:
    """A style and those it is based on; styles may be based on each other in a circle."""
    seen: set[str] = set()
    found: Element | None = style
    while found is not None and attribute(found, "styleId") not in seen:
        yield found
        seen.add(attribute(found, "styleId"))
        base = child(found, "basedOn")
        found = known.get(attribute(base, "val")) if base is not None else None


def _level_of(style: Element) -> int | None:
    name = child(style, "name")
    said = attribute(name, "val") if name is not None else ""
    match = _HEADING.fullmatch(said)
    if match:
        return int(match[1])
    if said.lower() == "title":
        return 0
    properties = child(style, "pPr")
    return _outline(properties) if properties is not None else None


def _outline(properties: Element) -> int | None:
    outline = child(properties, "outlineLvl")
    said = attribute(outline, "val") if outline is not None else ""
    return int(said) + 1 if said.isdigit() and int(said) < _LEVELS else None


def _number(properties: Element) -> tuple[str, int] | None:
    """(list, depth) of a numbered paragraph."""
    numbering = child(properties, "numPr")
    if numbering is None:
        return None
    known, depth = child(numbering, "numId"), child(numbering, "ilvl")
    key = attribute(known, "val") if known is not None else ""
    said = attribute(depth, "val") if depth is not None else "0"
    return (key, min(int(said), 8)) if key and said.isdigit() else None


def _breaks_first(paragraph: Element) -> bool:
    """Whether a page ends before the paragraph's first letter."""
    for element in paragraph.iter("{*}t", "{*}lastRenderedPageBreak"):
        if tag(element) == "lastRenderedPageBreak":
            return True
        if element.text:
            return False
    return False


def _rows(table: Element) -> Iterator[Element]:
    return _below(table, "tr")


def _below(parent: Element, *names: str) -> Iterator[Element]:
    """The nearest descendants of these names; content controls and inserted parts wrap them at any depth."""
    for element in parent:
        if tag(element) in names:
            yield element
        elif tag(element) not in _LEFT_OUT:
            yield from _below(element, *names)


@dataclass(frozen=True, slots=True)
class _Level:
    start: int
    form: str
    text: str


class _Numbers:
    """Counts the automatically numbered paragraphs, as the reader of the printed page sees them."""

    def __init__(self, roots: list[Element]) -> None:
        self._lists: dict[str, tuple[str, dict[int, _Level]]] = {}
        self._counts: dict[str, list[int | None]] = {}
        for root in roots:
            abstract = {attribute(one, "abstractNumId"): _levels(one) for one in all_of(root, "abstractNum")}
            for one in all_of(root, "num"):
                of = child(one, "abstractNumId")
                key = attribute(of, "val") if of is not None else ""
                levels = {**abstract.get(key, {}), **_levels(one)}
                self._lists[attribute(one, "numId")] = (key, levels)

    def next(self, number: tuple[str, int]) -> str:
        """The next number of a list at a depth: "4.2", "(a)"; "" for bullets and unknown lists."""
        key, levels = self._lists.get(number[0], ("", {}))
        depth = number[1]
        level = levels.get(depth)
        if level is None or level.form in ("bullet", "none"):
            return ""
        counts = self._counts.setdefault(key, [None] * 9)
        before = counts[depth]
        counts[depth] = level.start if before is None else before + 1
        counts[depth + 1 :] = [None] * (8 - depth)
        return re.sub(r"%(\d)", lambda match: self._shown(int(match[1]) - 1, counts, levels), level.text)

    def _shown(self, depth: int, counts: list[int | None], levels: dict[int, _Level]) -> str:
        level = levels.get(depth)
        if level is None or not 0 <= depth < 9:
            return ""
        count = counts[depth]
        return numeral(level.start if count is None else count, level.form)


def _levels(parent: Element) -> dict[int, _Level]:
    found = {}
    for one in parent.iter("{*}lvl"):
        depth = attribute(one, "ilvl")
        start, form, text = (child(one, name) for name in ("start", "numFmt", "lvlText"))
        first = attribute(start, "val") if start is not None else "1"
        found[int(depth) if depth.isdigit() else 0] = _Level(
            int(first) if first.isdigit() else 1,
            attribute(form, "val") if form is not None else "decimal",
            attribute(text, "val") if text is not None else "",
        )
    return found
