"""A report's content as a file: JSON, CSV, XLSX or PDF. All show the same exact values."""

from __future__ import annotations

import csv
import json
import unicodedata
from collections.abc import Callable, Iterable
from datetime import UTC, datetime
from decimal import Decimal
from functools import cache
from io import BytesIO, StringIO
from typing import Any

from openpyxl import Workbook
from openpyxl.cell import WriteOnlyCell
from openpyxl.styles import Alignment, Font
from openpyxl.utils import get_column_letter
from reportlab.graphics.shapes import Drawing, Line, Rect, String
from reportlab.lib.colors import HexColor
from reportlab.lib.enums import TA_RIGHT
from reportlab.lib.pagesizes import A4, landscape
from reportlab.lib.styles import ParagraphStyle
from reportlab.lib.units import mm
from reportlab.pdfbase import pdfmetrics
from reportlab.pdfbase.ttfonts import TTFont
from reportlab.pdfgen.canvas import Canvas
from reportlab.platypus import LongTable, Paragraph, SimpleDocTemplate, Spacer, TableStyle

from .content import Column, Content, Table, said, total_of
from .errors import ReportTooLarge
from .models import ReportFormat

#: ending and media type
NAMES = {
    ReportFormat.JSON: ("json", "application/json"),
    ReportFormat.CSV: ("csv", "text/csv; charset=utf-8"),
    ReportFormat.XLSX: ("xlsx", "application/vnd.openxmlformats-officedocument.spreadsheetml.sheet"),
    ReportFormat.PDF: ("pdf", "application/pdf"),
}
#: more rows than these nobody reads on paper
MOST_ROWS_ON_PAPER = 3_000
#: what a sheet of XLSX holds
MOST_ROWS_IN_SHEET = 1_000_000


def file_of(content: Content, format_: str) -> bytes:
    """The file. Raises ReportTooLarge when the format cannot hold it."""
    return _WRITERS[format_](content)


# -- JSON and CSV ----------------------------------------------------------------------------------------------------


def _json(content: Content) -> bytes:
    shown = {
        "kind": content.kind,
        "tenant": content.tenant,
        "from": _moment(content.since),
        "to": _moment(content.until),
        "made_at": _moment(content.made_at),
        "facts": dict(content.facts),
        "total": total_of(content),
        "tables": [_json_table(table) for table in content.tables],
    }
    return json.dumps(shown, ensure_ascii=False, indent=1).encode()


def _json_table(table: Table) -> dict[str, Any]:
    names = [column.name for column in table.columns]
    rows = [dict(zip(names, map(said, row), strict=True)) for row in table.rows]
    total = None if table.total is None else dict(zip(names, map(said, table.total), strict=True))
    return {"name": table.name, "title": table.title, "rows": rows, "total": total}


def _csv(content: Content) -> bytes:
    """The main table; its last line is the total."""
    page = StringIO()
    writer = csv.writer(page)
    table = content.main
    writer.writerow([column.name for column in table.columns])
    for row in _with_total(table):
        writer.writerow([_csv_cell(value) for value in row])
    return page.getvalue().encode()


def _csv_cell(value: Any) -> str:
    """A value as text; a word that a spreadsheet would take for a formula is quoted."""
    if value is None:
        return ""
    text = str(said(value))
    return "'" + text if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _with_total(table: Table) -> Iterable[tuple[Any, ...]]:
    yield from table.rows
    if table.total is not None:
        yield table.total


def _moment(moment: datetime) -> str:
    return moment.astimezone(UTC).isoformat(timespec="seconds").replace("+00:00", "Z")


# -- XLSX ------------------------------------------------------------------------------------------------------------

_FORMATS = {"count": "#,##0", "money": "#,##0.00##########", "percent": "0.0"}
_BOLD = Font(bold=True)


def _xlsx(content: Content) -> bytes:
    """A sheet for each table, the facts behind them. A spreadsheet reckons with 15 digits, so each column of money
    stands a second time at the right end, as exact text.
    """
    book = Workbook(write_only=True)
    for table in content.tables:
        _sheet(book, table)
    sheet = book.create_sheet("About")
    about = [("Tenant", content.tenant), ("From", _moment(content.since)), ("Before", _moment(content.until))]
    for name, value in [("Report", content.title), *about, ("Made at", _moment(content.made_at)), *content.facts]:
        sheet.append([_text(sheet, name, bold=True), _text(sheet, value)])
    sheet.column_dimensions["A"].width, sheet.column_dimensions["B"].width = 28, 60
    file = BytesIO()
    book.save(file)
    return file.getvalue()


def _sheet(book: Workbook, table: Table) -> None:
    if len(table.rows) > MOST_ROWS_IN_SHEET:
        raise ReportTooLarge(f"A sheet holds {MOST_ROWS_IN_SHEET:,} rows: group by less, or take CSV.")
    sheet = book.create_sheet(table.title[:31])
    sheet.freeze_panes = "A2"
    money = [place for place, column in enumerate(table.columns) if column.kind == "money"]
    titles = [*(column.title for column in table.columns), *(f"{table.columns[at].title}, exact" for at in money)]
    for place, title in enumerate(titles, 1):
        sheet.column_dimensions[get_column_letter(place)].width = max(14, len(title) + 2)
    sheet.append([_text(sheet, title, bold=True) for title in titles])
    for row in table.rows:
        sheet.append(_xlsx_row(sheet, table.columns, row, money))
    if table.total is not None:
        sheet.append(_xlsx_row(sheet, table.columns, table.total, money, bold=True))


