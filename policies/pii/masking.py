"""What the rules do to the entities of one text: which count, which of two wins, what stands in their place."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Final

from policies.pii.data import Action, Direction, Entity, PiiRules, Source
from policies.pii.vault import Vault

_CONTAINERS: Final = frozenset({"SECRET", "URL", "IBAN_CODE", "CRYPTO"})
"""Types with a structure of their own: what is found inside one belongs to it."""


@dataclass(frozen=True, slots=True)
class Replacement:
    """An entity and what stands for it now; `start` and `end` in code points of the original text."""

    type: str
    start: int
    end: int
    score: float
    replacement: str


@dataclass(frozen=True, slots=True)
class Verdict:
    """What is to be replaced (in order, without overlaps), and the types that must not pass at all."""

    entities: Sequence[Entity]
    blocked: frozenset[str] = frozenset()


CLEAN: Final = Verdict(())
MOST_VERDICTS: Final = 4_096
"""Remembered for one policy; they hold types and places, no text."""


def judge(text: str, found: Iterable[Entity], rules: PiiRules, source: Source, direction: Direction) -> Verdict:
    """Applies thresholds, allow- and deny-lists, sources and directions; then resolves overlaps.

    Where the rules have no lists, the same findings get the verdict that they got before.
    """
    if not rules.by_findings or not isinstance(found, tuple):
        return _judged(text, found, rules, source, direction)
    asked = found, source, direction
    verdict: Verdict | None = rules.verdicts.get(asked)
    if verdict is None:
        if len(rules.verdicts) >= MOST_VERDICTS:
            rules.verdicts.clear()
        verdict = rules.verdicts[asked] = _judged(text, found, rules, source, direction)
    return verdict


def _judged(text: str, found: Iterable[Entity], rules: PiiRules, source: Source, direction: Direction) -> Verdict:
    passing: list[Entity] = []
    acting: list[Entity] = []
    for entity in (*found, *rules.denied(text)):
        rule = rules.rule_for(entity.type)
        if entity.score < rule.threshold:
            continue
        allowed = not rule.covers(source, direction) or rules.allows(rule, text[entity.start : entity.end])
        (passing if allowed else acting).append(entity)
    if not acting:
        return CLEAN
    acting = [entity for entity in acting if not any(_explains(other, entity) for other in passing)]
    blocked = frozenset(entity.type for entity in acting if rules.rule_for(entity.type).action is Action.BLOCK)
    return Verdict(without_overlaps(acting), blocked)


def _explains(allowed: Entity, other: Entity) -> bool:
    """Whether what may pass is the better reading of the same text: an allowed card is no bank account number."""
    return allowed.start <= other.start and allowed.end >= other.end and allowed.score >= other.score


def without_overlaps(entities: Iterable[Entity]) -> list[Entity]:
    """One entity for each group that overlaps: of the best one's type, over the whole group, so no part is left."""
    merged: list[Entity] = []
    for entity in sorted(entities, key=lambda entity: (entity.start, -entity.end)):
        if merged and entity.start < merged[-1].end:
            merged[-1] = _merged(merged[-1], entity)
        else:
            merged.append(entity)
    return merged


def _merged(one: Entity, other: Entity) -> Entity:
    best = max(one, other, key=lambda entity: _preference(entity, one, other))
    return Entity(best.type, min(one.start, other.start), max(one.end, other.end), best.score)


def _preference(entity: Entity, one: Entity, other: Entity) -> tuple[bool, float, int, str]:
    """A structured type that holds the other, then the higher score, then the longer; the name makes it certain."""
    holds = (
        entity.type in _CONTAINERS
        and entity.start <= min(one.start, other.start)
        and entity.end >= max(one.end, other.end)
    )
    return (
        holds and one.type != other.type and (one.start, one.end) != (other.start, other.end),
        entity.score,
        entity.end - entity.start,
        entity.type,
    )


def stand_in(kind: str, value: str, action: Action, vault: Vault) -> str:
    """What replaces a value. Placeholders and surrogates go into the vault; a mask keeps nothing but the shape."""
    if action is Action.MASK:
        return "".join("*" if character.isalnum() else character for character in value)
    if action is Action.HASH:
        return vault.digest(kind, value)
    if action is Action.SURROGATE:
        return vault.surrogate(kind, value)
    return vault.placeholder(kind, value)


def replaced(text: str, replacements: Iterable[Replacement]) -> str:
    """The text with its replacements."""
    pieces: list[str] = []
    at = 0
    for replacement in replacements:
        pieces += text[at : replacement.start], replacement.replacement
        at = replacement.end
    pieces.append(text[at:])
    return "".join(pieces)
