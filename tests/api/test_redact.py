"""`redact` and `restore`: personal data out of a text and back into it, for whoever asked."""

from __future__ import annotations

from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest
from django.test import Client
from django.utils import timezone

from config.demo import _baseline
from policies.models import VaultEntry
from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.api.test_attack import call
from tests.api.test_grants import person
from tests.api.test_shapes import make
from tests.conftest import House

TEXT = "😀 é: alice@acme.example, bob@acme.example and again alice@acme.example."


@pytest.fixture(scope="module", autouse=True)
def baseline(database: None) -> None:
    with scope(PLATFORM):
        _baseline()


def redact(acme: House, key: str = "", status: int = 200, **body: Any) -> dict[str, Any]:
    answer = call("post", "/api/v1/redact", key or acme.keys["developer"], body)
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


def restore(key: str, text: str, vault: str, **headers: str) -> Any:
    named = {"authorization": f"Bearer {key}", **headers}
    body = {"text": text, "vault": vault}
    return Client().post("/api/v1/restore", body, "application/json", headers=named)


def test_what_is_found_stands_at_code_points_of_the_original(acme: House):
    found = redact(acme, text=TEXT)
    assert "@acme.example" not in found["text"]
    spans = [TEXT[entity["start"] : entity["end"]] for entity in found["entities"]]
    assert spans == ["alice@acme.example", "bob@acme.example", "alice@acme.example"]
    rebuilt, at = "", 0
    for entity in found["entities"]:
        assert set(entity) == {"type", "start", "end", "score", "replacement"}
        rebuilt += TEXT[at : entity["start"]] + entity["replacement"]
        at = entity["end"]
    assert rebuilt + TEXT[at:] == found["text"]


def test_it_comes_back(acme: House):
    found, key = redact(acme, text=TEXT), acme.keys["developer"]
    answer = restore(key, f"Dear {found['entities'][1]['replacement']}! {found['text']}", found["vault"])
    assert (answer.status_code, answer.json()) == (200, {"text": f"Dear bob@acme.example! {TEXT}"})
    assert restore(key, "[EMAIL_ADDRESS_K7Q2M] stays", found["vault"]).json()["text"] == "[EMAIL_ADDRESS_K7Q2M] stays"


def test_messages_are_redacted_in_every_string(acme: House):
    messages = [
        {"role": "user", "content": TEXT, "name": "alice@acme.example"},
        {"role": "user", "content": [{"type": "text", "text": TEXT}]},
    ]
    found = redact(acme, messages=messages)
    assert "@acme.example" not in str(found["messages"])
    assert [(e["message"], e.get("part")) for e in found["entities"]] == [(0, None)] * 3 + [(1, 0)] * 3
    for entity in found["entities"]:
        assert TEXT[entity["start"] : entity["end"]].endswith("@acme.example")
        assert entity["replacement"] in str(found["messages"])
    said = found["messages"][1]["content"][0]["text"]
    assert restore(acme.keys["developer"], said, found["vault"]).json()["text"] == TEXT


def test_the_scope_decides_what_has_the_same_placeholder(acme: House, globex: House):
    def stand_in(key: str, scope: str | None) -> str:
        body = {"text": "alice@acme.example", **({"scope": scope} if scope else {})}
        found: str = call("post", "/api/v1/redact", key, body).json()["text"]
        return found

    key, other = acme.keys["developer"], acme.keys["admin"]
    assert stand_in(key, None) != stand_in(key, None)
    assert stand_in(key, "chat-1") == stand_in(key, "chat-1") != stand_in(key, "chat-2")
    assert stand_in(key, "chat-1") != stand_in(other, "chat-1")
    assert stand_in(key, "tenant") == stand_in(other, "tenant") != stand_in(globex.owner_key, "tenant")


def test_a_named_policy_says_what_happens(acme: House):
    make(acme, "policies", {"name": "hide", "rules": {"pii": {"EMAIL_ADDRESS": "mask"}}})
    assert redact(acme, text="a@b.example", policy="hide")["text"] == "*@*.*******"
    make(acme, "policies", {"name": "never", "rules": {"pii": {"EMAIL_ADDRESS": "block"}}})
    refused = redact(acme, text="a@b.example", policy="never", status=403)
    assert "EMAIL_ADDRESS" in refused["detail"]
    redact(acme, text="x", policy="nowhere", status=400)


