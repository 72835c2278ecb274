"""Who sees what: by role in one's own tenant, and nothing at all of another."""

from __future__ import annotations

import pytest
from django.contrib import admin
from django.urls import NoReverseMatch, reverse

from audit.models import Event
from tenants.isolation.middleware import TENANT_KEY
from tenants.models import Membership

ROLES = ("owner", "admin", "policy_manager", "billing_manager", "auditor", "alice", "bob")

#: page -> the roles whose navigation shows it; all others are refused
SEEN = {
    "audit_event": ROLES,
    "audit_seal": ("owner", "admin", "auditor"),
    "audit_export": ("owner", "auditor"),
    "audit_erasurerequest": ("owner", "auditor"),
    "audit_hold": ("owner", "auditor"),
    "policies_policy": ("owner", "admin", "policy_manager", "auditor", "alice"),
    "gateway_model": ROLES,
    "gateway_deployment": ("owner", "admin", "policy_manager", "billing_manager", "auditor", "alice"),
    "gateway_provider": ("owner", "admin", "policy_manager", "billing_manager", "auditor", "alice"),
    "retrieval_document": ("owner", "admin", "policy_manager", "alice", "bob"),
    "retrieval_collection": ("owner", "admin", "policy_manager", "alice", "bob"),
    "tenants_grant": ("owner", "admin"),
    "tenants_department": ("owner", "admin"),
    "tenants_membership": ("owner", "admin"),
    "tenants_invitation": ("owner", "admin"),
    "tenants_apikey": ("owner", "admin", "alice", "bob"),
    "tenants_identityprovider": ("owner",),
    "tenants_groupmapping": ("owner",),
    "billing_usage": ("owner", "admin", "billing_manager", "auditor", "alice", "bob"),
    "billing_budget": ("owner", "admin", "billing_manager", "auditor", "alice"),
    "billing_price": ("owner", "admin", "billing_manager", "auditor", "alice"),
    "billing_notice": ("owner", "admin", "billing_manager", "auditor"),
    "billing_budgetrequest": ("owner", "admin", "billing_manager", "auditor", "alice"),
    "billing_reconciliation": ("owner", "admin", "billing_manager", "auditor"),
    "billing_rerating": ("owner", "admin", "billing_manager", "auditor"),
    "billing_report": ("owner", "admin", "billing_manager", "auditor", "alice"),
    "billing_reportschedule": ("owner", "admin", "billing_manager", "auditor"),
    "tenants_tenant": ROLES,
}

#: page -> the roles that may add to it
ADDED = {
    "gateway_model": ("owner", "admin"),
    "gateway_deployment": ("owner", "admin"),
    "gateway_provider": ("owner", "admin"),
    "retrieval_collection": ("owner", "admin", "alice"),
    "tenants_grant": ("owner", "admin"),
    "tenants_department": ("owner", "admin"),
    "tenants_membership": ("owner", "admin"),
    "tenants_invitation": ("owner", "admin"),
    "tenants_apikey": ("owner", "admin", "alice", "bob"),
    "tenants_identityprovider": ("owner",),
    "tenants_groupmapping": ("owner",),
    "billing_budget": ("owner", "admin", "billing_manager"),
    "billing_price": ("owner", "admin", "billing_manager"),
    "billing_notice": (),
    "billing_budgetrequest": (),
    "billing_reconciliation": ("owner", "admin", "billing_manager"),
    "billing_rerating": ("owner", "admin", "billing_manager"),
    "billing_report": ("owner", "admin", "billing_manager", "auditor"),
    "billing_reportschedule": ("owner", "admin", "billing_manager"),
    "tenants_tenant": (),
    "audit_event": (),
    "audit_seal": (),
    "audit_export": ("owner", "auditor"),
    "audit_erasurerequest": ("owner", "auditor"),
    "audit_hold": ("owner", "auditor"),
    "billing_usage": (),
    "policies_policy": ("owner", "admin", "policy_manager"),
}


def test_the_table_names_every_page():
    registered = {f"{m._meta.app_label}_{m._meta.model_name}" for m in admin.site._registry}
    assert registered == set(SEEN)


@pytest.mark.parametrize("place", ROLES)
@pytest.mark.parametrize("page", SEEN)
def test_it_shows_a_list_to_the_roles_that_may_see_it(as_role, page, place):
    url = reverse(f"admin:{page}_changelist")
    client = as_role(place)
    allowed = place in SEEN[page]
    assert client.get(url).status_code == (200 if allowed else 403)
    assert (f'href="{url}'.encode() in client.get(reverse("admin:index")).content) is allowed


@pytest.mark.parametrize("place", ROLES)
@pytest.mark.parametrize("page", ADDED)
def test_it_offers_adding_to_the_roles_that_may(as_role, page, place):
    client, url = as_role(place), reverse(f"admin:{page}_add")
    assert client.get(url).status_code == (200 if place in ADDED[page] else 403)
    assert client.post(url, {}).status_code == (200 if place in ADDED[page] else 403)


def addresses(obj):
    """All pages about one object."""
    name, found = f"admin:{obj._meta.app_label}_{obj._meta.model_name}", []
    for verb in ("change", "delete", "history", "revoke", "retry", "resend"):
        try:
            found.append(reverse(f"{name}_{verb}", args=[obj.pk]))
        except NoReverseMatch:
            continue
    return found


