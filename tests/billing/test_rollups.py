"""Roll-ups are the sums of the ledger at every moment, whoever writes and whatever is merged; a check proves it."""

from __future__ import annotations

import threading
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import StringIO
from typing import Any

import pytest
from django.core.management import call_command
from django.db import connection, connections

from audit.completeness import check
from billing import reports, rollups
from billing.models import Rollup, Usage
from billing.services import usage
from gateway.data import Tokens
from retrieval.services import create_collection
from tenants.ids import uuid7
from tenants.isolation import scope
from tests.billing.house import House
from tests.billing.test_reports import attempt, call, spent, write

__all__ = ["spent"]

NOON = datetime(2026, 3, 10, 12, tzinfo=UTC)


def differences(house: House) -> list[Any]:
    with scope(house.tenant):
        return rollups.compare_everything()


def charge(house: House, at: datetime, cost: str = "1", **more: Any) -> None:
    """A row of the ledger of another day; ids are of the moment, as the journal makes them."""
    identity = (int(at.timestamp() * 1000) << 80) | (uuid7().int & ((1 << 80) - 1))
    with scope(house.tenant):
        Usage.objects.create(id=f"{identity:032x}", request_id=uuid7(), time=at, model="m", cost=Decimal(cost), **more)


def test_what_the_journal_writes_is_rolled_up_in_its_transaction(spent: House) -> None:
    assert differences(spent) == []
    with scope(spent.tenant):
        rows = Rollup.objects.all()
        assert sum(row.calls for row in rows) == 3
        assert sum(row.attempts for row in rows) == 4
        assert sum(row.cost for row in rows) == Decimal("1.000000000579")


@pytest.mark.parametrize(
    "harm",
    [
        "update billing_rollup set cost = cost + 0.000000000001 where tenant_id = %s",
        "update billing_rollup set department_id = null where tenant_id = %s",
        "delete from billing_rollup where tenant_id = %s and model = 'large'",
        "insert into billing_usage (tenant_id, id, request_id, attempt, time, model, deployment, input_tokens,"
        " cached_input_tokens, cache_write_tokens, output_tokens, reasoning_tokens, cost, estimated, final)"
        " select tenant_id, uuidv7(), uuidv7(), 1, now(), 'm', '', 1, 0, 0, 0, 0, 0, false, true"
        " from tenants_department where tenant_id = %s limit 1",
    ],
)
def test_a_broken_rollup_is_found_by_the_daily_check_and_made_anew(spent: House, harm: str) -> None:
    spent.servers.ask("set session_replication_role = replica; " + harm.replace("%s", f"'{spent.tenant}'"))
    found = check(spent.tenant, datetime.now(UTC) - timedelta(hours=1), datetime.now(UTC) + timedelta(minutes=1))
    assert "roll-ups and ledger differ" in [one.what for one in found]
    slug = spent.servers.ask("select slug from tenants_tenant where id = %s", spent.tenant)[0][0]
    with pytest.raises(SystemExit) as ended:
        call_command("check_rollups", tenant=slug, stdout=StringIO())
    assert ended.value.code == 1
    told = StringIO()
    call_command("check_rollups", tenant=slug, rebuild=True, stdout=told)
    assert told.getvalue() == f"{slug}: the roll-ups are the sums of the ledger\n"
    assert differences(spent) == []


def test_merging_leaves_the_sums_and_one_row_for_a_day_that_is_over(acme: House) -> None:
    for day in (NOON, NOON + timedelta(days=1)):
        for _ in range(3):
            charge(acme, day, input_tokens=5)
    with scope(acme.tenant):
        before = usage(["day"])
        assert rollups.compact(today=NOON.date() + timedelta(days=2)) == (6, 2)
        assert usage(["day"]) == before
        charge(acme, NOON)
        assert rollups.compact(today=NOON.date() + timedelta(days=2)) == (2, 1)  # the day's two rows become one
        assert rollups.compact(today=NOON.date() + timedelta(days=2)) == (0, 0)
        assert rollups.compact(today=NOON.date()) == (0, 0)
    assert differences(acme) == []


