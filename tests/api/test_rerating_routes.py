"""Re-rating over the API: a dry run, then its corrections."""

from __future__ import annotations

import pytest

from billing import rerating
from tests.api.test_attack import call
from tests.conftest import House

ROUTE = "/api/v1/billing/reratings"
MARCH = {"from": "2026-03-01", "to": "2026-04-01"}


def test_a_dry_run_is_made_read_and_applied_once(acme: House, globex: House):
    key = acme.keys["billing_manager"]
    made = call("post", ROUTE, key, MARCH)
    assert (made.status_code, made.json()["state"], made.json()["total"]) == (202, "queued", None)
    place = f"{ROUTE}/{made.json()['id']}"
    assert call("post", f"{place}/apply", key).status_code == 409
    rerating.make(acme.id, made.json()["id"])
    shown = call("get", place, acme.keys["auditor"]).json()
    assert (shown["state"], shown["total"]["rows"]) == ("drafted", 0)
    assert call("post", f"{place}/apply", acme.keys["auditor"]).status_code == 403
    assert call("post", f"{place}/apply", globex.owner_key).status_code == 404
    assert call("post", f"{place}/apply", key).json()["state"] == "applying"
    rerating.make(acme.id, made.json()["id"])
    assert call("get", place, key).json()["state"] == "applied"
    assert call("post", f"{place}/apply", key).status_code == 409


@pytest.mark.parametrize("body", [{}, {"from": "2026-03-01"}, {"from": "2026-03-01", "to": "2026-03-01"}])
def test_a_period_is_needed(acme: House, body: dict[str, str]):
    assert call("post", ROUTE, acme.owner_key, body).status_code == 400
