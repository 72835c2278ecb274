"""What the pages show: numbers that add up, next steps, an unwritable trail, and no query too many."""

from __future__ import annotations

import json
import re
from decimal import Decimal

import pytest
import redis
from django.conf import settings
from django.contrib import admin
from django.db import connection
from django.test import Client
from django.test.utils import CaptureQueriesContext
from django.urls import reverse

from audit.models import Event
from billing.models import Budget
from gateway.breakers import HASH
from retrieval.data import Upload
from retrieval.services import create_collection, ingest_now
from tenants.ids import uuid7
from tenants.models import ApiKey, Department
from tests.console.conftest import secret_of


def shown(client, page, **parameters):
    return client.get(reverse(f"admin:{page}"), parameters).content.decode()


def test_the_overview_counts_todays_calls_costs_and_masked_data(as_role):
    page = as_role("owner").get(reverse("admin:index")).context_data
    figures = {figure.title: figure.today for figure in page["figures"]}
    assert figures == {"Calls": "3", "Cost": "$0.762", "Personal data masked": "2", "Refused": "0"}


@pytest.mark.parametrize(
    ("title", "holds"), [("Calls", "assistant of"), ("Personal data masked", "PERSON 2"), ("Cost", "$0.762")]
)
def test_each_number_leads_to_the_list_behind_it(as_role, title, holds):
    client = as_role("owner")
    figures = {figure.title: figure for figure in client.get(reverse("admin:index")).context_data["figures"]}
    for link in (figures[title].link_today, figures[title].link_whole):
        assert holds in client.get(link).content.decode()


@pytest.mark.parametrize(("period", "slots"), [("24h", 24), ("7d", 7), ("30d", 30), ("nonsense", 7)])
def test_the_overview_looks_back_as_far_as_is_asked(as_role, period, slots):
    page = as_role("owner").get(reverse("admin:index"), {"period": period}).context_data
    calls = next(figure for figure in page["figures"] if figure.title == "Calls")
    cost = next(figure for figure in page["figures"] if figure.title == "Cost")
    assert (len(calls.course), calls.whole, cost.whole) == (slots, "3", "$0.762")
    assert calls.course[-1][1] == 100


def test_the_api_tells_what_the_overview_shows(acme, as_role):
    def asked(role, **parameters):
        headers = {"authorization": f"Bearer {secret_of(acme, role)}"}
        return Client().get("/api/v1/overview", parameters, headers=headers)

    for period, slots in (("24h", 24), ("7d", 7), ("30d", 30)):
        told = asked("owner", period=period).json()
        assert told["total"] | {"cost": Decimal(told["total"]["cost"])} == {
            "calls": 3,
            "cost": Decimal("0.7625"),
            "entities": 2,
            "refused": 0,
        }
        assert len(told["slots"]) == slots
        assert told["slots"][-1]["calls"] == 3
        assert told["latency_ms"] == {"p95": 12}
    assert asked("owner", period="1y").status_code == 400
    steps = as_role("owner").get("/console/").context_data["steps"]
    assert asked("owner").json()["first_steps"] == [{"step": step.title, "done": step.done} for step in steps]
    alone = asked("member").json()
    assert (alone["total"]["calls"], alone["deployments"], alone["latency_ms"]) == (0, None, {"p95": None})
    assert "first_steps" not in alone
    assert asked("policy_manager").json()["total"]["cost"] is None
    assert asked("policy_manager").json()["deployments"] == []


def test_the_overview_says_how_fast_calls_were_and_how_providers_do(as_role, acme):
    page = shown(as_role("owner"), "index")
    assert "<strong>12 ms</strong>" in page
    with acme.open():
        failed = {"failed": [{"deployment": "vendor/broken", "error": "upstream_timeout"}]}
        made = Event.objects.create(action="call.outcome", actor_type="key", actor_id="x", detail=failed)
        acme.objects.append(made)
    page = shown(as_role("owner"), "index")
    assert "vendor/broken" in page
    assert "failing: upstream timeout" in page
    assert "vendor/broken" not in shown(as_role("bob"), "index")


