"""People by form: a place with role, clearance and departments; nobody above themselves, never without an owner."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.test import Client
from django.urls import reverse

from audit.models import Event
from tenants.models import Department, Membership, User

ADD = "/console/tenants/membership/add/"


@pytest.fixture
def dora():
    """The form of somebody new."""
    return {"email": f"dora-{token_hex(4)}@acme.example", "name": "Dora", "role": "developer", "clearance": "2"}


def place_of(house, email):
    with house.open():
        return Membership.objects.select_related("user").get(user__email=email)


def change(place):
    return reverse("admin:tenants_membership_change", args=[place.pk])


def test_a_person_is_added_with_a_place_and_a_first_password(acme, as_role, dora):
    password = "tell it to Dora only"
    departments = [str(acme.departments["legal"].pk)]
    form = {**dora, "departments": departments, "password": password, "reason": "new in legal"}
    assert as_role("admin").post(ADD, form).status_code == 302
    place = place_of(acme, dora["email"])
    assert (place.role, place.clearance) == ("developer", 2)
    with acme.open():
        assert [department.slug for department in place.departments.all()] == ["legal"]
        event = Event.objects.get(action="membership.create", object_id=str(place.pk))
    assert event.reason == "new in legal"
    signed_in = Client().post("/console/login/", {"username": dora["email"], "password": password})
    assert signed_in.status_code == 302


def test_a_weak_first_password_is_refused(as_role, dora):
    page = as_role("admin").post(ADD, {**dora, "password": "k7w2"}).content.decode()
    assert "at least 12 characters" in page
    assert "k7w2" not in page


def test_nobody_is_added_twice(acme, as_role, dora):
    client = as_role("owner")
    client.post(ADD, dora)
    assert "belongs to this tenant already" in client.post(ADD, dora).content.decode()


def test_somebody_of_another_tenant_gets_a_second_place_and_keeps_their_name(acme, globex, as_role):
    charlie = globex.people["charlie"]
    form = {"email": charlie.email, "name": "Renamed", "role": "member", "clearance": "0"}
    assert as_role("owner").post(ADD, form).status_code == 302
    assert place_of(acme, charlie.email).role == "member"
    with globex.open():
        assert User.objects.get(pk=charlie.pk).name == charlie.name


def test_a_place_is_changed(acme, as_role, dora):
    client = as_role("owner")
    client.post(ADD, dora)
    place = place_of(acme, dora["email"])
    sales = [str(acme.departments["sales"].pk)]
    client.post(change(place), {"role": "member", "clearance": "0", "departments": sales})
    changed = place_of(acme, dora["email"])
    assert (changed.role, changed.clearance) == ("member", 0)
    with acme.open():
        assert [department.slug for department in changed.departments.all()] == ["sales"]


def test_the_last_owner_stays_an_owner(acme, as_role):
    client, place = as_role("owner"), place_of(acme, acme.people["owner"].email)
    page = client.post(change(place), {"role": "member", "clearance": "1"}).content.decode()
    assert "A tenant keeps at least one owner" in page
    url = reverse("admin:tenants_membership_delete", args=[place.pk])
    assert client.post(url, {"post": "yes"}).status_code == 403
    assert place_of(acme, acme.people["owner"].email).role == "owner"


def test_removing_somebody_says_what_ends(acme, as_role, dora):
    client = as_role("owner")
    client.post(ADD, dora)
    place = place_of(acme, dora["email"])
    url = reverse("admin:tenants_membership_delete", args=[place.pk])
    assert "0 living keys of theirs stop working" in client.get(url).content.decode()
    client.post(url, {"post": "yes", "reason": "left"})
    with acme.open():
        assert not Membership.objects.filter(pk=place.pk).exists()


def test_the_auditor_sees_no_places(acme, as_role):
    place = place_of(acme, acme.people["alice"].email)
    assert as_role("auditor").get(change(place)).status_code == 404


def test_a_department_of_another_tenant_is_no_choice(globex, as_role, dora):
    form = {**dora, "departments": [str(globex.departments["legal"].pk)]}
    assert "not one of the available choices" in as_role("owner").post(ADD, form).content.decode()


def test_the_platform_makes_a_tenant_and_sees_its_owner_key_once(operator, enter):
    name = f"initech-{token_hex(4)}"
    answer = enter(operator).post(reverse("admin:tenants_tenant_add"), {"name": "Initech", "slug": name})
    assert "sk-ch-" in answer.content.decode()
    assert "no-store" in answer["cache-control"]
    again = enter(operator).post(reverse("admin:tenants_tenant_add"), {"name": "Initech", "slug": name})
    assert "already" in again.content.decode()


def test_an_owner_renames_their_own_tenant_only(acme, globex, as_role):
    client = as_role("owner")
    form = {"name": "Acme renamed", "slug": acme.name, "rpm": "10", "tpm": ""}
    assert client.post(reverse("admin:tenants_tenant_change", args=[acme.tenant]), form).status_code == 302
    with acme.open():
        assert Department.objects.first().tenant.name == "Acme renamed"
    assert client.get(reverse("admin:tenants_tenant_change", args=[globex.tenant])).status_code == 404
    assert as_role("admin").post(reverse("admin:tenants_tenant_change", args=[acme.tenant]), form).status_code == 403
