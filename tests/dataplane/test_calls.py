"""An application's own use of the gateway, through the stock SDK."""

from __future__ import annotations

import json
from decimal import Decimal

import httpx
import openai
import pytest

from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

TOOL = {"type": "function", "function": {"name": "book", "parameters": {"type": "object"}}}
CARD, MAIL = "4111 1111 1111 1111", "ann.keller@example.com"


def say(text: str) -> list[dict[str, str]]:
    return [{"role": "user", "content": text}]


def test_it_answers_with_the_name_that_was_asked(gateway: Gateway):
    raw = gateway.sdk().chat.completions.with_raw_response.create(model=gateway["echo"], messages=say("good morning"))
    answer = raw.parse()
    assert (answer.choices[0].message.content, answer.model) == ("good morning", gateway["echo"])
    assert raw.headers["x-customhouse-model"] == f"{gateway.run}/echo"
    assert Decimal(raw.headers["x-customhouse-cost"]) == Decimal("0.00045")  # 100 x $3 and 10 x $15 a million
    assert raw.headers["x-customhouse-policy"].endswith("@1")


def test_a_stream_is_whole_and_tells_usage_only_when_asked(gateway: Gateway):
    create = gateway.sdk().chat.completions.create
    asked = list(
        create(
            model=gateway["echo"], messages=say("one two three"), stream=True, stream_options={"include_usage": True}
        )
    )
    bare = list(create(model=gateway["echo"], messages=say("one two three"), stream=True))
    assert "".join(c.choices[0].delta.content or "" for c in asked if c.choices) == "one two three"
    assert asked[-1].usage is not None
    assert asked[-1].usage.completion_tokens == 10
    assert all(c.choices and c.usage is None for c in bare)


def test_personal_data_stays_in_the_house_and_comes_back(gateway: Gateway, vendor: Vendor):
    text = f'Write to {MAIL} about "card" {CARD}\\ now\n😀'
    plain = gateway.ask("echo", text)
    streamed = gateway.sdk().chat.completions.create(model=gateway["echo"], messages=say(text), stream=True)
    called = gateway.ask("tool", text, tools=[TOOL]).json()["choices"][0]["message"]["tool_calls"][0]["function"]
    assert plain.json()["choices"][0]["message"]["content"] == text
    assert plain.headers["x-customhouse-pii"] == "CREDIT_CARD=1,EMAIL_ADDRESS=1"
    assert "".join(c.choices[0].delta.content or "" for c in streamed) == text
    assert json.loads(called["arguments"]) == {"text": text}
    assert not any(MAIL in body or CARD in body for body in vendor.inbox)


def test_n_and_embeddings_and_models(gateway: Gateway):
    sdk = gateway.sdk()
    assert len(sdk.chat.completions.create(model=gateway["fixed"], messages=say("x"), n=2).choices) == 2
    assert len(sdk.embeddings.create(model=gateway["embed"], input=["a", "b"], encoding_format="float").data) == 2
    assert gateway["echo"] in {model.id for model in sdk.models.list()}
    assert sdk.models.retrieve(gateway["echo"]).id == gateway["echo"]


def test_images_are_refused_unless_the_policy_allows_them(gateway: Gateway):
    part = {"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}
    with pytest.raises(openai.PermissionDeniedError) as refused:
        gateway.sdk().chat.completions.create(model=gateway["echo"], messages=[{"role": "user", "content": [part]}])
    assert refused.value.code == "policy_violation"


def test_requests_a_minute_are_limited(gateway: Gateway):
    slow = gateway.acme.key("developer", "legal", rpm=2)
    answers = [gateway.ask("echo", "x", key=slow) for _ in range(4)]
    assert [answer.status_code for answer in answers] == [200, 200, 429, 429]
    assert float(answers[-1].headers["retry-after"]) > 0
    assert answers[0].headers["x-ratelimit-limit-requests"] == "2"


def test_an_offline_answer_quotes_the_documents(gateway: Gateway):
    from retrieval.services import Upload, create_collection, ingest_now
    from tenants.isolation import scope

    with scope(gateway.acme.id):
        made = create_collection("leases")
        ingest_now(
            Upload(collection=made.pk, text="The monthly rent of the Hamburg warehouse is 12,400 euros.", title="Lease")
        )
    body = {
        "model": "local-extractive",
        "messages": say("What is the monthly rent of the Hamburg warehouse?"),
        "retrieval": {"collections": ["leases"]},
    }
    answer = httpx.post(
        gateway.root + "/v1/chat/completions", json=body, headers={"authorization": f"Bearer {gateway.key}"}, timeout=30
    )
    assert answer.status_code == 200, answer.text
    assert "12,400 euros" in answer.json()["choices"][0]["message"]["content"]
    assert answer.json()["citations"][0]["document"]["title"] == "Lease"
