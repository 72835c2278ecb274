"""Measures a model file on `check.txt`, prompts of our own with their names marked in brackets, and on held-out text.

For choosing among networks and biases: neither is a judge. Run it with the product's own environment.
"""

from __future__ import annotations

import argparse
import re
from pathlib import Path

from policies.pii.data import Entity
from policies.pii.evaluation import Example, Score, count
from policies.pii.ner.detector import NameDetector
from policies.pii.ner.model import PATH, TYPES, Model
from policies.pii.ner.spans import BIAS

from .sets import ENGLISH, held_out
from .sets import read as read_set

_MARK = re.compile(r"\[([PLOA]):([^\]]*)\]")
_TYPES = dict(zip("PLOA", TYPES, strict=True))
CASES = {"as written": str, "lower": str.lower, "upper": str.upper}


def examples() -> list[Example]:
    """Our own prompts."""
    found = []
    for marked in (Path(__file__).parent / "check.txt").read_text().split("%%\n"):
        text, spans, at = "", [], 0
        for mark in _MARK.finditer(marked):
            text += marked[at : mark.start()]
            spans.append(Entity(_TYPES[mark[1]], len(text), len(text) + len(mark[2]), 1.0))
            text += mark[2]
            at = mark.end()
        found.append(Example(text + marked[at:], tuple(spans), frozenset(TYPES)))
    return found


def held(data: Path) -> list[Example]:
    """The English sets' held-out documents."""
    named = frozenset(TYPES[:3])
    return [
        Example(
            each.text, tuple(Entity(kind, start, end, 1.0) for start, end, kind in each.spans if kind in named), named
        )
        for name in ENGLISH
        for each in read_set(data / f"{name}.jsonl")
        if held_out(each)
    ]


def scored(detector: NameDetector, texts: list[Example], case: str) -> str:
    """Recall/precision of each type and what is covered of all."""
    scores = {kind: Score() for kind in TYPES}
    for each in texts:
        text = CASES[case](each.text)
        if len(text) == len(each.text):
            count(scores, Example(text, each.spans, each.annotated), detector.detect(text))
    marked, covered = (sum(getattr(score, name) for score in scores.values()) for name in ("marked", "covered"))
    figures = "  ".join(f"{kind[:3]} {each.recall:.3f}/{each.precision:.3f}" for kind, each in scores.items())
    return f"{figures}  covered {covered / max(1, marked):.3f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--model", type=Path, default=PATH)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pii/dev"))
    parser.add_argument("--bias", type=float, nargs=4, default=list(BIAS.values()))
    parser.add_argument("--no-sets", action="store_true")
    options = parser.parse_args()
    detector = NameDetector(Model(options.model, None), dict(zip(TYPES, options.bias, strict=True)))
    for case in CASES:
        print(f"ours, {case:10} {scored(detector, examples(), case)}")
    if not options.no_sets:
        print(f"held out         {scored(detector, held(options.data), 'as written')}")


if __name__ == "__main__":
    main()
