"""Calls under a policy that asks for surrogates: the vendor reads a realistic text, the client its own; in one
conversation it reads the same one.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator

import pytest

from tests.dataplane.conftest import Gateway
from tests.vendor import Vendor

TEXT = (
    "Mary Roe <mary.roe@corp.com>, phone +49 30 1234567, paid with 4111 1111 1111 1111 from "
    "DE89 3704 0044 0532 0130 00 in Berlin. Write to Mary Roe of Siemens AG."
)
CANARIES = ("Mary", "Roe", "1234567", "4111 1111", "3704 0044", "Berlin", "Siemens")


@pytest.fixture(scope="module", autouse=True)
def surrogates(gateway: Gateway) -> Iterator[None]:
    def activate(action: str) -> None:
        gateway.put_in_force("stand-ins", {"pii": {"default": {"action": action}, "scope": "conversation"}})

    activate("surrogate")
    yield
    activate("placeholder")


@pytest.fixture
def left(vendor: Vendor) -> Iterator[None]:
    """Of what reached the vendor nothing is the client's, and nothing looks like a placeholder."""
    before = len(vendor.inbox)
    yield
    sent = [json.dumps(json.loads(body)["messages"], ensure_ascii=False) for body in vendor.inbox[before:]]
    assert sent
    for text in sent:
        assert [canary for canary in CANARIES if canary.casefold() in text.casefold()] == []
        assert re.search(r"\[[A-Z_]+_[A-Z0-9]{5}\]", text) is None
        assert re.search(r"\+49 3\d \d{7}", text)


pytestmark = pytest.mark.usefixtures("left")


def test_an_answer_comes_back_whole(gateway: Gateway):
    answer = gateway.ask("echo", TEXT)
    assert answer.json()["choices"][0]["message"]["content"] == TEXT
    assert re.search(r"\bPERSON=\d", answer.headers["x-customhouse-pii"])


def test_a_stream_comes_back_whole(gateway: Gateway):
    chunks = gateway.sdk().chat.completions.create(
        model=gateway["echo"], messages=[{"role": "user", "content": TEXT}], stream=True
    )
    assert "".join(chunk.choices[0].delta.content or "" for chunk in chunks if chunk.choices) == TEXT


@pytest.mark.parametrize("stream", [False, True])
def test_tool_arguments_come_back_whole_and_stay_json(gateway: Gateway, stream: bool):
    text = TEXT + ' "quoted"\nand a second line'
    tool = {"type": "function", "function": {"name": "note", "parameters": {"type": "object"}}}
    asked = {"model": gateway["tool"], "messages": [{"role": "user", "content": text}], "tools": [tool]}
    if stream:
        written = ""
        for chunk in gateway.sdk().chat.completions.create(**asked, stream=True):
            for choice in chunk.choices:
                for call in choice.delta.tool_calls or ():
                    written += call.function.arguments or ""
    else:
        [call] = gateway.sdk().chat.completions.create(**asked).choices[0].message.tool_calls
        written = call.function.arguments
    assert text in json.loads(written).values()


def test_anthropics_dialect_comes_back_whole(gateway: Gateway):
    answer = gateway.anthropic().messages.create(
        model=gateway["echo"], max_tokens=500, messages=[{"role": "user", "content": TEXT}]
    )
    assert answer.content[0].text == TEXT


def test_the_turns_of_a_conversation_look_the_same_to_the_vendor(gateway: Gateway, vendor: Vendor):
    turns = [{"role": "user", "content": TEXT}]
    for _ in range(2):
        answer = gateway.sdk().chat.completions.create(model=gateway["echo"], messages=turns)
        turns += [
            {"role": "assistant", "content": answer.choices[0].message.content},
            {"role": "user", "content": "And?"},
        ]
    first, second = (json.loads(body)["messages"] for body in vendor.inbox[-2:])
    assert second[0] == first[0]
    assert second[1]["content"] == first[0]["content"]  # what was restored for the client is masked as before
    other = [{"role": "user", "content": "Another one. " + TEXT}]
    gateway.sdk().chat.completions.create(model=gateway["echo"], messages=other)
    assert json.loads(vendor.inbox[-1])["messages"][0]["content"] != "Another one. " + first[0]["content"]
