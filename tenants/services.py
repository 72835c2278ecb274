"""The door of tenants: who is calling, and every change to tenants, people and keys, for console, API and set-up."""

from __future__ import annotations

import json
from collections.abc import Callable, Iterable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime, timedelta
from ipaddress import ip_address, ip_network
from typing import Any, ClassVar
from uuid import UUID

from django.conf import settings
from django.contrib.auth import SESSION_KEY
from django.contrib.auth.models import Permission
from django.db import connection, transaction
from django.db.models import Count
from django.http import HttpRequest
from django.utils import timezone

from . import keys
from .bounds import callers_of, grants_of, inside
from .data import Caller, Network
from .directory import CALLERS, GRANTS, grant_rows
from .errors import NotAllowed, Taken
from .isolation import PLATFORM, Scope, current, scope
from .isolation.middleware import TENANT_KEY
from .models import (
    ApiKey,
    ApiKeyDepartment,
    Clearance,
    Department,
    Grant,
    Identity,
    Membership,
    MembershipDepartment,
    PersonPermission,
    Tenant,
    User,
)
from .roles import CALLS, Role, may, may_give, rights_of
from .sessions import Confinement, confinement, is_proven

__all__ = [
    "actor",
    "add_person",
    "caller_of_key",
    "caller_of_member",
    "calling_member",
    "change_key",
    "change_place",
    "check_giving",
    "could_make",
    "end_place",
    "is_visiting",
    "make_department",
    "make_grant",
    "make_key",
    "make_tenant",
    "make_user",
    "must_set_up_factor",
    "people_by_role",
    "place_person",
    "reason",
    "remove_person",
    "revoke_key",
    "rotate_key",
    "rows_of",
    "scope_of_member",
    "take_back_grant",
    "tenant_of",
]


# -- who is calling, for pages and the management API ----------------------------------------------------------------


def caller_of_key(credential: str, address: str = "") -> Caller | None:
    """The caller behind an API key, read from the database; None when the key is not valid."""
    public_id = keys.public_id(credential)
    if public_id is None:
        return None
    tenant = _tenant_of(public_id)
    if tenant is None:
        return None
    with scope(tenant):
        rows = rows_of(CALLERS, {"public_id": public_id})
        found = callers_of(tenant, rows, grant_rows(rows_of(GRANTS))).get(public_id)
    if found is None or not keys.matches(found[0], settings.API_KEY_PEPPER, credential):
        return None
    caller = found[1]
    if caller.ip_allow and not any(ip_address(address or "::") in network for network in caller.ip_allow):
        return None
    return caller


def scope_of_member(request: HttpRequest) -> Scope | None:
    """The scope of the signed-in person: the tenant that their session has opened, else one they belong to.

    Owners and administrators of the platform may open every tenant; the trail shows them as themselves. A session that
    has not seen the person's second factor has no scope, nor has one without where the tenant demands it.
    """
    found = _opening(request)
    return None if found is None or found.lacks_factor else found.scope()


def must_set_up_factor(request: HttpRequest) -> bool:
    """Whether all that keeps the signed-in person out is a second factor that the tenant demands."""
    found = _opening(request)
    return found is not None and found.lacks_factor


@dataclass(frozen=True, slots=True)
class _Opening:
    """Which tenant a session is about to open, by which of the person's places."""

    user: User
    tenant: UUID
    place: Membership
    lacks_factor: bool = False
    confined: bool = False

    def scope(self) -> Scope:
        return Scope(
            tenant=self.tenant,
            user=self.user.pk,
            departments=_departments(self.place),
            clearance=self.place.clearance,
            actor={"type": "user", "id": str(self.user.pk), "name": str(self.user)},
            confined=self.confined,
        )


def _opening(request: HttpRequest) -> _Opening | None:
    person, within = UUID(str(request.session[SESSION_KEY])), confinement(request.session)
    if within is None:
        with scope(Scope(user=person)):
            return _own_opening(request, person)
    with scope(Scope(tenant=within.tenant, user=person, confined=True)):
        return _confined_opening(person, within)


def _confined_opening(person: UUID, within: Confinement) -> _Opening | None:
    """The one tenant whose provider vouches, while it does: whatever else the session or the person has, no other."""
    vouched = Identity.objects.filter(provider_id=within.provider, user_id=person, provider__active=True)
    if not vouched.filter(provider__sign_in=True).exists():
        return None
    place = Membership.objects.select_related("user").filter(tenant_id=within.tenant, user_id=person).first()
    if place is None or not place.user.is_active:
        return None
    return _Opening(place.user, within.tenant, place, confined=True)


