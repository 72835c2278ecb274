"""Workbooks (XLSX, XLS): each visible sheet is a section of tables. Formulas show the values that were saved with
them; nothing is computed.
"""

from __future__ import annotations

import io
import re
from collections.abc import Iterator
from datetime import datetime, timedelta

import xlrd
from lxml import etree

from retrieval.errors import Encrypted, Unreadable

from . import grid
from .draft import Draft
from .markup import Element, all_of, attribute, child, main_part, parsed, relation_id, relations, tag
from .packed import Package

#: Number formats that are dates or times (ECMA-376 part 1, 18.8.30); 9 and 10 are percentages.
_DATES = {*range(14, 23), *range(27, 37), *range(45, 48), *range(50, 59)}
_PERCENTAGES = {9, 10}
_LITERALS = re.compile(r'"[^"]*"|\\.|\[[^\]]*\]|_.|\*.')
_REFERENCE = re.compile(r"([A-Z]{1,3})\d+")
#: Empty cells that are kept between two others.
MOST_GAP = 50
_EPOCH, _EPOCH_1904 = datetime(1899, 12, 30), datetime(1904, 1, 1)  # noqa: DTZ001  sheets know no time zones
_LAST_DAY = 2_958_465.99999


def read(content: bytes, draft: Draft) -> None:
    """Writes an XLSX file on the draft."""
    package = Package(content)
    part = main_part(package, "xl/workbook.xml")
    workbook, targets = parsed(package.read(part)), relations(package, part)
    book = _Book(package, workbook, targets)
    for sheet in all_of(workbook, "sheet"):
        kind, name = targets.get(relation_id(sheet), ("", ""))
        if kind == "worksheet" and name in package and attribute(sheet, "state") in ("", "visible"):
            draft.heading(sheet.get("name", ""))
            grid.write(book.rows(package.read(name)), draft)


class _Book:
    """What all sheets of a workbook share: strings, formats, and the first day of its calendar."""

    def __init__(self, package: Package, workbook: Element, targets: dict[str, tuple[str, str]]) -> None:
        named = dict(targets.values())
        properties = child(workbook, "workbookPr")
        early = attribute(properties, "date1904") in ("1", "true") if properties is not None else False
        self._epoch = _EPOCH_1904 if early else _EPOCH
        strings = package.get(named.get("sharedStrings", ""))
        self._strings = [_letters(one) for one in _elements(strings, "si")] if strings else []
        styles = package.get(named.get("styles", ""))
        self._forms = list(_forms(parsed(styles))) if styles else []

    def rows(self, sheet: bytes) -> Iterator[list[str]]:
        last = 0
        for row in _elements(sheet, "row"):
            number = int(row.get("r", "")) if row.get("r", "").isdigit() else last + 1
            if number > last + 1:
                yield []
            last = number
            yield self._cells(row)

    def _cells(self, row: Element) -> list[str]:
        found: list[str] = []
        column = 0
        for cell in row:
            if tag(cell) != "c":
                continue
            place = _column(cell.get("r", "")) or column + 1
            found += [""] * min(place - column - 1, MOST_GAP)
            column = max(place, column)
            found.append(self._value(cell))
        return found

    def _value(self, cell: Element) -> str:
        kind = cell.get("t", "n")
        if kind == "inlineStr":
            return _letters(cell)
        value = child(cell, "v")
        said = (value.text or "") if value is not None else ""
        if kind == "s":
            return self._strings[int(said)] if said.isdigit() and int(said) < len(self._strings) else ""
        if kind == "b":
            return {"0": "false", "1": "true"}.get(said, said)
        return self._number(said, cell.get("s", "0")) if kind == "n" and said else said

    def _number(self, said: str, style: str) -> str:
        try:
            number = float(said)
        except ValueError:
            return said
        form = self._forms[int(style)] if style.isdigit() and int(style) < len(self._forms) else ""
        if form == "date" and 0 <= number <= _LAST_DAY:
            return _day(number, self._epoch)
        return f"{number * 100:.10g} %" if form == "percentage" else f"{number:.15g}"


def _elements(content: bytes, name: str) -> Iterator[Element]:
    """The elements of one name, one at a time: a sheet may have a million rows."""
    found = etree.iterparse(
        io.BytesIO(content),
        events=("end",),
        tag="{*}" + name,
        resolve_entities=False,
        no_network=True,
        load_dtd=False,
        recover=True,
    )
    try:
        for _, element in found:
            yield element
            element.clear()
            while element.getprevious() is not None:
                del element.getparent()[0]
    except etree.XMLSyntaxError as error:
        raise Unreadable from error


def _letters(element: Element) -> str:
    """A string's text, without the reading aid that Japanese cells carry."""
    return "".join(part.text or "" for part in all_of(element, "t") if tag(part.getparent()) != "rPh")


def _column(reference: str) -> int:
    """A=1, B=2, …; 0 if it is no reference."""
    match = _REFERENCE.fullmatch(reference)
    number = 0
    for letter in match[1] if match else "":
        number = number * 26 + ord(letter) - ord("A") + 1
    return number


def _forms(styles: Element) -> Iterator[str]:
    """How the numbers of each style are shown: "date", "percentage" or ""."""
    own = {one.get("numFmtId", ""): one.get("formatCode", "") for one in all_of(styles, "numFmt")}
    cells = child(styles, "cellXfs")
    for one in cells if cells is not None else ():
        key = one.get("numFmtId", "")
        yield _form(own.get(key), int(key) if key.isdigit() else 0)


def _form(code: str | None, number: int) -> str:
    if code is not None:
        plain = _LITERALS.sub("", code.split(";")[0]).lower()
        if "%" in plain:
            return "percentage"
        return "date" if plain != "general" and re.search(r"[dmyhs]", plain) else ""
    return "date" if number in _DATES else "percentage" if number in _PERCENTAGES else ""


def _day(number: float, epoch: datetime) -> str:
    """A day, a time of day, or both."""
    moment = epoch + timedelta(seconds=round(number * 86_400))
    if number < 1:
        return f"{moment:%H:%M:%S}"
    return f"{moment:%Y-%m-%d}" if moment.hour == moment.minute == moment.second == 0 else f"{moment:%Y-%m-%d %H:%M}"


def read_old(content: bytes, draft: Draft) -> None:
    """Writes an XLS file on the draft."""
    try:
        book = xlrd.open_workbook(file_contents=content, on_demand=True, formatting_info=False, logfile=io.StringIO())
        sheets = [book.sheet_by_index(number) for number in range(book.nsheets)]
    except xlrd.XLRDError as error:
        raise (Encrypted if "encrypted" in str(error).lower() else Unreadable) from error
    for sheet in sheets:
        if sheet.visibility == 0:
            draft.heading(sheet.name)
            grid.write(([_old_value(cell, book.datemode) for cell in row] for row in sheet.get_rows()), draft)


def _old_value(cell: xlrd.sheet.Cell, mode: int) -> str:
    match cell.ctype:
        case xlrd.XL_CELL_NUMBER:
            return f"{cell.value:.15g}"
        case xlrd.XL_CELL_DATE:
            return _day(cell.value, _EPOCH_1904 if mode else _EPOCH) if 0 <= cell.value <= _LAST_DAY else ""
        case xlrd.XL_CELL_BOOLEAN:
            return "true" if cell.value else "false"
        case xlrd.XL_CELL_ERROR:
            return str(xlrd.error_text_from_code.get(cell.value, ""))
        case _:
            return str(cell.value)
