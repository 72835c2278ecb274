"""The small expression tree over document metadata, compiled to parameterised SQL.

    {"year": 2020}                              equal (or, where the document has a list, one of its elements)
    {"year": {"gte": 2018, "lt": 2021}}         eq ne gt gte lt lte in exists, all of those given
    {"and": […]}, {"or": […]}, {"not": {…}}

A dot looks into nested objects. Numbers compare with numbers, strings with strings (so ISO dates work); a missing field
fulfils nothing but `ne`, `exists: false` and equality with null. So `not` is always the exact opposite.
"""

from __future__ import annotations

import json
import math
import re
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any

from .errors import FilterError

MOST_CONDITIONS, MOST_DEPTH, MOST_VALUES, MOST_CHARACTERS = 64, 8, 500, 1_000

_COMPARISONS = {"gt": ">", "gte": ">=", "lt": "<", "lte": "<="}

# Every template is total: it gives true or false, never null. `value` is the field's jsonb.
_ONE_OF = (
    "coalesce({value} = any({given}::jsonb[]) or exists (select from jsonb_array_elements(case jsonb_typeof({value}) "
    "when 'array' then {value} else '[]' end) element where element = any({given}::jsonb[])), false)"
)
_IS_NULL = "coalesce({value}, 'null') = 'null'::jsonb"
_EXISTS = "{value} is not null"
_NUMBER = "coalesce(case jsonb_typeof({value}) when 'number' then {value}::numeric {sign} {given}::numeric end, false)"
_STRING = (
    "coalesce(case jsonb_typeof({value}) when 'string' "
    "then ({value} #>> '{{}}') collate \"C\" {sign} {given}::text end, false)"
)
_FIELD = "(d.metadata -> {name}::text)"
_NESTED = "coalesce(d.metadata -> {name}::text, d.metadata #> {path}::text[])"


#: What PostgreSQL's text cannot hold.
_IMPOSSIBLE = re.compile(r"[\0\ud800-\udfff]")


@dataclass(frozen=True, slots=True)
class Condition:
    """A condition on `retrieval_document d`: SQL with named placeholders, and their values."""

    sql: str
    values: dict[str, Any]


def compile_filter(expression: Mapping[str, Any]) -> Condition:
    """The SQL of an expression. Raises FilterError, whose message names the place."""
    compiler = _Compiler()
    return Condition(compiler.expression(expression, "filter", 0), compiler.values)


class _Compiler:
    """Collects the values; every method returns SQL made of the templates and placeholders alone."""

    def __init__(self) -> None:
        self.values: dict[str, Any] = {}
        self._conditions = 0

    def expression(self, node: Any, place: str, depth: int) -> str:
        if not isinstance(node, Mapping):
            raise FilterError(f"{place} must be an object.")
        if not node:
            raise FilterError(f"{place} is empty.")
        if depth > MOST_DEPTH:
            raise FilterError(f"The filter is nested deeper than {MOST_DEPTH}.")
        return _all([self._member(key, value, place, depth) for key, value in node.items()])

    def _member(self, key: str, value: Any, place: str, depth: int) -> str:
        if key == "not":
            return f"not ({self.expression(value, f'{place}.not', depth + 1)})"
        if key in ("and", "or"):
            if not isinstance(value, list) or not value:
                raise FilterError(f"{place}.{key} must be a list that is not empty.")
            parts = [self.expression(part, f"{place}.{key}", depth + 1) for part in value]
            return _all(parts) if key == "and" else _any(parts)
        return self._field(key, value)

    def _field(self, name: str, wanted: Any) -> str:
        self._check_text(name, "A field's name")
        if not isinstance(wanted, Mapping):
            return self._condition(name, "eq", wanted)
        if not wanted:
            raise FilterError(f"The condition on {name} is empty.")
        return _all([self._condition(name, operator, value) for operator, value in wanted.items()])

    def _condition(self, name: str, operator: str, wanted: Any) -> str:
        self._conditions += 1
        if self._conditions > MOST_CONDITIONS:
            raise FilterError(f"The filter has more than {MOST_CONDITIONS} conditions.")
        value = self._value(name)
        if operator in _COMPARISONS:
            return self._comparison(name, operator, value, wanted)
        build: Callable[[str, str, Any], str] | None = {
            "eq": self._equal,
            "ne": lambda *given: f"not ({self._equal(*given)})",
            "in": self._one_of,
            "exists": self._exists,
        }.get(operator)
        if build is None:
            raise FilterError(f"{_short(operator)} is not an operator; use eq, ne, gt, gte, lt, lte, in or exists.")
        return build(name, value, wanted)

    def _value(self, name: str) -> str:
        if "." not in name:
            return _FIELD.format(name=self._given(name))
        return _NESTED.format(name=self._given(name), path=self._given(name.split(".")))

    def _equal(self, name: str, value: str, wanted: Any) -> str:
        if wanted is None:
            return _IS_NULL.format(value=value)
        return _ONE_OF.format(value=value, given=self._given([self._scalar(name, wanted)]))

    def _one_of(self, name: str, value: str, wanted: Any) -> str:
        if not isinstance(wanted, list) or len(wanted) > MOST_VALUES:
            raise FilterError(f"`in` of {name} must be a list of at most {MOST_VALUES} values.")
        found = [
            _ONE_OF.format(value=value, given=self._given([self._scalar(name, w) for w in wanted if w is not None]))
        ]
        return _any([*found, _IS_NULL.format(value=value)] if None in wanted else found)

    def _exists(self, name: str, value: str, wanted: Any) -> str:
        if not isinstance(wanted, bool):
            raise FilterError(f"`exists` of {name} must be true or false.")
        return _EXISTS.format(value=value) if wanted else f"not ({_EXISTS.format(value=value)})"

    def _comparison(self, name: str, operator: str, value: str, wanted: Any) -> str:
        self._scalar(name, wanted)
        if isinstance(wanted, bool) or wanted is None:
            raise FilterError(f"`{operator}` of {name} needs a number or a string.")
        template = _STRING if isinstance(wanted, str) else _NUMBER
        return template.format(value=value, sign=_COMPARISONS[operator], given=self._given(wanted))

    def _scalar(self, name: str, wanted: Any) -> str:
        """A value as JSON."""
        if isinstance(wanted, str):
            self._check_text(wanted, f"The value of {name}")
        elif isinstance(wanted, float) and not math.isfinite(wanted):
            raise FilterError(f"The value of {name} must be finite.")
        elif isinstance(wanted, int) and abs(wanted) > 10**30:
            raise FilterError(f"The value of {name} is too large.")
        elif wanted is not None and not isinstance(wanted, (int, float)):
            raise FilterError(f"The value of {name} must be a string, a number, true, false or null.")
        return json.dumps(wanted)

    def _check_text(self, text: Any, what: str) -> None:
        if not isinstance(text, str) or _IMPOSSIBLE.search(text):
            raise FilterError(f"{what} holds characters that no document can have.")
        if len(text) > MOST_CHARACTERS:
            raise FilterError(f"{what} is longer than {MOST_CHARACTERS} characters.")

    def _given(self, value: Any) -> str:
        """The placeholder of a value."""
        name = f"filter{len(self.values)}"
        self.values[name] = value
        return f"%({name})s"


def _all(parts: list[str]) -> str:
    return "(" + " and ".join(parts) + ")"


def _any(parts: list[str]) -> str:
    return "(" + " or ".join(parts) + ")"


def _short(text: Any) -> str:
    return repr(str(text)[:40])
