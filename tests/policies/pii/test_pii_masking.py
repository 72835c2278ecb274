"""Masking of whole requests: nothing found stays in, nothing else changes, and the echo comes back as it was."""

from __future__ import annotations

import base64
import copy
import json

import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from samples import make, noise, sentence, values

from policies.pii.cache import Findings
from policies.pii.data import PiiRules, Source
from policies.pii.engine import Engine
from policies.pii.errors import Blocked, DetectorFailed, MediaRefused, TextTooLarge, TooDeep
from policies.pii.restore import restore_value
from policies.pii.vault import Vault
from policies.pii.walk import mask_request, mask_value

ENGINE = Engine()
CACHE = Findings()
ALL = PiiRules()
EMAIL = "alice.roe@acme.example"


def examples(count: int) -> settings:
    return settings(max_examples=count, deadline=None, suppress_health_check=list(HealthCheck), database=None)


def mask(body, rules=ALL, engine=ENGINE, **more):
    return mask_request(body, rules, engine, Vault(), CACHE if engine is ENGINE else Findings(), **more)


def user(content) -> dict:
    return {"messages": [{"role": "user", "content": content}]}


def content(masked) -> str:
    return masked.body["messages"][0]["content"]


TOOL = {
    "type": "function",
    "function": {"name": "note", "description": "Takes a note", "parameters": {"type": "object", "properties": {}}},
}
CALL = {
    "role": "assistant",
    "content": None,
    "tool_calls": [{"id": "call_9", "type": "function", "function": {"name": "note", "arguments": "{}"}}],
}
GO_ON = {"role": "user", "content": "Please go on."}


def places(text: str) -> dict[str, dict]:
    """A request for every place that can hold a text."""
    tool, called = copy.deepcopy(TOOL), copy.deepcopy(CALL)
    called["tool_calls"][0]["function"]["arguments"] = json.dumps({"text": text, "deep": [{"a": text}]})
    described, typed = copy.deepcopy(tool), copy.deepcopy(tool)
    described["function"]["description"] = text
    typed["function"]["parameters"]["properties"]["text"] = {
        "type": "string",
        "description": text,
        "default": text,
        "enum": [text],
        "examples": [text],
    }
    result = {"role": "tool", "tool_call_id": "call_9"}
    schema = {"type": "json_schema", "json_schema": {"name": "x", "schema": {"type": "object", "description": text}}}
    return {
        "system": {"messages": [{"role": "system", "content": text}, GO_ON]},
        "developer": {"messages": [{"role": "developer", "content": text}, GO_ON]},
        "user": user(text),
        "content parts": user([{"type": "text", "text": text}, {"type": "text", "text": "go on"}]),
        "assistant": {"messages": [GO_ON, {"role": "assistant", "content": text}, GO_ON]},
        "tool arguments": {"messages": [GO_ON, called, {**result, "content": "done"}, GO_ON], "tools": [tool]},
        "tool result": {"messages": [GO_ON, CALL, {**result, "content": text}, GO_ON], "tools": [tool]},
        "tool result as JSON": {"messages": [GO_ON, CALL, {**result, "content": json.dumps({"rows": [{"v": text}]})}]},
        "tool description": {"messages": [GO_ON], "tools": [described]},
        "tool schema": {"messages": [GO_ON], "tools": [typed]},
        "response schema": {"messages": [GO_ON], "response_format": schema},
        "metadata": {"messages": [GO_ON], "metadata": {"note": text}},
        "metadata key": {"messages": [GO_ON], "metadata": {text: "x"}},
        "user field": {"messages": [GO_ON], "user": text},
        "message name": {"messages": [{**GO_ON, "name": text}]},
        "stop": {"messages": [GO_ON], "stop": [text]},
        "prediction": {"messages": [GO_ON], "prediction": {"type": "content", "content": text}},
        "unknown field": {"messages": [GO_ON], "x_unknown": {"deep": [text]}},
        "unknown field in a message": {"messages": [{**GO_ON, "x_note": text}]},
        "unknown part": user([{"type": "x_part", "x": text}]),
        "logit_bias": {"messages": [GO_ON], "logit_bias": {text: 1}},
        "unknown top key": {"messages": [GO_ON], text: 1},
        "input": {"input": text},
        "input list": {"input": [text, "go on"]},
        "instructions": {"instructions": text, "input": "go on"},
        "tool result parts": user([{"type": "tool_result", "content": [{"type": "text", "text": text}]}]),
        "JSON in JSON in JSON": user(json.dumps({"a": json.dumps({"b": json.dumps([text])})})),
    }  # fmt: skip


