"""An application's own use of the gateway, through Anthropic's stock SDK."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

import anthropic
import httpx
import pytest

from tests.conftest import house
from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

CARD, MAIL = "4111 1111 1111 1111", "ann.keller@example.com"
TEXT = f'Write to {MAIL} about "card" {CARD}\\ now\n😀'
TOOL: Any = {"name": "book", "description": "Books.", "input_schema": {"type": "object"}}


def say(text: str) -> Any:
    return {"max_tokens": 500, "messages": [{"role": "user", "content": text}]}


def test_it_answers_with_the_name_that_was_asked(gateway: Gateway):
    raw = gateway.anthropic().messages.with_raw_response.create(model=gateway["echo"], **say("good morning"))
    answer = raw.parse()
    assert (answer.content[0].text, answer.model, answer.stop_reason) == ("good morning", gateway["echo"], "end_turn")
    assert (answer.usage.input_tokens, answer.usage.output_tokens) == (100, 10)
    assert raw.headers["x-customhouse-model"] == f"{gateway.run}/echo"
    assert Decimal(raw.headers["x-customhouse-cost"]) == Decimal("0.00045")
    assert answer._request_id == raw.headers["x-request-id"]


def test_a_bearer_key_opens_it_as_well(gateway: Gateway):
    sdk = anthropic.Anthropic(auth_token=gateway.key, base_url=gateway.root, max_retries=0)
    assert sdk.messages.create(model=gateway["echo"], **say("x")).content[0].text == "x"


async def test_the_async_client_streams(gateway: Gateway):
    async with anthropic.AsyncAnthropic(api_key=gateway.key, base_url=gateway.root, max_retries=0) as sdk:
        plain = await sdk.messages.create(model=gateway["echo"], **say("one two"))
        async with sdk.messages.stream(model=gateway["echo"], **say(TEXT)) as stream:
            said = [text async for text in stream.text_stream]
            final = await stream.get_final_message()
    assert plain.content[0].text == "one two"
    assert "".join(said) == final.content[0].text == TEXT
    assert (final.stop_reason, final.usage.input_tokens, final.usage.output_tokens) == ("end_turn", 100, 10)


def test_personal_data_stays_in_the_house_and_comes_back(gateway: Gateway, vendor: Vendor):
    sdk = gateway.anthropic()
    system = [{"type": "text", "text": f"Sign as {MAIL}"}]
    raw = sdk.messages.with_raw_response.create(model=gateway["echo"], system=system, **say(TEXT))
    assert raw.parse().content[0].text == TEXT
    assert raw.headers["x-customhouse-pii"] == "CREDIT_CARD=1,EMAIL_ADDRESS=1"
    with sdk.messages.stream(model=gateway["echo"], **say(TEXT)) as stream:
        assert "".join(stream.text_stream) == TEXT
    assert not any(MAIL in body or CARD in body for body in vendor.inbox)


def test_every_leaf_of_a_conversation_is_masked(gateway: Gateway, vendor: Vendor):
    secret = [f"leaf{number}.keller@example.com" for number in range(9)]
    source = {"type": "text", "media_type": "text/plain", "data": secret[0]}
    gateway.anthropic().messages.create(
        model=gateway["echo"],
        max_tokens=50,
        system=secret[1],
        metadata={"user_id": secret[2]},
        stop_sequences=[secret[3]],
        tools=[{**TOOL, "description": secret[4]}],
        messages=[
            {"role": "user", "content": [{"type": "document", "title": secret[5], "source": source}]},
            {
                "role": "assistant",
                "content": [
                    {"type": "thinking", "thinking": secret[6], "signature": "c2lnbmVk"},
                    {"type": "tool_use", "id": "t1", "name": "book", "input": {"to": [secret[7]]}},
                ],
            },
            {"role": "user", "content": [{"type": "tool_result", "tool_use_id": "t1", "content": secret[8]}]},
        ],
        extra_body={"x_unknown": {secret[0]: [secret[1]]}},
    )
    assert not any(word in vendor.inbox[-1] for word in secret)


@pytest.mark.parametrize("mode", ["tool", "both"])
def test_a_tool_call_has_the_originals(gateway: Gateway, vendor: Vendor, mode: str):
    sdk = gateway.anthropic()
    asked: Any = {"model": gateway[mode], "tools": [TOOL], "tool_choice": {"type": "any"}, **say(TEXT)}
    answer = sdk.messages.create(**asked)
    with sdk.messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for found in (answer, streamed):
        assert found.stop_reason == "tool_use"
        assert (found.content[-1].name, found.content[-1].input) == ("book", {"text": TEXT})
        assert [block.text for block in found.content[:-1]] == ([TEXT] if mode == "both" else [])
    assert not any(MAIL in body for body in vendor.inbox)


def test_a_tools_answer_goes_on(gateway: Gateway):
    first = gateway.anthropic().messages.create(model=gateway["tool"], tools=[TOOL], **say("room 4"))
    use = first.content[0]
    result = {"type": "tool_result", "tool_use_id": use.id, "content": [{"type": "text", "text": "booked"}]}
    messages: Any = [
        {"role": "user", "content": "room 4"},
        {"role": "assistant", "content": first.content},
        {"role": "user", "content": [result]},
    ]
    answer = gateway.anthropic().messages.create(model=gateway["echo"], max_tokens=50, tools=[TOOL], messages=messages)
    assert answer.content[0].text == "booked"


def test_thinking_is_a_block_of_its_own(gateway: Gateway):
    asked: Any = {"model": gateway["thinks"], "thinking": {"type": "enabled", "budget_tokens": 1024}, **say(TEXT)}
    asked["max_tokens"] = 2000
    with gateway.anthropic().messages.stream(**asked) as stream:
        streamed = stream.get_final_message()
    for found in (gateway.anthropic().messages.create(**asked), streamed):
        assert [block.type for block in found.content] == ["thinking", "text"]
        assert (found.content[0].thinking, found.content[1].text) == (TEXT, TEXT)


def test_a_budget_cuts_a_stream_properly(gateway: Gateway):
    poor = house("poor", ("legal",))
    gateway.manage(
        "PATCH", f"providers/{gateway.provider}", {"tenants": [gateway.acme.slug, poor.slug]}, gateway.platform_key
    )
    mine = Gateway(gateway.root, poor, gateway.platform_key, gateway.run + "m", gateway.provider)
    model = mine["slow"]
    mine.manage("POST", "budgets", {"scope": "tenant", "period": "day", "limit": "0.003"}, expect=201)
    with mine.anthropic().messages.stream(model=model, **say("x")) as stream:
        final = stream.get_final_message()
    assert final.stop_reason == "max_tokens"
    assert 0 < len(final.content[0].text.split()) < 200


def test_the_end_of_a_stream_tells_the_cost(gateway: Gateway):
    with gateway.anthropic().messages.stream(model=gateway["echo"], **say("x")) as stream:
        [delta] = [event for event in stream if event.type == "message_delta"]
    assert Decimal(delta.usage.cost) == Decimal("0.00045")


@pytest.mark.parametrize("stream", [False, True])
def test_an_offline_answer_cites_the_documents(gateway: Gateway, stream: bool):
    from retrieval.services import Upload, create_collection, ingest_now
    from tenants.isolation import scope

    name = f"leases-{stream}"
    with scope(gateway.acme.id):
        made = create_collection(name)
        ingest_now(
            Upload(collection=made.pk, text="The monthly rent of the Lübeck hall is 9,100 euros.", title="Lease")
        )
    asked: Any = {
        "model": "local-extractive",
        **say("What is the monthly rent of the Lübeck hall?"),
        "extra_body": {"retrieval": {"collections": [name]}},
    }
    if stream:
        events = list(gateway.anthropic().messages.create(stream=True, **asked))
        text = "".join(event.delta.text for event in events if event.type == "content_block_delta")
        [citations] = [event.citations for event in events if event.type == "message_delta"]
    else:
        answer = gateway.anthropic().messages.create(**asked)
        text, citations = answer.content[0].text, answer.citations
    assert "9,100 euros" in text
    assert citations[0]["document"]["title"] == "Lease"


def test_tokens_are_counted_without_asking_anybody(gateway: Gateway, vendor: Vendor):
    before = len(vendor.inbox)
    count = gateway.anthropic().messages.count_tokens
    short = count(model=gateway["echo"], messages=[{"role": "user", "content": "one two three"}])
    long = count(model=gateway["echo"], system="four five", tools=[TOOL], messages=[{"role": "user", "content": "one"}])
    assert 3 <= short.input_tokens <= 20
    assert long.input_tokens > short.input_tokens
    assert len(vendor.inbox) == before
    with pytest.raises(anthropic.NotFoundError):
        count(model="nothing", messages=[{"role": "user", "content": "x"}])


@pytest.mark.parametrize("stream", [False, True])
@pytest.mark.parametrize(
    ("mode", "error", "status", "kind"),
    [
        ("error-400", anthropic.BadRequestError, 400, "invalid_request_error"),
        ("error-429", anthropic.RateLimitError, 429, "rate_limit_error"),
        ("error-500", anthropic.InternalServerError, 502, "api_error"),
        ("hang", anthropic.InternalServerError, 504, "timeout_error"),
    ],
)
def test_a_vendor_that_fails_is_told_in_the_sdks_class(
    gateway: Gateway, mode: str, error: type[anthropic.APIStatusError], status: int, kind: str, stream: bool
):
    with pytest.raises(error) as raised:
        gateway.anthropic().messages.create(model=gateway[mode], stream=stream, **say("x"))
    assert (raised.value.status_code, raised.value.type) == (status, kind)
    assert raised.value.request_id == raised.value.response.headers["x-request-id"]


def test_a_stream_that_breaks_raises_in_the_sdk(gateway: Gateway):
    text = "a text that is long enough to break in the middle of it"
    said: list[str] = []
    with (
        pytest.raises(anthropic.APIStatusError) as raised,
        gateway.anthropic().messages.stream(model=gateway["breaks"], **say(text)) as stream,
    ):
        said.extend(stream.text_stream)
    assert raised.value.body["error"]["code"] == "upstream_error"
    assert "".join(said)
    assert text.startswith("".join(said))


def test_refusals_have_anthropics_shape_and_the_sdks_class(gateway: Gateway):
    narrow = gateway.acme.key("developer", "legal", model_names=["other"])
    part: Any = {"type": "image", "source": {"type": "base64", "media_type": "image/png", "data": "AAAA"}}
    cases: list[tuple[type[anthropic.APIStatusError], str, str, Any]] = [
        (anthropic.AuthenticationError, "sk-ch-nobody", "echo", say("x")),
        (anthropic.PermissionDeniedError, narrow, "echo", say("x")),
        (
            anthropic.PermissionDeniedError,
            gateway.key,
            "echo",
            {"max_tokens": 5, "messages": [{"role": "user", "content": [part]}]},
        ),
        (anthropic.NotFoundError, gateway.key, "nothing", say("x")),
        (anthropic.BadRequestError, gateway.key, "echo", {"max_tokens": 0, "messages": []}),
    ]
    for error, key, mode, body in cases:
        with pytest.raises(error) as raised:
            gateway.anthropic(key).messages.create(model=gateway[mode], **body)
        assert raised.value.body["type"] == "error"
        assert raised.value.type
    answer = httpx.get(gateway.root + "/v1/messages", headers={"x-api-key": gateway.key})
    assert (answer.status_code, answer.json()["type"]) == (405, "error")


def test_another_tenants_key_does_not_even_find_the_model(gateway: Gateway, vendor: Vendor):
    before = len(vendor.inbox)
    charlie = house("globex", ("research",)).keys["developer"]
    with pytest.raises(anthropic.NotFoundError):
        gateway.anthropic(charlie).messages.create(model=gateway["echo"], **say("x"))
    with pytest.raises(anthropic.NotFoundError):
        gateway.anthropic(charlie).messages.count_tokens(model=gateway["echo"], messages=say("x")["messages"])
    assert len(vendor.inbox) == before


def test_the_trail_knows_the_dialect(gateway: Gateway):
    raw = gateway.anthropic().messages.with_raw_response.create(model=gateway["echo"], **say("x"))
    events = {event["action"]: event for event in gateway.events(raw.headers["x-request-id"])}
    assert set(events) == {"call.intent", "call.outcome"}
    assert events["call.intent"]["detail"]["dialect"] == "messages"
