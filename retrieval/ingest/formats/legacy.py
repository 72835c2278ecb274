"""Word and PowerPoint files of 1997 to 2003 (DOC, PPT): their text, without its form.

After Microsoft's published formats: MS-DOC 2.4.1 (retrieving text) and MS-PPT 2.3 (records).
"""

from __future__ import annotations

import re
import struct
from collections.abc import Iterator

from retrieval.errors import Encrypted, TooLarge, Unreadable

from .draft import Draft
from .ole import Compound

_WORD_97 = 0x00C1
_ENCRYPTED, _SECOND_TABLE, _COMPRESSED = 0x0100, 0x0200, 0x40000000
#: Of a Word file's parts: the text, footnotes, (headers), (macros), comments, endnotes, in this order.
_COUNTS = (0x4C, 0x50, 0x54, 0x58, 0x5C, 0x60)
_READ = (True, True, False, False, False, True)
_FIELD_BEGIN, _FIELD_RESULT, _FIELD_END = "\x13", "\x14", "\x15"
_SIGNS = {0x0B: "\n", 0x0C: "\n\n", 0x0D: "\n", 0x1E: "-", 0x1F: "", 0xA0: " "}
MOST_RECORDS, MOST_NESTING = 2_000_000, 30
_LIST, _SLIDE, _PERSIST, _LETTERS, _BYTES = 0x0FF0, 0x03EE, 0x03F3, 0x0FA0, 0x0FA8


def read_doc(content: bytes, draft: Draft) -> None:
    """Writes a DOC file on the draft."""
    file = Compound(content)
    stream = file.read("WordDocument")
    try:
        parts = _word_parts(file, stream)
    except (struct.error, IndexError) as error:
        raise Unreadable from error
    for part in parts:
        _word_text(part, draft)


def _word_parts(file: Compound, stream: bytes) -> list[str]:
    version, flags = _number(stream, 2, 2), _number(stream, 0x0A, 2)
    if flags & _ENCRYPTED:
        raise Encrypted
    if version < _WORD_97:
        first, end = _number(stream, 0x18, 4), _number(stream, 0x1C, 4)
        return [stream[first:end].decode("cp1252", "replace")]
    table = file.read("1Table" if flags & _SECOND_TABLE else "0Table")
    first, size = _number(stream, 0x01A2, 4), _number(stream, 0x01A6, 4)
    text = "".join(_pieces(stream, table[first : first + size]))
    found, place = [], 0
    for offset, wanted in zip(_COUNTS, _READ, strict=True):
        count = _number(stream, offset, 4)
        if wanted:
            found.append(text[place : place + count])
        place += count
    return found


def _pieces(stream: bytes, table: bytes) -> Iterator[str]:
    """The text, piece by piece, in its order."""
    place = 0
    while table[place] == 1:  # formatting, skipped
        place += 3 + _number(table, place + 1, 2)
    if table[place] != 2:
        raise Unreadable
    size = _number(table, place + 1, 4)
    plan = table[place + 5 : place + 5 + size]
    count = (len(plan) - 4) // 12
    places = struct.unpack_from(f"<{count + 1}I", plan)
    for number in range(count):
        letters = places[number + 1] - places[number]
        where = _number(plan, 4 * (count + 1) + 8 * number + 2, 4)
        if where & _COMPRESSED:
            start = (where & ~_COMPRESSED) // 2
            yield stream[start : start + letters].decode("cp1252", "replace")
        else:
            yield stream[where : where + 2 * letters].decode("utf-16-le", "replace")


def _word_text(text: str, draft: Draft) -> None:
    """Paragraphs, and rows of tables: a cell ends with a bell, a row with two."""
    plain = _without_fields(text)
    block: list[str] = []
    rows: list[list[str]] = []
    for part in re.split(r"(?<=\x07\x07)|\r(?=[^\x07]*(?:\r|$))", plain):
        if part.endswith("\x07\x07"):
            draft.paragraph("\n".join(block))
            block = []
            rows.append(part[:-2].split("\x07"))
            continue
        if rows:
            draft.table(rows)
            rows = []
        block.append(part.replace("\x07", " ").translate(_SIGNS))
    draft.table(rows)
    draft.paragraph("\n".join(block))


def _without_fields(text: str) -> str:
    """Of a field (a link, a page number) its result, without the instruction that makes it."""
    if _FIELD_BEGIN not in text:
        return text
    said: list[str] = []
    hidden: list[bool] = []
    for sign in text:
        if sign == _FIELD_BEGIN:
            hidden.append(True)
        elif sign == _FIELD_RESULT and hidden:
            hidden[-1] = False
        elif sign == _FIELD_END and hidden:
            hidden.pop()
        elif not any(hidden[-3:]):
            said.append(sign)
    return "".join(said)


def _number(data: bytes, place: int, size: int) -> int:
    if place + size > len(data):
        raise Unreadable
    return int.from_bytes(data[place : place + size], "little")


def read_ppt(content: bytes, draft: Draft) -> None:
    """Writes a PPT file on the draft: the outline slide by slide, then what stands in text boxes."""
    file = Compound(content)
    if "EncryptedSummary" in file:
        raise Encrypted
    stream = file.read("PowerPoint Document")
    known: set[str] = set()
    number = 0
    for kind, _, place, size in _records(stream, 0, len(stream), {_LIST}):
        if kind == _PERSIST:
            number += 1
            draft.page(number)
            draft.label(f"Slide {number}")
        elif kind in (_LETTERS, _BYTES):
            _ppt_text(kind, stream[place : place + size], known, draft)
    draft.page_count = number or None
    for kind, _, place, size in _records(stream, 0, len(stream), {_SLIDE}):
        if kind in (_LETTERS, _BYTES):
            _ppt_text(kind, stream[place : place + size], known, draft)


def _ppt_text(kind: int, said: bytes, known: set[str], draft: Draft) -> None:
    text = said.decode("utf-16-le" if kind == _LETTERS else "latin-1", "replace")
    plain = text.replace("\r", "\n").replace("\x0b", "\n").strip()
    if plain and plain not in known and plain != "*":
        known.add(plain)
        draft.paragraph(plain)


def _records(data: bytes, first: int, end: int, roots: set[int]) -> Iterator[tuple[int, int, int, int]]:
    """(kind, instance, place, size) of all records below containers of these kinds."""
    waiting = [(first, end, False, 0)]
    count = 0
    while waiting:
        place, end, is_inside, depth = waiting.pop()
        while place + 8 <= end:
            head, kind, size = struct.unpack_from("<HHI", data, place)
            count += 1
            if count > MOST_RECORDS or depth > MOST_NESTING:
                raise TooLarge
            body, place = place + 8, min(place + 8 + size, end)
            # lists of masters and of notes have other instances
            inside = is_inside or (kind in roots and (kind != _LIST or head >> 4 == 0))
            if head & 0xF == 0xF:
                waiting.append((place, end, is_inside, depth))
                waiting.append((body, place, inside, depth + 1))
                break
            if inside:
                yield kind, head >> 4, body, place - body
