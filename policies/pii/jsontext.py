"""JSON inside of strings (tool arguments, tool results, JSON mode), changed in place: the rest stays byte for byte."""

from __future__ import annotations

import json
import re
from collections.abc import Callable
from typing import Final

from policies.pii.errors import TooDeep

_TOKEN: Final = re.compile(r'"[^"\\]*(?:\\.[^"\\]*)*"|-?\d[\d.]{8,}(?:[eE][+-]?\d+)?', re.DOTALL)
_COLON: Final = re.compile(r"\s*:")


def is_container(text: str) -> bool:
    """Whether a text is a JSON object or array. Raises TooDeep for one that no parser takes."""
    if text.lstrip()[:1] not in ("{", "["):
        return False
    try:
        json.loads(text)
    except RecursionError:
        raise TooDeep from None
    except ValueError:
        return False
    return True


def rewrite(text: str, string: Callable[[str, bool], str], number: Callable[[str], str | None] | None = None) -> str:
    """JSON text with its strings and long numbers replaced; everything between them is kept.

    `string(value, is key)` gives the new value. `number(as written)` is asked for numbers of nine characters and more,
    and gives a string to stand for it, or None.
    """
    pieces: list[str] = []
    at = 0
    for match in _TOKEN.finditer(text):
        written = match[0]
        fresh = _string(written, string, _is_key(text, match.end())) if written[0] == '"' else _number(written, number)
        if fresh is not None:
            pieces += text[at : match.start()], fresh
            at = match.end()
    pieces.append(text[at:])
    return "".join(pieces)


def escaped(value: str) -> str:
    """A value as it is written inside of a JSON string."""
    try:
        value.encode()
    except UnicodeEncodeError:  # half of a surrogate pair can only be written as an escape
        return json.dumps(value)[1:-1]
    return json.dumps(value, ensure_ascii=False)[1:-1]


def _is_key(text: str, at: int) -> bool:
    return _COLON.match(text, at) is not None


def _string(written: str, string: Callable[[str, bool], str], is_key: bool) -> str | None:
    value = json.loads(written, strict=False) if "\\" in written else written[1:-1]
    fresh = string(value, is_key)
    if fresh == value:
        return None
    return json.dumps(fresh) if written.isascii() and "\\u" in written else f'"{escaped(fresh)}"'


def _number(written: str, number: Callable[[str], str | None] | None) -> str | None:
    fresh = number(written) if number else None
    return None if fresh is None else f'"{escaped(fresh)}"'
