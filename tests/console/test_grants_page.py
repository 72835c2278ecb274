"""The console's page of grants: rights on single objects are given, denied, found and taken back."""

from __future__ import annotations

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from billing.models import Budget
from gateway.models import Model
from policies.models import Policy
from tenants.models import Grant
from tenants.services import make_grant

LIST, ADD = reverse("admin:tenants_grant_changelist"), reverse("admin:tenants_grant_add")


@pytest.fixture(scope="module")
def things(acme):
    with acme.open():
        return {
            "model": Model.objects.create(name=f"page-{acme.name}"),
            "policy": Policy.objects.create(name="strict", scope="tenant", rules={}),
            "budget": Budget.objects.create(
                scope="department", target=acme.departments["legal"].pk, period="day", limit=7
            ),
        }


def values(acme, things, kind="model", right="use", **more):
    return {
        "to": f"user:{acme.people['alice'].pk}",
        "right": right,
        "object": f"{kind}:{things[kind].pk}",
        "reason": "for the pilot",
        **more,
    }


def test_an_admin_grants_finds_and_takes_back(acme, as_role, things):
    admin, alice = as_role("admin"), acme.people["alice"]
    form = admin.get(f"{ADD}?to=user:{alice.pk}").content.decode()
    assert f'<option value="user:{alice.pk}" selected>' in form
    answer = admin.post(ADD, values(acme, things))
    assert (answer.status_code, answer["location"]) == (302, f"{LIST}?to=user%3A{alice.pk}"), answer.content.decode()
    with acme.open():
        made = Grant.objects.get(object_id=things["model"].pk)
        event = Event.objects.get(action="grant.create", object_id=str(made.pk))
    assert (made.to_type, made.to_id, made.right, made.deny) == ("user", alice.pk, "use", False)
    assert (event.reason, event.actor_name) == ("for the pilot", str(acme.people["admin"]))
    page = admin.get(answer["location"]).content.decode()
    assert f"Grants of {alice}" in page
    assert "may use" in page
    assert things["model"].name in page
    taken = reverse("admin:tenants_grant_delete", args=[made.pk])
    assert f"{alice} may use {things['model'].name}: that is granted no more" in admin.get(
        taken
    ).content.decode().replace("&#x27;", "'")
    assert admin.post(taken, {"post": "yes", "reason": "the pilot is over"}).status_code == 302
    with acme.open():
        assert not Grant.objects.filter(pk=made.pk).exists()
        assert Event.objects.get(action="grant.delete", object_id=str(made.pk)).reason == "the pilot is over"


@pytest.mark.parametrize(
    ("kind", "more", "said"),
    [
        ("policy", {"right": "use"}, "nobody uses one"),
        ("model", {"to": "user:01234567-89ab-7def-8123-456789abcdef"}, "Select a valid choice"),
        ("model", {"to": "tenant:x"}, "Select a valid choice"),
        ("model", {"object": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_stands_on_the_form(acme, as_role, things, kind, more, said):
    page = as_role("admin").post(ADD, values(acme, things, kind, **more))
    assert (page.status_code, said in page.content.decode()) == (200, True), page.content.decode()


def test_nobody_grants_to_somebody_above_them(acme, as_role, things):
    owner = acme.people["owner"].pk
    page = as_role("admin").post(ADD, values(acme, things, to=f"user:{owner}"))
    assert page.status_code == 200
    with acme.open():
        assert not Grant.objects.filter(to_id=owner).exists()


def test_it_stands_on_the_pages_of_both(acme, as_role, things):
    legal, key = acme.departments["legal"], acme.keys["copilot"]
    with acme.open():
        made = [
            make_grant("budget", things["budget"].pk, "user", acme.people["alice"].pk, "view"),
            make_grant("budget", things["budget"].pk, "department", legal.pk, "view", deny=True),
            make_grant("policy", things["policy"].pk, "key", key.pk, "view"),
        ]
        place = acme.people["alice"].memberships.get()
    owner = as_role("owner")

    def shown(page, pk):
        return " ".join(owner.get(reverse(f"admin:{page}_change", args=[pk])).content.decode().split())

    named = f"{legal}, a day"
    assert f"may view budget: {named}" in shown("tenants_membership", place.pk)
    assert f"may not view budget: {named}" in shown("tenants_department", legal.pk)
    assert "may view policy: strict@1" in shown("tenants_apikey", key.pk)
    budget = shown("billing_budget", things["budget"].pk)
    assert f"{acme.people['alice']} may view" in budget
    assert f"{legal} may not view" in budget
    assert f"Budget of {named}" in budget
    assert f"{key.name} may view" in shown("policies_policy", things["policy"].pk)
    # whoever sees the object and no grants is shown none
    text = as_role("billing_manager").get(reverse("admin:billing_budget_change", args=[things["budget"].pk]))
    assert "may view" not in text.content.decode()
    with acme.open():
        Grant.objects.filter(pk__in=[one.pk for one in made]).delete()


def test_a_list_of_many_asks_as_little_as_one_of_few(acme, as_role, things):
    owner = as_role("owner")

    def asked():
        with CaptureQueriesContext(connection) as found:
            assert owner.get(LIST).status_code == 200
        return len(found)

    with acme.open():
        first = make_grant("model", things["model"].pk, "user", acme.people["alice"].pk, "view")
    few = asked()
    with acme.open():
        more = [
            make_grant("model", things["model"].pk, "user", acme.people[one].pk, "view") for one in ("bob", "auditor")
        ]
        more.append(make_grant("model", things["model"].pk, "user", acme.people["alice"].pk, "change"))
    assert asked() == few
    with acme.open():
        Grant.objects.filter(pk__in=[first.pk, *(one.pk for one in more)]).delete()


@pytest.mark.parametrize("value", ["user:x", "user", "tenant:01234567-89ab-7def-8123-456789abcdef", ":::"])
def test_an_address_that_means_nothing_shows_an_empty_list(as_role, value):
    page = as_role("owner").get(LIST, {"to": value})
    assert (page.status_code, page.context_data["cl"].result_count) == (200, 0)


def test_nothing_of_it_exists_for_another_tenant(acme, globex, enter, things):
    with acme.open():
        made = make_grant("model", things["model"].pk, "user", acme.people["bob"].pk, "view")
    charlie = enter(globex.people["charlie"])
    for verb in ("change", "delete", "history"):
        page = charlie.get(reverse(f"admin:tenants_grant_{verb}", args=[made.pk]))
        assert page.status_code == 404 or acme.name not in page.content.decode()
    assert charlie.post(reverse("admin:tenants_grant_delete", args=[made.pk]), {"post": "yes"}).status_code != 200
    listed = charlie.get(LIST, {"to": f"user:{acme.people['bob'].pk}"})
    assert listed.context_data["cl"].result_count == 0
    assert str(acme.people["bob"]) not in listed.content.decode()
    form = charlie.get(ADD, {"object": f"model:{things['model'].pk}"}).content.decode()
    assert things["model"].name not in form
    own = f"user:{globex.people['charlie'].pk}"
    page = charlie.post(ADD, {"to": own, "right": "view", "object": f"model:{things['model'].pk}"})
    assert page.status_code == 200
    with acme.open():
        assert Grant.objects.filter(pk=made.pk).exists()
        made.delete()
