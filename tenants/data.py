"""Who is calling, as the other apps see it."""

from __future__ import annotations

from dataclasses import dataclass
from ipaddress import IPv4Network, IPv6Network
from uuid import UUID

from .isolation.scope import PLATFORM, Scope
from .roles import may


@dataclass(frozen=True, slots=True)
class Caller:
    """A principal of one tenant: a key, or a person. Immutable; a change of rights makes a new one."""

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
    ip_allow: tuple[IPv4Network | IPv6Network, ...] = ()
    expires_at: float | None = None  #: seconds since 1970

    @property
    def is_platform(self) -> bool:
        return self.tenant == PLATFORM

    @property
    def actor(self) -> dict[str, str]:
        """How changes and calls are signed in the audit trail."""
        if self.key is not None:
            return {"type": "key", "id": str(self.key), "name": self.name}
        return {"type": "user", "id": str(self.user or ""), "name": self.name}

    def may(self, right: str) -> bool:
        """Whether the role has a right and the key's scopes, where it has any, include it."""
        return may(self.role, right) and (self.scopes is None or right in self.scopes)

    def scope(self, reason: str = "") -> Scope:
        """The scope in which this caller sees the database."""
        return Scope(
            tenant=self.tenant,
            user=self.user,
            departments=self.departments,
            clearance=self.clearance,
            actor=self.actor,
            reason=reason,
        )
