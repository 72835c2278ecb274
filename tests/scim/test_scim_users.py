"""People as the identity provider tells of them: made, read, changed, ended; and what follows in the tenant."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext

from audit.models import Event
from tenants.isolation import Scope, scope
from tenants.models import Membership, User
from tenants.services import add_person, caller_of_key, make_key
from tests.api.test_attack import call
from tests.scim.conftest import CORE, PATCH, Directory

MAIL = {"type": "work", "primary": True}


def test_a_person_is_made_read_and_ended(okta: Directory):
    body = {
        "externalId": "00u1",
        "name": {"givenName": "Alice", "familyName": "Roe"},
        "emails": [{**MAIL, "value": f"Alice.{token_hex(3)}@acme.example"}],
        "displayName": "Alice Roe",
        "password": "t1meMa$heen",
        "title": "Counsel",
        "groups": [],
    }
    made = okta.add(f"alice-{token_hex(4)}", **body)
    assert {name: made[name] for name in ("externalId", "name", "displayName", "active")} == {
        "externalId": "00u1",
        "name": body["name"],
        "displayName": "Alice Roe",
        "active": True,
    }
    assert not {"password", "title", "groups"} & set(made)
    answer = okta.ask("GET", f"/Users/{made['id']}/")
    assert (answer.json(), answer["etag"]) == (made, made["meta"]["version"])
    assert made["meta"]["location"] == f"http://testserver/scim/v2/Users/{made['id']}"
    place = okta.place(made)
    assert place is not None
    assert (place.role, place.clearance, place.user.email) == ("member", 0, body["emails"][0]["value"].lower())
    assert okta.ask("DELETE", f"/Users/{made['id']}").status_code == 204
    assert okta.ask("GET", f"/Users/{made['id']}").status_code == 404
    with scope(okta.house.id):
        assert not Membership.objects.filter(pk=place.pk).exists()


def test_its_place_and_answer_are_named_at_creation(okta: Directory):
    body = {"schemas": [CORE + "User"], "userName": f"{token_hex(4)}@acme.example"}
    answer = okta.ask("POST", "/Users/?attributes=userName", body)
    assert (answer.status_code, set(answer.json())) == (201, {"schemas", "id", "userName"})
    assert answer["location"].endswith("/scim/v2/Users/" + answer.json()["id"])


def test_a_name_is_taken_once_whatever_its_capitals(okta: Directory, entra: Directory):
    made = okta.add()
    other = okta.add()
    body = {"schemas": [CORE + "User"], "userName": made["userName"].upper()}
    for method, path in (("POST", "/Users"), ("PUT", f"/Users/{other['id']}")):
        answer = okta.ask(method, path, body)
        assert (answer.status_code, answer.json()["scimType"]) == (409, "uniqueness")
    assert entra.add(made["userName"])["userName"] == made["userName"]


def test_two_users_are_not_one_person(okta: Directory):
    made = okta.add()
    body = {"schemas": [CORE + "User"], "userName": token_hex(5), "emails": [{"value": made["userName"]}]}
    assert okta.ask("POST", "/Users", body).status_code == 409


@pytest.mark.parametrize(
    ("wrong", "word"),
    [
        ({"userName": None}, "invalidValue"),
        ({"userName": " "}, "invalidValue"),
        ({"userName": 7}, "invalidValue"),
        ({"userName": "x" * 300}, "invalidValue"),
        ({"userName": "nobody"}, "invalidValue"),  # no address by which a person could be known
        ({"userName": "a\u0000b@acme.example"}, "invalidValue"),
        ({"userName": "\ud800@acme.example"}, "invalidValue"),
        ({"emails": [{"value": "no address"}]}, "invalidValue"),
        ({"emails": [7]}, "invalidValue"),
        ({"emails": [{"value": f"{n}@acme.example"} for n in range(21)]}, "tooMany"),
        ({"active": "perhaps"}, "invalidValue"),
        ({"name": "Alice"}, "invalidValue"),
        ({"schemas": [CORE + "Group"]}, "invalidSyntax"),
        ({"schemas": None}, "invalidSyntax"),
    ],
)
def test_what_is_wrong_is_told(okta: Directory, wrong: dict[str, Any], word: str):
    body = {"schemas": [CORE + "User"], "userName": f"{token_hex(4)}@acme.example", **wrong}
    answer = okta.ask("POST", "/Users", body)
    assert (answer.status_code, answer.json()["scimType"]) == (400, word), answer.content


def test_a_body_that_is_none_is_told(okta: Directory):
    head = {"authorization": f"Bearer {okta.key}"}
    for body in (b"", b"[]", b"{", b"[" * 100_000, b"\xff"):
        answer = Client().post("/scim/v2/Users", body, content_type="application/json", headers=head)
        assert (answer.status_code, answer.json()["scimType"]) == (400, "invalidSyntax")
    large = Client().post("/scim/v2/Users", b" " * 3_000_000, content_type="application/json", headers=head)
    assert large.status_code == 413


def test_what_is_put_is_all_there_is_and_activity_stays(okta: Directory):
    made = okta.add(displayName="Alice", externalId="e")
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})
    body = {"schemas": [CORE + "User"], "id": "ignored", "userName": made["userName"], "meta": {"version": "x"}}
    put = okta.ask("PUT", f"/Users/{made['id']}", body).json()
    assert (put["active"], "displayName" in put, "externalId" in put) == (False, False, False)


def test_ended_and_begun_again_a_membership_gives_the_least(okta: Directory):
    made = okta.add()
    with scope(okta.house.id):
        Membership.objects.filter(provisioned=made["id"]).update(role="admin", clearance=3)
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})
    assert okta.place(made) is None
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": True})
    assert okta.gets(made) == ("member", 0, set())


def test_who_is_removed_by_hand_is_shown_as_not_active(okta: Directory):
    made = okta.add()
    place = okta.place(made)
    assert place is not None
    assert call("delete", f"/api/v1/memberships/{place.pk}", okta.house.owner_key).status_code == 204
    shown = okta.read(f"/Users/{made['id']}")
    assert (shown["active"], shown["meta"]["version"] != made["meta"]["version"]) == (False, True)
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "displayName", "value": "Al"})
    assert okta.place(made) is None


def test_whoever_belongs_here_already_keeps_their_place(okta: Directory):
    email = f"bob-{token_hex(4)}@acme.example"
    with scope(okta.house.id):
        add_person(email, "Bob", "developer", 2, [okta.house.departments["sales"]])
    made = okta.add(email.upper())
    assert okta.gets(made) == ("developer", 2, {"sales"})


def browser(user: User) -> Client:
    """A person who is signed in to the console."""
    client = Client()
    session = client.session
    session[SESSION_KEY], session[BACKEND_SESSION_KEY] = str(user.pk), "tenants.sign_in.PasswordBackend"
    session[HASH_SESSION_KEY] = user.get_session_auth_hash()
    session.save()
    client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
    return client


@pytest.mark.parametrize("end", ["false", "delete"])
def test_the_end_of_a_membership_ends_sessions_and_keys(okta: Directory, end: str):
    made = okta.add()
    place = okta.place(made)
    assert place is not None
    with scope(okta.house.id):
        _, own = make_key(name="laptop", department=None, role="member", user=place.user)
    signed_in = browser(place.user)
    assert caller_of_key(own) is not None
    assert signed_in.get("/api/v1/models").status_code == 200
    if end == "delete":
        assert okta.ask("DELETE", f"/Users/{made['id']}").status_code == 204
    else:
        okta.change(f"/Users/{made['id']}", {"op": "Replace", "path": "active", "value": "False"})
    assert caller_of_key(own) is None
    assert signed_in.get("/api/v1/models").status_code == 401
    assert signed_in.get("/console/").status_code == 302


def test_an_owner_is_not_locked_out(okta: Directory):
    email = f"olivia-{token_hex(4)}@acme.example"
    with scope(okta.house.id):
        first = add_person(email, "Olivia", "owner", 3, [])
    made = okta.add(email)
    assert okta.gets(made) == ("owner", 3, set())
    moved = {"op": "replace", "path": "userName", "value": f"mallory-{token_hex(3)}@acme.example"}
    for operation in ({"op": "replace", "path": "active", "value": False}, moved):
        refused = okta.change(f"/Users/{made['id']}", operation, status=400)
        assert refused["scimType"] == "mutability"
    assert okta.ask("DELETE", f"/Users/{made['id']}").status_code == 400
    with scope(okta.house.id):
        add_person(f"second-{token_hex(4)}@acme.example", "Otto", "owner", 3, [])
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "active", "value": False})
    with scope(okta.house.id):
        assert not Membership.objects.filter(pk=first.pk).exists()


def test_another_address_is_another_account_with_the_least(okta: Directory):
    made = okta.add()
    before = okta.place(made)
    assert before is not None
    with scope(okta.house.id):
        Membership.objects.filter(pk=before.pk).update(role="admin")
    address = f"{token_hex(5)}@acme.example"
    changed = okta.change(f"/Users/{made['id']}", {"op": "add", "value": {"emails": [{**MAIL, "value": address}]}})
    assert (changed["id"], changed["active"]) == (made["id"], True)
    after = okta.place(made)
    assert after is not None
    assert (after.user.email, after.role, after.user_id != before.user_id) == (address, "member", True)
    with scope(Scope(user=before.user_id)):
        assert User.objects.get(pk=before.user_id).email == before.user.email  # the account itself is untouched
        assert not Membership.objects.filter(user_id=before.user_id).exists()


def test_versions_keep_writers_apart(okta: Directory):
    made = okta.add()
    path, seen = f"/Users/{made['id']}", made["meta"]["version"]
    assert okta.ask("GET", path, if_none_match=seen).status_code == 304
    operation = {"op": "replace", "path": "displayName", "value": "Al"}
    body = {"schemas": [PATCH], "Operations": [operation]}
    assert okta.ask("PATCH", path, body, if_match=seen).status_code == 200
    for method, late in (("PATCH", body), ("PUT", made), ("DELETE", None)):
        assert okta.ask(method, path, late, if_match=seen).status_code == 412
    now = okta.ask("GET", path)["etag"]
    assert now != seen
    assert okta.ask("PATCH", path, body, if_match=now)["etag"] == now  # nothing new: the same version
    assert okta.ask("DELETE", path, if_match="*").status_code == 204


@pytest.mark.parametrize(
    ("query", "shown"),
    [
        ("?attributes=userName", {"schemas", "id", "userName"}),
        ("?attributes=name.givenName,emails.value", {"schemas", "id", "name", "emails"}),
        ("?attributes=urn:ietf:params:scim:schemas:core:2.0:User:userName", {"schemas", "id", "userName"}),
        ("?attributes=nothing", {"schemas", "id"}),
        ("?excludedAttributes=emails,meta,id,name.givenName", {"schemas", "id", "userName", "name", "active"}),
    ],
)
def test_what_is_asked_for_is_shown(okta: Directory, query: str, shown: set[str]):
    mails = [{**MAIL, "value": f"{token_hex(4)}@acme.example"}]
    made = okta.add(name={"givenName": "A", "familyName": "R"}, emails=mails)
    found = okta.read(f"/Users/{made['id']}{query}")
    assert set(found) == shown
    if "emails" in found:
        assert (found["emails"], found["name"]) == ([{"value": mails[0]["value"]}], {"givenName": "A"})
    elif "name" in found:
        assert found["name"] == {"familyName": "R"}


def test_either_attributes_or_excluded_ones(okta: Directory):
    assert okta.ask("GET", "/Users?attributes=id&excludedAttributes=meta").status_code == 400


def test_every_write_is_in_the_trail_with_the_key_before_and_after(okta: Directory):
    made = okta.add()
    okta.change(f"/Users/{made['id']}", {"op": "replace", "path": "displayName", "value": "Al"})
    okta.ask("DELETE", f"/Users/{made['id']}")
    key = caller_of_key(okta.key)
    assert key is not None
    with scope(okta.house.id):
        events = list(Event.objects.filter(object_id=made["id"]).order_by("seq"))
        assert Event.objects.filter(action="membership.delete", actor_id=str(key.key)).exists()
    actions = [event.action for event in events]  # the end of the membership is a change as well
    assert actions == ["scim_user.create", "scim_user.update", "scim_user.update", "scim_user.delete"]
    assert {(event.actor_type, event.actor_id) for event in events} == {("key", str(key.key))}
    told = events[1].detail
    assert (told["before"]["display_name"], told["after"]["display_name"]) == ("", "Al")


def test_a_list_asks_as_often_for_many_people_as_for_one(okta: Directory):
    okta.group(token_hex(4), *[okta.add() for _ in range(4)])
    counts = []
    for path in ("/Users?count=1", "/Users?count=200", "/Groups?count=200"):
        with CaptureQueriesContext(connection) as queries:
            okta.read(path)
        counts.append(len(queries))
    assert max(counts) - min(counts) <= 1, counts
    assert max(counts) <= 22, counts


def test_a_write_that_fails_leaves_nothing(okta: Directory):
    made = okta.add()
    operations = [
        {"op": "replace", "path": "active", "value": False},
        {"op": "replace", "path": "displayName", "value": "Al"},
        {"op": "replace", "path": "colour", "value": "red"},
    ]
    assert okta.change(f"/Users/{made['id']}", *operations, status=400)["scimType"] == "invalidPath"
    assert okta.read(f"/Users/{made['id']}") == made
