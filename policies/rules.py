"""Resolves policies: the most specific wins, but never loosens what a wider one locked."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any
from uuid import UUID

from tenants.isolation.scope import CLEARANCES

from . import guardrails
from .conditions import Condition, Context
from .conditions import parse as parse_conditions
from .errors import RulesError
from .guardrails import Guardrails
from .pii.data import ANY_SOURCE, DEFAULT_THRESHOLD, USUAL_DIRECTIONS, PiiRules, Scope
from .reading import read_object

#: Sections of a policy document. Any other is an error, so that a misspelt rule is never silently without effect.
SECTIONS = frozenset({"pii", "models", "guardrails", "residency", "retention", "logging", "conditions", "locked"})

#: Sections that a condition may make stricter.
TIGHTENING = frozenset({"pii", "models", "guardrails", "residency", "logging"})

#: from what keeps least to what keeps most
LOGGING_MODES = ("none", "metadata", "redacted", "full")
WIDEST_FIRST = ("platform", "tenant", "department", "key")

#: How strict an action on personal data is; a locked rule may only be replaced by one that is at least as strict.
STRICTNESS = {"allow": 0, "placeholder": 1, "surrogate": 1, "hash": 2, "mask": 2, "block": 3}

DEFAULT_MAX_TOKENS = 4096
#: For how long bodies are kept, where a policy has them kept.
DEFAULT_BODY_DAYS, MOST_BODY_DAYS = 30, 3650


@dataclass(frozen=True, slots=True)
class Private:
    """What may be sent to self-hosted deployments alone: `entities` of these types (None: of any), or passages of
    documents of this `classification` (an index into CLEARANCES) and above (None: of none).
    """

    entities: frozenset[str] | None = frozenset()
    classification: int | None = None

    def reason(self, found: Mapping[str, int], classification: int | None) -> str:
        """Why a call with these must stay; '' when it may leave."""
        named = sorted(found if self.entities is None else self.entities & found.keys())
        if named:
            return f"it holds {', '.join(named)}"
        if self.classification is None or classification is None or classification < self.classification:
            return ""
        return f"it quotes a document that is {CLEARANCES[classification]}"


@dataclass(frozen=True, slots=True)
class Rules:
    """What is in force for one caller.

    `label` is `<policy id>@<version>` of the most specific policy. `models_allowed` None means every model. `refusal`
    says why every call is refused, '' when none is. `conditions` are not applied yet: `at` a context they are.
    """

    label: str
    name: str
    pii: PiiRules
    models_allowed: frozenset[str] | None = None
    models_denied: frozenset[str] = frozenset()
    default_max_tokens: int = DEFAULT_MAX_TOKENS
    residency: frozenset[str] | None = None
    logging: str = "metadata"
    body_days: int = DEFAULT_BODY_DAYS
    private: Private | None = None
    guardrails: Guardrails = field(default_factory=Guardrails)
    refusal: str = ""
    conditions: tuple[Condition, ...] = field(default=(), compare=False)
    documents: tuple[dict[str, Any], ...] = field(default=(), repr=False, compare=False)
    _variants: dict[tuple[int, ...], Rules] = field(default_factory=dict, repr=False, compare=False)

    def at(self, context: Context) -> Rules:
        """The rules that hold in a context; each combination of conditions is worked out once."""
        if not self.conditions:
            return self
        holding = tuple(n for n, condition in enumerate(self.conditions) if condition.holds(context))
        if not holding:
            return self
        found = self._variants.get(holding)
        if found is None:
            held = [self.conditions[number] for number in holding]
            found = combine(self.label, self.name, list(self.documents), [one.document for one in held])
            refusal = next((one.refusal for one in held if one.refusal), "")
            found = self._variants[holding] = replace(found, refusal=refusal, conditions=())
        return found

    @property
    def timed(self) -> bool:
        """Whether they depend on what time it is."""
        return any(condition.hours is not None for condition in self.conditions)

    @property
    def holds_answers(self) -> bool:
        """Whether an answer must be whole before its first byte may go out."""
        return self.guardrails.hold_answers() or self.pii.answers

    @property
    def keeps_bodies(self) -> bool:
        """Whether prompts and answers are kept."""
        return self.logging in ("redacted", "full")

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
    rules = combine("draft@0", "draft", [document])
    for number, condition in enumerate(rules.conditions):
        _validate_condition(condition.document, document, f"conditions[{number}].rules")


def _validate_condition(held: Any, document: dict[str, Any], place: str) -> None:
    """What holds under a condition is a document itself, and fits to the one that it stands in."""
    if not isinstance(held, dict):
        raise RulesError(f"{place} must be an object.")
    unknown = sorted(set(held) - TIGHTENING)
    if unknown:
        raise RulesError(f"{place}.{unknown[0]} is not a section; the sections are {', '.join(sorted(TIGHTENING))}.")
    try:
        combine("draft@0", "draft", [held])
        combine("draft@0", "draft", [document], [held])
    except RulesError as error:
        raise RulesError(f"{place}: {error}") from error


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


def combine(label: str, name: str, documents: list[dict[str, Any]], tightening: Iterable[dict[str, Any]] = ()) -> Rules:
    """One set of rules out of documents, widest first; those of `tightening` may only make it stricter."""
    merged: dict[str, Any] = {}
    locked: set[str] = set()
    conditions: list[Condition] = []
    for document in documents:
        for section, value in document.items():
            if section == "conditions":
                conditions += parse_conditions(value)
            elif section != "locked":
                merged[section] = merged_section(section, merged.get(section), value, section in locked)
        locked.update(_strings(document.get("locked", []), "locked"))
    for document in tightening:
        for section, value in document.items():
            merged[section] = merged_section(section, merged.get(section), value, locked=True)
    models = read_object(merged.get("models", {}), "models", {"allow", "deny", "default_max_tokens", "private"})
    residency = merged.get("residency")
    return Rules(
        label=label,
        name=name,
        pii=_pii(merged.get("pii", {})),
        models_allowed=frozenset(_strings(models["allow"], "models.allow")) if "allow" in models else None,
        models_denied=frozenset(_strings(models.get("deny", []), "models.deny")),
        default_max_tokens=_positive(models.get("default_max_tokens", DEFAULT_MAX_TOKENS), "models.default_max_tokens"),
        residency=None if residency is None else frozenset(_strings(residency, "residency")),
        private=_private(models["private"]) if models.get("private") else None,
        guardrails=guardrails.parse(merged.get("guardrails", {})),
        logging=_one_of(merged.get("logging", "metadata"), LOGGING_MODES, "logging"),
        body_days=_days(read_object(merged.get("retention", {}), "retention", {"days"}).get("days", DEFAULT_BODY_DAYS)),
        conditions=tuple(conditions),
        documents=tuple(documents),
    )


def merged_section(section: str, wide: Any, narrow: Any, locked: bool) -> Any:
    """A narrower value over a wider one. What is locked may only become stricter."""
    if section == "pii" and isinstance(wide or {}, dict) and isinstance(narrow, dict):
        return _merged_pii(wide or {}, narrow, locked)
    if wide is None:
        return narrow
    if section == "guardrails" and isinstance(wide, dict) and isinstance(narrow, dict):
        return guardrails.merged(wide, narrow, locked)
    if section == "models" and isinstance(wide, dict) and isinstance(narrow, dict):
        return {**wide, **narrow} if not locked else _tighter_models(wide, narrow)
    if not locked:
        return narrow
    if section == "residency" and isinstance(wide, list) and isinstance(narrow, list):
        return [word for word in narrow if word in wide]
    if section == "logging" and wide in LOGGING_MODES and narrow in LOGGING_MODES:
        return min(wide, narrow, key=LOGGING_MODES.index)
    if section == "retention" and isinstance(wide, dict) and isinstance(narrow, dict):
        return {"days": min(_days(part.get("days", DEFAULT_BODY_DAYS)) for part in (wide, narrow))}
    return wide


def _merged_pii(wide: dict[str, Any], narrow: dict[str, Any], locked: bool) -> dict[str, Any]:
    """Rules for personal data over wider ones. A locked rule takes of a narrower one what is stricter, and no more."""
    merged = dict(wide)
    fallback = wide.get("default", {})
    for name, rule in narrow.items():
        before = wide.get(name)
        fixed = locked or (isinstance(before, dict) and before.get("locked") is True)
        if not fixed:
            merged[name] = rule
        elif name in ("allow_list", "media"):
            merged[name] = [word for word in _listed(rule) if word in _listed(before)]
        elif name == "deny_list":
            merged[name] = [*_listed(before), *_listed(rule)]
        elif name == "scope":
            merged[name] = min(before or Scope.REQUEST, rule, key=list(Scope).index)
        else:
            merged[name] = _tighter_rule(_whole(before or {}, fallback), _whole(rule, fallback))
    return merged


def _whole(rule: Any, fallback: Any) -> dict[str, Any]:
    """A type's rule with all that it leaves to the default."""
    given = {"action": rule} if isinstance(rule, str) else dict(rule)
    default = {"action": fallback} if isinstance(fallback, str) else dict(fallback)
    base: dict[str, Any] = {
        "action": "placeholder",
        "threshold": DEFAULT_THRESHOLD,
        "directions": sorted(USUAL_DIRECTIONS),
        "sources": sorted(ANY_SOURCE),
    }
    base |= {name: value for name, value in default.items() if name in base}
    return {**base, "allow_list": [], "deny_list": [], **given}