def _own_opening(request: HttpRequest, person: UUID) -> _Opening | None:
    user = User.objects.filter(pk=person, is_active=True).first()
    if user is None or not is_proven(request.session, user):
        return None
    agreed = Membership.objects.filter(user=user, agreed=True)
    places = {place.tenant_id: place for place in agreed.select_related("tenant")}
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
    return _Opening(user, wanted, place, lacks_factor=user.second_factor_at is None and _demands_factor(wanted, place))


def _demands_factor(tenant: UUID, place: Membership) -> bool:
    if place.tenant_id == tenant:
        return place.tenant.require_second_factor
    with scope(tenant):
        return Tenant.objects.filter(pk=tenant, require_second_factor=True).exists()


def caller_of_member(request: HttpRequest) -> Caller | None:
    """The signed-in person as a caller of the management plane; None without a place in any tenant."""
    found = _opening(request)
    if found is None or found.lacks_factor:
        return None
    opened = found.scope()
    with scope(opened):
        tenant = Tenant.objects.get(pk=found.tenant)
        granted = grant_rows(rows_of(GRANTS))
    caller = Caller(
        tenant=tenant.pk,
        tenant_slug=tenant.slug,
        key=None,
        user=opened.user,
        name=opened.actor["name"],
        role=found.place.role,
        clearance=found.place.clearance,
        department=opened.departments[0] if opened.departments else None,
        department_slug="",
        departments=opened.departments,
        confined=found.confined,
    )
    return replace(caller, grants=grants_of(caller, granted))


def calling_member(request: HttpRequest) -> Caller | None:
    """The signed-in person as the caller of a model: within their tenant's limits, at their first department's cost."""
    caller = caller_of_member(request)
    if caller is None:
        return None
    tenant = Tenant.objects.get(pk=caller.tenant)
    payer = Department.objects.filter(pk=caller.department).first() if caller.department else None
    slug = payer.slug if payer is not None else ""
    return replace(caller, scopes=CALLS, department_slug=slug, tenant_rpm=tenant.rpm, tenant_tpm=tenant.tpm)


def _departments(place: Membership) -> tuple[UUID, ...] | None:
    if place.role in (Role.OWNER, Role.ADMIN):
        return None
    with scope(place.tenant_id, user=place.user_id):
        return tuple(MembershipDepartment.objects.filter(membership=place).values_list("department_id", flat=True))


def rows_of(sql: str, parameters: dict[str, Any] | None = None) -> list[dict[str, Any]]:
    """What a statement gives in the open scope."""
    with connection.cursor() as cursor:
        cursor.execute(sql, parameters or {})
        names = [column.name for column in cursor.description or ()]
        return [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]


def _tenant_of(public_id: str) -> UUID | None:
    with transaction.atomic(), connection.cursor() as cursor:
        cursor.execute("select set_config('app.key', %s, true)", [public_id])
        cursor.execute("select tenant_id from tenants_apikey where public_id = %s", [public_id])
        row = cursor.fetchone()
        cursor.execute("select set_config('app.key', '', true)")
        return None if row is None else row[0]


# -- tenants and departments ------------------------------------------------------------------------------------------


def tenant_of(slug: str) -> UUID | None:
    """The id of a tenant, for the platform's commands; None when there is none."""
    with scope(PLATFORM):
        found: UUID | None = Tenant.objects.filter(slug=slug).values_list("pk", flat=True).first()
        return found


def make_tenant(slug: str, name: str, *, given: keys.NewKey | None = None) -> tuple[Tenant, str]:
    """A tenant and its owner key, which is known only now. In the platform's scope. Raises NotAllowed, Taken."""
    if current() != str(PLATFORM):
        raise NotAllowed("Only the platform makes tenants.")
    if Tenant.objects.filter(slug=slug).exists():
        raise Taken(f"There is a tenant {slug!r} already.")
    tenant = Tenant.objects.create(slug=slug, name=name)
    with scope(tenant.pk, actor=actor()):
        _, key = _store_key(given or keys.generate(settings.API_KEY_PEPPER), name="Owner", role=Role.OWNER, clearance=3)
    return tenant, key


def make_department(slug: str, name: str) -> Department:
    """A department of the open tenant. Raises Taken."""
    if Department.objects.filter(slug=slug).exists():
        raise Taken(f"There is a department {slug!r} already.")
    return Department.objects.create(slug=slug, name=name)


# -- people -----------------------------------------------------------------------------------------------------------


