"""What readers write on: a text that grows by headings, paragraphs, tables and pages, and knows where each begins."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from typing import Any

from retrieval.errors import IngestError, TooLarge

from .letters import MOST_CHARACTERS, lines, one_line

#: Between the names of a heading path, and between the cells of a row.
STEP, CELL = " › ", " | "
#: Characters of one heading, and of a row that may still be a table's header.
MOST_HEADING, MOST_HEADER = 200, 2_000
#: How deep documents may lie in documents: a zip in a mail in a zip.
MOST_DEPTH = 4
#: Places (pages, sections, tables) of one document.
MOST_PLACES = 200_000


class Draft:
    """Blocks of text, an empty line between them. `page_count` is set by formats that have pages.

    `read` writes a file of any kind on a draft: (content, filename, mime, draft). It reads what lies in other files.
    """

    def __init__(self, read: Callable[[bytes, str, str, Draft], None] | None = None) -> None:
        self._read = read
        self._blocks: list[str] = []
        self._length = 0
        self._path: list[tuple[int, str]] = []
        self._within: tuple[str, ...] = ()
        self._pages: list[tuple[int, int]] = []
        self._sections: list[tuple[int, str]] = []
        self._tables: list[tuple[int, int, int]] = []
        self.page_count: int | None = None

    @property
    def is_empty(self) -> bool:
        """Whether nothing was written yet."""
        return not self._blocks

    @property
    def length(self) -> int:
        """Characters so far."""
        return self._length

    def heading(self, text: str, level: int = 1) -> None:
        """A heading, which stands in the text and names what follows; level 1 is the highest."""
        name = one_line(text)[:MOST_HEADING]
        if name:
            self.label(name, level)
            self._add(name)

    def label(self, name: str, level: int = 1) -> None:
        """Names what follows without writing it."""
        self._path = [(depth, said) for depth, said in self._path if depth < level] + [(level, one_line(name))]
        self._mark()

    def paragraph(self, text: str) -> None:
        """A paragraph; its line ends stay."""
        self._add(lines(text))

    def verbatim(
        self, text: str, sections: Iterable[tuple[int, str]] = (), tables: Iterable[tuple[int, int, int]] = ()
    ) -> None:
        """A tidy text as it is, with its own sections (first character in it, name) and tables (see `result`)."""
        start = self._next()
        self._add(text)
        for place, name in sections:
            self._place(self._sections, (start + place, STEP.join((*self._within, name))))
        for first, end, body in tables:
            self._place(self._tables, (start + first, start + end, start + body))

    def table(self, rows: Iterable[Sequence[str]], header: int | None = None) -> None:
        """A table, a line a row. `header` says how many rows of it name the columns; None: it shows by itself."""
        written: list[str] = []
        cells: list[Sequence[str]] = []
        size = 0
        for row in rows:
            said = [one_line(cell) for cell in row]
            line = CELL.join(said).rstrip(" |")
            if line.strip(" |"):
                written.append(line)
                size += len(line)
                cells = [*cells, said][:2]
            if size + self._length > MOST_CHARACTERS:
                raise TooLarge(_too_long())
        if written:
            names = min(_headers(cells) if header is None else header, len(written) - 1)
            self._write_table(written, names)

    def _write_table(self, written: list[str], names: int) -> None:
        start = self._next()
        self._add("\n".join(written))
        if len(written) > 1:
            body = start + sum(len(line) + 1 for line in written[:names])
            self._place(self._tables, (start, self._length, body))

    def page(self, number: int) -> None:
        """What follows stands on this page. Within another document it is a section, for pages count once."""
        if self._within:
            self._path = [(1, f"page {number}")]
            self._mark()
        else:
            self._place(self._pages, (self._next(), number))

    @contextmanager
    def within(self, name: str) -> Iterator[None]:
        """What is written here belongs to a document within this one."""
        before = self._within, self._path, self.page_count
        self._within, self._path = (*self._within, one_line(name)[:MOST_HEADING]), []
        self._mark()
        try:
            yield
        finally:
            self._within, self._path, self.page_count = before
            self._mark()

    def embed(self, content: bytes, name: str, mime: str = "") -> IngestError | None:
        """Writes a file that lies in this one. If it cannot be read the text says so, and the error comes back;
        TooLarge is raised: who packs a bomb in a parcel has packed a bomb.
        """
        if self._read is None or len(self._within) >= MOST_DEPTH:
            raise TooLarge("Files are packed in files too deep.")
        with self.within(name):
            try:
                self._read(content, name, mime, self)
            except TooLarge:
                raise
            except IngestError as error:
                self.paragraph(f"{name}: {error}")
                return error
        return None

    def result(self) -> dict[str, Any]:
        """{"text", "pages", "sections", "tables", "page_count"}: places are characters from 0; a table is its first
        character, its end, and where the first row after its header begins.
        """
        end = self._length
        return {
            "text": "".join(self._blocks),
            "pages": _latest(self._pages, end),
            "sections": _latest(self._sections, end),
            "tables": self._tables,
            "page_count": self.page_count,
        }

    def _mark(self) -> None:
        name = STEP.join((*self._within, *(name for _, name in self._path)))
        self._place(self._sections, (self._next(), name))

    def _place(self, places: list[Any], place: tuple[Any, ...]) -> None:
        if len(places) >= MOST_PLACES:
            raise TooLarge("The file has too many headings, pages or tables.")
        places.append(place)

    def _next(self) -> int:
        """The character at which the next block begins."""
        return self._length + 2 if self._blocks else 0

    def _add(self, text: str) -> None:
        if not text.strip():
            return
        block = f"\n\n{text}" if self._blocks else text
        self._length += len(block)
        if self._length > MOST_CHARACTERS:
            raise TooLarge(_too_long())
        self._blocks.append(block)


def _too_long() -> str:
    return f"The text is longer than {MOST_CHARACTERS:,} characters."


def _latest(places: list[tuple[int, Any]], end: int) -> list[tuple[int, Any]]:
    """Of several places at one character the last; none beyond the text."""
    return sorted({place: said for place, said in places if place < end}.items())


def _headers(cells: list[Sequence[str]]) -> int:
    """Whether the first row names the columns: several cells, no figures among them, and no novel."""
    if len(cells) < 2:
        return 0
    said = [cell for cell in cells[0] if cell]
    named = len(said) >= 2 and not any(_is_figure(cell) for cell in said)
    return int(named and sum(map(len, said)) <= MOST_HEADER)


def _is_figure(cell: str) -> bool:
    digits = sum(character.isdigit() for character in cell)
    return digits * 2 > len(cell) and not (len(cell) == 4 and cell.startswith(("19", "20")))  # a year names a column
