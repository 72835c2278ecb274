"""How good a ranking is: the usual measures, over documents judged by people."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Measures:
    """Of one question, or the means of many. All lie in 0..1."""

    precision_10: float
    recall_10: float
    recall_100: float
    mrr: float
    ndcg_10: float


def measure(ranking: Sequence[str], judged: Mapping[str, float]) -> Measures:
    """`ranking` are documents, the best first; `judged` what each relevant one is worth."""
    relevant = {document for document, worth in judged.items() if worth > 0}
    hits = [document in relevant for document in ranking]
    first = next((place for place, hit in enumerate(hits, start=1) if hit), None)
    ideal = _dcg(sorted(judged.values(), reverse=True)[:10])
    return Measures(
        precision_10=sum(hits[:10]) / 10,
        recall_10=sum(hits[:10]) / len(relevant),
        recall_100=sum(hits[:100]) / len(relevant),
        mrr=0.0 if first is None else 1 / first,
        ndcg_10=_dcg([judged.get(document, 0.0) for document in ranking[:10]]) / ideal,
    )


def mean(measures: Sequence[Measures]) -> Measures:
    """Over at least one question."""
    count = len(measures)
    return Measures(*(sum(getattr(one, name) for one in measures) / count for name in Measures.__slots__))


def _dcg(gains: Sequence[float]) -> float:
    return sum(gain / math.log2(place + 1) for place, gain in enumerate(gains, start=1))
