"""Who is calling, as the other apps see it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from ipaddress import IPv4Network, IPv6Network
from typing import Any
from uuid import UUID

from .isolation.scope import PLATFORM, Scope
from .roles import may

Network = IPv4Network | IPv6Network

#: which rights on an object let it be seen: whoever may use or change it sees it
SHOWING = ("view", "use", "change")


@dataclass(frozen=True, slots=True)
class Grants:
    """What grants on single objects change for one caller: (kind, object, right). `denied` wins over everything."""

    given: frozenset[tuple[str, UUID, str]] = frozenset()
    denied: frozenset[tuple[str, UUID, str]] = frozenset()

    def shown(self, kind: str) -> frozenset[UUID]:
        """Objects of a kind that are seen by grant."""
        return frozenset(identity for of, identity, right in self.given if of == kind and right in SHOWING)

    def hidden(self, kind: str) -> frozenset[UUID]:
        """Objects of a kind that are not to be seen."""
        return frozenset(identity for of, identity, right in self.denied if of == kind and right == "view")

    def allow(self, kind: str, identity: UUID, verb: str, *, by_role: bool, within: bool = True) -> bool:
        """Whether something may be done to one object: `by_role` or by grant, unless it is denied.

        `within` says that a grant may widen the role here.
        """
        denied = self.denied
        if denied and ((kind, identity, verb) in denied or (kind, identity, "view") in denied):
            return False
        if by_role:
            return True
        verbs = SHOWING if verb == "view" else (verb,)
        return within and any((kind, identity, wanted) in self.given for wanted in verbs)


NO_GRANTS = Grants()


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal of one tenant: a key, or a person. Immutable; a change of rights makes a new one.

    A key's fields are those of its row within what its makers may today (`tenants.bounds`).
    """

    tenant: UUID
    tenant_slug: str
    key: UUID | None
    user: UUID | None
    name: str
    role: str
    clearance: int
    department: UUID | None  #: pays
    department_slug: str
    departments: tuple[UUID, ...] | None  #: whose documents are searched; None means all
    models: frozenset[str] | None = None  #: names the key may call; None means all
    scopes: frozenset[str] | None = None
    rpm: int | None = None
    tpm: int | None = None
    tenant_rpm: int | None = None
    tenant_tpm: int | None = None
    ip_allow: tuple[Network, ...] = ()
    expires_at: float | None = None  #: seconds since 1970
    grants: Grants = field(default=NO_GRANTS, repr=False)
    makers: frozenset[tuple[str, UUID]] = frozenset()  #: keys and people that this key was made by
    subject: str = ""  #: whom a token names; `user` is then the member with that address, else made of the subject
    origin: Any = field(
        default=None, repr=False, compare=False
    )  #: what the token's rights came from (`tenants.tokens.Origin`)
    #: what the token proves of the person and the device, for a policy's conditions
    claims: Mapping[str, Any] | None = field(default=None, repr=False, compare=False)
    confined: bool = False  #: a person whom the tenant's own identity provider has signed in

    @property
    def is_platform(self) -> bool:
        return self.tenant == PLATFORM

    @property
    def actor(self) -> dict[str, str]:
        """How changes and calls are signed in the audit trail."""
        return {"type": self.actor_type, "id": str(self.actor_id or ""), "name": self.name}

    @property
    def actor_type(self) -> str:
        """`key`, `subject` (of a token) or `user`."""
        return "key" if self.key is not None else "subject" if self.subject else "user"

    @property
    def actor_id(self) -> UUID | str | None:
        return self.key or self.subject or self.user

    @property
    def principals(self) -> frozenset[tuple[str, UUID]]:
        """The caller as a key and as the person behind it."""
        both = (("key", self.key), ("user", self.user))
        return frozenset((kind, identity) for kind, identity in both if identity is not None)

    @property
    def belongs_to(self) -> tuple[UUID, ...]:
        """The departments that this caller is of, which for those who see all is the one that pays."""
        own = () if self.department is None else (self.department,)
        return (*own, *(other for other in self.departments or () if other != self.department))

    def may(self, right: str) -> bool:
        """Whether the role has a right and the key's scopes, where it has any, include it."""
        return may(self.role, right) and (self.scopes is None or right in self.scopes)

    def may_on(self, right: str, kind: str, identity: UUID, verb: str) -> bool:
        """Whether this caller may do something to one object: by role or by grant, unless it is denied.

        A grant widens the role, never what the key itself was restricted to.
        """
        within = self.scopes is None or right in self.scopes
        return self.grants.allow(kind, identity, verb, by_role=self.may(right), within=within)

    def may_call(self, model: str, identity: UUID) -> bool:
        """Whether this caller may call a model: by role or by grant, within the key's list of models."""
        if self.models is not None and model not in self.models:
            return False
        # Whoever is signed in to the console calls from its playground.
        signed_in = self.key is None and not self.subject
        return self.may_on("playground.use" if signed_in else "models.call", "model", identity, "use")

    def scope(self, reason: str = "") -> Scope:
        """The scope in which this caller sees the database."""
        return Scope(
            tenant=self.tenant,
            user=self.user,
            departments=self.departments,
            clearance=self.clearance,
            actor=self.actor,
            reason=reason,
            confined=self.confined,
        )


#: (kind of principal, its id) -> what was granted to it, as (kind of object, object, right, deny)
GrantRows = Mapping[tuple[str, UUID], tuple[tuple[str, UUID, str, bool], ...]]
