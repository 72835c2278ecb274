"""SCIM's filters (RFC 7644, 3.4.2.2): read, asked of a resource, and turned into a condition of the database.

A condition may leave more than the filter (`Narrowed.exact` says so): then each row that is left is asked as well.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils.dateparse import parse_datetime

from .attributes import Kind
from .errors import Invalid, invalid_filter

LONGEST = 4_000  #: characters
DEEPEST = 20
OPERATORS = frozenset({"eq", "ne", "co", "sw", "ew", "gt", "ge", "lt", "le"})

Value = str | bool | int | float | None


@dataclass(frozen=True, slots=True)
class Compare:
    """`path operator value`; `pr` has no value. An empty path is an attribute that nobody has."""

    path: tuple[str, ...]
    operator: str
    value: Value = None


@dataclass(frozen=True, slots=True)
class Both:
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Either:
    left: Node
    right: Node


@dataclass(frozen=True, slots=True)
class Not:
    inner: Node


@dataclass(frozen=True, slots=True)
class Within:
    """`emails[…]`: one of the values is as the inner filter says."""

    path: tuple[str, ...]
    inner: Node


Node = Compare | Both | Either | Not | Within


# -- reading ----------------------------------------------------------------------------------------------------------

_TOKEN = re.compile(r'\s*(?:([()\[\]])|("(?:[^"\\]|\\.)*")|([^\s()\[\]"]+))')


def parse(text: str, kind: Kind, within: str = "") -> Node:
    """A filter on resources of a kind or, with `within`, on the values of one attribute. Raises Invalid."""
    if len(text) > LONGEST:
        raise invalid_filter(f"A filter has at most {LONGEST:,} characters.")
    reader = _Reader(list(_tokens(text)), kind, within)
    found = reader.either(0)
    if reader.rest():
        raise invalid_filter(f"The filter goes on where it should have ended: {reader.rest()!r}.")
    return found


def _tokens(text: str) -> Iterator[str]:
    place, text = 0, text.rstrip()
    while place < len(text):
        match = _TOKEN.match(text, place)
        if match is None:
            raise invalid_filter("A quotation mark is missing in the filter.")
        yield match[1] or match[2] or match[3]
        place = match.end()


class _Reader:
    """Reads by descent: `or` binds least, then `and`, then `not (…)`."""

    def __init__(self, tokens: list[str], kind: Kind, within: str) -> None:
        self._tokens, self._kind, self._within, self._place = tokens, kind, within, 0

    def rest(self) -> str:
        return " ".join(self._tokens[self._place :])[:100]

    def either(self, depth: int) -> Node:
        found = self._both(depth)
        while self._takes("or"):
            found = Either(found, self._both(depth))
        return found

    def _both(self, depth: int) -> Node:
        found = self._term(depth)
        while self._takes("and"):
            found = Both(found, self._term(depth))
        return found

    def _term(self, depth: int) -> Node:
        if depth > DEEPEST:
            raise invalid_filter(f"A filter has at most {DEEPEST} brackets within each other.")
        if self._takes("not"):
            self._must("(")
            return Not(self._closed(")", depth))
        if self._takes("("):
            return self._closed(")", depth)
        name = self._next("an attribute")
        if self._takes("["):
            if self._within:
                raise invalid_filter("Square brackets do not stand within each other.")
            return self._valued(name, depth)
        path = self._path(name)
        operator = self._next("an operator").lower()
        if operator == "pr":
            return Compare(path, operator)
        if operator not in OPERATORS:
            raise invalid_filter(f"There is no operator {operator[:20]!r}.")
        return Compare(path, operator, self._value(self._next("a value")))

    def _valued(self, name: str, depth: int) -> Node:
        path = self._path(name)
        self._within = path[0] if path else "emails"
        inner = self._closed("]", depth)
        self._within = ""
        return Within(path, inner)

    def _closed(self, bracket: str, depth: int) -> Node:
        found = self.either(depth + 1)
        self._must(bracket)
        return found

    def _path(self, name: str) -> tuple[str, ...]:
        """The path in lower case. Within an attribute's values names are those of its parts."""
        if not re.fullmatch(r"[\w$.:-]+", name):
            raise invalid_filter(f"{name[:100]!r} is no attribute.")
        try:
            names = self._kind.split(f"{self._within}.{name}" if self._within else name)
        except Invalid as error:
            raise invalid_filter(str(error)) from error
        return tuple(one.lower() for one in (names[1:] if self._within else names))

    def _value(self, token: str) -> Value:
        try:
            value = json.loads(token if token.startswith('"') else token.lower())
        except ValueError:
            raise invalid_filter(f"{token[:100]!r} is no value: strings stand in quotation marks.") from None
        if isinstance(value, list | dict) or (isinstance(value, str) and not storable(value)):
            raise invalid_filter("A value is a string, a number, true, false or null.")
        found: Value = value
        return found

    def _next(self, what: str) -> str:
        if self._place >= len(self._tokens):
            raise invalid_filter(f"The filter ends where {what} should be.")
        self._place += 1
        return self._tokens[self._place - 1]

    def _takes(self, word: str) -> bool:
        if self._place < len(self._tokens) and self._tokens[self._place].lower() == word:
            self._place += 1
            return True
        return False

    def _must(self, word: str) -> None:
        if not self._takes(word):
            raise invalid_filter(f"The filter lacks {word!r}.")


