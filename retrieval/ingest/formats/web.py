"""Web pages: the main content, without scripts, navigation and what is hidden; headings, lists and tables."""

from __future__ import annotations

import re

from lxml import etree
from lxml import html as parser

from retrieval.errors import Unreadable

from . import letters
from .draft import Draft
from .markup import Element, tag

#: What is never read, and what is not the page's own content while it stands outside of it.
_NEVER = {
    *("script", "style", "noscript", "template", "iframe", "object", "embed", "svg", "canvas", "head", "select"),
    *("datalist", "audio", "video", "map", "button", "dialog"),
}
_AROUND = {"nav", "footer", "aside"}
_HEADINGS = {"h1": 1, "h2": 2, "h3": 3, "h4": 4, "h5": 5, "h6": 6}
_BLOCKS = {
    *("address", "article", "aside", "blockquote", "body", "center", "dd", "details", "div", "dl", "dt", "fieldset"),
    *("figcaption", "figure", "footer", "form", "header", "hr", "html", "legend", "li", "main", "nav", "ol", "p"),
    *("pre", "section", "summary", "ul", "td", "th", "tr", "tbody", "thead", "tfoot", "table", "caption", "option"),
}
_HIDDEN = re.compile(
    r"display\s*:\s*none|visibility\s*:\s*hidden|font-size\s*:\s*0(?![.\d])|opacity\s*:\s*0(?![.\d])"
    r"|(?:left|top|text-indent)\s*:\s*-\d{3,}",
    re.IGNORECASE,
)
_CHARSET = re.compile(
    rb"""<(?:meta|\?xml)[^>]{0,200}?(?:charset|encoding)\s*=\s*["']?\s*([\w:.-]{2,40})""", re.IGNORECASE
)
#: The content of a page that names it must be at least this share of all its text: some name a mere frame.
MAIN_SHARE = 0.2
#: A table with more text than this in one cell lays out a page.
MOST_CELL = 1_500


def read(content: bytes, draft: Draft, declared: str = "") -> None:
    """Writes a web page on the draft."""
    said = _CHARSET.search(content[:4096])
    write(letters.decoded(content, declared or (said[1].decode("ascii") if said else "")), draft)


def write(text: str, draft: Draft) -> None:
    """Writes a page that is text already."""
    root = _parsed(text)
    _Writer(draft).page(root)


