"""A vendor's export against the ledger: every form is read, every difference has its class."""

from __future__ import annotations

import csv
from datetime import UTC, date, datetime
from decimal import Decimal
from io import StringIO
from pathlib import Path
from typing import Any

import pytest

from audit.models import Event
from billing import reconciliation
from billing.errors import InvoiceUnreadable
from billing.invoices import Told, bare, read
from billing.models import Reconciliation, Usage
from tenants.ids import uuid7
from tenants.isolation import scope
from tests.billing.house import House
from tests.billing.test_rollups import charge

EXPORTS = Path(__file__).parent / "exports"
SECOND, THIRD = date(2026, 3, 2), date(2026, 3, 3)
MORNING = datetime(2026, 3, 2, 9, tzinfo=UTC)


def export(name: str) -> str:
    return (EXPORTS / f"{name}.csv").read_text()


# -- reading ---------------------------------------------------------------------------------------------------------


def test_openais_usage_export() -> None:
    assert read(export("openai_usage"), "openai") == {
        (SECOND, "gpt-4o-2024-08-06", "key_prod"): Told(3, 1100, 400, None, 300),
        (THIRD, "gpt-4o-mini-2024-07-18", "key_test"): Told(1, 70, 0, None, 30),
    }


def test_openais_cost_export() -> None:
    assert read(export("openai_costs"), "openai") == {
        (SECOND, "gpt-4o-2024-08-06", ""): Told(cost=Decimal("0.0075")),
    }


def test_anthropics_usage_export() -> None:
    assert read(export("anthropic_usage"), "anthropic") == {
        (SECOND, "claude-sonnet-4-20250514", "prod"): Told(None, 1000, 300, 60, 250),
        (SECOND, "claude-sonnet-4-20250514", "batch"): Told(None, 10, 0, 0, 5),
    }


def test_any_table_with_a_mapping() -> None:
    text = "\ufeffDate;Model;Cost;In\n2026-03-02T23:30:00-02:00;m;$1,234.50;1_000\n;;;\n"
    mapping = {"day": "Date", "model": "Model", "cost": "Cost", "input": "In"}
    assert read(text, "generic", mapping) == {(THIRD, "m", ""): Told(input=1000, cost=Decimal("1234.50"))}


@pytest.mark.parametrize(
    ("text", "vendor", "mapping", "says"),
    [
        ("", "openai", {}, "num_model_requests"),
        ("a,b\n1,2\n", "anthropic", {}, "usage_date_utc"),
        ("d,m\n", "generic", {"day": "d", "model": "m"}, "any of requests"),
        ("d,m,c\n", "generic", {"day": "d", "model": "m", "cost": "x"}, "Not in the file: x"),
        ("d,m,c\n", "generic", {"day": "d", "model": "m", "cost": "c", "tax": "c"}, "Unknown: tax"),
        (
            "d,m,c\nyesterday,m,1\n",
            "generic",
            {"day": "d", "model": "m", "cost": "c"},
            "Line 2: 'yesterday' is no date",
        ),
        ("d,m,c\n2026-01-01,m,NaN\n", "generic", {"day": "d", "model": "m", "cost": "c"}, "'NaN' is no number"),
        ("d,m,i\n2026-01-01,m,1.5\n", "generic", {"day": "d", "model": "m", "input": "i"}, "'1.5' is no count"),
        ("d,m,i\n2026-01-01,m,-1\n", "generic", {"day": "d", "model": "m", "input": "i"}, "'-1' is no count"),
        ("d,m,c\n2026-01-01,,1\n", "generic", {"day": "d", "model": "m", "cost": "c"}, "no line with a model"),
    ],
)
def test_what_is_no_export_is_refused_and_said_why(text: str, vendor: str, mapping: dict[str, str], says: str) -> None:
    with pytest.raises(InvoiceUnreadable, match=says):
        read(text, vendor, mapping)


@pytest.mark.parametrize(
    ("model", "name"),
    [
        ("gpt-4o-2024-08-06", "gpt-4o"),
        ("anthropic/claude-sonnet-4-20250514", "claude-sonnet-4"),
        ("claude-3-5-haiku-latest", "claude-3-5-haiku"),
        ("GPT-4o", "gpt-4o"),
    ],
)
def test_a_models_name_without_path_and_date(model: str, name: str) -> None:
    assert bare(model) == name


# -- comparing -------------------------------------------------------------------------------------------------------


def used(house: House, deployment: str, tokens: tuple[int, int, int, int], cost: str = "0", **more: Any) -> None:
    names = ("input_tokens", "cached_input_tokens", "cache_write_tokens", "output_tokens")
    charge(house, MORNING, cost, deployment=deployment, **dict(zip(names, tokens, strict=True)), **more)


def result(house: House, text: str, vendor: str = "generic", **more: Any) -> Reconciliation:
    mapping = {"day": "d", "model": "m", "input": "i", "output": "o", "cost": "c"} if vendor == "generic" else None
    with scope(house.tenant):
        made = reconciliation.ask(text, vendor, file_name="bill.csv", made_by="Bill", mapping=mapping, **more)
    reconciliation.make(house.tenant, made.pk)
    with scope(house.tenant):
        row = Reconciliation.objects.get(pk=made.pk)
        assert row.state == "succeeded", row.error
        return row


