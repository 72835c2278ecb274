"""Puts originals back: in a stream piece by piece, or in a whole answer.

A placeholder that a model repeats comes back as it was written, or with small changes: other case, escaped underscores
(Markdown), spaces or dashes for underscores inside of brackets, no brackets. All that is restored: it is unmistakable,
because type and id must both be those of one entry of this vault. Anything else stays as it is, and nothing that was
put in is looked at again.

A surrogate comes back where it is written as it was, in any case and with any white space, a name also by its parts
and a number in other groups (`written`).
"""

from __future__ import annotations

import re
from dataclasses import dataclass
from functools import lru_cache
from typing import Any, Final

import regex

from policies.pii.errors import TooDeep
from policies.pii.jsontext import escaped, is_container, rewrite
from policies.pii.vault import ALPHABET, ID_LENGTH, Vault
from policies.pii.written import Index

_ID: Final = f"[{ALPHABET}]{{{ID_LENGTH}}}"
_LOOSE: Final = r"[ _\\\-]{1,3}"
_STRICT: Final = r"\\{0,2}_"
DEPTH: Final = 128
_LONGEST_FORM: Final = 200
"""No way of writing a placeholder is longer."""


@dataclass(frozen=True, slots=True)
class _Forms:
    """How placeholders of some types may be written."""

    whole: re.Pattern[str]
    begun: Any
    start: re.Pattern[str]
    hint: re.Pattern[str]
    stems: tuple[str, ...]  #: what `hint` looks for, in lower case
    ends: tuple[str, ...]  #: as much of them as may stand at the end of a text

    def hinted(self, text: str) -> bool:
        """Whether a text may hold a placeholder, or the beginning of one. Most do not, and that is seen at once."""
        if "[" in text:
            return True
        lower = text.lower()
        if not lower.endswith(self.ends) and not any(stem in lower for stem in self.stems):
            return False
        return self.hint.search(text) is not None


@lru_cache(maxsize=512)
def _forms(types: frozenset[str]) -> _Forms:
    longest_first = sorted(types, key=lambda name: (-len(name), name))
    loose = "|".join(_LOOSE.join(map(re.escape, name.split("_"))) for name in longest_first)
    strict = "|".join(_STRICT.join(map(re.escape, name.split("_"))) for name in longest_first)
    bracketed = rf"\[ ?(?P<loose>{loose}){_LOOSE}(?P<id>{_ID}) ?\]"
    bare = rf"(?P<strict>{strict}){_STRICT}(?P<bare_id>{_ID})"
    letters = "".join(sorted({name[0] for name in types}))
    stems = sorted({name[:4] for name in types})
    return _Forms(
        whole=re.compile(rf"{bracketed}|(?<![0-9A-Za-z]){bare}(?![0-9A-Za-z])", re.IGNORECASE | re.ASCII),
        begun=regex.compile(rf"{bracketed}|{bare}", regex.IGNORECASE | regex.ASCII),
        start=re.compile(rf"\[|(?<![0-9A-Za-z])[{letters}]", re.IGNORECASE | re.ASCII),
        hint=re.compile("|".join(map(_stem, stems)), re.IGNORECASE | re.ASCII),
        stems=tuple(map(str.lower, stems)),
        ends=tuple({stem[:length].lower() for stem in stems for length in range(1, len(stem))}),
    )


def _stem(letters: str) -> str:
    r"""The beginning of a word, or as much of it as stands at the end of the text: `E(?:M(?:A(?:I|\Z)|\Z)|\Z)`."""
    expression = letters[-1]
    for letter in reversed(letters[:-1]):
        expression = rf"{letter}(?:{expression}|\Z)"
    return rf"(?<![0-9A-Za-z]){expression}"