def test_originals_go_back_to_whom_they_came_from_alone(acme: House, globex: House):
    found, author = redact(acme, text=TEXT), acme.keys["developer"]
    for stranger in (globex.owner_key, acme.keys["admin"], acme.key("developer", "legal")):
        assert restore(stranger, found["text"], found["vault"]).status_code == 404
    # whoever may reveal does so for a purpose, and the trail says which
    auditor = acme.keys["auditor"]
    assert restore(auditor, found["text"], found["vault"]).status_code == 404
    revealed = restore(auditor, found["text"], found["vault"], **{"x-audit-reason": "case 12"})
    assert revealed.json()["text"] == TEXT
    events = call("get", "/api/v1/audit/events?action=vault.reveal", acme.owner_key).json()["results"]
    assert (events[0]["reason"], events[0]["object"]["id"]) == ("case 12", found["vault"])
    assert restore(author, found["text"], found["vault"]).status_code == 200


def test_one_persons_keys_restore_for_each_other(acme: House):
    user, _, first = person(acme, "developer")
    with scope(acme.id):
        _, second = make_key(name="x", department=acme.departments["legal"], user=user)
    found = redact(acme, first, text=TEXT)
    assert restore(second, found["text"], found["vault"]).json()["text"] == TEXT


def test_a_vault_is_sealed_and_ends(acme: House):
    found = redact(acme, text=TEXT)
    with scope(acme.id):
        entry = VaultEntry.objects.get(pk=found["vault"])
        assert b"alice" not in bytes(entry.sealed)
        VaultEntry.objects.filter(pk=entry.pk).update(expires_at=timezone.now() - timedelta(seconds=1))
    assert restore(acme.keys["developer"], found["text"], found["vault"]).status_code == 404
    redact(acme, text="anything")
    with scope(acme.id):
        assert not VaultEntry.objects.filter(pk=found["vault"]).exists()
    assert restore(acme.keys["developer"], "x", "no id").status_code == 404


def test_a_vault_of_another_row_does_not_open(acme: House):
    found, other = redact(acme, text=TEXT), redact(acme, text=TEXT)
    with scope(acme.id):
        stolen = VaultEntry.objects.get(pk=found["vault"]).sealed
        VaultEntry.objects.filter(pk=other["vault"]).update(sealed=stolen)
    assert restore(acme.keys["developer"], found["text"], other["vault"]).status_code == 404


def test_more_than_a_megabyte_is_too_large(acme: House):
    assert redact(acme, text="x" * 1_000_001, status=413)["status"] == 413
    assert redact(acme, text="é" * 500_001, status=413)["status"] == 413
    messages = [{"role": "user", "content": "x" * 600_000}] * 2
    redact(acme, messages=messages, status=413)
    assert restore(acme.keys["developer"], "x" * 1_000_001, token_hex(16)).status_code == 413


@pytest.mark.parametrize("body", [{}, {"text": "x", "messages": []}, {"text": []}, {"text": "x", "colour": 1}])
def test_what_is_neither_text_nor_messages_is_refused(acme: House, body: dict[str, Any]):
    assert call("post", "/api/v1/redact", acme.owner_key, body).status_code == 400


def test_a_language_that_nobody_knows_is_no_error(acme: House):
    assert "@" not in redact(acme, text="alice@acme.example", language="xx-Test")["text"]


def test_it_is_for_roles_that_may_call_models(acme: House):
    for route, body in (("redact", {"text": "x"}), ("restore", {"text": "x", "vault": "x"})):
        for role in ("policy_manager", "billing_manager", "auditor"):
            status = call("post", f"/api/v1/{route}", acme.keys[role], body).status_code
            assert status == (404 if (role, route) == ("auditor", "restore") else 403)
        for role in ("admin", "developer", "member"):
            assert call("post", f"/api/v1/{route}", acme.keys[role], body).status_code in (200, 404)


def test_the_trail_tells_that_and_how_much_and_never_what(acme: House):
    redact(acme, text=TEXT)
    event = call("get", "/api/v1/audit/events?action=text.redact&limit=1", acme.owner_key).json()["results"][0]
    assert event["detail"]["entities"] == {"EMAIL_ADDRESS": 3}
    assert "alice@" not in str(event)


def test_the_conditions_of_a_policy_hold_here_as_well(acme: House):
    """By the address that asks: refused from elsewhere, and stricter where the condition says so."""
    here, elsewhere = {"network": ["127.0.0.0/8"]}, {"network": ["10.0.0.0/8"]}
    named = f"p-{token_hex(3)}"
    conditions = [{"unless": elsewhere, "refuse": "Only from the office."}]
    make(acme, "policies", {"name": named, "rules": {"conditions": conditions}})
    refused = redact(acme, status=403, text=TEXT, policy=named)
    assert "Only from the office" in refused["detail"]
    stricter = f"p-{token_hex(3)}"
    conditions = [{"when": here, "rules": {"pii": {"EMAIL_ADDRESS": "mask"}}}]
    make(acme, "policies", {"name": stricter, "rules": {"conditions": conditions}})
    assert "*****@" in redact(acme, text=TEXT, policy=stricter)["text"]
