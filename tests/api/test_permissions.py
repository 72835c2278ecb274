"""Who may do what: the permission table, asked of the running code."""

from __future__ import annotations

import pytest

from tests.api.test_attack import call
from tests.conftest import House

#: route -> the roles that may read it, and the roles that may make one there
TABLE = {
    "departments": ("owner admin", "owner admin"),
    "api-keys": ("owner admin developer member", "owner admin developer member"),
    "providers": ("owner admin policy_manager billing_manager auditor developer", "owner admin"),
    "deployments": ("owner admin policy_manager billing_manager auditor developer", "owner admin"),
    "models": ("owner admin policy_manager billing_manager auditor developer member", "owner admin"),
    "policies": ("owner admin policy_manager auditor developer", "owner admin policy_manager"),
    "budgets": ("owner admin billing_manager auditor developer", "owner admin billing_manager"),
    "prices": ("owner admin billing_manager auditor developer", "owner admin billing_manager"),
    "collections": ("owner admin policy_manager developer member", "owner admin developer"),
    "documents": ("owner admin policy_manager developer member", "owner admin developer"),
    "feedback": ("owner admin developer member", "owner admin developer member"),
    "memberships": ("owner admin", "owner admin"),
    "users": ("owner admin", "owner admin"),
    "invitations": ("owner admin", "owner admin"),
    "grants": ("owner admin", "owner admin"),
    "roles": ("owner admin policy_manager billing_manager auditor developer member", ""),
    "webhooks": ("owner admin", "owner admin"),
    "identity-providers": ("owner", "owner"),
    "group-mappings": ("owner", "owner"),
    "audit/events": ("owner admin policy_manager billing_manager auditor developer member", ""),
    "audit/health": ("owner admin policy_manager billing_manager auditor developer", ""),
    "overview": ("owner admin policy_manager billing_manager auditor developer member", ""),
    "audit/seals": ("owner admin auditor", ""),
    "audit/seal-keys": ("owner admin policy_manager billing_manager auditor developer member", ""),
    "audit/exports": ("owner auditor", "owner auditor"),
    "audit/holds": ("owner auditor", "owner auditor"),
    "erasure-requests": ("owner auditor", "owner auditor"),
    "billing/usage": ("owner admin billing_manager auditor developer member", ""),
    "billing/reconciliations": ("owner admin billing_manager auditor", "owner admin billing_manager"),
    "billing/reratings": ("owner admin billing_manager auditor", "owner admin billing_manager"),
    "budget-requests": (
        "owner admin billing_manager auditor developer",
        "owner admin billing_manager auditor developer",
    ),
    "billing/notices": ("owner admin billing_manager auditor", ""),
    "billing/reports": ("owner admin billing_manager auditor developer", "owner admin billing_manager auditor"),
    "billing/report-schedules": ("owner admin billing_manager auditor", "owner admin billing_manager"),
}
ROLES = ("owner", "admin", "policy_manager", "billing_manager", "auditor", "developer", "member")


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("route", TABLE)
def test_a_role_reads_and_makes_what_the_table_says(acme: House, role: str, route: str):
    key = acme.owner_key if role == "owner" else acme.keys[role]
    readers, makers = TABLE[route]
    read = call("get", f"/api/v1/{route}/", key).status_code
    made = call("post", f"/api/v1/{route}", key, {}).status_code
    assert read == (200 if role in readers.split() else 403)
    if not makers:
        assert made == 405
    else:
        assert made == (400 if role in makers.split() else 403)


def test_a_key_never_exceeds_its_maker(acme: House):
    def make(key: str, **body: object) -> int:
        return call("post", "/api/v1/api-keys", key, {"name": "x", "department": "legal", **body}).status_code

    assert make(acme.keys["admin"], role="owner") == 403
    assert make(acme.keys["developer"], role="admin") == 403
    assert make(acme.keys["developer"], clearance="restricted") == 403
    assert make(acme.keys["developer"], department="sales") == 403
    assert make(acme.keys["developer"]) == 201


def test_a_tenant_may_not_point_its_provider_into_the_house(acme: House):
    body = {"name": "inward", "kind": "openai_compatible", "base_url": "http://127.0.0.1:9/v1"}
    answer = call("post", "/api/v1/providers", acme.keys["admin"], body)
    assert answer.status_code == 400
    assert "private or local" in answer.json()["detail"]


def test_an_unknown_field_is_named(acme: House):
    answer = call("post", "/api/v1/departments", acme.keys["admin"], {"slug": "x", "name": "X", "colour": "red"})
    assert answer.status_code == 400
    assert answer.json()["errors"] == [{"field": "colour", "message": "This field is unknown."}]


def test_a_change_is_in_the_trail_with_before_and_after(acme: House):
    made = call("post", "/api/v1/departments", acme.keys["admin"], {"slug": "lab", "name": "Lab"}).json()
    call("patch", f"/api/v1/departments/{made['id']}", acme.keys["admin"], {"name": "Laboratory"})
    events = call("get", "/api/v1/audit/events?action=department.update", acme.keys["admin"]).json()["results"]
    assert (events[0]["actor"]["type"], events[0]["action"]) == ("key", "department.update")
