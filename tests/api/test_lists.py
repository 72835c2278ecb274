"""Lists: pages, filters, orders, names; and how often the database is asked for one."""

from __future__ import annotations

from secrets import token_hex
from typing import Any

import pytest
from django.db import connection
from django.test.utils import CaptureQueriesContext

from tests.api.test_attack import LISTS, call
from tests.api.test_shapes import make
from tests.conftest import House


def rows(acme: House, path: str) -> list[dict[str, Any]]:
    answer = call("get", f"/api/v1/{path}", acme.owner_key)
    assert answer.status_code == 200, answer.content
    found: list[dict[str, Any]] = answer.json()["results"]
    return found


@pytest.fixture(scope="module")
def things(acme: House) -> list[dict[str, Any]]:
    """Several of everything that has a list, so that a query for each row would show."""
    made = []
    for number in range(5):
        run = f"{number}-{token_hex(3)}"
        department = make(acme, "departments", {"slug": f"list-{run}", "name": f"List {9 - number}"})
        make(acme, "providers", {"name": f"p-{run}", "kind": "scripted", "vendor": "list"})
        make(acme, "deployments", {"provider": f"p-{run}", "name": f"d-{run}", "upstream_model": "echo"})
        make(acme, "models", {"name": f"m-{run}", "deployments": [{"deployment": f"d-{run}"}]})
        price = {"deployment": f"d-{run}", "kind": "input", "per_million": "1", "valid_from": "2020-01-01T00:00:00Z"}
        make(acme, "prices", price)
        budget = {"scope": "model", "target": f"m-{run}", "period": "day", "limit": f"{number}.00"}
        make(acme, "budgets", budget)
        make(acme, "group-mappings", {"group": f"g-{run}", "department": department["slug"]})
        make(acme, "policies", {"name": f"list-{run}", "rules": {}})
        make(acme, "collections", {"name": f"c-{run}", "department": department["slug"]})
        make(acme, "documents", {"collection": f"c-{run}", "text": "Words.", "external_id": run}, 202)
        person = make(acme, "users", {"email": f"{run}@acme.example", "name": f"Person {number}"})
        place = {"user": person["id"], "role": "developer", "departments": [department["slug"], "legal"]}
        make(acme, "memberships", place)
        make(acme, "invitations", {"email": f"i-{run}@acme.example", "departments": [department["slug"]]})
        key = {"name": f"k-{run}", "department": department["slug"], "departments": ["legal", "sales"]}
        make(acme, "api-keys", key)
        made.append({"run": run, "department": department})
    return made


#: how often the database may be asked for a list, the way in and the scope included (the overview reads four sources)
MOST_QUERIES = 23


@pytest.mark.parametrize("path", LISTS)
def test_a_list_asks_as_often_for_many_rows_as_for_one(acme: House, things: Any, path: str):
    counts = []
    for limit in (1, 1000):
        with CaptureQueriesContext(connection) as queries:
            answer = call("get", f"{path}?limit={limit}", acme.owner_key)
        if answer.status_code == 405:
            pytest.skip("nothing is listed there")
        assert answer.status_code == 200
        counts.append(len(queries))
    assert counts[1] <= min(counts[0] + 1, MOST_QUERIES), counts


FILTERS = [
    ("departments?slug=legal", 1),
    ("departments?search=list-", 5),
    ("users?search=person", 5),
    ("invitations?search=i-", 5),
    ("memberships?role=developer", 5),
    ("memberships?department=legal&role=developer", 5),
    ("memberships?department=nowhere", 0),
    ("api-keys?role=auditor", 1),
    ("api-keys?search=k-&department=legal", 0),
    ("api-keys?role=auditor&revoked=true", 0),
    ("providers?vendor=list", 5),
    ("providers?vendor=list&kind=scripted&self_hosted=false", 5),
    ("budgets?scope=model", 5),
    ("budgets?scope=model&period=month", 0),
    ("policies?search=list-&state=draft", 5),
    ("policies?state=active&search=list-", 0),
    ("documents?language=xx", 0),
    ("departments?search=list-&created_after=2020-01-01", 5),
]


@pytest.mark.parametrize(("path", "number"), FILTERS)
def test_a_filter_leaves_what_fits(acme: House, things: Any, path: str, number: int):
    assert len(rows(acme, path)) == number


