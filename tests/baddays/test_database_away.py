"""PostgreSQL is gone for five seconds under load: no answer without its record, and all is well afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from launch.postgres import Postgres
from tests.baddays.conftest import House, crashed, eventually, frozen

AWAY_SECONDS = 5

Fault = Callable[[Postgres], AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [frozen, crashed])
def test_no_answer_is_delivered_without_its_record(acme: House, fault: Fault):
    unseen = acme.new_key()["key"]  # no worker has met it yet
    with acme.crowd(max_tokens=40) as got:
        assert eventually(lambda: len(got) > 40, 20)
        away = time.monotonic()
        with fault(acme.at.postgres):
            stranger = acme.ask(key=unseen)
            time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - away)))
        back = time.monotonic()
        assert eventually(lambda: sum(a.status == 200 and a.began > back for a in got) >= 20, 15), got[-5:]
    answered = [answer for answer in got if answer.status == 200]
    refused = [answer for answer in [*got, stranger] if answer.status != 200]
    assert acme.at.not_once(answered) == []
    assert all(answer.whole for answer in answered)
    assert any(answer.began < away and answer.ended > back for answer in answered), "no answer was held back"
    assert refused
    assert {(answer.status, answer.code) for answer in refused} == {(503, "service_unavailable")}
    assert all(int(answer.retry_after) >= 1 for answer in refused)
    assert eventually(lambda: acme.at.open_calls(acme.id) == 0, 10)


def test_meanwhile_the_gateway_lives_but_is_not_ready(acme: House):
    with crashed(acme.at.postgres):
        assert httpx.get(acme.at.root + "/healthz", timeout=30).status_code == 200
        assert httpx.get(acme.at.root + "/readyz", timeout=30).status_code == 503
        headers = {"authorization": f"Bearer {acme.owner}"}
        managed = httpx.get(acme.at.root + "/api/v1/departments", headers=headers, timeout=30)
        assert (managed.status_code, managed.headers["retry-after"]) == (503, "2")
    assert eventually(lambda: httpx.get(acme.at.root + "/readyz", timeout=30).status_code == 200, 15)
    assert eventually(lambda: {acme.ask().status for _ in range(8)} == {200}, 10)
    assert {acme.search("good morning").status_code for _ in range(16)} == {200}  # no dead connection is left to find
