"""Globex tries every route of the management plane with everything that is Acme's."""

from __future__ import annotations

import io
import json
import re
import zipfile
from contextlib import suppress
from typing import Any

import pytest
from django.core.exceptions import ObjectDoesNotExist
from django.test import Client
from django.urls import get_resolver
from django.utils import timezone

from audit.seals import seal
from audit.services import record
from audit.tasks import erasure_task, export_task
from billing.models import Notice
from billing.tasks import reconcile_task, report_task, rerate_task
from retrieval.models import ChunkText, IngestItem
from retrieval.services import Upload, ingest_now
from retrieval.tasks import ingest
from tenants.api.views import ManagementView
from tenants.ids import uuid7
from tenants.isolation import scope
from tests.conftest import House, keep_body

METHODS = ("get", "patch", "delete", "post", "put")


def routes() -> list[tuple[str, type[ManagementView]]]:
    """Every route of the management plane, as a template, with its view."""
    found = []
    for prefix in get_resolver().url_patterns:
        for route in getattr(prefix, "url_patterns", []):
            view = getattr(route.callback, "cls", None)
            if view is not None and issubclass(view, ManagementView):
                path = re.sub(r"\(\?P<\w+>[^)]*\)", "{id}", str(route.pattern)).strip("^$").replace("/?", "")
                found.append((f"/api/v1/{path}", view))
    return found


DETAILS = sorted(path for path, _ in routes() if "{id}" in path)
LISTS = sorted(path for path, _ in routes() if "{id}" not in path)


def kind(path: str) -> str:
    """What a route is about: `audit/seals` of `/api/v1/audit/seals/{id}`."""
    return path.split("/{id}")[0].removeprefix("/api/v1/")


def call(method: str, path: str, key: str, body: Any = None) -> Any:
    data = b"" if body is None else json.dumps(body).encode()
    headers = {"authorization": f"Bearer {key}"}
    return Client().generic(method.upper(), path, data, "application/json", headers=headers)


@pytest.fixture(scope="module")
def things(acme: House) -> dict[str, str]:
    """One of everything that Acme's admin can make: route -> id."""
    key = acme.keys["admin"]

    def make(path: str, body: Any) -> dict[str, Any]:
        answer = call("post", f"/api/v1/{path}", key, body)
        assert answer.status_code in (201, 202), answer.content
        return answer.json()

    provider = make("providers", {"name": "house-secret", "kind": "scripted"})
    deployment = make("deployments", {"provider": provider["id"], "name": "house-secret", "upstream_model": "echo"})
    model = make("models", {"name": "house-secret", "deployments": [{"deployment": deployment["id"]}]})
    price = {
        "deployment": deployment["id"],
        "kind": "input",
        "per_million": "1.5",
        "valid_from": "2020-01-01T00:00:00Z",
    }
    make("prices", price)
    collection = make("collections", {"name": "house-secret"})
    document = make(
        "documents", {"collection": "house-secret", "text": "the secret of the house", "title": "house-secret"}
    )
    with scope(acme.id):
        request = uuid7()
        record("document.read", request_id=request)
        notice = Notice.objects.create(kind="budget_warning", starts_at=timezone.now())
    seal(acme.id)
    grant = {
        "object": {"type": "model", "id": model["id"]},
        "to": {"type": "department", "id": "legal"},
        "right": "use",
    }
    budget = make("budgets", {"scope": "tenant", "period": "month", "limit": "10.00"})["id"]
    wish = make("budget-requests", {"budget": budget, "limit": "20.00", "reason": "house-secret"})["id"]
    trusted = {"name": "house-secret", "issuer": "https://93.184.216.34/", "audience": uuid7().hex}
    owned = call("post", "/api/v1/identity-providers", acme.owner_key, trusted)
    assert owned.status_code == 201, owned.content
    mapping = {"group": "house-secret", "department": "legal"}
    mapped = call("post", "/api/v1/group-mappings", acme.owner_key, mapping)
    assert mapped.status_code == 201, mapped.content
    return {
        "budget-requests": wish,
        "group-mappings": mapped.json()["id"],
        "grants": make("grants", grant)["id"],
        "identity-providers": owned.json()["id"],
        "webhooks": make("webhooks", {"url": "https://93.184.216.34/house-secret", "events": ["*"]})["id"],
        "audit/receipts": str(request),
        "audit/seals": call("get", "/api/v1/audit/seals", acme.owner_key).json()["results"][0]["id"],
        "audit/exports": call("post", "/api/v1/audit/exports", acme.owner_key, {"format": "jsonl"}).json()["id"],
        "audit/holds": call("post", "/api/v1/audit/holds", acme.owner_key, {"name": "h", "reason": "r"}).json()["id"],
        "audit/bodies": str(keep_body(acme)),
        "erasure-requests": call(
            "post",
            "/api/v1/erasure-requests",
            acme.owner_key,
            {"subject": {"type": "name", "value": "house-secret"}, "reason": "house-secret"},
        ).json()["id"],
        "tenants": str(acme.id),
        "departments": str(acme.departments["legal"].pk),
        "api-keys": str(acme.key_ids[acme.keys["developer"]]),
        "providers": provider["id"],
        "deployments": deployment["id"],
        "models": model["id"],
        "budgets": budget,
        "billing/notices": str(notice.pk),
        "billing/reconciliations": make(
            "billing/reconciliations",
            {
                "vendor": "generic",
                "csv": "d,m,c\n2026-01-01,house-secret,1\n",
                "mapping": {"day": "d", "model": "m", "cost": "c"},
            },
        )["id"],
        "billing/reratings": make("billing/reratings", {"from": "2026-01-01", "to": "2026-02-01"})["id"],
        "billing/reports": make("billing/reports", {"kind": "usage"})["id"],
        "billing/report-schedules": make(
            "billing/report-schedules", {"name": "house-secret", "kind": "usage", "every": "day"}
        )["id"],
        "policies": make("policies", {"name": "house-secret", "rules": {}})["id"],
        "collections": collection["id"],
        "documents": document["id"],
        "feedback": judged(acme, collection["id"]),
        "ingest-jobs": document["ingest_job"],
        "users": make("users", {"email": f"{acme.slug}@acme.example", "name": "Alice"})["id"],
        "invitations": make("invitations", {"email": "house-secret@acme.example"})["id"],
        "memberships": call("get", "/api/v1/memberships", key).json()["results"][0]["id"],
    }


