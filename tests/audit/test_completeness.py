"""The daily check: what is missing in the trail or the ledger is found, recorded and said aloud."""

from __future__ import annotations

from collections.abc import Callable
from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest
from django.utils import timezone

from audit import completeness
from audit.data import Finding
from tenants.ids import uuid7
from tests.billing.house import House

EVENT = """
    insert into audit_event (id, action, decision, reason, request_id, actor_type, actor_id, actor_name, object_type,
        object_id, policy, model, deployment, region, entities, passages, tokens, cost, detail)
    values (%s, %s, 'allow', '', %s, 'key', '', '', '', '', '', '', %s, '', '{}', '[]', '{}', %s, '{}')
"""
USAGE = """
    insert into billing_usage (id, request_id, attempt, model, deployment, input_tokens, cached_input_tokens,
        cache_write_tokens, output_tokens, reasoning_tokens, cost, estimated, final)
    values (%s, %s, %s, '', '', 1, 0, 0, 1, 0, %s, false, %s)
"""


def call(
    house: House,
    *,
    intent: bool = True,
    outcome: str | None = "0.30",
    attempts: tuple[str, ...] = ("0.10", "0.20"),
    final: bool = True,
) -> UUID:
    """A call as the journal leaves it, or less of it."""
    request, end = uuid7(), uuid7()
    with psycopg.connect(house.servers.app) as worker:
        worker.execute("select set_config('app.tenant', %s, true)", (str(house.tenant),))
        if intent:
            worker.execute(EVENT, (uuid7(), "call.intent", request, "d", None))
        if outcome is not None:
            worker.execute(EVENT, (end, "call.outcome", request, "d", outcome))
        for place, cost in enumerate(attempts, 1):
            last = place == len(attempts)
            worker.execute(USAGE, (end if last else uuid7(), request, place, cost, last and final))
    return request


def checked(house: House) -> list[Finding]:
    now = timezone.now()
    return completeness.check(house.tenant, now - timedelta(days=1), now + timedelta(minutes=1))


def last_event(house: House) -> tuple[str, Any]:
    [found] = house.rows("select action, detail from audit_event where object_type = 'trail' order by seq desc limit 1")
    return found


def test_a_whole_day_is_recorded_as_whole(acme: House) -> None:
    call(acme)
    call(acme, outcome="0", attempts=())
    assert [one.what for one in checked(acme)] == ["outcome without usage"], "it names a deployment and has no row"
    assert last_event(acme)[0] == "trail.alert"


def test_nothing_missing_is_an_event_as_well(acme: House) -> None:
    for _ in range(3):
        call(acme)
    assert checked(acme) == []
    action, detail = last_event(acme)
    assert (action, detail["found"]) == ("trail.check", [])


MISSING: list[tuple[str, Callable[[House], UUID]]] = [
    ("intent without outcome", lambda house: call(house, outcome=None, attempts=())),
    ("outcome without intent", lambda house: call(house, intent=False)),
    ("outcome and ledger differ in cost", lambda house: call(house, attempts=("0.10", "0.21"))),
    ("outcome without usage", lambda house: call(house, attempts=())),
    ("ledger without the attempt that ended the call", lambda house: call(house, final=False)),
]


@pytest.mark.parametrize(("what", "make"), MISSING, ids=[what for what, _ in MISSING])
def test_what_is_missing_is_named_with_its_request(
    acme: House, what: str, make: Callable[[House], UUID], caplog: pytest.LogCaptureFixture
) -> None:
    call(acme)
    request = make(acme)
    [found] = checked(acme)
    assert (found.what, found.count, found.examples) == (what, 1, [str(request)])
    action, detail = last_event(acme)
    assert (action, detail["found"][0]["what"]) == ("trail.alert", what)
    assert what in caplog.text


def test_usage_without_an_outcome_and_a_lost_attempt_are_named(acme: House) -> None:
    orphan, short = call(acme, intent=False, outcome=None), call(acme, outcome="0.30")
    acme.servers.ask("delete from billing_usage where request_id = %s and attempt = 1", short)
    acme.servers.ask("update billing_usage set cost = 0.30 where request_id = %s", short)
    found = {one.what: one.examples for one in checked(acme)}
    days = found.pop("roll-ups and ledger differ")  # they still hold what the ledger held
    assert days == [f"{datetime.now(UTC):%Y-%m-%d}"]
    assert found == {"attempt without a row in the ledger": [str(short)], "usage without outcome": [str(orphan)]}


def test_an_event_without_a_place_is_named_and_sealed(acme: House) -> None:
    call(acme)
    assert checked(acme) == []
    acme.servers.ask("update audit_event set xact = '3' where tenant_id = %s", acme.tenant)
    call(acme)
    acme.servers.ask("update audit_event set xact = '3' where tenant_id = %s", acme.tenant)
    [found] = checked(acme)
    assert (found.what, found.count >= 2) == (completeness.WITHOUT_PLACE, True)
    assert completeness.check(acme.tenant) == []


def test_calls_that_may_still_run_are_left_alone(acme: House) -> None:
    call(acme, outcome=None, attempts=())
    assert completeness.check(acme.tenant) == []


def test_charlies_day_is_not_acmes(acme: House, globex: House) -> None:
    call(acme, outcome=None, attempts=())
    assert checked(globex) == []


def test_one_tenant_that_cannot_be_checked_keeps_no_other_from_it(
    acme: House, globex: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    inner, seen = completeness.check, []

    def fails(tenant: UUID) -> list[Finding]:
        seen.append(tenant)
        if tenant == acme.tenant:
            raise RuntimeError
        return inner(tenant)

    monkeypatch.setattr(completeness, "check", fails)
    monkeypatch.setattr("audit.seals.tenants", lambda: [acme.tenant, globex.tenant])
    assert (completeness.check_all(), seen) == (1, [acme.tenant, globex.tenant])
