"""The attributes of users and groups that are kept, and those of the RFC that are taken and forgotten.

What people's identity providers know of them and nobody needs here (titles, telephones, addresses, passwords) is not
stored: such attributes are accepted, so that a provider's usual mapping works, and have no effect.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass, field
from typing import Any

from . import errors

CORE = "urn:ietf:params:scim:schemas:core:2.0:"
ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


@dataclass(frozen=True, slots=True)
class Attribute:
    """One attribute, as RFC 7643 (2.2 and 7) describes one. `exact` says that capitals count."""

    name: str
    about: str
    type: str = "string"
    multi: bool = False
    required: bool = False
    exact: bool = False
    mutability: str = "readWrite"
    returned: str = "default"
    uniqueness: str = "none"
    parts: tuple[Attribute, ...] = ()
    words: tuple[str, ...] = ()
    refers_to: tuple[str, ...] = ()

    def part(self, name: str) -> Attribute | None:
        return _named(self.parts, name)

    def shown(self) -> dict[str, Any]:
        """As it stands in a schema."""
        found: dict[str, Any] = {
            "name": self.name,
            "type": self.type,
            "multiValued": self.multi,
            "description": self.about,
            "required": self.required,
            "mutability": self.mutability,
            "returned": self.returned,
        }
        if self.type in ("string", "reference"):
            found |= {"caseExact": self.exact, "uniqueness": self.uniqueness}
        if self.words:
            found["canonicalValues"] = list(self.words)
        if self.refers_to:
            found["referenceTypes"] = list(self.refers_to)
        if self.parts:
            found["subAttributes"] = [part.shown() for part in self.parts]
        return found


def _named(attributes: Iterable[Attribute], name: str) -> Attribute | None:
    return next((one for one in attributes if one.name.lower() == name.lower()), None)


#: What every resource has (RFC 7643, 3.1).
COMMON = (
    Attribute("schemas", "The schemas of this resource.", "reference", multi=True, exact=True, returned="always"),
    Attribute("id", "The id here.", exact=True, mutability="readOnly", returned="always", uniqueness="server"),
    Attribute("externalId", "The id at the identity provider.", exact=True),
    Attribute(
        "meta",
        "About the resource.",
        "complex",
        mutability="readOnly",
        parts=(
            Attribute("resourceType", "User or Group.", exact=True, mutability="readOnly"),
            Attribute("created", "When it was made.", "dateTime", mutability="readOnly"),
            Attribute("lastModified", "When it was changed last.", "dateTime", mutability="readOnly"),
            Attribute("location", "Its address.", "reference", exact=True, mutability="readOnly"),
            Attribute("version", "Its ETag.", exact=True, mutability="readOnly"),
        ),
    ),
)


@dataclass(frozen=True, slots=True)
class Kind:
    """A type of resource. `forgotten` are the RFC's further attributes: accepted, and without effect."""

    name: str
    endpoint: str
    about: str
    attributes: tuple[Attribute, ...]
    forgotten: frozenset[str] = field(default_factory=frozenset)

    @property
    def schema(self) -> str:
        return CORE + self.name

    def find(self, name: str) -> Attribute | None:
        return _named((*COMMON, *self.attributes), name)

    def split(self, path: str) -> list[str]:
        """The names in an attribute's path, without the URN of the kind's own schema; [] for what is forgotten.

        Raises Invalid (invalidPath) for an attribute that RFC 7643 does not know.
        """
        lowered, own = path.lower(), self.schema.lower() + ":"
        if lowered == ENTERPRISE.lower() or lowered.startswith(ENTERPRISE.lower() + ":"):
            return []
        names = (path[len(own) :] if lowered.startswith(own) else path).split(".")
        found = self.find(names[0])
        if found is None and names[0].lower() in self.forgotten:
            return []
        if found is None or len(names) > 2 or (len(names) == 2 and found.part(names[1]) is None):
            raise errors.invalid_path(f"A {self.name} has no attribute {path[:100]!r}.")
        return names


_TYPE = Attribute("type", "What it is for.", words=("work", "home", "other"))

_FORGOTTEN = frozenset(
    {"nickname", "profileurl", "title", "usertype", "preferredlanguage", "locale", "timezone", "password"}
    | {"phonenumbers", "ims", "photos", "addresses", "entitlements", "roles", "x509certificates"}
)

USER = Kind(
    "User",
    "/Users",
    "A person",
    (
        Attribute("userName", "The name at the identity provider.", required=True, uniqueness="server"),
        Attribute(
            "name",
            "The name by its parts.",
            "complex",
            parts=(
                Attribute("formatted", "The whole name."),
                Attribute("familyName", "The family name."),
                Attribute("givenName", "The given name."),
            ),
        ),
        Attribute("displayName", "The name as it is shown."),
        Attribute(
            "emails",
            "E-mail addresses; by the primary one a person is known here. Without any, userName has to be one.",
            "complex",
            multi=True,
            parts=(
                Attribute("value", "The address."),
                Attribute("display", "How it is shown."),
                _TYPE,
                Attribute("primary", "Whether it is the first.", "boolean"),
            ),
        ),
        Attribute("active", "Whether the person is a member of this tenant.", "boolean"),
        Attribute(
            "groups",
            "The person's groups; changed at the groups.",
            "complex",
            multi=True,
            mutability="readOnly",
            parts=(
                Attribute("value", "The group's id.", exact=True, mutability="readOnly"),
                Attribute("$ref", "Its address.", "reference", exact=True, mutability="readOnly", refers_to=("Group",)),
                Attribute("display", "Its name.", mutability="readOnly"),
                Attribute("type", "direct", mutability="readOnly", words=("direct",)),
            ),
        ),
    ),
    _FORGOTTEN,
)

GROUP = Kind(
    "Group",
    "/Groups",
    "A group of people",
    (
        Attribute("displayName", "The group's name.", required=True, uniqueness="server"),
        Attribute(
            "members",
            "Its people.",
            "complex",
            multi=True,
            parts=(
                Attribute("value", "The person's id.", exact=True, mutability="immutable"),
                Attribute(
                    "$ref", "Their address.", "reference", exact=True, mutability="immutable", refers_to=("User",)
                ),
                Attribute("display", "Their name.", mutability="readOnly"),
                Attribute("type", "User", mutability="immutable", words=("User",)),
            ),
        ),
    ),
)

KINDS = {kind.name: kind for kind in (USER, GROUP)}