def judged(acme: House, collection: str) -> str:
    """Feedback of acme's owner on a passage."""
    with scope(acme.id):
        document = ingest_now(Upload(collection=collection, title="house-secret", text="house-secret passage"))
        chunk = str(ChunkText.objects.get(document_id=document.pk).pk)
    body = {"question": "house-secret", "chunk_id": chunk, "useful": True}
    return str(call("post", "/api/v1/feedback", acme.owner_key, body).json()["id"])


@pytest.mark.parametrize("path", DETAILS)
@pytest.mark.parametrize("method", METHODS)
def test_acmes_objects_do_not_exist_for_globex(things: dict[str, str], globex: House, path: str, method: str):
    target = path.replace("{id}", things[kind(path)])
    for body in (None, {"name": "taken over"}):
        answer = call(method, target, globex.owner_key, body)
        assert answer.status_code in (404, 405), (answer.status_code, answer.content)
        assert b"house-secret" not in answer.content


@pytest.mark.parametrize("path", DETAILS)
def test_they_exist_for_acme(things: dict[str, str], acme: House, path: str):
    target = path.replace("{id}", things[kind(path)])
    assert call("get", target, acme.owner_key).status_code in (200, 400, 405, 409)


@pytest.mark.parametrize("path", LISTS)
def test_lists_and_filters_never_show_acmes_rows(things: dict[str, str], acme: House, globex: House, path: str):
    for query in ("", f"?actor={acme.key_ids[acme.keys['admin']]}", f"?search={acme.slug}", "?limit=1000&ordering=id"):
        answer = call("get", path + query, globex.owner_key)
        assert answer.status_code in (200, 405)
        for secret in (b"house-secret", str(acme.id).encode(), acme.slug.encode()):
            assert secret not in answer.content


def test_what_globex_makes_cannot_point_at_acmes(things: dict[str, str], globex: House):
    attempts = [
        ("deployments", {"provider": things["providers"], "name": "x", "upstream_model": "echo"}),
        ("models", {"name": "x", "deployments": [{"deployment": things["deployments"]}]}),
        ("api-keys", {"name": "x", "department": things["departments"]}),
        ("documents", {"collection": things["collections"], "text": "x"}),
        ("budgets", {"scope": "model", "target": things["models"], "period": "day", "limit": "1.00"}),
        ("policies", {"name": "x", "rules": {}, "applies_to": {"scope": "key", "target": things["api-keys"]}}),
        ("memberships", {"user": things["users"], "role": "member"}),
        (
            "grants",
            {
                "object": {"type": "model", "id": things["models"]},
                "to": {"type": "department", "id": "research"},
                "right": "use",
            },
        ),
    ]
    research, key = str(globex.departments["research"].pk), str(globex.key_ids[globex.keys["developer"]])
    attempts += [
        ("api-keys", {"name": "x", "departments": [things["departments"]]}),
        ("collections", {"name": "x", "department": things["departments"]}),
        (
            "prices",
            {"deployment": things["deployments"], "kind": "input", "per_million": "1", "valid_from": "2020-01-01"},
        ),
        ("budgets", {"scope": "key", "target": things["api-keys"], "period": "day", "limit": "1.00"}),
        ("budgets", {"scope": "department", "target": things["departments"], "period": "day", "limit": "1.00"}),
        ("budget-requests", {"budget": things["budgets"], "limit": "20.00", "reason": "x"}),
        ("billing/reports", {"kind": "usage", "department": things["departments"]}),
        (
            "billing/report-schedules",
            {"name": "x", "kind": "usage", "every": "day", "department": things["departments"]},
        ),
        ("policies/simulate", {"policy": things["policies"], "text": "x"}),
        ("redact", {"policy": things["policies"], "text": "x"}),
        (
            "grants",
            {"object": {"type": "budget", "id": things["budgets"]}, "to": {"type": "key", "id": key}, "right": "view"},
        ),
        (
            "identity-providers",
            {
                "name": "x",
                "issuer": "https://93.184.216.35/",
                "audience": "x",
                "department_claim": "d",
                "departments": {"x": things["departments"]},
            },
        ),
    ]
    answers = [(path, call("post", f"/api/v1/{path}", globex.owner_key, body).status_code) for path, body in attempts]
    assert [answer for answer in answers if answer[1] not in (400, 404)] == []
    changes = [
        (f"api-keys/{key}", {"department": things["departments"]}),
        (f"api-keys/{key}", {"departments": [research, things["departments"]]}),
    ]
    answers = [(path, call("patch", f"/api/v1/{path}", globex.owner_key, body).status_code) for path, body in changes]
    assert answers == [(path, 400) for path, _ in changes]


