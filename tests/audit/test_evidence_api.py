"""Seals, proofs, receipts and exports over the management API."""

from __future__ import annotations

import csv
import json
from base64 import b64decode
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from io import BytesIO, StringIO
from typing import Any
from uuid import UUID

import pytest
from cryptography.exceptions import InvalidTag
from django.utils import timezone

from audit import exports, tasks, verify_customhouse
from audit.models import Export, ExportPart, ExportState
from audit.parts import contents
from audit.seals import seal
from audit.services import record
from policies.models import Policy, PolicyScope, PolicyState
from policies.services import in_force
from tenants.ids import uuid7
from tenants.isolation import Scope, scope
from tests.api.test_attack import call
from tests.audit import second
from tests.audit.forger import unpacked
from tests.conftest import House, house


@pytest.fixture(scope="module")
def acme(database: None) -> House:
    made = house("acme", ("legal", "sales"))
    with scope(made.id, actor={"type": "user", "id": "a", "name": '=cmd|"Alice"'}):
        for place in range(5):
            record("document.read", object_type="document", object_id=str(place), reason="a|b=c\\d")
    seal(made.id)
    return made


@pytest.fixture(autouse=True)
def no_workers(monkeypatch: pytest.MonkeyPatch) -> list[tuple[UUID, UUID]]:
    """Exports are handed to this list; tests make them themselves."""
    handed: list[tuple[UUID, UUID]] = []
    monkeypatch.setattr(tasks, "dispatch", lambda *given: handed.append(given))
    return handed


def get(house: House, path: str, key: str | None = None) -> Any:
    answer = call("get", f"/api/v1/audit/{path}", key or house.owner_key)
    assert answer.status_code == 200, answer.content
    return answer.json()


def exported(house: House, **asked: Any) -> tuple[dict[str, Any], bytes]:
    """Asks for an export, makes it as a worker does, and fetches it."""
    answer = call("post", "/api/v1/audit/exports", house.keys["auditor"], asked)
    assert answer.status_code == 202, answer.content
    made = answer.json()
    assert (made["state"], made["download"]) == ("queued", None)
    tasks.export_task(str(house.id), made["id"])
    shown = get(house, f"exports/{made['id']}")
    assert shown["state"] == "succeeded", shown
    file = call("get", "/" + shown["download"].split("/", 3)[3], house.owner_key)
    data = b"".join(file.streaming_content)
    assert (len(data), sha256(data).hexdigest()) == (shown["size"], shown["sha256"])
    return shown, data


def events(house: House, action: str) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = get(house, f"events?action={action}")["results"]
    return found


# -- seals and proofs ------------------------------------------------------------------------------------------------


def test_seals_are_listed_newest_first_and_found_by_number_or_id(acme: House) -> None:
    with scope(acme.id):
        record("usage.read")
    seal(acme.id)
    listed = get(acme, "seals")["results"]
    assert [one["number"] for one in listed] == list(range(len(listed), 0, -1))
    assert get(acme, f"seals/{listed[0]['id']}") == get(acme, f"seals/{listed[0]['number']}") == listed[0]
    assert {"number", "size", "root", "time", "previous", "tenant", "signatures"} <= set(listed[0])
    assert call("get", "/api/v1/audit/seals/99999", acme.owner_key).status_code == 404


def test_what_the_api_proves_holds(acme: House) -> None:
    with scope(acme.id):
        record("usage.read")
    seal(acme.id)
    first, last = get(acme, "seals/1"), get(acme, "seals")["results"][0]
    [event, *_] = events(acme, "document.read")
    shown = get(acme, f"seals/{last['number']}/inclusion?event={event['id']}")
    proof = [bytes.fromhex(one) for one in shown["proof"]]
    leaf = bytes.fromhex(shown["hash"])
    assert second.included(leaf, shown["position"], last["size"], proof).hex() == last["root"]
    shown = get(acme, f"seals/{last['number']}/consistency?first=1")
    proof = [bytes.fromhex(one) for one in shown["proof"]]
    roots = second.consistent(first["size"], last["size"], bytes.fromhex(first["root"]), proof)
    assert [root.hex() for root in roots] == [first["root"], last["root"]]
    for wrong, status in (
        (f"seals/1/consistency?first={last['number']}", 400),
        ("seals/1/consistency", 400),
        ("seals/1/inclusion", 400),
        (f"seals/1/inclusion?event={uuid7()}", 404),
    ):
        assert call("get", f"/api/v1/audit/{wrong}", acme.owner_key).status_code == status, wrong


def test_public_keys_are_published(acme: House) -> None:
    [key] = get(acme, "seal-keys")["results"]
    assert key["key"] == sha256(b64decode(key["public"])).hexdigest()[:32]
    assert get(acme, "seals/1")["signatures"][0]["key"] == key["key"]


# -- receipts --------------------------------------------------------------------------------------------------------