def _parsed(text: str) -> Element:
    # a declaration of the encoding no longer holds for a text
    plain = re.sub(r"^\s*<\?xml[^>]*\?>", "", text)
    try:
        found = parser.document_fromstring(plain, parser=parser.HTMLParser(recover=True, remove_comments=True))
    except (etree.ParserError, etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable("The web page holds nothing to read.") from error
    return found


class _Writer:
    """Walks a page without recursion: pages may be nested as deep as they like."""

    def __init__(self, draft: Draft) -> None:
        self._draft = draft
        self._line: list[str] = []

    def page(self, root: Element) -> None:
        title = next(root.iter("title"), None)
        named = (title.text or "").strip() if title is not None else ""
        body = next(root.iter("body"), root)
        main = _main(body)
        headed = next(main.iter("h1"), None) is not None
        if named and not headed:
            self._draft.heading(named)
        self._walk(main)
        self._flush()

    def _walk(self, root: Element) -> None:
        stack: list[tuple[Element, bool]] = [(root, False)]
        while stack:
            element, is_done = stack.pop()
            if is_done:
                self._close(element)
                if element is not root:
                    self._line.append(_spaced(element.tail))
                continue
            stack.append((element, True))
            if self._open(element, root):
                stack.extend((part, False) for part in reversed(element))

    def _open(self, element: Element, root: Element) -> bool:
        """Begins an element; False: what is in it is dealt with, or not read."""
        name = tag(element)
        if not name or (element is not root and (name in _NEVER or name in _AROUND or _is_hidden(element))):
            return False
        if name in _HEADINGS:
            self._flush()
            self._draft.heading(_text(element), _HEADINGS[name])
            return False
        if name == "table" and _is_data(element):
            self._flush()
            _table(element, self._draft)
            return False
        if name == "pre":
            self._flush()
            self._draft.verbatim(letters.tidy(_text(element)).strip("\n"))
            return False
        self._begin(element, name)
        return True

    def _begin(self, element: Element, name: str) -> None:
        if name in _BLOCKS:
            self._flush()
        if name == "li":
            self._line.append("- ")
        elif name == "br":
            self._line.append("\n")
        elif name == "img":
            self._line.append(f" {element.get('alt', '')} ")
        self._line.append(_spaced(element.text))

    def _close(self, element: Element) -> None:
        if tag(element) in _BLOCKS:
            self._flush()

    def _flush(self) -> None:
        said = "".join(self._line)
        self._line = []
        if said.strip(" -\n\t"):
            self._draft.paragraph(re.sub(r"[^\S\n]+", " ", said))


def _spaced(text: str | None) -> str:
    return (text or "").replace("\n", " ")


def _main(body: Element) -> Element:
    """The element that holds the content, if the page says which and it holds enough."""
    everything = max(_size(body), 1)
    named = [*body.iter("main"), *(one for one in body.iter("div", "section") if one.get("role") == "main")]
    articles = list(body.iter("article"))
    if len(articles) == 1:
        named += articles
    best = max(named, key=_size, default=None)
    return best if best is not None and _size(best) >= MAIN_SHARE * everything else body


def _size(element: Element) -> int:
    return sum(len(text) for text in element.itertext() if not text.isspace())


def _is_hidden(element: Element) -> bool:
    if element.get("hidden") is not None or element.get("aria-hidden") == "true":
        return True
    return bool(_HIDDEN.search(element.get("style", "")[:2000]))


def _text(element: Element) -> str:
    """All text that can be seen below an element."""
    said: list[str] = []
    skipped: Element | None = None
    for event, part in etree.iterwalk(element, events=("start", "end")):
        if event == "start":
            if skipped is None and part is not element and (tag(part) in _NEVER or not tag(part) or _is_hidden(part)):
                skipped = part
            if skipped is None:
                said.append("\n" if tag(part) == "br" else " " if tag(part) in _BLOCKS and part is not element else "")
                said.append(part.text or "")
        else:
            if skipped is part:
                skipped = None
            if skipped is None and part is not element:
                said.append(part.tail or "")
    return "".join(said)


def _is_data(table: Element) -> bool:
    """Whether a table holds data: rows of several small cells, and no other table that does."""
    if next((one for one in table.iter("table") if one is not table), None) is not None:
        return False
    rows = [[cell for cell in row if tag(cell) in ("td", "th")] for row in table.iter("tr")]
    wide = sum(1 for row in rows if len(row) >= 2)
    if wide < 2 and next(table.iter("th"), None) is None:
        return False
    return all(_size(cell) <= MOST_CELL for row in rows for cell in row)


def _table(table: Element, draft: Draft) -> None:
    caption = next(table.iter("caption"), None)
    if caption is not None:
        draft.paragraph(_text(caption))
    rows = [row for row in table.iter("tr") if not _is_hidden(row)]
    named = 0
    for row in rows:
        cells = [cell for cell in row if tag(cell) in ("td", "th")]
        if not cells or any(tag(cell) == "td" for cell in cells):
            break
        named += 1
    draft.table((_cells(row) for row in rows), header=named or None)


def _cells(row: Element) -> list[str]:
    found = []
    for cell in row:
        if tag(cell) in ("td", "th"):
            found.append("" if _is_hidden(cell) else _text(cell))
            span = cell.get("colspan", "1")
            found += [""] * (min(int(span), 64) - 1 if span.isdigit() else 0)
    return _without_blanks(found)


def _without_blanks(cells: list[str]) -> list[str]:
    """Cells that only space the others are dropped where more than half are; a sign of currency joins its figure."""
    joined: list[str] = []
    for cell in cells:
        if (joined and joined[-1].strip() in ("$", "€", "£", "¥", "(")) or (
            joined and cell.strip() in (")", "%", ")%")
        ):
            joined[-1] = joined[-1].strip() + cell.strip()
        else:
            joined.append(cell)
    empty = sum(1 for cell in joined if not cell.strip())
    return [cell for cell in joined if cell.strip()] if empty * 2 > len(joined) else joined
