"""More budget: asked for, given by somebody else, in one transaction. Discounts and rates are the platform's."""

from __future__ import annotations

from typing import Any

import pytest

from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.api.test_attack import call
from tests.conftest import House

ROUTE = "/api/v1/budget-requests"


@pytest.fixture
def budget(acme: House) -> dict[str, Any]:
    body = {"scope": "department", "target": "legal", "period": "month", "limit": "10.00"}
    return call("post", "/api/v1/budgets", acme.keys["admin"], body).json()


def ask(house: House, key: str, budget: dict[str, Any], limit: str = "25.50", reason: str = "the merger") -> Any:
    return call("post", ROUTE, key, {"budget": budget["id"], "limit": limit, "reason": reason})


def limit_of(house: House, budget: dict[str, Any]) -> str:
    return call("get", f"/api/v1/budgets/{budget['id']}", house.owner_key).json()["limit"]


def test_a_developer_asks_and_a_billing_manager_approves(acme: House, budget: dict[str, Any]):
    made = ask(acme, acme.keys["developer"], budget)
    assert (made.status_code, made.json()["state"]) == (201, "open")
    place = f"{ROUTE}/{made.json()['id']}"
    assert call("post", f"{place}/approve", acme.keys["developer"]).status_code == 403
    assert limit_of(acme, budget) == "10.00"
    assert call("post", f"{place}/approve", acme.keys["billing_manager"]).json()["state"] == "approved"
    assert limit_of(acme, budget) == "25.50"
    assert call("post", f"{place}/refuse", acme.keys["billing_manager"]).status_code == 409
    events = call("get", "/api/v1/audit/events?action=budget_request.", acme.owner_key).json()["results"]
    assert [event["action"] for event in events][:2] == ["budget_request.update", "budget_request.create"]


def test_what_is_refused_changes_nothing(acme: House, budget: dict[str, Any]):
    made = ask(acme, acme.keys["developer"], budget).json()
    assert call("post", f"{ROUTE}/{made['id']}/refuse", acme.keys["admin"]).json()["state"] == "refused"
    assert limit_of(acme, budget) == "10.00"


def test_nobody_decides_on_their_own(acme: House, budget: dict[str, Any]):
    made = ask(acme, acme.keys["admin"], budget).json()
    assert call("post", f"{ROUTE}/{made['id']}/approve", acme.keys["admin"]).status_code == 409
    assert limit_of(acme, budget) == "10.00"


def test_one_asks_once_for_more_than_there_is_and_says_why(acme: House, budget: dict[str, Any]):
    key = acme.keys["developer"]
    assert ask(acme, key, budget, limit="10.00").status_code == 400
    assert ask(acme, key, budget, reason=" ").status_code == 400
    assert ask(acme, key, budget).status_code == 201
    assert ask(acme, key, budget).status_code == 400


def test_a_budget_of_another_department_or_tenant_is_not_there(acme: House, globex: House, budget: dict[str, Any]):
    bob = acme.key("developer", "sales")
    assert ask(acme, bob, budget).status_code == 400
    assert ask(globex, globex.owner_key, budget).status_code == 400
    made = ask(acme, acme.keys["developer"], budget).json()
    assert call("get", f"{ROUTE}/{made['id']}", bob).status_code == 404
    assert call("post", f"{ROUTE}/{made['id']}/approve", globex.owner_key).status_code == 404


@pytest.fixture(scope="module")
def platform(database: None) -> str:
    """A key of the platform's owner."""
    with scope(PLATFORM):
        return make_key(name="operator", department=None, role="owner", clearance=3)[1]


def test_the_platform_gives_a_discount_and_the_tenant_reads_it(acme: House, globex: House, platform: str):
    body = {"tenant": acme.slug, "percent": "12.5", "valid_from": "2026-01-01"}
    assert call("post", "/api/v1/discounts", acme.owner_key, body).status_code == 403
    made = call("post", "/api/v1/discounts", platform, body)
    assert (made.status_code, made.json()["percent"]) == (201, "12.50")
    assert [row["id"] for row in call("get", "/api/v1/discounts", acme.owner_key).json()["results"]] == [
        made.json()["id"]
    ]
    assert call("get", "/api/v1/discounts", globex.owner_key).json()["results"] == []
    for wrong in ({"percent": "101"}, {"valid_until": "2025-01-01"}, {"tenant": "nobody"}):
        assert call("post", "/api/v1/discounts", platform, {**body, **wrong}).status_code == 400


def test_the_platform_adds_rates_that_everybody_reads(acme: House, platform: str):
    body = {"currency": "EUR", "per_usd": "0.92", "valid_from": "2026-01-01"}
    assert call("post", "/api/v1/exchange-rates", acme.owner_key, body).status_code == 403
    assert call("post", "/api/v1/exchange-rates", platform, body).status_code == 201
    assert call("post", "/api/v1/exchange-rates", platform, body).status_code == 409
    assert call("post", "/api/v1/exchange-rates", platform, {**body, "per_usd": "0"}).status_code == 400
    found = call("get", "/api/v1/exchange-rates?currency=EUR", acme.keys["billing_manager"]).json()["results"]
    assert [row["per_usd"] for row in found] == ["0.92"]
    bad = call("post", "/api/v1/billing/reports", acme.owner_key, {"kind": "usage", "currency": "EUR"})
    assert bad.status_code == 400
