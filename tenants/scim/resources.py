"""Users and groups on the outside: rows as JSON, JSON as the values of rows."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from hashlib import blake2b
from typing import Any
from uuid import UUID

from django.core.exceptions import ValidationError
from django.core.validators import validate_email

from tenants.models import ScimGroup, ScimUser

from . import filters
from .attributes import GROUP, USER, Attribute, Kind
from .errors import Invalid, invalid_path, invalid_value

LONGEST, LONGEST_ADDRESS = 255, 254  #: characters
MOST_EMAILS = 20
MOST_MEMBERS = 20_000

Address = Callable[[str, Any], str]  #: a kind's endpoint and an id -> the address of the resource


# -- what may be written of a resource --------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class UserValues:
    """What an identity provider says of a person. `address` is the one by which they are known here, '' for none."""

    user_name: str
    external_id: str
    display_name: str
    formatted: str
    given_name: str
    family_name: str
    emails: list[dict[str, Any]]
    active: bool

    @property
    def address(self) -> str:
        return address_of(self.user_name, self.emails)

    @property
    def name(self) -> str:
        """The name of a person who is new to the installation."""
        parts = f"{self.given_name} {self.family_name}".strip()
        return (self.display_name or self.formatted or parts)[:200]


@dataclass(frozen=True, slots=True)
class GroupValues:
    display_name: str
    external_id: str
    members: frozenset[UUID]


def address_of(user_name: str, emails: Iterable[Mapping[str, Any]]) -> str:
    """The primary address, else the one for work, else the first, else a user name that is one; in lower case."""
    ranked = sorted(emails, key=lambda one: (not one.get("primary"), str(one.get("type", "")).lower() != "work"))
    found = next((str(one["value"]) for one in ranked), user_name)
    return found.lower() if _is_address(found) else ""


def _is_address(text: str) -> bool:
    if len(text) > LONGEST_ADDRESS:
        return False
    try:
        validate_email(text)
    except ValidationError:
        return False
    return True


def writable(body: Any, kind: Kind) -> dict[str, Any]:
    """What of a body is kept, by the attributes' own names. What is read-only or forgotten is left out.

    Raises Invalid for a body that is none, or that names another kind's schema.
    """
    if not isinstance(body, dict):
        raise Invalid("The body is a JSON object.")
    schemas = body.get("schemas", [kind.schema])
    if not isinstance(schemas, list) or kind.schema.lower() not in (str(one).lower() for one in schemas):
        raise Invalid(f"`schemas` names {kind.schema}.")
    found = {}
    for name, value in body.items():
        attribute = kind.find(name)
        if attribute is None or attribute.mutability == "readOnly" or attribute.name == "schemas" or value is None:
            continue
        found[attribute.name] = _by_name(attribute, value)
    return found


def _by_name(attribute: Attribute, value: Any) -> Any:
    """A value of a complex attribute by its parts' own names."""
    if attribute.multi:
        return [_by_part(attribute, one) for one in (value if isinstance(value, list) else [value])]
    return _by_part(attribute, value) if attribute.parts else value


def _by_part(attribute: Attribute, value: Any) -> dict[str, Any]:
    if isinstance(value, str) and attribute.part("value"):
        return {"value": value}
    if not isinstance(value, dict):
        raise invalid_value(f"A value of {attribute.name} is an object.")
    named = ((attribute.part(name), one) for name, one in value.items())
    return {part.name: one for part, one in named if part is not None and one is not None}


def user_values(found: Mapping[str, Any]) -> UserValues:
    """What is written of a user, checked. Raises Invalid (invalidValue)."""
    name = found.get("name") or {}
    values = UserValues(
        user_name=_text(found, "userName", required=True),
        external_id=_text(found, "externalId"),
        display_name=_text(found, "displayName"),
        formatted=_text(name, "formatted"),
        given_name=_text(name, "givenName"),
        family_name=_text(name, "familyName"),
        emails=_emails(found.get("emails") or []),
        active=truth("active", found.get("active", True)),
    )
    if values.active and not values.address:
        raise invalid_value(
            "A person is known here by an e-mail address: have `emails` sent, or a `userName` that is one."
        )
    return values


def group_values(found: Mapping[str, Any]) -> GroupValues:
    """What is written of a group, checked. Raises Invalid (invalidValue)."""
    members = found.get("members") or []
    if len(members) > MOST_MEMBERS:
        raise Invalid(f"A group has at most {MOST_MEMBERS:,} members.", "tooMany")
    return GroupValues(
        display_name=_text(found, "displayName", required=True),
        external_id=_text(found, "externalId"),
        members=frozenset(_member(one) for one in members),
    )


def _member(one: Mapping[str, Any]) -> UUID:
    try:
        return UUID(str(one["value"]))
    except (KeyError, ValueError):
        raise invalid_value("A member's `value` is the id of a user.") from None


def _emails(found: list[dict[str, Any]]) -> list[dict[str, Any]]:
    if len(found) > MOST_EMAILS:
        raise Invalid(f"A person has at most {MOST_EMAILS} addresses.", "tooMany")
    return [_email(one) for one in found if one.get("value") not in (None, "")]


def _email(one: Mapping[str, Any]) -> dict[str, Any]:
    value = _text(one, "value")
    if not _is_address(value):
        raise invalid_value(f"{value[:100]!r} is no e-mail address.")
    kept: dict[str, Any] = {"value": value}
    for name in ("display", "type"):
        if said := _text(one, name):
            kept[name] = said
    if "primary" in one:
        kept["primary"] = truth("primary", one["primary"])
    return kept


