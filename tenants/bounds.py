"""The most that a key may: what its own row says, within what those who made it may today.

A key is made by a person or by another key, and can never do more than they: when a maker is demoted, so is the key,
and when a maker is gone (revoked, expired, no longer a member), so is the key. Keys that set-up or the platform made
have no maker here. Whoever replaces a key by a new one hands what it made to the new one.
"""

from __future__ import annotations

from collections.abc import Collection, Iterable, Mapping
from dataclasses import dataclass, replace
from ipaddress import ip_network
from typing import Any
from uuid import UUID

from .data import NO_GRANTS, Caller, GrantRows, Grants, Network
from .roles import RANK, Role, rights_of

Row = Mapping[str, Any]


@dataclass(frozen=True, slots=True)
class Bounds:
    """What somebody may at most. None means all; `principals` are those whose denials hold as well."""

    role: str
    rights: frozenset[str]
    clearance: int
    departments: frozenset[UUID] | None
    models: frozenset[str] | None = None
    rpm: int | None = None
    tpm: int | None = None
    ip_allow: tuple[Network, ...] = ()
    expires_at: float | None = None
    principals: frozenset[tuple[str, UUID]] = frozenset()


def callers_of(tenant: UUID, rows: Iterable[Row], grants: GrantRows) -> dict[str, tuple[bytes, Caller]]:
    """Public id -> (digest, caller), of the rows of callers.sql. A key whose maker is not among them is no key."""
    made = _Makers(tenant, {row["id"]: row for row in rows}, grants)
    found = {}
    for identity, row in made.rows.items():
        caller = made.caller(identity)
        if caller is not None:
            found[row["public_id"]] = (bytes(row["digest"]), caller)
    return found


def person(role: str, clearance: int, departments: Iterable[UUID] | None, user: UUID) -> Bounds:
    """What a member may at most."""
    reach = None if role in (Role.OWNER, Role.ADMIN) or departments is None else frozenset(departments)
    return Bounds(role, rights_of(role), clearance, reach, principals=frozenset({("user", user)}))


class _Makers:
    """Callers of one tenant's keys, each worked out once, its makers first."""

    def __init__(self, tenant: UUID, rows: dict[UUID, Row], grants: GrantRows) -> None:
        self.rows = rows
        self._tenant, self._grants = tenant, grants
        self._done: dict[UUID, Caller | None] = {}

    def caller(self, identity: UUID) -> Caller | None:
        if identity not in self._done:
            self._done[identity] = None  # whoever were among their own makers would be nobody
            self._done[identity] = self._work_out(identity)
        return self._done[identity]

    def _work_out(self, identity: UUID) -> Caller | None:
        row = self.rows.get(identity)
        if row is None:
            return None
        bounds = []
        if row["user_id"] is not None:
            bounds.append(
                person(row["member_role"], row["member_clearance"], row["member_departments"], row["user_id"])
            )
        if row["made_by_user"] is not None:
            maker = (row["maker_role"], row["maker_clearance"], row["maker_departments"], row["made_by_user"])
            bounds.append(person(*maker))
        if row["made_by_key"] is not None:
            found = self.caller(row["made_by_key"])
            if found is None:
                return None
            bounds.append(_of(found))
        caller: Caller | None = _own(self._tenant, row)
        for bound in bounds:
            caller = None if caller is None else within(caller, bound)
        if caller is None:
            return None
        above = frozenset[tuple[str, UUID]]().union(*(bound.principals for bound in bounds))
        return replace(caller, grants=grants_of(caller, self._grants, above), makers=above)


def grants_of(caller: Caller, rows: GrantRows, makers: Iterable[tuple[str, UUID]] = ()) -> Grants:
    """What is granted to a caller as a key, a person and a member of departments; and denied to these or its makers."""
    if not rows:
        return NO_GRANTS
    own = {("department", department) for department in caller.belongs_to} | caller.principals
    return granted_to(own, rows, makers)


def granted_to(own: Collection[tuple[str, UUID]], rows: GrantRows, makers: Iterable[tuple[str, UUID]] = ()) -> Grants:
    """What is granted to somebody who is all of `own`, and denied to these or to `makers`."""
    given = {row[:3] for principal in own for row in rows.get(principal, ()) if not row[3]}
    denied = {row[:3] for principal in {*own, *makers} for row in rows.get(principal, ()) if row[3]}
    return Grants(frozenset(given), frozenset(denied)) if given or denied else NO_GRANTS


