"""Forgetting a person: what is kept of them is found in every app, removed unless it is held, and certified."""

from __future__ import annotations

import json
from base64 import b64decode
from typing import Any

import pytest
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

from audit import tasks
from audit.data import Subject
from audit.models import Body, ErasureRequest, Hold
from audit.records import canonical
from config.demo import _baseline
from policies.models import VaultEntry
from retrieval.models import ChunkText, Document, Feedback
from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import PLATFORM, scope
from tests.api.test_attack import call
from tests.conftest import House, house, keep_body

MARY = "mary.roe@example.com"
OTHER = "jon.doe@example.com"


@pytest.fixture
def acme(database: None) -> House:
    """A tenant in which Mary is known in a call, a vault and a document; and Jon beside her."""
    with scope(PLATFORM):
        _baseline()
    made = house("acme", ("legal", "sales"))
    for who in (MARY, OTHER):
        keep_body(made, f"Please answer {who.upper()} today.")
        answer = call("post", "/api/v1/redact", made.keys["developer"], {"text": f"From {who}"})
        assert answer.status_code == 200, answer.content
        with scope(made.id):
            if who == MARY:
                create_collection("letters")
            ingest_now(Upload(collection="letters", text=f"Dear Sir,\n\nwrite to {who} from now on.", external_id=who))
    return made


def ask(house: House, subject: dict[str, str], key: str | None = None, **more: Any) -> dict[str, Any]:
    body = {"subject": subject, "reason": "Letter of 3 November", **more}
    answer = call("post", "/api/v1/erasure-requests", key or house.keys["auditor"], body)
    assert answer.status_code == 201, answer.content
    made: dict[str, Any] = answer.json()
    tasks.erasure_task(str(house.id), made["id"], "searching")
    return shown(house, made["id"])


def execute(house: House, request: str, key: str | None = None) -> Any:
    answer = call("post", f"/api/v1/erasure-requests/{request}/execute", key or house.owner_key)
    tasks.erasure_task(str(house.id), request, "erasing")
    return answer


def shown(house: House, request: str) -> dict[str, Any]:
    found: dict[str, Any] = call("get", f"/api/v1/erasure-requests/{request}", house.keys["auditor"]).json()
    return found


def left(house: House) -> tuple[int, int, int]:
    with scope(house.id):
        return Body.objects.count(), VaultEntry.objects.count(), Document.objects.count()


def test_a_person_is_found_before_anything_is_removed(acme: House):
    found = ask(acme, {"type": "email", "value": MARY})
    assert found["state"] == "found"
    assert found["found"] == {"body": 1, "vault": 1, "document": 1}
    assert {trace["kind"] for trace in found["traces"]} == {"body", "vault", "document"}
    assert MARY not in json.dumps(found | {"traces": []})
    assert left(acme) == (2, 2, 2)


def test_what_is_found_is_removed_and_nothing_else(acme: House):
    request = ask(acme, {"type": "email", "value": MARY})["id"]
    assert execute(acme, request).status_code == 202
    done = shown(acme, request)
    assert (done["state"], done["erased"]) == ("erased", {"body": 1, "vault": 1, "document": 1})
    assert left(acme) == (1, 1, 1)
    assert MARY not in json.dumps(done)
    again = ask(acme, {"type": "email", "value": MARY.title()})
    assert again["found"] == {}
    assert again["subject"] == done["subject"]  # whoever asks again is known to have asked


def test_documents_may_stay(acme: House):
    request = ask(acme, {"type": "email", "value": MARY}, documents="keep")["id"]
    execute(acme, request)
    assert left(acme) == (1, 1, 2)


def test_a_keys_calls_are_meant_by_its_id(acme: House):
    key = str(acme.key_ids[acme.keys["developer"]])
    assert ask(acme, {"type": "key", "value": key})["found"] == {"body": 2, "vault": 2}


def test_what_a_hold_keeps_stays_and_is_told(acme: House):
    with scope(acme.id):
        developer = str(acme.key_ids[acme.keys["developer"]])
        Hold.objects.create(name="Smith ./. Acme", reason="x", filter={"actor": developer})
    found = ask(acme, {"type": "email", "value": MARY})
    assert found["held"] == {"body": 1, "vault": 1}
    assert [trace["held"] for trace in found["traces"] if trace["kind"] == "body"] == [["Smith ./. Acme"]]
    execute(acme, found["id"])
    assert shown(acme, found["id"])["erased"] == {"document": 1}
    assert left(acme) == (2, 2, 1)


