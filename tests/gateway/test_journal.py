"""No answer without its record: what the journal does on good days and bad ones."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import replace
from typing import Any
from uuid import UUID

import pytest

from billing.data import BudgetView, Reservation
from billing.errors import LedgerUnavailable
from billing.prices import cost
from billing.services import Leases
from gateway import journal as journal_module
from gateway.data import Tokens
from gateway.errors import Unavailable
from gateway.journal import Attempt, Intent, Journal, Outcome, Refusal
from tenants.data import Caller
from tenants.ids import uuid7
from tests.billing.house import CENT, House, acme, globex, servers
from tests.gateway.proxy import Proxy

__all__ = ["acme", "globex", "servers"]
pytestmark = pytest.mark.asyncio

PRICES = {"input": 3_000_000, "output": 15_000_000}
MODEL, DEPLOYMENT = uuid7(), uuid7()
USED = Tokens(input=1000, output=200)


@asynccontextmanager
async def running(url: str) -> AsyncIterator[tuple[Journal, Leases]]:
    leases = Leases(url)
    journal = Journal(url, leases)
    await leases.start()
    await journal.start()
    for _ in range(500):
        if journal.healthy:
            break
        await asyncio.sleep(0.01)
    try:
        yield journal, leases
    finally:
        await journal.stop(patience=2)
        await leases.stop()


def intent_of(caller: Caller, reservation: Reservation | None = None, **more: Any) -> Intent:
    fields: dict[str, Any] = {
        "call": uuid7(),
        "caller": caller,
        "kind": "chat",
        "model": "gpt-small",
        "model_id": MODEL,
        "deployment": "openai/gpt-small",
        "deployment_id": DEPLOYMENT,
        "region": "eu",
        "policy": "baseline@1",
        "reservation": reservation or Reservation(caller.tenant, 0),
        "input_tokens": 1000,
        "output_tokens": 4096,
        "entities": {"PERSON": 2},
        "address": "203.0.113.7",
    }
    return Intent(**fields | more)


def answered(intent: Intent, tokens: Tokens = USED) -> Outcome:
    attempt = Attempt("openai/gpt-small", DEPLOYMENT, "eu", tokens, cost(tokens, PRICES))
    return Outcome(intent, [attempt], latency_ms=12.5)


async def one_call(journal: Journal, leases: Leases, caller: Caller, budgets: tuple[BudgetView, ...] = ()) -> UUID:
    intent = intent_of(caller, await leases.reserve(caller.tenant, budgets, 7 * CENT))
    await journal.intent(intent)
    await journal.outcome(answered(intent))
    return intent.call


def actions(house: House, call: UUID) -> list[str]:
    return [row[0] for row in house.rows("select action from audit_event where request_id = %s order by seq", call)]


def open_calls(house: House) -> int:
    return int(
        house.one(
            "select count(*) filter (where action = 'call.intent') - count(*) filter (where action = 'call.outcome') "
            "from audit_event"
        )
    )


# -- good days -------------------------------------------------------------------------------------------------------


async def test_a_call_is_an_intent_an_outcome_and_a_charge(acme: House) -> None:
    async with running(acme.servers.app) as (journal, leases):
        call = await one_call(journal, leases, acme.alice)
    assert actions(acme, call) == ["call.intent", "call.outcome"]
    assert acme.rows("select input_tokens, output_tokens, cost::text, final, estimated from billing_usage") == [
        (1000, 200, "0.006000000000", True, False)
    ]


async def test_the_intent_is_durable_before_anything_may_leave(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        intent = intent_of(acme.alice, Reservation(acme.tenant, 7 * CENT), stream=True)
        await journal.intent(intent)
        [(detail, entities, department)] = acme.rows("select detail, entities, department_id from audit_event")
        assert (detail["reserved"], detail["output_tokens"], detail["address"]) == ("0.07", 4096, "203.0.113.7")
        assert (entities, department) == ({"PERSON": 2}, acme.legal)
        await journal.outcome(answered(intent))


async def test_an_outcome_tells_all_that_an_auditor_asks(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        intent = intent_of(acme.alice)
        await journal.intent(intent)
        failed = Attempt("first/gpt", uuid7(), "us", error="upstream_timeout")
        second = Attempt("second/gpt", DEPLOYMENT, "eu", Tokens(input=5, output=2, reasoning=1, estimated=True), 99)
        await journal.outcome(
            Outcome(intent, [failed, second], latency_ms=7.25, passages=[{"document": "d", "number": 1}])
        )
    [row] = acme.rows(
        "select deployment, region, tokens, (cost * 1e12)::int8, latency_ms, detail, passages, actor_type, actor_id "
        "from audit_event where action = 'call.outcome'"
    )
    assert row == (
        "second/gpt",
        "eu",
        {"input": 5, "output": 2, "reasoning": 1, "estimated": True},
        99,
        7.25,
        {"failed": [{"deployment": "first/gpt", "error": "upstream_timeout"}]},
        [{"document": "d", "number": 1}],
        "key",
        str(acme.alice.key),
    )
    assert acme.rows("select attempt, input_tokens, final from billing_usage order by attempt") == [
        (1, 0, False),
        (2, 5, True),
    ]


async def test_embedding_tokens_are_input_tokens(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        intent = intent_of(acme.alice, kind="embeddings")
        await journal.intent(intent)
        await journal.outcome(answered(intent, Tokens(embedding=321)))
    assert acme.one("select input_tokens from billing_usage") == 321


async def test_a_refusal_is_one_event_and_no_charge(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        refusal = Refusal(uuid7(), acme.bob, "policy_violation", model="gpt\0x" * 100, detail={"message": "no \ud800"})
        await journal.refused(refusal)
    assert acme.rows("select action, decision, reason from audit_event") == [
        ("call.refused", "deny", "policy_violation")
    ]
    assert acme.rows("select 1 from billing_usage") == []


async def test_a_batch_of_several_tenants_is_written_each_in_its_own_scope(acme: House, globex: House) -> None:
    async with running(acme.servers.app) as (journal, leases):
        people = [acme.alice, globex.alice, acme.bob] * 20
        calls = await asyncio.gather(*(one_call(journal, leases, person) for person in people))
        assert journal.metrics.batches < journal.metrics.rows / 4, "rows that wait together are written together"
    assert (acme.one("select count(*) from billing_usage"), globex.one("select count(*) from billing_usage")) == (
        40,
        20,
    )
    assert actions(globex, calls[0]) == [], "Charlie sees nothing of Acme's call"


async def test_budgets_are_settled_with_the_outcome(acme: House) -> None:
    budgets = (acme.budget(500 * CENT), acme.budget(300 * CENT, "department", acme.legal))
    async with running(acme.servers.app) as (journal, leases):
        await asyncio.gather(*(one_call(journal, leases, acme.alice, budgets) for _ in range(20)))
    assert (
        acme.rows("select spent::text, reserved::text from billing_budgetwindow")
        == [("0.120000000000", "0.000000000000")] * 2
    )


async def test_what_a_vendor_charges_beyond_the_reservation_is_an_overrun_and_never_blocks(acme: House) -> None:
    budget = acme.budget(10 * CENT)
    async with running(acme.servers.app) as (journal, leases):
        intent = intent_of(acme.alice, await leases.reserve(acme.tenant, (budget,), 8 * CENT))
        await journal.intent(intent)
        await journal.outcome(Outcome(intent, [Attempt("dear/gpt", DEPLOYMENT, tokens=USED, cost=13 * CENT)]))
    [(spent, overrun)] = acme.rows("select spent, overrun from billing_budgetwindow")
    assert spent + overrun == acme.one("select cost from billing_usage")
    assert spent <= 10 * CENT


async def test_stopping_writes_what_waits(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        intents = [intent_of(acme.alice) for _ in range(50)]
        await asyncio.gather(*map(journal.intent, intents))
        for intent in intents:
            journal.outcome(answered(intent))
    assert open_calls(acme) == 0


# -- callers that go away --------------------------------------------------------------------------------------------


async def test_a_call_that_is_cancelled_before_its_intent_was_sent_leaves_no_trace(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with running(acme.servers.app) as (journal, leases):
        reservation = await leases.reserve(acme.tenant, (budget,), 60 * CENT)
        journal.intent(intent_of(acme.alice, reservation)).cancel()
        await asyncio.sleep(0.1)
        assert (await leases.reserve(acme.tenant, (budget,), 60 * CENT)).amount == 60 * CENT
    assert acme.rows("select 1 from audit_event where action like 'call.%%'") == []


async def test_a_call_that_is_cancelled_while_its_intent_is_on_its_way_ends_as_interrupted(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with running(acme.servers.app) as (journal, leases):
        reservation = await leases.reserve(acme.tenant, (budget,), 60 * CENT)
        future = journal.intent(intent_of(acme.alice, reservation))
        while not journal._events._flying:  # noqa: ASYNC110
            await asyncio.sleep(0)
        future.cancel()
        await asyncio.sleep(0.3)
        assert (await leases.reserve(acme.tenant, (budget,), 60 * CENT)).amount == 60 * CENT
    assert acme.rows("select action, reason from audit_event where action like 'call.%%' order by seq") == [
        ("call.intent", ""),
        ("call.outcome", "interrupted"),
    ]
    assert acme.rows("select 1 from billing_usage") == [], "nothing left the house"


async def test_cancelling_who_waits_for_an_outcome_loses_nothing(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        intent = intent_of(acme.alice)
        await journal.intent(intent)

        async def wait() -> None:
            await journal.outcome(answered(intent))

        task = asyncio.create_task(wait())
        await asyncio.sleep(0)
        task.cancel()
        await asyncio.gather(task, return_exceptions=True)
    assert actions(acme, intent.call) == ["call.intent", "call.outcome"]


async def test_the_first_of_two_outcomes_counts(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with running(acme.servers.app) as (journal, leases):
        intent = intent_of(acme.alice, await leases.reserve(acme.tenant, (budget,), 7 * CENT))
        await journal.intent(intent)
        first = journal.outcome(answered(intent))
        second = journal.outcome(answered(replace(intent, reservation=Reservation(acme.tenant, 0)), Tokens(input=9**6)))
        await asyncio.gather(first, second)
    assert actions(acme, intent.call) == ["call.intent", "call.outcome"]
    assert acme.one("select sum(cost) from billing_usage") == acme.one("select spent from billing_budgetwindow")


# -- bad rows --------------------------------------------------------------------------------------------------------


async def test_one_bad_row_is_not_everybodys(acme: House) -> None:
    bad = replace(acme.bob, name="B" * 500)
    async with running(acme.servers.app) as (journal, leases):
        people = [acme.alice, bad, acme.alice]
        calls = await asyncio.gather(*(one_call(journal, leases, person) for person in people))
        assert journal.metrics.single > 0
    assert [actions(acme, call) for call in calls] == [["call.intent", "call.outcome"]] * 3
    assert acme.one("select max(length(actor_name)) from audit_event") == 200, "cut, but recorded"


async def test_a_row_that_cannot_be_written_at_all_refuses_its_own_call_only(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with running(acme.servers.app) as (journal, leases):
        reservation = await leases.reserve(acme.tenant, (budget,), 60 * CENT)
        bad = intent_of(acme.bob, reservation, deployment_id=None, call="no id")  # type: ignore[arg-type]
        found = await asyncio.gather(journal.intent(intent_of(acme.alice)), journal.intent(bad), return_exceptions=True)
        assert found[0] is None
        assert isinstance(found[1], Unavailable)
        assert (await leases.reserve(acme.tenant, (budget,), 60 * CENT)).amount == 60 * CENT


async def test_a_flood_of_refusals_is_bounded(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(journal_module, "MOST_REFUSALS", 20)
    async with running(acme.servers.app) as (journal, _):
        refusals = [Refusal(uuid7(), acme.alice, "rate_limit_exceeded") for _ in range(100)]
        found = await asyncio.gather(*map(journal.refused, refusals), return_exceptions=True)
        assert sum(isinstance(one, Unavailable) for one in found) == 80
        await journal.refused(Refusal(uuid7(), acme.alice, "rate_limit_exceeded"))
    assert acme.one("select count(*) from audit_event where action = 'call.refused'") == 21


# -- bad days --------------------------------------------------------------------------------------------------------


async def test_without_postgres_an_intent_is_refused_after_two_seconds(acme: House) -> None:
    async with Proxy(acme.servers.app) as proxy, running(proxy.url) as (journal, _):
        await journal.intent(intent_of(acme.alice))
        proxy.away()
        began = asyncio.get_running_loop().time()
        with pytest.raises(Unavailable) as refused:
            await journal.intent(intent_of(acme.alice))
        assert 1.5 < asyncio.get_running_loop().time() - began < 3
        assert refused.value.retry_after
        assert not journal.healthy
        proxy.back()
        await journal.intent(intent_of(acme.alice))


async def test_five_seconds_without_postgres_lose_no_outcome(acme: House) -> None:
    async with Proxy(acme.servers.app) as proxy, running(proxy.url) as (journal, leases):
        intents = [intent_of(acme.alice, await leases.reserve(acme.tenant, (), 0)) for _ in range(40)]
        await asyncio.gather(*map(journal.intent, intents))
        proxy.away()
        waiting = [journal.outcome(answered(intent)) for intent in intents]
        await asyncio.sleep(5)
        assert not any(one.done() for one in waiting)
        proxy.back()
        await asyncio.wait_for(asyncio.gather(*waiting), 3)
    assert open_calls(acme) == 0
    assert acme.one("select count(*) from billing_usage") == 40


async def test_an_outcome_whose_commit_nobody_heard_of_counts_once(acme: House) -> None:
    budget = acme.budget(100 * CENT)
    async with Proxy(acme.servers.app) as proxy, running(proxy.url) as (journal, leases):
        intents = [intent_of(acme.alice, await leases.reserve(acme.tenant, (budget,), CENT)) for _ in range(10)]
        await asyncio.gather(*map(journal.intent, intents))
        proxy.lose_answers()
        waiting = [journal.outcome(answered(intent)) for intent in intents]
        await asyncio.sleep(0.3)
        proxy.back()
        await asyncio.wait_for(asyncio.gather(*waiting), 5)
        assert journal.metrics.lost > 0
    assert acme.one("select count(*) from audit_event where action = 'call.outcome'") == 10
    assert acme.one("select sum(cost) from billing_usage") == acme.one("select spent from billing_budgetwindow")


async def test_an_intent_that_was_written_after_all_gets_its_outcome(acme: House) -> None:
    async with Proxy(acme.servers.app) as proxy, running(proxy.url) as (journal, _):
        await journal.intent(intent_of(acme.bob))
        proxy.lose_answers()
        intent = intent_of(acme.alice)
        with pytest.raises(Unavailable):
            await journal.intent(intent)
        proxy.back()
        for _ in range(40):
            await asyncio.sleep(0.05)
            if len(actions(acme, intent.call)) == 2:
                break
    assert actions(acme, intent.call) == ["call.intent", "call.outcome"]
    assert acme.rows("select decision, reason from audit_event where action = 'call.outcome'") == [
        ("deny", "service_unavailable")
    ]


async def test_killed_connections_under_load_lose_nothing_and_double_nothing(acme: House) -> None:
    budget = acme.budget(10_000 * CENT)
    async with running(acme.servers.app) as (journal, leases):

        async def kill() -> None:
            for _ in range(8):
                await asyncio.sleep(0.05)
                await asyncio.to_thread(
                    acme.servers.ask,
                    "select pg_terminate_backend(pid) from pg_stat_activity where datname = current_database() "
                    "and usename <> current_user and pid <> pg_backend_pid()",
                )

        killer = asyncio.create_task(kill())
        done = 0

        async def caller() -> None:
            nonlocal done
            while not killer.done():
                try:
                    await one_call(journal, leases, acme.alice, (budget,))
                    done += 1
                except (Unavailable, LedgerUnavailable):
                    await asyncio.sleep(0.01)

        await asyncio.gather(*(caller() for _ in range(16)))
        assert journal.metrics.lost > 0
    assert done > 100
    assert open_calls(acme) == 0
    assert acme.one("select count(*) from billing_usage") == done
    assert acme.one("select sum(cost) from billing_usage") == acme.one("select spent from billing_budgetwindow")


async def test_a_pooler_that_forgets_prepared_statements_is_survived(acme: House) -> None:
    async with running(acme.servers.app) as (journal, _):
        await journal.intent(intent_of(acme.alice))
        wire = journal._events._wire
        assert wire is not None
        wire._pg.send_query_params(b"deallocate all", [])
        await wire._finish()
        await journal.intent(intent_of(acme.alice))
        assert not journal._events._prepare