def _tighter_rule(before: dict[str, Any], rule: dict[str, Any]) -> dict[str, Any]:
    """Of two rules for one type what is stricter, part by part."""
    if before["action"] == "allow":
        return {**rule, "locked": True}
    if rule["action"] == "allow":
        return {**before, "deny_list": [*before["deny_list"], *rule["deny_list"]], "locked": True}
    return {
        "action": max(before["action"], rule["action"], key=_strictness),
        "threshold": min(before["threshold"], rule["threshold"]),
        "directions": sorted({*before["directions"], *rule["directions"]}),
        "sources": sorted({*before["sources"], *rule["sources"]}),
        "allow_list": [word for word in rule["allow_list"] if word in before["allow_list"]],
        "deny_list": [*before["deny_list"], *rule["deny_list"]],
        "locked": True,
    }


def _strictness(action: Any) -> int:
    return STRICTNESS.get(action, 1)


def _listed(value: Any) -> list[Any]:
    return value if isinstance(value, list) else []


def _tighter_models(wide: dict[str, Any], narrow: dict[str, Any]) -> dict[str, Any]:
    merged = {**wide, **narrow, "deny": [*wide.get("deny", []), *narrow.get("deny", [])]}
    if "allow" in wide:
        merged["allow"] = [name for name in narrow.get("allow", wide["allow"]) if name in wide["allow"]]
    most = [document["default_max_tokens"] for document in (wide, narrow) if "default_max_tokens" in document]
    if most:
        merged["default_max_tokens"] = min(most)
    if wide.get("private"):
        merged["private"] = _more_private(wide["private"], narrow.get("private") or {})
    return merged


