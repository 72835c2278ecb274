"""The requests that Okta, Entra and Keycloak's plug-ins send, by their documentation; and a real client's."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from tests.scim.conftest import CORE, PATCH, Directory, _query

ENTERPRISE = "urn:ietf:params:scim:schemas:extension:enterprise:2.0:User"


def entra_user(name: str) -> dict[str, Any]:
    return {
        "schemas": [CORE + "User", ENTERPRISE],
        "externalId": name.partition("@")[0],
        "userName": name,
        "active": True,
        "addresses": [{"primary": False, "type": "work", "country": "DE", "formatted": "Berlin"}],
        "displayName": "Alice Roe",
        "emails": [{"primary": True, "type": "work", "value": name}],
        "meta": {"resourceType": "User"},
        "name": {"formatted": "Alice Roe", "familyName": "Roe", "givenName": "Alice"},
        "phoneNumbers": [{"type": "work", "value": "+49 30 1"}],
        "preferredLanguage": "de-DE",
        "title": "Counsel",
        "roles": [],
        ENTERPRISE: {"department": "Legal", "employeeNumber": "7", "manager": "m-1"},
    }


def test_entra_looks_for_somebody_makes_and_changes_them(okta: Directory):
    name = f"alice.{token_hex(4)}@acme.example"
    asked = okta.read("/Users?" + _query(filter=f'userName eq "{name}"'))
    assert (asked["totalResults"], asked["Resources"]) == (0, [])
    answer = okta.ask("POST", "/Users", entra_user(name))
    assert answer.status_code == 201, answer.content
    made = answer.json()
    assert made["schemas"] == [CORE + "User"]
    [found] = okta.read("/Users?" + _query(filter=f'externalId eq "{made["externalId"]}"'))["Resources"]
    assert found["id"] == made["id"]
    changed = okta.change(
        f"/Users/{made['id']}",
        {"op": "Replace", "path": "displayName", "value": "Alice Doe"},
        {"op": "Replace", "path": 'emails[type eq "work"].value', "value": f"doe.{token_hex(4)}@acme.example"},
        {"op": "Add", "path": 'emails[type eq "home"].value', "value": f"home.{token_hex(4)}@acme.example"},
        {"op": "Add", "path": "name.familyName", "value": "Doe"},
        {"op": "Add", "path": 'phoneNumbers[type eq "mobile"].value', "value": "+49 30 2"},
        {"op": "Add", "path": ENTERPRISE + ":department", "value": "Sales"},
        {"op": "Remove", "path": "title"},
    )
    assert (changed["displayName"], changed["name"]["familyName"], changed["name"]["givenName"]) == (
        "Alice Doe",
        "Doe",
        "Alice",
    )
    assert [(one["type"], one.get("primary")) for one in changed["emails"]] == [("work", True), ("home", None)]
    assert changed["emails"][0]["value"].startswith("doe.")


def test_entras_flat_values_are_paths(okta: Directory):
    made = okta.add()
    value = {
        "displayName": "Al",
        "name.givenName": "Al",
        'emails[type eq "work"].value': made["userName"],
        ENTERPRISE + ":employeeNumber": "7",
        ENTERPRISE: {"manager": {"value": "x"}},
        CORE + "User:externalId": "e-7",
    }
    changed = okta.change(f"/Users/{made['id']}", {"op": "Add", "value": value})
    assert (changed["displayName"], changed["name"], changed["externalId"]) == ("Al", {"givenName": "Al"}, "e-7")
    assert changed["emails"] == [{"type": "work", "value": made["userName"]}]


@pytest.mark.parametrize(("word", "active"), [("False", False), ("false", False), ("True", True), (False, False)])
def test_activity_is_a_word_as_well(okta: Directory, word: Any, active: bool):
    made = okta.add()
    changed = okta.change(f"/Users/{made['id']}", {"op": "Replace", "path": "active", "value": word})
    assert changed["active"] is active


def test_entras_groups(okta: Directory):
    alice, bob, carol = okta.add(), okta.add(), okta.add()
    body = {
        "schemas": [CORE + "Group", "http://schemas.microsoft.com/2006/11/ResourceManagement/ADSCIM/2.0/Group"],
        "externalId": token_hex(8),
        "displayName": f"Sales {token_hex(4)}",
        "meta": {"resourceType": "Group"},
    }
    made = okta.ask("POST", "/Groups", body).json()
    query = _query(excludedAttributes="members", filter=f'displayName eq "{body["displayName"]}"')
    assert okta.read("/Groups?" + query)["totalResults"] == 1
    path = f"/Groups/{made['id']}"
    for one in (alice, bob, carol):
        member = {"$ref": None, "value": one["id"]}
        okta.change(path, {"op": "Add", "path": "members", "value": [member]}, status=204)
    okta.change(path, {"op": "Add", "path": "members", "value": [{"value": bob["id"]}]}, status=204)
    okta.change(path, {"op": "Remove", "path": "members", "value": [{"$ref": None, "value": alice["id"]}]}, status=204)
    okta.change(path, {"op": "Remove", "path": f'members[value eq "{bob["id"]}"]'}, status=204)
    assert [one["value"] for one in okta.read(path)["members"]] == [carol["id"]]
    okta.change(path, {"op": "Replace", "path": "displayName", "value": "New " + body["displayName"]}, status=204)
    okta.change(path, {"op": "Remove", "path": "members"}, status=204)
    assert "members" not in okta.read(path)


def test_okta_imports_pages_and_pushes_groups(okta: Directory):
    """Okta reads pages until there are no more, puts whole users, ends them with a value without a path."""
    name = f"bob.{token_hex(4)}@acme.example"
    body = {
        "schemas": [CORE + "User"],
        "userName": name,
        "name": {"givenName": "Bob", "familyName": "Ray"},
        "emails": [{"primary": True, "value": name, "type": "work"}],
        "displayName": "Bob Ray",
        "locale": "en-US",
        "externalId": "00ujl29u0le5T6Aj10h7",
        "groups": [],
        "password": "1mz050nq",
        "active": True,
    }
    made = okta.ask("POST", "/Users", body).json()
    put = okta.ask("PUT", f"/Users/{made['id']}", {**body, "id": made["id"], "meta": made["meta"], "displayName": "B"})
    assert (put.status_code, put.json()["displayName"]) == (200, "B")
    seen: list[str] = []
    while True:
        page = okta.read("/Users?" + _query(startIndex=str(len(seen) + 1), count="3"))
        seen += [one["id"] for one in page["Resources"]]
        if not page["Resources"]:
            break
    assert len(set(seen)) == len(seen) == page["totalResults"]
    group = okta.group(f"Okta {token_hex(4)}")
    okta.change(
        f"/Groups/{group['id']}",
        {"op": "replace", "value": {"id": group["id"], "displayName": group["displayName"]}},
        {"op": "add", "path": "members", "value": [{"value": made["id"], "display": name}]},
        status=204,
    )
    ended = okta.change(f"/Users/{made['id']}", {"op": "replace", "value": {"active": False}})
    assert (ended["active"], ended["groups"][0]["value"]) == (False, group["id"])


@pytest.mark.parametrize(
    ("operation", "word"),
    [
        ({"op": "replace", "path": "id", "value": "x"}, "mutability"),
        ({"op": "replace", "path": "meta.created", "value": "x"}, "mutability"),
        ({"op": "add", "path": "groups", "value": [{"value": "x"}]}, "mutability"),
        ({"op": "replace", "path": "colour", "value": "red"}, "invalidPath"),
        ({"op": "replace", "path": "emails[type eq", "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type eq "x"].colour', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'userName[type eq "x"]', "value": "x"}, "invalidPath"),
        ({"op": "replace", "path": 'emails[type is "x"].value', "value": "x"}, "invalidFilter"),
        ({"op": "replace", "path": 'emails[type eq "fax"].value', "value": "x@acme.example"}, "noTarget"),
        ({"op": "add", "path": 'emails[type co "fax"].value', "value": "x@acme.example"}, "noTarget"),
        ({"op": "remove"}, "noTarget"),
        ({"op": "remove", "path": "userName"}, "invalidValue"),
        ({"op": "replace", "value": "x"}, "invalidValue"),
        ({"op": "replace", "path": "active", "value": "perhaps"}, "invalidValue"),
        ({"op": "replace", "path": "name", "value": "Alice"}, "invalidValue"),
        ({"op": "move", "path": "userName", "value": "x"}, "invalidSyntax"),
        ({"op": "replace", "path": 7, "value": "x"}, "invalidPath"),
    ],
)
def test_an_operation_that_is_wrong_changes_nothing(okta: Directory, operation: dict[str, Any], word: str):
    made = okta.add()
    refused = okta.change(f"/Users/{made['id']}", operation, status=400)
    assert refused["scimType"] == word
    assert okta.read(f"/Users/{made['id']}") == made


def test_a_patch_is_a_list_of_operations(okta: Directory):
    made = okta.add()
    operation = {"op": "replace", "path": "displayName", "value": "x"}
    for body in (
        {"schemas": [PATCH]},
        {"schemas": [PATCH], "Operations": []},
        {"schemas": [PATCH], "Operations": ["x"]},
        {"Operations": [operation]},
        {"schemas": [CORE + "User"], "Operations": [operation]},
    ):
        assert okta.ask("PATCH", f"/Users/{made['id']}", body).status_code == 400
    many = {"schemas": [PATCH], "Operations": [operation] * 1001}
    assert okta.ask("PATCH", f"/Users/{made['id']}", many).json()["scimType"] == "tooMany"


def test_a_new_primary_address_ends_another(okta: Directory):
    first, second = (f"{token_hex(4)}@acme.example" for _ in range(2))
    made = okta.add(emails=[{"value": first, "primary": True, "type": "work"}])
    added = {"op": "add", "path": "emails", "value": [{"value": second, "primary": True, "type": "other"}]}
    changed = okta.change(f"/Users/{made['id']}", added)
    assert [one["primary"] for one in changed["emails"]] == [False, True]
    gone = okta.change(f"/Users/{made['id']}", {"op": "remove", "path": f'emails[value eq "{first.upper()}"]'})
    assert [one["value"] for one in gone["emails"]] == [second]