def test_calls_that_end_while_rows_are_merged_and_made_anew_are_counted_once(acme: House) -> None:
    stop = threading.Event()

    def merge(work: Any) -> None:
        try:
            while not stop.is_set():
                with scope(acme.tenant):
                    work()
        finally:
            connections.close_all()

    workers = [threading.Thread(target=merge, args=[work]) for work in (rollups.compact, rollups.compact)]
    for worker in workers:
        worker.start()
    for _ in range(6):
        write(acme, *(call(acme.alice, "small", attempt(Tokens(input=1), 7)) for _ in range(20)))
    stop.set()
    for worker in workers:
        worker.join()
    assert differences(acme) == []
    with scope(acme.tenant):
        total = usage(())["total"]
    assert (total["calls"], total["cost"]) == (120, "0.00000000084")


@pytest.fixture
def three_days(acme: House) -> House:
    for hour in range(0, 72, 5):
        charge(acme, NOON + timedelta(hours=hour), cost=str(hour + 1))
    return acme


@pytest.mark.parametrize(
    ("since", "until"),
    [(None, None), (0, 24), (-12, 12), (-12, 60), (1, 2), (0, 5), (5, 5), (3, 50), (None, 37), (7, None), (13, 36)],
)
def test_a_period_that_begins_or_ends_within_a_day_is_exact(three_days: House, since: Any, until: Any) -> None:
    first, last = (None if at is None else NOON + timedelta(hours=at) for at in (since, until))
    with scope(three_days.tenant):
        found = usage(["day"], first, last)["total"]
        rows = Usage.objects.all()
        rows = rows if first is None else rows.filter(time__gte=first)
        rows = rows if last is None else rows.filter(time__lt=last)
        assert (found["calls"], Decimal(found["cost"])) == (rows.count(), sum(row.cost for row in rows))


def test_usage_by_collection_names_what_the_passages_came_from(acme: House) -> None:
    with scope(acme.tenant):
        first, second = (create_collection(name).pk for name in ("contracts", "handbook"))
    write(
        acme,
        call(acme.alice, "small", attempt(Tokens(input=1), 10), collections=(first, first)),
        call(acme.alice, "small", attempt(Tokens(input=1), 20), collections=(second, first)),
        call(acme.alice, "small", attempt(Tokens(input=1), 40)),
    )
    with scope(acme.tenant):
        found = {row["collection"]: (row["collection_id"], row["cost"]) for row in usage(["collection"])["results"]}
    both = ",".join(str(one) for one in sorted((first, second)))
    assert found == {
        "": ("", "0.00000000004"),
        "contracts": (str(first), "0.00000000001"),
        "contracts, handbook": (both, "0.00000000002"),
    }
    assert differences(acme) == []


def test_a_report_of_whole_days_does_not_read_the_ledger(three_days: House) -> None:
    """It costs the same, whether the month holds thousands of calls or millions."""
    asked = {group: group == "model" for group in reports.GROUPS} | dict.fromkeys(
        ("departments", "users", "keys", "models")
    )
    month = datetime(2026, 3, 1, tzinfo=UTC), datetime(2026, 4, 1, tzinfo=UTC)
    with scope(three_days.tenant), connection.cursor() as cursor:
        statement = "explain (analyze, format json) " + reports._USAGE
        cursor.execute(statement, asked | reports.parts_of(*month))
        plan = str(cursor.fetchone())
        cursor.execute(statement, asked | reports.parts_of(month[0] + timedelta(hours=1), month[1]))
        partial = str(cursor.fetchone())
    assert "billing_rollup" in plan
    assert ledger_loops(plan) == 0
    assert ledger_loops(partial) == 1  # the first day is no whole one


def ledger_loops(plan: str) -> int:
    """How often the ledger was looked into."""
    return sum(
        int(node.split("'Actual Loops': ")[1].split(".")[0].split(",")[0])
        for node in plan.split("'Node Type'")
        if "'Relation Name': 'billing_usage'" in node
    )