def all_text(value) -> str:
    """Everything a value says, JSON in strings undone."""
    if isinstance(value, dict):
        return "\n".join(all_text(item) for pair in value.items() for item in pair)
    if isinstance(value, list):
        return "\n".join(map(all_text, value))
    if isinstance(value, str) and value[:1] in ("{", "["):
        try:
            return value + "\n" + all_text(json.loads(value))
        except ValueError:
            return value
    return str(value)


def core(text: str) -> str:
    return "".join(filter(str.isalnum, text)).lower()


@pytest.mark.parametrize("place", places(""))
@pytest.mark.parametrize("seed", range(4))
def test_no_sample_is_left_at_any_place_and_the_echo_is_whole(place, seed):
    made = make(hash((place, seed)) & 0xFFFF)
    body = places(sentence(made) + ' "quoted" \\ back\nnew line 😀')[place]
    before = copy.deepcopy(body)
    masked = mask(body)
    left = core(all_text(masked.body))
    assert [kind for kind, value in made.items() if core(value) in left] == []
    assert masked.counts == dict.fromkeys(sorted(made), 1)
    assert body == before
    assert restore_value(masked.body, masked.vault) == before


json_values = st.recursive(
    st.one_of(st.none(), st.booleans(), st.integers(-1000, 1000), noise, values.map(sentence), st.just(EMAIL)),
    lambda inner: st.one_of(
        st.lists(inner, max_size=3),
        st.dictionaries(
            st.one_of(noise, st.just(EMAIL), st.sampled_from(["role", "content", "note"])), inner, max_size=3
        ),
        inner.map(json.dumps),
        inner.map(lambda value: json.dumps(value, ensure_ascii=False, indent=1)),
    ),
    max_leaves=12,
)


def as_read(value):
    """A value with the JSON in its strings read: escapes may be written in more than one way."""
    if isinstance(value, dict):
        return {name: as_read(item) for name, item in value.items()}
    if isinstance(value, list):
        return [as_read(item) for item in value]
    if isinstance(value, str) and value.lstrip()[:1] in ("{", "["):
        try:
            return as_read(json.loads(value))
        except ValueError:
            return value
    return value


@examples(250)
@given(json_values)
def test_an_echo_of_any_value_is_restored(value):
    vault = Vault()
    masked, _ = mask_value(value, ALL, ENGINE, vault, CACHE)
    assert EMAIL not in all_text(masked)
    assert as_read(restore_value(masked, vault)) == as_read(value)


@examples(150)
@given(st.lists(st.one_of(noise, values.map(sentence)), max_size=4).map("".join))
def test_an_echo_of_any_text_is_restored_exactly(text):
    masked = mask(user(text))
    assert restore_value(content(masked), masked.vault) == text


def test_a_placeholder_that_the_user_wrote_comes_back_as_it_was():
    vault = Vault(b"1" * 32)
    theirs = Vault(b"1" * 32).placeholder("EMAIL_ADDRESS", EMAIL)
    text = f"{theirs} and {theirs.lower()} are not {EMAIL}"
    masked = mask_request(user(text), ALL, ENGINE, vault, CACHE)
    assert EMAIL not in content(masked)
    assert restore_value(content(masked), vault) == text


