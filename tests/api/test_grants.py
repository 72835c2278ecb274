"""Rights on single objects: they widen a role or narrow it, and denial wins."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from django.test import Client

from billing.models import Budget
from tenants.isolation import scope
from tenants.models import Membership, PersonPermission, User
from tenants.services import add_person, caller_of_key, make_key, remove_person
from tests.api.test_attack import call
from tests.api.test_shapes import make
from tests.conftest import House


def grant(acme: House, kind: str, identity: Any, to: tuple[str, Any], right: str, **more: Any) -> dict[str, Any]:
    whom = {"type": to[0], "id": str(to[1])}
    return make(acme, "grants", {"object": {"type": kind, "id": str(identity)}, "to": whom, "right": right, **more})


def budget(acme: House) -> str:
    return str(make(acme, "budgets", {"scope": "tenant", "period": "month", "limit": "9.00"})["id"])


def person(acme: House, role: str, department: str = "legal") -> tuple[User, Membership, str]:
    """Somebody with a place in the tenant, and a key of theirs."""
    with scope(acme.id):
        place = add_person(f"{token_hex(4)}@acme.example", "Alice", role, 2, [acme.departments[department]])
        _, key = make_key(name="own", department=acme.departments[department], role=role, user=place.user)
        return place.user, place, key


def test_a_grant_has_the_contracts_shape_and_is_in_the_trail(acme: House):
    made = grant(acme, "budget", budget(acme), ("department", "legal"), "view")
    assert set(made) >= {"id", "object", "to", "right", "deny"}
    assert made["to"] == {"type": "department", "id": str(acme.departments["legal"].pk)}
    assert call("get", f"/api/v1/grants/{made['id']}", acme.owner_key).json() == made
    events = call("get", "/api/v1/audit/events?action=grant.create", acme.owner_key).json()["results"]
    assert events[0]["object"]["id"] == made["id"]
    assert events[0]["detail"]["after"]["right"] == "view"


def test_what_a_grant_names_is_there_or_it_is_refused(acme: House, globex: House):
    own = budget(acme)
    foreign = make(globex, "budgets", {"scope": "tenant", "period": "month", "limit": "9.00"})["id"]
    for kind, identity, to in (
        ("budget", foreign, ("department", "legal")),
        ("budget", own, ("department", globex.departments["research"].pk)),
        ("budget", own, ("key", globex.key_ids[globex.keys["developer"]])),
        ("price", own, ("department", "legal")),
        ("budget", own, ("tenant", acme.slug)),
    ):
        body = {"object": {"type": kind, "id": str(identity)}, "to": {"type": to[0], "id": str(to[1])}, "right": "view"}
        assert call("post", "/api/v1/grants", acme.owner_key, body).status_code == 400, body


def test_the_same_is_granted_once(acme: House):
    own = budget(acme)
    grant(acme, "budget", own, ("department", "legal"), "view")
    body = {"object": {"type": "budget", "id": own}, "to": {"type": "department", "id": "legal"}, "right": "view"}
    assert call("post", "/api/v1/grants", acme.owner_key, {**body, "deny": True}).status_code == 409


@pytest.mark.parametrize("kind", ["key", "user", "department"])
def test_it_shows_one_object_to_those_whose_role_sees_none(acme: House, kind: str):
    seen, hidden = budget(acme), budget(acme)
    user, _, key = person(acme, "member")
    caller = caller_of_key(key)
    assert caller is not None
    whom = {"key": caller.key, "user": user.pk, "department": acme.departments["legal"].pk}[kind]
    assert call("get", f"/api/v1/budgets/{seen}", key).status_code == 403
    made = grant(acme, "budget", seen, (kind, whom), "view")
    assert call("get", f"/api/v1/budgets/{seen}", key).status_code == 200
    listed = call("get", "/api/v1/budgets", key)
    shown = {row["id"] for row in listed.json()["results"]}
    assert (listed.status_code, seen in shown, hidden in shown) == (200, True, False)
    assert call("get", f"/api/v1/budgets/{hidden}", key).status_code == 403
    assert call("patch", f"/api/v1/budgets/{seen}", key, {"limit": "1.00"}).status_code == 403
    assert call("post", "/api/v1/budgets", key, {}).status_code == 403
    assert call("delete", f"/api/v1/grants/{made['id']}", acme.owner_key).status_code == 204
    assert call("get", f"/api/v1/budgets/{seen}", key).status_code == 403


def test_a_right_to_change_is_one_to_see(acme: House):
    own, (user, _, key) = budget(acme), person(acme, "member")
    grant(acme, "budget", own, ("user", user.pk), "change")
    assert call("get", f"/api/v1/budgets/{own}", key).status_code == 200
    assert call("patch", f"/api/v1/budgets/{own}", key, {"limit": "1.00"}).status_code == 200


def test_denial_wins_over_role_and_grant(acme: House):
    own, (user, _, key) = budget(acme), person(acme, "billing_manager")
    assert call("patch", f"/api/v1/budgets/{own}", key, {"limit": "1.00"}).status_code == 200
    grant(acme, "budget", own, ("department", "legal"), "change", deny=True)
    grant(acme, "budget", own, ("user", user.pk), "change")
    assert call("patch", f"/api/v1/budgets/{own}", key, {"limit": "2.00"}).status_code == 403
    assert call("get", f"/api/v1/budgets/{own}", key).status_code == 200
    grant(acme, "budget", own, ("user", user.pk), "view", deny=True)
    assert call("get", f"/api/v1/budgets/{own}", key).status_code == 404
    assert own not in call("get", "/api/v1/budgets?limit=1000", key).content.decode()
    assert call("get", f"/api/v1/budgets/{own}", acme.owner_key).status_code == 200


def test_a_member_writes_documents_where_it_is_granted(acme: House):
    name, other = f"c-{token_hex(3)}", f"c-{token_hex(3)}"
    collection = make(acme, "collections", {"name": name})["id"]
    make(acme, "collections", {"name": other})
    user, _, key = person(acme, "member")

    def upload(into: str) -> Any:
        return call("post", "/api/v1/documents", key, {"collection": into, "text": "words"})

    assert upload(name).status_code == 403
    grant(acme, "collection", collection, ("user", user.pk), "change")
    made = upload(name)
    assert made.status_code == 202
    assert upload(other).status_code == 403
    path = f"/api/v1/documents/{made.json()['id']}"
    assert call("patch", path, key, {"metadata": {"a": 1}}).status_code == 200
    assert call("delete", path, key).status_code == 204
    lines = b'{"collection": "%s", "text": "one"}\n{"collection": "%s", "text": "two"}' % (
        name.encode(),
        other.encode(),
    )
    headers = {"authorization": f"Bearer {key}"}
    bulk = Client().post("/api/v1/documents/bulk", lines, "application/x-ndjson", headers=headers).json()
    assert (bulk["accepted"], [row["line"] for row in bulk["rejected"]]) == (1, [2])


def test_a_developer_who_is_denied_a_collection_does_not_write_to_it(acme: House):
    name = f"c-{token_hex(3)}"
    collection = make(acme, "collections", {"name": name})["id"]
    key = acme.keys["developer"]
    grant(acme, "collection", collection, ("key", acme.key_ids[key]), "change", deny=True)
    body = {"collection": name, "text": "words"}
    assert call("post", "/api/v1/documents", key, body).status_code == 403
    assert call("get", f"/api/v1/collections/{collection}", key).status_code == 200


def test_grants_are_made_by_owners_and_admins_and_never_above_oneself(acme: House):
    own = budget(acme)
    body = {"object": {"type": "budget", "id": own}, "to": {"type": "department", "id": "legal"}, "right": "view"}
    for role in ("policy_manager", "billing_manager", "auditor", "developer", "member"):
        assert call("post", "/api/v1/grants", acme.keys[role], body).status_code == 403
        assert call("get", "/api/v1/grants", acme.keys[role]).status_code == 403
    with scope(acme.id):
        owner = add_person(f"{token_hex(4)}@acme.example", "Owner", "owner", 3, [])
    body |= {"to": {"type": "user", "id": owner.user.email}, "deny": True}
    assert call("post", "/api/v1/grants", acme.keys["admin"], body).status_code == 403
    assert call("post", "/api/v1/grants", acme.owner_key, body).status_code == 201


def test_djangos_own_question_knows_what_people_are_granted(acme: House):
    own, (user, place, _) = budget(acme), person(acme, "member")
    grant(acme, "budget", own, ("user", user.pk), "view")
    with scope(acme.id):
        assert user.has_perm("billing.view_budget", Budget.objects.get(pk=own))
        assert not User.objects.get(pk=user.pk).has_perm("billing.change_budget", Budget.objects.get(pk=own))
        remove_person(place)
        assert not PersonPermission.objects.filter(user=user).exists()
