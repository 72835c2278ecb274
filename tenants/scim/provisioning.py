"""Every write of provisioning: people and groups as the identity provider tells of them, and what follows here.

A person of the identity provider is the tenant's own row; their membership is of whoever has the address in the whole
installation. That account is found or made, and never changed: what one tenant's provider says of a person is for that
tenant, and it is told nothing that another tenant knows.

What groups give they take back; what somebody was given by hand stays until a group says otherwise. Owners are nobody's
but the owners': no group changes their place. One write at a time is done for each tenant, because what somebody gets
is worked out from all of their groups.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Collection, Iterable
from dataclasses import dataclass
from typing import Any
from uuid import UUID

from django.db import IntegrityError, connection, transaction
from django.utils import timezone

from tenants import errors as refusals
from tenants import services
from tenants.isolation import current
from tenants.models import (
    Clearance,
    Department,
    GroupMapping,
    Membership,
    MembershipDepartment,
    ScimGroup,
    ScimMember,
    ScimUser,
)
from tenants.roles import RANK, Role

from .errors import Invalid, Taken, invalid_value
from .resources import GroupValues, UserValues, address_of

#: Where provisioning begins, and where it comes back to when groups give nothing.
LEAST = (Role.MEMBER, Clearance.PUBLIC)


def one_at_a_time() -> None:
    """Waits until no other write of the open tenant's provisioning runs; until this transaction ends, none begins."""
    with connection.cursor() as cursor:
        cursor.execute("select pg_advisory_xact_lock(hashtextextended(%s, 0))", [f"scim {current()}"])


# -- people -----------------------------------------------------------------------------------------------------------


def create_user(values: UserValues) -> ScimUser:
    """A person of the identity provider, with a membership if they are active. Raises Taken."""
    row = ScimUser()
    _name_user(row, values)
    if values.active:
        row.membership = _join(row, values)
    row.save(force_insert=True)
    give([row.pk])
    return row


def change_user(row: ScimUser, values: UserValues) -> ScimUser:
    """The person as they are told of now. Raises Taken, and Invalid for an owner who would lose their place."""
    moves = values.active and row.membership is not None and values.address != address_of(row.user_name, row.emails)
    if moves and row.membership is not None and row.membership.role == Role.OWNER:
        raise Invalid(
            "This is an owner, whose address is not changed from outside: make them a plain member here first, or add "
            "the new address as another owner.",
            "mutability",
        )
    changed = _name_user(row, values)
    if row.membership is not None and (moves or not values.active):
        _end(row)
        changed = True
    if values.active and row.membership is None:
        row.membership = _join(row, values)
        changed = True
    if changed:
        row.updated_at = timezone.now()
        row.save()
        give([row.pk])
    return row


def delete_user(row: ScimUser) -> None:
    """Forgets a person and ends their membership. Raises Invalid for the last owner."""
    if row.membership is not None:
        _end(row)
    row.delete()


def _name_user(row: ScimUser, values: UserValues) -> bool:
    """Writes what is told into the row; whether anything is new. Raises Taken."""
    taken = ScimUser.objects.filter(user_name__iexact=values.user_name).exclude(pk=row.pk)
    if row.user_name.lower() != values.user_name.lower() and taken.exists():
        raise Taken(f"There is a user {values.user_name!r} already.")
    told = {
        "user_name": values.user_name,
        "external_id": values.external_id,
        "display_name": values.display_name,
        "formatted": values.formatted,
        "given_name": values.given_name,
        "family_name": values.family_name,
        "emails": values.emails,
    }
    changed = any(getattr(row, name) != value for name, value in told.items())
    for name, value in told.items():
        setattr(row, name, value)
    return changed


