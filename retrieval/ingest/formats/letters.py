"""Bytes to letters, and letters as the database and readers can bear them."""

from __future__ import annotations

import codecs
import re
import unicodedata

from retrieval.errors import TooLarge, Unreadable

#: Characters of text that one document may have.
MOST_CHARACTERS = 10_000_000

#: Bytes from which an unnamed encoding is guessed, and those that tell a text from a binary file.
SAMPLE_BYTES, SAMPLE_CHARACTERS = 64 * 1024, 100_000

# besides control characters: halves of pairs, marks of byte order, and what turns the direction of writing unseen
_UNUSUAL = re.compile("[\x00-\x08\x0b\x0c\x0e-\x1f\x7f-\x84\x86-\x9f\ud800-\udfff\ufeff\ufffe\uffff\u202a-\u202e]")
_SPACES = re.compile(r"[^\S\n]+")
_SPACES_AND_LINES = re.compile(r"\s+")
_MANY_LINES = re.compile(r"\n{3,}")
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def tidy(text: str) -> str:
    """No control characters, one kind of line end, composed letters."""
    text = text.replace("\r\n", "\n").replace("\r", "\n").replace("\f", "\n").replace("\u2028", "\n")
    return unicodedata.normalize("NFC", _UNUSUAL.sub("", text))


def one_line(text: str) -> str:
    """A text without line ends and runs of spaces."""
    return _SPACES_AND_LINES.sub(" ", tidy(text)).strip()


def lines(text: str) -> str:
    """A text whose lines are trimmed, at most one empty between two others."""
    trimmed = (line.strip() for line in _SPACES.sub(" ", tidy(text)).split("\n"))
    return _MANY_LINES.sub("\n\n", "\n".join(trimmed)).strip()


def decoded(content: bytes, declared: str = "") -> str:
    """The text of a file: by its mark, as UTF-8, as declared, or by what its letters make likely. Raises TooLarge, and
    Unreadable for a binary file.
    """
    text = unicode(content)
    if text is None:
        text = _as(content, declared) or _guessed(content)
    return checked(text)


def unicode(content: bytes) -> str | None:
    """The text of a file that says that it is Unicode, or that is valid UTF-8."""
    if len(content) > 4 * MOST_CHARACTERS:
        raise TooLarge(f"The text is longer than {MOST_CHARACTERS:,} characters.")
    for mark, encoding in _MARKS:
        if content.startswith(mark):
            return content.decode(encoding, "replace")
    silent = _unmarked(content[:1000])
    if silent:
        return content.decode(silent, "replace")
    try:
        return content.decode("utf-8")
    except UnicodeDecodeError:
        return None


def checked(text: str) -> str:
    """A tidy text. Raises Unreadable if it is none: every twentieth character is for machines."""
    sample = text[:SAMPLE_CHARACTERS]
    if len(_UNUSUAL.findall(sample)) > max(3, len(sample) // 20):
        raise Unreadable("The file is not text.")
    return tidy(text)


def bounded(text: str) -> str:
    """The text, if it is no longer than a document may be. Raises TooLarge."""
    if len(text) > MOST_CHARACTERS:
        raise TooLarge(f"The text is longer than {MOST_CHARACTERS:,} characters.")
    return text


def _unmarked(sample: bytes) -> str:
    """UTF-16 without its mark: every other byte of Western text is null."""
    half = len(sample) // 2
    if half < 4:
        return ""
    even, odd = sample[0::2].count(0), sample[1::2].count(0)
    if odd > 0.6 * half and even < 0.05 * half:
        return "utf-16-le"
    return "utf-16-be" if even > 0.6 * half and odd < 0.05 * half else ""


def _as(content: bytes, declared: str) -> str | None:
    try:
        return content.decode(declared) if declared else None
    except (LookupError, UnicodeDecodeError, ValueError):
        return None


def _guessed(content: bytes) -> str:
    """Mostly UTF-8 stays so; else the likeliest of the old encodings, with Western European as the last resort."""
    patched = content.decode("utf-8", "replace")
    foreign = sum(character > "\x7f" for character in patched[:SAMPLE_CHARACTERS])
    if patched[:SAMPLE_CHARACTERS].count("\ufffd") * 4 < foreign:
        return patched
    if len(content) < 256:  # too little to tell one from another
        return content.decode("cp1252", "replace")
    from charset_normalizer import from_bytes

    best = from_bytes(content[:SAMPLE_BYTES]).best()
    encoding = best.encoding if best else "cp1252"
    return content.decode("cp1252" if encoding in ("ascii", "latin_1") else encoding, "replace")