def classes(row: Reconciliation) -> dict[str, str]:
    return {one["model"]: one["class"] for one in row.lines or ()}


def test_every_difference_has_its_class(acme: House) -> None:
    for model, tokens, cost, more in (
        ("same", (10, 0, 0, 5), "0.5", {}),
        ("rounded", (10, 0, 0, 5), "0.504", {}),
        ("dearer", (10, 0, 0, 5), "0.5", {}),
        ("guessed", (10, 0, 0, 5), "0.5", {"estimated": True}),
        ("twice", (10, 0, 0, 5), "0.5", {"final": False}),
        ("odd", (10, 0, 0, 5), "0.5", {}),
        ("ours", (10, 0, 0, 5), "0.5", {}),
        ("cut", (10, 0, 0, 5), "0.5", {}),
    ):
        used(acme, f"openai/{model}", tokens, cost, **more)
    with scope(acme.tenant):
        cut = Usage.objects.get(deployment="openai/cut")
        Event.objects.create(
            id=cut.pk, action="call.outcome", reason="interrupted", actor_type="key", request_id=uuid7()
        )
    lines = [
        f"2026-03-02,{model},{into},5,{cost}"
        for model, into, cost in (
            ("same", 10, "0.5"),
            ("rounded", 10, "0.5"),
            ("dearer", 10, "0.6"),
            ("guessed", 12, "0.6"),
            ("twice", 20, "1"),
            ("odd", 11, "0.55"),
            ("theirs", 10, "0.5"),
            ("cut", 10, "0.7"),
        )
    ]
    # cut off: the vendor made more than was delivered
    lines[-1] = "2026-03-02,cut,10,50,0.7"
    row = result(acme, "\n".join(["d,m,i,o,c", *lines]))
    assert classes(row) == {
        "same": "equal",
        "rounded": "equal",
        "dearer": "price",
        "guessed": "estimated",
        "twice": "retried",
        "odd": "unexplained",
        "ours": "unmatched",
        "theirs": "unmatched",
        "cut": "aborted",
    }
    assert row.summary["total"] == {"lines": 9, "vendor_cost": "4.95", "ledger_cost": "4.004"}
    assert row.summary["unmatched"] == {"lines": 2, "vendor_cost": "0.50", "ledger_cost": "0.50"}
    guessed = next(one for one in row.lines if one["model"] == "guessed")
    assert (guessed["causes"], guessed["difference"]["input"], guessed["difference"]["cost"]) == (
        {"estimated": 1},
        2,
        "0.10",
    )


def test_openais_export_is_compared_by_key_where_its_keys_are_named(acme: House) -> None:
    used(acme, "openai-prod/gpt-4o", (1100, 400, 0, 250), reasoning_tokens=50)
    used(acme, "openai-test/gpt-4o", (7, 0, 0, 3))
    row = result(acme, export("openai_usage"), "openai", keys={"key_prod": "openai-prod"})
    found = {(one["day"], one["model"], one["key"]): one["class"] for one in row.lines}
    assert found == {
        ("2026-03-02", "gpt-4o", "openai-prod"): "equal",
        ("2026-03-03", "gpt-4o-mini", "key_test"): "unmatched",
    }


def test_without_keys_all_providers_are_one_and_named_ones_are_kept_apart(acme: House) -> None:
    used(acme, "a/claude-sonnet-4", (1010, 300, 60, 255))
    used(acme, "b/claude-sonnet-4", (1, 0, 0, 0))
    assert classes(result(acme, export("anthropic_usage"), "anthropic")) == {"claude-sonnet-4": "unexplained"}
    assert classes(result(acme, export("anthropic_usage"), "anthropic", providers=["a"])) == {
        "claude-sonnet-4": "equal"
    }


def test_costs_alone_differ_by_price(acme: House) -> None:
    used(acme, "openai/gpt-4o", (1, 0, 0, 1), "0.0075")
    assert classes(result(acme, export("openai_costs"), "openai", tolerance=Decimal(0))) == {"gpt-4o": "equal"}
    used(acme, "openai/gpt-4o", (1, 0, 0, 1), "0.000000000001")
    assert classes(result(acme, export("openai_costs"), "openai", tolerance=Decimal(0))) == {"gpt-4o": "price"}


def test_another_tenants_ledger_is_not_compared(acme: House, globex: House) -> None:
    used(globex, "openai/same", (10, 0, 0, 5), "0.5")
    row = result(acme, "d,m,i,o,c\n2026-03-02,same,10,5,0.5\n")
    assert classes(row) == {"same": "unmatched"}


def test_the_lines_as_a_spreadsheet_reads_them(acme: House) -> None:
    used(acme, "openai/same", (10, 0, 0, 5), "0.5")
    row = result(acme, "d,m,i,o,c\n2026-03-02,same,10,5,0.75\n2026-03-02,=evil(),1,1,1\n")
    lines = {line["model"]: line for line in csv.DictReader(StringIO(reconciliation.as_csv(row)))}
    assert set(lines) == {"same", "'=evil()"}
    same = lines["same"]
    assert (same["class"], same["vendor_cost"], same["ledger_cost"], same["difference_cost"]) == (
        "price",
        "0.75",
        "0.50",
        "0.25",
    )
