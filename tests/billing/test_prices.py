"""What tokens cost, exactly."""

from __future__ import annotations

import asyncio
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

import psycopg
import pytest
from hypothesis import given
from hypothesis import strategies as st
from psycopg.rows import dict_row

from billing.errors import PriceRefused
from billing.models import Price
from billing.prices import (
    cost,
    decimal,
    import_prices,
    is_priced,
    load_prices,
    money_string,
    per_token,
    pico,
    timeline,
    usd,
    worst_case,
)
from gateway.data import Tokens
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tests.billing.house import House

#: USD per million: input 3, cached 0.3, output 15
SONNET = {"input": 3_000_000, "cached_input": 300_000, "output": 15_000_000}
NOW = datetime.now(UTC)
PRICES = st.dictionaries(st.sampled_from(["input", "cached_input", "output", "reasoning"]), st.integers(0, 10**9))
COUNTS = st.integers(0, 10**7)


@pytest.mark.parametrize(
    ("amount", "text"),
    [(0, "0.00"), (1, "0.000000000001"), (123_000_000, "0.000123"), (10 * 10**12, "10.00"), (-5 * 10**11, "-0.50")],
)
def test_amounts_are_shown_exactly(amount: int, text: str) -> None:
    assert usd(amount) == text


@given(st.integers(0, 10**24))
def test_an_amount_survives_being_written_and_read(amount: int) -> None:
    assert pico(Decimal(usd(amount))) == pico(decimal(amount)) == amount


def test_a_stored_amount_loses_its_idle_zeros_only() -> None:
    assert money_string(Decimal("0.000123000000")) == "0.000123"


def test_each_kind_has_its_own_price() -> None:
    tokens = Tokens(input=1000, cached_input=500, output=200)
    assert usd(cost(tokens, SONNET)) == "0.00615"


def test_a_kind_without_a_price_costs_what_its_family_costs() -> None:
    assert cost(Tokens(reasoning=10, cache_write=10, embedding=10), SONNET) == 10 * 15_000_000 + 20 * 3_000_000


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), PRICES)
def test_cost_agrees_with_decimal_arithmetic(counts: tuple[int, int, int, int], prices: dict[str, int]) -> None:
    tokens = Tokens(input=counts[0], cached_input=counts[1], output=counts[2], reasoning=counts[3])
    family = {"cached_input": "input", "reasoning": "output"}
    expected = Decimal(0)
    for kind in ("input", "cached_input", "output", "reasoning"):
        per_million = Decimal(prices.get(kind, prices.get(family.get(kind, ""), 0))) / 10**6
        expected += getattr(tokens, kind) * per_million / 10**6
    assert decimal(cost(tokens, prices)) == expected


@given(st.tuples(COUNTS, COUNTS, COUNTS, COUNTS), PRICES)
def test_nothing_costs_more_than_the_worst_case(counts: tuple[int, int, int, int], prices: dict[str, int]) -> None:
    tokens = Tokens(input=counts[0], cached_input=counts[1], output=counts[2], reasoning=counts[3])
    assert cost(tokens, prices) <= worst_case(prices, counts[0] + counts[1], counts[2] + counts[3])


@pytest.mark.parametrize("wrong", ["0.0000001", "-1", "NaN", "Infinity"])
def test_a_price_that_cannot_be_kept_exactly_is_refused(wrong: str) -> None:
    with pytest.raises(PriceRefused):
        per_token(Decimal(wrong))


def test_an_unpriced_vendor_is_refused_and_a_free_one_is_not() -> None:
    assert not is_priced("openai_compatible", False, {})
    assert not is_priced("openai_compatible", False, {"input": 1}), "its answers have no price"
    assert is_priced("openai_compatible", False, {"input": 1}, "embeddings")
    assert is_priced("openai_compatible", True, {}), "self-hosted"
    assert is_priced("extractive", False, {})
    assert is_priced("scripted", False, {})


def test_a_price_holds_until_the_next_one_begins() -> None:
    deployment, now = uuid7(), 1000.0
    rows = [(deployment, "input", Decimal(price), since) for price, since in (("1", 0.0), ("2", 900.0), ("3", 1100.0))]
    prices = timeline([*rows, (deployment, "output", Decimal(5), 0.0)], now)
    assert prices.of(deployment, now)["input"] == 2_000_000
    assert prices.of(deployment, 1100.0) == {"input": 3_000_000, "output": 5_000_000}
    assert prices.next_change == 1100.0
    assert prices.of(uuid7()) == {}


def loaded(house: House) -> Any:
    async def load() -> Any:
        async with await psycopg.AsyncConnection.connect(house.servers.app, row_factory=dict_row) as connection:
            await connection.execute("select set_config('app.tenant', %s, true)", (str(house.tenant),))
            return await load_prices(connection, house.tenant)

    return asyncio.run(load())


def price(deployment: UUID, per_million: str, since: datetime) -> None:
    Price.objects.create(deployment_id=deployment, kind="input", per_million=Decimal(per_million), valid_from=since)


def test_the_snapshot_has_the_price_of_now_and_the_next_one(acme: House) -> None:
    deployment = uuid7()
    with scope(acme.tenant):
        for per_million, days in (("1", -20), ("2", -10), ("3", 1)):
            price(deployment, per_million, NOW + timedelta(days=days))
    prices = loaded(acme)
    assert prices.of(deployment) == {"input": 2_000_000}
    assert prices.of(deployment, (NOW + timedelta(days=2)).timestamp()) == {"input": 3_000_000}
    assert len(prices.steps[deployment]) == 2, "what no longer holds is not loaded"


def test_charlie_sees_the_platforms_prices_and_not_acmes(acme: House, globex: House) -> None:
    shared, own = uuid7(), uuid7()
    with scope(PLATFORM):
        price(shared, "4", NOW)
    with scope(acme.tenant):
        price(own, "1", NOW)
    prices = loaded(globex)
    assert prices.of(shared) == {"input": 4_000_000}
    assert prices.of(own) == {}


def test_a_tenant_cannot_make_a_shared_deployment_cheaper(acme: House) -> None:
    shared = uuid7()
    with scope(PLATFORM):
        price(shared, "4", NOW - timedelta(days=1))
    with scope(acme.tenant):
        price(shared, "0", NOW)
    assert loaded(acme).of(shared) == {"input": 4_000_000}


def test_importing_the_same_table_twice_changes_nothing(acme: House) -> None:
    deployment, table = uuid7(), {"input": Decimal("0.15"), "output": Decimal("0.6")}
    with scope(acme.tenant):
        assert len(import_prices(deployment, table, source="litellm 1.106.2")) == 2
        assert import_prices(deployment, table, source="litellm 1.106.3") == []
        changed = import_prices(deployment, table | {"output": Decimal("0.5")}, source="litellm 1.106.4")
        assert [(one.kind, one.source) for one in changed] == [("output", "litellm 1.106.4")]


def test_a_table_with_an_unknown_kind_is_refused_whole(acme: House) -> None:
    deployment = uuid7()
    with scope(acme.tenant):
        with pytest.raises(PriceRefused, match="smell"):
            import_prices(deployment, {"input": Decimal(1), "smell": Decimal(1)}, source="by hand")
        assert not Price.objects.filter(deployment_id=deployment).exists()
