"""Putting a policy in force: one at a time for a scope and target, and by somebody else where a tenant asks for it."""

from __future__ import annotations

from django.utils import timezone

from audit.actions import Action
from audit.services import record
from tenants.data import Caller
from tenants.four_eyes import forbidden
from tenants.models import Tenant

from .errors import NotInForce
from .models import Policy, PolicyScope, PolicyState


def activate(policy: Policy, caller: Caller) -> Policy:
    """Puts a policy in force and archives the one before it. Raises NotInForce."""
    if policy.tenant_id != caller.tenant:
        raise NotInForce("This policy belongs to the platform.")
    if forbidden(policy.written_by, caller):
        raise NotInForce("Four eyes: a policy is put in force by somebody else than whoever wrote it.")
    same = Policy.objects.select_for_update().filter(
        tenant_id=policy.tenant_id, scope=policy.scope, target=policy.target
    )
    for other in same.order_by("pk"):
        if other.state == PolicyState.ACTIVE and other.pk != policy.pk:
            other.state = PolicyState.ARCHIVED
            other.save(update_fields=["state"])
    policy.state, policy.activated_at = PolicyState.ACTIVE, timezone.now()
    policy.save(update_fields=["state", "activated_at"])
    record(
        Action.POLICY_ACTIVATE,
        object_type="policy",
        object_id=str(policy.pk),
        detail={"name": policy.name, "version": policy.version, "scope": policy.scope, "target": policy.target},
    )
    return policy


def archive(policy: Policy, caller: Caller) -> Policy:
    """Takes a policy out of force with no other in its place: wider ones hold. Raises NotInForce."""
    if policy.tenant_id != caller.tenant:
        raise NotInForce("This policy belongs to the platform.")
    if policy.scope == PolicyScope.PLATFORM:
        raise NotInForce("Without a policy of the platform every call is refused: put another one in its place.")
    if Tenant.objects.get(pk=caller.tenant).four_eyes:
        raise NotInForce("Four eyes: no policy is taken out of force by one alone.")
    policy.state = PolicyState.ARCHIVED
    policy.save(update_fields=["state"])
    return policy