def _text(found: Any, name: str, *, required: bool = False) -> str:
    value = found.get(name) if isinstance(found, Mapping) else None
    value = "" if value is None else value
    if not isinstance(value, str) or len(value) > LONGEST or not filters.storable(value):
        raise invalid_value(f"{name} is a text of at most {LONGEST} characters.")
    if required and not value.strip():
        raise invalid_value(f"{name} is missing.")
    return value.strip() if required else value


def truth(name: str, value: Any) -> bool:
    """True or false, also as the words that some providers send."""
    word = value.lower() if isinstance(value, str) else value
    if word in (True, "true"):
        return True
    if word in (False, "false"):
        return False
    raise invalid_value(f"{name} is true or false.")


# -- what is shown of a resource --------------------------------------------------------------------------------------


def shown_user(row: ScimUser, address: Address, *, with_groups: bool = True) -> dict[str, Any]:
    """A user; their groups must be at hand, if they are to be shown."""
    name = {"formatted": row.formatted, "familyName": row.family_name, "givenName": row.given_name}
    groups = [
        {
            "value": str(place.group_id),
            "$ref": address("/Groups", place.group_id),
            "display": place.group.display_name,
            "type": "direct",
        }
        for place in (row.groups.all() if with_groups else ())
    ]
    return _without_nothing(
        {
            "schemas": [USER.schema],
            "id": str(row.pk),
            "externalId": row.external_id,
            "userName": row.user_name,
            "name": _without_nothing(name),
            "displayName": row.display_name,
            "emails": row.emails,
            "active": row.membership_id is not None,
            "groups": groups,
            "meta": _meta(USER, row, address),
        }
    )


def shown_group(row: ScimGroup, address: Address, *, with_members: bool = True) -> dict[str, Any]:
    """A group; its members must be at hand, if they are to be shown."""
    members = [
        {
            "value": str(place.user_id),
            "$ref": address("/Users", place.user_id),
            "display": place.user.display_name or place.user.user_name,
            "type": "User",
        }
        for place in (row.members.all() if with_members else ())
    ]
    return _without_nothing(
        {
            "schemas": [GROUP.schema],
            "id": str(row.pk),
            "externalId": row.external_id,
            "displayName": row.display_name,
            "members": members,
            "meta": _meta(GROUP, row, address),
        }
    )


def _without_nothing(found: dict[str, Any]) -> dict[str, Any]:
    """An empty text or list is the same as none (RFC 7643, 2.5)."""
    return {name: value for name, value in found.items() if value not in ("", [], {}, None)}


def _meta(kind: Kind, row: ScimUser | ScimGroup, address: Address) -> dict[str, Any]:
    return {
        "resourceType": kind.name,
        "created": _time(row.created_at),
        "lastModified": _time(row.updated_at),
        "location": address(kind.endpoint, row.pk),
        "version": version(row),
    }


def _time(when: datetime) -> str:
    return when.astimezone(UTC).isoformat().replace("+00:00", "Z")


def version(row: ScimUser | ScimGroup) -> str:
    """The weak ETag of a resource. A membership that somebody ends by hand changes it as well."""
    said = f"{row.updated_at.timestamp()}:{getattr(row, 'membership_id', '')}"
    return f'W/"{blake2b(said.encode(), digest_size=12).hexdigest()}"'


class Projection:
    """Which attributes are asked for (RFC 7644, 3.9)."""

    def __init__(self, kind: Kind, attributes: str = "", excluded: str = "") -> None:
        if attributes and excluded:
            raise invalid_value("Either `attributes` or `excludedAttributes`, not both.")
        self._wanted = _paths(kind, attributes)
        self._excluded = _paths(kind, excluded)
        self._narrow = bool(attributes)

    def shows(self, name: str) -> bool:
        """Whether anything of an attribute is shown."""
        if name in ("schemas", "id"):
            return True
        if self._narrow:
            return any(path[0] == name.lower() for path in self._wanted)
        return (name.lower(),) not in self._excluded

    def of(self, resource: dict[str, Any]) -> dict[str, Any]:
        found = {name: self._parts(name, value) for name, value in resource.items() if self.shows(name)}
        return _without_nothing(found)

    def _parts(self, name: str, value: Any) -> Any:
        lowered = name.lower()
        if isinstance(value, list):
            return [self._parts(name, one) for one in value]
        if not isinstance(value, dict) or (self._narrow and (lowered,) in self._wanted):
            return value
        if self._narrow:
            return {part: one for part, one in value.items() if (lowered, part.lower()) in self._wanted}
        return {part: one for part, one in value.items() if (lowered, part.lower()) not in self._excluded}


def _paths(kind: Kind, text: str) -> set[tuple[str, ...]]:
    """The paths that a list names. Attributes that nobody has are not shown, whatever their name."""
    found = set()
    for path in filter(None, map(str.strip, text.split(","))):
        try:
            found.add(tuple(name.lower() for name in kind.split(path)))
        except Invalid as error:
            if error.word != "invalidPath":
                raise
    return found - {()}


def position(kind: Kind, path: str) -> str:
    """The one-valued attribute that a list is sorted by, in lower case. Raises Invalid."""
    names = kind.split(path)
    found = kind.find(names[0]) if names else None
    if found is None or found.multi or (found.parts and len(names) == 1):
        raise invalid_path(f"Nothing is sorted by {path[:100]!r}.")
    return ".".join(names).lower()
