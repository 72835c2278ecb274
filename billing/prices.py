"""Prices: exact arithmetic in whole pico-dollars (10⁻¹² USD), and which price holds at which time.

A price per million tokens has at most six decimals, so one token costs a whole number of pico-dollars: nothing is
ever rounded, and re-rating a period gives the same sum.
"""

from __future__ import annotations

import time
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import UTC, datetime
from decimal import Decimal, InvalidOperation
from math import inf
from pathlib import Path
from typing import Protocol
from uuid import UUID

from django.db import connection

from tenants.isolation.pool import Connection

from .errors import PriceRefused
from .models import Kind, Price

PICO = 10**12
_PICO_PLACES = 12
_NO_PRICES: Mapping[str, int] = {}
_SQL = Path(__file__).parent / "sql"
_TABLE = (_SQL / "prices.sql").read_text()
ALL_PRICES = (_SQL / "all_prices.sql").read_text()

#: a kind that has no price of its own costs what this kind costs
FALLBACK = {
    "cached_input": "input",
    "cache_write": "input",
    "embedding": "input",
    "reasoning": "output",
}
#: providers whose answers cost nothing by their nature
FREE_PROVIDERS = frozenset({"extractive", "scripted"})


class TokenCounts(Protocol):
    """Disjoint counts of tokens."""

    input: int
    cached_input: int
    cache_write: int
    output: int
    reasoning: int
    embedding: int


# -- amounts -----------------------------------------------------------------------------------------------------


def usd(pico: int) -> str:
    """Pico-dollars as an exact decimal string with at least two places: 123000000 -> "0.000123"."""
    sign = "-" if pico < 0 else ""
    whole, rest = divmod(abs(pico), PICO)
    places = f"{rest:012d}".rstrip("0")
    return f"{sign}{whole}.{places:0<2}"


def pico(amount: Decimal) -> int:
    """US dollars as whole pico-dollars; PriceRefused when that would round."""
    scaled = amount.scaleb(_PICO_PLACES)
    if scaled != scaled.to_integral_value():
        raise PriceRefused("An amount of money has at most twelve decimals.")
    return int(scaled)


def decimal(amount: int) -> Decimal:
    """Pico-dollars as a decimal of US dollars."""
    return Decimal(amount).scaleb(-_PICO_PLACES)


def money_string(amount: Decimal) -> str:
    """A stored amount as the outside sees it: exact, without idle zeros, with at least two places."""
    return usd(pico(amount))


# -- what a call costs -------------------------------------------------------------------------------------------


def rate(kind: str, prices: Mapping[str, int]) -> int:
    """Pico-dollars for one token of a kind; a kind without its own price costs what its family costs."""
    found = prices.get(kind)
    if found is None:
        found = prices.get(FALLBACK.get(kind, ""), 0)
    return found


def cost(tokens: TokenCounts, prices: Mapping[str, int]) -> int:
    """What tokens cost, in pico-dollars."""
    if not prices:
        return 0
    total = tokens.input * rate("input", prices) + tokens.output * rate("output", prices)
    if tokens.cached_input:
        total += tokens.cached_input * rate("cached_input", prices)
    if tokens.cache_write:
        total += tokens.cache_write * rate("cache_write", prices)
    if tokens.reasoning:
        total += tokens.reasoning * rate("reasoning", prices)
    if tokens.embedding:
        total += tokens.embedding * rate("embedding", prices)
    return total


def worst_case(prices: Mapping[str, int], input_tokens: int, output_tokens: int) -> int:
    """The most that so many tokens can cost, whichever kinds they turn out to be, in pico-dollars."""
    dearest_in, dearest_out = dearest(prices)
    return input_tokens * dearest_in + output_tokens * dearest_out


def dearest(prices: Mapping[str, int]) -> tuple[int, int]:
    """Pico-dollars for the dearest kind of token that goes in, and that comes out."""
    if not prices:
        return 0, 0
    into = prices.get("input", 0)
    for kind in ("cached_input", "cache_write", "embedding"):
        if kind in prices and prices[kind] > into:
            into = prices[kind]
    return into, max(rate("output", prices), rate("reasoning", prices))


