"""Redis is gone: it may refuse early, it never decides alone. Calls go on, limits and revocations hold."""

from __future__ import annotations

import time

import pytest

from tests.baddays.conftest import House, crashed, eventually, frozen

pytestmark = pytest.mark.timeout(300)


def test_calls_go_on_and_limits_still_hold(acme: House):
    limited = acme.new_key(limits={"rpm": 4})["key"]
    with crashed(acme.at.redis):
        answers = [acme.ask() for _ in range(10)]
        narrow = [acme.ask(key=limited) for _ in range(12)]
    assert {answer.status for answer in answers} == {200}
    assert acme.at.not_once(answers) == []
    assert 1 <= sum(answer.status == 200 for answer in narrow) <= 4
    assert {answer.code for answer in narrow if answer.status != 200} == {"rate_limit_exceeded"}


def test_a_key_is_revoked_without_it(acme: House):
    made = acme.new_key()
    assert acme.ask(key=made["key"]).status == 200
    with crashed(acme.at.redis):
        acme.at.manage(acme.owner, "DELETE", f"api-keys/{made['id']}")
        began = time.monotonic()
        assert eventually(lambda: {acme.ask(key=made["key"]).status for _ in range(4)} == {401}, 5)
        assert time.monotonic() - began < 5


def test_shared_limits_are_back_with_it(acme: House):
    limited, wide = (acme.new_key(limits={"rpm": rpm})["key"] for rpm in (5, 1_000))
    with crashed(acme.at.redis):
        acme.ask(key=wide)
    for _ in range(3):  # each worker finds its connection broken, decides alone for a moment, and connects again
        assert {acme.ask(key=wide).status for _ in range(8)} == {200}
        time.sleep(0.5)
    answers = [acme.ask(key=limited) for _ in range(12)]
    assert sum(answer.status == 200 for answer in answers) == 5  # of both workers together


def test_a_broker_that_hangs_holds_up_nobody(acme: House):
    acme.at.manage(acme.owner, "POST", "collections", {"name": "letters"})
    limited = acme.new_key(limits={"rpm": 100})["key"]
    with frozen(acme.at.redis):
        assert acme.ask(key=limited).status == 200
        began = time.monotonic()
        made = acme.at.manage(acme.owner, "POST", "documents", {"collection": "letters", "text": "A letter."})
        assert made["state"] == "queued"  # until housekeeping finds that nobody took it
        assert time.monotonic() - began < 10
