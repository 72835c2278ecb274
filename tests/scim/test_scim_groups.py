"""Groups of the identity provider, and what they give: departments, a role, a clearance; taken back with the group."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from tenants.isolation import scope
from tenants.models import GroupMapping, Membership
from tenants.services import add_person
from tests.api.test_attack import call
from tests.scim.conftest import CORE, Directory

NOTHING = ("member", 0, set())


@pytest.fixture(scope="module")
def mapped(okta: Directory) -> dict[str, str]:
    """Groups that give something, by what they give."""
    names = {what: f"{what} {token_hex(3)}" for what in ("legal", "sales", "auditors", "admins", "cleared")}
    okta.maps(names["legal"], department="legal", role="developer")
    okta.maps(names["sales"], department="sales")
    okta.maps(names["auditors"].upper(), role="auditor", clearance="restricted")
    okta.maps(names["admins"], role="admin")
    okta.maps(names["cleared"], clearance="confidential")
    return names


@pytest.fixture(scope="module")
def groups(okta: Directory, mapped: dict[str, str]) -> dict[str, dict[str, Any]]:
    return {what: okta.group(name) for what, name in mapped.items()} | {"other": okta.group(token_hex(4))}


def put_in(okta: Directory, group: dict[str, Any], *users: dict[str, Any]) -> None:
    members = [{"value": user["id"]} for user in users]
    okta.change(f"/Groups/{group['id']}", {"op": "add", "path": "members", "value": members}, status=204)


def take_out(okta: Directory, group: dict[str, Any], user: dict[str, Any]) -> None:
    path = f'members[value eq "{user["id"]}"]'
    okta.change(f"/Groups/{group['id']}", {"op": "remove", "path": path}, status=204)


def test_a_group_is_made_read_changed_and_removed(okta: Directory):
    alice, bob = okta.add(displayName="Alice"), okta.add()
    made = okta.group(f"Group {token_hex(3)}", alice)
    assert made["members"] == [
        {
            "value": alice["id"],
            "$ref": f"http://testserver/scim/v2/Users/{alice['id']}",
            "display": "Alice",
            "type": "User",
        }
    ]
    assert okta.read(f"/Users/{alice['id']}")["groups"][0]["display"] == made["displayName"]
    body = {"schemas": [CORE + "Group"], "displayName": made["displayName"], "members": [{"value": bob["id"]}]}
    put = okta.ask("PUT", f"/Groups/{made['id']}", body).json()
    assert [one["value"] for one in put["members"]] == [bob["id"]]
    assert put["meta"]["version"] != made["meta"]["version"]
    asked = okta.ask(
        "PATCH",
        f"/Groups/{made['id']}?attributes=displayName",
        {
            "schemas": ["urn:ietf:params:scim:api:messages:2.0:PatchOp"],
            "Operations": [{"op": "replace", "value": {"id": made["id"], "displayName": "Renamed " + made["id"]}}],
        },
    )
    assert (asked.status_code, asked.json()["displayName"]) == (200, "Renamed " + made["id"])
    assert okta.ask("DELETE", f"/Groups/{made['id']}").status_code == 204
    assert okta.ask("GET", f"/Groups/{made['id']}").status_code == 404
    assert "groups" not in okta.read(f"/Users/{bob['id']}")


def test_members_get_what_their_groups_give_and_lose_it_with_them(okta: Directory, groups: dict[str, Any]):
    user = okta.add()
    assert okta.gets(user) == NOTHING
    for what, gets in (
        ("other", NOTHING),
        ("legal", ("developer", 0, {"legal"})),
        ("sales", ("developer", 0, {"legal", "sales"})),
        ("cleared", ("developer", 2, {"legal", "sales"})),
        ("admins", ("admin", 2, {"legal", "sales"})),
        ("auditors", ("admin", 3, {"legal", "sales"})),
    ):
        put_in(okta, groups[what], user)
        assert okta.gets(user) == gets, what
    for what, gets in (
        ("admins", ("auditor", 3, {"legal", "sales"})),
        ("legal", ("auditor", 3, {"sales"})),
        ("auditors", ("member", 2, {"sales"})),
        ("cleared", ("member", 0, {"sales"})),
        ("sales", NOTHING),
        ("other", NOTHING),
    ):
        take_out(okta, groups[what], user)
        assert okta.gets(user) == gets, what


def test_what_was_given_by_hand_stays_unless_a_group_says_otherwise(okta: Directory, groups: dict[str, Any]):
    email = f"bob-{token_hex(4)}@acme.example"
    with scope(okta.house.id):
        add_person(email, "Bob", "billing_manager", 1, [okta.house.departments["sales"]])
    user = okta.add(email)
    put_in(okta, groups["other"], user)
    assert okta.gets(user) == ("billing_manager", 1, {"sales"})
    put_in(okta, groups["legal"], user)
    assert okta.gets(user) == ("developer", 1, {"legal", "sales"})
    take_out(okta, groups["legal"], user)
    assert okta.gets(user) == ("member", 1, {"sales"})


def test_an_owner_is_changed_by_no_group(okta: Directory, groups: dict[str, Any]):
    email = f"olivia-{token_hex(4)}@acme.example"
    with scope(okta.house.id):
        add_person(email, "Olivia", "owner", 3, [])
    user = okta.add(email)
    put_in(okta, groups["legal"], user)
    take_out(okta, groups["legal"], user)
    assert okta.gets(user) == ("owner", 3, set())


def test_who_begins_again_gets_what_their_groups_give(okta: Directory, groups: dict[str, Any]):
    user = okta.add()
    put_in(okta, groups["legal"], user)
    for active, gets in ((False, None), (True, ("developer", 0, {"legal"}))):
        okta.change(f"/Users/{user['id']}", {"op": "replace", "path": "active", "value": active})
        assert okta.gets(user) == gets


def test_a_group_that_is_renamed_or_removed_gives_otherwise(okta: Directory, mapped: dict[str, str]):
    user, name = okta.add(), f"Managers {token_hex(3)}"
    okta.maps(name, role="policy_manager")
    made = okta.group(token_hex(4), user)
    assert okta.gets(user) == NOTHING
    okta.change(f"/Groups/{made['id']}", {"op": "replace", "path": "displayName", "value": name.lower()}, status=204)
    assert okta.gets(user) == ("policy_manager", 0, set())
    okta.ask("DELETE", f"/Groups/{made['id']}")
    assert okta.gets(user) == NOTHING


def test_a_mapping_holds_at_once_for_those_who_are_there(okta: Directory):
    user, name = okta.add(), f"Later {token_hex(3)}"
    okta.group(name, user)
    made = okta.maps(name, department="sales", role="developer")
    assert okta.gets(user) == ("developer", 0, {"sales"})
    route = f"/api/v1/group-mappings/{made['id']}"
    assert call("patch", route, okta.house.owner_key, {"department": "legal", "role": ""}).status_code == 200
    assert okta.gets(user) == ("member", 0, {"legal"})
    assert call("delete", route, okta.house.owner_key).status_code == 204
    assert okta.gets(user) == NOTHING


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"role": "owner"}, "role"),
        ({"department": "nowhere"}, "department"),
        ({"clearance": "secret"}, "clearance"),
        ({}, "department"),
        ({"role": "developer", "group": ""}, "group"),
    ],
)
def test_a_mapping_that_is_wrong_is_told(okta: Directory, wrong: dict[str, Any], field: str):
    answer = call("post", "/api/v1/group-mappings", okta.house.owner_key, {"group": token_hex(4), **wrong})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_a_mapping_is_there_once_and_gives_no_more_than_its_maker_has(okta: Directory):
    group = token_hex(4)
    okta.maps(group, role="developer")
    again = call("post", "/api/v1/group-mappings", okta.house.owner_key, {"group": group.upper(), "role": "auditor"})
    assert again.status_code == 409
    low = okta.house.key("owner", "legal", clearance=1)
    answer = call("post", "/api/v1/group-mappings", low, {"group": token_hex(4), "clearance": "restricted"})
    assert answer.status_code == 403


def test_no_row_of_the_database_makes_an_owner(okta: Directory):
    user, name = okta.add(), token_hex(4)
    with scope(okta.house.id):
        GroupMapping.objects.create(group=name, role="owner")
    okta.group(name, user)
    assert okta.gets(user) == NOTHING


def test_a_group_has_one_name_and_people_of_this_tenant(okta: Directory, entra: Directory):
    name = token_hex(4)
    okta.group(name)
    charlie = entra.add()
    for body in ({"displayName": name.upper()}, {"displayName": token_hex(4), "members": [{"value": charlie["id"]}]}):
        answer = okta.ask("POST", "/Groups", {"schemas": [CORE + "Group"], **body})
        expected = 409 if "members" not in body else 400
        assert answer.status_code == expected, answer.content
    assert entra.group(name)["displayName"] == name


def test_members_who_are_gone_are_taken_out_without_complaint(okta: Directory):
    alice, bob = okta.add(), okta.add()
    made = okta.group(token_hex(4), alice)
    take_out(okta, made, bob)
    okta.ask("DELETE", f"/Users/{alice['id']}")
    take_out(okta, made, alice)
    assert "members" not in okta.read(f"/Groups/{made['id']}")


def test_many_members_take_as_many_questions_as_few(okta: Directory):
    from django.db import connection
    from django.test.utils import CaptureQueriesContext

    users = [okta.add() for _ in range(6)]
    counts = []
    for chosen in (users[:1], users):
        with CaptureQueriesContext(connection) as queries:
            okta.group(token_hex(4), *chosen)
        counts.append(len(queries))
    assert counts[0] == counts[1], counts


def test_the_place_of_an_ended_membership_is_not_revived_by_a_group(okta: Directory, groups: dict[str, Any]):
    user = okta.add(active=False)
    put_in(okta, groups["legal"], user)
    assert okta.gets(user) is None
    with scope(okta.house.id):
        assert not Membership.objects.filter(provisioned=user["id"]).exists()