def people_by_role() -> dict[str, int]:
    """How many people of the open tenant have each role; a role that nobody has is missing."""
    here = Membership.objects.filter(tenant_id=current(), agreed=True)
    return dict(here.values_list("role").annotate(number=Count("id")).order_by())


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
    place = Membership.objects.create(user=user, role=role, clearance=clearance, agreed=is_home(user))
    _set_departments(place, departments)
    return place


def is_home(user: User) -> bool:
    """Whether the open tenant made the account, so that its password was given to nobody from elsewhere."""
    return user.home is None or str(user.home) == current()


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
    user.home = UUID(current()) if current() else None  # as the database has noted it
    return user


def place_person(
    user: User, role: str, clearance: int, departments: Iterable[UUID], *, agreed: bool | None = None
) -> Membership:
    """A person's place in the open tenant, which somebody who may has decided on before; departments that are gone
    are left out. `agreed` says that they have shown that the address and the account are theirs; None: nobody asked.
    """
    agreed = is_home(user) if agreed is None else agreed
    place = Membership.objects.create(user=user, role=role, clearance=clearance, agreed=agreed)
    _set_departments(place, Department.objects.filter(pk__in=list(departments)))
    return place


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
    """Ends a membership; the keys of and by the person stop working with it. Raises NotAllowed."""
    _maker().must_outrank(place.role, place.clearance)
    end_place(place)


