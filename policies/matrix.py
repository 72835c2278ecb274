"""The rules for personal data as a matrix, type by source, and back: what the console's editor shows and reads."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, Final

from .errors import RulesError
from .pii.data import DEFAULT_THRESHOLD, Action, Source

DEFAULT: Final = "default"

#: Columns, in the order of a conversation.
SOURCES: Final = tuple(Source)

#: Types that are offered although a policy does not name them; any other can be written by its name.
OFFERED: Final = (
    *("PERSON", "ORGANIZATION", "LOCATION", "STREET_ADDRESS", "EMAIL_ADDRESS", "PHONE_NUMBER", "DATE_TIME"),
    *("IBAN_CODE", "CREDIT_CARD", "CRYPTO", "US_SSN", "IP_ADDRESS", "URL", "SECRET"),
)


#: Parts of a rule that the matrix keeps and does not edit.
REST: Final = {"directions": "only in the", "allow_list": "never", "deny_list": "always"}


@dataclass(frozen=True, slots=True)
class Row:
    """One type. `action` '' means that the policy says nothing of it: the line for everything else holds, and for that
    line the wider policy. `cells` are what happens by source, in the order of SOURCES: an action, `allow` included.
    """

    name: str
    action: str
    threshold: float
    cells: tuple[str, ...]
    locked: bool = False
    rest: tuple[str, ...] = ()  #: what else its rule says: directions, lists

    @property
    def sources(self) -> frozenset[str]:
        """Where the action holds."""
        return frozenset(source for source, cell in zip(SOURCES, self.cells, strict=True) if cell != Action.ALLOW)


@dataclass(frozen=True, slots=True)
class Wanted:
    """What the editor was given for one type."""

    name: str
    action: str
    threshold: float
    sources: frozenset[str]


def rows(pii: Mapping[str, Any]) -> list[Row]:
    """A policy's own matrix: everything else first, then the types that it names, then those that are offered."""
    default = _rule(pii.get(DEFAULT))
    named = sorted(name for name in pii if name.isupper())
    lines = [_row(DEFAULT, pii.get(DEFAULT), {})]
    lines += [_row(name, pii[name], default) for name in named]
    return lines + [_row(name, None, default) for name in OFFERED if name not in pii]


def written(pii: Mapping[str, Any], wanted: Iterable[Wanted]) -> dict[str, Any]:
    """The `pii` section with what the editor says. What it does not show (lists, directions, locks) stays as it was.

    Raises RulesError for a type whose action holds nowhere.
    """
    lines = {line.name: line for line in wanted}
    kept = {name: value for name, value in pii.items() if not (name.isupper() or name == DEFAULT)}
    made: dict[str, Any] = {}
    default: dict[str, Any] = {}
    for name in [DEFAULT, *sorted(set(lines) - {DEFAULT})]:
        line = lines.get(name)
        if line is None or not line.action:
            continue
        made[name] = _written(line, pii.get(name), default)
        if name == DEFAULT:
            default = _rule(made[name])
    return {**made, **kept}


def _rule(value: Any) -> dict[str, Any]:
    if isinstance(value, str):
        return {"action": value}
    return dict(value) if isinstance(value, dict) else {}


def _row(name: str, value: Any, default: Mapping[str, Any]) -> Row:
    rule = _rule(value)
    whole = {"action": str(Action.PLACEHOLDER), **default, **rule}
    sources = whole.get("sources", SOURCES)
    cells = tuple(whole["action"] if source in sources else str(Action.ALLOW) for source in SOURCES)
    rest = tuple(f"{title}: {', '.join(rule[part])}" for part, title in REST.items() if part in rule)
    action = "" if value is None else whole["action"]
    return Row(name, action, whole.get("threshold", DEFAULT_THRESHOLD), cells, rule.get("locked") is True, rest)


def _written(line: Wanted, before: Any, default: Mapping[str, Any]) -> Any:
    rule = {**_rule(before), "action": line.action}
    _set(rule, "threshold", line.threshold, default.get("threshold", DEFAULT_THRESHOLD))
    if line.action == Action.ALLOW:
        rule.pop("sources", None)
    elif not line.sources:
        raise RulesError(f"{line.name} is acted on nowhere: tick a source, or choose “allow” for it.")
    else:
        usual = frozenset(default.get("sources", SOURCES))
        _set(rule, "sources", [str(source) for source in SOURCES if source in line.sources], usual, line.sources)
    return rule["action"] if len(rule) == 1 else rule


def _set(rule: dict[str, Any], name: str, value: Any, usual: Any, compared: Any = None) -> None:
    """Says a value only where it is not what holds without saying it."""
    if (value if compared is None else compared) == usual:
        rule.pop(name, None)
    else:
        rule[name] = value
