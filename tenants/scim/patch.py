"""SCIM's PATCH (RFC 7644, 3.5.2): operations on what may be written of a resource, which is changed in a copy.

Written for what providers send as well: operations in capitals, paths as names within a value, members to be removed
named in `value`, an `add` to a value that is not there yet (`emails[type eq "work"].value`).
"""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import dataclass
from typing import Any

from .attributes import Attribute, Kind
from .errors import Invalid, invalid_path, invalid_value
from .filters import Both, Compare, Node, matches, parse

SCHEMA = "urn:ietf:params:scim:api:messages:2.0:PatchOp"
MOST_OPERATIONS = 1_000

#: What a value may hold of a resource as it was read, and what stays as it is.
_READ = frozenset({"id", "meta", "schemas", "groups"})


@dataclass(frozen=True, slots=True)
class Target:
    """What a path points at: an attribute, of its values those that fit, and a part of these."""

    attribute: Attribute
    condition: Node | None = None
    part: Attribute | None = None


def target_of(path: str, kind: Kind) -> Target | None:
    """What a path points at; None for an attribute that is not kept. Raises Invalid."""
    before, bracket, rest = path.strip().partition("[")
    names = kind.split(before)
    if not names:
        return None
    attribute = kind.find(names[0])
    assert attribute is not None
    if not bracket:
        return Target(attribute, part=attribute.part(names[1]) if len(names) > 1 else None)
    condition, bracket, after = rest.rpartition("]")
    part = attribute.part(after[1:]) if after.startswith(".") else None
    if not bracket or len(names) > 1 or not attribute.multi or (after and part is None):
        raise invalid_path(f'{path[:100]!r} is no path to an attribute\'s values, as emails[type eq "work"].value is.')
    return Target(attribute, parse(condition, kind, attribute.name), part)


def apply(operations: Any, resource: Mapping[str, Any], kind: Kind) -> dict[str, Any]:
    """The resource after all operations, of which one that fails undoes all. Raises Invalid."""
    if not isinstance(operations, list) or not operations:
        raise Invalid("A PATCH has a list `Operations` with one or more of them.")
    if len(operations) > MOST_OPERATIONS:
        raise Invalid(f"A PATCH has at most {MOST_OPERATIONS:,} operations.", "tooMany")
    after = deepcopy(dict(resource))
    for operation in operations:
        if not isinstance(operation, dict):
            raise Invalid("An operation is an object with `op`, `path` and `value`.")
        word, path = str(operation.get("op", "")).lower(), operation.get("path")
        if word not in ("add", "remove", "replace"):
            raise Invalid("`op` is add, remove or replace.")
        if path is not None and not isinstance(path, str):
            raise invalid_path("`path` is a string.")
        if path:
            _one(after, word, path, operation.get("value"), kind)
        else:
            _all(after, word, operation.get("value"), kind)
    return after


def _all(after: dict[str, Any], word: str, value: Any, kind: Kind) -> None:
    """An operation without a path: its value is a piece of a resource, or paths with their values."""
    if word == "remove":
        raise Invalid("A removal says by its `path` what is removed.", "noTarget")
    if not isinstance(value, dict):
        raise invalid_value("Without a `path`, `value` is an object.")
    for path, one in value.items():
        if path.lower() not in _READ:
            _one(after, word, path, one, kind)


def _one(after: dict[str, Any], word: str, path: str, value: Any, kind: Kind) -> None:
    target = target_of(path, kind)
    if target is None or target.attribute.name == "schemas":
        return
    if target.attribute.mutability == "readOnly":
        raise Invalid(f"{target.attribute.name} is not changed from outside.", "mutability")
    if target.attribute.multi:
        _change_values(after, word, target, value)
    elif target.attribute.parts:
        _change_parts(after, word, target, value)
    else:
        _set(after, target.attribute.name, None if word == "remove" else value)


def _set(where: dict[str, Any], name: str, value: Any) -> None:
    """Null is the same as not there (RFC 7643, 2.5)."""
    if value is None:
        where.pop(name, None)
    else:
        where[name] = value


