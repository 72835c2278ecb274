"""The readings of a text: what it says to somebody who undoes its disguises, with the way back to the original offsets.

A detector sees plain ASCII-like text. Full-width digits, mathematical letters, Cyrillic look-alikes, accents,
zero-width characters and typographic dashes are folded one to one or dropped; percent, HTML and backslash escapes are
decoded; runs of base64 and hex are decoded when text is inside.
"""

from __future__ import annotations

import base64
import binascii
import html
import re
import unicodedata
from collections.abc import Iterator
from dataclasses import dataclass
from typing import Final


@dataclass(frozen=True, slots=True)
class Reading:
    """A text that stands in another one. Character i comes from `origin[starts[i]:ends[i]]`; None for the identity.

    Of an opaque reading (base64, hex) no part has a place of its own: whatever is found in it stands for the whole run.
    """

    text: str
    starts: list[int] | None = None
    ends: list[int] | None = None

    def span(self, start: int, end: int) -> tuple[int, int]:
        """The span of the original text that became `text[start:end]`."""
        if self.starts is None or self.ends is None:
            return start, end
        return self.starts[start], self.ends[end - 1]


# --- folding: one character to one character, or to none -----------------------------------------------------------

_LOOKALIKES: Final = {
    # Cyrillic and Greek letters that are drawn like Latin ones
    **dict(zip("аеорсухіјѕԁһԛԝАВЕКМНОРСТУХІЈЅԌ", "aeopcyxijsdhqwABEKMHOPCTYXIJSG", strict=True)),
    **dict(zip("οανικρτυΑΒΕΖΗΙΚΜΝΟΡΤΥΧ", "oavikptuABEZHIKMNOPTYX", strict=True)),
    "ı": "i",
    "ɡ": "g",
    "ɑ": "a",
    "ⅼ": "l",
    # dashes, quotes, spaces and dots that people and word processors use for plain ones
    **dict.fromkeys("‐‑‒–−﹣－", "-"),
    **dict.fromkeys("‘’‚‛′`´＇", "'"),
    **dict.fromkeys("“”„‟″«»", '"'),
    **dict.fromkeys(
        "\u00a0\u1680\u2000\u2001\u2002\u2003\u2004\u2005\u2006\u2007\u2008\u2009\u200a\u202f\u205f\u3000", " "
    ),
    **dict.fromkeys("․。｡．﹒", "."),
    **dict.fromkeys("∕⁄／", "/"),
    **dict.fromkeys("＠﹫", "@"),
    **dict.fromkeys("：﹕", ":"),
}
_FOLDED_BLOCKS: Final = (
    (0x00A1, 0x2100),
    (0x2100, 0x2200),
    (0x2460, 0x2500),
    (0x2C60, 0x2E00),
    (0xA4D0, 0xAC00),
    (0xF900, 0x10000),
    (0x104A0, 0x104AA),
    (0x10D30, 0x10D3A),
    (0x11000, 0x11E00),
    (0x16A60, 0x16B60),
    (0x1CCF0, 0x1CCFA),
    (0x1D400, 0x1D800),
    (0x1E100, 0x1E960),
    (0x1F100, 0x1F1B0),
    (0x1FBF0, 0x1FBFA),
)
_INVISIBLE_BLOCKS: Final = ((0x0300, 0x0370), (0x1AB0, 0x1B00), (0x20D0, 0x2100), (0xFE00, 0xFE10), (0xE0000, 0xE01F0))


def _plain(character: str) -> str | None:
    """The ASCII character that this is a form of, or None: a digit of any script, a wide form, an accented letter."""
    digit = unicodedata.decimal(character, None)
    if digit is not None:
        return str(digit)
    parts = unicodedata.normalize("NFKD", character)
    marks_only = all(unicodedata.combining(part) for part in parts[1:])
    return parts[0] if parts[0].isascii() and parts[0].isprintable() and marks_only and parts[0] != " " else None


def _fold_table() -> dict[int, str | None]:
    table: dict[int, str | None] = {}
    for first, last in _FOLDED_BLOCKS:
        for code in range(first, last):
            plain = _plain(chr(code))
            if plain is not None:
                table[code] = plain
            elif unicodedata.category(chr(code)) == "Cf":
                table[code] = None
    for first, last in _INVISIBLE_BLOCKS:
        table.update(dict.fromkeys(range(first, last)))
    table.update({ord(character): plain for character, plain in _LOOKALIKES.items() if not character.isascii()})
    return table


_FOLD: Final = _fold_table()
_DROPPED: Final = frozenset(chr(code) for code, plain in _FOLD.items() if plain is None)
_NON_ASCII: Final = re.compile(r"[^\x00-\x7f]+")


def _fold_run(match: re.Match[str]) -> str:
    return match[0].translate(_FOLD)


def fold(text: str) -> Reading:
    """The text in plain characters; offsets stay the same unless something invisible was dropped."""
    folded = _NON_ASCII.sub(_fold_run, text)
    if len(folded) == len(text):
        return Reading(folded)
    starts = [index for index, character in enumerate(text) if character not in _DROPPED]
    return Reading(folded, starts, [index + 1 for index in starts])


def folded(text: str) -> str:
    """The text in plain characters, offsets aside."""
    return text if text.isascii() else fold(text).text


# --- decoding -------------------------------------------------------------------------------------------------------