def _own(tenant: UUID, row: Row) -> Caller:
    """The caller that a row describes, without regard to its makers."""
    everywhere = row["role"] in (Role.OWNER, Role.ADMIN)
    own = [row["department_id"]] if row["department_id"] else []
    return Caller(
        tenant=tenant,
        tenant_slug=row["tenant_slug"],
        key=row["id"],
        user=row["user_id"],
        name=row["name"],
        role=row["role"],
        clearance=row["clearance"],
        department=row["department_id"],
        department_slug=row["department_slug"] or "",
        departments=None if everywhere else tuple(own + [other for other in row["departments"] if other not in own]),
        models=None if row["model_names"] is None else frozenset(row["model_names"]),
        scopes=None if row["scopes"] is None else frozenset(row["scopes"]),
        rpm=row["rpm"],
        tpm=row["tpm"],
        tenant_rpm=row["tenant_rpm"],
        tenant_tpm=row["tenant_tpm"],
        ip_allow=tuple(ip_network(network, strict=False) for network in row["ip_allow"] or ()),
        expires_at=row["expires_at"].timestamp() if row["expires_at"] else None,
    )


def _of(maker: Caller) -> Bounds:
    """What a key may at most that this one made."""
    rights = rights_of(maker.role) if maker.scopes is None else rights_of(maker.role) & maker.scopes
    return Bounds(
        role=maker.role,
        rights=rights,
        clearance=maker.clearance,
        departments=None if maker.departments is None else frozenset(maker.departments),
        models=maker.models,
        rpm=maker.rpm,
        tpm=maker.tpm,
        ip_allow=maker.ip_allow,
        expires_at=maker.expires_at,
        principals=maker.makers | maker.principals,
    )


def within(caller: Caller, bound: Bounds) -> Caller | None:
    """The caller with no more than `bound`; None when nothing is left of where it may be used from."""
    role = min(caller.role, bound.role, key=lambda name: RANK[Role(name)])
    networks = _both(caller.ip_allow, bound.ip_allow)
    if networks is None:
        return None
    return replace(
        caller,
        role=role,
        clearance=min(caller.clearance, bound.clearance),
        departments=_reach(caller, bound.departments, role),
        models=_narrower(caller.models, bound.models),
        # a role that has less than its maker needs no list of rights
        scopes=_narrower(caller.scopes, None if rights_of(role) <= bound.rights else bound.rights),
        rpm=_least(caller.rpm, bound.rpm),
        tpm=_least(caller.tpm, bound.tpm),
        ip_allow=networks,
        expires_at=_least(caller.expires_at, bound.expires_at),
    )


def _reach(caller: Caller, bound: frozenset[UUID] | None, role: str) -> tuple[UUID, ...] | None:
    if bound is None:
        if caller.departments is None and role not in (Role.OWNER, Role.ADMIN):
            return caller.belongs_to
        return caller.departments
    if caller.departments is None:
        return tuple(sorted(bound))
    return tuple(department for department in caller.departments if department in bound)


def _narrower(one: frozenset[str] | None, other: frozenset[str] | None) -> frozenset[str] | None:
    if one is None or other is None:
        return other if one is None else one
    return one & other


def _least(one: Any, other: Any) -> Any:
    return min((value for value in (one, other) if value is not None), default=None)


def _both(one: tuple[Network, ...], other: tuple[Network, ...]) -> tuple[Network, ...] | None:
    """The networks that lie in both lists, of which an empty one means everywhere; None when there are none."""
    if not one or not other:
        return one or other
    pairs = [(a, b) for a in one for b in other if a.version == b.version]
    found = [b if inside(b, a) else a for a, b in pairs if inside(a, b) or inside(b, a)]
    return tuple(dict.fromkeys(found)) or None


def inside(inner: Network, outer: Network) -> bool:
    """Whether all of one network lies in another."""
    return inner.version == outer.version and inner.subnet_of(outer)  # type: ignore[arg-type]


__all__ = ["Bounds", "callers_of", "grants_of", "inside", "person", "within"]
