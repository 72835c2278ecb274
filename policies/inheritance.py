"""Which level of policies sets a rule, and which of them are locked: how `rules.combine` came to what it says.

Nothing here does I/O.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .rules import WIDEST_FIRST, ActivePolicy, merged_section

#: Sections that are told part by part; every other one is told as a whole.
PARTED = ("pii", "models", "guardrails")


@dataclass(frozen=True, slots=True)
class Held:
    """A rule that holds: where it stands (`pii.PERSON`), its value, which policy said so last, which one locked it."""

    place: str
    value: Any
    by: ActivePolicy
    locked: ActivePolicy | None


def chain(policies: Iterable[ActivePolicy], scope: str, places: Iterable[tuple[str, UUID]]) -> list[ActivePolicy]:
    """The policies that act where one of `scope` is in force, widest first, up to that one.

    `places` are the department and key that it is for, as (kind, id).
    """
    mine, most = set(places), WIDEST_FIRST.index(scope)
    found = [p for p in policies if WIDEST_FIRST.index(p.scope) <= most]
    found = [p for p in found if p.target is None or (p.scope, p.target) in mine]
    return sorted(found, key=lambda policy: WIDEST_FIRST.index(policy.scope))


def traced(policies: Iterable[ActivePolicy]) -> list[Held]:
    """What holds when these act together (widest first), rule by rule."""
    held: dict[str, Any] = {}
    said: dict[str, ActivePolicy] = {}
    locked: dict[str, ActivePolicy] = {}
    for policy in policies:
        for section, value in policy.rules.items():
            if section in ("locked", "conditions"):
                continue
            before = dict(_places(section, held.get(section)))
            held[section] = merged_section(section, held.get(section), value, section in locked)
            for place, now in _places(section, held[section]):
                if place not in before or before[place] != now:
                    said[place] = policy
                if section not in locked and isinstance(now, dict) and now.get("locked") is True:
                    locked.setdefault(place, policy)
        for section in policy.rules.get("locked", []):
            locked.setdefault(section, policy)
    rows = [(section, *row) for section, value in held.items() for row in _places(section, value)]
    return [Held(place, value, said[place], locked.get(place) or locked.get(section)) for section, place, value in rows]


def _places(section: str, value: Any) -> Iterator[tuple[str, Any]]:
    if section in PARTED and isinstance(value, dict):
        for name, part in value.items():
            yield f"{section}.{name}", part
    elif value is not None:
        yield section, value
