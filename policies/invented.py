"""Personal data in an answer that nobody gave the model: it is treated as the policy's rules for responses say.

What stands in what the model was sent is no invention: placeholders and surrogates (which become the caller's own
originals), and whatever the policy let pass.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Any

from .guardrails import Decision, Judged, Mode, answer_leaves, put
from .pii.data import Action, Direction, PiiRules, Source
from .pii.masking import Replacement, judge, replaced, stand_in
from .pii.redaction import Pii
from .pii.vault import Vault

NAME = "personal_data"


def judge_inventions(body: dict[str, Any], rules: PiiRules, pii: Pii, given: Iterable[str]) -> Judged:
    """A whole answer in OpenAI's chat form, as the model wrote it. `given` are the strings that it was sent.

    What stands in for an invention is restored by nobody. Raises DetectorFailed, TextTooLarge.
    """
    given = list(given)
    said, vault = "\n".join(given).casefold(), Vault()
    vault.reserve(given)
    counts: Counter[tuple[str, Mode]] = Counter()
    scores: dict[str, float] = {}
    for leaf in answer_leaves(body):
        text = leaf.text
        found = tuple(
            entity for entity in pii.engine.detect(text) if not _is_in(text[entity.start : entity.end].casefold(), said)
        )
        verdict = judge(text, found, rules, Source.ASSISTANT, Direction.RESPONSE)
        pieces = []
        for entity in verdict.entities:
            action, value = rules.rule_for(entity.type).action, text[entity.start : entity.end]
            counts[entity.type, Mode.BLOCK if action is Action.BLOCK else Mode.REDACT] += 1
            scores[entity.type] = max(entity.score, scores.get(entity.type, 0.0))
            made = stand_in(entity.type, value, action, vault)
            pieces.append(Replacement(entity.type, entity.start, entity.end, entity.score, made))
        if pieces:
            body = put(body, leaf.path, replaced(text, pieces))
    decisions = tuple(
        Decision(NAME, mode, Direction.RESPONSE, kind, Source.ASSISTANT.value, round(scores[kind], 4), count)
        for (kind, mode), count in sorted(counts.items())
    )
    return Judged(body, decisions)


def _is_in(value: str, said: str) -> bool:
    """Whether a text says something, as words and not within others."""
    at = said.find(value)
    while at >= 0:
        before, after = said[max(0, at - 1) : at], said[at + len(value) : at + len(value) + 1]
        if not (before.isalnum() or after.isalnum()):
            return True
        at = said.find(value, at + 1)
    return False