def _more_private(wide: dict[str, Any], narrow: dict[str, Any]) -> dict[str, Any]:
    """All that either of two documents keeps in the house."""
    lists = [document.get("entities", []) for document in (wide, narrow)]
    levels = [document["classification"] for document in (wide, narrow) if document.get("classification")]
    merged: dict[str, Any] = {"entities": "any" if "any" in lists else [*lists[0], *lists[1]]}
    if levels:
        merged["classification"] = min(levels, key=lambda level: CLEARANCES.index(level) if level in CLEARANCES else 0)
    return merged


def _private(value: Any) -> Private:
    document = read_object(value, "models.private", {"entities", "classification"})
    entities = document.get("entities", [])
    level = document.get("classification")
    if level is not None and level not in CLEARANCES:
        raise RulesError(f"models.private.classification must be one of {', '.join(CLEARANCES)}.")
    named = None if entities == "any" else frozenset(_strings(entities, "models.private.entities"))
    return Private(named, None if level is None else CLEARANCES.index(level))


def _strings(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise RulesError(f"{place} must be a list of strings.")
    return value


def _days(value: Any) -> int:
    found = _positive(value, "retention.days")
    if found > MOST_BODY_DAYS:
        raise RulesError(f"retention.days must be at most {MOST_BODY_DAYS}.")
    return found


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
