"""The console's page of roles says of every right who has it, and the API says the same."""

from __future__ import annotations

import re

import pytest
from django.test import Client

from tenants.console.roles import WORDS
from tenants.roles import RIGHTS, Role, rights_of
from tests.console.conftest import secret_of

PAGE = "/console/roles/"


def test_every_right_has_its_words():
    said = [right for rights in WORDS.values() for right in rights]
    assert sorted(said) == sorted(RIGHTS)
    assert all(words for rights in WORDS.values() for words in rights.values())


def test_the_matrix_is_the_table(as_role):
    text = as_role("owner").get(PAGE).content.decode()
    rows = re.findall(r'<th scope="row" title="([a-z_.]+)">[^<]+</th>(.*?)</tr>', text, re.S)
    shown = {right: re.findall(r'aria-label="(yes|no)"', cells) for right, cells in rows}
    assert shown == {right: ["yes" if role in roles else "no" for role in Role] for right, roles in RIGHTS.items()}


def test_it_counts_people_and_leads_to_them(acme, as_role):
    text = as_role("admin").get(PAGE).content.decode()
    assert 'href="/console/tenants/membership/?role=auditor">1 person</a>' in text
    assert re.search(r"Admin\s*<span[^>]*>you</span>", text)


@pytest.mark.parametrize("role", ["policy_manager", "billing_manager", "auditor", "alice", "bob"])
def test_whoever_sees_no_people_sees_no_matrix(as_role, role):
    client = as_role(role)
    assert client.get(PAGE).status_code == 403
    assert PAGE not in client.get("/console/").content.decode()


@pytest.mark.parametrize(("role", "counts"), [("owner", True), ("member", False)])
def test_the_api_says_the_same(acme, role, counts):
    asked = {"HTTP_AUTHORIZATION": f"Bearer {secret_of(acme, role)}"}
    found = Client().get("/api/v1/roles", **asked).json()["results"]
    assert {one["role"]: set(one["rights"]) for one in found} == {role.value: set(rights_of(role)) for role in Role}
    assert {one["role"]: one["gives"] for one in found}["admin"] == [role.value for role in Role if role != "owner"]
    assert {one["role"]: one["gives"] for one in found}["developer"] == []
    assert all((one["people"] is not None) is counts for one in found)