def test_a_receipt_is_verified_offline_even_after_a_json_library_wrote_it_anew(acme: House) -> None:
    request = uuid7()
    with scope(acme.id, actor={"type": "key", "id": str(acme.key_ids[acme.keys["developer"]]), "name": "Zoë"}):
        record("call.refused", decision="deny", request_id=request, detail={"score": 1 / 3})
    receipt = get(acme, f"receipts/{request}", acme.keys["developer"])
    assert [event["action"] for event in receipt["events"]] == ["call.refused"]
    kept = get(acme, "seals")["results"][0]
    again = json.loads(json.dumps(receipt, indent=2, sort_keys=True))
    report = verify_customhouse.check_receipt(again, verify_customhouse.as_seal(kept))
    assert (report.faults, any("is part of it" in fact for fact in report.facts)) == ([], True)
    again["events"][0]["decision"] = "allow"
    assert verify_customhouse.check_receipt(again).faults
    changed = receipt["records"][0].replace('"deny"', '"allow"')
    assert verify_customhouse.check_receipt({**receipt, "records": [changed]}).faults
    assert verify_customhouse.check_receipt({**receipt, "records": []}).faults
    assert verify_customhouse.check_receipt(receipt, verify_customhouse.as_seal(get(acme, "seals/1"))).faults
    assert [event["object"]["id"] for event in events(acme, "receipt.read")] == [str(request)]


def test_a_receipt_shows_to_each_what_they_may_see(acme: House) -> None:
    request = uuid7()
    with scope(acme.id, actor={"type": "user", "id": "a", "name": "Alice"}):
        record("document.search", request_id=request)
    assert call("get", f"/api/v1/audit/receipts/{request}", acme.keys["developer"]).status_code == 404
    assert get(acme, f"receipts/{request}", acme.keys["auditor"])["request_id"] == str(request)
    for nobody in (uuid7(), "x"):
        assert call("get", f"/api/v1/audit/receipts/{nobody}", acme.owner_key).status_code == 404


# -- exports ---------------------------------------------------------------------------------------------------------


def test_a_pack_is_asked_for_made_fetched_and_true(acme: House) -> None:
    with scope(acme.id):
        record("usage.read", reason="just now")
    shown, data = exported(acme, format="pack")
    report = verify_customhouse.check_pack(BytesIO(data))
    assert report.faults == []
    lines = unpacked(data)["events.jsonl"].splitlines()
    assert len(lines) == shown["records"]
    assert any(json.loads(line)["reason"] == "just now" for line in lines), "what was committed is sealed first"


def test_an_export_of_a_time_or_request_holds_that(acme: House) -> None:
    request, since = uuid7(), datetime.now(UTC)
    with scope(acme.id):
        record("usage.read", request_id=request)
        record("event.read")
    until = datetime.now(UTC)
    _, data = exported(acme, format="jsonl", request_id=str(request))
    assert [json.loads(line)["request_id"] for line in data.splitlines()] == [str(request)]
    _, data = exported(acme, **{"format": "jsonl", "from": since.isoformat(), "to": until.isoformat()})
    assert [json.loads(line)["action"] for line in data.splitlines()] == ["usage.read", "event.read"]
    _, data = exported(acme, **{"format": "pack", "from": "2020-01-01", "to": "2020-01-02"})
    assert verify_customhouse.check_pack(BytesIO(data)).faults == []


def test_csv_and_cef_say_the_same_and_start_no_formula(acme: House) -> None:
    _, lines = exported(acme, format="jsonl")
    _, table = exported(acme, format="csv")
    _, cef = exported(acme, format="cef")
    ids = [json.loads(line)["id"] for line in lines.splitlines()]
    rows = list(csv.DictReader(StringIO(table.decode())))
    assert [row["id"] for row in rows][: len(ids)] == ids
    assert {row["actor_name"] for row in rows if row["action"] == "document.read"} == {'\'=cmd|"Alice"'}
    [one, *_] = [line for line in cef.decode().splitlines() if "document.read" in line]
    assert one.startswith("CEF:0|Customhouse|Customhouse|1|document.read|A document was read.|3|rt=")
    assert 'suser=\\=cmd|"Alice"' in one
    assert "reason=a|b\\=c\\\\d" in one


def test_policies_in_force_go_with_a_pack(acme: House) -> None:
    now = timezone.now()
    with scope(acme.id):
        for version, activated in ((1, now - timedelta(days=3)), (2, now - timedelta(days=1))):
            Policy.objects.create(
                name="house",
                version=version,
                scope=PolicyScope.TENANT,
                rules={"retention": {"days": version}},
                state=PolicyState.ARCHIVED,
                activated_at=activated,
            )
        Policy.objects.create(name="draft", scope=PolicyScope.TENANT)

        def versions(since: datetime | None, until: datetime | None) -> list[int]:
            return [policy["version"] for policy in in_force(since, until) if policy["name"] in ("house", "draft")]

        assert versions(None, None) == [1, 2]
        assert versions(now - timedelta(hours=1), None) == [2]
        assert versions(None, now - timedelta(days=2)) == [1]
    _, data = exported(acme, format="pack")
    written = [json.loads(line) for line in unpacked(data)["policies.jsonl"].splitlines()]
    assert [one["rules"] for one in written if one["name"] == "house"] == [
        {"retention": {"days": 1}},
        {"retention": {"days": 2}},
    ]


