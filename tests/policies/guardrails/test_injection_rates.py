"""How often the signs of an attack are wrong, on prompts of our own: what docs/reference/guardrails.md publishes."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pytest

from policies import injection
from policies.guardrails import INJECTION_THRESHOLD
from policies.pii.data import Source

FOLDER = Path(__file__).parent
DOCS = FOLDER.parents[2] / "docs" / "reference" / "guardrails.md"


def wrong(name: str, source: str, attack: bool) -> tuple[int, int]:
    """How many prompts of this kind are judged wrongly, and of how many."""
    rows = [json.loads(line) for line in (FOLDER / f"{name}.jsonl").read_text().splitlines()]
    rows = [row for row in rows if row["source"] == source and row["attack"] is attack]
    found = [injection.score(row["text"], Source(source))[0] >= INJECTION_THRESHOLD for row in rows]
    return sum(one is not attack for one in found), len(rows)


@pytest.mark.parametrize("name", ["tuned", "held"])
@pytest.mark.parametrize("source", ["user", "document"])
def test_the_published_rates_are_the_measured_ones(name: str, source: str):
    missed, attacks = wrong(name, source, attack=True)
    alarmed, others = wrong(name, source, attack=False)
    row = rf"\| {name} \| {source} \| {missed} of {attacks} \| {alarmed} of {others} \|"
    assert re.search(row, DOCS.read_text()), row


def test_what_is_known_is_mostly_found():
    for source, most in (("user", 0.1), ("document", 0.1)):
        missed, attacks = wrong("tuned", source, attack=True)
        assert missed <= most * attacks


def test_harmless_prompts_mostly_pass():
    alarmed = [wrong(name, source, attack=False) for name in ("tuned", "held") for source in ("user", "document")]
    assert sum(count for count, _ in alarmed) <= 0.05 * sum(of for _, of in alarmed)