def test_what_holds_nothing_is_passed_as_the_very_same_object():
    body = {"model": "echo", "messages": [GO_ON, CALL], "tools": [TOOL], "metadata": {"a": [1, 2.5, None, True]}}
    assert mask(body).body is body


def test_the_protocols_own_words_stay():
    body = places(f"Mail {EMAIL}.")["tool arguments"] | {
        "model": "gpt-4-0125-preview",
        "tool_choice": "auto",
        "seed": 4111111111111111,
    }
    masked = mask(body).body
    assert masked["model"] == body["model"]
    assert masked["seed"] == body["seed"]
    assert [message["role"] for message in masked["messages"]] == [message["role"] for message in body["messages"]]
    assert masked["messages"][2]["tool_call_id"] == masked["messages"][1]["tool_calls"][0]["id"] == "call_9"


def test_a_value_counts_once_however_often_it_stands_there():
    assert mask(user(f"{EMAIL} {EMAIL} bob@acme.example")).counts == {"EMAIL_ADDRESS": 2}


def test_the_same_value_gets_the_same_placeholder_everywhere():
    masked = mask({**user(f"I am {EMAIL}"), "user": EMAIL}).body
    assert masked["messages"][0]["content"] == f"I am {masked['user']}"


@pytest.mark.parametrize("number", [4111111111111111, -4111111111111111, 4111111111111111.0])
def test_a_number_that_is_a_card_becomes_a_placeholder(number):
    masked = mask({**GO_ON_BODY, "metadata": {"card": number}})
    assert masked.body["metadata"]["card"].startswith("[CREDIT_CARD_")
    text = mask(user(json.dumps({"card": number, "n": 7})))
    assert json.loads(content(text))["card"].startswith("[CREDIT_CARD_")
    assert json.loads(content(text))["n"] == 7


GO_ON_BODY = {"messages": [GO_ON]}


def test_an_ordinary_long_number_stays_a_number():
    body = {**GO_ON_BODY, "metadata": {"created": 1700000000, "id": 12345678901234, "ratio": 0.30000000000000004}}
    assert mask(body).body is body


def test_the_name_of_a_field_tells_what_its_number_is():
    masked = mask({**GO_ON_BODY, "metadata": {"ssn": 536904399, "count": 536904399}}).body["metadata"]
    assert masked["ssn"].startswith("[US_SSN_")
    assert masked["count"] == 536904399


def test_the_name_of_a_field_is_context_inside_of_json_text_too():
    masked = json.loads(
        content(mask(user(json.dumps({"rows": [{"customer_ssn": "536904399", "count": "536904399"}]}))))
    )
    assert masked["rows"][0]["customer_ssn"].startswith("[US_SSN_")


def test_json_text_keeps_every_byte_around_what_is_replaced():
    text = '{ "b" : 1.50e+3,\n\t"a":"' + EMAIL + '", "b": "\\u00e9\\/ \\"x\\"" }'
    masked = mask(user(text))
    assert content(masked) == text.replace(EMAIL, masked.vault.placeholder("EMAIL_ADDRESS", EMAIL))


def test_json_text_without_personal_data_stays_byte_for_byte():
    text = '{"z":1.0,"a" : "\\u0041 \\/", "big": 12345678901234567890123}'
    body = user(text)
    assert mask(body).body is body


def test_a_value_that_json_escapes_hide_is_found():
    text = '{"to": "alice\\u002eroe\\u0040acme.example"}'
    masked = mask(user(text))
    assert masked.counts == {"EMAIL_ADDRESS": 1}
    assert json.loads(content(masked))["to"].startswith("[EMAIL_ADDRESS_")


def test_escapes_are_undone_in_text_that_is_no_json_as_well():
    masked = mask(user('broken {"to": "alice\\u0040acme.example"'))
    assert masked.counts == {"EMAIL_ADDRESS": 1}
    assert restore_value(content(masked), masked.vault) == 'broken {"to": "alice\\u0040acme.example"'


