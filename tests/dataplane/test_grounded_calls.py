"""Calls that ask the documents: follow-ups, what is not in them, and marks that point at nothing."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from retrieval.services import Upload, create_collection, ingest_now
from tenants.isolation import scope
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

WAREHOUSE = "The monthly rent of the Hamburg warehouse is 12,400 euros, due on the third working day."
OFFICE = "The monthly rent of the Berlin office is 8,150 euros, due on the first day of the month."
FOREIGN = "How do migrating swallows find their way across the Sahara?"


@pytest.fixture(scope="module")
def leases(gateway: Gateway) -> str:
    """A collection of two leases."""
    with scope(gateway.acme.id):
        create_collection("leases")
        for title, text in (("Warehouse lease", WAREHOUSE), ("Office lease", OFFICE)):
            ingest_now(Upload(collection="leases", title=title, external_id=title, text=text))
    return "leases"


def ask(gateway: Gateway, mode: str, *turns: str, **retrieval: Any) -> httpx.Response:
    """A conversation, user and assistant in turn, that asks the leases."""
    messages = [{"role": ("user", "assistant")[place % 2], "content": turn} for place, turn in enumerate(turns)]
    body = {"model": gateway[mode], "messages": messages, "retrieval": {"collections": ["leases"], **retrieval}}
    headers = {"authorization": f"Bearer {gateway.key}"}
    return httpx.post(gateway.root + "/v1/chat/completions", json=body, headers=headers, timeout=30)


def said(answer: httpx.Response) -> str:
    assert answer.status_code == 200, answer.text
    return str(answer.json()["choices"][0]["message"]["content"])


def outcome(gateway: Gateway, answer: httpx.Response) -> dict[str, Any]:
    events = gateway.events(answer.headers["x-request-id"])
    return next(event for event in events if event["action"] == "call.outcome")


def test_what_the_documents_do_not_answer_no_vendor_is_asked(gateway: Gateway, vendor: Vendor, leases: str):
    before = len(vendor.inbox)
    answer = ask(gateway, "fixed", FOREIGN)
    assert "no answer in the documents" in said(answer)
    assert len(vendor.inbox) == before
    assert answer.json()["citations"] == []
    assert Decimal(answer.headers["x-customhouse-cost"]) == 0
    assert answer.headers["x-customhouse-model"] == "customhouse/no-answer"
    record = outcome(gateway, answer)
    assert (record["reason"], record["deployment"]) == ("no_answer", "customhouse/no-answer")
    assert Decimal(record["cost"]) == 0


def test_a_stream_says_so_as_well(gateway: Gateway, vendor: Vendor, leases: str):
    before = len(vendor.inbox)
    stream = gateway.sdk().chat.completions.create(
        model=gateway["fixed"],
        messages=[{"role": "user", "content": FOREIGN}],
        stream=True,
        extra_body={"retrieval": {"collections": ["leases"]}},
    )
    text = "".join(chunk.choices[0].delta.content or "" for chunk in stream if chunk.choices)
    assert "no answer in the documents" in text
    assert len(vendor.inbox) == before


def test_a_caller_may_want_the_model_all_the_same(gateway: Gateway, vendor: Vendor, leases: str):
    before = len(vendor.inbox)
    assert "no answer in the documents" not in said(ask(gateway, "fixed", FOREIGN, when_empty="ask"))
    assert len(vendor.inbox) == before + 1


def test_a_follow_up_finds_what_it_leans_on(gateway: Gateway, leases: str):
    answer = ask(
        gateway, "fixed", "What is the monthly rent of the Hamburg warehouse?", "12,400 euros [1].", "Due when?"
    )
    assert "Warehouse lease" in {citation["document"]["title"] for citation in answer.json()["citations"]}


def test_the_callers_own_questions_are_searched_for_instead(gateway: Gateway, vendor: Vendor, leases: str):
    answer = ask(gateway, "fixed", FOREIGN, query=["rent of the Berlin office", "rent of the Hamburg warehouse"])
    titles = {citation["document"]["title"] for citation in answer.json()["citations"]}
    assert titles == {"Office lease", "Warehouse lease"}


def test_sources_stay_within_the_callers_budget(gateway: Gateway, leases: str):
    few = ask(gateway, "fixed", "monthly rent of warehouse and office", max_tokens=100)
    assert len(few.json()["citations"]) >= 1
    refused = ask(gateway, "fixed", "monthly rent", max_tokens=1)
    assert refused.status_code == 400
    assert refused.json()["error"]["param"] == "retrieval.max_tokens"


@pytest.mark.parametrize(
    ("text", "expected"),
    [("It is 12,400 euros [1].", None), ("It is 12,400 euros [9].", [9]), ("It is 12,400 euros.", [])],
)
def test_marks_without_a_source_are_recorded(gateway: Gateway, leases: str, text: str, expected: list[int] | None):
    # the vendor repeats the last message, so the caller decides what the answer says
    question = f"What is the monthly rent of the Hamburg warehouse? {text}"
    record = outcome(gateway, ask(gateway, "echo", question))
    found = record["detail"].get("citations")
    assert found == (None if expected is None else {"marked": False, "unknown": expected})


def test_several_questions_in_one_search(gateway: Gateway, leases: str):
    body = {"query": ["rent of the Berlin office", "rent of the Hamburg warehouse"], "collections": ["leases"]}
    headers = {"authorization": f"Bearer {gateway.key}"}
    answer = httpx.post(gateway.root + "/v1/retrieval/search", json=body, headers=headers, timeout=30)
    assert {row["document"]["title"] for row in answer.json()["data"]} == {"Office lease", "Warehouse lease"}


@pytest.mark.parametrize("query", [None, "", "  ", [], [""], [1], 5, ["x"] * 9])
def test_a_query_that_is_none(gateway: Gateway, query: Any):
    headers = {"authorization": f"Bearer {gateway.key}", "content-type": "application/json"}
    content = json.dumps({"query": query})
    answer = httpx.post(gateway.root + "/v1/retrieval/search", content=content, headers=headers, timeout=30)
    assert (answer.status_code, answer.json()["error"]["param"]) == (400, "query")
