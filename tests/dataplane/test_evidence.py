"""What the audit trail and the usage report say of a call, in the shapes that clients rely on."""

from __future__ import annotations

from decimal import Decimal
from uuid import UUID

from tests.dataplane.conftest import Gateway

FIELDS = {
    *("id", "seq", "time", "actor", "department", "action", "decision", "reason", "request_id", "policy", "model"),
    *("deployment", "region", "entities", "passages", "tokens", "cost", "latency_ms"),
}


def test_an_outcome_has_the_fields_that_clients_rely_on(gateway: Gateway):
    answer = gateway.ask("echo", "mail ann.keller@example.com")
    intent, outcome = sorted(gateway.events(answer.headers["x-request-id"]), key=lambda event: event["action"])
    assert set(outcome) >= FIELDS
    assert set(intent) >= FIELDS
    assert outcome["actor"]["id"] == str(gateway.acme.key_ids[gateway.key])
    assert (outcome["decision"], outcome["entities"], outcome["model"]) == (
        "allow",
        {"EMAIL_ADDRESS": 1},
        gateway["echo"],
    )
    assert Decimal(outcome["cost"]) == Decimal(answer.headers["x-customhouse-cost"])
    assert UUID(outcome["id"]) != UUID(intent["id"])
    assert "ann.keller" not in str([intent, outcome])


def test_usage_is_the_sum_of_what_the_callers_were_told(gateway: Gateway):
    key = gateway.acme.key("developer", "sales")
    costs = [Decimal(gateway.ask("echo", "x", key=key).headers["x-customhouse-cost"]) for _ in range(3)]
    report = gateway.manage("GET", "billing/usage/?group_by=key,department,model")
    [row] = [row for row in report["results"] if row["key_id"] == str(gateway.acme.key_ids[key])]
    assert (row["calls"], row["department"], row["model"]) == (3, "sales", gateway["echo"])
    assert (row["input_tokens"], row["output_tokens"], row["estimated"]) == (300, 30, 0)
    assert Decimal(row["cost"]) == sum(costs)
    assert Decimal(report["total"]["cost"]) == sum(Decimal(row["cost"]) for row in report["results"])


def test_a_member_sees_its_own_calls_and_no_other(gateway: Gateway):
    member = gateway.acme.keys["member"]
    own = gateway.ask("echo", "mine", key=member).headers["x-request-id"]
    other = gateway.ask("echo", "yours").headers["x-request-id"]
    seen = {event["request_id"] for event in gateway.manage("GET", "audit/events?limit=1000", key=member)["results"]}
    assert own in seen
    assert other not in seen
    rows = gateway.manage("GET", "billing/usage?group_by=key", key=member)["results"]
    assert {row["key_id"] for row in rows} == {str(gateway.acme.key_ids[member])}