def test_a_mask_keeps_the_shape_only_and_cannot_be_undone():
    masked = mask(user("card 4111 1111 1111 1111."), PiiRules.parse({"CREDIT_CARD": "mask"}))
    assert content(masked) == "card **** **** **** ****."
    assert masked.counts == {"CREDIT_CARD": 1}
    assert not masked.vault


def test_keys_whose_masks_are_alike_stay_apart():
    body = {**GO_ON_BODY, "metadata": {"536-90-4399": "a", "536-90-4398": "b"}}
    assert sorted(mask(body, PiiRules.parse({"US_SSN": "mask"})).body["metadata"].values()) == ["a", "b"]


def test_a_hash_stands_for_the_value():
    masked = mask(user(f"I am {EMAIL}"), PiiRules.parse({"EMAIL_ADDRESS": "hash"}))
    assert content(masked).startswith("I am EMAIL_ADDRESS#")
    assert not masked.vault


def test_what_is_allowed_passes():
    assert content(mask(user(f"I am {EMAIL}"), PiiRules.parse({"EMAIL_ADDRESS": "allow"}))) == f"I am {EMAIL}"


def test_what_is_blocked_refuses_the_request_and_names_all_types():
    rules = PiiRules.parse({"EMAIL_ADDRESS": "block", "US_SSN": "block", "CREDIT_CARD": "mask"})
    with pytest.raises(Blocked) as refused:
        mask({**user(f"I am {EMAIL}"), "user": "536-90-4399"}, rules)
    assert refused.value.types == ("EMAIL_ADDRESS", "US_SSN")
    assert EMAIL not in str(refused.value)


def test_the_source_of_a_text_is_the_role_of_its_message():
    rules = PiiRules.parse({"EMAIL_ADDRESS": {"sources": ["tool"]}})
    for place, body in places(f"Mail {EMAIL}.").items():
        expected = {"EMAIL_ADDRESS": 1} if place in ("tool result", "tool result as JSON", "tool result parts") else {}
        assert mask(body, rules).counts == expected, place


@pytest.mark.parametrize(
    ("source", "expected"),
    [
        ("system", {"system", "developer", "tool description", "tool schema", "response schema", "instructions"}),
        ("assistant", {"assistant", "tool arguments"}),
        (
            "user",
            {"user", "content parts", "message name", "unknown field in a message", "unknown part"}
            | {"input", "input list", "JSON in JSON in JSON"},
        ),
        (
            "other",
            {"metadata", "metadata key", "user field", "stop", "prediction"}
            | {"unknown field", "logit_bias", "unknown top key"},
        ),
    ],
)  # fmt: skip
def test_each_place_has_its_source(source, expected):
    rules = PiiRules.parse({"EMAIL_ADDRESS": {"sources": [source]}})
    assert {place for place, body in places(f"Mail {EMAIL}.").items() if mask(body, rules).counts} == expected


def test_whoever_builds_the_request_may_say_that_a_message_holds_documents():
    rules = PiiRules.parse({"EMAIL_ADDRESS": {"sources": ["document"]}})
    assert mask(user(EMAIL), rules).counts == {}
    assert mask(user(EMAIL), rules, sources={0: Source.DOCUMENT}).counts == {"EMAIL_ADDRESS": 1}


def test_a_deny_listed_word_is_masked_also_where_json_escapes_hide_it():
    rules = PiiRules.parse({"deny_list": ["Falcon"]})
    assert mask(user("the falcon flies"), rules).counts == {"DENY_LIST": 1}
    masked = mask(user('{"a": "the \\u0046alcon"}'), rules)
    assert masked.counts == {"DENY_LIST": 1}
    assert json.loads(restore_value(content(masked), masked.vault)) == {"a": "the Falcon"}


PICTURE = "data:image/png;base64," + base64.b64encode(bytes(range(256))).decode()