def _join(row: ScimUser, values: UserValues) -> Membership:
    """The membership of whoever has the address: the one they have here already, or a new one that gives the least.

    Whether the account behind it is new cannot be told from the answer. Raises Taken.
    """
    person = services.make_user(values.address, values.name)
    place = Membership.objects.filter(tenant_id=current(), user_id=person.pk).first()
    if place is None:
        role, clearance = LEAST
        return services.place_person(person, role, clearance, ())
    other = ScimUser.objects.filter(membership=place).exclude(pk=row.pk).first()
    if other is not None:
        raise Taken(f"The address {values.address} is that of the user {other.user_name!r}.")
    return place


def _end(row: ScimUser) -> None:
    """Ends a membership here: sessions see nothing from the next request on, keys of and by the person end with it.

    Raises Invalid for the last owner.
    """
    place = row.membership
    assert place is not None
    if place.role == Role.OWNER:
        others = Membership.objects.filter(tenant_id=current(), role=Role.OWNER, agreed=True).exclude(pk=place.pk)
        if not others.exists():
            raise Invalid("A tenant keeps at least one owner: make somebody else an owner first.", "mutability")
    row.membership = None
    row.given_role, row.given_clearance, row.given_departments = "", None, []
    row.save(update_fields=["membership", "given_role", "given_clearance", "given_departments"])
    services.end_place(place)


# -- groups -----------------------------------------------------------------------------------------------------------


def create_group(values: GroupValues) -> ScimGroup:
    """A group with its members. Raises Taken, Invalid."""
    row = ScimGroup()
    _name_group(row, values)
    row.save(force_insert=True)
    _set_members(row, values.members, frozenset())
    give(values.members)
    return row


def change_group(row: ScimGroup, values: GroupValues) -> ScimGroup:
    """The group as it is told of now; what its members get follows. Raises Taken, Invalid."""
    renamed = row.display_name.lower() != values.display_name.lower()
    changed = _name_group(row, values)
    before = frozenset(ScimMember.objects.filter(group=row).values_list("user_id", flat=True))
    _set_members(row, values.members, before)
    if changed or values.members != before:
        row.updated_at = timezone.now()
        row.save()
    give(before | values.members if renamed else before ^ values.members)
    return row


def delete_group(row: ScimGroup) -> None:
    """Removes a group; its members lose what it gave."""
    members = list(ScimMember.objects.filter(group=row).values_list("user_id", flat=True))
    row.delete()
    give(members)


def _name_group(row: ScimGroup, values: GroupValues) -> bool:
    taken = ScimGroup.objects.filter(display_name__iexact=values.display_name).exclude(pk=row.pk)
    if row.display_name.lower() != values.display_name.lower() and taken.exists():
        raise Taken(f"There is a group {values.display_name!r} already.")
    changed = (row.display_name, row.external_id) != (values.display_name, values.external_id)
    row.display_name, row.external_id = values.display_name, values.external_id
    return changed


def _set_members(row: ScimGroup, wanted: frozenset[UUID], before: frozenset[UUID]) -> None:
    fresh = wanted - before
    known = set(ScimUser.objects.filter(pk__in=fresh).values_list("pk", flat=True))
    for unknown in sorted(fresh - known)[:1]:
        raise invalid_value(f"There is no user {unknown}.")
    ScimMember.objects.bulk_create(ScimMember(group=row, user_id=user) for user in sorted(fresh))
    if before - wanted:
        ScimMember.objects.filter(group=row, user_id__in=before - wanted).delete()


# -- what groups give -------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Gift:
    """What all groups of a person give together; '' and None stand for nothing."""

    role: str = ""
    clearance: int | None = None
    departments: frozenset[UUID] = frozenset()


def together(mappings: Iterable[GroupMapping]) -> Gift:
    """The widest role, the highest clearance, all departments. Nobody becomes an owner by a group."""
    found = [one for one in mappings if one.role != Role.OWNER]
    order = list(Role)
    roles = [Role(one.role) for one in found if one.role]
    return Gift(
        role=max(roles, key=lambda role: (RANK[role], -order.index(role)), default=""),
        clearance=max((one.clearance for one in found if one.clearance is not None), default=None),
        departments=frozenset(one.department_id for one in found if one.department_id is not None),
    )


