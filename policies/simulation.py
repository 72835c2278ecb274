"""What a policy would change, before it is put in force: on a text, on messages, or on calls that were made.

The draft takes the place of what is in force for its scope and target; everything else stays as it is.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any
from uuid import UUID

from django.db.models import Q

from audit.services import search

from .models import Policy, PolicyScope, PolicyState
from .pii.errors import Blocked, MediaRefused
from .pii.vault import Vault
from .redact import Redacted, redact_messages, redact_text
from .rules import ActivePolicy, Rules, resolve

#: Calls that a simulation looks at, the latest first.
MOST_CALLS = 10_000
PAGE = 1000
NOBODY = UUID(int=0)
#: What says where an entity stands.
PLACES = ("message", "part", "type", "start", "end")


@dataclass(frozen=True, slots=True)
class Draft:
    """Rules that are not in force, and for whom they are meant."""

    scope: str
    target: UUID | None
    rules: dict[str, Any]
    id: UUID = NOBODY
    name: str = "draft"
    version: int = 0


def in_force(tenant: UUID) -> list[ActivePolicy]:
    """The policies in force for the open tenant: its own, and the platform's that it may read."""
    rows = Policy.objects.filter(Q(tenant_id=tenant) | Q(scope=PolicyScope.PLATFORM), state=PolicyState.ACTIVE)
    return [ActivePolicy(p.pk, p.name, p.version, p.scope, p.target, p.rules) for p in rows]


def with_draft(policies: list[ActivePolicy], draft: Draft) -> list[ActivePolicy]:
    """The policies as if the draft had been put in force."""
    others = [policy for policy in policies if (policy.scope, policy.target) != (draft.scope, draft.target)]
    return [*others, ActivePolicy(draft.id, draft.name, draft.version, draft.scope, draft.target, draft.rules)]


def simulate_on(value: str | list[Any], draft: Draft, tenant: UUID) -> dict[str, Any]:
    """What becomes of a text or of messages, as it is and as it would be. Raises RulesError, DetectorFailed, …"""
    before, after = (_rules(policies, draft) for policies in _both(draft, tenant))
    was, would = (_tried(value, rules) for rules in (before, after))
    return {
        "before": was,
        "after": would,
        "changes": {
            "decision": _change(was["decision"], would["decision"]),
            "entities": _differing(was["entities"], would["entities"]),
            "rules": _rule_changes(before, after),
        },
    }


def simulate_since(since: datetime, draft: Draft, tenant: UUID) -> dict[str, Any]:
    """What would have become of the calls since a time, by what the trail kept of them: models, regions and counts."""
    before, after = _both(draft, tenant)
    found = Outcome()
    for event in _calls(since):
        if _concerns(draft, event):
            department = UUID(event["department_id"]) if event["department_id"] else None
            key = UUID(event["actor"]["id"]) if event["actor"]["type"] == "key" else None
            found.add(event, resolve(before, department, key), resolve(after, department, key))
    return found.shown(since)


@dataclass(slots=True)
class Outcome:
    """What a simulation on past calls counts."""

    calls: int = 0
    refused: Counter[str] = field(default_factory=Counter)
    allowed: int = 0
    entities: dict[tuple[str, str, str], int] = field(default_factory=dict)
    examples: list[dict[str, Any]] = field(default_factory=list)

    def add(self, event: dict[str, Any], before: Rules, after: Rules) -> None:
        """One call under the rules as they are and as they would be."""
        self.calls += 1
        was, would = _objection(event, before), _objection(event, after)
        if would and not was:
            self.refused[would] += 1
            if len(self.examples) < 20:
                self.examples.append({"request_id": event["request_id"], "model": event["model"], "reason": would})
        if was and not would:
            self.allowed += 1
        for kind, number in event["entities"].items():
            actions = (str(before.pii.rule_for(kind).action), str(after.pii.rule_for(kind).action))
            if actions[0] != actions[1]:
                place = (kind, *actions)
                self.entities[place] = self.entities.get(place, 0) + number

    def shown(self, since: datetime) -> dict[str, Any]:
        """For the outside."""
        return {
            "since": since.isoformat().replace("+00:00", "Z"),
            "calls": self.calls,
            "sampled": self.calls >= MOST_CALLS,
            "changes": {
                "refused": sum(self.refused.values()),
                "refused_by_reason": dict(self.refused),
                "no_longer_refused": self.allowed,
                "entities": [
                    {"type": kind, "before": was, "after": would, "found": number}
                    for (kind, was, would), number in sorted(self.entities.items())
                ],
            },
            "examples": self.examples,
        }