@pytest.mark.parametrize(
    "part",
    [
        {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}},
        {"type": "input_audio", "input_audio": {"data": "aaaa", "format": "wav"}},
        {"type": "file", "file": {"file_data": "aaaa", "filename": "a.pdf"}},
        {"type": "document", "source": {"type": "base64", "data": "aaaa"}},
        {"type": "x_unknown", "x": PICTURE},
        {"type": "text", "text": f"see ![]({PICTURE})"},
    ],
)
def test_media_are_refused_unless_the_rules_allow_them(part):
    with pytest.raises(MediaRefused):
        mask(user([part]))


def test_an_allowed_picture_passes_and_what_is_written_beside_it_is_masked():
    picture = {"type": "image_url", "image_url": {"url": PICTURE, "x_note": EMAIL}}
    masked = mask(user([picture, {"type": "text", "text": EMAIL}]), PiiRules.parse({"media": ["image"]}))
    parts = content(masked)
    assert parts[0]["image_url"]["url"] == PICTURE
    assert parts[0]["image_url"]["x_note"] == parts[1]["text"] == masked.vault.placeholder("EMAIL_ADDRESS", EMAIL)


def test_an_allowed_part_is_no_way_around_the_mask():
    rules = PiiRules.parse({"media": ["image", "audio"]})
    for part in (
        {"type": "image_url", "image_url": {"url": f"data:text/plain,{EMAIL}"}},
        {"type": "image_url", "image_url": {"url": f"{PICTURE}{EMAIL}"}},
        {"type": "image_url", "image_url": {EMAIL: 1}},
        {"type": "input_audio", "input_audio": {"data": EMAIL}},
    ):
        assert EMAIL not in json.dumps(mask(user([part]), rules).body)


def test_a_link_to_an_allowed_picture_passes_unless_somebody_stands_in_it():
    rules = PiiRules.parse({"media": ["image"]})
    link = {"type": "image_url", "image_url": {"url": "https://x.example/a.png"}}
    assert content(mask(user([link]), rules)) == [link]
    told = {"type": "image_url", "image_url": {"url": f"https://x.example/a.png?for={EMAIL}"}}
    assert EMAIL not in str(content(mask(user([told]), rules)))


def test_a_document_of_text_is_read_like_text():
    part = {"type": "document", "source": {"type": "text", "data": f"Mail {EMAIL}."}}
    assert mask(user([part])).counts == {"EMAIL_ADDRESS": 1}


def test_a_request_nested_too_deep_is_refused():
    value: object = EMAIL
    for _ in range(100):
        value = [value]
    with pytest.raises(TooDeep):
        mask({**GO_ON_BODY, "x": value})
    with pytest.raises(TooDeep):
        mask(user(f"{'[' * 100_000}{EMAIL}"))
    part: dict = {"type": "text", "text": EMAIL}
    for _ in range(100):
        part = {"type": "tool_result", "content": [part]}
    with pytest.raises(TooDeep):
        mask(user([part]))
    text = EMAIL
    for _ in range(6):
        text = json.dumps([[[[[[[[[[[[text]]]]]]]]]]]])
    masked = mask(user(text))
    assert masked.counts == {"EMAIL_ADDRESS": 1}


def test_too_long_a_text_is_refused():
    with pytest.raises(TextTooLarge):
        mask(user("x" * 1001), engine=Engine(max_characters=1000))


class Broken:
    version = "broken"

    def detect(self, text):
        raise OSError("out of memory")


def test_nothing_passes_when_a_detector_fails():
    with pytest.raises(DetectorFailed):
        mask(user("Hello there"), engine=Engine([Broken()]))


def test_a_request_that_takes_too_long_fails():
    with pytest.raises(DetectorFailed, match="too long"):
        mask(user("Hello there"), engine=Engine(time_limit=-1.0))


def test_half_a_surrogate_pair_passes_through():
    text = "\ud83d and alice@acme.example"
    masked = mask(user(text))
    assert restore_value(content(masked), masked.vault) == text
