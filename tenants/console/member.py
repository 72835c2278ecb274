"""Who looks at the console, in which tenant, and what their role lets them see and do there."""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Q, QuerySet
from django.http import HttpRequest

from tenants.bounds import granted_to
from tenants.data import NO_GRANTS, Grants
from tenants.directory import GRANTS, grant_rows
from tenants.isolation import PLATFORM, current
from tenants.models import ApiKey, Membership, MembershipDepartment, Tenant
from tenants.roles import Role, may
from tenants.services import rows_of
from tenants.sessions import confinement

#: Roles in the platform's tenant that may open every other tenant.
OPENERS = frozenset({Role.OWNER, Role.ADMIN})

_CACHE, _GRANTS = "_console_member", "_console_grants"


@dataclass(frozen=True, slots=True)
class Member:
    """A person in the tenant that is open. `departments` None means all of them.

    `visiting` says that they came from the platform and are no member here.
    """

    user: UUID
    tenant: Tenant
    role: str
    clearance: int
    departments: tuple[UUID, ...] | None
    visiting: bool
    openable: int  #: how many tenants the person belongs to
    operator: bool  #: may open every tenant

    def may(self, right: str) -> bool:
        return may(self.role, right)

    @property
    def role_name(self) -> str:
        return Role(self.role).label

    @property
    def in_platform(self) -> bool:
        return self.tenant.pk == PLATFORM

    @property
    def can_switch(self) -> bool:
        return self.operator or self.openable > 1


def member_of(request: HttpRequest) -> Member | None:
    """The signed-in person's place in the open tenant, read once a request; None when they have none."""
    if not hasattr(request, _CACHE):
        setattr(request, _CACHE, _read(request))
    found: Member | None = getattr(request, _CACHE)
    return found


def grants_of(request: HttpRequest) -> Grants:
    """What is granted to the signed-in person on single objects of the open tenant, or denied; read once a request."""
    member = member_of(request)
    if member is None:
        return NO_GRANTS
    if not hasattr(request, _GRANTS):
        own = {("user", member.user), *(("department", department) for department in member.departments or ())}
        setattr(request, _GRANTS, granted_to(own, grant_rows(rows_of(GRANTS))))
    found: Grants = getattr(request, _GRANTS)
    return found


def forget(request: HttpRequest) -> None:
    """Reads the member anew on the next question: after signing in, or opening another tenant."""
    for known in (_CACHE, _GRANTS):
        if hasattr(request, known):
            delattr(request, known)


def _read(request: HttpRequest) -> Member | None:
    user, opened = getattr(request, "user", None), current()
    if user is None or not user.is_authenticated or not user.is_active or not opened:
        return None
    vouched = confinement(request.session) is not None
    found = Membership.objects.filter(user=user)
    places = {place.tenant_id: place for place in (found if vouched else found.filter(agreed=True))}
    platform = places.get(PLATFORM)
    operator = platform is not None and platform.role in OPENERS and not vouched
    place = places.get(UUID(opened)) or (platform if operator else None)
    if place is None:
        return None
    return Member(
        user=user.pk,
        tenant=Tenant.objects.get(pk=opened),
        role=place.role,
        clearance=place.clearance,
        departments=_departments(place),
        visiting=str(place.tenant_id) != opened,
        openable=len(places),
        operator=operator,
    )


def _departments(place: Membership) -> tuple[UUID, ...] | None:
    if place.role in (Role.OWNER, Role.ADMIN):
        return None
    return tuple(MembershipDepartment.objects.filter(membership=place).values_list("department_id", flat=True))


def visible_keys(member: Member) -> QuerySet[ApiKey]:
    """The keys that a role shows: all, those of the person's departments, or the person's own."""
    if member.may("keys.all") or member.may("events.all") or member.may("usage.all"):
        return ApiKey.objects.all()
    own = Q(user_id=member.user)
    if member.role == Role.DEVELOPER:
        own |= Q(department_id__in=member.departments or ())
    return ApiKey.objects.filter(own)


def callers_seen(member: Member) -> list[str] | None:
    """Whose calls this person sees, as the trail names them; None: all."""
    if member.may("events.all"):
        return None
    return [str(key) for key in visible_keys(member).values_list("id", flat=True)]
