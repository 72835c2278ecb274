"""From the bytes of a file to text with its pages, headings and tables. Every failure is an IngestError of that
document. Texts and Markdown in Unicode are read here; everything else in a process with limits.
"""

from __future__ import annotations

from collections.abc import Callable

from retrieval.data import Extracted
from retrieval.errors import NoText

from . import reading
from .formats import letters, markdown
from .formats.kinds import kind_of
from .legal import with_legal_sections

#: Kinds whose text has numbered sections, if it has any.
_NO_PROSE = {"code", "csv", "json", "xml"}


def extract(content: bytes, filename: str = "", mime: str = "", alive: Callable[[], None] = lambda: None) -> Extracted:
    """The text of a file; `alive` is called now and then while that takes long. Raises IngestError: UnsupportedFormat,
    Encrypted, Unreadable, TooLarge, NoText or NeedsRecognition.
    """
    kind = kind_of(content, filename, mime)
    found = _simple(content, kind) or reading.read(content, filename, mime, alive)
    if not any(character.isalnum() for character in found.text):
        raise NoText(None if found.page_count is not None else "The document is empty.")
    return found if kind in _NO_PROSE else with_legal_sections(found)


def _simple(content: bytes, kind: str) -> Extracted | None:
    """A text that needs no reader but Python's own; None for everything else."""
    if kind not in ("text", "markdown"):
        return None
    text = letters.unicode(content)
    if text is None:
        return None
    text = letters.bounded(letters.checked(text))
    if kind == "text":
        return Extracted(text)
    return Extracted(text, sections=tuple(markdown.sections(text)), tables=tuple(markdown.tables(text)))