def test_a_model_shows_what_answers_for_it_and_to_whom_prices_are_shown(acme, as_role):
    _, deployment, model = acme.objects[:3]
    page = shown_object(as_role("owner"), model)
    assert "What answers" in page
    assert deployment.name in page
    assert "$1.5 in" in page
    assert "not called today" in page
    with acme.open():
        Event.objects.create(
            action="call.outcome",
            actor_type="key",
            actor_id="x",
            deployment=f"{deployment.provider.name}/m",
            latency_ms=40.0,
        )
    assert "half within 40 ms" in shown_object(as_role("owner"), model)
    assert "a million tokens" not in shown_object(as_role("policy_manager"), model)
    assert "What answers" not in shown_object(as_role("bob"), model)


def test_a_calls_page_shows_its_steps_in_the_order_in_which_they_were_made(acme, as_role):
    took = [["limits", 0.3], ["masking", 0.5], ["record", 1.0], ["model", 0.2]]
    with acme.open():
        made = Event.objects.create(
            action="call.outcome", actor_type="key", actor_id="x", detail={"steps": took, "dialect": "chat"}
        )
    page = as_role("owner").get(reverse("admin:audit_event_change", args=[made.pk])).context_data
    assert [(step["name"], step["from"], step["width"]) for step in page["steps"]] == [
        ("limits", 0, 15),
        ("masking", 15, 25),
        ("record", 40, 50),
        ("model", 90, 10),
    ]


def shown_object(client, obj):
    return client.get(
        reverse(f"admin:{obj._meta.label_lower.replace('.', '_')}_change", args=[obj.pk])
    ).content.decode()


def test_an_open_breaker_is_seen_wherever_the_deployment_is(acme, as_role):
    _, deployment, model = acme.objects[:3]
    owner = as_role("owner")
    assert "breaker open" not in shown(owner, "gateway_model_changelist")
    assert ">closed<" in shown(owner, "gateway_deployment_changelist")
    said = {"opened_at": 1e9, "until": 1e9 + 10, "error": "upstream_timeout"}
    with redis.Redis.from_url(settings.REDIS_URL) as told:
        told.hset(HASH, str(deployment.pk), json.dumps(said))
    try:
        for page in (
            shown(owner, "gateway_model_changelist"),
            shown(owner, "gateway_deployment_changelist"),
            shown_object(owner, model),
        ):
            assert "breaker open: upstream timeout" in page
            assert "a call tries again from 01:46:50 UTC" in page
        asked = {"headers": {"authorization": f"Bearer {secret_of(acme, 'developer')}"}}
        first = Client().get(f"/api/v1/deployments/{deployment.pk}", **asked)
        assert first.json()["breaker"] == {
            "state": "open",
            "error": "upstream_timeout",
            "opened_at": "2001-09-09T01:46:40Z",
            "probed_at": "2001-09-09T01:46:50Z",
        }
    finally:
        with redis.Redis.from_url(settings.REDIS_URL) as told:
            told.hdel(HASH, str(deployment.pk))
    again = Client().get(f"/api/v1/deployments/{deployment.pk}", **asked)
    assert again.json()["breaker"]["state"] == "closed"
    assert again.headers["etag"] == first.headers["etag"]


def test_the_overview_shows_budgets_as_bars(as_role):
    page = shown(as_role("billing_manager"), "index")
    assert "the whole tenant" in page
    assert 'aria-label="$0.00 spent, $0.00 reserved of $50.00"' in page


def test_the_checklist_ticks_itself_and_is_for_those_who_can_act(acme, empty, enter, as_role):
    steps = {step.title: step.done for step in enter(empty.people["owner"]).get("/console/").context_data["steps"]}
    assert not steps["A department"]
    assert not steps["A first call"]
    with empty.open():
        Department.objects.create(slug="first", name="First")
    steps = {step.title: step.done for step in enter(empty.people["owner"]).get("/console/").context_data["steps"]}
    assert steps["A department"]
    assert as_role("auditor").get("/console/").context_data["steps"] == []


EMPTY = {
    "tenants_apikey_changelist": "Make one for your application",
    "billing_budget_changelist": "Add one for the whole tenant first",
    "retrieval_document_changelist": "Upload a PDF, an office file",
    "retrieval_collection_changelist": "Add one, then upload the documents",
    "billing_usage_changelist": "make a first call with an API key",
}


@pytest.mark.parametrize("page", EMPTY)
def test_an_empty_list_says_what_to_do_next(empty, enter, page):
    assert EMPTY[page] in shown(enter(empty.people["owner"]), page)