def _xlsx_row(
    sheet: Any, columns: tuple[Column, ...], row: tuple[Any, ...], money: list[int], bold: bool = False
) -> list[Any]:
    cells = [
        _text(sheet, value, bold) if column.kind == "text" else _number(sheet, column, value, bold)
        for column, value in zip(columns, row, strict=True)
    ]
    exact = [_text(sheet, said(row[place]), bold) for place in money]
    for cell in exact:
        cell.alignment = Alignment(horizontal="right")
    return cells + exact


def _text(sheet: Any, value: Any, bold: bool = False) -> Any:
    """A cell that stays text, whatever it begins with."""
    cell = WriteOnlyCell(sheet, value=_printable(str(value)))
    cell.data_type = "s"
    if bold:
        cell.font = _BOLD
    return cell


def _number(sheet: Any, column: Column, value: Any, bold: bool) -> Any:
    cell = WriteOnlyCell(sheet, value=value)
    cell.number_format = _FORMATS[column.kind]
    if bold:
        cell.font = _BOLD
    return cell


def _printable(text: str) -> str:
    """Without control characters, which the format does not take."""
    return "".join(letter for letter in text if letter in "\t\n" or unicodedata.category(letter) != "Cc")


# -- PDF -------------------------------------------------------------------------------------------------------------

_INK, _WEAK, _LINE, _SOFT, _ACCENT = map(HexColor, ("#1f2937", "#6b7280", "#e5e7eb", "#f3f4f6", "#0f766e"))
_MARGIN = 15 * mm
_WIDTH = landscape(A4)[0] - 2 * _MARGIN - 12  # reportlab keeps 6 points free at either side


def _pdf(content: Content) -> bytes:
    if sum(len(table.rows) for table in content.tables) > MOST_ROWS_ON_PAPER:
        raise ReportTooLarge(f"More than {MOST_ROWS_ON_PAPER:,} rows: group by less, or take XLSX, CSV or JSON.")
    _fonts()
    file = BytesIO()
    page = SimpleDocTemplate(
        file,
        pagesize=landscape(A4),
        leftMargin=_MARGIN,
        rightMargin=_MARGIN,
        topMargin=_MARGIN,
        bottomMargin=18 * mm,
        title=f"{content.title}, {content.tenant}",
        author="Customhouse",
    )
    page.build(_story(content), canvasmaker=_numbered(f"{_drawable(content.tenant)} · {content.title}"))
    return file.getvalue()


def _story(content: Content) -> list[Any]:
    title = _paragraph(content.title, 18, bold=True, after=2)
    period = f"{content.tenant}, {_moment(content.since)} to before {_moment(content.until)}"
    story = [title, _paragraph(period, 9, colour=_WEAK, after=1)]
    story += [_paragraph(f"Made {_moment(content.made_at)}. Costs are exact.", 9, colour=_WEAK, after=8)]
    story += [_facts(content), Spacer(1, 6 * mm)]
    if len(content.course) > 1:
        story += [_paragraph(content.course_title, 11, bold=True, after=4), _chart(content.course), Spacer(1, 6 * mm)]
    for table in content.tables:
        if table.rows:
            story += [_paragraph(table.title, 11, bold=True, after=4), _pdf_table(table), Spacer(1, 6 * mm)]
    if not any(table.rows for table in content.tables):
        story.append(_paragraph("There was nothing in this period.", 10))
    return story


def _facts(content: Content) -> Any:
    rows = [[_paragraph(name, 9, colour=_WEAK), _paragraph(value, 9)] for name, value in content.facts]
    return LongTable(
        rows, colWidths=[50 * mm, _WIDTH - 50 * mm], style=TableStyle([("LEFTPADDING", (0, 0), (0, -1), 0)])
    )


def _pdf_table(table: Table) -> Any:
    size = 8 if len(table.columns) <= 9 else 6.5
    rows: list[list[Any]] = [[_paragraph(c.title, size, bold=True, right=c.kind != "text") for c in table.columns]]
    rows += [
        [_pdf_cell(column, value, size) for column, value in zip(table.columns, row, strict=True)] for row in table.rows
    ]
    if table.total is not None:
        total = zip(table.columns, table.total, strict=True)
        rows.append([_pdf_cell(column, value, size, bold=True) for column, value in total])
    style = [
        ("BACKGROUND", (0, 0), (-1, 0), _SOFT),
        ("LINEBELOW", (0, 0), (-1, -1), 0.4, _LINE),
        ("VALIGN", (0, 0), (-1, -1), "TOP"),
        ("TOPPADDING", (0, 0), (-1, -1), 2.5),
        ("BOTTOMPADDING", (0, 0), (-1, -1), 2.5),
    ]
    if table.total is not None:
        style.append(("LINEABOVE", (0, -1), (-1, -1), 0.8, _INK))
    return LongTable(rows, colWidths=_widths(table), repeatRows=1, style=TableStyle(style))


