"""An application's own use of /v1/responses, through the stock SDK."""

from __future__ import annotations

import json
from decimal import Decimal
from typing import Any

import openai
import psycopg
import pytest
from django.conf import settings
from pydantic import BaseModel

from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

CARD, MAIL = "4111 1111 1111 1111", "ann.keller@example.com"
TEXT = f'Write to {MAIL} about "card" {CARD}\\ now\n😀'
TOOL: Any = {"type": "function", "name": "book", "parameters": {"type": "object"}, "strict": False}


def test_it_answers_with_the_name_that_was_asked(gateway: Gateway):
    raw = gateway.sdk().responses.with_raw_response.create(model=gateway["echo"], input="good morning")
    answer = raw.parse()
    assert (answer.output_text, answer.model, answer.status) == ("good morning", gateway["echo"], "completed")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 10)
    assert Decimal(raw.headers["x-customhouse-cost"]) == Decimal("0.00045")


async def test_the_async_client_streams(gateway: Gateway):
    sdk = openai.AsyncOpenAI(api_key=gateway.key, base_url=gateway.root + "/v1", max_retries=0)
    async with sdk, sdk.responses.stream(model=gateway["echo"], input=TEXT) as stream:
        said = [event.delta async for event in stream if event.type == "response.output_text.delta"]
        final = await stream.get_final_response()
    assert "".join(said) == final.output_text == TEXT
    assert (final.usage.output_tokens, Decimal(final.usage.cost)) == (10, Decimal("0.00045"))


def test_personal_data_stays_in_the_house_and_comes_back(gateway: Gateway, vendor: Vendor):
    sdk = gateway.sdk()
    raw = sdk.responses.with_raw_response.create(model=gateway["echo"], input=TEXT, instructions=f"Sign as {MAIL}")
    assert raw.parse().output_text == TEXT
    assert raw.headers["x-customhouse-pii"] == "CREDIT_CARD=1,EMAIL_ADDRESS=1"
    with sdk.responses.stream(model=gateway["echo"], input=TEXT) as stream:
        assert stream.get_final_response().output_text == TEXT
    assert not any(MAIL in body or CARD in body for body in vendor.inbox)


@pytest.mark.parametrize("mode", ["tool", "both"])
def test_a_function_call_has_the_originals(gateway: Gateway, mode: str):
    sdk = gateway.sdk()
    asked: Any = {"model": gateway[mode], "tools": [TOOL], "tool_choice": "required", "input": TEXT}
    with sdk.responses.stream(**asked) as stream:
        [done] = [event for event in stream if event.type == "response.function_call_arguments.done"]
        streamed = stream.get_final_response()
    assert json.loads(done.arguments) == {"text": TEXT}
    for found in (sdk.responses.create(**asked), streamed):
        call = found.output[-1]
        assert (call.type, call.name, json.loads(call.arguments)) == ("function_call", "book", {"text": TEXT})
        assert found.output_text == (TEXT if mode == "both" else "")


def test_a_schema_is_parsed(gateway: Gateway, vendor: Vendor):
    class Said(BaseModel):
        said: str

    answer = gateway.sdk().responses.parse(model=gateway["json"], input="hello", text_format=Said)
    assert answer.output_parsed == Said(said="hello")
    assert json.loads(vendor.inbox[-1])["response_format"]["type"] == "json_schema"


def test_a_conversation_goes_on_from_an_answer(gateway: Gateway, vendor: Vendor):
    create = gateway.sdk().responses.create
    first = create(model=gateway["echo"], input=f"my address is {MAIL}", instructions="one")
    second = create(
        model=gateway["tool"], input="book", tools=[TOOL], previous_response_id=first.id, instructions="two"
    )
    result: Any = {"type": "function_call_output", "call_id": second.output[0].call_id, "output": "booked"}
    third = create(model=gateway["echo"], input=[result], previous_response_id=second.id)
    assert third.output_text == "booked"
    sent = json.loads(vendor.inbox[-1])["messages"]
    assert [message["role"] for message in sent] == ["user", "assistant", "user", "assistant", "tool"]
    assert MAIL not in vendor.inbox[-1]
    assert "two" not in vendor.inbox[-1]


def test_a_streamed_answer_is_kept_as_well(gateway: Gateway):
    sdk = gateway.sdk()
    with sdk.responses.stream(model=gateway["echo"], input="remember me") as stream:
        first = stream.get_final_response()
    assert sdk.responses.retrieve(first.id).output_text == "remember me"
    sdk.responses.create(model=gateway["echo"], input="x", previous_response_id=first.id)


def test_a_kept_answer_is_the_callers_alone_until_it_is_removed(gateway: Gateway):
    sdk = gateway.sdk()
    kept = sdk.responses.create(model=gateway["echo"], input="mine")
    bob = gateway.sdk(gateway.acme.key("developer", "sales"))
    charlie = gateway.sdk(house("globex", ("research",)).keys["developer"])
    for other in (bob, charlie):
        with pytest.raises(openai.NotFoundError):
            other.responses.retrieve(kept.id)
        with pytest.raises(openai.NotFoundError):
            other.responses.delete(kept.id)
    with pytest.raises(openai.BadRequestError):
        bob.responses.create(model=gateway["echo"], input="x", previous_response_id=kept.id)
    sdk.responses.delete(kept.id)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(kept.id)
    with pytest.raises(openai.BadRequestError) as refused:
        sdk.responses.create(model=gateway["echo"], input="x", previous_response_id=kept.id)
    assert refused.value.param == "previous_response_id"


