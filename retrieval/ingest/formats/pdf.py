"""PDF files: text as it is laid out, with tables, headings and bookmarks; scanned pages are recognised."""

from __future__ import annotations

import re
from collections import Counter
from ctypes import c_double, c_float

import pypdfium2
import pypdfium2.raw as pdfium

from retrieval.errors import Encrypted, NeedsRecognition, TooLarge, Unreadable

from . import picture
from .draft import Draft
from .layout import Line, Rule, Tabular, Word, blocks
from .letters import lines, one_line

MOST_PAGES = 5_000
#: Characters of one page; rules (drawn lines) of one page that are looked at, of so many objects.
MOST_LETTERS, MOST_RULES, MOST_OBJECTS = 200_000, 3_000, 20_000
#: A picture that covers this share of a page without text is a scan.
SCANNED_SHARE = 0.4
#: Text of which this share has no meaning comes from a font that does not say what its letters are.
GARBLED_SHARE = 0.3
#: Dots an inch at which scans are recognised, and dots of one page at most.
RESOLUTION, MOST_DOTS = 200, 25_000_000
#: A line of at most so many characters, this much larger than the text, is a heading.
HEADING_CHARACTERS, HEADING_SIZE = 120, 1.15
#: What stands at the top or bottom of this share of at least so many pages is said once.
REPEATED_SHARE, REPEATED_PAGES = 0.5, 4

_HYPHENATED = re.compile(r"(?<=[^\W\d_])[-\u00ad\ufffe\x02]\n(?=[a-zäöüßéèàçñ])")
_DIGITS = re.compile(r"\d+")


def read(content: bytes, draft: Draft) -> None:
    """Writes a PDF on the draft, page by page. Raises Encrypted, Unreadable, TooLarge, NeedsRecognition."""
    document = _opened(content)
    count = len(document)
    if count > MOST_PAGES:
        raise TooLarge(f"The PDF has more than {MOST_PAGES:,} pages.")
    if count == 0:
        raise Unreadable("The PDF has no pages.")
    _Reader(document, draft).write()
    draft.page_count = count


def _opened(content: bytes) -> pypdfium2.PdfDocument:
    try:
        return pypdfium2.PdfDocument(content)
    except pypdfium2.PdfiumError as error:
        if "password" in str(error).lower() or "security" in str(error).lower():
            raise Encrypted from error
        raise Unreadable("The PDF is damaged and cannot be read.") from error


class _Page:
    """A page's lines and rules, read once; `scan` is its picture where it has no text."""

    def __init__(self, lines: list[Line], rules: list[Rule], scanned: str) -> None:
        self.lines, self.rules, self.scanned = lines, rules, scanned


class _Reader:
    def __init__(self, document: pypdfium2.PdfDocument, draft: Draft) -> None:
        self._document, self._draft = document, draft
        self._clock = picture.Clock()
        self._missed = 0
        self._bookmarks = _bookmarks(document)

    def write(self) -> None:
        pages = [self._page(number) for number in range(len(self._document))]
        if self._missed * 2 >= len(pages):
            raise NeedsRecognition
        text_size = _text_size(pages)
        levels = _levels(pages, text_size)
        repeated = _repeated(pages)
        for number, page in enumerate(pages, start=1):
            self._draft.page(number)
            for level, name in self._bookmarks.get(number - 1, []):
                self._draft.label(name, level)
            if page.scanned:
                self._draft.paragraph(_whole(page.scanned))
            _write_page(page, levels, repeated, self._draft, has_bookmarks=bool(self._bookmarks))

    def _page(self, number: int) -> _Page:
        try:
            page = self._document[number]
            found = _lines(page)
        except pypdfium2.PdfiumError as error:
            raise Unreadable(f"Page {number + 1} of the PDF is damaged and cannot be read.") from error
        rules, pictured = _drawn(page)
        letters = [letter for line in found for word in line.words for letter in word.text]
        if letters and _share_garbled(letters) < GARBLED_SHARE:
            return _Page(found, rules, "")
        if (pictured < SCANNED_SHARE and not letters) or (letters and not picture.is_installed()):
            return _Page(found, rules, "")
        return _Page([], [], self._recognised(page))

    def _recognised(self, page: pypdfium2.PdfPage) -> str:
        if not picture.is_installed():
            self._missed += 1
            return ""
        width, height = page.get_size()
        scale = min(RESOLUTION / 72, (MOST_DOTS / max(width * height, 1)) ** 0.5)
        bitmap = page.render(scale=scale, grayscale=True, may_draw_forms=False)
        rows = bytes(bitmap.buffer)
        wide, high, stride = bitmap.width, bitmap.height, bitmap.stride
        dots = b"".join(rows[row * stride : row * stride + wide] for row in range(high))
        return picture.recognised(b"P5 %d %d 255\n" % (wide, high) + dots, self._clock)


