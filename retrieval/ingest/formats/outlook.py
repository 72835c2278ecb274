"""Outlook messages (MSG): who wrote to whom, the text, and what is attached. After MS-OXMSG and MS-OXRTFCP."""

from __future__ import annotations

import struct

from retrieval.errors import TooLarge, Unreadable

from . import rich, web
from .draft import MOST_DEPTH, Draft
from .ole import Compound

_HEADERS = (("Subject", "0037"), ("From", "0C1A"), ("Address", "0C1F"), ("To", "0E04"), ("Cc", "0E03"))
_SENT, _TEXT, _PAGE, _RICH = "007D", "1000", "1013", "1009"
_DATA, _LONG_NAME, _NAME, _MIME = "3701", "3707", "3704", "370E"
MOST_UNPACKED = 100 * 1024 * 1024
#: What compressed rich text takes as said already.
_SAID_BEFORE = (
    b"{\\rtf1\\ansi\\mac\\deff0\\deftab720{\\fonttbl;}{\\f0\\fnil \\froman \\fswiss \\fmodern \\fscript \\fdecor "
    b"MS Sans SerifSymbolArialTimes New RomanCourier{\\colortbl\\red0\\green0\\blue0\r\n\\par \\pard\\plain\\f0\\fs20"
    b"\\b\\i\\u\\tab\\tx"
)
_WINDOW = 4096


def read(content: bytes, draft: Draft) -> None:
    """Writes a message on the draft."""
    _message(Compound(content), "", draft, 0)


def _message(file: Compound, folder: str, draft: Draft, depth: int) -> None:
    if depth > MOST_DEPTH:
        raise TooLarge("Messages are packed in messages too deep.")
    said = [f"{name}: {_text(file, folder, key)}" for name, key in _HEADERS if _text(file, folder, key)]
    sent = [line for line in _text(file, folder, _SENT).split("\n") if line.lower().startswith("date:")]
    draft.paragraph("\n".join([*said, *sent[:1]]))
    _body(file, folder, draft)
    for attached in _folders(file, folder, "__attach"):
        _attachment(file, attached, draft, depth)


def _body(file: Compound, folder: str, draft: Draft) -> None:
    text = _text(file, folder, _TEXT)
    page, packed = _bytes(file, folder, _PAGE), _bytes(file, folder, _RICH)
    if text.strip():
        draft.paragraph(text)
    elif page:
        web.read(page, draft)
    elif packed:
        rich.write(unpacked(packed).decode("latin-1"), draft)


def _attachment(file: Compound, folder: str, draft: Draft, depth: int) -> None:
    name = _text(file, folder, _LONG_NAME) or _text(file, folder, _NAME) or "attachment"
    data = _bytes(file, folder, _DATA)
    draft.paragraph(f"Attachment: {name}")
    if data:
        draft.embed(data, name, _text(file, folder, _MIME))
        return
    inner = f"{folder}__substg1.0_{_DATA}000D/"
    if any(stream.startswith(inner) for stream in file.names):
        with draft.within(name):
            _message(file, inner, draft, depth + 1)


def _folders(file: Compound, folder: str, begin: str) -> list[str]:
    found = {folder + name[len(folder) :].split("/")[0] + "/" for name in file.names if name.startswith(folder + begin)}
    return sorted(found)


def _text(file: Compound, folder: str, key: str) -> str:
    wide = file.read(f"{folder}__substg1.0_{key}001F")
    narrow = file.read(f"{folder}__substg1.0_{key}001E")
    return wide.decode("utf-16-le", "replace") if wide else narrow.decode("cp1252", "replace")


def _bytes(file: Compound, folder: str, key: str) -> bytes:
    return file.read(f"{folder}__substg1.0_{key}0102")


def unpacked(packed: bytes) -> bytes:
    """Rich text as Outlook compresses it. Raises Unreadable, TooLarge."""
    if len(packed) < 16:
        raise Unreadable
    _, size, form, _ = struct.unpack_from("<4I", packed)
    if size > MOST_UNPACKED:
        raise TooLarge
    if form == 0x414C454D:  # not compressed
        return packed[16 : 16 + size]
    window = bytearray(_WINDOW)
    window[: len(_SAID_BEFORE)] = _SAID_BEFORE
    return _expanded(packed, size, window, len(_SAID_BEFORE))


def _expanded(packed: bytes, size: int, window: bytearray, end: int) -> bytes:
    said = bytearray()
    place = 16
    while place < len(packed) and len(said) < size:
        flags, place = packed[place], place + 1
        for bit in range(8):
            if flags >> bit & 1:
                word = int.from_bytes(packed[place : place + 2], "big")
                where, length, place = word >> 4, (word & 0xF) + 2, place + 2
                if where == end % _WINDOW:
                    return bytes(said)
                for step in range(length):
                    letter = window[(where + step) % _WINDOW]
                    said.append(letter)
                    window[end % _WINDOW] = letter
                    end += 1
            elif place < len(packed):
                said.append(packed[place])
                window[end % _WINDOW] = packed[place]
                end, place = end + 1, place + 1
    return bytes(said)