class Restorer:
    """Restores a text that arrives in pieces; what it gives out is the same wherever the text was cut.

    With `json_escape` the text is JSON (tool arguments, JSON mode) and originals are put in as JSON strings are
    written. `restored` counts what was put back.
    """

    __slots__ = ("_forms", "_held", "_index", "_last", "_vault", "json_escape", "restored")

    def __init__(self, vault: Vault, json_escape: bool = False) -> None:
        self._vault = vault
        self._forms = _forms(vault.types) if vault.types else None
        self._index = _index_of(vault, json_escape)
        self._held = ""
        self._last = ""
        self.json_escape = json_escape
        self.restored = 0

    def feed(self, text: str) -> str:
        """The next piece, as far as it is sure; only what may be the beginning of a placeholder is kept back."""
        forms = self._forms
        if self._index is not None:
            return self._take_both(self._held + text, self._index, final=False)
        if forms is None:
            return text
        if not self._held and not forms.hinted(text):
            self._last = text[-1:] or self._last
            return text
        return self._take(self._held + text, final=False)

    def flush(self) -> str:
        """What was kept back; the text is complete."""
        if not self._held:
            return ""
        if self._index is not None:
            return self._take_both(self._held, self._index, final=True)
        return self._take(self._held, final=True)

    def _take(self, text: str, *, final: bool) -> str:
        assert self._forms is not None
        before = len(self._last)
        text = self._last + text  # one character of what went before decides whether a word begins here
        pieces: list[str] = []
        at = before
        end = len(text)
        for match in self._forms.whole.finditer(text, before):
            hold = None if final else self._unfinished(text, at, match)
            if hold is not None:
                end = hold
                break
            original = self._original(match)
            if original is not None:
                pieces += text[at : match.start()], original
                at = match.end()
        else:
            hold = None if final else self._unfinished(text, at, None)
            end = len(text) if hold is None else hold
        pieces.append(text[at:end])
        self._held = text[end:]
        self._last = text[end - 1 : end] if end else ""
        return "".join(pieces)

    def _take_both(self, text: str, index: Index, *, final: bool) -> str:
        """As `_take`, with surrogates among the placeholders."""
        at = place = len(self._last)
        text = self._last + text
        pieces: list[str] = []
        limit = self._unfinished(text, at, None) if self._forms and not final else None
        end = len(text) if limit is None else limit
        match = self._forms.whole.search(text, place) if self._forms else None
        while True:
            if self._forms and match is not None and match.start() < place:
                match = self._forms.whole.search(text, place)
            start = index.starts.search(text, place, end)
            if start is not None and (match is None or start.start() < match.start()):
                begin = start.start()
                reading = index.read(text, begin)
                if reading.open and not final:
                    end = begin
                    break
                place, original = reading.end, self._behind(reading.surrogate, text, begin, reading.end)
                if original is None:
                    place = begin + 1
                    continue
            elif match is not None and match.start() < end:
                begin, place, original = match.start(), match.end(), self._original(match)
                if not final and place == len(text) and match["bare_id"]:
                    end = begin
                    break
                if original is None:
                    continue
            else:
                break
            pieces += text[at:begin], original
            at = place
        pieces.append(text[at:end])
        self._held = text[end:]
        self._last = text[max(0, end - 2) : end]  # JSON's \n are two
        return "".join(pieces)

    def _behind(self, surrogate: str, text: str, begin: int, end: int) -> str | None:
        """The original of a surrogate that is read in a text."""
        found = self._vault.behind(surrogate, text[begin:end]) if surrogate else None
        if found is None:
            return None
        if found.startswith("+") and text[max(0, begin - 1) : begin] == "+":
            found = found[1:]  # the figures alone were written in other groups
        self.restored += 1
        return escaped(found) if self.json_escape else found

    def _unfinished(self, text: str, at: int, match: re.Match[str] | None) -> int | None:
        """Where a form begins that the next piece may complete or extend, up to the given match; None if nowhere."""
        assert self._forms is not None
        stop = match.start() if match else len(text)
        for start in self._forms.start.finditer(text, max(at, len(text) - _LONGEST_FORM), stop):
            begun = self._forms.begun.match(text, start.start(), partial=True)
            if begun is not None and begun.partial:
                return start.start()
        # A word at the very end may go on with another letter, and then is none of ours.
        return match.start() if match and match.end() == len(text) and match["bare_id"] else None

    def _original(self, match: re.Match[str]) -> str | None:
        """The original that a match stands for, if type and id are those of one entry."""
        entry = self._vault.entry((match["id"] or match["bare_id"]).upper())
        if entry is None or _TYPE_WORDS.sub("_", match["loose"] or match["strict"]).upper() != entry[0]:
            return None
        self.restored += 1
        return escaped(entry[1]) if self.json_escape else entry[1]


def _index_of(vault: Vault, json: bool) -> Index | None:
    """How a vault's surrogates are found; made once, and again when there are more of them."""
    if not vault.surrogates:
        return None
    known = len(vault.surrogates), json
    if vault.index is None or vault.index[0] != known:
        vault.index = known, Index(vault.surrogates, json)
    return vault.index[1]


_TYPE_WORDS: Final = re.compile(r"[^0-9A-Za-z]+")


def restore_text(text: str, vault: Vault, json_escape: bool | None = None) -> str:
    """A complete text with its originals. If `json_escape` is left open, JSON text stays JSON at every level."""
    if not vault or ("_" not in text and "[" not in text and not vault.surrogates):
        return text
    if json_escape is None and _is_json(text):
        return rewrite(text, lambda value, _: restore_text(value, vault))
    restorer = Restorer(vault, bool(json_escape))
    return restorer.feed(text) + restorer.flush()


def restore_value(value: Any, vault: Vault, depth: int = 0) -> Any:
    """Any JSON value (a whole answer) with its originals, in every string and key; what needs no change is shared.

    Raises TooDeep for an answer that nobody would nest like that.
    """
    if not vault:
        return value
    if isinstance(value, str):
        return restore_text(value, vault)
    if depth > DEPTH:
        raise TooDeep
    if isinstance(value, list):
        items = [restore_value(item, vault, depth + 1) for item in value]
        return items if any(new is not old for new, old in zip(items, value, strict=True)) else value
    if isinstance(value, dict):
        pairs = {restore_text(name, vault): restore_value(item, vault, depth + 1) for name, item in value.items()}
        changed = any(name not in value or item is not value[name] for name, item in pairs.items())
        return pairs if changed else value
    return value


def _is_json(text: str) -> bool:
    try:
        return is_container(text)
    except TooDeep:
        return False
