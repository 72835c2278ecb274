"""Where two documents of rules differ, place by place."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

#: Stands for what a document does not say.
UNSAID = object()


@dataclass(frozen=True, slots=True)
class Difference:
    """One place (`pii.PERSON.action`) and what two documents say there; UNSAID: nothing."""

    place: str
    before: Any
    after: Any


def differences(before: Mapping[str, Any], after: Mapping[str, Any]) -> list[Difference]:
    """All places at which two documents say different things, in the order of their names."""
    one, other = dict(_places(_plain(before))), dict(_places(_plain(after)))
    return [
        Difference(place, one.get(place, UNSAID), other.get(place, UNSAID))
        for place in sorted({*one, *other})
        if one.get(place, UNSAID) != other.get(place, UNSAID)
    ]


def _plain(rules: Mapping[str, Any]) -> dict[str, Any]:
    """A rule that is only an action's name is the object with that action."""
    pii = rules.get("pii")
    if not isinstance(pii, dict):
        return dict(rules)
    whole = {name: {"action": rule} if isinstance(rule, str) else rule for name, rule in pii.items()}
    return {**rules, "pii": whole}


def _places(value: Any, place: str = "") -> Iterator[tuple[str, Any]]:
    if isinstance(value, dict) and value:
        for name, inner in value.items():
            yield from _places(inner, f"{place}.{name}" if place else str(name))
    elif place:
        yield place, value
