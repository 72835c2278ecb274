"""Resolves policies: the most specific wins, but never loosens what a wider one locked."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from .errors import RulesError
from .pii.data import PiiRules

#: Sections of a policy document. Any other is an error, so that a misspelt rule is never silently without effect.
SECTIONS = frozenset({"pii", "models", "guardrails", "residency", "retention", "logging", "locked"})

LOGGING_MODES = ("none", "metadata", "redacted", "full")
WIDEST_FIRST = ("platform", "tenant", "department", "key")

#: How strict an action on personal data is; a locked rule may only be replaced by one that is at least as strict.
STRICTNESS = {"allow": 0, "placeholder": 1, "surrogate": 1, "hash": 2, "mask": 2, "block": 3}

DEFAULT_MAX_TOKENS = 4096


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force for one caller.

    `label` is `<policy id>@<version>` of the most specific policy. `models_allowed` None means every model.
    """

    label: str
    name: str
    pii: PiiRules
    models_allowed: frozenset[str] | None = None
    models_denied: frozenset[str] = frozenset()
    default_max_tokens: int = DEFAULT_MAX_TOKENS
    residency: frozenset[str] | None = None
    logging: str = "metadata"

    def allows_model(self, name: str) -> bool:
        """Whether the policy lets this model be called."""
        return name not in self.models_denied and (self.models_allowed is None or name in self.models_allowed)


@dataclass(frozen=True, slots=True)
class ActivePolicy:
    """A policy in force: `target` is the department's or key's id, None for tenant and platform."""

    id: UUID
    name: str
    version: int
    scope: str
    target: UUID | None
    rules: dict[str, Any]


def validate(document: Any) -> None:
    """Raises RulesError, naming the place, unless the document means something in every part."""
    if not isinstance(document, dict):
        raise RulesError("rules must be an object.")
    unknown = sorted(set(document) - SECTIONS)
    if unknown:
        raise RulesError(f"rules.{unknown[0]} is not a section; the sections are {', '.join(sorted(SECTIONS))}.")
    combine("draft@0", "draft", [document])


def resolve(policies: Iterable[ActivePolicy], department: UUID | None, key: UUID | None) -> Rules:
    """The rules for a caller of `department` with `key`. Raises RulesError when no policy is in force at all."""
    mine = [
        policy
        for policy in policies
        if policy.scope in ("platform", "tenant")
        or (policy.scope == "department" and policy.target == department)
        or (policy.scope == "key" and policy.target == key)
    ]
    if not mine:
        raise RulesError("No policy is in force; ask the platform's operator to activate the baseline.")
    mine.sort(key=lambda policy: WIDEST_FIRST.index(policy.scope))
    last = mine[-1]
    return combine(f"{last.id}@{last.version}", last.name, [policy.rules for policy in mine])


def combine(label: str, name: str, documents: list[dict[str, Any]]) -> Rules:
    """One set of rules out of documents, widest first."""
    merged: dict[str, Any] = {}
    locked: set[str] = set()
    for document in documents:
        for section, value in document.items():
            if section == "locked":
                continue
            merged[section] = _merged(section, merged.get(section), value, section in locked)
        locked.update(_strings(document.get("locked", []), "locked"))
    models = _object(merged.get("models", {}), "models", {"allow", "deny", "default_max_tokens"})
    return Rules(
        label=label,
        name=name,
        pii=_pii(merged.get("pii", {})),
        models_allowed=frozenset(_strings(models["allow"], "models.allow")) if "allow" in models else None,
        models_denied=frozenset(_strings(models.get("deny", []), "models.deny")),
        default_max_tokens=_positive(models.get("default_max_tokens", DEFAULT_MAX_TOKENS), "models.default_max_tokens"),
        residency=frozenset(_strings(merged["residency"], "residency")) if merged.get("residency") else None,
        logging=_one_of(merged.get("logging", "metadata"), LOGGING_MODES, "logging"),
    )


def _merged(section: str, wide: Any, narrow: Any, locked: bool) -> Any:
    """A narrower value over a wider one. What is locked may only become stricter."""
    if wide is None:
        return narrow
    if section == "pii" and isinstance(wide, dict) and isinstance(narrow, dict):
        return _merged_pii(wide, narrow, locked)
    if section == "models" and isinstance(wide, dict) and isinstance(narrow, dict):
        return {**wide, **narrow} if not locked else _tighter_models(wide, narrow)
    if not locked:
        return narrow
    if section == "residency" and isinstance(wide, list) and isinstance(narrow, list):
        return [word for word in narrow if word in wide]
    return wide


def _merged_pii(wide: dict[str, Any], narrow: dict[str, Any], locked: bool) -> dict[str, Any]:
    merged = dict(wide)
    for entity, rule in narrow.items():
        before = wide.get(entity)
        fixed = locked or (isinstance(before, dict) and before.get("locked") is True)
        if not fixed or _strictness(rule) >= _strictness(before if before is not None else wide.get("default")):
            merged[entity] = {**rule, "locked": True} if fixed and isinstance(rule, dict) else rule
    return merged


def _strictness(rule: Any) -> int:
    action = rule.get("action", "placeholder") if isinstance(rule, dict) else rule
    return STRICTNESS.get(action if isinstance(action, str) else "placeholder", 1)


def _tighter_models(wide: dict[str, Any], narrow: dict[str, Any]) -> dict[str, Any]:
    merged = {**narrow, "deny": [*wide.get("deny", []), *narrow.get("deny", [])]}
    if "allow" in wide:
        merged["allow"] = [name for name in narrow.get("allow", wide["allow"]) if name in wide["allow"]]
    return merged


def _object(value: Any, place: str, known: set[str]) -> dict[str, Any]:
    if not isinstance(value, dict):
        raise RulesError(f"{place} must be an object.")
    unknown = sorted(set(value) - known)
    if unknown:
        raise RulesError(f"{place}.{unknown[0]} is unknown; known are {', '.join(sorted(known))}.")
    return value


def _strings(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RulesError(f"{place} must be a list of strings.")
    return value


def _positive(value: Any, place: str) -> int:
    if not isinstance(value, int) or isinstance(value, bool) or value < 1:
        raise RulesError(f"{place} must be a whole number above 0.")
    return value


def _pii(section: Any) -> PiiRules:
    """The personal-data rules; `locked` is resolved by then and means nothing to the engine."""
    if isinstance(section, dict):
        section = {name: _unlocked(rule) for name, rule in section.items()}
    return PiiRules.parse(section)


def _unlocked(rule: Any) -> Any:
    return {key: value for key, value in rule.items() if key != "locked"} if isinstance(rule, dict) else rule


def _one_of(value: Any, known: tuple[str, ...], place: str) -> str:
    if value not in known:
        raise RulesError(f"{place} must be one of {', '.join(known)}.")
    return str(value)