def test_reading_and_removing_is_recorded(gateway: Gateway):
    sdk = gateway.sdk()
    kept = sdk.responses.create(model=gateway["echo"], input="mine")
    reading = sdk.responses.with_raw_response.retrieve(kept.id)
    removing = sdk.responses.with_raw_response.delete(kept.id)
    actions = [gateway.events(raw.headers["x-request-id"])[0]["action"] for raw in (reading, removing)]
    assert actions == ["response.read", "response.delete"]


def test_what_is_kept_is_sealed_and_what_is_not_wanted_is_not_kept(gateway: Gateway):
    sdk = gateway.sdk()
    sdk.responses.create(model=gateway["echo"], input="a sentence that nobody else says")
    bare = sdk.responses.create(model=gateway["echo"], input="x", store=False)
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(bare.id)
    with psycopg.connect(settings.DATABASE_URL) as connection:
        connection.execute("select set_config('app.tenant', %s, true)", [str(gateway.acme.id)])
        rows = connection.execute("select sealed from gateway_storedresponse").fetchall()
    assert rows
    assert not any(b"sentence" in bytes(row[0]) for row in rows)


def test_an_expired_answer_is_gone(gateway: Gateway):
    from django.utils import timezone

    from gateway.models import StoredResponse
    from gateway.tasks import forget
    from tenants.isolation import scope

    sdk = gateway.sdk()
    kept = sdk.responses.create(model=gateway["echo"], input="mine")
    with scope(gateway.acme.id):
        row = StoredResponse.objects.get(pk=kept.id.removeprefix("resp_"))
        row.delete()
        StoredResponse.objects.create(pk=row.pk, owner=row.owner, sealed=row.sealed, expires_at=timezone.now())
    with pytest.raises(openai.NotFoundError):
        sdk.responses.retrieve(kept.id)
    forget()
    with scope(gateway.acme.id):
        assert not StoredResponse.objects.filter(pk=row.pk).exists()


def test_a_budget_cuts_a_stream_properly(gateway: Gateway):
    poor = house("poor", ("legal",))
    gateway.manage(
        "PATCH", f"providers/{gateway.provider}", {"tenants": [gateway.acme.slug, poor.slug]}, gateway.platform_key
    )
    mine = Gateway(gateway.root, poor, gateway.platform_key, gateway.run + "r", gateway.provider)
    model = mine["slow"]
    mine.manage("POST", "budgets", {"scope": "tenant", "period": "day", "limit": "0.003"}, expect=201)
    last = list(mine.sdk().responses.create(model=model, input="x", stream=True))[-1]
    assert last.type == "response.incomplete"
    assert last.response.incomplete_details.reason == "max_output_tokens"


def test_a_stream_that_breaks_is_a_failed_response(gateway: Gateway):
    text = "a text that is long enough to break in the middle of it"
    last = list(gateway.sdk().responses.create(model=gateway["breaks"], input=text, stream=True))[-1]
    assert (last.type, last.response.error.code) == ("response.failed", "upstream_error")
    assert text.startswith(last.response.output_text)


def test_refusals_have_the_sdks_class(gateway: Gateway):
    cases: list[tuple[type[openai.APIStatusError], str, str, Any]] = [
        (openai.AuthenticationError, "sk-ch-nobody", "echo", {"input": "x"}),
        (openai.NotFoundError, gateway.key, "nothing", {"input": "x"}),
        (openai.BadRequestError, gateway.key, "echo", {"input": "x", "background": True}),
        (openai.InternalServerError, gateway.key, "error-500", {"input": "x"}),
    ]
    for error, key, mode, body in cases:
        with pytest.raises(error):
            gateway.sdk(key).responses.create(model=gateway[mode], **body)


@pytest.mark.parametrize("stream", [False, True])
def test_an_offline_answer_cites_the_documents(gateway: Gateway, stream: bool):
    from retrieval.services import Upload, create_collection, ingest_now
    from tenants.isolation import scope

    name = f"leases-responses-{stream}"
    with scope(gateway.acme.id):
        made = create_collection(name)
        ingest_now(Upload(collection=made.pk, text="The monthly rent of the Kiel pier is 7,300 euros.", title="Lease"))
    asked: Any = {
        "model": "local-extractive",
        "input": "What is the monthly rent of the Kiel pier?",
        "extra_body": {"retrieval": {"collections": [name]}},
    }
    create = gateway.sdk().responses.create
    answer = list(create(stream=True, **asked))[-1].response if stream else create(**asked)
    assert "7,300 euros" in answer.output_text
    assert answer.citations[0]["document"]["title"] == "Lease"
