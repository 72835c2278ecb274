"""The words of personal data: an entity, the rules for it, and how a policy document says them.

The `pii` part of a policy document is a JSON object. Upper-case names are entity types, lower-case names are settings:

    {"PERSON": {"action": "placeholder", "threshold": 0.6, "directions": ["request"], "sources": ["user", "tool"],
                "allow_list": ["Ada Lovelace"], "deny_list": ["Project Owl"]},
     "default": {"action": "placeholder"},          # types that are not named
     "allow_list": ["support@acme.example"],        # never touched, whatever its type
     "deny_list": ["Falcon"],                       # always found, as type DENY_LIST
     "media": ["image"],                            # parts that may pass although nobody can read them
     "scope": "conversation"}                       # how far the same value has the same stand-in
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from enum import StrEnum
from functools import lru_cache
from typing import Any, Final

from policies.pii.errors import PiiRulesError


class Action(StrEnum):
    """What happens to an entity."""

    ALLOW = "allow"
    PLACEHOLDER = "placeholder"
    SURROGATE = "surrogate"
    MASK = "mask"
    HASH = "hash"
    BLOCK = "block"


class Source(StrEnum):
    """Who wrote the text: the role of its message, or where else in the request it stood."""

    SYSTEM = "system"
    USER = "user"
    ASSISTANT = "assistant"
    TOOL = "tool"
    DOCUMENT = "document"
    OTHER = "other"


class Direction(StrEnum):
    """Towards the model, or back from it."""

    REQUEST = "request"
    RESPONSE = "response"


class Scope(StrEnum):
    """How far the same value has the same stand-in, the narrowest first."""

    REQUEST = "request"
    CONVERSATION = "conversation"
    TENANT = "tenant"


DENY_LIST: Final = "DENY_LIST"
DEFAULT_THRESHOLD: Final = 0.5
MEDIA: Final = frozenset({"image", "audio", "video", "file"})
ANY_SOURCE: Final = frozenset(Source)
ANY_DIRECTION: Final = frozenset(Direction)
USUAL_DIRECTIONS: Final = frozenset({Direction.REQUEST})
"""What a model says that nobody told it is looked at where a rule asks for it: a whole answer is held for that."""


@dataclass(frozen=True, slots=True)
class Entity:
    """One detected piece of personal data: `start` and `end` in code points of the original, `score` from 0 to 1."""

    type: str
    start: int
    end: int
    score: float


@dataclass(frozen=True, slots=True)
class TypeRule:
    """What a policy says about one type. `allow` holds case-folded texts, `deny` words that are always this type."""

    action: Action = Action.PLACEHOLDER
    threshold: float = DEFAULT_THRESHOLD
    directions: frozenset[Direction] = USUAL_DIRECTIONS
    sources: frozenset[Source] = ANY_SOURCE
    allow: frozenset[str] = frozenset()
    deny: tuple[str, ...] = ()

    def covers(self, source: Source, direction: Direction) -> bool:
        """Whether the rule acts on text of this source in this direction; elsewhere the type passes."""
        return self.action is not Action.ALLOW and source in self.sources and direction in self.directions


@dataclass(frozen=True, slots=True)
class PiiRules:
    """The rules of one policy for personal data. Frozen and hashable; looking a type up costs a dictionary access."""

    types: tuple[tuple[str, TypeRule], ...] = ()
    default: TypeRule = TypeRule()
    allow: frozenset[str] = frozenset()
    deny: tuple[str, ...] = ()
    media: frozenset[str] = frozenset()
    scope: Scope = Scope.REQUEST
    _by_type: Mapping[str, TypeRule] = field(init=False, repr=False, compare=False)
    _deny: Callable[[str], list[Entity]] | None = field(init=False, repr=False, compare=False)
    #: whether a verdict depends on nothing but what was found; and the verdicts given so far (see `masking.judge`)
    by_findings: bool = field(init=False, repr=False, compare=False)
    verdicts: dict[Any, Any] = field(init=False, repr=False, compare=False)
    #: whether any rule is about what a model says
    answers: bool = field(init=False, repr=False, compare=False)

    def __post_init__(self) -> None:
        object.__setattr__(self, "_by_type", dict(self.types))
        words = tuple((kind, word) for kind, rule in self.types for word in rule.deny) + tuple(
            (DENY_LIST, word) for word in self.deny
        )
        object.__setattr__(self, "_deny", _word_finder(words) if words else None)
        lists = self.allow or words or any(rule.allow for rule in (self.default, *self._by_type.values()))
        object.__setattr__(self, "by_findings", not lists)
        object.__setattr__(self, "verdicts", {})
        rules = (self.default, *self._by_type.values())
        answers = any(rule.covers(Source.ASSISTANT, Direction.RESPONSE) for rule in rules)
        object.__setattr__(self, "answers", answers)

    @classmethod
    def parse(cls, document: object) -> PiiRules:
        """The rules that a policy document's `pii` part says; PiiRulesError names the place that is wrong."""
        return _parse(document)

    def rule_for(self, kind: str) -> TypeRule:
        """The rule for an entity type: its own, or the default."""
        return self._by_type.get(kind, self.default)

    @property
    def has_deny_list(self) -> bool:
        """Whether words are looked for that no detector knows."""
        return self._deny is not None

    def denied(self, text: str) -> list[Entity]:
        """The deny-listed words in a text, whole words in any case, with score 1."""
        return self._deny(text) if self._deny else []

    def allows(self, rule: TypeRule, value: str) -> bool:
        """Whether this very value is allow-listed, for its type or for all types."""
        if not self.allow and not rule.allow:
            return False
        folded = value.casefold()
        return folded in self.allow or folded in rule.allow


