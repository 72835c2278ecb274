"""Policies: tried before they are in force, put in force by two pairs of eyes where a tenant asks for it."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest

from config.demo import _baseline
from tenants.isolation import PLATFORM, scope
from tests.api.test_attack import call
from tests.api.test_makers import admin, made_by
from tests.api.test_shapes import make
from tests.conftest import House, house

MAIL = "write to alice@acme.example today"


@pytest.fixture(scope="module", autouse=True)
def baseline(database: None) -> None:
    with scope(PLATFORM):
        _baseline()


def draft(acme: House, rules: dict[str, Any], key: str = "", **more: Any) -> dict[str, Any]:
    body = {"name": f"p-{token_hex(3)}", "rules": rules, **more}
    answer = call("post", "/api/v1/policies", key or acme.owner_key, body)
    assert answer.status_code == 201, answer.content
    found: dict[str, Any] = answer.json()
    return found


def simulate(acme: House, body: dict[str, Any], key: str = "", status: int = 200) -> dict[str, Any]:
    answer = call("post", "/api/v1/policies/simulate", key or acme.owner_key, body)
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def test_a_draft_is_tried_on_a_text(acme: House):
    found = simulate(acme, {"rules": {"pii": {"EMAIL_ADDRESS": "mask"}}, "text": MAIL})
    assert "alice@acme.example" not in found["before"]["text"]
    assert "*****@****.*******" in found["after"]["text"]
    [change] = found["changes"]["entities"]
    assert (change["type"], change["start"], change["end"]) == ("EMAIL_ADDRESS", 9, 27)
    assert change["before"].startswith("[EMAIL_ADDRESS_")
    assert change["after"].startswith("*****@")
    assert found["changes"]["decision"] is None


def test_a_draft_that_would_refuse_says_so_and_by_what(acme: House):
    policy = draft(acme, {"pii": {"EMAIL_ADDRESS": "block"}, "models": {"deny": ["x"]}, "residency": ["eu"]})
    for reference in (policy["id"], policy["name"]):
        found = simulate(acme, {"policy": reference, "text": MAIL})
        assert found["changes"]["decision"] == {"before": "allow", "after": "deny"}
        assert "EMAIL_ADDRESS" in found["after"]["reason"]
        assert {rule["rule"] for rule in found["changes"]["rules"]} == {"models.deny", "residency"}
    assert call("get", f"/api/v1/policies/{policy['id']}", acme.owner_key).json()["state"] == "draft"


def test_a_draft_is_tried_on_messages(acme: House):
    messages = [
        {"role": "system", "content": "be kind"},
        {"role": "user", "content": [{"type": "text", "text": MAIL}]},
    ]
    found = simulate(acme, {"rules": {"pii": {"EMAIL_ADDRESS": "allow"}}, "messages": messages})
    assert found["after"]["messages"] == messages
    assert "alice@" not in str(found["before"]["messages"])
    [change] = found["changes"]["entities"]
    assert (change["message"], change["part"], change["start"], change["after"]) == (1, 0, 9, None)


def test_what_the_platform_locks_is_not_loosened_in_a_simulation_either():
    locked = house("locked", ("legal",))
    body = {"rules": {"pii": {"EMAIL_ADDRESS": "allow"}}, "text": MAIL}
    draft_of_tenant = draft(locked, {"pii": {"EMAIL_ADDRESS": {"action": "block", "locked": True}}})
    make(locked, f"policies/{draft_of_tenant['id']}/activate", None, 200)
    department = {**body, "applies_to": {"scope": "department", "target": "legal"}}
    assert simulate(locked, department)["after"]["decision"] == "deny"
    assert simulate(locked, body)["after"]["decision"] == "allow"  # it would take that one's place


@pytest.mark.parametrize(
    "body",
    [
        {"rules": {}},
        {"text": "x"},
        {"rules": {}, "policy": "x", "text": "x"},
        {"rules": {}, "text": "x", "since": "2026-01-01T00:00:00Z"},
        {"policy": "nowhere", "text": "x"},
        {"rules": {"colour": 1}, "text": "x"},
        {"rules": {}, "text": "x", "applies_to": {"scope": "department", "target": "nowhere"}},
        {"rules": {}, "since": "yesterday"},
    ],
)
def test_a_simulation_without_meaning_is_refused(acme: House, body: dict[str, Any]):
    assert simulate(acme, body, status=400)["status"] == 400


def test_a_simulation_names_no_policy_of_another_tenant(acme: House, globex: House):
    policy = draft(acme, {})
    assert simulate(globex, {"policy": policy["id"], "text": "x"}, status=400)


def test_who_may_simulate(acme: House):
    statuses = {
        role: call("post", "/api/v1/policies/simulate", key, {"rules": {}, "text": "x"}).status_code
        for role, key in acme.keys.items()
    }
    assert {role for role, status in statuses.items() if status == 200} == {"admin", "policy_manager"}
    assert {role for role, status in statuses.items() if status == 403} == set(statuses) - {"admin", "policy_manager"}


def test_where_four_eyes_are_asked_for_no_author_puts_it_in_force():
    tenant = house("eyes", ("legal",))
    path = f"/api/v1/tenants/{tenant.slug}"
    assert call("patch", path, tenant.keys["admin"], {"four_eyes": True}).status_code == 403
    assert call("patch", path, tenant.owner_key, {"four_eyes": True}).json()["four_eyes"] is True

    def activate(policy: dict[str, Any], key: str) -> int:
        return call("post", f"/api/v1/policies/{policy['id']}/activate", key).status_code

    author, other = tenant.keys["policy_manager"], tenant.keys["admin"]
    assert activate(draft(tenant, {}, author), author) == 403
    assert activate(draft(tenant, {}, author), other) == 200
    # a key of one's own making is no second pair of eyes, and neither are two keys of one person
    second = made_by(other, role="admin")["key"]
    assert activate(draft(tenant, {}, other), second) == 403
    assert activate(draft(tenant, {}, second), other) == 403
    _, hers = admin(tenant)
    one, two = (made_by(hers, role="admin")["key"] for _ in range(2))
    assert activate(draft(tenant, {}, one), two) == 403
    assert activate(draft(tenant, {}, one), other) == 200
    # of two keys that a third made each may look at the other's work
    one, two = (made_by(tenant.owner_key, role="admin")["key"] for _ in range(2))
    assert activate(draft(tenant, {}, one), two) == 200
    assert call("patch", path, tenant.owner_key, {"four_eyes": False}).status_code == 200
    assert activate(draft(tenant, {}, author), author) == 200


def test_activating_is_in_the_trail_by_its_own_name(acme: House):
    policy = draft(acme, {}, applies_to={"scope": "department", "target": "sales"})
    make(acme, f"policies/{policy['id']}/activate", None, 200)
    event = call("get", "/api/v1/audit/events?action=policy.activate", acme.owner_key).json()["results"][0]
    assert (event["object"]["id"], event["detail"]["version"]) == (policy["id"], 1)
    changed = call("get", "/api/v1/audit/events?action=policy.update", acme.owner_key).json()["results"][0]
    assert (changed["detail"]["before"]["state"], changed["detail"]["after"]["state"]) == ("draft", "active")


def test_an_earlier_version_is_put_in_force_again(acme: House):
    place = {"scope": "key", "target": str(acme.key_ids[acme.keys["member"]])}
    name = f"p-{token_hex(3)}"
    first, second = (make(acme, "policies", {"name": name, "rules": {}, "applies_to": place}) for _ in range(2))
    for policy in (first, second, first):
        make(acme, f"policies/{policy['id']}/activate", None, 200)
    assert call("get", f"/api/v1/policies/{name}", acme.owner_key).json()["id"] == first["id"]
    states = [call("get", f"/api/v1/policies/{p['id']}", acme.owner_key).json()["state"] for p in (first, second)]
    assert states == ["active", "archived"]


def test_the_platforms_policy_is_read_and_not_put_in_force(acme: House):
    baseline = call("get", "/api/v1/policies/baseline", acme.owner_key).json()
    assert baseline["applies_to"]["scope"] == "platform"
    assert call("post", f"/api/v1/policies/{baseline['id']}/activate", acme.owner_key).status_code == 403


def test_a_version_is_compared_with_what_is_in_force_or_with_one_that_is_named(acme: House):
    place = {"scope": "department", "target": "legal"}
    first = draft(acme, {"pii": {"PERSON": "mask"}, "logging": "none"}, applies_to=place)
    activated = call("post", f"/api/v1/policies/{first['id']}/activate", acme.owner_key, {})
    assert activated.status_code == 200, activated.content
    second = draft(acme, {"pii": {"PERSON": "block"}, "logging": "none"}, name=first["name"], applies_to=place)
    found = call("get", f"/api/v1/policies/{second['id']}/differences", acme.owner_key).json()
    assert (found["policy"]["version"], found["with"]["id"]) == (2, first["id"])
    assert found["differences"] == [{"place": "pii.PERSON.action", "before": "mask", "after": "block"}]
    named = call("get", f"/api/v1/policies/{first['id']}/differences?with={second['id']}", acme.owner_key).json()
    assert named["differences"] == [{"place": "pii.PERSON.action", "before": "block", "after": "mask"}]
    other = draft(acme, {})
    refused = call("get", f"/api/v1/policies/{second['id']}/differences?with={other['id']}", acme.owner_key)
    assert refused.status_code == 400, refused.content


def test_what_holds_names_the_policy_that_said_so_and_the_one_that_locked_it(acme: House):
    whole = draft(acme, {"pii": {"PERSON": {"action": "mask", "locked": True}}, "logging": "none"})
    assert call("post", f"/api/v1/policies/{whole['id']}/activate", acme.owner_key, {}).status_code == 200
    place = {"scope": "department", "target": "legal"}
    narrow = draft(acme, {"logging": "metadata"}, applies_to=place)
    found = call("get", f"/api/v1/policies/{narrow['id']}/in-effect", acme.owner_key).json()
    held = {row["place"]: row for row in found["rules"]}
    assert (held["pii.PERSON"]["value"]["action"], held["pii.PERSON"]["locked_by"]["id"]) == ("mask", whole["id"])
    assert held["logging"]["set_by"]["id"] == narrow["id"]