def _widths(table: Table) -> list[float]:
    """Columns of text share what columns of figures leave."""
    figures = {"count": 23 * mm, "money": 34 * mm, "percent": 18 * mm}
    wide = [figures.get(column.kind, 0) for column in table.columns]
    texts = sum(1 for width in wide if not width)
    if not texts:
        return [_WIDTH / len(wide)] * len(wide)
    shrink = min(1.0, (_WIDTH - texts * 20 * mm) / (sum(wide) or 1))
    share = min((_WIDTH - sum(wide) * shrink) / texts, 90 * mm)
    return [width * shrink or share for width in wide]


def _pdf_cell(column: Column, value: Any, size: float, bold: bool = False) -> Any:
    if value is None:
        text = "–"
    elif column.kind == "count" and isinstance(value, int):
        text = f"{value:,}"
    elif column.kind == "percent":
        text = f"{value:+} %"
    else:
        text = str(said(value))
    return _paragraph(text, size, bold=bold, right=column.kind != "text")


def _paragraph(
    text: str, size: float, *, bold: bool = False, right: bool = False, colour: Any = _INK, after: float = 0
) -> Any:
    style = ParagraphStyle(
        "text",
        fontName="VeraBd" if bold else "Vera",
        fontSize=size,
        leading=size * 1.3,
        textColor=colour,
        spaceAfter=after,
        keepWithNext=after > 0,
        alignment=TA_RIGHT if right else 0,
        splitLongWords=not right,
    )
    escaped = _drawable(text).replace("&", "&amp;").replace("<", "&lt;").replace(">", "&gt;")
    return Paragraph(escaped, style)


def _chart(course: list[tuple[str, Decimal]]) -> Drawing:
    """A bar for each day or month."""
    height, top = 38 * mm, max(value for _, value in course) or Decimal(1)
    drawing = Drawing(_WIDTH, height + 6 * mm)
    step = _WIDTH / len(course)
    base = 5 * mm
    for place, (_, value) in enumerate(course):
        tall = float(max(value, Decimal(0)) / top) * (height - 6 * mm)
        drawing.add(
            Rect(place * step + step * 0.12, base, step * 0.76, max(tall, 0.3), fillColor=_ACCENT, strokeColor=None)
        )
    drawing.add(Line(0, base, _WIDTH, base, strokeColor=_LINE))
    for place, anchor in ((0, "start"), (len(course) - 1, "end")):
        at = 0 if anchor == "start" else _WIDTH
        drawing.add(_label(at, 1 * mm, course[place][0], anchor))
    drawing.add(_label(_WIDTH, height + 1 * mm, f"highest: {said(top)} USD", "end"))
    return drawing


def _label(x: float, y: float, text: str, anchor: str) -> String:
    return String(x, y, text, fontName="Vera", fontSize=7, fillColor=_WEAK, textAnchor=anchor)


def _numbered(foot: str) -> type[Canvas]:
    """A canvas whose every page says which of how many it is: known only when all are drawn."""

    class Numbered(Canvas):  # type: ignore[misc]  # reportlab has no types
        def __init__(self, *args: Any, **more: Any) -> None:
            super().__init__(*args, **more)
            self._pages: list[dict[str, Any]] = []

        def showPage(self) -> None:
            self._pages.append(dict(self.__dict__))
            self._startPage()

        def save(self) -> None:
            for number, page in enumerate(self._pages, 1):
                self.__dict__.update(page)
                self.setFont("Vera", 7)
                self.setFillColor(_WEAK)
                self.drawString(_MARGIN, 9 * mm, foot[:120])
                self.drawRightString(landscape(A4)[0] - _MARGIN, 9 * mm, f"Page {number} of {len(self._pages)}")
                super().showPage()
            super().save()

    return Numbered


@cache
def _fonts() -> Any:
    """Bitstream Vera, which comes with reportlab; files hold what they use of it, so they look the same everywhere."""
    for name in ("Vera", "VeraBd"):
        pdfmetrics.registerFont(TTFont(name, f"{name}.ttf"))
    return pdfmetrics.getFont("Vera").face.charToGlyph


def _drawable(text: str) -> str:
    """Text in letters that the font has: accents go before a letter does, what is left is a question mark."""
    glyphs = _fonts()
    return "".join(letter if ord(letter) in glyphs else _plain(letter, glyphs) for letter in _printable(text))


def _plain(letter: str, glyphs: Any) -> str:
    bare = "".join(part for part in unicodedata.normalize("NFKD", letter) if ord(part) in glyphs)
    return bare or "?"


_WRITERS: dict[str, Callable[[Content], bytes]] = {
    ReportFormat.JSON: _json,
    ReportFormat.CSV: _csv,
    ReportFormat.XLSX: _xlsx,
    ReportFormat.PDF: _pdf,
}
