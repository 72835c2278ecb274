"""Completions, rankings, the list of models, and all that a chat call may ask for."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import httpx
import pytest

from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

MAIL = "ann.keller@example.com"
QUERY = "What is the rent of the warehouse?"
DOCUMENTS = [
    "The canteen serves soup on Mondays.",
    "The monthly rent of the Hamburg warehouse is 12,400 euros.",
    "Bicycles are to be left in the yard.",
]


def rerank(gateway: Gateway, key: str | None = None, **body: Any) -> httpx.Response:
    headers = {"authorization": f"Bearer {key or gateway.key}"}
    asked = {"model": "local-rerank", "query": QUERY, "documents": DOCUMENTS, **body}
    return httpx.post(gateway.root + "/v1/rerank", json=asked, headers=headers, timeout=30)


def test_the_built_in_model_ranks_offline(gateway: Gateway):
    answer = rerank(gateway, top_n=2)
    assert answer.status_code == 200, answer.text
    results = answer.json()["results"]
    assert [results[0]["index"], len(results)] == [1, 2]
    assert 1 >= results[0]["relevance_score"] > results[1]["relevance_score"] >= 0
    assert answer.headers["x-customhouse-model"] == "local/local-rerank"
    assert [event["action"] for event in gateway.events(answer.headers["x-request-id"])][::-1] == [
        *("call.intent", "call.outcome"),
    ]


def test_what_is_ranked_elsewhere_is_masked_and_charged(gateway: Gateway, vendor: Vendor):
    answer = rerank(gateway, model=gateway["rerank"], documents=[f"write to {MAIL}", "a"], return_documents=True)
    assert answer.status_code == 200, answer.text
    assert [row["document"]["text"] for row in answer.json()["results"]] == ["a", f"write to {MAIL}"]
    assert MAIL not in vendor.inbox[-1]
    assert Decimal(answer.headers["x-customhouse-cost"]) > 0


def test_a_model_that_cannot_rank_is_refused(gateway: Gateway):
    assert rerank(gateway, model=gateway["echo"]).status_code == 400
    assert rerank(gateway, key=gateway.acme.keys["auditor"]).status_code == 403


@pytest.mark.parametrize("stream", [False, True])
def test_an_older_completion(gateway: Gateway, vendor: Vendor, stream: bool):
    text = f"Write to {MAIL} now"
    answer = gateway.sdk().completions.create(model=gateway["echo"], prompt=text, stream=stream, max_tokens=50)
    said = "".join(event.choices[0].text for event in answer) if stream else answer.choices[0].text
    assert said == text
    assert MAIL not in vendor.inbox[-1]


def test_models_are_listed_for_both_sdks(gateway: Gateway):
    name = gateway["echo"]
    assert gateway.sdk().models.retrieve(name).id == name
    found = {model.id: model for model in gateway.anthropic().models.list()}
    assert found[name].display_name == name
    assert gateway.anthropic().models.retrieve(name).created_at
    charlie = house("globex", ("research",)).keys["developer"]
    assert name not in {model.id for model in gateway.sdk(charlie).models.list()}


def test_a_chat_call_may_ask_for_all_that_there_is(gateway: Gateway):
    asked: Any = {
        "reasoning_effort": "low",
        "logprobs": True,
        "top_logprobs": 3,
        "service_tier": "flex",
        "seed": 7,
        "parallel_tool_calls": False,
        "tools": [{"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}],
        "tool_choice": "none",
        "response_format": {"type": "json_schema", "json_schema": {"name": "a", "schema": {"type": "object"}}},
        "max_completion_tokens": 50,
        "prediction": {"type": "content", "content": "x"},
    }
    answer = gateway.sdk().chat.completions.create(
        model=gateway["fields"], messages=[{"role": "user", "content": "x"}], **asked
    )
    assert json.loads(answer.choices[0].message.content) == asked
    assert answer.choices[0].logprobs.content[0].token == "a"
    assert answer.service_tier == "default"