def test_a_list_without_matches_offers_to_show_all(as_role):
    page = shown(as_role("owner"), "tenants_apikey_changelist", q="no such key")
    assert "Nothing matches" in page
    assert "Show all" in page


def test_every_page_says_what_its_empty_list_means():
    missing = [page for page in admin.site._registry.values() if not page.lead and not page.empty[1]]
    assert [type(page).__name__ for page in missing] == ["UsagePage"]


def test_one_event_opens_with_the_other_events_of_its_call(acme, as_role, call):
    with acme.open():
        request = call(acme, acme.keys["assistant"], entities={"IBAN_CODE": 1})
        outcome = Event.objects.get(request_id=request, action="call.outcome")
        intent = Event.objects.get(request_id=request, action="call.intent")
    page = shown_event(as_role("auditor"), outcome)
    assert "IBAN_CODE 1" in page
    assert reverse("admin:audit_event_change", args=[intent.pk]) in page


def shown_event(client, event):
    return client.get(reverse("admin:audit_event_change", args=[event.pk])).content.decode()


def test_a_change_is_shown_with_before_and_after_and_its_actor(acme, as_role):
    client, department = as_role("admin"), acme.departments["sales"]
    url = reverse("admin:tenants_department_change", args=[department.pk])
    assert client.post(url, {"name": "Sales and more", "slug": "sales"}).status_code == 302
    with acme.open():
        event = Event.objects.get(action="department.update", object_id=str(department.pk))
    assert (event.actor_type, event.actor_id) == ("user", str(acme.people["admin"].pk))
    page = shown_event(client, event)
    assert "Sales and more" in page
    assert department.name in page


def test_a_removal_keeps_its_reason(acme, as_role):
    with acme.open():
        department = Department.objects.create(slug="short-lived", name="Short-lived")
    url = reverse("admin:tenants_department_delete", args=[department.pk])
    client = as_role("owner")
    assert "0 people lose it" in client.get(url).content.decode()
    client.post(url, {"post": "yes", "reason": "merged into sales"})
    with acme.open():
        assert Event.objects.get(action="department.delete", object_id=str(department.pk)).reason == "merged into sales"


def test_a_department_with_keys_is_not_removed_and_says_why(acme, as_role):
    url = reverse("admin:tenants_department_delete", args=[acme.departments["legal"].pk])
    page = as_role("owner").get(url).content.decode()
    assert "cannot be removed while these need it" in page
    assert acme.keys["assistant"].name in page


def test_a_name_that_is_taken_is_an_error_of_the_form(as_role):
    page = as_role("owner").post(reverse("admin:tenants_department_add"), {"name": "Legal again", "slug": "legal"})
    assert "There is already a department with this slug" in page.content.decode()


@pytest.mark.parametrize("verb", ["change", "delete"])
def test_nobody_writes_to_the_trail(acme, as_role, verb):
    with acme.open():
        event = Event.objects.latest("seq")
    as_role("owner").post(reverse(f"admin:audit_event_{verb}", args=[event.pk]), {"post": "yes", "reason": "x"})
    with acme.open():
        kept = Event.objects.get(pk=event.pk)
    assert (kept.action, kept.reason) == (event.action, event.reason)


def test_whoever_reads_the_trail_is_recorded(acme, as_role):
    shown(as_role("auditor"), "audit_event_changelist", actor="somebody")
    with acme.open():
        read = Event.objects.filter(action="event.read", actor_id=str(acme.people["auditor"].pk)).latest("seq")
    assert read.detail == {"filters": {"actor": "somebody"}}


def test_the_history_of_an_object_is_the_audit_trail(acme, as_role):
    department = acme.departments["legal"]
    answer = as_role("owner").get(reverse("admin:tenants_department_history", args=[department.pk]))
    assert answer["location"] == f"{reverse('admin:audit_event_changelist')}?object_id={department.pk}"


@pytest.mark.parametrize(
    ("parameters", "there", "absent"),
    [
        ({"area": "department"}, "Department created", "Call outcome"),
        ({"area": "calls"}, "Call outcome", "Call intent"),
        ({"decision": "deny"}, "Nothing matches", "Call outcome"),
        ({"since": "2001-01-01", "until": "2001-01-02"}, "Nothing matches", "Call outcome"),
        ({"since": "not a day"}, "Call outcome", "Nothing matches"),
        ({"request_id": "not an id"}, "Nothing matches", "Call outcome"),
        ({"q": "nobody has this name"}, "Nothing matches", "Call outcome"),
        ({"department": "not an id"}, "Nothing matches", "Call outcome"),
    ],
)
def test_the_trail_is_filtered(as_role, parameters, there, absent):
    page = shown(as_role("auditor"), "audit_event_changelist", **parameters).split('id="changelist-form"')[1]
    assert there in page
    assert absent not in page


