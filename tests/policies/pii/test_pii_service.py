"""The engine as the gateway and `redact` use it, and the cache behind it."""

from __future__ import annotations

import asyncio
import threading
import time

import pytest

from policies.pii.allowance import CHARACTERS
from policies.pii.cache import Findings
from policies.pii.data import Entity, PiiRules
from policies.pii.engine import Engine
from policies.pii.errors import Blocked, TextTooLarge
from policies.pii.redaction import Pii
from policies.pii.restore import restore_value
from policies.pii.vault import Vault
from policies.pii.walk import mask_request, mask_request_async

PII = Pii()
ALL = PiiRules()
EMAIL = "alice.roe@acme.example"


class Counting:
    """Counts what it is asked, and remembers in which thread."""

    version = "counting-1"

    def __init__(self):
        self.texts, self.threads = [], set()

    def detect(self, text):
        self.texts.append(text)
        self.threads.add(threading.current_thread())
        return []


def user(*contents: str) -> dict:
    return {"messages": [{"role": "user", "content": content} for content in contents]}


def test_a_text_is_redacted_with_the_places_in_the_original():
    text = f"😀 I am {EMAIL}, card 4111 1111 1111 1111."
    redacted = PII.redact_text(text, ALL)
    assert [(e.type, text[e.start : e.end]) for e in redacted.entities] == [
        ("EMAIL_ADDRESS", EMAIL),
        ("CREDIT_CARD", "4111 1111 1111 1111"),
    ]
    assert redacted.text == f"😀 I am {redacted.entities[0].replacement}, card {redacted.entities[1].replacement}."
    assert PII.restore_text(redacted.text, redacted.vault) == text


def test_a_vault_goes_and_comes_back_sealed():
    redacted = PII.redact_text(f"I am {EMAIL}", ALL)
    vault = Vault.open(redacted.vault.seal(b"k" * 32, b"acme"), b"k" * 32, b"acme")
    assert PII.restore_text(redacted.text.lower(), vault) == f"i am {EMAIL}"


def test_a_blocked_type_refuses_the_text():
    with pytest.raises(Blocked):
        PII.redact_text(f"I am {EMAIL}", PiiRules.parse({"EMAIL_ADDRESS": "block"}))


def test_more_than_a_million_characters_are_refused():
    with pytest.raises(TextTooLarge):
        PII.redact_text("x" * 1_000_001, ALL)


def test_a_redacted_text_shows_nothing_of_its_vault():
    assert EMAIL not in repr(PII.redact_text(f"I am {EMAIL}", ALL))


def test_requests_share_no_placeholders():
    one, other = PII.mask_now(user(EMAIL), ALL), PII.mask_now(user(EMAIL), ALL)
    assert one.body != other.body


def test_a_conversations_history_is_analysed_once():
    detector, cache = Counting(), Findings()
    engine = Engine([detector])
    for turn in range(1, 5):
        mask_request(user(*(f"turn {n} of {EMAIL}" for n in range(turn))), ALL, engine, Vault(), cache)
    assert sorted(detector.texts) == [f"turn {n} of {EMAIL}" for n in range(4)]


def test_rules_apply_to_what_was_remembered():
    cache, engine = Findings(), Engine()
    mask_request(user(EMAIL), ALL, engine, Vault(), cache)
    with pytest.raises(Blocked):
        mask_request(user(EMAIL), PiiRules.parse({"EMAIL_ADDRESS": "block"}), engine, Vault(), cache)


def test_the_cache_holds_no_text_and_is_bounded():
    cache = Findings(max_weight=100)
    for n in range(500):
        cache.put(cache.key(f"text {n}", "", "v"), (Entity("A_B", 0, 1, 1.0),))
    assert len(cache) == 50
    assert cache.get(cache.key("text 499", "", "v")) == (Entity("A_B", 0, 1, 1.0),)
    assert cache.get(cache.key("text 0", "", "v")) is None
    assert b"text" not in b"".join(cache._entries)


def test_what_was_asked_for_lately_stays():
    cache = Findings(max_weight=80)
    keep = cache.key("keep", "", "v")
    cache.put(keep, ())
    for n in range(200):
        cache.put(cache.key(str(n), "", "v"), ())
        assert cache.get(keep) == ()


def test_keys_differ_by_text_hint_version_and_process():
    cache = Findings(secret=b"1" * 32)
    keys = {
        cache.key("a", "", "1"),
        cache.key("b", "", "1"),
        cache.key("a", "h", "1"),
        cache.key("a", "", "2"),
        Findings().key("a", "", "1"),
    }
    assert len(keys) == 5


def test_a_short_request_is_masked_on_the_loop_and_a_long_one_in_a_thread():
    detector = Counting()
    engine = Engine([detector])

    async def run(text: str) -> set[threading.Thread]:
        detector.threads.clear()
        masked = await mask_request_async(user(text), ALL, engine, Vault(), Findings())
        assert restore_value(masked.body, masked.vault) == user(text)
        return detector.threads

    assert asyncio.run(run(f"I am {EMAIL}")) == {threading.main_thread()}
    assert threading.main_thread() not in asyncio.run(run(f"I am {EMAIL}" + " words" * CHARACTERS))


def test_many_short_new_texts_go_to_a_thread_where_the_allowance_ends():
    detector, cache, vault = Counting(), Findings(), Vault()
    body = user(*(f"Write to {n}.{EMAIL}, please. " + "words " * 200 for n in range(8)))
    masked = asyncio.run(mask_request_async(body, ALL, Engine([detector]), vault, cache))
    assert len(detector.threads) == 2
    assert sorted(detector.texts) == sorted({*detector.texts})  # what the loop had seen is not looked at again
    assert masked.counts == {"EMAIL_ADDRESS": 8}
    assert restore_value(masked.body, vault) == body


def test_a_long_request_that_was_seen_before_is_masked_on_the_loop():
    detector, cache = Counting(), Findings()
    engine, body = Engine([detector]), user("words " * CHARACTERS)

    async def run() -> None:
        await mask_request_async(body, ALL, engine, Vault(), cache)
        detector.texts.clear()
        await mask_request_async(body, ALL, engine, Vault(), cache)

    asyncio.run(run())
    assert detector.texts == []


def test_the_loop_goes_on_while_a_long_request_is_masked():
    async def run() -> tuple[float, int]:
        ticks = 0

        async def tick() -> None:
            nonlocal ticks
            while True:
                await asyncio.sleep(0.001)
                ticks += 1

        ticking = asyncio.create_task(tick())
        began = time.perf_counter()
        await PII.mask(user(f"card 4111 1111 1111 1111 of {EMAIL}, call +1 415 555 0134. " * 5_000), ALL)
        took = time.perf_counter() - began
        ticking.cancel()
        return took, ticks

    took, ticks = asyncio.run(run())
    assert ticks > took * 3, "masked on the loop, there would be none"


def test_several_threads_get_the_same_answers():
    bodies = [user(f"I am alice{n}@acme.example", "536-90-4399", "x" * n) for n in range(60)]
    engine, cache = Engine(), Findings(max_weight=90)
    wrong: list[int] = []

    def work() -> None:
        for number, body in enumerate(bodies):
            masked = mask_request(body, ALL, engine, Vault(), cache)
            if masked.counts != {"EMAIL_ADDRESS": 1, "US_SSN": 1} or restore_value(masked.body, masked.vault) != body:
                wrong.append(number)

    threads = [threading.Thread(target=work) for _ in range(6)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert wrong == []