def test_the_certificate_is_signed_by_the_keys_of_the_seals(acme: House):
    request = ask(acme, {"type": "email", "value": MARY})["id"]
    early = call("get", f"/api/v1/erasure-requests/{request}/certificate", acme.owner_key)
    assert early.status_code == 409
    execute(acme, request)
    signed = call("get", f"/api/v1/erasure-requests/{request}/certificate", acme.owner_key).json()
    keys = call("get", "/api/v1/audit/seal-keys", acme.owner_key).json()["results"]
    public = {one["key"]: Ed25519PublicKey.from_public_bytes(b64decode(one["public"])) for one in keys}
    body = canonical({name: value for name, value in signed.items() if name != "signatures"})
    for signature in signed["signatures"]:
        public[signature["key"]].verify(b64decode(signature["signature"]), body)
    assert signed["erased"] == {"body": 1, "vault": 1, "document": 1}


def test_with_four_eyes_somebody_else_carries_it_out(acme: House):
    answer = call("patch", f"/api/v1/tenants/{acme.id}", acme.owner_key, {"four_eyes": True})
    assert answer.status_code == 200, answer.content
    request = ask(acme, {"type": "email", "value": MARY})["id"]
    assert execute(acme, request, acme.keys["auditor"]).status_code == 409
    assert left(acme) == (2, 2, 2)
    assert execute(acme, request).status_code == 202


def test_a_failure_removes_nothing(acme: House, monkeypatch: pytest.MonkeyPatch):
    request = ask(acme, {"type": "email", "value": MARY})["id"]
    monkeypatch.setattr("policies.erasing.VaultEraser.erase", lambda self, identity: None)
    execute(acme, request)
    done = shown(acme, request)
    assert done["state"] == "failed"
    assert "nothing was removed" in done["error"]
    assert left(acme) == (2, 2, 2)


def test_who_may_not_and_what_means_nobody_is_refused(acme: House):
    body = {"subject": {"type": "email", "value": MARY}, "reason": "x"}
    for role in ("admin", "developer", "member", "policy_manager", "billing_manager"):
        assert call("post", "/api/v1/erasure-requests", acme.keys[role], body).status_code == 403, role
    for subject in (
        {"type": "name", "value": "Al"},
        {"type": "phone", "value": "12"},
        {"type": "user", "value": "nobody@example.com"},
        {"type": "colour", "value": "red"},
        "Mary",
    ):
        answer = call("post", "/api/v1/erasure-requests", acme.owner_key, {"subject": subject, "reason": "x"})
        assert answer.status_code == 400, subject


def test_the_trail_holds_neither_who_it_was_nor_what_was_removed(acme: House):
    request = ask(acme, {"type": "name", "value": "mary.roe"})["id"]
    execute(acme, request)
    events = call("get", "/api/v1/audit/events?action=erasure_request.", acme.owner_key).json()["results"]
    assert {event["action"] for event in events} >= {"erasure_request.create", "erasure_request.execute"}
    assert "mary" not in json.dumps(events).lower()
    with scope(acme.id):
        assert ErasureRequest.objects.get(pk=request).value is None


@pytest.mark.parametrize(
    ("type_", "value", "text", "found"),
    [
        ("name", "Mary Roe", "Ask MARY\n roe, please", True),
        ("name", "Mary Roe", "Rosemary Roe", False),
        ("phone", "+49 40 123456", "call 49-40/12 34 56 now", True),
        ("phone", "+49 40 123456", "4940123456789", False),
        ("email", "a.b@example.com", "aXb@example.com", False),
    ],
)
def test_a_subject_is_named_whatever_the_case_and_the_spaces(type_: str, value: str, text: str, found: bool):
    assert Subject(type_, value).is_in_any({"x": ["", {text: 1}]}) is found


def test_feedback_is_found_by_what_was_asked_and_by_who_judged(acme: House):
    with scope(acme.id):
        chunk = str(ChunkText.objects.filter(text__contains=OTHER)[0].pk)
    for key, question in (("developer", f"Where does {MARY} live?"), ("member", "Who writes?")):
        body = {"question": question, "chunk_id": chunk, "useful": True}
        assert call("post", "/api/v1/feedback", acme.keys[key], body).status_code == 201
    found = ask(acme, {"type": "email", "value": MARY}, documents="keep")
    assert found["found"]["feedback"] == 1
    execute(acme, found["id"])
    judged = str(acme.key_ids[acme.keys["member"]])
    with scope(acme.id):
        assert list(Feedback.objects.values_list("actor_id", flat=True)) == [judged]
    execute(acme, ask(acme, {"type": "key", "value": judged})["id"])
    with scope(acme.id):
        assert not Feedback.objects.exists()