_ESCAPE: Final = re.compile(
    r"(?P<percent>(?:%[0-9A-Fa-f]{2})+)"
    r"|(?P<entity>&(?:#[0-9]{1,7}|#[xX][0-9A-Fa-f]{1,6}|[A-Za-z]{2,8});)"
    r"|(?P<unicode>(?:\\u[0-9A-Fa-f]{4})+)|\\x(?P<byte>[0-9A-Fa-f]{2})|(?P<backslash>\\[\"'/\\bfnrt])"
    r"|(?P<spelled> ?[\[({] ?(?:at|dot|AT|DOT) ?[\])}] ?)"
    r"|(?P<plus>(?<=[0-9A-Za-z])\+(?=[0-9A-Za-z]))"
)
_BACKSLASH: Final = {
    '\\"': '"',
    "\\'": "'",
    "\\/": "/",
    "\\\\": "\\",
    "\\b": " ",
    "\\f": " ",
    "\\n": "\n",
    "\\r": "\r",
    "\\t": "\t",
}
_RUN: Final = re.compile(r"[A-Za-z0-9+/_-]{16,}={0,2}|[A-Za-z0-9+/_-]{14,15}={1,2}")
_HEX: Final = re.compile(r"(?:[0-9a-fA-F]{2}){8,}")


def unescape(text: str) -> Reading | None:
    """The text with percent, HTML and backslash escapes undone, and "[at]"; None when there is nothing to undo."""
    pieces: list[str] = []
    starts: list[int] = []
    ends: list[int] = []
    at, decoded_any, in_url = 0, False, "%" in text
    for match in _ESCAPE.finditer(text):
        if match.lastgroup == "plus" and not in_url:
            continue
        characters = list(_unescaped(match))
        if not characters:
            continue
        decoded_any = decoded_any or match.lastgroup != "plus"
        pieces.append(text[at : match.start()])
        starts.extend(range(at, match.start()))
        ends.extend(range(at + 1, match.start() + 1))
        for character, start, end in characters:
            pieces.append(character)
            starts.append(match.start() + start)
            ends.append(match.start() + end)
        at = match.end()
    if not decoded_any:
        return None
    pieces.append(text[at:])
    starts.extend(range(at, len(text)))
    ends.extend(range(at + 1, len(text) + 1))
    return Reading("".join(pieces), starts, ends)


def _unescaped(match: re.Match[str]) -> Iterator[tuple[str, int, int]]:
    """The characters that an escape stands for, each with its span inside the escape."""
    written, kind = match[0], match.lastgroup
    if kind == "percent":
        yield from _utf8(bytes.fromhex(written.replace("%", "")), 3)
    elif kind == "unicode":
        yield from _utf16(bytes.fromhex(written.replace("\\u", "")))
    elif kind == "byte":
        yield chr(int(match["byte"], 16)), 0, 4
    elif kind == "backslash":
        yield _BACKSLASH[written], 0, 2
    elif kind == "spelled":
        yield ("@" if "a" in written.lower() else "."), 0, len(written)
    elif kind == "plus":
        yield " ", 0, 1
    elif kind == "entity":
        character = html.unescape(written)
        if len(character) == 1:
            yield character, 0, len(written)


def _utf8(data: bytes, width: int) -> Iterator[tuple[str, int, int]]:
    """Decodes UTF-8 byte by byte, each written with `width` characters; what is no UTF-8 becomes U+FFFD."""
    at = 0
    while at < len(data):
        size = next((size for size in (1, 2, 3, 4) if _is_utf8(data[at : at + size])), 0)
        yield (data[at : at + size].decode() if size else "\ufffd"), at * width, (at + (size or 1)) * width
        at += size or 1


def _is_utf8(data: bytes) -> bool:
    try:
        data.decode()
    except UnicodeDecodeError:
        return False
    return True


def _utf16(data: bytes) -> Iterator[tuple[str, int, int]]:
    """Decodes UTF-16 code units written as six characters each; a lone surrogate becomes U+FFFD."""
    at = 0
    while at < len(data):
        unit = int.from_bytes(data[at : at + 2], "big")
        size = 4 if 0xD800 <= unit < 0xDC00 and len(data) >= at + 4 else 2
        yield data[at : at + size].decode("utf-16-be", "replace"), at * 3, (at + size) * 3
        at += size


def opaque_runs(text: str) -> Iterator[tuple[int, int, str]]:
    """(start, end, decoded text) of each run of base64 or hex, of 16 characters and more, that hides readable text."""
    for match in _RUN.finditer(text):
        for decoded in _decoded_run(match[0]):
            yield match.start(), match.end(), decoded


def _decoded_run(run: str) -> Iterator[str]:
    if _HEX.fullmatch(run):
        yield from _readable(bytes.fromhex(run))
    stripped = run.rstrip("=")
    if len(stripped) % 4 == 1:
        return
    try:
        data = base64.b64decode(
            stripped.replace("-", "+").replace("_", "/") + "=" * (-len(stripped) % 4), validate=True
        )
    except (binascii.Error, ValueError):
        return
    yield from _readable(data)


def _readable(data: bytes) -> Iterator[str]:
    """The text that bytes are, if they are text."""
    try:
        text = data.decode()
    except UnicodeDecodeError:
        return
    control = sum(1 for character in text if character < " " and character not in "\t\n\r")
    if text and control * 10 <= len(text):
        yield text