def is_priced(provider_kind: str, self_hosted: bool, prices: Mapping[str, int], call_kind: str = "chat") -> bool:
    """Whether a deployment's calls can be charged. An unpriced one is refused, unless it is free by nature."""
    if provider_kind in FREE_PROVIDERS or (self_hosted and not prices):
        return True
    if call_kind == "embeddings":
        return "embedding" in prices or "input" in prices
    return "input" in prices and "output" in prices


# -- which price holds -------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Prices:
    """A tenant's prices from now on. `steps`: deployment -> (from, in unix seconds; pico-dollars per token by kind)."""

    steps: dict[UUID, tuple[tuple[float, dict[str, int]], ...]] = field(default_factory=dict)
    next_change: float = inf  #: when some price changes by itself, in unix seconds

    def of(self, deployment: UUID, at: float | None = None) -> Mapping[str, int]:
        """Pico-dollars per token by kind at a time (now); empty when nothing is known."""
        steps = self.steps.get(deployment)
        if steps is None:
            return _NO_PRICES
        if len(steps) == 1 and at is None:
            return steps[0][1]
        moment = time.time() if at is None else at
        return next((prices for since, prices in reversed(steps) if since <= moment), _NO_PRICES)


async def load_prices(connection: Connection, tenant: UUID) -> Prices:
    """The part of a tenant's snapshot that tells prices: those that hold now and those that will."""
    cursor = await connection.execute(_TABLE)
    return timeline(
        [
            (row["deployment_id"], row["kind"], row["per_million"], row["valid_from"].timestamp())
            for row in await cursor.fetchall()
        ],
        time.time(),
    )


def prices_at(at: datetime) -> Prices:
    """The prices that the open tenant's calls were charged by at a time; ask it `of` a deployment at that time."""
    with connection.cursor() as cursor:
        cursor.execute(ALL_PRICES)
        rows = [(deployment, kind, price, since.timestamp()) for deployment, kind, price, since in cursor.fetchall()]
    return timeline(rows, at.timestamp())


def timeline(rows: list[tuple[UUID, str, Decimal, float]], now: float) -> Prices:
    """Prices from rows (deployment, kind, USD per million, valid from in unix seconds)."""
    changes: dict[UUID, dict[float, dict[str, int]]] = {}
    for deployment, kind, per_million, since in rows:
        changes.setdefault(deployment, {}).setdefault(since, {})[kind] = per_token(per_million)
    steps = {deployment: _steps(found, now) for deployment, found in changes.items()}
    later = [since for found in steps.values() for since, _ in found if since > now]
    return Prices(steps, min(later, default=inf))


def _steps(changes: dict[float, dict[str, int]], now: float) -> tuple[tuple[float, dict[str, int]], ...]:
    steps: list[tuple[float, dict[str, int]]] = []
    holding: dict[str, int] = {}
    for since in sorted(changes):
        holding = {**holding, **changes[since]}
        if since <= now:
            steps.clear()
        steps.append((since, holding))
    return tuple(steps)


# -- writing prices ----------------------------------------------------------------------------------------------


def per_token(per_million: Decimal) -> int:
    """USD per million tokens as pico-dollars per token. Raises PriceRefused."""
    try:
        scaled = per_million.scaleb(6)
        if not scaled.is_finite() or scaled < 0 or scaled != scaled.to_integral_value():
            raise PriceRefused
    except InvalidOperation as error:
        raise PriceRefused from error
    return int(scaled)


def import_prices(
    deployment: UUID, per_million: Mapping[str, Decimal], *, source: str, valid_from: datetime | None = None
) -> list[Price]:
    """Writes a deployment's prices by kind, in the open scope, valid from now unless said otherwise.

    Kinds whose price is the one that holds already are left alone, so that importing the same table twice changes
    nothing. Raises PriceRefused for an unknown kind or a price that cannot be kept exactly.
    """
    since = valid_from or datetime.now(UTC)
    unknown = set(per_million) - set(Kind.values)
    if unknown:
        raise PriceRefused(f"Unknown kinds of tokens: {', '.join(sorted(unknown))}.")
    for amount in per_million.values():
        per_token(amount)
    made = []
    for kind, amount in per_million.items():
        holding = Price.objects.filter(deployment_id=deployment, kind=kind, valid_from__lte=since).first()
        if holding is None or holding.per_million != amount:
            price, _ = Price.objects.update_or_create(
                deployment_id=deployment,
                kind=kind,
                valid_from=since,
                defaults={"per_million": amount, "source": source},
            )
            made.append(price)
    return made
