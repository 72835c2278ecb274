"""Words of a text as the lexical index knows them: hashed terms with saturated frequencies.

One analyser serves texts and questions in all languages without detecting one: the script of each word decides. Words
of plain Latin letters are stemmed as English, Cyrillic and Arabic ones by their own stemmer, Latin words with other
letters are cut to six, and scripts that write no spaces become pairs of characters.
"""

from __future__ import annotations

import re
import threading
import unicodedata
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import pairwise
from zlib import crc32

import Stemmer

#: Dimensions of the sparse vector; a term is a hash from 1 to SLOTS.
SLOTS = 1 << 20

# BM25 with a constant average length: stored weights never go stale when other documents come or go.
K1, B, AVERAGE_WORDS = 1.2, 0.75, 100.0

STOP_WORDS = frozenset(
    """
    a about above after again against all am an and any are as at be because been before being below between both but
    by can did do does doing don down during each few for from further had has have having he her here hers herself
    him himself his how i if in into is it its itself just me more most my myself no nor not now of off on once only
    or other our ours ourselves out over own s same she should so some such t than that the their theirs them
    themselves then there these they this those through to too under until up very was we were what when where which
    while who whom why will with you your yours yourself yourselves
    """.split()  # noqa: SIM905  a paragraph reads better than a column
)

_UNSPACED = (
    "\u0e00-\u0eff\u1000-\u109f\u1780-\u17ff"  # Thai, Lao, Burmese, Khmer
    "\u3040-\u30ff\u3400-\u4dbf\u4e00-\u9fff\uf900-\ufaff\U00020000-\U0003ffff"  # Japanese, Chinese
    "\uac00-\ud7af"  # Korean writes spaces, but its endings vary too much for whole words
)


def _marks() -> str:
    """Combining marks, which belong to the letter before them, as ranges of a character class."""
    found = [code for code in range(0x300, 0xFE30) if unicodedata.category(chr(code)) in ("Mn", "Mc")]
    starts = [code for before, code in pairwise([0, *found]) if code != before + 1]
    ends = [code for code, after in pairwise([*found, 0x110000]) if after != code + 1]
    return "".join(f"{chr(first)}-{chr(last)}" for first, last in zip(starts, ends, strict=True))


_MARKS = _marks()
_WORD = re.compile(rf"(?:[^\W_]|[{_MARKS}])+")
_RUN = re.compile(rf"[{_UNSPACED}]+|[^{_UNSPACED}]+")
_PLAIN = re.compile(r"[a-z0-9]+\Z")
_CYRILLIC = re.compile(r"[\u0400-\u04ff]")
_ARABIC = re.compile(r"[\u0600-\u06ff]")
_UNSPACED_START = re.compile(rf"[{_UNSPACED}]")
_DIGIT = re.compile(r"\d")

_stemmers = threading.local()  # a stemmer is not safe to share between threads


@dataclass(frozen=True, slots=True)
class Term:
    """A term of a text: its hash, how often it occurs, and whether it looks like an identifier (has a digit)."""

    slot: int
    count: int
    identifier: bool


def words(text: str) -> list[str]:
    """The words of a text in their normal form, unstemmed, stop words included."""
    return _WORD.findall(unicodedata.normalize("NFKC", text).lower())


def terms(text: str) -> list[Term]:
    """The terms of a text, by rising hash, as a sparse vector wants them."""
    counts: Counter[int] = Counter()
    identifiers: set[int] = set()
    for term in _stems(text):
        slot = crc32(term.encode()) % SLOTS + 1
        counts[slot] += 1
        if len(term) >= 3 and _DIGIT.search(term):
            identifiers.add(slot)
    return [Term(slot, counts[slot], slot in identifiers) for slot in sorted(counts)]


def weights(found: list[Term]) -> list[float]:
    """BM25's saturated term frequencies, without idf: that is the question's to carry."""
    length = sum(term.count for term in found)
    norm = K1 * (1 - B + B * length / AVERAGE_WORDS)
    return [term.count * (K1 + 1) / (term.count + norm) for term in found]


def _stems(text: str) -> Iterator[str]:
    for word in words(text):
        if _PLAIN.match(word):
            if word not in STOP_WORDS:
                yield _stem("english", word)
        else:
            for run in _RUN.findall(word):
                yield from _foreign(run)


def _foreign(word: str) -> Iterator[str]:
    if _UNSPACED_START.match(word):
        if len(word) == 1:
            yield word
        yield from (first + second for first, second in pairwise(word))
    elif _CYRILLIC.match(word):
        yield _stem("russian", word)
    elif _ARABIC.match(word):
        yield _stem("arabic", word)
    else:
        yield word[:6]


def _stem(language: str, word: str) -> str:
    stemmer = getattr(_stemmers, language, None)
    if stemmer is None:
        stemmer = Stemmer.Stemmer(language)
        setattr(_stemmers, language, stemmer)
    stem: str = stemmer.stemWord(word)
    return stem