def _change_parts(after: dict[str, Any], word: str, target: Target, value: Any) -> None:
    """A complex attribute with one value: given parts are set, others stay."""
    name = target.attribute.name
    if target.part is not None:
        _set(after.setdefault(name, {}), target.part.name, None if word == "remove" else value)
    elif word == "remove" or value is None:
        after.pop(name, None)
    else:
        after.setdefault(name, {}).update(_piece(target.attribute, value))


def _piece(attribute: Attribute, value: Any) -> dict[str, Any]:
    """A value by the names of its parts; a bare one is the part `value`."""
    if isinstance(value, str) and attribute.part("value"):
        return {"value": value}
    if not isinstance(value, dict):
        raise invalid_value(f"A value of {attribute.name} is an object.")
    parts = {name: attribute.part(name) for name in value}
    return {part.name: value[name] for name, part in parts.items() if part is not None}


def _pieces(attribute: Attribute, value: Any) -> list[dict[str, Any]]:
    return [_piece(attribute, one) for one in (value if isinstance(value, list) else [value])]


def _change_values(after: dict[str, Any], word: str, target: Target, value: Any) -> None:
    attribute, found = target.attribute, after.setdefault(target.attribute.name, [])
    if target.condition is None and target.part is None:
        after[attribute.name] = _whole(word, attribute, found, value)
        return
    chosen = _chosen(found, target.condition)
    if word == "remove" and target.part is None:
        gone = {id(one) for one in chosen}
        after[attribute.name] = [one for one in found if id(one) not in gone]
        return
    if word != "remove" and not chosen:
        if word == "replace":
            raise Invalid(f"No value of {attribute.name} is as the path says.", "noTarget")
        chosen = [_implied(target.condition)]
        found.extend(chosen)
    for one in chosen:
        if target.part is not None:
            _set(one, target.part.name, None if word == "remove" else value)
        else:
            one.update(_piece(attribute, value))
    after[attribute.name] = _one_first(found, chosen)


def _chosen(found: list[dict[str, Any]], condition: Node | None) -> list[dict[str, Any]]:
    """The values that are as a condition says; one of a large group's members is found quickly."""
    match condition:
        case None:
            return list(found)
        case Compare(("value",), "eq", str(value)):
            wanted = value.lower()
            return [one for one in found if _name(one) == wanted]
    return [one for one in found if matches(condition, one)]


def _whole(word: str, attribute: Attribute, found: list[dict[str, Any]], value: Any) -> list[dict[str, Any]]:
    """All values of an attribute, with some more, without some, or others in their place."""
    if word == "remove" and value is None:
        return []
    given = [] if value is None else _pieces(attribute, value)
    if word == "replace":
        return given
    named = {_name(one) for one in given}
    if word == "remove":
        return [one for one in found if _name(one) not in named]
    there = {_name(one): one for one in found}
    for one in given:
        if _name(one) in there:
            there[_name(one)].update(one)
    fresh = {_name(one): one for one in given if _name(one) not in there}
    return _one_first([*found, *fresh.values()], given)


def _name(piece: Mapping[str, Any]) -> str:
    return str(piece.get("value", "")).lower()


def _one_first(found: list[dict[str, Any]], changed: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """A value that becomes the primary one ends another's being it (RFC 7644, 3.5.2)."""
    first = [_name(one) for one in changed if str(one.get("primary", "")).lower() == "true"]
    if not first:
        return found
    return [{**one, "primary": False} if "primary" in one and _name(one) not in first else one for one in found]


def _implied(condition: Node | None) -> dict[str, Any]:
    """A value that is as a condition says. Raises Invalid for a condition that does not say how."""
    match condition:
        case None:
            return {}
        case Both(left, right):
            return {**_implied(left), **_implied(right)}
        case Compare((name,), "eq", value):
            return {name: value}
    raise Invalid("No value is as the path says, and the path does not say how one would be.", "noTarget")


__all__ = ["SCHEMA", "apply", "target_of"]
