"""The door of tenants: who is calling, and every change to tenants, people and keys, for console, API and set-up."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import datetime, timedelta
from ipaddress import ip_address
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.db import connection, transaction
from django.http import HttpRequest
from django.utils import timezone

from . import keys
from .data import Caller
from .directory import caller_of
from .errors import NotAllowed, Taken
from .isolation import PLATFORM, Scope, current, scope
from .isolation.middleware import TENANT_KEY
from .models import ApiKey, ApiKeyDepartment, Clearance, Department, Membership, MembershipDepartment, Tenant, User
from .roles import Role, may, may_give, rights_of

__all__ = [
    "add_person",
    "caller_of_key",
    "caller_of_member",
    "change_key",
    "change_place",
    "make_department",
    "make_key",
    "make_tenant",
    "make_user",
    "remove_person",
    "revoke_key",
    "rotate_key",
    "scope_of_member",
]

_CALLERS = (Path(__file__).parent / "sql" / "callers.sql").read_text()


# -- who is calling, for pages and the management API ----------------------------------------------------------------


def caller_of_key(credential: str, address: str = "") -> Caller | None:
    """The caller behind an API key, read from the database; None when the key is not valid."""
    public_id = keys.public_id(credential)
    if public_id is None:
        return None
    tenant = _tenant_of(public_id)
    if tenant is None:
        return None
    with scope(tenant), connection.cursor() as cursor:
        cursor.execute(_CALLERS)
        names = [column.name for column in cursor.description or ()]
        rows = (dict(zip(names, row, strict=True)) for row in cursor.fetchall())
        found = next((row for row in rows if row["public_id"] == public_id), None)
    if found is None or not keys.matches(bytes(found["digest"]), settings.API_KEY_PEPPER, credential):
        return None
    caller = caller_of(tenant, found)
    if caller.ip_allow and not any(ip_address(address or "::") in network for network in caller.ip_allow):
        return None
    return caller


def scope_of_member(request: HttpRequest) -> Scope | None:
    """The scope of the signed-in person: the tenant that their session has opened, else one they belong to.

    Owners and administrators of the platform may open every tenant; the trail shows them as themselves.
    """
    user = User.objects.filter(pk=request.session[SESSION_KEY], is_active=True).first()
    if user is None:
        return None
    places = {place.tenant_id: place for place in Membership.objects.filter(user=user)}
    platform = places.get(PLATFORM)
    chosen = request.session.get(TENANT_KEY)
    wanted = UUID(chosen) if chosen else None
    place = places.get(wanted) if wanted else None
    if place is None and wanted is not None and platform is not None and platform.role in (Role.OWNER, Role.ADMIN):
        place = platform
    elif place is None:
        place = platform or next(iter(places.values()), None)
        wanted = place.tenant_id if place else None
    if place is None or wanted is None:
        return None
    actor = {"type": "user", "id": str(user.pk), "name": str(user)}
    return Scope(tenant=wanted, user=user.pk, departments=_departments(place), clearance=place.clearance, actor=actor)


def caller_of_member(request: HttpRequest) -> Caller | None:
    """The signed-in person as a caller of the management plane; None without a place in any tenant."""
    with scope(Scope(user=UUID(str(request.session[SESSION_KEY])))):
        opened = scope_of_member(request)
        if opened is None or opened.tenant is None:
            return None
        places = {place.tenant_id: place for place in Membership.objects.filter(user_id=str(opened.user))}
        place = places.get(opened.tenant) or places[PLATFORM]
        with scope(opened):
            tenant = Tenant.objects.get(pk=opened.tenant)
        return Caller(
            tenant=tenant.pk,
            tenant_slug=tenant.slug,
            key=None,
            user=opened.user,
            name=opened.actor["name"],
            role=place.role,
            clearance=place.clearance,
            department=opened.departments[0] if opened.departments else None,
            department_slug="",
            departments=opened.departments,
        )


def _departments(place: Membership) -> tuple[UUID, ...] | None:
    if place.role in (Role.OWNER, Role.ADMIN):
        return None
    with scope(place.tenant_id, user=place.user_id):
        return tuple(MembershipDepartment.objects.filter(membership=place).values_list("department_id", flat=True))


def _tenant_of(public_id: str) -> UUID | None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select set_config('app.key', %s, true)", [public_id])
        cursor.execute("select tenant_id from tenants_apikey where public_id = %s", [public_id])
        row = cursor.fetchone()
        cursor.execute("select set_config('app.key', '', true)")
        return None if row is None else row[0]


# -- tenants and departments ------------------------------------------------------------------------------------------


def make_tenant(slug: str, name: str, *, given: keys.NewKey | None = None) -> tuple[Tenant, str]:
    """A tenant and its owner key, which is known only now. In the platform's scope. Raises NotAllowed, Taken."""
    if current() != str(PLATFORM):
        raise NotAllowed("Only the platform makes tenants.")
    if Tenant.objects.filter(slug=slug).exists():
        raise Taken(f"There is a tenant {slug!r} already.")
    tenant = Tenant.objects.create(slug=slug, name=name)
    with scope(tenant.pk, actor=_actor()):
        _, key = _store_key(given or keys.generate(settings.API_KEY_PEPPER), name="Owner", role=Role.OWNER, clearance=3)
    return tenant, key


