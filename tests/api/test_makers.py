"""A key never exceeds its maker: when it is made, and whatever becomes of the maker later."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest

from tenants.data import Caller
from tenants.isolation import scope
from tenants.models import ApiKey, Membership, User
from tenants.services import add_person, caller_of_key, change_place, make_key, remove_person, revoke_key
from tests.api.test_attack import call
from tests.api.test_grants import grant, person
from tests.api.test_shapes import make
from tests.conftest import House


def made_by(key: str, status: int = 201, **body: Any) -> dict[str, Any]:
    answer = call("post", "/api/v1/api-keys", key, {"name": "made", "department": "legal", **body})
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def caller(key: str) -> Caller:
    found = caller_of_key(key, "127.0.0.1")
    assert found is not None
    return found


def admin(acme: House, role: str = "admin", **key: Any) -> tuple[Membership, str]:
    """Alice, who manages, and her own key."""
    with scope(acme.id):
        place = add_person(f"{token_hex(4)}@acme.example", "Alice", role, 3, [acme.departments["legal"]])
        fields = {"name": "hers", "department": acme.departments["legal"], "role": role, "clearance": 3, **key}
        return place, make_key(user=User.objects.get(pk=place.user_id), **fields)[1]


def later() -> str:
    return (datetime.now(UTC) + timedelta(days=2)).isoformat()


@pytest.mark.parametrize(
    ("restricted", "wider", "narrower"),
    [
        ({"models": ["a", "b"]}, {"models": ["a", "c"]}, {"models": ["a"]}),
        ({"limits": {"rpm": 10}}, {"limits": {"rpm": 11}}, {"limits": {"rpm": 9}}),
        ({"limits": {"tpm": 10}}, {"limits": {"tpm": 11}}, {"limits": {"tpm": 10}}),
        ({"ip_allow": ["127.0.0.0/24"]}, {"ip_allow": ["127.0.0.0/23"]}, {"ip_allow": ["127.0.0.1"]}),
        (
            {"scopes": ["keys.change", "models.call"]},
            {"scopes": ["keys.change", "usage.view"]},
            {"scopes": ["models.call"]},
        ),
        ({"clearance": "internal"}, {"clearance": "confidential"}, {"clearance": "public"}),
        ({"expires_at": (datetime.now(UTC) + timedelta(days=1)).isoformat()}, {"expires_at": later()}, {}),
    ],
)
def test_it_is_made_within_its_makers_restrictions(acme: House, restricted: Any, wider: Any, narrower: Any):
    maker = made_by(acme.owner_key, role="developer", **restricted)
    made_by(maker["key"], 403, **wider)
    made = made_by(maker["key"], **narrower)
    path = f"/api/v1/api-keys/{made['id']}"
    assert call("patch", path, maker["key"], wider).status_code == 403
    inherited = made_by(maker["key"], clearance="public")
    for name in restricted:
        if name not in ("scopes", "clearance"):
            assert inherited[name] == maker[name]
    assert caller(inherited["key"]).may("models.call")
    assert not caller(made["key"]).may("keys.all")


def test_a_restricted_scope_is_handed_down_unsaid(acme: House):
    maker = made_by(acme.owner_key, role="developer", scopes=["keys.change", "models.call"])
    made = caller(made_by(maker["key"])["key"])
    assert (made.may("models.call"), made.may("documents.search"), made.may("usage.view")) == (True, False, False)


def test_an_admins_auditor_key_has_no_right_that_admins_lack(acme: House):
    made = caller(made_by(acme.keys["admin"], role="auditor")["key"])
    assert (made.may("events.all"), made.may("exports.change"), made.may("reveal.use")) == (True, False, False)
    assert caller(made_by(acme.owner_key, role="auditor")["key"]).may("exports.change")


def test_when_its_maker_is_demoted_so_is_the_key(acme: House):
    place, hers = admin(acme)
    made = made_by(hers, role="admin", clearance="restricted", department="sales")["key"]
    second = made_by(made, role="developer", clearance="confidential", department="sales")["key"]
    assert (caller(made).role, caller(made).departments, caller(second).clearance) == ("admin", None, 2)
    with scope(acme.id):
        change_place(place, "developer", 1, [acme.departments["legal"]])
    for key in (made, second):
        now = caller(key)
        assert (now.role, now.clearance, now.may("keys.all"), now.may("models.call")) == ("developer", 1, False, True)
        assert acme.departments["sales"].pk not in (now.departments or ())
    assert call("post", "/api/v1/departments", made, {"slug": "x", "name": "X"}).status_code == 403
    with scope(acme.id):
        change_place(place, "billing_manager", 3, [])
    assert not caller(second).may("models.call")
    with scope(acme.id):
        change_place(place, "admin", 3, [])
    assert (caller(made).role, caller(second).clearance) == ("admin", 2)


def test_when_its_maker_is_gone_so_is_the_key(acme: House):
    place, hers = admin(acme)
    made = made_by(hers, role="developer")
    second = made_by(made["key"])["key"]
    assert call("get", "/api/v1/models", second).status_code == 200
    with scope(acme.id):
        remove_person(place)
    for key in (hers, made["key"], second):
        assert call("get", "/api/v1/models", key).status_code == 401


def test_when_the_key_that_made_it_is_revoked_so_is_the_key(acme: House):
    first = made_by(acme.owner_key, role="admin")
    second = made_by(first["key"], role="developer")
    assert call("delete", f"/api/v1/api-keys/{first['id']}", acme.owner_key).status_code == 204
    assert call("get", "/api/v1/models", second["key"]).status_code == 401


def test_a_key_that_takes_anothers_place_takes_over_what_that_made(acme: House):
    first = made_by(acme.owner_key, role="admin")
    second = made_by(first["key"], role="developer")
    renewed = make(acme, f"api-keys/{first['id']}/rotate", {"grace_seconds": 0})
    assert call("get", "/api/v1/models", first["key"]).status_code == 401
    assert call("get", "/api/v1/models", second["key"]).status_code == 200
    assert call("post", f"/api/v1/api-keys/{first['id']}/rotate", acme.owner_key, {}).status_code == 409
    own = call("post", f"/api/v1/api-keys/{renewed['id']}/rotate", renewed["key"], {}).json()
    assert call("get", "/api/v1/models", own["key"]).status_code == 200
    assert call("get", "/api/v1/models", second["key"]).status_code == 200
    with scope(acme.id):
        revoke_key(ApiKey.objects.get(pk=own["id"]))
    assert call("get", "/api/v1/models", second["key"]).status_code == 401


def test_a_key_whose_maker_is_gone_lives_on_in_the_one_that_replaces_it(acme: House):
    place, hers = admin(acme)
    made = made_by(hers, role="developer")
    with scope(acme.id):
        remove_person(place)
    renewed = make(acme, f"api-keys/{made['id']}/rotate", {})
    assert call("get", "/api/v1/models", renewed["key"]).status_code == 200


def test_during_the_grace_both_work(acme: House):
    made = made_by(acme.owner_key, role="developer")
    renewed = make(acme, f"api-keys/{made['id']}/rotate", {"grace_seconds": 60})
    for key in (made["key"], renewed["key"]):
        assert call("get", "/api/v1/models", key).status_code == 200
    assert call("delete", f"/api/v1/api-keys/{made['id']}", acme.owner_key).status_code == 204
    assert call("get", "/api/v1/models", made["key"]).status_code == 401


def test_a_members_own_key_is_for_calls_only(acme: House):
    _, _, key = person(acme, "member")
    made = made_by(key, role="member")
    found = caller(made["key"])
    assert (found.may("models.call"), found.may("usage.view"), found.may("keys.change")) == (True, False, False)
    assert found.user == caller(key).user
    made_by(key, 403, role="member", scopes=["usage.view"])
    made_by(key, 403, role="developer")


def test_what_is_denied_to_its_maker_is_denied_to_the_key(acme: House):
    provider = f"p-{token_hex(3)}"
    make(acme, "providers", {"name": provider, "kind": "extractive"})
    make(acme, "deployments", {"provider": provider, "name": provider, "upstream_model": "x"})
    model = make(acme, "models", {"name": provider, "deployments": [{"deployment": provider}]})
    place, hers = admin(acme, "developer")
    made = made_by(hers, role="developer")["key"]
    identity = UUID(model["id"])
    assert caller(made).may_call(provider, identity)
    grant(acme, "model", identity, ("user", place.user_id), "use", deny=True)
    assert not caller(hers).may_call(provider, identity)
    assert not caller(made).may_call(provider, identity)
    assert caller(acme.keys["developer"]).may_call(provider, identity)


def test_a_grant_does_not_lift_what_the_key_is_restricted_to(acme: House):
    provider = f"p-{token_hex(3)}"
    make(acme, "providers", {"name": provider, "kind": "extractive"})
    make(acme, "deployments", {"provider": provider, "name": provider, "upstream_model": "x"})
    model = make(acme, "models", {"name": provider, "deployments": [{"deployment": provider}]})
    identity = UUID(model["id"])
    listed = made_by(acme.owner_key, role="developer", models=["other"])
    scoped = made_by(acme.owner_key, role="auditor", scopes=["events.view"])
    plain = made_by(acme.owner_key, role="auditor")
    for made in (listed, scoped, plain):
        assert not caller(made["key"]).may_call(provider, identity)
        grant(acme, "model", identity, ("key", made["id"]), "use")
    assert [caller(made["key"]).may_call(provider, identity) for made in (listed, scoped, plain)] == [
        False,
        False,
        True,
    ]
