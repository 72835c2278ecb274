"""Processes die in the middle of their work: what was delivered is recorded, what was begun is settled."""

from __future__ import annotations

from contextlib import suppress
from decimal import Decimal

import psutil
import pytest

from tests.baddays.conftest import WORKERS, House, eventually

pytestmark = pytest.mark.timeout(300)

SENTENCE = "The carrier answers for the goods from the gate of the works until the buyer has signed for pallet {}. "


def test_a_killed_server_loses_no_answer_and_passes_no_budget(acme: House):
    spender, limit = acme.new_key(), Decimal("0.06")
    body = {"scope": "key", "target": spender["id"], "period": "day", "limit": str(limit), "warn_at": []}
    budget = acme.at.manage(acme.owner, "POST", "budgets", body)["id"]
    workers = acme.at.living()
    # More slow streams than other calls: whichever server has most clients has some of them.
    with acme.crowd(clients=6, slow=8, key=spender["key"], max_tokens=40) as got:
        assert eventually(lambda: len(got) > 20, 60)
        victim, now = acme.at.busiest_server(), acme.at.clock()
        victim.kill()
        assert eventually(lambda: len(acme.at.processes("config.serve")) == WORKERS, 30), "nobody started it again"
        assert eventually(lambda: any(a.code == "insufficient_quota" for a in got), 90), "the budget was never reached"
    answered = [answer for answer in got if answer.status == 200]
    cut = [answer for answer in answered if not answer.whole]
    # A disk that stands still for seconds makes a 503 that says when to come back; nothing else may come of a kill.
    asked_back = [answer for answer in got if answer.status == 503 and answer.retry_after]
    assert [answer for answer in got if answer.status not in (0, 200, 429) and answer not in asked_back] == []
    began = [answer.began for answer in asked_back]
    assert not began or max(began) - min(began) < 5, asked_back  # one standstill: clients ask again at once, and often
    assert cut, "nobody was cut off: the kill came too late to show anything"
    assert acme.at.not_once([answer for answer in answered if answer.whole]) == []
    acme.at.bury(workers, since=now)
    assert eventually(lambda: acme.at.open_calls(acme.id) == 0, 60), "calls of the dead process were never settled"
    assert acme.at.not_once(answered) == []
    ends = acme.at.rows(
        "select distinct reason from audit_event where action = 'call.outcome' and request_id = any(%s::uuid[])",
        [answer.request_id for answer in cut],
    )
    # The record is durable before the last byte: who was cut off between the two stands there as answered.
    assert ("interrupted",) in ends
    assert set(ends) <= {("interrupted",), ("",)}
    state = acme.at.manage(acme.owner, "GET", f"budgets/{budget}")
    charged = acme.at.rows("select sum(cost) from billing_usage where key_id = %s", spender["id"])[0][0]
    assert Decimal(state["spent"]) == charged <= limit
    assert eventually(lambda: len(acme.at.living(acme.at.clock() - 5)) == WORKERS, 60)
    assert {acme.ask().status for _ in range(8)} == {200}


def test_a_document_is_ingested_though_its_worker_is_killed(acme: House):
    acme.at.manage(acme.owner, "POST", "collections", {"name": "contracts"})
    text = "".join(SENTENCE.format(number) for number in range(500))
    body = {"collection": "contracts", "title": "Terms", "text": text}
    document = acme.at.manage(acme.owner, "POST", "documents", body)["id"]

    def state() -> str:
        return str(acme.at.manage(acme.owner, "GET", f"documents/{document}")["state"])

    assert eventually(lambda: state() == "running", 60)
    [worker] = acme.at.processes("worker")
    for child in worker.children(recursive=True):
        with suppress(psutil.NoSuchProcess):
            child.kill()
    # What would take minutes: the item has shown no sign of life for long enough, and housekeeping is due.
    acme.at.rows(
        "update retrieval_ingestitem set changed_at = now() - interval '1 hour' where document_id = %s returning 1",
        document,
    )
    acme.at.order("retrieval.housekeeping")
    assert eventually(lambda: state() == "ready", 120)
    answer = acme.search("Who answers for pallet 7?", ["contracts"])
    assert answer.status_code == 200, answer.text
    found = answer.json()["data"]
    assert len({passage["chunk_id"] for passage in found}) == len(found) > 0
    assert {passage["document"]["version"] for passage in found} == {1}
