"""From text to what the model reads: segments, words, and each word's rows in the model's table.

The model never sees a figure, an e-mail address or a URL: digits are all `0`, addresses are one word. Names do not
hang on them, and two segments that differ in nothing else are one segment to the model and to its cache.

Training uses this very module, so what it says about a word is part of the model: a change needs a new model.
"""

from __future__ import annotations

import re
from collections.abc import Iterator, Mapping, Sequence
from typing import Final, NamedTuple
from zlib import crc32

SEGMENT_CHARACTERS: Final = 120
"""Short sentences and lines are read together up to this length."""
LONGEST_SEGMENT: Final = 1_000
"""A sentence that is longer is cut at a space."""
MOST_PIECES: Final = 8
LONGEST_PIECE: Final = 18

EMAIL_MARK, URL_MARK = "\x01", "\x02"
_EMAIL: Final = re.compile(r"[\w.+-]{1,64}@[\w-]{1,63}(?:\.[\w-]{1,63})+")
_URL: Final = re.compile(r"(?:https?://|www\.)[^\s\"'<>)\]}|,;]+")
_MARKED: Final = re.compile(rf"()()()(?:{_URL.pattern}()|{_EMAIL.pattern}())")
"""Its groups go on where _TOKEN's end: the fourth is a URL's, the fifth an e-mail address's."""
_DIGITS: Final = {ord(digit): "0" for digit in "123456789"}
_TOKEN: Final = re.compile(r"([^\W\d_]++(?!\d))|([^\W_]+)|(\S)")

#: A sentence ends where a mark and white space stand before what may begin one, unless the word before is a title,
#: an initial or an abbreviation. (The mark comes first, as only then the search leaps from one to the next.)
_BREAK: Final = re.compile(
    r"\n+|[.!?](?<!\b[A-Z].)(?<!\b(?:Mr|Ms|Dr|St|No|vs|Jr|Sr|Co|mr|ms|dr).)"
    r"(?<!\b(?:Mrs|Ltd|Inc|Rev|Hon|Gen|Col|Sgt|Ref|mrs).)(?<!\b(?:Prof|Capt|Dott|Corp|Mlle).)"
    r"[\"')\]]*[ \t]+(?=[\"'(\[A-Za-z0-9])"
)

SHAPES: Final = 16
LOWER, TITLE, UPPER, INITIAL, MIXED, CASELESS, LETTERS_AND_DIGITS, MARK, EMAIL, URL, DIGITS = range(11)
GLUED, SPACED, FIRST = range(3)
USUAL, NO_CAPITALS, CAPITALS = range(3)

AFFIXES: Final = 4_096
COLUMNS: Final = 5
GIVEN, SURNAME, PLACE, COMMON, FIRM = 1, 2, 4, 8, 16
KINDS: Final = 32


class Word(NamedTuple):
    """A word's place in its segment and its rows: the first piece, affixes, shape and kind; then the other pieces."""

    start: int
    end: int
    rows: tuple[int, int, int, int, int]
    rest: tuple[int, ...]


def is_marked(segment: str) -> bool:
    """Whether it may hold what `key_text` shortens."""
    return "@" in segment or "://" in segment or "www." in segment


def key_text(segment: str) -> tuple[str, str]:
    """What two segments that the model cannot tell apart have in common, and how that was made."""
    text = segment.translate(_DIGITS)
    if not is_marked(text) or EMAIL_MARK in text or URL_MARK in text:  # a mark in the text itself stands for nothing
        return text, "whole"
    return _MARKED.sub(_mark, text), "marked"


def _mark(match: re.Match[str]) -> str:
    return URL_MARK if match.lastindex == 4 else EMAIL_MARK


