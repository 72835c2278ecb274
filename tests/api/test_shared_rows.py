"""What the platform shares is read in a tenant's scope, by those it is shared with, and never without a scope."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.db import connection

from tenants.isolation import PLATFORM, scope
from tenants.services import make_key
from tests.api.test_attack import call
from tests.conftest import House


@pytest.fixture(scope="module")
def platform(database: None) -> str:
    """A key of the platform."""
    with scope(PLATFORM):
        return make_key(name="tests", department=None, role="owner", clearance=3)[1]


def share(platform: str, tenants: list[str] | None = None) -> str:
    """A provider of the platform, shared with all tenants or with some; its id."""
    body = {
        "name": f"vendor-{token_hex(4)}",
        "kind": "openai_compatible",
        "base_url": "http://127.0.0.1:9/v1",
        "api_key": "sk-upstream",
    }
    answer = call("post", "/api/v1/providers", platform, body if tenants is None else {**body, "tenants": tenants})
    assert answer.status_code == 201, answer.content
    return str(answer.json()["id"])


def test_without_a_scope_not_even_shared_rows_are_readable(platform: str):
    share(platform)
    with connection.cursor() as cursor:
        for table in ("gateway_provider", "gateway_deployment", "gateway_model", "gateway_route", "billing_price"):
            cursor.execute(f"select count(*) from {table}")
            assert cursor.fetchone() == (0,), table
        cursor.execute("select count(*) from policies_policy")
        assert cursor.fetchone() == (0,)
        cursor.execute("select count(*) from tenants_revision")
        assert cursor.fetchone() == (0,)


def test_a_shared_provider_is_read_by_all_and_changed_by_none(platform: str, acme: House, globex: House):
    path = f"/api/v1/providers/{share(platform)}"
    for tenant in (acme, globex):
        shown = call("get", path, tenant.owner_key)
        assert (shown.status_code, shown.json()["has_credential"]) == (200, True)
        assert "sk-upstream" not in shown.content.decode()
        assert call("patch", path, tenant.owner_key, {"name": "mine"}).status_code == 403
        assert call("delete", path, tenant.owner_key).status_code == 403


def test_a_provider_shared_with_acme_does_not_exist_for_globex(platform: str, acme: House, globex: House):
    provider = share(platform, [acme.slug])
    assert call("get", f"/api/v1/providers/{provider}", acme.owner_key).status_code == 200
    assert call("get", f"/api/v1/providers/{provider}", globex.owner_key).status_code == 404
    body = {"provider": provider, "name": "x", "upstream_model": "x"}
    assert call("post", "/api/v1/deployments", globex.owner_key, body).status_code == 400