def test_a_bulk_upload_reaches_no_foreign_collection(things: dict[str, str], acme: House, globex: House):
    for name in (things["collections"], "house-secret"):
        line = json.dumps({"collection": name, "text": "x", "departments": [things["departments"]]}).encode()
        headers = {"authorization": f"Bearer {globex.owner_key}"}
        sent = Client().post("/api/v1/documents/bulk", line, "application/x-ndjson", headers=headers).json()
        assert (sent["accepted"], [row["line"] for row in sent["rejected"]]) == (0, [1])


@pytest.mark.parametrize(("path", "view"), [(path, view) for path, view in routes() if path in LISTS and view.filters])
def test_no_filter_finds_acmes_by_id_or_name(things: dict[str, str], acme: House, globex: House, path: str, view: Any):
    for name in view.filters:
        for value in {things.get(f"{name}s", acme.slug), things["departments"], things["users"], "house-secret"}:
            answer = call("get", f"{path}?{name}={value}", globex.owner_key)
            assert answer.status_code in (200, 400, 405), (name, value)
            if answer.headers["content-type"] == "application/zip":
                with zipfile.ZipFile(io.BytesIO(answer.content)) as file:
                    assert all(b"house-secret" not in file.read(one) for one in file.namelist())
            elif answer.status_code == 200:
                assert answer.json()["results"] == [], (name, value)


def test_an_export_of_acmes_request_is_empty(things: dict[str, str], globex: House):
    body = {"format": "jsonl", "request_id": things["audit/receipts"]}
    made = call("post", "/api/v1/audit/exports", globex.owner_key, body).json()
    export_task(str(globex.id), made["id"])
    done = call("get", f"/api/v1/audit/exports/{made['id']}", globex.owner_key).json()
    assert (done["state"], done["records"]) == ("succeeded", 0)


@pytest.mark.parametrize(
    ("kind", "task"),
    [
        ("audit/exports", export_task),
        ("billing/reports", report_task),
        ("billing/reconciliations", reconcile_task),
        ("billing/reratings", rerate_task),
        ("erasure-requests", lambda tenant, row: erasure_task(tenant, row, "searching")),
        ("erasure-requests", lambda tenant, row: erasure_task(tenant, row, "erasing")),
        ("documents", lambda tenant, row: ingest(tenant, [row])),
    ],
)
def test_a_task_with_a_foreign_id_does_nothing(
    things: dict[str, str], acme: House, globex: House, kind: str, task: Any
):
    """As if somebody had put a message of their own into the queue."""

    def state() -> Any:
        return call("get", f"/api/v1/{kind}/{things[kind]}", acme.owner_key).json()

    before, row = state(), things[kind]
    if kind == "documents":
        with scope(acme.id):
            row = str(IngestItem.objects.filter(document_id=things[kind]).values_list("pk", flat=True)[0])
    with suppress(ObjectDoesNotExist):
        task(str(globex.id), row)
    assert state() == before


def test_every_action_of_every_route_has_a_right():
    for path, view in routes():
        actions = {name for name in ("list", "retrieve", "create", "partial_update", "destroy") if hasattr(view, name)}
        actions |= {action.__name__ for action in view.get_extra_actions()}
        assert actions <= set(view.rights), path


@pytest.mark.parametrize(("path", "view"), routes())
def test_an_action_without_a_right_is_refused(
    things: dict[str, str], acme: House, monkeypatch: pytest.MonkeyPatch, path: str, view: Any
):
    monkeypatch.setattr(view, "rights", {})
    target = path.replace("{id}", things.get(kind(path), ""))
    answers = {method: call(method, target, acme.owner_key, {}).status_code for method in METHODS}
    assert set(answers.values()) <= {403, 405}, answers
    assert 403 in answers.values()


def test_nobody_is_answered_without_a_key(globex: House):
    for path in LISTS:
        assert Client().get(path).status_code == 401
        assert call("get", path, "sk-ch-wrong").status_code == 401