def test_usage_groups_add_up_to_its_total(acme, as_role):
    page = as_role("billing_manager").get(
        reverse("admin:billing_usage_changelist"), {"group_by": ["department", "model"]}
    )
    report = page.context_data
    assert len(report["rows"]) == 2
    assert sum(int(row["calls"].split(">")[1].split("<")[0]) for row in report["rows"]) == 4
    assert "4" in report["total"]["calls"]


def test_a_policy_says_what_it_does_to_each_type(acme, as_role):
    policy = next(obj for obj in acme.objects if obj._meta.model_name == "policy")
    page = as_role("policy_manager").get(reverse("admin:policies_policy_change", args=[policy.pk])).content.decode()
    assert "everything else" in page
    assert "masked" in page


def test_a_page_that_fails_changes_nothing(acme, as_role, monkeypatch):
    def broken(*details):
        raise RuntimeError("after the key is made")

    monkeypatch.setattr(type(admin.site._registry[ApiKey]), "shown_once", broken)
    client = as_role("owner")
    client.raise_request_exception = False
    department = str(acme.departments["legal"].pk)
    form = {"name": "half made", "department": department, "role": "developer", "clearance": "1"}
    answer = client.post(reverse("admin:tenants_apikey_add"), form)
    assert answer.status_code == 500
    assert "Nothing was changed" in answer.content.decode()
    with acme.open():
        assert not ApiKey.objects.filter(name="half made").exists()


#: page -> the most queries that it may take, the session's and the scope's included
BUDGET = {
    "index": 45,
    "audit_event_changelist": 32,
    "tenants_apikey_changelist": 32,
    "tenants_membership_changelist": 30,
    "gateway_model_changelist": 34,
    "billing_budget_changelist": 35,
}


@pytest.mark.parametrize("page", BUDGET)
def test_a_page_keeps_within_its_queries_however_long_the_list(acme, as_role, call, page):
    with acme.open():
        for number in range(5):
            call(acme, acme.keys["assistant"], cost="0")
            Budget.objects.create(
                scope="department", target=acme.departments["legal"].pk, period="day", limit=Decimal(number)
            )
    client = as_role("owner")
    with CaptureQueriesContext(connection) as queries:
        client.get(reverse(f"admin:{page}"))
    assert len(queries) <= BUDGET[page]


def test_it_writes_nothing_to_djangos_own_log(as_role):
    with connection.cursor() as cursor:
        cursor.execute("select has_table_privilege(current_user, 'django_admin_log', 'select, insert')")
        assert cursor.fetchone() == (False,)


def test_its_own_files_are_served_without_collecting(client):
    answer = client.get("/static/console/console.css")
    assert (answer.status_code, answer["content-type"]) == (200, 'text/css; charset="utf-8"')
    assert not answer.streaming
    assert settings.STATIC_ROOT is None


def test_an_event_names_its_policy_and_passages_to_those_who_may_read_them(acme, as_role, call):
    policy = next(obj for obj in acme.objects if obj._meta.model_name == "policy")
    with acme.open():
        collection = create_collection("cited")
        document = ingest_now(Upload(collection=collection.pk, text="The rent is 12,400 euros.", title="The lease"))
        passages = [{"document": str(document.pk), "page": 2}]
        event = Event.objects.create(
            id=uuid7(), action="call.outcome", policy=f"{policy.pk}@1", passages=passages, request_id=uuid7()
        )
    page = shown_event(as_role("owner"), event)
    assert f">policy-{acme.name}@1</a>" in page
    assert "The lease, page 2" in page
    assert "The lease" not in shown_event(as_role("auditor"), event)


@pytest.mark.parametrize(("query", "line"), [("?area=calls", "Calls"), ("", "Audit trail")])
def test_the_navigation_marks_the_line_that_is_open(as_role, query, line):
    page = as_role("auditor").get(reverse("admin:audit_event_changelist") + query).content.decode()
    [marked] = re.findall(r'aria-current="page">(.*?)</a>', page, re.S)
    assert marked.strip().endswith(line)