def make_department(slug: str, name: str) -> Department:
    """A department of the open tenant. Raises Taken."""
    if Department.objects.filter(slug=slug).exists():
        raise Taken(f"There is a department {slug!r} already.")
    return Department.objects.create(slug=slug, name=name)


# -- people -----------------------------------------------------------------------------------------------------------


def add_person(
    email: str,
    name: str,
    role: str,
    clearance: int,
    departments: Iterable[Department],
    password: str | None = None,
) -> Membership:
    """A person's place in the open tenant; the person is made when nobody has the address. Raises NotAllowed, Taken."""
    maker = _maker()
    maker.must_outrank(role, clearance)
    user = make_user(email, name, password)
    if Membership.objects.filter(user=user).exists():
        raise Taken(f"{user.email} belongs to this tenant already.")
    place = Membership.objects.create(user=user, role=role, clearance=clearance)
    _set_departments(place, departments)
    return place


def make_user(email: str, name: str, password: str | None = None) -> User:
    """The person with an address: found, or made with this name and password."""
    email = email.strip().lower()
    with scope(Scope(login=email)):
        found = User.objects.filter(email=email).first()
    if found is not None:
        return found
    user = User(email=email, name=name)
    user.set_password(password or None)
    user.save(force_insert=True)
    return user


def change_place(place: Membership, role: str, clearance: int, departments: Iterable[Department]) -> Membership:
    """Another role, clearance or departments. Raises NotAllowed."""
    maker = _maker()
    maker.must_outrank(place.role, place.clearance)
    maker.must_outrank(role, clearance)
    place.role, place.clearance = role, clearance
    place.save(update_fields=["role", "clearance"])
    _set_departments(place, departments)
    return place


def remove_person(place: Membership) -> None:
    """Ends a membership; the person's keys in this tenant stop working with it. Raises NotAllowed."""
    _maker().must_outrank(place.role, place.clearance)
    MembershipDepartment.objects.filter(membership=place).delete()
    place.delete()


def _set_departments(place: Membership, departments: Iterable[Department]) -> None:
    MembershipDepartment.objects.filter(membership=place).delete()
    MembershipDepartment.objects.bulk_create(
        MembershipDepartment(membership=place, department=department) for department in departments
    )


# -- keys -------------------------------------------------------------------------------------------------------------


def make_key(
    *,
    name: str,
    department: Department | None,
    role: str = Role.DEVELOPER,
    clearance: int = Clearance.INTERNAL,
    departments: Iterable[Department] = (),
    user: User | None = None,
    scopes: Sequence[str] | None = None,
    model_names: Sequence[str] | None = None,
    rpm: int | None = None,
    tpm: int | None = None,
    ip_allow: Sequence[str] | None = None,
    expires_at: datetime | None = None,
    given: keys.NewKey | None = None,
) -> tuple[ApiKey, str]:
    """A key of the open tenant, and its text, known only now. Raises NotAllowed when it would exceed its maker."""
    maker = _maker()
    maker.must_outrank(role, clearance)
    further = list(departments)
    maker.must_reach([department, *further])
    if scopes is not None and not set(scopes) <= rights_of(role):
        raise NotAllowed("A key's scopes must be rights of its role.")
    if not maker.may_all_keys and role == Role.MEMBER and user is None and maker.user is not None:
        user = User.objects.get(pk=maker.user)
    made, key = _store_key(
        given or keys.generate(settings.API_KEY_PEPPER),
        name=name,
        department=department,
        user=user,
        role=role,
        clearance=clearance,
        scopes=_list(scopes),
        model_names=_list(model_names),
        rpm=rpm,
        tpm=tpm,
        ip_allow=_list(ip_allow) or None,
        expires_at=expires_at,
    )
    ApiKeyDepartment.objects.bulk_create(ApiKeyDepartment(key=made, department=place) for place in further)
    return made, key


