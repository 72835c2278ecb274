"""Reports over the API: asked for, made, fetched; by those who may, and each tenant's own."""

from __future__ import annotations

import json
from typing import Any

import pytest

from billing import jobs
from billing.models import ReportSchedule
from tenants.isolation import scope
from tests.api.test_attack import call
from tests.conftest import House

ROUTE = "/api/v1/billing/reports"


def ask(house: House, role: str, **body: Any) -> Any:
    return call("post", ROUTE, house.owner_key if role == "owner" else house.keys[role], body)


def test_a_report_is_asked_for_made_and_fetched(acme: House, globex: House):
    answer = ask(acme, "billing_manager", kind="usage", group_by=["department", "day"], format="json")
    made = answer.json()
    assert (answer.status_code, made["state"], made["download"]) == (202, "queued", None)
    assert call("get", f"{ROUTE}/{made['id']}/download", acme.owner_key).status_code == 409
    jobs.make(acme.id, made["id"])
    shown = call("get", f"{ROUTE}/{made['id']}", acme.keys["auditor"]).json()
    assert shown["state"] == "succeeded"
    assert shown["download"].endswith(f"{ROUTE}/{made['id']}/download")
    file = call("get", f"{ROUTE}/{made['id']}/download", acme.keys["billing_manager"])
    assert (len(file.content), file["content-type"]) == (shown["size"], "application/json")
    assert json.loads(file.content)["kind"] == "usage"
    events = call("get", "/api/v1/audit/events?action=report.", acme.owner_key).json()["results"]
    assert [event["action"] for event in events] == ["report.read", "report.ready", "report.make"]
    assert call("get", f"{ROUTE}/{made['id']}/download", globex.owner_key).status_code == 404


@pytest.mark.parametrize(
    ("role", "kind", "status"),
    [
        ("owner", "compliance", 202),
        ("auditor", "compliance", 202),
        ("auditor", "usage", 403),
        ("billing_manager", "statement", 202),
        ("billing_manager", "compliance", 403),
        ("developer", "usage", 403),
        ("member", "usage", 403),
    ],
)
def test_who_may_make_which_report(acme: House, role: str, kind: str, status: int):
    assert ask(acme, role, kind=kind).status_code == status


def test_a_developer_is_shown_the_own_departments_and_no_other(acme: House):
    own = ask(acme, "owner", kind="statement", department="legal").json()["id"]
    other = ask(acme, "owner", kind="statement", department="sales").json()["id"]
    whole = ask(acme, "owner", kind="statement").json()["id"]
    shown = [row["id"] for row in call("get", ROUTE, acme.keys["developer"]).json()["results"]]
    assert shown == [own]
    for hidden in (other, whole):
        assert call("get", f"{ROUTE}/{hidden}", acme.keys["developer"]).status_code == 404


def test_compliance_is_hidden_from_who_may_not_read_the_trail(acme: House):
    made = ask(acme, "auditor", kind="compliance").json()["id"]
    assert call("get", f"{ROUTE}/{made}", acme.keys["auditor"]).status_code == 200
    assert call("get", f"{ROUTE}/{made}", acme.keys["billing_manager"]).status_code == 404


@pytest.mark.parametrize(
    "body",
    [
        {"kind": "weather"},
        {"kind": "usage", "format": "docx"},
        {"kind": "usage", "group_by": ["weather"]},
        {"kind": "statement", "group_by": ["day"]},
        {"kind": "compliance", "department": "legal"},
        {"kind": "usage", "department": "nowhere"},
        {"kind": "usage", "from": "2026-02-01", "to": "2026-01-01"},
        {"kind": "usage", "from": "2016-02-01", "to": "2026-01-01"},
        {"kind": "usage", "colour": "red"},
    ],
)
def test_what_makes_no_sense_is_refused(acme: House, body: dict[str, Any]):
    assert ask(acme, "owner", **body).status_code == 400


def test_a_statement_is_of_the_month_before_unless_times_are_given(acme: House):
    made = ask(acme, "owner", kind="statement").json()
    assert made["from"].endswith("-01T00:00:00Z")
    assert made["to"].endswith("-01T00:00:00Z")
    made = ask(acme, "owner", **{"kind": "usage", "group_by": "model,day", "from": "2026-01-05", "to": "2026-01-09"})
    assert (made.json()["from"], made.json()["to"]) == ("2026-01-05T00:00:00Z", "2026-01-09T00:00:00Z")
    assert made.json()["group_by"] == ["model", "day"]


def test_the_worker_is_told_behind_the_commit(acme: House, monkeypatch: pytest.MonkeyPatch):
    told: list[Any] = []
    monkeypatch.setattr("billing.tasks.dispatch", lambda *given: told.append(given))
    made = ask(acme, "owner", kind="usage").json()
    assert [str(report) for _, report in told] == [made["id"]]


def test_a_schedule_is_made_changed_and_removed(acme: House, monkeypatch: pytest.MonkeyPatch):
    route = "/api/v1/billing/report-schedules"
    body = {"name": "monthly", "kind": "statement", "every": "month", "emails": ["finance@acme.example"]}
    monkeypatch.setattr("django.conf.settings.EMAIL_HOST", "")
    refused = call("post", route, acme.keys["billing_manager"], body)
    assert (refused.status_code, "CUSTOMHOUSE_SMTP_URL" in refused.content.decode()) == (400, True)
    monkeypatch.setattr("django.conf.settings.EMAIL_HOST", "127.0.0.1")
    made = call("post", route, acme.keys["billing_manager"], body)
    assert made.status_code == 201, made.content
    assert made.json()["next_at"].endswith("-01T01:00:00Z")
    place = f"{route}/{made.json()['id']}"
    assert (
        call("patch", place, acme.keys["billing_manager"], {"every": "day"}).json()["next_at"] != made.json()["next_at"]
    )
    assert call("patch", place, acme.keys["billing_manager"], {"kind": "compliance"}).status_code == 403
    assert call("patch", place, acme.keys["auditor"], {"every": "day"}).status_code == 403
    with scope(acme.id):
        ReportSchedule.objects.update(next_at="2026-01-01T00:00:00Z")
        [report] = jobs.due()
    assert call("delete", place, acme.keys["billing_manager"]).status_code == 204
    assert call("get", f"{ROUTE}/{report}", acme.owner_key).json()["schedule"] is None
    actions = call("get", "/api/v1/audit/events?action=report_schedule.", acme.owner_key).json()["results"]
    assert actions[0]["action"] == "report_schedule.delete"