def test_charlie_gets_404_for_every_object_of_acme(acme, globex, enter):
    client = enter(globex.people["charlie"])
    found = [(url, client.get(url).status_code) for obj in acme.objects for url in addresses(obj)]
    assert len(found) > 40
    found = [(url, client.post(url).status_code if status == 405 else status) for url, status in found]
    assert [place for place in found if place[1] != 404 and "/history/" not in place[0]] == []


def test_charlie_changes_nothing_of_acme(acme, globex, enter):
    client = enter(globex.people["charlie"])
    for obj in acme.objects:
        for url in addresses(obj):
            client.post(url, {"post": "yes", "name": "stolen", "reason": "because"})
    with acme.open():
        for obj in acme.objects:
            before = {field.attname: getattr(obj, field.attname) for field in obj._meta.concrete_fields}
            obj.refresh_from_db()
            assert before == {field.attname: getattr(obj, field.attname) for field in obj._meta.concrete_fields}


@pytest.mark.parametrize("page", SEEN)
def test_no_list_of_charlie_names_anything_of_acme(acme, globex, enter, page):
    shown = enter(globex.people["charlie"]).get(reverse(f"admin:{page}_changelist")).content.decode()
    assert acme.name not in shown
    assert str(acme.tenant) not in shown


def test_bob_sees_his_own_key_and_its_calls_only(acme, as_role):
    client = as_role("bob")
    keys = client.get(reverse("admin:tenants_apikey_changelist")).content.decode()
    assert acme.keys["laptop"].public_id in keys
    assert acme.keys["copilot"].public_id not in keys
    events = client.get(reverse("admin:audit_event_changelist")).content.decode()
    assert acme.keys["laptop"].name in events
    assert acme.keys["copilot"].name not in events
    assert client.get(reverse("admin:tenants_apikey_change", args=[acme.keys["copilot"].pk])).status_code == 404


def test_alice_sees_the_keys_and_calls_of_her_department(acme, as_role):
    client = as_role("alice")
    for page in ("tenants_apikey", "audit_event"):
        shown = client.get(reverse(f"admin:{page}_changelist")).content.decode()
        assert acme.keys["assistant"].name in shown
        assert acme.keys["copilot"].name not in shown


def test_usage_of_those_who_see_their_own_only_adds_up_their_own(as_role):
    url = reverse("admin:billing_usage_changelist")
    assert "$0.25" in as_role("bob").get(url).content.decode()
    assert "$0.0125" in as_role("alice").get(url).content.decode()
    assert "$0.762" in as_role("auditor").get(url).content.decode()


def test_nobody_gives_a_role_above_their_own(acme, as_role):
    form = {"email": "new@acme.example", "name": "New", "role": "owner", "clearance": "1"}
    page = as_role("admin").post(reverse("admin:tenants_membership_add"), form)
    assert "owner is not one of the available choices" in page.content.decode()


def test_an_admin_looks_at_an_owner_and_changes_nothing(acme, as_role):
    with acme.open():
        owner = Membership.objects.get(user=acme.people["owner"], tenant=acme.tenant)
    url = reverse("admin:tenants_membership_change", args=[owner.pk])
    client = as_role("admin")
    assert b'name="role"' not in client.get(url).content
    client.post(url, {"role": "member", "clearance": "0"})
    assert client.post(reverse("admin:tenants_membership_delete", args=[owner.pk]), {"post": "yes"}).status_code == 403
    with acme.open():
        assert Membership.objects.get(pk=owner.pk).role == "owner"


def test_a_person_opens_no_tenant_where_they_have_no_place(acme, globex, enter):
    client = enter(globex.people["charlie"])
    assert client.post(reverse("admin:open_tenant", args=[acme.tenant])).status_code == 404
    assert globex.name in client.get(reverse("admin:tenants_department_changelist")).content.decode()


def test_a_session_that_names_a_foreign_tenant_opens_ones_own(acme, globex, enter):
    client = enter(globex.people["charlie"])
    session = client.session
    session[TENANT_KEY] = str(acme.tenant)
    session.save()
    shown = client.get(reverse("admin:tenants_department_changelist")).content.decode()
    assert acme.name not in shown


def test_the_platforms_people_open_a_tenant_and_its_trail_says_so(acme, operator, enter):
    client = enter(operator)
    listed = client.get(reverse("admin:tenants_tenant_changelist"), {"q": acme.name})
    assert acme.name.title() in listed.content.decode()
    assert (
        acme.departments["legal"].name
        not in client.get(reverse("admin:tenants_department_changelist")).content.decode()
    )
    client.post(reverse("admin:open_tenant", args=[acme.tenant]))
    assert acme.departments["legal"].name in client.get(reverse("admin:tenants_department_changelist")).content.decode()
    with acme.open():
        opened = Event.objects.get(action="tenant.open", actor_id=str(operator.pk))
    assert (opened.actor_type, opened.actor_name, opened.object_id) == ("user", operator.name, str(acme.tenant))


def test_opening_a_tenant_is_no_link(acme, operator, enter):
    assert enter(operator).get(reverse("admin:open_tenant", args=[acme.tenant])).status_code == 405
