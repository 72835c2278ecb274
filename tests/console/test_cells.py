"""How values look: money, ids, bars, text that could be markup."""

from __future__ import annotations

from datetime import UTC, datetime
from decimal import Decimal

import pytest

from tenants.console import cells


@pytest.mark.parametrize(
    ("amount", "shown"),
    [
        ("1234.56", "$1,234.56"),
        ("1234.567", "$1,234.57"),
        ("0", "$0.00"),
        ("1", "$1.00"),
        ("0.5", "$0.50"),
        ("0.0317", "$0.0317"),
        ("0.000412345", "$0.000412"),
        ("0.000000000001", "$0.000000000001"),
        ("0.999999", "$1.00"),
        ("-0.02", "-$0.02"),
        ("0E-12", "$0.00"),
    ],
)
def test_it_shows_dollars_so_that_small_costs_are_not_zero(amount, shown):
    assert cells.dollars(Decimal(amount)) == shown


def test_it_keeps_all_digits_of_a_cost_on_hover():
    assert 'title="0.000412345678 USD"' in cells.money(Decimal("0.000412345678"))


def test_it_shortens_an_id_to_its_end_and_copies_the_whole():
    whole = "01980000-0000-7000-8000-0000deadbeef"
    shown = cells.short_id(whole)
    assert ">…deadbeef<" in shown
    assert f'data-copy="{whole}"' in shown


def test_it_writes_times_in_utc_for_the_script_to_localise():
    shown = cells.moment(datetime(2026, 11, 20, 23, 5, 1, tzinfo=UTC))
    assert 'title="2026-11-20 23:05:01 UTC"' in shown


@pytest.mark.parametrize("make", [cells.label, cells.words, cells.document, lambda text: cells.link("/", text)])
def test_it_never_lets_a_value_become_markup(make):
    assert "<script" not in make("<script>alert(1)</script>")


@pytest.mark.parametrize(("spent", "tone"), [("1", "good"), ("8", "warn"), ("10", "bad"), ("12", "bad")])
def test_it_colours_a_bar_by_what_is_left(spent, tone):
    assert f"ch-bar-{tone}" in cells.bar(Decimal(spent), Decimal(0), Decimal(10))


def test_it_draws_a_budget_of_nothing_as_used_up():
    assert "width:100%" in cells.bar(Decimal(0), Decimal(0), Decimal(0))