def storable(text: str) -> bool:
    """Whether the database can hold a text: neither a null character nor half of a character."""
    try:
        text.encode()
    except UnicodeError:
        return False
    return "\0" not in text


# -- asked of a resource ----------------------------------------------------------------------------------------------

#: Attributes whose capitals count; all other strings are compared without.
EXACT = frozenset({"id", "externalid", "members.value", "groups.value", "meta.version"})


def matches(node: Node, resource: Mapping[str, Any]) -> bool:
    """Whether a resource, or one value of an attribute, is as a filter says."""
    match node:
        case Both(left, right):
            return matches(left, resource) and matches(right, resource)
        case Either(left, right):
            return matches(left, resource) or matches(right, resource)
        case Not(inner):
            return not matches(inner, resource)
        case Within(path, inner):
            return any(isinstance(one, dict) and matches(inner, one) for one in _values(resource, path))
        case Compare(path, operator, value):
            return _compare(".".join(path), operator, value, list(_values(resource, path)))


def _values(resource: Mapping[str, Any], path: tuple[str, ...]) -> Iterator[Any]:
    """What stands at a path; of a list, all of it."""
    if not path:
        return
    found = next((value for name, value in resource.items() if name.lower() == path[0]), None)
    for one in found if isinstance(found, list) else [found]:
        if len(path) > 1:
            yield from _values(one, path[1:]) if isinstance(one, dict) else ()
        elif one not in (None, ""):
            yield one


def _compare(name: str, operator: str, value: Value, found: list[Any]) -> bool:
    plain = [one.get("value") if isinstance(one, dict) and "value" in one else one for one in found]
    if operator == "pr":
        return bool(plain)
    if operator == "ne":
        return not _compare(name, "eq", value, found)
    if value is None:
        return operator == "eq" and not plain
    return any(_holds(operator, *_folded(name, one, value)) for one in plain)


def _folded(name: str, one: Any, value: Value) -> tuple[Any, Any]:
    if name in ("meta.created", "meta.lastmodified"):
        return moment(one), moment(value)
    if isinstance(one, str) and isinstance(value, str) and name not in EXACT:
        return one.lower(), value.lower()
    return one, value


_ON_STRINGS: dict[str, Callable[[str, str], bool]] = {
    "co": lambda one, value: value in one,
    "sw": lambda one, value: one.startswith(value),
    "ew": lambda one, value: one.endswith(value),
}
_IN_ORDER: dict[str, Callable[[Any, Any], bool]] = {
    "gt": lambda one, value: one > value,
    "ge": lambda one, value: one >= value,
    "lt": lambda one, value: one < value,
    "le": lambda one, value: one <= value,
}


def _holds(operator: str, one: Any, value: Any) -> bool:
    if type(one) is not type(value):
        return False
    if operator == "eq":
        return bool(one == value)
    if operator in _ON_STRINGS:
        return isinstance(one, str) and _ON_STRINGS[operator](one, value)
    if isinstance(one, bool | dict):
        raise invalid_filter(f"The operator {operator} is for values that have an order.")
    return _IN_ORDER[operator](one, value)