def _bookmarks(document: pypdfium2.PdfDocument) -> dict[int, list[tuple[int, str]]]:
    """Page (from 0) -> [(level, name)], in their order."""
    found: dict[int, list[tuple[int, str]]] = {}
    try:
        for bookmark in document.get_toc(max_depth=6):
            target, name = bookmark.get_dest(), one_line(bookmark.get_title())
            page = target.get_index() if target is not None else None
            if page is not None and name:
                found.setdefault(page, []).append((bookmark.level + 1, name))
    except pypdfium2.PdfiumError:
        return {}  # a broken table of contents costs the names of sections, and no text
    return found


def _lines(page: pypdfium2.PdfPage) -> list[Line]:
    """The lines of a page, in the order in which the file draws them."""
    text = page.get_textpage()
    count = text.count_chars()
    if count > MOST_LETTERS:
        raise TooLarge("A page of the PDF has too many letters.")
    codes = [pdfium.FPDFText_GetUnicode(text.raw, index) for index in range(count)]
    found: list[Line] = []
    words: list[Word] = []
    start = 0
    for index in range(count + 1):
        code = codes[index] if index < count else 10
        if code in (9, 10, 13, 32, 160) or code == 0:
            if index > start:
                words.append(_word(text, codes, start, index))
            start = index + 1
            if code in (10, 13) and words:
                found.append(Line(words))
                words = []
    return found


def _word(text: pypdfium2.PdfTextPage, codes: list[int], start: int, end: int) -> Word:
    said = "".join(chr(code) if code < 0x110000 else "\ufffd" for code in codes[start:end])
    first, last = _box(text, start), _box(text, end - 1)
    size = float(pdfium.FPDFText_GetFontSize(text.raw, start))
    return Word(said, min(first[0], last[0]), first[1], max(first[2], last[2]), first[3], size)


def _box(text: pypdfium2.PdfTextPage, index: int) -> tuple[float, float, float, float]:
    """Left, bottom, right, top of a character, in points."""
    left, right, bottom, top = c_double(), c_double(), c_double(), c_double()
    pdfium.FPDFText_GetCharBox(text.raw, index, left, right, bottom, top)
    return left.value, bottom.value, right.value, top.value


def _drawn(page: pypdfium2.PdfPage) -> tuple[list[Rule], float]:
    """The straight lines that are drawn on a page, and the largest share of it that one picture covers."""
    rules: list[Rule] = []
    width, height = page.get_size()
    pictured = 0.0
    left, bottom, right, top = c_float(), c_float(), c_float(), c_float()
    for index in range(min(pdfium.FPDFPage_CountObjects(page.raw), MOST_OBJECTS)):
        drawn = pdfium.FPDFPage_GetObject(page.raw, index)
        kind = pdfium.FPDFPageObj_GetType(drawn)
        if kind == pdfium.FPDF_PAGEOBJ_FORM:
            pictured = max(pictured, _pictured(drawn, width * height))
        if kind not in (pdfium.FPDF_PAGEOBJ_PATH, pdfium.FPDF_PAGEOBJ_IMAGE):
            continue
        if not pdfium.FPDFPageObj_GetBounds(drawn, left, bottom, right, top):
            continue
        box = Rule(left.value, bottom.value, right.value, top.value)
        if kind == pdfium.FPDF_PAGEOBJ_IMAGE:
            pictured = max(pictured, box.width * box.height / max(width * height, 1))
        elif len(rules) < MOST_RULES:
            rules += box.edges(width, height)
    return rules, pictured


