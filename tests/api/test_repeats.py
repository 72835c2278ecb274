"""A POST that is sent again with its Idempotency-Key is answered again and not done again."""

from __future__ import annotations

import json
import threading
from datetime import timedelta
from secrets import token_hex
from typing import Any

import pytest
from django.core.files.uploadedfile import SimpleUploadedFile
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from tenants.api import repeats
from tenants.isolation import scope
from tenants.models import ApiKey, Department, KeptAnswer
from tenants.services import caller_of_key
from tests.api.test_attack import call
from tests.conftest import House


def send(path: str, credential: str, key: str, body: Any) -> Any:
    headers = {"authorization": f"Bearer {credential}", "idempotency-key": key}
    return Client().post(f"/api/v1/{path}", json.dumps(body), "application/json", headers=headers)


def department() -> dict[str, str]:
    return {"slug": f"d-{token_hex(4)}", "name": "Once"}


def test_it_is_done_once_and_answered_twice(acme: House):
    key, body = token_hex(8), department()
    first, second = (send("departments", acme.owner_key, key, body) for _ in range(2))
    assert (first.status_code, second.status_code) == (201, 201)
    assert first.content == second.content
    assert first["etag"] == second["etag"]
    assert ("idempotency-replayed" in first.headers, second["idempotency-replayed"]) == (False, "true")


def test_a_key_that_is_shown_once_is_shown_again_and_lies_nowhere_in_the_open(acme: House):
    key, body = token_hex(8), {"name": "once", "department": "legal"}
    first, second = (send("api-keys", acme.owner_key, key, body).json() for _ in range(2))
    assert first["key"] == second["key"]
    with scope(acme.id):
        assert ApiKey.objects.filter(name="once").count() == 1
        kept = KeptAnswer.objects.get(key=key)
    assert first["key"].encode() not in bytes(kept.sealed)


def test_another_body_or_address_under_the_same_key_is_refused(acme: House):
    key = token_hex(8)
    assert send("departments", acme.owner_key, key, department()).status_code == 201
    refused = send("departments", acme.owner_key, key, department())
    assert (refused.status_code, refused["content-type"]) == (422, "application/problem+json")
    assert send("collections", acme.owner_key, key, {"name": "x"}).status_code == 422


def test_keys_of_others_are_others(acme: House, globex: House):
    key, body = token_hex(8), department()
    answers = [send("departments", who, key, body) for who in (acme.owner_key, globex.owner_key)]
    assert [answer.status_code for answer in answers] == [201, 201]
    assert answers[0].json()["id"] != answers[1].json()["id"]
    # Acme's admin is somebody else than Acme's owner: the department is there, which is no replay
    assert send("departments", acme.keys["admin"], key, body).status_code == 409


def test_what_was_refused_may_be_tried_again(acme: House):
    key, body = token_hex(8), department()
    assert send("departments", acme.owner_key, key, {"slug": body["slug"]}).status_code == 400
    assert send("departments", acme.owner_key, key, body).status_code == 201


def test_while_it_runs_a_second_one_is_a_conflict(acme: House):
    key, body, answers = token_hex(8), department(), []

    def second() -> None:
        answers.append(send("departments", acme.owner_key, key, body))
        connection.close()

    caller = caller_of_key(acme.owner_key)
    assert caller is not None
    with scope(caller.scope()):
        assert repeats._lock(caller, key)  # the first is in the middle of it
        thread = threading.Thread(target=second)
        thread.start()
        thread.join(10)
    assert (answers[0].status_code, answers[0]["content-type"]) == (409, "application/problem+json")
    assert send("departments", acme.owner_key, key, body).status_code == 201  # it came to nothing: tried again


def test_of_many_at_once_one_is_done(acme: House):
    key, body, statuses = token_hex(8), department(), []
    ready = threading.Barrier(6)

    def client() -> None:
        ready.wait(10)
        statuses.append(send("departments", acme.owner_key, key, body).status_code)
        connections.close_all()

    threads = [threading.Thread(target=client) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join(20)
    assert set(statuses) <= {201, 409}
    assert 201 in statuses
    with scope(acme.id):
        assert Department.objects.filter(slug=body["slug"]).count() == 1
        assert KeptAnswer.objects.filter(key=key).count() == 1


def test_after_a_day_it_is_forgotten(acme: House, monkeypatch: pytest.MonkeyPatch):
    key, body = token_hex(8), department()
    monkeypatch.setattr(repeats, "LIFETIME", timedelta(seconds=-1))
    assert send("departments", acme.owner_key, key, body).status_code == 201
    assert send("departments", acme.owner_key, key, body).status_code == 409  # done anew: its slug is taken
    monkeypatch.undo()
    assert send("departments", acme.owner_key, token_hex(8), department()).status_code == 201
    with scope(acme.id):
        assert not KeptAnswer.objects.filter(expires_at__lte=timezone.now()).exists()


def test_a_form_is_the_same_under_another_boundary(acme: House):
    call("post", "/api/v1/collections", acme.owner_key, {"name": "forms"})
    key = token_hex(8)
    headers = {"authorization": f"Bearer {acme.owner_key}", "idempotency-key": key}

    def upload(text: bytes) -> Any:
        form = {"collection": "forms", "file": SimpleUploadedFile("a.txt", text, "text/plain")}
        return Client().post("/api/v1/documents", form, headers=headers)

    first, second, other = upload(b"words"), upload(b"words"), upload(b"other words")
    assert (first.status_code, second.status_code, other.status_code) == (202, 202, 422)
    assert first.json() == second.json()


@pytest.mark.parametrize("key", ["", "x" * 256])
def test_what_is_no_key_is_a_bad_request(acme: House, key: str):
    assert send("departments", acme.owner_key, key, department()).status_code == 400