def give(users: Collection[UUID]) -> None:
    """Works out anew what people get from their groups, and changes their places where that is something else."""
    if not users:
        return
    rows = list(
        ScimUser.objects.filter(pk__in=users, membership__isnull=False)
        .exclude(membership__role=Role.OWNER)
        .select_related("membership")
        .order_by("pk")
    )
    mappings = {mapping.group.lower(): mapping for mapping in GroupMapping.objects.all()}
    groups: dict[UUID, list[GroupMapping]] = defaultdict(list)
    for user, name in ScimMember.objects.filter(user__in=rows).values_list("user_id", "group__display_name"):
        if name.lower() in mappings:
            groups[user].append(mappings[name.lower()])
    places: dict[UUID | None, set[UUID]] = defaultdict(set)
    reach = MembershipDepartment.objects.filter(membership__in=[row.membership_id for row in rows])
    for place, department in reach.values_list("membership_id", "department_id"):
        places[place].add(department)
    for row in rows:
        _give(row, together(groups[row.pk]), places[row.membership_id])


def _give(row: ScimUser, gift: Gift, departments: set[UUID]) -> None:
    """Changes one person's place from what groups gave before to what they give now."""
    place = row.membership
    assert place is not None
    role = gift.role or (LEAST[0] if row.given_role else place.role)
    before = row.given_clearance is not None
    clearance = gift.clearance if gift.clearance is not None else LEAST[1] if before else place.clearance
    if (role, clearance) != (place.role, place.clearance):
        place.role, place.clearance = role, clearance
        place.save(update_fields=["role", "clearance"])
    _set_departments(place, departments, departments - set(row.given_departments) | gift.departments)
    given: dict[str, Any] = {
        "given_role": gift.role,
        "given_clearance": gift.clearance,
        "given_departments": sorted(gift.departments),
    }
    if any(getattr(row, name) != value for name, value in given.items()):
        for name, value in given.items():
            setattr(row, name, value)
        row.save(update_fields=list(given))


def _set_departments(place: Membership, before: set[UUID], after: set[UUID]) -> None:
    if before - after:
        MembershipDepartment.objects.filter(membership=place, department_id__in=before - after).delete()
    MembershipDepartment.objects.bulk_create(
        MembershipDepartment(membership=place, department_id=department) for department in sorted(after - before)
    )


# -- what stands for what ---------------------------------------------------------------------------------------------


def save_mapping(
    group: str,
    department: Department | None,
    role: str,
    clearance: int | None,
    found: GroupMapping | None = None,
) -> GroupMapping:
    """Says what a group gives, or says it anew of `found`; its members have it at once. Raises NotAllowed, Taken."""
    services.check_giving(role or Role.MEMBER, clearance or 0)
    if role == Role.OWNER:
        raise refusals.NotAllowed("No group makes an owner.")
    one_at_a_time()
    mapping = found or GroupMapping()
    before = mapping.group
    mapping.group, mapping.department, mapping.role, mapping.clearance = group, department, role, clearance
    try:
        with transaction.atomic():
            mapping.save(force_insert=found is None)
    except IntegrityError as error:
        if "one_mapping_per_group" in str(error):
            raise refusals.Taken(f"What {group!r} gives is said already: change that.") from error
        raise
    give(members_of({before, group}))
    return mapping


def remove_mapping(mapping: GroupMapping) -> None:
    """A group gives nothing from now on; its members lose what it gave."""
    one_at_a_time()
    mapping.delete()
    give(members_of({mapping.group}))


def members_of(groups: Iterable[str]) -> set[UUID]:
    """The people in groups of these names."""
    found: set[UUID] = set()
    for name in filter(None, groups):
        rows = ScimMember.objects.filter(group__display_name__iexact=name)
        found |= set(rows.values_list("user_id", flat=True))
    return found
