"""What holds where a version of a policy is in force, and with which other version it is compared."""

from __future__ import annotations

from collections.abc import Sequence
from uuid import UUID

from django.db.models import Q, QuerySet

from tenants.models import ApiKey

from . import inheritance, simulation
from .models import Policy, PolicyScope, PolicyState


def in_effect(policy: Policy) -> list[inheritance.Held]:
    """What holds where this version is in force, by which level, and what narrower ones may only tighten."""
    draft = simulation.Draft(policy.scope, policy.target, policy.rules, policy.pk, policy.name, policy.version)
    everything = simulation.with_draft(simulation.in_force(policy.tenant_id), draft)
    return inheritance.traced(inheritance.chain(everything, policy.scope, _places_of(policy)))


def comparable(policy: Policy, rows: QuerySet[Policy]) -> list[Policy]:
    """Of the policies that may be seen: the other versions of this one, and what is in force in its place."""
    named = Q(name=policy.name)
    in_its_place = Q(scope=policy.scope, target=policy.target, state=PolicyState.ACTIVE)
    found = rows.filter(named | in_its_place, tenant_id=policy.tenant_id).exclude(pk=policy.pk)
    return sorted(found, key=lambda row: (row.name != policy.name, -row.version))


def usual(policy: Policy, others: Sequence[Policy]) -> Policy | None:
    """What a version is compared with when nobody says: what is in force, else the version before, else any other."""
    in_force = [row for row in others if row.state == PolicyState.ACTIVE]
    before = [row for row in others if row.name == policy.name and row.version < policy.version]
    return next(iter([*in_force, *before, *others]), None)


def _places_of(policy: Policy) -> list[tuple[str, UUID]]:
    """The key and the department that a policy is for, as (kind, id)."""
    if policy.target is None:
        return []
    found = [(policy.scope, policy.target)]
    if policy.scope == PolicyScope.KEY:
        keys = ApiKey.objects.filter(pk=policy.target).exclude(department=None)
        found += [("department", key.department_id) for key in keys if key.department_id]
    return found
