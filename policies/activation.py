"""Putting a policy in force: one at a time for a scope and target, and by somebody else where a tenant asks for it."""

from __future__ import annotations

from collections.abc import Iterable
from uuid import UUID

from django.utils import timezone

from audit.actions import Action
from audit.services import record
from tenants.data import Caller
from tenants.models import Tenant

from .errors import NotInForce
from .models import Policy, PolicyState


def author(caller: Caller) -> dict[str, list[str]]:
    """Whose work a policy is, as its row remembers it."""
    return {"own": _words(caller.principals), "makers": _words(caller.makers)}


def activate(policy: Policy, caller: Caller) -> Policy:
    """Puts a policy in force and archives the one before it. Raises NotInForce."""
    if policy.tenant_id != caller.tenant:
        raise NotInForce("This policy belongs to the platform.")
    if Tenant.objects.get(pk=caller.tenant).four_eyes and _same_hands(policy.written_by, author(caller)):
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


def _same_hands(wrote: dict[str, list[str]], asks: dict[str, list[str]]) -> bool:
    """Whether two are one: the same key or person, a key and whoever made it, or keys behind which one person stands.

    Two keys that a third made are two; only people are one wherever they appear.
    """
    own, other = set(wrote.get("own", ())), set(asks["own"])
    made, others = set(wrote.get("makers", ())), set(asks["makers"])
    people = {word for word in (own | made) & (other | others) if word.startswith("user:")}
    return bool(own & other or own & others or made & other or people)


def _words(principals: Iterable[tuple[str, UUID]]) -> list[str]:
    return sorted(f"{kind}:{identity}" for kind, identity in principals)
