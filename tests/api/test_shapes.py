"""What clients of the management plane rely on: fields, statuses, slashes and the order of refusals."""

from __future__ import annotations

from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from django.test import Client

from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.api.test_attack import call
from tests.conftest import House

BUDGET = {"scope": "department", "target": "legal", "period": "month", "limit": "10.00", "warn_at": ["0.8"]}

#: route -> a body, and the fields of the answer
BODIES: dict[str, tuple[dict[str, Any], str]] = {
    "departments": ({"slug": "shape", "name": "Shape"}, "id slug name"),
    "api-keys": ({"name": "shape", "department": "legal", "limits": {"rpm": 5}}, "id prefix key role clearance limits"),
    "providers": ({"name": "shape", "kind": "extractive"}, "id name kind base_url region self_hosted"),
    "policies": ({"name": "shape", "rules": {}}, "id name version applies_to rules state"),
    "budgets": (BUDGET, "id scope target period limit warn_at spent reserved remaining"),
    "collections": ({"name": "shape"}, "id name department classification embedding_model chunking"),
    "users": ({"email": "shape@acme.example", "name": "Shape"}, "id email name"),
}


def make(acme: House, route: str, body: Any, status: int = 201) -> dict[str, Any]:
    answer = call("post", f"/api/v1/{route}", acme.owner_key, body)
    assert answer.status_code == status, answer.content
    found: dict[str, Any] = answer.json()
    return found


@pytest.mark.parametrize("route", BODIES)
def test_what_is_made_is_shown_alone_and_in_lists_with_and_without_a_slash(acme: House, route: str):
    body, fields = BODIES[route]
    if route == "users":
        body = {**body, "email": f"{token_hex(4)}@acme.example"}
    made = make(acme, route, body)
    assert set(fields.split()) <= set(made)
    for path in (f"/api/v1/{route}/{UUID(made['id'])}", f"/api/v1/{route}/{made['id']}/"):
        shown = call("get", path, acme.owner_key)
        assert (shown.status_code, shown.json()) == (200, {k: v for k, v in made.items() if k != "key"})
    for path in (f"/api/v1/{route}", f"/api/v1/{route}/"):
        page = call("get", path, acme.owner_key).json()
        assert set(page) == {"next", "previous", "results"}
        assert made["id"] in {row["id"] for row in page["results"]}


def test_a_route_to_a_model_is_made_with_ids_or_names_and_its_prices_are_strings(acme: House):
    make(acme, "providers", {"name": "vendor", "kind": "scripted"})
    deployment = make(acme, "deployments", {"provider": "vendor", "name": "east", "upstream_model": "echo"})
    model = make(acme, "models", {"name": "alias", "deployments": [{"deployment": "east", "weight": 3}]})
    assert model["strategy"] == "priority"
    assert model["deployments"] == [{"deployment": deployment["id"], "name": "east", "weight": 3, "priority": 1}]
    price = {"deployment": "east", "kind": "input", "per_million": "0.15", "valid_from": "2020-01-01T00:00:00Z"}
    made = make(acme, "prices", price)
    assert {name: made[name] for name in ("deployment", "kind", "per_million", "valid_from")} == {
        **price,
        "deployment": deployment["id"],
    }
    assert call("get", f"/api/v1/prices/{made['id']}", acme.owner_key).status_code == 404  # none is shown alone


def test_a_budgets_figures_are_decimal_strings(acme: House):
    made = make(acme, "budgets", {"scope": "tenant", "period": "total", "limit": "0.000000000001"})
    assert (made["limit"], made["spent"], made["reserved"], made["remaining"]) == (
        "0.000000000001",
        "0.00",
        "0.00",
        "0.000000000001",
    )


def test_a_key_is_shown_once_rotated_and_revoked(acme: House):
    made = make(acme, "api-keys", {"name": "once", "department": "legal"})
    path = f"/api/v1/api-keys/{made['id']}"
    assert made["key"].startswith(made["prefix"])
    assert made["key"] not in call("get", path, acme.owner_key).content.decode()
    rotated = make(acme, f"api-keys/{made['id']}/rotate", {"grace_seconds": 0})
    assert rotated["id"] != made["id"]
    assert call("get", "/api/v1/models", made["key"]).status_code == 401
    assert call("get", "/api/v1/models", rotated["key"]).status_code == 200
    assert call("delete", f"/api/v1/api-keys/{rotated['id']}", acme.owner_key).status_code == 204
    assert call("get", "/api/v1/models", rotated["key"]).status_code == 401


def test_activating_a_policy_archives_the_one_before(acme: House):
    body = {"name": "strict", "rules": {}, "applies_to": {"scope": "department", "target": "legal"}}
    first, second = make(acme, "policies", body), make(acme, "policies", body)
    assert (first["version"], second["version"], first["state"]) == (1, 2, "draft")
    for policy in (first, second):
        make(acme, f"policies/{policy['id']}/activate", None, 200)
    states = [call("get", f"/api/v1/policies/{p['id']}", acme.owner_key).json()["state"] for p in (first, second)]
    assert states == ["archived", "active"]


def test_a_document_is_accepted_with_its_job(acme: House):
    make(acme, "collections", {"name": "papers"})
    made = make(acme, "documents", {"collection": "papers", "text": "Some words.", "external_id": "a"}, 202)
    assert {"id", "version", "state", "ingest_job"} <= set(made)
    job = call("get", f"/api/v1/ingest-jobs/{made['ingest_job']}", acme.owner_key).json()
    assert job["state"] in ("queued", "running", "succeeded")
    assert (set(job["documents"]), job["errors"]) == ({"total", "done", "failed"}, [])


