"""The seven roles as permission sets, in one readable table. An action that is not listed is refused.

A right is `<object>.<verb>`; `own` behind a right narrows it to what belongs to the caller (own key, own department).
"""

from __future__ import annotations

from django.db import models


class Role(models.TextChoices):
    OWNER = "owner"
    ADMIN = "admin"
    POLICY_MANAGER = "policy_manager"
    BILLING_MANAGER = "billing_manager"
    AUDITOR = "auditor"
    DEVELOPER = "developer"
    MEMBER = "member"


O, A, P, B, U, D, M = Role  # noqa: E741  (the table below is wide)

#: right -> the roles that have it without an object grant
RIGHTS: dict[str, frozenset[Role]] = {
    right: frozenset(roles)
    for right, roles in {
        "models.call": {O, A, D, M},
        "playground.use": {O, A, P, D, M},
        "documents.search": {O, A, D, M},
        "tenants.view": {O, A, P, B, U, D, M},
        "tenants.change": {O},
        "identity.view": {O},
        "identity.change": {O},
        "scim.use": {O},  # provisioning: for keys that an owner restricts to it
        "departments.view": {O, A},
        "departments.change": {O, A},
        "users.view": {O, A},
        "users.change": {O, A},
        "memberships.view": {O, A},
        "memberships.change": {O, A},
        "keys.view": {O, A, D, M},
        "keys.change": {O, A, D, M},
        "keys.all": {O, A},
        "grants.view": {O, A},
        "grants.change": {O, A},
        "webhooks.view": {O, A},
        "webhooks.change": {O, A},
        "providers.view": {O, A, P, B, U, D},
        "providers.change": {O, A},
        "deployments.view": {O, A, P, B, U, D},
        "deployments.change": {O, A},
        "models.view": {O, A, P, B, U, D, M},
        "models.change": {O, A},
        "routes.view": {O, A, P, B, U, D},  # what is behind a model's name
        "policies.view": {O, A, P, U, D},
        "policies.change": {O, A, P},
        "budgets.view": {O, A, B, U, D},
        "budgets.all": {O, A, B, U},
        "budgets.change": {O, A, B},
        "prices.view": {O, A, B, U, D},
        "prices.change": {O, A, B},
        "usage.view": {O, A, B, U, D, M},
        "usage.all": {O, A, B, U},
        "reports.view": {O, A, B, U, D},
        "reports.make": {O, A, B, U},  # auditors those on compliance alone
        "reports.change": {O, A, B},
        "reconciliations.view": {O, A, B, U},
        "reconciliations.change": {O, A, B},
        "reratings.view": {O, A, B, U},
        "reratings.change": {O, A, B},
        "collections.view": {O, A, P, D, M},
        "collections.change": {O, A, D},
        "documents.view": {O, A, P, D, M},
        "documents.change": {O, A, D},
        "events.view": {O, A, P, B, U, D, M},
        "events.all": {O, A, U},
        "exports.change": {O, U},
        "holds.change": {O, U},
        "erasures.change": {O, U},
        "reveal.use": {O, U},
    }.items()
}

#: What a member's own keys are for: calls, and nothing else.
CALLS = frozenset({"models.call", "models.view", "playground.use", "documents.search"})

#: How far a role reaches: nobody gives a role above their own, and owners are made by owners only.
RANK = {O: 3, A: 2, P: 1, B: 1, U: 1, D: 1, M: 0}


def may(role: str, right: str) -> bool:
    """Whether a role has a right. An unknown right belongs to nobody."""
    return role in RIGHTS.get(right, frozenset())


def rights_of(role: str) -> frozenset[str]:
    """All rights of a role."""
    return frozenset(right for right, roles in RIGHTS.items() if role in roles)


def may_give(giver: str, given: str) -> bool:
    """Whether somebody with the role `giver` may hand out `given`: not above oneself, and no right one lacks."""
    if RANK[Role(given)] > RANK[Role(giver)]:
        return False
    return giver in (O, A) or rights_of(given) <= rights_of(giver)


def given_by(role: str) -> list[Role]:
    """The roles that somebody with this one hands out: none without the right to give places."""
    return [given for given in Role if may(role, "memberships.change") and may_give(role, given)]
