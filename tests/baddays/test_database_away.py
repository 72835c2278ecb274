"""PostgreSQL is gone for five seconds under load: no answer without its record, and all is well afterwards."""

from __future__ import annotations

import time
from collections.abc import Callable
from contextlib import AbstractContextManager

import httpx
import pytest

from launch.postgres import Postgres
from tests.baddays.conftest import House, crashed, eventually, frozen

pytestmark = pytest.mark.timeout(300)

AWAY_SECONDS = 5

Fault = Callable[[Postgres], AbstractContextManager[None]]


@pytest.mark.parametrize("fault", [frozen, crashed])
def test_no_answer_is_delivered_without_its_record(acme: House, fault: Fault):
    unseen = acme.at.new_tenant()["owner_key"]  # no worker has met this tenant yet
    with acme.crowd(max_tokens=60) as got:
        assert eventually(lambda: len(got) > 40, 60)
        slow = acme.vendor.asked["slow"]
        assert eventually(lambda: acme.vendor.asked["slow"] > slow, 60)  # a stream of three seconds begins
        away = time.monotonic()
        with fault(acme.at.postgres):
            stranger = acme.ask(key=unseen)  # who it is cannot be known: that is no 401
            time.sleep(max(0.0, AWAY_SECONDS - (time.monotonic() - away)))
            returns = time.monotonic()  # while it is let go answers come, and may before the next line is reached
        back = time.monotonic()
        assert eventually(lambda: sum(a.status == 200 and a.began > back for a in got) >= 20, 60), got[-5:]
    answered = [answer for answer in got if answer.status == 200]
    refused = [answer for answer in [*got, stranger] if answer.status != 200]
    assert acme.at.not_once(answered) == []
    if back - away < 10:  # an answer waits for its record for 15 s
        assert all(answer.whole for answer in answered)
        assert any(answer.began < away and answer.ended > returns for answer in answered), "no answer was held back"
    assert refused
    assert {(answer.status, answer.code) for answer in refused} == {(503, "service_unavailable")}
    assert all(int(answer.retry_after) >= 1 for answer in refused)
    assert eventually(lambda: acme.at.open_calls(acme.id) == 0, 30)


def test_meanwhile_the_gateway_lives_but_is_not_ready(acme: House):
    with crashed(acme.at.postgres):
        assert httpx.get(acme.at.root + "/healthz", timeout=30).status_code == 200
        assert httpx.get(acme.at.root + "/readyz", timeout=30).status_code == 503
        headers = {"authorization": f"Bearer {acme.owner}"}
        managed = httpx.get(acme.at.root + "/api/v1/departments", headers=headers, timeout=30)
        assert (managed.status_code, managed.headers["retry-after"]) == (503, "2")
        provisioned = httpx.get(acme.at.root + "/scim/v2/Users", headers=headers, timeout=30)
        assert (provisioned.status_code, provisioned.json()["status"]) == (503, "503")
    assert eventually(lambda: httpx.get(acme.at.root + "/readyz", timeout=30).status_code == 200, 60)
    assert eventually(lambda: {acme.ask().status for _ in range(8)} == {200}, 30)
    assert {acme.search("good morning").status_code for _ in range(16)} == {200}  # no dead connection is left to find
