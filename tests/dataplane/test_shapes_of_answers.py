"""Tools, JSON and embeddings: what the stock SDK sees, and what the vendor never sees."""

from __future__ import annotations

import json

import httpx
import pytest

from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
MAIL = "ann.keller@example.com"
TEXT = f'Write to "{MAIL}"\\ now'


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_a_streamed_tool_call_has_whole_arguments_with_the_originals(gateway: Gateway, vendor: Vendor):
    events = gateway.sdk().chat.completions.create(model=gateway["tool"], messages=say(TEXT), tools=[TOOL], stream=True)
    calls = [call for e in events for choice in e.choices for call in choice.delta.tool_calls or ()]
    assert calls[0].function.name == "book"
    assert json.loads("".join(call.function.arguments or "" for call in calls)) == {"text": TEXT}
    assert not any(MAIL in body for body in vendor.inbox)


@pytest.mark.parametrize("stream", [False, True])
def test_json_stays_json_when_personal_data_returns(gateway: Gateway, vendor: Vendor, stream: bool):
    answer = gateway.sdk().chat.completions.create(
        model=gateway["json"], messages=say(TEXT), response_format={"type": "json_object"}, stream=stream
    )
    if stream:
        content = "".join(e.choices[0].delta.content or "" for e in answer if e.choices)
    else:
        content = answer.choices[0].message.content
    assert json.loads(content) == {"said": TEXT}
    assert not any(MAIL in body for body in vendor.inbox)


def test_what_is_embedded_is_masked_as_well(gateway: Gateway, vendor: Vendor):
    gateway.sdk().embeddings.create(model=gateway["embed"], input=[TEXT, "plain"], encoding_format="float")
    assert MAIL not in vendor.inbox[-1]
    assert "plain" in vendor.inbox[-1]


def test_every_refusal_carries_a_request_id_and_openais_shape(gateway: Gateway):
    answers = [
        gateway.ask("echo", "x", key="sk-ch-nobody"),
        gateway.ask("nothing", "x"),
        gateway.ask("error-500", "x"),
        httpx.get(gateway.root + "/v1/nothing", headers={"authorization": f"Bearer {gateway.key}"}),
        httpx.get(gateway.root + "/v1/chat/completions", headers={"authorization": f"Bearer {gateway.key}"}),
    ]
    assert [answer.status_code for answer in answers] == [401, 404, 502, 404, 405]
    for answer in answers:
        assert answer.headers["x-request-id"]
        assert set(answer.json()["error"]) == {"message", "type", "param", "code"}


def test_globex_cannot_read_acmes_collection_through_a_model_or_a_search(gateway: Gateway):
    from retrieval.services import Upload, create_collection, ingest_now
    from tenants.isolation import scope

    with scope(gateway.acme.id):
        made = create_collection("secrets")
        ingest_now(Upload(collection=made.pk, text="The vault of Acme opens with seventeen turns.", title="Vault"))
    charlie = house("globex", ("research",)).keys["developer"]
    question = "How does the vault of Acme open?"

    def search(key: str, collections: list[str]) -> httpx.Response:
        body = {"query": question, "collections": collections} if collections else {"query": question}
        headers = {"authorization": f"Bearer {key}"}
        return httpx.post(gateway.root + "/v1/retrieval/search", json=body, headers=headers, timeout=30)

    assert "seventeen" in search(gateway.key, ["secrets"]).text
    for collections in (["secrets"], [str(made.pk)], []):
        assert "seventeen" not in search(charlie, collections).text
    body = {"model": "local-extractive", "messages": say(question), "retrieval": {"collections": ["secrets"]}}
    headers = {"authorization": f"Bearer {charlie}"}
    assert "seventeen" not in httpx.post(gateway.root + "/v1/chat/completions", json=body, headers=headers).text
