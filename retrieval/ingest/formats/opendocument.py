"""OpenDocument texts, sheets and presentations (ODT, ODS, ODP): one XML for all three."""

from __future__ import annotations

from collections.abc import Iterator

from retrieval.errors import Encrypted

from . import grid
from .draft import Draft
from .markup import Element, all_of, attribute, child, parsed, tag
from .packed import Package

_LEFT_OUT = {"tracked-changes", "annotation", "annotation-end", "forms", "sequence-decls", "note"}
#: A repeated row or cell is mostly the empty rest of a sheet.
MOST_REPEATS, MOST_SPACES = 50, 20


def read(content: bytes, draft: Draft) -> None:
    """Writes an OpenDocument file on the draft."""
    package = Package(content)
    manifest = package.get("META-INF/manifest.xml")
    if manifest is not None and b"encryption-data" in manifest:
        raise Encrypted
    body = child(parsed(package.read("content.xml")), "body")
    for kind in body if body is not None else ():
        _blocks(kind, draft)
    pages = sum(1 for _ in all_of(body, "page")) if body is not None else 0
    if pages:
        draft.page_count = pages


def _blocks(parent: Element, draft: Draft) -> None:
    number = 0
    for element in parent:
        name = tag(element)
        if name == "h":
            level = attribute(element, "outline-level")
            draft.heading(_said(element), int(level) if level.isdigit() else 1)
            _notes(element, draft)
        elif name == "p":
            draft.paragraph(_said(element))
            _notes(element, draft)
            _frames(element, draft)
        elif name == "table":
            _table(element, draft, is_sheet=tag(parent) == "spreadsheet")
        elif name == "page":
            number += 1
            _slide(element, number, draft)
        elif name and name not in _LEFT_OUT:
            _blocks(element, draft)


def _slide(page: Element, number: int, draft: Draft) -> None:
    draft.page(number)
    title = next((one for one in page if attribute(one, "class") == "title"), None)
    named = " ".join(_said(one) for one in all_of(title, "p")) if title is not None else ""
    if named.strip():
        draft.heading(named)
    else:
        draft.label(f"Slide {number}")
    for element in page:
        if element is not title:
            _blocks(element, draft)


def _frames(paragraph: Element, draft: Draft) -> None:
    """Text boxes that hang on a paragraph."""
    for box in all_of(paragraph, "text-box"):
        _blocks(box, draft)


def _notes(paragraph: Element, draft: Draft) -> None:
    for note in all_of(paragraph, "note"):
        mark, body = child(note, "note-citation"), child(note, "note-body")
        text = " ".join(_said(one) for one in all_of(body, "p")) if body is not None else ""
        draft.paragraph(f"[{_said(mark) if mark is not None else '*'}] {text}")


def _table(table: Element, draft: Draft, is_sheet: bool) -> None:
    if is_sheet:
        draft.heading(attribute(table, "name"))
        grid.write(_rows(table), draft)
    else:
        headed = child(table, "table-header-rows")
        draft.table(_rows(table), header=sum(1 for _ in all_of(headed, "table-row")) if headed is not None else None)


def _rows(table: Element) -> Iterator[list[str]]:
    for row in table:
        if tag(row) in ("table-header-rows", "table-rows", "table-row-group"):
            yield from _rows(row)
        elif tag(row) == "table-row":
            cells = [cell for one in row if tag(one) in ("table-cell", "covered-table-cell") for cell in _cell(one)]
            yield from [cells] * (_repeats(row, "number-rows-repeated") if any(cells) else 1)


def _cell(cell: Element) -> list[str]:
    said = " ".join(_said(one) for one in cell.iter("{*}p", "{*}h"))
    return [said] * _repeats(cell, "number-columns-repeated")


def _repeats(element: Element, name: str) -> int:
    said = attribute(element, name)
    return min(int(said), MOST_REPEATS) if said.isdigit() else 1


def _said(element: Element) -> str:
    return "".join(_letters(element)).strip()


def _letters(element: Element) -> Iterator[str]:
    """The text of a paragraph, without what hangs on it."""
    yield element.text or ""
    for part in element:
        name = tag(part)
        if name == "note":
            mark = child(part, "note-citation")
            yield f"[{mark.text if mark is not None else '*'}]"
        elif name == "s":
            count = attribute(part, "c")
            yield " " * (min(int(count), MOST_SPACES) if count.isdigit() else 1)
        elif name == "tab":
            yield " "
        elif name == "line-break":
            yield "\n"
        elif name not in _LEFT_OUT and name != "text-box":
            yield from _letters(part)
        yield part.tail or ""