def moment(value: Any) -> datetime:
    """A time of a filter. Raises Invalid."""
    try:
        found = parse_datetime(value) if isinstance(value, str) else None
    except ValueError:
        found = None
    if found is None:
        raise invalid_filter("A time is written as 2026-11-20T12:00:00Z.")
    return found if found.tzinfo else found.replace(tzinfo=UTC)


# -- asked of the database --------------------------------------------------------------------------------------------

ALL, NONE = Q(pk__isnull=False), Q(pk__in=())


@dataclass(frozen=True, slots=True)
class Narrowed:
    """A condition on rows; unless it is `exact`, it leaves rows that the filter does not."""

    condition: Q
    exact: bool = True


#: How a comparison with one attribute becomes a condition; None where it cannot be told.
Column = Callable[[str, Value], Narrowed | None]


def narrowed(node: Node, columns: Mapping[str, Column]) -> Narrowed:
    """A filter as a condition on rows whose attributes are found by `columns`."""
    match node:
        case Both(left, right):
            one, other = narrowed(left, columns), narrowed(right, columns)
            return Narrowed(one.condition & other.condition, one.exact and other.exact)
        case Either(left, right):
            one, other = narrowed(left, columns), narrowed(right, columns)
            return Narrowed(one.condition | other.condition, one.exact and other.exact)
        case Not(inner):
            one = narrowed(inner, columns)
            return Narrowed(~one.condition) if one.exact else Narrowed(ALL, exact=False)
        case Within():
            return Narrowed(ALL, exact=False)
        case Compare(path, operator, value):
            column = columns.get(".".join(path))
            found = None if column is None else column(operator, value)
            return Narrowed(ALL, exact=False) if found is None else found


def text(column: str, *, exact: bool = False) -> Column:
    """A column of text; without a value it is empty."""
    insensitive = "" if exact else "i"
    lookups = {"eq": f"{insensitive}exact", "co": "contains", "sw": "startswith", "ew": "endswith"}
    lookups |= {name: insensitive + lookups[name] for name in ("co", "sw", "ew")}

    def condition(operator: str, value: Value) -> Narrowed | None:
        if operator == "pr":
            return Narrowed(~Q(**{column: ""}))
        if operator not in ("ne", *lookups) or not isinstance(value, str):
            return None
        if value == "":
            return None
        same = Q(**{f"{column}__{lookups.get(operator, lookups['eq'])}": value})
        return Narrowed(~same if operator == "ne" else same)

    return condition


def identity(rows: Callable[[UUID], Q]) -> Column:
    """An id, and the rows that have it."""

    def condition(operator: str, value: Value) -> Narrowed | None:
        if operator != "eq" or not isinstance(value, str):
            return None
        try:
            return Narrowed(rows(UUID(value)), exact=False)
        except ValueError:
            return Narrowed(NONE)

    return condition


def time(column: str) -> Column:
    lookups = {"eq": "exact", "gt": "gt", "ge": "gte", "lt": "lt", "le": "lte"}

    def condition(operator: str, value: Value) -> Narrowed | None:
        return Narrowed(Q(**{f"{column}__{lookups[operator]}": moment(value)})) if operator in lookups else None

    return condition


def present(column: str) -> Column:
    """Whether there is something in a column, as true or false."""

    def condition(operator: str, value: Value) -> Narrowed | None:
        if operator not in ("eq", "ne") or not isinstance(value, bool):
            return None
        return Narrowed(Q(**{f"{column}__isnull": value is (operator == "ne")}))

    return condition


def somewhere_in(column: str) -> Column:
    """A column of JSON, in whose text the value must be: which rows these are is to be asked of each."""

    def condition(operator: str, value: Value) -> Narrowed | None:
        if (
            operator not in ("eq", "co", "sw", "ew")
            or not isinstance(value, str)
            or json.dumps(value, ensure_ascii=False)[1:-1] != value
        ):
            return None  # another operator, or a text that JSON writes otherwise
        return Narrowed(Q(**{f"{column}__icontains": value}), exact=False)

    return condition
