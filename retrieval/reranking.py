"""Puts texts in the order in which they answer a question: by what they mean, and by the words that they share.

The same two views as a search, on texts that are in no index: the cosine of the local embedder's vectors, and the share
of the question's terms, weighted by their rarity among the texts at hand.
"""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence

from . import analyser
from .ingest.embed import Vector, embedder, fertility
from .search import share_of

#: A long text is read in windows of so many characters (about what the embedder reads), at most so many of them.
WINDOW, MOST_WINDOWS = 1_000, 12


def rank(query: str, texts: Sequence[str]) -> list[float]:
    """How well each text answers the question, from 0 to 1, in the order given. Takes about 5 ms of CPU a text."""
    if not texts:
        return []
    model = embedder()
    share = share_of(fertility(model, query))
    meanings = _meanings(model.query(query), texts)
    return [
        round(share * meaning + (1 - share) * wording, 6)
        for meaning, wording in zip(meanings, _wordings(query, texts), strict=True)
    ]


def _meanings(asked: Vector, texts: Sequence[str]) -> list[float]:
    """The cosine of each text's nearest window."""
    places: list[int] = []
    windows: list[str] = []
    for place, text in enumerate(texts):
        for window in _windows(text):
            places.append(place)
            windows.append(window)
    cosines = embedder().documents(windows) @ asked
    best = [0.0] * len(texts)
    for place, cosine in zip(places, cosines.tolist(), strict=True):
        best[place] = max(best[place], min(1.0, cosine))
    return best


def _windows(text: str) -> Iterator[str]:
    for number, at in enumerate(range(0, max(len(text), 1), WINDOW)):
        if number == MOST_WINDOWS:
            return
        yield text[at : at + WINDOW]


def _wordings(query: str, texts: Sequence[str]) -> list[float]:
    """The share of the question's terms that stand in each text, by their rarity."""
    asked = {term.slot for term in analyser.terms(query)}
    found = [{term.slot for term in analyser.terms(text)} & asked for text in texts]
    counts = Counter(slot for slots in found for slot in slots)
    rarity = {slot: math.log(1 + len(texts) / (counts[slot] or 0.5)) for slot in asked}
    whole = sum(rarity.values())
    return [sum(rarity[slot] for slot in slots) / whole if whole else 0.0 for slots in found]