def end_place(place: Membership) -> None:
    """Ends a membership, whoever asks: for callers that have looked at who asks already."""
    for grant in Grant.objects.filter(to_type="user", to_id=place.user_id):
        take_back_grant(grant)
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
    """A key of the open tenant, and its text, known only now. Raises NotAllowed when it would exceed its maker.

    What its maker is restricted to, and the key does not say, is the key's restriction as well.
    """
    maker = _maker()
    maker.must_outrank(role, clearance)
    further = list(departments)
    maker.must_reach([department, *further])
    if scopes is not None and not set(scopes) <= rights_of(role):
        raise NotAllowed("A key's scopes must be rights of its role.")
    limits = maker.within(
        {
            "scopes": _list(scopes),
            "model_names": _list(model_names),
            "rpm": rpm,
            "tpm": tpm,
            "ip_allow": _list(ip_allow) or None,
            "expires_at": expires_at,
        }
    )
    if not maker.may_all_keys and role == Role.MEMBER and user is None and maker.user is not None:
        user = User.objects.get(pk=maker.user)
    made, key = _store_key(
        given or keys.generate(settings.API_KEY_PEPPER),
        name=name,
        department=department,
        user=user,
        role=role,
        clearance=clearance,
        made_by_key=maker.made_by_key,
        made_by_user=maker.made_by_user,
        **limits,
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
    values |= maker.within({name: value for name, value in values.items() if name in Maker.RESTRICTED})
    for name, value in values.items():
        setattr(key, name, value)
    key.save(update_fields=list(values) or None)
    if further is not None:
        ApiKeyDepartment.objects.filter(key=key).delete()
        ApiKeyDepartment.objects.bulk_create(ApiKeyDepartment(key=key, department=place) for place in further)
    return key


def rotate_key(key: ApiKey, grace_seconds: int = 0) -> tuple[ApiKey, str]:
    """A new key with the same rights, in the old one's place, which ends after the grace. Raises NotAllowed, Taken.

    What the old key made is the new one's from now on. A key whose maker is gone gets a new maker: whoever replaces it.
    """
    if key.revoked_at is not None:
        raise Taken("This key is revoked or replaced already.")
    further = [row.department for row in ApiKeyDepartment.objects.filter(key=key).select_related("department")]
    made, text = make_key(
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
    if _lives(key):
        made.made_by_key, made.made_by_user = key.made_by_key, key.made_by_user
        made.save(update_fields=["made_by_key", "made_by_user"])
    ApiKey.objects.filter(made_by_key=key.pk).update(made_by_key=made.pk)
    key.revoked_at = timezone.now() + timedelta(seconds=grace_seconds)
    key.save(update_fields=["revoked_at"])
    return made, text


def could_make(found: Iterable[ApiKey]) -> list[ApiKey]:
    """Of keys, those that the one whose scope is open could make: whoever uses them gains nothing that they lack."""
    found, maker = list(found), _maker()
    further: dict[UUID, list[Department]] = {}
    for row in ApiKeyDepartment.objects.filter(key__in=found).select_related("department"):
        further.setdefault(row.key_id, []).append(row.department)
    able = []
    for key in found:
        restricted = {name: getattr(key, name) for name in Maker.RESTRICTED}
        try:
            maker.must_outrank(key.role, key.clearance)
            maker.must_reach([key.department, *further.get(key.pk, ())])
            maker.within(restricted)
        except NotAllowed:
            continue
        able.append(key)
    return able


def _lives(key: ApiKey) -> bool:
    """Whether a key's makers are all still there."""
    tenant = UUID(current())
    return key.public_id in callers_of(tenant, rows_of(CALLERS, {"public_id": key.public_id}), {})


def revoke_key(key: ApiKey) -> None:
    """Ends a key now; a revoked one stays as it is."""
    now = timezone.now()
    if key.revoked_at is None or key.revoked_at > now:
        key.revoked_at = now
        key.save(update_fields=["revoked_at"])


def _store_key(new: keys.NewKey, **fields: Any) -> tuple[ApiKey, str]:
    maker = actor()
    made = ApiKey.objects.create(
        public_id=new.public_id, digest=new.digest, created_by=f"{maker['type']}:{maker.get('id', '')}"[:80], **fields
    )
    return made, new.key


def _list(values: Sequence[str] | None) -> list[str] | None:
    return None if values is None else list(values)


# -- grants -----------------------------------------------------------------------------------------------------------


def make_grant(
    object_type: str, object_id: UUID, to_type: str, to_id: UUID, right: str, *, deny: bool = False
) -> Grant:
    """A right on one object for a person, a department or a key, or its denial. Raises NotAllowed, Taken.

    What a person is granted is django-guardian's permission as well, so that `user.has_perm(…, object)` knows it.
    """
    maker = _maker()
    if to_type == "user":
        place = Membership.objects.filter(user_id=str(to_id)).first()
        if place is None:
            raise NotAllowed("This person does not belong to the tenant.")
        maker.must_outrank(place.role, place.clearance)
    elif to_type == "key":
        key = ApiKey.objects.get(pk=to_id)
        maker.must_outrank(key.role, key.clearance)
    where = {"object_type": object_type, "object_id": object_id, "to_type": to_type, "to_id": to_id, "right": right}
    if Grant.objects.filter(**where).exists():
        raise Taken("This right is granted or denied already; take that back first.")
    made = Grant.objects.create(**where, deny=deny)
    _tell_guardian(made, PersonPermission.objects.get_or_create)
    return made


def take_back_grant(grant: Grant) -> None:
    """Ends a grant or a denial."""

    def remove(**where: Any) -> None:
        PersonPermission.objects.filter(**where).delete()

    _tell_guardian(grant, remove)
    grant.delete()


def _tell_guardian(grant: Grant, change: Callable[..., Any]) -> None:
    """Keeps django-guardian's row of a person's grant in step; its permissions are Django's own (`change_model`, …)."""
    if grant.to_type != "user" or grant.deny or grant.right == "use":
        return
    permission = Permission.objects.filter(
        codename=f"{grant.right}_{grant.object_type}", content_type__model=grant.object_type
    ).first()
    if permission is not None:
        change(
            user_id=grant.to_id,
            permission_id=permission.pk,
            content_type_id=permission.content_type_id,
            object_pk=str(grant.object_id),
        )


# -- who makes the change ---------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Maker:
    """Who hands out rights: never above their own. None means all; `made_by_…` is what a key remembers of its maker."""

    role: str
    clearance: int
    departments: frozenset[UUID] | None
    user: UUID | None = None
    rights: frozenset[str] | None = None
    models: frozenset[str] | None = None
    rpm: int | None = None
    tpm: int | None = None
    ip_allow: tuple[Network, ...] = ()
    expires_at: float | None = None
    made_by_key: UUID | None = None
    made_by_user: UUID | None = None

    #: what of a key is never wider than its maker's
    RESTRICTED: ClassVar = ("scopes", "model_names", "rpm", "tpm", "ip_allow", "expires_at")

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

    def within(self, wanted: dict[str, Any]) -> dict[str, Any]:
        """A key's restrictions, those that are not said taken from this one's own. Raises NotAllowed for wider ones."""
        checks: dict[str, Callable[[Any], Any]] = {
            "scopes": self._scopes,
            "model_names": self._models,
            "rpm": lambda value: self._limit(value, self.rpm, "requests"),
            "tpm": lambda value: self._limit(value, self.tpm, "tokens"),
            "ip_allow": self._networks,
            "expires_at": self._expiry,
        }
        return {name: checks[name](value) for name, value in wanted.items()}

    def _scopes(self, wanted: list[str] | None) -> list[str] | None:
        if self.role == Role.MEMBER:  # own keys, for calls only
            wanted = sorted(CALLS) if wanted is None else wanted
            if not set(wanted) <= CALLS:
                raise NotAllowed(f"The role {self.role} makes keys for calls only.")
        if wanted is not None and self.rights is not None and not set(wanted) <= self.rights:
            raise NotAllowed("Nobody hands out a right that they lack.")
        return wanted

    def _models(self, wanted: list[str] | None) -> list[str] | None:
        if self.models is None:
            return wanted
        if wanted is not None and not set(wanted) <= self.models:
            raise NotAllowed("Nobody hands out a model that they may not call.")
        return sorted(self.models) if wanted is None else wanted

    def _limit(self, wanted: int | None, own: int | None, what: str) -> int | None:
        if own is not None and wanted is not None and wanted > own:
            raise NotAllowed(f"Nobody hands out more {what} a minute than they have.")
        return own if wanted is None else wanted

    def _networks(self, wanted: list[str] | None) -> list[str] | None:
        if not self.ip_allow:
            return wanted or None
        asked = [ip_network(network, strict=False) for network in wanted or ()]
        if not all(any(inside(network, own) for own in self.ip_allow) for network in asked):
            raise NotAllowed("Nobody hands out a network that they may not call from.")
        return wanted or [str(own) for own in self.ip_allow]

    def _expiry(self, wanted: datetime | None) -> datetime | None:
        if self.expires_at is None:
            return wanted
        if wanted is not None and wanted.timestamp() > self.expires_at:
            raise NotAllowed("Nobody hands out a key that outlives their own.")
        return datetime.fromtimestamp(self.expires_at, UTC) if wanted is None else wanted


#: Keys make keys that make keys, but not without end: each call asks for all of them.
MOST_MAKERS = 30

_SYSTEM = Maker(Role.OWNER, 3, None)


def actor() -> dict[str, str]:
    """Who makes the changes of the open scope."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(nullif(current_setting('app.actor', true), ''), '{\"type\": \"sql\"}')")
        found: dict[str, str] = json.loads(cursor.fetchone()[0])
        return found


def reason() -> str:
    """Why the changes of the open scope are made."""
    with connection.cursor() as cursor:
        cursor.execute("select coalesce(current_setting('app.reason', true), '')")
        return str(cursor.fetchone()[0])


def check_giving(role: str, clearance: int) -> None:
    """Raises NotAllowed unless the one whose scope is open may hand out such a place."""
    _maker().must_outrank(role, clearance)


def is_visiting() -> bool:
    """Whether the one whose scope is open came from the platform, and is no member here."""
    who = actor()
    if who["type"] != "user":
        return False
    places = set(Membership.objects.filter(user_id=who["id"]).values_list("tenant_id", flat=True))
    return PLATFORM in places and UUID(current()) not in places


def _maker() -> Maker:
    """The one whose scope is open: a key, a person (of this tenant, or of the platform), or set-up itself."""
    who = actor()
    if who["type"] == "key":
        return _making_key(UUID(who["id"]))
    if who["type"] == "user":
        return _making_person(who["id"])
    return _SYSTEM


def _making_key(identity: UUID) -> Maker:
    key = ApiKey.objects.get(pk=identity)
    rows = rows_of(CALLERS, {"public_id": key.public_id})
    found = callers_of(UUID(current()), rows, {}).get(key.public_id)
    if found is None:
        raise NotAllowed("This key is not valid any more.")
    caller = found[1]
    if len(caller.makers) >= MOST_MAKERS:
        raise NotAllowed("This key was made by a key that was made by a key, and so on: too often to make another.")
    rights = rights_of(caller.role)
    return Maker(
        role=caller.role,
        clearance=caller.clearance,
        departments=None if caller.departments is None else frozenset([*caller.departments, *caller.belongs_to]),
        user=caller.user,
        rights=rights if caller.scopes is None else rights & caller.scopes,
        models=caller.models,
        rpm=caller.rpm,
        tpm=caller.tpm,
        ip_allow=caller.ip_allow,
        expires_at=caller.expires_at,
        made_by_key=key.pk,
    )


def _making_person(identity: str) -> Maker:
    places = {place.tenant_id: place for place in Membership.objects.filter(user_id=identity)}
    own = places.get(UUID(current()))
    place = own or places.get(PLATFORM)
    if place is None:
        raise NotAllowed("You do not belong to this tenant.")
    departments = _departments(place)
    return Maker(
        role=place.role,
        clearance=place.clearance,
        departments=None if departments is None else frozenset(departments),
        user=place.user_id,
        rights=rights_of(place.role),
        made_by_user=None if own is None else place.user_id,
    )
