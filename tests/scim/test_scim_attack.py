"""What one tenant's identity provider can do to another tenant, and learn of it: nothing."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from django.db import OperationalError
from django.test import Client

from tenants.isolation import PLATFORM, Scope, scope
from tenants.models import Membership, ScimUser, User
from tenants.services import caller_of_key, make_key
from tests.api.test_attack import LISTS, call
from tests.api.test_permissions import ROLES
from tests.conftest import House
from tests.scim.conftest import CORE, PATCH, Directory, _query

PATHS = ("/ServiceProviderConfig", "/ResourceTypes", "/ResourceTypes/User", "/Schemas", "/Users", "/Groups")


def account(address: str) -> dict[str, Any]:
    """All of an account, as nobody but its owner may read it."""
    with scope(Scope(login=address)):
        return dict(User.objects.filter(email=address).values().get())


def without_ids(answer: Any) -> Any:
    """An answer without what is different at each creation."""
    body = answer.json()
    for name in ("id", "meta"):
        body.pop(name, None)
    return answer.status_code, body, sorted(answer.headers)


def person(address: str) -> dict[str, Any]:
    """What an identity provider says of somebody, true or not."""
    return {
        "schemas": [CORE + "User"],
        "userName": address,
        "externalId": "x",
        "displayName": "Somebody",
        "name": {"givenName": "Some", "familyName": "Body"},
        "emails": [{"value": address, "primary": True}],
        "password": "stolen-password-1",
    }


def test_whether_an_address_exists_elsewhere_cannot_be_told(okta: Directory, entra: Directory):
    known, unknown = f"charlie-{token_hex(4)}@globex.example", f"nobody-{token_hex(4)}@globex.example"
    entra.add(known, displayName="Charlie of Globex")
    told = {}
    for address in (known, unknown):
        found = okta.ask("GET", "/Users?" + _query(filter=f'userName eq "{address}"')).json()
        assert found["totalResults"] == 0
        made = okta.ask("POST", "/Users", person(address))
        identity = made.json()["id"]
        renamed = okta.ask(
            "PATCH",
            f"/Users/{identity}",
            {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "Other"}]},
        )
        again = okta.ask("POST", "/Users", person(address))
        ended = okta.ask("DELETE", f"/Users/{identity}")
        told[address] = [
            (status, str(body).replace(address, "ADDRESS"), headers)
            for status, body, headers in map(without_ids, (made, renamed, again))
        ] + [ended.status_code]
    assert told[known] == told[unknown]
    assert "Charlie" not in str(told)


def test_ids_do_not_tell_how_old_an_account_is(okta: Directory, entra: Directory):
    address = f"charlie-{token_hex(4)}@globex.example"
    theirs = entra.add(address)
    ours = okta.add(address)
    with scope(okta.house.id):
        place = Membership.objects.get(provisioned=ours["id"])
    assert str(place.user_id) not in str(ours)
    assert ours["id"] > theirs["id"]
    assert ours["meta"]["created"] > theirs["meta"]["created"]


def test_nothing_of_a_shared_account_is_changed_and_the_other_tenant_keeps_it(okta: Directory, entra: Directory):
    address = f"charlie-{token_hex(4)}@globex.example"
    theirs = entra.add(address, displayName="Charlie")
    before, place = account(address), entra.place(theirs)
    ours = okta.add(address, displayName="Chuck", emails=[{"value": address}])
    path = f"/Users/{ours['id']}"
    other = f"mallory-{token_hex(4)}@acme.example"
    for value in (
        {"displayName": "Mallory", "password": "stolen-password-1", "name": {"formatted": "Mallory"}},
        {"userName": other, "emails": [{"value": other, "primary": True}]},
        {"userName": address, "emails": [{"value": address}]},
        {"active": False},
        {"active": True},
    ):
        okta.change(path, {"op": "replace", "value": value})
        assert account(address) == before
    assert okta.ask("DELETE", path).status_code == 204
    assert account(address) == before
    assert entra.read(f"/Users/{theirs['id']}") == theirs
    after = entra.place(theirs)
    assert place is not None
    assert after is not None
    assert after.pk == place.pk


def test_the_end_here_ends_nothing_there(okta: Directory, entra: Directory):
    address = f"charlie-{token_hex(4)}@globex.example"
    theirs, ours = entra.add(address), okta.add(address)
    place = entra.place(theirs)
    assert place is not None
    with scope(entra.house.id):
        _, own = make_key(name="own", department=None, role="member", user=place.user)
    okta.change(f"/Users/{ours['id']}", {"op": "replace", "path": "active", "value": False})
    assert caller_of_key(own) is not None
    assert entra.gets(theirs) == ("member", 0, set())


@pytest.mark.parametrize("kind", ["Users", "Groups"])
def test_foreign_ids_are_not_there(okta: Directory, entra: Directory, kind: str):
    alice = okta.add()
    target = alice if kind == "Users" else okta.group(token_hex(4), alice)
    operations = {"schemas": [PATCH], "Operations": [{"op": "replace", "path": "displayName", "value": "stolen"}]}
    bodies = {"GET": None, "PUT": target, "PATCH": operations, "DELETE": None}
    for identity in (target["id"], "7" * 32, "nobody", "%00", "..%2f..%2fapi"):
        for method, body in bodies.items():
            answer = entra.ask(method, f"/{kind}/{identity}", body)
            assert answer.status_code == 404, (identity, method, answer.content)
            assert answer.json()["status"] == "404"
    assert okta.read(f"/{kind}/{target['id']}")["id"] == target["id"]
    assert alice["userName"] not in str(entra.read("/Users?count=200"))


def test_lists_and_filters_show_ones_own(okta: Directory, entra: Directory):
    alice = okta.add()
    group = okta.group(token_hex(4), alice)
    for text in (
        "userName pr",
        f'id eq "{alice["id"]}"',
        f'not (userName eq "{token_hex(4)}")',
        "emails.value ne null",
    ):
        assert alice["userName"] not in entra.names(text)
    for text in (f'members.value eq "{alice["id"]}"', f'displayName eq "{group["displayName"]}"', "displayName pr"):
        found = entra.read("/Groups?" + _query(filter=text))
        assert group["id"] not in str(found)


def test_a_key_that_belongs_to_a_person_sees_nothing_of_their_other_tenants(okta: Directory, entra: Directory):
    address = f"both-{token_hex(4)}@globex.example"
    theirs, ours = entra.add(address), okta.add(address)
    place = okta.place(ours)
    assert place is not None
    with scope(okta.house.id):
        Membership.objects.filter(pk=place.pk).update(role="owner", clearance=3)
        _, key = make_key(name="own", department=None, role="owner", user=place.user, scopes=["scim.use"])
    own = Directory(okta.house, key)
    assert own.read(f"/Users/{ours['id']}")["id"] == ours["id"]
    assert own.ask("GET", f"/Users/{theirs['id']}").status_code == 404
    with scope(okta.house.id):
        ScimUser.objects.filter(pk=ours["id"]).delete()
        Membership.objects.filter(pk=place.pk).update(role="member")


# -- who may at all ---------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("role", ROLES)
@pytest.mark.parametrize("method", ["GET", "POST", "PUT", "PATCH", "DELETE"])
def test_only_a_key_for_provisioning_may(okta: Directory, role: str, method: str):
    user = okta.add()
    key = okta.house.owner_key if role == "owner" else okta.house.keys[role]
    own = Directory(okta.house, key)
    expected = {"GET": 200, "POST": 405, "PUT": 200, "PATCH": 400, "DELETE": 204} if role == "owner" else {}
    answer = own.ask(method, f"/Users/{user['id']}", user if method == "PUT" else {})
    assert answer.status_code == expected.get(method, 403), answer.content
    assert answer["content-type"] == "application/scim+json" or not answer.content


@pytest.mark.parametrize("path", PATHS)
def test_without_a_key_nothing_is_answered(okta: Directory, path: str):
    for head in ({}, {"authorization": "Bearer sk-ch-wrong"}, {"authorization": "Basic YTpi"}):
        answer = Client().get(f"/scim/v2{path}", headers=head)
        assert (answer.status_code, answer["www-authenticate"]) == (401, "Bearer")
        assert answer.json()["status"] == "401"


def test_a_key_for_provisioning_does_nothing_else(okta: Directory):
    answers = {path: call("get", path, okta.key).status_code for path in LISTS}
    assert set(answers.values()) <= {403, 405}, answers
    body = {"name": "x", "role": "owner", "department": "legal"}
    assert call("post", "/api/v1/api-keys", okta.key, body).status_code == 403


def test_only_an_owner_makes_such_a_key(acme: House):
    for role in ("admin", "developer", "member"):
        for body in ({"role": "owner"}, {}):
            wanted = {"name": "x", "department": "legal", "scopes": ["scim.use"], **body}
            assert call("post", "/api/v1/api-keys", acme.keys[role], wanted).status_code in (400, 403)


def test_an_admin_of_the_platform_is_not_made_here(okta: Directory):
    """Whoever provisions one tenant reaches no other, the platform's own included."""
    user = okta.add()
    place = okta.place(user)
    assert place is not None
    with scope(PLATFORM):
        assert not Membership.objects.filter(tenant_id=PLATFORM, user_id=place.user_id).exists()


def test_a_database_that_does_not_answer_is_no_answer_about_anybody(okta: Directory, monkeypatch: pytest.MonkeyPatch):
    def away(*args: Any, **kwargs: Any) -> None:
        raise OperationalError("the server closed the connection")

    monkeypatch.setattr("django.db.backends.utils.CursorWrapper.execute", away)
    for path in ("/Users", "/Users/" + "0" * 32, "/Groups"):
        answer = okta.ask("GET", path)
        assert (answer.status_code, answer["retry-after"], answer.json()["status"]) == (503, "2", "503")


@pytest.mark.parametrize("path", ["/Bulk", "/Me", "/.search", "/Users/.search"])
def test_what_is_not_offered_says_so(okta: Directory, path: str):
    answer = okta.ask("POST", path, {})
    assert (answer.status_code, answer.json()["status"]) == (501, "501")


def test_there_is_nothing_else(okta: Directory):
    for path in ("", "/", "/nothing", "/Users/a/b", "/users/x"):
        assert okta.ask("GET", path).status_code == 404
    for method, path in (("PUT", "/Users"), ("DELETE", "/Groups"), ("POST", "/Schemas")):
        assert okta.ask(method, path, {}).status_code == 405