def test_lines_that_cannot_be_accepted_hold_up_no_other(acme: House):
    make(acme, "collections", {"name": "bulk"})
    lines = b'{"collection": "bulk", "text": "one"}\nno json\n{"collection": "nowhere", "text": "two"}\n'
    headers = {"authorization": f"Bearer {acme.owner_key}"}
    answer = Client().post("/api/v1/documents/bulk", lines, "application/x-ndjson", headers=headers)
    assert (answer.status_code, answer.json()["accepted"]) == (202, 1)
    assert [row["line"] for row in answer.json()["rejected"]] == [2, 3]


def test_only_the_platform_makes_tenants(acme: House):
    with scope(PLATFORM):
        _, platform = make_key(name="tests", department=None, role="owner", clearance=3)
    body = {"slug": f"initech-{token_hex(4)}", "name": "Initech"}
    assert call("post", "/api/v1/tenants", acme.owner_key, body).status_code == 403
    made = call("post", "/api/v1/tenants/", platform, body)
    assert (made.status_code, set(made.json()) >= {"id", "slug", "owner_key"}) == (201, True)
    assert call("post", "/api/v1/tenants", platform, body).status_code == 409
    own = call("get", "/api/v1/tenants", made.json()["owner_key"]).json()["results"]
    assert [tenant["slug"] for tenant in own] == [body["slug"]]


def test_pages_follow_each_other_by_an_absolute_address(acme: House):
    for _ in range(3):
        make(acme, "departments", {"slug": f"page-{token_hex(4)}", "name": "Page"})
    seen: list[str] = []
    address = "/api/v1/departments?limit=2"
    while address:
        page = call("get", address, acme.owner_key).json()
        seen += [row["id"] for row in page["results"]]
        assert page["next"] is None or page["next"].startswith("http://")
        address = page["next"]
    assert len(seen) == len(set(seen)) >= 4


def test_refusals_come_in_order(acme: House, globex: House):
    """Who is it, does it exist, is it allowed, is it well-formed."""
    path = f"/api/v1/departments/{acme.departments['legal'].pk}"

    def broken(key: str) -> Any:
        headers = {"authorization": f"Bearer {key}"}
        return Client().patch(path, b'{"name": ', "application/json", headers=headers)

    answers = [broken("sk-ch-x"), broken(globex.owner_key), broken(acme.keys["member"]), broken(acme.owner_key)]
    assert [answer.status_code for answer in answers] == [401, 404, 403, 400]
    for answer in answers:
        assert answer["content-type"] == "application/problem+json"
        assert {"type", "title", "status", "detail"} <= set(answer.json())


def test_a_refused_change_leaves_no_trace(acme: House):
    before = call("get", "/api/v1/departments?limit=1000", acme.owner_key).json()
    assert call("post", "/api/v1/departments", acme.owner_key, {"slug": "legal", "name": "Again"}).status_code == 409
    assert call("get", "/api/v1/departments?limit=1000", acme.owner_key).json() == before


@pytest.mark.parametrize(
    ("path", "status"),
    [
        ("audit/events?limit=x", 400),
        ("audit/events?request_id=x", 400),
        ("audit/events?from=yesterday", 400),
        ("audit/events/?from=2026-01-01&limit=1", 200),
        ("billing/usage?group_by=colour", 400),
        ("billing/usage/?group_by=department,model,day&from=2026-01-01", 200),
        ("departments/not-an-id", 404),
        ("nothing", 404),
    ],
)
def test_a_query_is_understood_or_refused(acme: House, path: str, status: int):
    assert call("get", f"/api/v1/{path}", acme.owner_key).status_code == status


@pytest.mark.parametrize(
    "path",
    [
        "documents?state=%00",
        "prices?deployment=%00",
        "prices?created_after=x",
        "audit/events?action=%00",
        "audit/events?department=%00",
        "departments?cursor=cD1ub3QtYW4taWQ%3D",
    ],
)
def test_values_that_the_database_cannot_hold_are_a_bad_request(acme: House, path: str):
    assert call("get", f"/api/v1/{path}", acme.owner_key).status_code == 400


def test_a_null_character_in_a_reference_is_a_bad_request(acme: House):
    body = {"provider": "\0", "name": "x", "upstream_model": "x"}
    assert call("post", "/api/v1/deployments", acme.owner_key, body).status_code == 400
    assert call("post", "/api/v1/collections", acme.owner_key, {"name": "x", "department": "\0"}).status_code == 400


@pytest.mark.parametrize("route", ["audit/events", "billing/usage"])
@pytest.mark.parametrize("time", ["0001-01-01", "0001-01-01T00:00:00%2B14:00", "9999-12-31T23:59:59-14:00"])
def test_a_time_at_the_end_of_all_days_is_answered(acme: House, route: str, time: str):
    for name in ("from", "to"):
        assert call("get", f"/api/v1/{route}?{name}={time}", acme.owner_key).status_code == 200


@pytest.mark.parametrize("chunking", [5, "x", [1], {"words": "many"}, {"colour": 1}, {"words": 5}])
def test_chunking_that_means_nothing_is_a_bad_request(acme: House, chunking: Any):
    answer = call("post", "/api/v1/collections", acme.owner_key, {"name": "odd", "chunking": chunking})
    assert answer.status_code == 400