def test_asking_and_fetching_are_events(acme: House) -> None:
    shown, _ = exported(acme, format="csv")
    asked = [event for event in events(acme, "event.export") if event["object"]["id"] == shown["id"]]
    fetched = [event for event in events(acme, "export.read") if event["object"]["id"] == shown["id"]]
    assert (len(asked), asked[0]["detail"], len(fetched)) == (1, {"format": "csv"}, 1)


@pytest.mark.parametrize(
    "wrong",
    [
        {},
        {"format": "pdf"},
        {"format": "csv", "from": "soon"},
        {"format": "csv", "request_id": "x"},
        {"format": "csv", "a": 1},
    ],
)
def test_what_cannot_be_meant_is_refused(acme: House, wrong: dict[str, Any]) -> None:
    assert call("post", "/api/v1/audit/exports", acme.owner_key, wrong).status_code == 400
    backwards = {"format": "csv", "from": "2026-01-02", "to": "2026-01-01"}
    assert call("post", "/api/v1/audit/exports", acme.owner_key, backwards).status_code == 400


def test_files_are_encrypted_and_bound_to_their_export(acme: House) -> None:
    shown, data = exported(acme, format="jsonl")
    other, _ = exported(acme, format="jsonl")
    with scope(acme.id):
        row = Export.objects.get(pk=shown["id"])
        stored = b"".join(bytes(part.data) for part in ExportPart.objects.filter(export=row).order_by("number"))
        assert data[:40] not in stored
        assert bytes(row.key or b"") not in (b"", data[:60])
        row.key = Export.objects.get(pk=other["id"]).key
    with pytest.raises(InvalidTag):
        list(contents(row, Scope(tenant=acme.id)))


def test_a_large_file_comes_in_parts(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("audit.parts.PART_BYTES", 1000)
    shown, data = exported(acme, format="jsonl")
    with scope(acme.id):
        assert ExportPart.objects.filter(export=shown["id"]).count() == -(-len(data) // 1000) > 3


def test_exports_expire_and_their_files_go(acme: House) -> None:
    shown, _ = exported(acme, format="jsonl")
    with scope(acme.id):
        Export.objects.filter(pk=shown["id"]).update(expires_at=timezone.now())
        exports.housekeeping(acme.id)
        row = Export.objects.get(pk=shown["id"])
        assert (row.state, row.key, ExportPart.objects.filter(export=row).count()) == (ExportState.EXPIRED, None, 0)
    assert get(acme, f"exports/{shown['id']}")["download"] is None
    assert call("get", f"/api/v1/audit/exports/{shown['id']}/download", acme.owner_key).status_code == 409


def test_an_export_that_was_lost_is_handed_out_again_and_made_once(
    acme: House, no_workers: list[tuple[UUID, UUID]], monkeypatch: pytest.MonkeyPatch
) -> None:
    made = call("post", "/api/v1/audit/exports", acme.owner_key, {"format": "jsonl"}).json()
    assert no_workers == [(acme.id, UUID(made["id"]))]
    with scope(acme.id):
        Export.objects.filter(pk=made["id"]).update(changed_at=timezone.now() - exports.LOST_AFTER)
        assert exports.housekeeping(acme.id) == [UUID(made["id"])]
    monkeypatch.setattr(exports, "_make", broken)
    tasks.export_task(str(acme.id), made["id"])
    assert get(acme, f"exports/{made['id']}") | {"state": "failed", "error": "RuntimeError"} == get(
        acme, f"exports/{made['id']}"
    )
    tasks.export_task(str(acme.id), made["id"])
    assert get(acme, f"exports/{made['id']}")["state"] == "failed"


def broken(*given: Any) -> None:
    raise RuntimeError("the disk is full of prompts")


def test_charlie_sees_none_of_it(acme: House, database: None) -> None:
    globex = house("globex", ("research",))
    shown, _ = exported(acme, format="jsonl")
    last = get(acme, "seals")["results"][0]
    for path in (f"exports/{shown['id']}", f"exports/{shown['id']}/download", f"seals/{last['id']}"):
        assert call("get", f"/api/v1/audit/{path}", globex.owner_key).status_code == 404
    assert get(globex, "exports")["results"] == get(globex, "seals")["results"] == []
    with scope(globex.id):
        assert (Export.objects.count(), ExportPart.objects.count()) == (0, 0)