def test_others_are_named_by_id_or_name(acme: House, things: list[dict[str, Any]]):
    run, department = things[0]["run"], things[0]["department"]
    for path in (
        f"deployments?provider=p-{run}",
        f"models?deployment=d-{run}",
        f"prices?deployment=d-{run}",
        f"budgets?target=m-{run}",
        f"collections?department={department['slug']}",
        f"collections?department={department['id']}",
        f"documents?collection=c-{run}",
        f"api-keys?department={department['slug']}",
    ):
        assert len(rows(acme, path)) == 1, path


@pytest.mark.parametrize(
    "path", ["departments?ordering=colour", "api-keys?clearance=x", "api-keys?revoked=x", "api-keys?created_after=x"]
)
def test_what_a_list_does_not_understand_is_a_bad_request(acme: House, path: str):
    answer = call("get", f"/api/v1/{path}", acme.owner_key)
    assert answer.status_code == 400
    assert answer.json()["errors"][0]["field"] == path.split("?")[1].split("=")[0]


def test_a_list_is_ordered_as_asked_over_all_its_pages(acme: House, things: Any):
    for ordering, backwards in (("name", False), ("-name", True)):
        seen: list[str] = []
        address = f"/api/v1/departments?search=list-&limit=2&ordering={ordering}"
        while address:
            page = call("get", address, acme.owner_key).json()
            seen += [row["name"] for row in page["results"]]
            address = page["next"]
        assert seen == sorted(seen, reverse=backwards)
        assert len(seen) == 5


def test_an_object_is_addressed_by_its_name_as_well(acme: House, globex: House, things: list[dict[str, Any]]):
    run = things[0]["run"]
    for path in (f"departments/list-{run}", f"providers/p-{run}", f"deployments/d-{run}/", f"models/m-{run}"):
        shown = call("get", f"/api/v1/{path}", acme.owner_key)
        assert shown.status_code == 200
        assert call("get", f"/api/v1/{path}", globex.owner_key).status_code == 404
    assert call("get", f"/api/v1/tenants/{acme.slug}", acme.owner_key).json()["id"] == str(acme.id)
    assert call("get", f"/api/v1/tenants/{acme.slug}", globex.owner_key).status_code == 404
    assert call("get", f"/api/v1/users/{run}@ACME.example", acme.owner_key).status_code == 200


def test_a_member_sees_of_a_model_its_name_alone(acme: House, things: list[dict[str, Any]]):
    shown = call("get", f"/api/v1/models/m-{things[0]['run']}", acme.keys["member"]).json()
    assert set(shown) == {"id", "name"}
    assert {"strategy", "deployments"} <= set(call("get", f"/api/v1/models/{shown['id']}", acme.owner_key).json())


def test_a_developer_sees_the_budgets_of_their_own_department_and_key(acme: House):
    own, key = acme.departments["legal"], acme.key_ids[acme.keys["developer"]]
    seen = [
        make(acme, "budgets", {"scope": scope, "target": str(target), "period": "day", "limit": "1.00"})["id"]
        for scope, target in (("department", own.pk), ("key", key))
    ]
    hidden = [
        make(acme, "budgets", {"scope": scope, "target": target, "period": "day", "limit": "1.00"})["id"]
        for scope, target in (("department", "sales"), ("tenant", None), ("key", str(acme.key_ids[acme.keys["admin"]])))
    ]
    listed = {row["id"] for row in call("get", "/api/v1/budgets", acme.keys["developer"]).json()["results"]}
    assert set(seen) <= listed
    assert not set(hidden) & listed
    for budget in hidden:
        assert call("get", f"/api/v1/budgets/{budget}", acme.keys["developer"]).status_code == 404
        assert call("get", f"/api/v1/budgets/{budget}", acme.keys["auditor"]).status_code == 200


def test_an_unknown_address_is_a_problem_with_details(acme: House):
    for method in ("get", "post", "delete"):
        answer = call(method, "/api/v1/nothing/here", acme.owner_key, {})
        assert (answer.status_code, answer["content-type"]) == (404, "application/problem+json")


def test_a_person_who_belongs_to_the_tenant_is_not_added_again(acme: House):
    body = {"email": f"{token_hex(4)}@acme.example", "name": "Twice"}
    make(acme, "users", body)
    assert call("post", "/api/v1/users", acme.owner_key, body).status_code == 409
