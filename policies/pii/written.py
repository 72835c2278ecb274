"""How surrogates are found again in what a model writes: as they were, in any case and with any white space, a number
also in other groups; in JSON's text also escaped. Of several that begin at one place the longest counts.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from functools import lru_cache
from typing import Any, Final, NamedTuple

_KEY: Final = ""
"""Under this a node keeps the surrogate that ends there; no letter is empty."""
_BETWEEN: Final = frozenset(" .-/()\u00a0")
_MOST_BETWEEN: Final = 3
_ESCAPED: Final = re.compile(r"\\(?:u([0-9a-fA-F]{4})|([\"\\/bfnrt]))")
_MEANT: Final = {**{letter: letter for letter in '"\\/'}, "b": "\b", "f": "\f", "n": "\n", "r": "\r", "t": "\t"}

Node = dict[str, Any]


class Reading(NamedTuple):
    """What was read at a place: up to where, which surrogate ('' for none), and whether more text could change that."""

    end: int
    surrogate: str
    open: bool


class Index:
    """The surrogates of one vault, letter by letter."""

    def __init__(self, surrogates: Iterable[str], json: bool = False) -> None:
        """`surrogates` are case-folded, with single spaces; `json`: they are looked for in JSON's text."""
        self._json = json
        self._words: Node = {}
        self._figures: Node = {}
        for surrogate in surrogates:
            _add(self._words, surrogate, surrogate)
            figures = figures_of(surrogate)
            if figures:
                _add(self._figures, figures, surrogate)
        self.starts = _starts("".join(sorted({*self._words, *self._figures})), json)

    def read(self, text: str, at: int) -> Reading:
        """The longest surrogate that begins at a place."""
        words, figures = self._read_words(text, at), self._read_figures(text, at)
        longest = max(words, figures, key=lambda reading: (bool(reading.surrogate), reading.end))
        return longest._replace(open=words.open or figures.open)

    def _read_words(self, text: str, at: int) -> Reading:
        node, end, found = self._words, at, ""
        place = at
        while True:
            if _KEY in node and _ends(text, place):
                end, found = place, node[_KEY]
            if place >= len(text):
                return Reading(end, found, True)
            letter, after = self._letter(text, place)
            if not letter:
                return Reading(end, found, True)
            if letter.isspace():
                while letter.isspace() and after < len(text):
                    place = after
                    letter, after = self._letter(text, place)
                    if not letter:
                        return Reading(end, found, True)
                if " " not in node:
                    return Reading(end, found, False)
                node, place = node[" "], after if letter.isspace() else place
                continue
            for part in letter.casefold():
                node = node.get(part) or {}
            if not node:
                return Reading(end, found, False)
            place = after

    def _letter(self, text: str, place: int) -> tuple[str, int]:
        """The letter at a place, which JSON may have escaped, and where the next is; '' for the half of an escape."""
        if not self._json or text[place] != "\\":
            return text[place], place + 1
        match = _ESCAPED.match(text, place)
        if match:
            return chr(int(match[1], 16)) if match[1] else _MEANT[match[2]], match.end()
        rest = text[place : place + 6]
        half = len(text) - place < 6 and (rest == "\\" or rest.startswith("\\u"))
        return ("", place) if half else ("\\", place + 1)

    def _read_figures(self, text: str, at: int) -> Reading:
        node, end, found, between = self._figures, at, "", 0
        for place in range(at, len(text)):
            if place > at and _KEY in node and between == 0 and _ends(text, place):
                end, found = place, node[_KEY]
            character = text[place]
            if character in _BETWEEN and place > at:
                between += 1
                if between > _MOST_BETWEEN:
                    return Reading(end, found, False)
                continue
            between, node = 0, node.get(character.casefold()) or {}
            if not node:
                return Reading(end, found, False)
        if _KEY in node and between == 0:
            end, found = len(text), node[_KEY]
        return Reading(end, found, bool(self._figures))


def figures_of(text: str) -> str:
    """A number's figures and letters without what groups them; '' for what is no number."""
    plain = "".join(character for character in text if character.isalnum())
    return plain if sum(map(str.isdigit, plain)) >= 7 and "@" not in text and "://" not in text else ""


def _add(node: Node, letters: str, surrogate: str) -> None:
    for letter in letters:
        node = node.setdefault(letter, {})
    node.setdefault(_KEY, surrogate)


def _ends(text: str, place: int) -> bool:
    """Whether a word may end before this place."""
    return place >= len(text) or not text[place].isalnum()


@lru_cache(maxsize=512)
def _starts(letters: str, json: bool) -> re.Pattern[str]:
    """Where a surrogate may begin: at the beginning of a word."""
    before = r"(?:(?<![0-9A-Za-z])|(?<=\\[bfnrt]))" if json else "(?<![0-9A-Za-z])"
    escape = r"\\" if json else ""
    return re.compile(rf"{before}[{re.escape(letters)}{escape}]", re.IGNORECASE)