def _pictured(form: pdfium.FPDF_PAGEOBJECT, page: float) -> float:
    """The share of the page that a form with a picture in it covers."""
    left, bottom, right, top = c_float(), c_float(), c_float(), c_float()
    for index in range(min(pdfium.FPDFFormObj_CountObjects(form), MOST_OBJECTS)):
        drawn = pdfium.FPDFFormObj_GetObject(form, index)
        if pdfium.FPDFPageObj_GetType(drawn) == pdfium.FPDF_PAGEOBJ_IMAGE and pdfium.FPDFPageObj_GetBounds(
            form, left, bottom, right, top
        ):
            return (right.value - left.value) * (top.value - bottom.value) / max(page, 1)
    return 0.0


def _share_garbled(letters: list[str]) -> float:
    """The share of letters without meaning: unknown, private, or control characters."""
    bad = sum(1 for letter in letters if letter in "\ufffd\ufffe" or "\ue000" <= letter <= "\uf8ff" or letter < "\x20")
    return bad / len(letters)


def _text_size(pages: list[_Page]) -> float:
    """The size in which most letters are set."""
    sizes: Counter[float] = Counter()
    for page in pages:
        for line in page.lines:
            sizes[line.size] += line.letters
    return sizes.most_common(1)[0][0] if sizes else 0.0


def _levels(pages: list[_Page], text_size: float) -> dict[float, int]:
    """Sizes of headings -> level: the three largest of those that are used more than once, or on the first page."""
    sizes: Counter[float] = Counter()
    for number, page in enumerate(pages):
        for line in page.lines:
            if line.size >= text_size * HEADING_SIZE and line.letters <= HEADING_CHARACTERS:
                sizes[line.size] += 2 if number == 0 else 1
    large = sorted((size for size, count in sizes.items() if count > 1), reverse=True)
    return {size: min(place, 4) for place, size in enumerate(large, start=1)}


def _repeated(pages: list[_Page]) -> dict[str, int]:
    """What stands first or last on most pages, figures aside, and how often it was said."""
    counts: Counter[str] = Counter()
    for page in pages:
        counts.update({_pattern(line) for line in _edges(page)})
    if len(pages) < REPEATED_PAGES:
        return {}
    return {said: 0 for said, count in counts.items() if count >= REPEATED_SHARE * len(pages)}


def _edges(page: _Page) -> list[Line]:
    """The two highest and the two lowest lines."""
    ordered = sorted(page.lines, key=lambda line: -line.top)
    return ordered[:2] + ordered[-2:]


def _pattern(line: Line) -> str:
    return _DIGITS.sub("#", line.text)


def _write_page(
    page: _Page, levels: dict[float, int], repeated: dict[str, int], draft: Draft, has_bookmarks: bool
) -> None:
    edges = {id(line): _pattern(line) for line in _edges(page)}
    kept = [line for line in page.lines if repeated.get(edges.get(id(line), ""), 0) == 0]
    for pattern in edges.values():
        if pattern in repeated:
            repeated[pattern] += 1
    paragraph: list[str] = []
    for block in blocks(kept, page.rules):
        if isinstance(block, Tabular):
            _end(paragraph, draft)
            draft.table(block.rows)
        elif _is_heading(block, levels):
            _end(paragraph, draft)
            _head(block, levels, draft, has_bookmarks)
        else:
            paragraph += ["", block.text] if block.is_apart else [block.text]
    _end(paragraph, draft)


def _is_heading(line: Line, levels: dict[float, int]) -> bool:
    return line.size in levels and line.letters <= HEADING_CHARACTERS and any(map(str.isalpha, line.text))


def _head(line: Line, levels: dict[float, int], draft: Draft, has_bookmarks: bool) -> None:
    """Bookmarks name sections better than sizes do."""
    if has_bookmarks:
        draft.paragraph(line.text)
    else:
        draft.heading(line.text, levels[line.size])


def _end(paragraph: list[str], draft: Draft) -> None:
    draft.paragraph(_whole("\n".join(paragraph)))
    paragraph.clear()


def _whole(text: str) -> str:
    """Words that a line end had cut."""
    return _HYPHENATED.sub("", lines(_soft(text)))


def _soft(text: str) -> str:
    return text.replace("\ufffe", "-").replace("\x02", "-")