def _both(draft: Draft, tenant: UUID) -> tuple[list[ActivePolicy], list[ActivePolicy]]:
    policies = in_force(tenant)
    return policies, with_draft(policies, draft)


def _rules(policies: list[ActivePolicy], draft: Draft) -> Rules:
    """The rules for somebody whom the draft is meant for."""
    department = draft.target if draft.scope == PolicyScope.DEPARTMENT else None
    key = draft.target if draft.scope == PolicyScope.KEY else None
    return resolve(policies, department, key)


def _tried(value: str | list[Any], rules: Rules) -> dict[str, Any]:
    """Nothing is kept of the vault: placeholders stand for themselves."""
    name = "text" if isinstance(value, str) else "messages"
    vault = Vault(b"simulated placeholders" * 2)
    try:
        found: Redacted = (
            redact_text(value, rules.pii, vault) if isinstance(value, str) else redact_messages(value, rules.pii, vault)
        )
    except (Blocked, MediaRefused) as error:
        return {"policy": rules.label, "decision": "deny", "reason": str(error), name: None, "entities": []}
    return {"policy": rules.label, "decision": "allow", "reason": "", name: found.value, "entities": found.entities}


def _change(was: Any, would: Any) -> Any:
    return None if was == would else {"before": was, "after": would}


def _differing(was: list[dict[str, Any]], would: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Entities that are replaced otherwise than before; `before` or `after` null: left as it stands."""

    def by_place(entities: list[dict[str, Any]]) -> dict[tuple[Any, ...], dict[str, Any]]:
        return {(e.get("message"), e.get("part"), e["start"], e["end"], e["type"]): e for e in entities}

    one, other = by_place(was), by_place(would)
    changed: list[dict[str, Any]] = []
    for place in dict.fromkeys([*one, *other]):
        before, after = (found[place]["replacement"] if place in found else None for found in (one, other))
        if before != after:
            known = one.get(place) or other[place]
            where: dict[str, Any] = {name: known[name] for name in PLACES if name in known}
            changed.append({**where, "before": before, "after": after})
    return changed


def _rule_changes(before: Rules, after: Rules) -> list[dict[str, Any]]:
    """What differs beside personal data."""
    parts: dict[str, tuple[Any, Any]] = {
        "models.allow": (before.models_allowed, after.models_allowed),
        "models.deny": (before.models_denied, after.models_denied),
        "models.default_max_tokens": (before.default_max_tokens, after.default_max_tokens),
        "residency": (before.residency, after.residency),
        "logging": (before.logging, after.logging),
    }
    return [
        {"rule": name, "before": _listed(was), "after": _listed(would)}
        for name, (was, would) in parts.items()
        if was != would
    ]


def _listed(value: Any) -> Any:
    return sorted(value) if isinstance(value, frozenset) else value


def _calls(since: datetime) -> Iterator[dict[str, Any]]:
    """The calls that left the house since a time, the latest first."""
    cursor: str | None = None
    for _ in range(MOST_CALLS // PAGE):
        page = search(action="call.intent", since=since, cursor=cursor, limit=PAGE)
        yield from page.results
        cursor = page.next
        if cursor is None:
            return


def _concerns(draft: Draft, event: dict[str, Any]) -> bool:
    if draft.scope == PolicyScope.DEPARTMENT:
        return bool(event["department_id"] == str(draft.target))
    if draft.scope == PolicyScope.KEY:
        return bool(event["actor"]["type"] == "key" and event["actor"]["id"] == str(draft.target))
    return True


def _objection(event: dict[str, Any], rules: Rules) -> str:
    """Why the rules would have refused a call; '' when they would not."""
    if not rules.allows_model(event["model"]):
        return "model_not_allowed"
    region = event["region"]
    if rules.residency is not None and region not in rules.residency and not (not region and "self" in rules.residency):
        return "residency"
    if any(rules.pii.rule_for(kind).action == "block" for kind in event["entities"]):
        return "pii_blocked"
    return ""


__all__ = ["Draft", "in_force", "simulate_on", "simulate_since", "with_draft"]
