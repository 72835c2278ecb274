"""From the bytes of a file to text with its pages and headings. Every failure is an IngestError of that document."""

from __future__ import annotations

import json
import os
import re
import signal
import subprocess
import sys
import unicodedata
from collections.abc import Callable
from pathlib import Path

from retrieval.data import Extracted
from retrieval.errors import Encrypted, NoText, TooLarge, Unreadable, UnsupportedFormat

MOST_CHARACTERS = 10_000_000

#: Limits of the process that reads a PDF.
PDF_MEMORY = 1024 * 1024 * 1024
PDF_SECONDS = 60

_PDF_READER = Path(__file__).with_name("pdf_reader.py")
_HEADING = re.compile(r"^ {0,3}(#{1,6})[ \t]+(.+?)[ \t]*#*[ \t]*$", re.MULTILINE)
_FENCE = re.compile(r"^ {0,3}(```|~~~).*?^ {0,3}\1[ \t]*$", re.MULTILINE | re.DOTALL)
_UNUSUAL = re.compile(r"[\x00-\x08\x0b\x0c\x0e-\x1f\x7f\ud800-\udfff]")
_BLANKS = re.compile(r"[ \t\u00a0]+")
_HYPHENATED = re.compile(r"(?<=[a-zäöüßéèà])-\n(?=[a-zäöüßéèà])")
_MANY_LINES = re.compile(r"\n{3,}")

SUFFIXES = {
    ".txt": "text/plain",
    ".text": "text/plain",
    ".log": "text/plain",
    ".md": "text/markdown",
    ".markdown": "text/markdown",
    ".pdf": "application/pdf",
}


def kind_of(content: bytes, filename: str, mime: str) -> str:
    """The type of a file: by its first bytes where they tell, else by its suffix, else as it was declared."""
    if b"%PDF-" in content[:1024]:
        return "application/pdf"
    suffix = Path(filename).suffix.lower()
    if suffix:
        return SUFFIXES.get(suffix, "application/octet-stream")
    return mime.split(";")[0].strip().lower() or "text/plain"


def extract(content: bytes, filename: str = "", mime: str = "") -> Extracted:
    """The text of a file. Raises IngestError: UnsupportedFormat, Encrypted, Unreadable, TooLarge or NoText."""
    reader = _READERS.get(kind_of(content, filename, mime))
    if reader is None:
        raise UnsupportedFormat(_unsupported(filename, mime))
    found = reader(content)
    if len(found.text) > MOST_CHARACTERS:
        raise TooLarge(f"The text is longer than {MOST_CHARACTERS:,} characters.")
    if not any(character.isalnum() for character in found.text):
        raise NoText(None if found.page_count is not None else "The document is empty.")
    return found


def _unsupported(filename: str, mime: str) -> str:
    said = Path(filename).suffix.lower()[:12] or mime[:60]
    return f"The format {said} cannot be read. Text, Markdown and PDF can." if said else str(UnsupportedFormat.__doc__)


def _plain(content: bytes) -> Extracted:
    return Extracted(_decoded(content))


def _markdown(content: bytes) -> Extracted:
    text = _decoded(content)
    fences = [match.span() for match in _FENCE.finditer(text)]
    path: list[tuple[int, str]] = []
    sections = []
    for match in _HEADING.finditer(text):
        if any(first <= match.start() < last for first, last in fences):
            continue
        depth = len(match[1])
        path = [(level, name) for level, name in path if level < depth] + [(depth, match[2])]
        sections.append((match.start(), " › ".join(name for _, name in path)))
    return Extracted(text, sections=tuple(sections))


def _decoded(content: bytes) -> str:
    """UTF-8, UTF-16 with its mark, or Western European as the last resort; a binary file is no text."""
    if len(content) > 4 * MOST_CHARACTERS:
        raise TooLarge(f"The text is longer than {MOST_CHARACTERS:,} characters.")
    if content.startswith((b"\xff\xfe", b"\xfe\xff")):
        text = content.decode("utf-16", "replace")
    else:
        try:
            text = content.decode("utf-8-sig")
        except UnicodeDecodeError:
            text = content.decode("cp1252", "replace")
    if len(_UNUSUAL.findall(text[:100_000])) > len(text[:100_000]) // 20:
        raise Unreadable("The file is not text.")
    return _tidy(text)


def _tidy(text: str) -> str:
    """What PostgreSQL and readers can bear: no control characters, one kind of line end, composed letters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n")
    return unicodedata.normalize("NFC", _UNUSUAL.sub("", text))


def _pdf(content: bytes) -> Extracted:
    """Page by page, read by a process with limits."""
    found = _read_pdf(content)
    parts: list[str] = []
    starts = []
    length = 0
    for number, page in enumerate(found, start=1):
        text = _page(page)
        if not text:
            continue
        starts.append((length, number))
        parts.append(text)
        length += len(text) + 2
    return Extracted("\n\n".join(parts), pages=tuple(starts), page_count=len(found))


def _page(text: str) -> str:
    joined = _HYPHENATED.sub("", _BLANKS.sub(" ", _tidy(text)))
    lines = "\n".join(line.strip() for line in joined.split("\n"))
    return _MANY_LINES.sub("\n\n", lines).strip()


def _read_pdf(content: bytes) -> list[str]:
    command = [sys.executable, "-I", str(_PDF_READER), str(PDF_MEMORY), str(PDF_SECONDS)]
    process = subprocess.Popen(  # noqa: S603  the command is ours; the file goes to its standard input
        command,
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={},
        start_new_session=True,
    )
    try:
        output, _ = process.communicate(content, timeout=PDF_SECONDS + 15)
    except subprocess.TimeoutExpired as error:
        raise TooLarge(_too_long()) from error
    finally:
        if process.poll() is None:
            os.killpg(process.pid, signal.SIGKILL)
            process.communicate()
    if process.returncode != 0:
        # killed by its own limits: of time by a signal, of memory by whatever could not go on
        raise TooLarge(_too_long() if process.returncode == -signal.SIGXCPU else "The PDF unpacks to too much.")
    return _pages_of(json.loads(output))


def _too_long() -> str:
    return f"The PDF took longer than {PDF_SECONDS} seconds to read."


def _pages_of(found: dict[str, object]) -> list[str]:
    match found.get("error"):
        case None:
            pages = found.get("pages")
            return [str(page) for page in pages] if isinstance(pages, list) else []
        case "encrypted":
            raise Encrypted
        case "large":
            raise TooLarge("The PDF has too many pages, or unpacks to too much.")
        case "page":
            raise Unreadable(f"Page {found.get('number')} of the PDF is damaged and cannot be read.")
        case _:
            raise Unreadable("The PDF is damaged and cannot be read.")


_READERS: dict[str, Callable[[bytes], Extracted]] = {
    "text/plain": _plain,
    "text/markdown": _markdown,
    "text/x-markdown": _markdown,
    "application/pdf": _pdf,
}