@lru_cache(maxsize=256)
def _word_finder(words: tuple[tuple[str, str], ...]) -> Callable[[str], list[Entity]]:
    kinds = {word.casefold(): kind for kind, word in words}
    longest_first = sorted((word for _, word in words), key=lambda word: (-len(word), word))
    pattern = re.compile(r"(?<!\w)(?:" + "|".join(map(re.escape, longest_first)) + r")(?!\w)", re.IGNORECASE)

    def find(text: str) -> list[Entity]:
        return [Entity(kinds.get(m[0].casefold(), DENY_LIST), m.start(), m.end(), 1.0) for m in pattern.finditer(text)]

    return find


# --- reading a policy document -----------------------------------------------------------------------------------

_TYPE = re.compile(r"[A-Z][A-Z0-9_]{1,47}")
_RULE_KEYS: Final = ("action", "threshold", "directions", "sources", "allow_list", "deny_list")
_SETTINGS: Final = ("default", "allow_list", "deny_list", "media", "scope")


def _parse(document: object) -> PiiRules:
    entries = _object(document, "pii")
    unknown = sorted(name for name in entries if not _TYPE.fullmatch(name) and name not in _SETTINGS)
    if unknown:
        raise PiiRulesError(
            f"pii: {unknown[0]!r} is neither an entity type (such as EMAIL_ADDRESS) nor one of {', '.join(_SETTINGS)}."
        )
    default = _type_rule(entries.get("default", {}), "pii.default", TypeRule())
    named = {
        name: _type_rule(value, f"pii.{name}", default) for name, value in entries.items() if name not in _SETTINGS
    }
    return PiiRules(
        types=tuple(sorted(named.items())),
        default=default,
        allow=frozenset(word.casefold() for word in _words(entries.get("allow_list", []), "pii.allow_list")),
        deny=_words(entries.get("deny_list", []), "pii.deny_list"),
        media=_choices(entries.get("media", []), "pii.media", MEDIA),
        scope=_scope(entries.get("scope", Scope.REQUEST)),
    )


def _type_rule(value: object, where: str, default: TypeRule) -> TypeRule:
    """One type's rule; what it does not say is taken from the default."""
    entry = _object({"action": value} if isinstance(value, str) else value, where)
    unknown = sorted(set(entry) - set(_RULE_KEYS))
    if unknown:
        raise PiiRulesError(f"{where}: unknown setting {unknown[0]!r}; known are {', '.join(_RULE_KEYS)}.")
    return TypeRule(
        action=_action(entry.get("action", default.action), f"{where}.action"),
        threshold=_threshold(entry.get("threshold", default.threshold), f"{where}.threshold"),
        directions=frozenset(map(Direction, _some(entry, "directions", default.directions, where))),
        sources=frozenset(map(Source, _some(entry, "sources", default.sources, where))),
        allow=frozenset(word.casefold() for word in _words(entry.get("allow_list", []), f"{where}.allow_list")),
        deny=_words(entry.get("deny_list", []), f"{where}.deny_list"),
    )


def _object(value: object, where: str) -> dict[str, Any]:
    if not isinstance(value, dict) or not all(isinstance(name, str) for name in value):
        raise PiiRulesError(f"{where}: must be an object.")
    return value


def _action(value: object, where: str) -> Action:
    if not isinstance(value, str) or value not in Action._value2member_map_:
        raise PiiRulesError(f"{where}: must be one of {', '.join(Action)}, not {_shown(value)}.")
    return Action(value)


def _scope(value: object) -> Scope:
    if not isinstance(value, str) or value not in Scope._value2member_map_:
        raise PiiRulesError(f"pii.scope: must be one of {', '.join(Scope)}, not {_shown(value)}.")
    return Scope(value)


def _threshold(value: object, where: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 <= value <= 1:
        raise PiiRulesError(f"{where}: must be a number from 0 to 1, not {_shown(value)}.")
    return float(value)


def _choices(value: object, where: str, known: frozenset[str]) -> frozenset[str]:
    if not isinstance(value, list) or not all(isinstance(item, str) for item in value):
        raise PiiRulesError(f"{where}: must be a list of {', '.join(sorted(known))}.")
    unknown = sorted(set(value) - known)
    if unknown:
        raise PiiRulesError(f"{where}: {unknown[0]!r} is none of {', '.join(sorted(known))}.")
    return frozenset(value)


def _some(entry: Mapping[str, Any], name: str, default: frozenset[Any], where: str) -> frozenset[str]:
    """A list of sources or directions; an empty one would switch the rule off without saying so."""
    if name not in entry:
        return default
    chosen = _choices(entry[name], f"{where}.{name}", ANY_SOURCE if name == "sources" else ANY_DIRECTION)
    if not chosen:
        raise PiiRulesError(f"{where}.{name}: must not be empty; to let the type pass, set action to 'allow'.")
    return chosen


def _words(value: object, where: str) -> tuple[str, ...]:
    if not isinstance(value, list) or not all(isinstance(item, str) and item.strip() for item in value):
        raise PiiRulesError(f"{where}: must be a list of texts that are not empty.")
    return tuple(dict.fromkeys(value))


def _shown(value: object) -> str:
    """A wrong value for the author of a policy, short enough for a message."""
    text = repr(value)
    return text if len(text) <= 40 else text[:37] + "..."