def segments(text: str, most: int = SEGMENT_CHARACTERS) -> Iterator[tuple[int, int]]:
    """Where the segments lie: sentences and lines, short neighbours together, each at most LONGEST_SEGMENT long."""
    begin = at = 0
    for cut in _BREAK.finditer(text):
        end = cut.end()
        if end - begin > most and at > begin:
            yield begin, at
            begin = at
        at = end
        # an empty line ends a paragraph, and with it a segment of some length
        if (cut[0].startswith("\n\n") and at - begin > most // 2) or at - begin > most:
            yield from _cut(text, begin, at)
            begin = at
    if len(text) - begin > most and at > begin:
        yield begin, at
        begin = at
    if begin < len(text):
        yield from _cut(text, begin, len(text))


def _cut(text: str, begin: int, end: int) -> Iterator[tuple[int, int]]:
    while end - begin > LONGEST_SEGMENT:
        at = text.rfind(" ", begin + LONGEST_SEGMENT // 2, begin + LONGEST_SEGMENT) + 1
        at = at or begin + LONGEST_SEGMENT
        yield begin, at
        begin = at
    yield begin, end


def places(segment: str) -> list[tuple[int, int]]:
    """Where the words of a segment stand: as `Lexicon.words` finds them, without looking anything up."""
    text = segment.translate(_DIGITS)
    return [match.span() for match in (_spots(text) if is_marked(text) else _TOKEN.finditer(text))]


class Lexicon:
    """Knows word pieces and kinds of words; gives words their rows. Keeps nothing of a text but known words."""

    def __init__(self, pieces: Sequence[str], kinds: Mapping[str, int]) -> None:
        self._pieces = {piece: row for row, piece in enumerate(pieces)}
        self._kinds = dict(kinds)
        self._unknown = self._pieces["[UNK]"]
        self._email, self._url = self._pieces["[unused1]"], self._pieces["[unused2]"]
        self._figure, self._code = self._pieces["[unused3]"], self._pieces["[unused4]"]
        self.prefixes = len(pieces)
        self.suffixes = self.prefixes + AFFIXES
        self.shapes = self.suffixes + AFFIXES
        self.kinds = self.shapes + SHAPES * 9
        self.rows = self.kinds + KINDS
        self._known: dict[str, tuple[int, int, int, int, tuple[int, ...]]] = {}

    def words(self, segment: str) -> list[Word]:
        """The words of a segment."""
        text = segment.translate(_DIGITS)
        case = _case(text)
        spots = _spots(text) if is_marked(text) else _TOKEN.finditer(text)
        found: list[Word] = []
        last, fresh = -1, True
        known, shapes = self._known, self.shapes
        for match in spots:
            start, end = match.span()
            word = match[0]
            group = match.lastindex
            before = FIRST if fresh else GLUED if start == last else SPACED
            fresh = False
            if last >= 0 and start > last and "\n" in text[last:start]:
                before = FIRST
            if group == 1:
                shape = _shape(word)
                lower = word.lower() if shape else word
                entry = known.get(lower)
                if entry is None:
                    entry = self._entry(lower)
            elif group == 2:
                if word.isdigit():
                    shape, lower = DIGITS + min(len(word), 6) - 1, word
                    entry = (self._figure, *self._affixes("0"), 0, ())
                else:
                    shape = LETTERS_AND_DIGITS
                    entry = (self._code, *self._affixes(word.lower()), 0, ())
            elif group == 3:
                shape = MARK
                entry = (self._pieces.get(word, self._unknown), *self._affixes(word), 0, ())
            else:
                shape = URL if group == 4 else EMAIL
                entry = (self._url if group == 4 else self._email, *self._affixes("@"), 0, ())
            first, prefix, suffix, kind, rest = entry
            found.append(
                Word(
                    start,
                    end,
                    (first, prefix, suffix, shapes + (shape * 3 + before) * 3 + case, self.kinds + kind),
                    rest,
                )
            )
            last = end
        return found

    def _entry(self, lower: str) -> tuple[int, int, int, int, tuple[int, ...]]:
        first, *rest = self._split(lower)
        prefix, suffix = self._affixes(lower)
        entry = first, prefix, suffix, self._kinds.get(lower, 0), tuple(rest)
        if not rest and first != self._unknown:  # a word of the vocabulary is nobody's secret
            self._known[lower] = entry
        return entry

    def _affixes(self, word: str) -> tuple[int, int]:
        return (
            self.prefixes + crc32(word[:3].encode("utf-8", "replace")) % AFFIXES,
            self.suffixes + crc32(word[-3:].encode("utf-8", "replace")) % AFFIXES,
        )

    def _split(self, word: str) -> list[int]:
        """Greedy WordPiece; a word that has no pieces, or too many, is unknown."""
        pieces = self._pieces
        whole = pieces.get(word)
        if whole is not None:
            return [whole]
        rows: list[int] = []
        at, length = 0, len(word)
        while at < length and len(rows) < MOST_PIECES:
            for end in range(min(length, at + LONGEST_PIECE), at, -1):
                row = pieces.get("##" + word[at:end] if at else word[at:end])
                if row is not None:
                    break
            else:
                return [self._unknown]
            rows.append(row)
            at = end
        return rows


def _spots(text: str) -> Iterator[re.Match[str]]:
    """As _TOKEN's matches, with e-mail addresses and URLs as one match each."""
    at = 0
    for mark in _MARKED.finditer(text):
        yield from _TOKEN.finditer(text, at, mark.start())
        yield mark
        at = mark.end()
    yield from _TOKEN.finditer(text, at)


def _shape(word: str) -> int:
    if word.islower():
        return LOWER
    if word.isupper():
        return INITIAL if len(word) == 1 else UPPER
    if word[0].isupper():
        return TITLE if word[1:].islower() else MIXED
    return CASELESS if word.lower() == word else MIXED


def _case(text: str) -> int:
    """Whether capitals tell anything in this segment."""
    if text.islower():
        return NO_CAPITALS
    capitals = sum(map(str.isupper, text))
    if not capitals:
        return NO_CAPITALS
    return CAPITALS if capitals * 2 > sum(map(str.isalpha, text)) else USUAL
