"""What stands in the console's editor of a policy, and the rules that it means."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from typing import Any, Final

from django.http import QueryDict

from . import matrix
from .errors import RulesError
from .pii.data import DEFAULT_THRESHOLD

_TYPE: Final = re.compile(r"[A-Z][A-Z0-9_]{1,47}")


@dataclass(slots=True)
class Line:
    """One line of the matrix as it is shown; `fresh`: the empty one at the end, whose type is written by hand."""

    name: str
    action: str
    threshold: str
    sources: frozenset[str]
    locked: bool = False
    rest: tuple[str, ...] = ()
    fresh: bool = False

    @property
    def key(self) -> str:
        """What the names of its fields end in."""
        return "" if self.fresh else self.name

    @property
    def title(self) -> str:
        return "Everything else" if self.name == matrix.DEFAULT else self.name

    @property
    def boxes(self) -> list[tuple[str, bool]]:
        """The sources, and whether the action holds there."""
        return [(source, source in self.sources) for source in matrix.SOURCES]


@dataclass(slots=True)
class Given:
    """The editor's fields. `other` is JSON: all that the matrix does not show."""

    lines: list[Line] = field(default_factory=list)
    other: str = "{}"
    name: str = ""
    place: str = ""
    reason: str = ""

    @classmethod
    def of(cls, rules: dict[str, Any]) -> Given:
        """The fields for a document as it is."""
        lines = [
            Line(
                row.name,
                row.action,
                f"{row.threshold:g}",
                row.sources or frozenset(matrix.SOURCES),
                row.locked,
                row.rest,
            )
            for row in matrix.rows(rules.get("pii") or {})
        ]
        return cls([*lines, _fresh()], json.dumps(other_rules(rules), indent=2, ensure_ascii=False))

    @classmethod
    def posted(cls, data: QueryDict) -> Given:
        """The fields as they were sent."""
        lines = [
            Line(
                name,
                data.get(f"action:{name}", ""),
                data.get(f"threshold:{name}", ""),
                frozenset(data.getlist(f"source:{name}")),
            )
            for name in data.getlist("type")
        ]
        fresh = Line(
            data.get("new_type", "").strip().upper(),
            data.get("action:", ""),
            data.get("threshold:", ""),
            frozenset(data.getlist("source:")),
            fresh=True,
        )
        words = (data.get(name, "").strip() for name in ("other", "name", "place", "reason"))
        return cls([*lines, fresh], *words)

    def rules(self, before: dict[str, Any]) -> dict[str, Any]:
        """The document that the fields mean, over the one that was edited. Raises RulesError."""
        rest = _object(self.other)
        section = rest.pop("pii", {})
        if not isinstance(section, dict) or any(not name.islower() or name == matrix.DEFAULT for name in section):
            raise RulesError(
                "Under the other rules, pii holds lists, media and scope alone; types are lines of the matrix."
            )
        named = {name: rule for name, rule in (before.get("pii") or {}).items() if name not in section}
        named = {name: rule for name, rule in named.items() if name.isupper() or name == matrix.DEFAULT}
        pii = matrix.written({**named, **section}, [_wanted(line) for line in self.lines if line.action])
        return {**({"pii": pii} if pii else {}), **rest}


def other_rules(rules: dict[str, Any]) -> dict[str, Any]:
    """All that the matrix does not show."""
    lists = {
        name: value for name, value in (rules.get("pii") or {}).items() if name.islower() and name != matrix.DEFAULT
    }
    rest = {name: value for name, value in rules.items() if name != "pii"}
    return {"pii": lists, **rest} if lists else rest


def _fresh() -> Line:
    return Line("", "", f"{DEFAULT_THRESHOLD:g}", frozenset(matrix.SOURCES), fresh=True)


def _wanted(line: Line) -> matrix.Wanted:
    if line.name != matrix.DEFAULT and not _TYPE.fullmatch(line.name):
        raise RulesError(f"{line.name or 'A line'} needs a type's name in capitals, as EMPLOYEE_NUMBER.")
    try:
        threshold = float(line.threshold or DEFAULT_THRESHOLD)
    except ValueError:
        raise RulesError(f"{line.title}: the score is a number from 0 to 1.") from None
    return matrix.Wanted(line.name, line.action, threshold, line.sources)


def _object(text: str) -> dict[str, Any]:
    try:
        found = json.loads(text or "{}")
    except ValueError as error:
        raise RulesError(f"The other rules are not valid JSON: {error}.") from None
    if not isinstance(found, dict):
        raise RulesError('The other rules must be a JSON object, as {"logging": "metadata"}.')
    return found