def change_key(key: ApiKey, values: dict[str, Any]) -> ApiKey:
    """Changes what `values` names (limits, role, models, …). Raises NotAllowed when it would exceed its maker."""
    maker = _maker()
    maker.must_outrank(key.role, key.clearance)
    maker.must_outrank(values.get("role", key.role), values.get("clearance", key.clearance))
    further = values.pop("departments", None)
    limits = values.pop("limits", None)
    if limits is not None:
        values |= limits
    maker.must_reach([values.get("department", key.department), *(further or ())])
    for name, value in values.items():
        setattr(key, name, value)
    key.save(update_fields=list(values) or None)
    if further is not None:
        ApiKeyDepartment.objects.filter(key=key).delete()
        ApiKeyDepartment.objects.bulk_create(ApiKeyDepartment(key=key, department=place) for place in further)
    return key


def rotate_key(key: ApiKey, grace_seconds: int = 0) -> tuple[ApiKey, str]:
    """A new key with the same rights; the old one ends after the grace. Raises NotAllowed."""
    further = [row.department for row in ApiKeyDepartment.objects.filter(key=key).select_related("department")]
    made = make_key(
        name=key.name,
        department=key.department,
        role=key.role,
        clearance=key.clearance,
        departments=further,
        user=key.user,
        scopes=key.scopes,
        model_names=key.model_names,
        rpm=key.rpm,
        tpm=key.tpm,
        ip_allow=key.ip_allow,
        expires_at=key.expires_at,
    )
    key.revoked_at = timezone.now() + timedelta(seconds=grace_seconds)
    key.save(update_fields=["revoked_at"])
    return made


def revoke_key(key: ApiKey) -> None:
    """Ends a key now; a revoked one stays as it is."""
    now = timezone.now()
    if key.revoked_at is None or key.revoked_at > now:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])


def _store_key(new: keys.NewKey, **fields: Any) -> tuple[ApiKey, str]:
    actor = _actor()
    made = ApiKey.objects.create(
        public_id=new.public_id, digest=new.digest, created_by=f"{actor['type']}:{actor.get('id', '')}"[:80], **fields
    )
    return made, new.key


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


# -- who makes the change ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Maker:
    """Who hands out rights: never above their own. `departments` None means all."""

    role: str
    clearance: int
    departments: frozenset[UUID] | None
    user: UUID | None = None

    @property
    def may_all_keys(self) -> bool:
        return may(self.role, "keys.all")

    def must_outrank(self, role: str, clearance: int) -> None:
        """Raises NotAllowed when that is more than this one has."""
        if not may_give(self.role, role):
            raise NotAllowed(f"The role {self.role} may not hand out the role {role}.")
        if clearance > self.clearance:
            raise NotAllowed("Nobody hands out a clearance above their own.")

    def must_reach(self, departments: Iterable[Department | None]) -> None:
        """Raises NotAllowed for a department that is not this one's."""
        if self.departments is None:
            return
        for department in departments:
            if department is None or department.pk not in self.departments:
                raise NotAllowed("A key may only be made for a department of one's own.")


_SYSTEM = Maker(Role.OWNER, 3, None)


def _actor() -> dict[str, str]:
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(nullif(current_setting('app.actor', true), ''), '{\"type\": \"sql\"}')")
        found: dict[str, str] = json.loads(cursor.fetchone()[0])
        return found


def _maker() -> Maker:
    """The one whose scope is open: a key, a person (of this tenant, or of the platform), or set-up itself."""
    actor = _actor()
    if actor["type"] == "key":
        key = ApiKey.objects.get(pk=actor["id"])
        everywhere = key.role in (Role.OWNER, Role.ADMIN)
        further = ApiKeyDepartment.objects.filter(key=key).values_list("department_id", flat=True)
        reach = None if everywhere else frozenset([*further, *([key.department_id] if key.department_id else [])])
        return Maker(key.role, key.clearance, reach, key.user_id)
    if actor["type"] == "user":
        places = {place.tenant_id: place for place in Membership.objects.filter(user_id=actor["id"])}
        place = places.get(UUID(current())) or places.get(PLATFORM)
        if place is None:
            raise NotAllowed("You do not belong to this tenant.")
        departments = _departments(place)
        return Maker(
            place.role, place.clearance, None if departments is None else frozenset(departments), place.user_id
        )
    return _SYSTEM
