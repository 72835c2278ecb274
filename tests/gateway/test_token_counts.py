"""Tokens that a vendor reported, and tokens that are counted offline."""

from __future__ import annotations

import subprocess
import sys
from decimal import Decimal
from typing import Any

import pytest
from django.conf import settings

from gateway.data import Tokens
from gateway.providers.facts import model_facts, model_prices, price_table
from gateway.providers.tokens import (
    count_input,
    count_messages,
    count_text,
    first_tokens,
    reported,
    reported_embedding,
    simple_count,
)


@pytest.mark.parametrize(
    ("usage", "expected"),
    [
        ({"prompt_tokens": 10, "completion_tokens": 5}, Tokens(input=10, output=5)),
        (
            {"prompt_tokens": 10, "completion_tokens": 5, "prompt_tokens_details": {"cached_tokens": 4}},
            Tokens(input=6, cached_input=4, output=5),
        ),
        (
            {"prompt_tokens": 9, "completion_tokens": 5, "completion_tokens_details": {"reasoning_tokens": 3}},
            Tokens(input=9, output=2, reasoning=3),
        ),
        (
            {"prompt_tokens": 9, "prompt_tokens_details": {"cached_tokens": 2, "cache_write_tokens": 3}},
            Tokens(input=4, cached_input=2, cache_write=3),
        ),
        (
            {"prompt_tokens": 3, "completion_tokens": 1, "prompt_tokens_details": {"cached_tokens": 50}},
            Tokens(cached_input=3, output=1),
        ),
        ({"prompt_tokens": 3, "completion_tokens": None, "prompt_tokens_details": None}, Tokens(input=3)),
        ({"prompt_tokens": -3, "completion_tokens": True}, Tokens()),
        ({}, None),
        (None, None),
        ("many", None),
    ],
)
def test_reported_kinds_are_disjoint(usage: Any, expected: Tokens | None) -> None:
    assert reported(usage) == expected


def test_reported_embeddings() -> None:
    assert reported_embedding({"prompt_tokens": 3, "total_tokens": 3}) == Tokens(embedding=3)
    assert reported_embedding({"total_tokens": 4}) == Tokens(embedding=4)
    assert reported_embedding({}) is None


def test_text_is_counted() -> None:
    assert count_text("") == 0
    assert count_text("The quick brown fox") == 4
    assert count_text("<|endoftext|>") > 1
    assert count_text("\ud83d") >= 1


def test_long_text_is_counted_in_reasonable_time() -> None:
    assert 1000 < count_text("a" * 200_000) < 200_000


def test_the_first_tokens_of_a_text() -> None:
    assert first_tokens("The quick brown fox", 2) == "The quick"
    assert first_tokens("The quick", 99) == "The quick"
    assert first_tokens("The quick", 0) == ""


def test_messages_count_their_text_names_and_tools() -> None:
    plain = {"messages": [{"role": "user", "content": "hello there"}]}
    tools = {**plain, "tools": [{"type": "function", "function": {"name": "book", "description": "Books a room"}}]}
    assert count_text("hello there") < count_messages(plain) < count_messages(tools)
    assert count_messages({}) < count_messages(plain)
    assert count_input(tools) == count_messages(tools)
    assert count_input({"input": ["hello", "there"]}) == count_text("hello") + count_text("there")


def test_words_and_marks_are_counted_simply() -> None:
    assert simple_count("Hello, [EMAIL_1]!") == 6


OFFLINE = """
import socket, sys
def refuse(*args, **more): raise AssertionError("the network was asked")
socket.socket.connect = socket.socket.connect_ex = socket.getaddrinfo = refuse
import django; django.setup()
from gateway.providers.tokens import count_text
from gateway.providers.facts import model_facts
assert count_text("hello there") == 2
assert model_facts("gpt-4o-mini").max_output_tokens == 16384
assert "litellm" not in sys.modules
"""


def test_counting_and_prices_need_neither_network_nor_litellm() -> None:
    done = subprocess.run(
        [sys.executable, "-c", OFFLINE], cwd=settings.BASE_DIR, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_price_table() -> None:
    table = dict(price_table())
    assert table["gpt-4o-mini"] == {
        "input": Decimal("0.15"),
        "cached_input": Decimal("0.075"),
        "output": Decimal("0.60"),
    }
    assert table["claude-sonnet-4-5"]["cache_write"] == Decimal("3.75")
    assert table["text-embedding-3-small"] == {"embedding": Decimal("0.02")}
    assert len(table) > 1000
    assert all(price >= 0 for prices in table.values() for price in prices.values())


def test_every_price_is_a_whole_number_of_pico_dollars_a_token() -> None:
    for _, prices in price_table():
        for price in prices.values():
            assert price * 10**6 == int(price * 10**6)


def test_facts_are_found_with_or_without_the_vendors_name() -> None:
    found = model_facts("anthropic/claude-sonnet-4-5")
    assert found is not None
    assert found.max_output_tokens == 64000
    assert {"chat", "tools", "vision", "json"} <= found.capabilities
    assert model_prices("openai/gpt-4o-mini")["input"] == Decimal("0.15")
    assert model_facts("text-embedding-3-small").capabilities == {"embeddings"}
    assert model_facts("no-such-model") is None
    assert model_prices("no-such-model") == {}
