"""The console's page of provisioning: for owners alone; the key shown once, and what groups give."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tenants.models import GroupMapping
from tenants.services import caller_of_key

LIST = "/console/tenants/groupmapping/"


def page_of(browser, path=LIST):
    return browser.get(path).content.decode()


def test_an_owner_makes_the_key_that_people_are_provisioned_with(acme, as_role):
    owner = as_role("owner")
    assert "http://testserver/scim/v2" in page_of(owner)
    assert "never" in page_of(owner)
    answer = owner.post(LIST + "key/", {"name": "Okta", "days": "90", "reason": "we have Okta"})
    assert "no-store" in answer["cache-control"]
    [key] = set(re.findall(r"sk-ch-[a-z0-9]{12}-[a-z0-9]{32}-[a-z0-9]{6}", answer.content.decode()))
    caller = caller_of_key(key)
    assert caller is not None
    assert (caller.role, caller.scopes, caller.may("users.view")) == ("owner", frozenset({"scim.use"}), False)
    body = {"schemas": ["urn:ietf:params:scim:schemas:core:2.0:User"], "userName": f"x@{acme.name}.example"}
    head = {"authorization": f"Bearer {key}"}
    made = Client().post("/scim/v2/Users", body, content_type="application/json", headers=head)
    assert made.status_code == 201, made.content
    shown = page_of(owner)
    assert "1 active of 1" in shown
    assert ">Okta<" in shown
    assert key not in shown


def test_an_owner_says_what_a_group_gives(acme, as_role):
    owner, legal = as_role("owner"), acme.departments["legal"]
    values = {"group": "Legal EMEA", "department": str(legal.pk), "role": "developer", "clearance": "2", "reason": "x"}
    assert owner.post(LIST + "add/", values).status_code == 302
    with acme.open():
        row = GroupMapping.objects.get(group="Legal EMEA")
        assert (row.department_id, row.role, row.clearance) == (legal.pk, "developer", 2)
    shown = page_of(owner)
    assert "Legal EMEA" in shown
    assert "not sent yet" in shown
    again = owner.post(LIST + "add/", {**values, "group": "legal emea"})
    assert "is said already" in again.content.decode()
    change = f"{LIST}{row.pk}/change/"
    assert 'value="Legal EMEA"' in page_of(owner, change)
    assert owner.post(change, {**values, "department": "", "clearance": ""}).status_code == 302
    with acme.open():
        row.refresh_from_db()
        assert (row.department_id, row.role, row.clearance) == (None, "developer", None)
    assert "0 people lose" in page_of(owner, f"{LIST}{row.pk}/delete/")
    assert owner.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    with acme.open():
        assert not GroupMapping.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({}, "Say what the group gives"),
        ({"role": "owner"}, "owner is not one of the available choices"),
        ({"role": "member", "group": ""}, "This field is required"),
    ],
)
def test_what_is_wrong_stands_on_the_form(as_role, wrong, said):
    page = as_role("owner").post(LIST + "add/", {"group": "G", **wrong})
    assert page.status_code == 200
    assert said in page.content.decode()


@pytest.mark.parametrize("role", ["admin", "auditor", "alice", "bob"])
def test_nobody_else_sees_it_or_makes_a_key(as_role, role):
    browser = as_role(role)
    for path in (LIST, LIST + "add/", LIST + "key/"):
        assert browser.get(path).status_code == 403
        assert browser.post(path, {"name": "x", "group": "x", "role": "member"}).status_code == 403
    assert LIST not in page_of(browser, "/console/")


def test_another_tenants_group_is_not_there(acme, globex, as_role, enter):
    with globex.open():
        row = GroupMapping.objects.create(group="Secret of Globex", role="member")
    owner = as_role("owner")
    assert "Secret of Globex" not in page_of(owner)
    for path in ("change/", "delete/"):
        assert owner.get(f"{LIST}{row.pk}/{path}").status_code == 404
        assert owner.post(f"{LIST}{row.pk}/{path}", {"post": "yes", "group": "x", "role": "member"}).status_code == 404
    assert "Secret of Globex" in page_of(enter(globex.people["charlie"]))
