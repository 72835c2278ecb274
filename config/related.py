"""What a page of one app shows of another's objects: names, and what a key was used for."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass
from datetime import datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.db.models import Max, Model, Sum
from django.utils import timezone

from billing.models import Budget, Kind, Rollup, Usage
from billing.services import Prices, decimal, prices_at, rate
from gateway.models import Deployment
from gateway.models import Model as ModelName
from policies.models import Policy
from retrieval.models import Collection, Document
from tenants.isolation import current
from tenants.models import ApiKey, Department, User

DAYS = 30

NAMED: dict[str, type[Model]] = {
    "department": Department,
    "user": User,
    "key": ApiKey,
    "model": ModelName,
    "deployment": Deployment,
    "policy": Policy,
    "document": Document,
    "collection": Collection,
    "budget": Budget,
}


@dataclass(frozen=True, slots=True)
class KeyUse:
    """What one key did in the last DAYS days; cost in US dollars."""

    calls: int
    cost: Decimal
    last: datetime


def use_of_keys(ids: Iterable[UUID]) -> dict[UUID, KeyUse]:
    """One query for all of a page's keys; a key without calls is missing."""
    rows = (
        Rollup.objects.filter(key_id__in=list(ids), day__gt=timezone.now().date() - timedelta(days=DAYS))
        .values("key_id")
        .annotate(calls=Sum("calls"), spent=Sum("cost"), last=Max("last_at"))
        .order_by()
    )
    return {row["key_id"]: KeyUse(row["calls"], row["spent"], row["last"]) for row in rows if row["key_id"]}


def names_of(kind: str, ids: Iterable[UUID] | None = None) -> dict[UUID, str]:
    """The names of one kind of object by id: of those asked for, or of all. What no longer exists is missing."""
    found = NAMED[kind]._default_manager.all()
    if ids is not None:
        found = found.filter(pk__in=set(ids))
    if kind == "budget":
        return _budget_names(list(found))
    return {one.pk: one.name if kind == "key" else str(one) for one in found}  # type: ignore[attr-defined]


def _budget_names(budgets: list[Any]) -> dict[UUID, str]:
    """Budgets have no name: for whom each is, and for how long."""
    scopes = {budget.scope for budget in budgets if budget.target}
    named = {scope: names_of(scope, {one.target for one in budgets if one.scope == scope}) for scope in scopes}
    return {
        one.pk: f"{named[one.scope].get(one.target, 'one that is gone') if one.target else 'the whole tenant'}, "
        f"{'in all' if one.period == 'total' else f'a {one.period}'}"
        for one in budgets
    }


@dataclass(frozen=True, slots=True)
class Charge:
    """One attempt in the ledger: `lines` are kind, tokens, dollars a million and dollars (None: no price is shown)."""

    attempt: int
    deployment: str
    lines: list[tuple[str, int, Decimal | None, Decimal | None]]
    cost: Decimal
    estimated: bool


def charges_of(request_id: UUID, *, prices: bool) -> list[Charge]:
    """The attempts of a call as they were charged, at the prices that held then."""
    rows = list(Usage.objects.filter(request_id=request_id).order_by("attempt"))
    held = prices_at(rows[0].time) if rows and prices else Prices()
    found = []
    for row in rows:
        known = held.of(row.deployment_id, row.time.timestamp()) if row.deployment_id else {}
        lines: list[tuple[str, int, Decimal | None, Decimal | None]] = []
        for kind in (Kind.INPUT, Kind.CACHED_INPUT, Kind.CACHE_WRITE, Kind.OUTPUT, Kind.REASONING):
            tokens, each = getattr(row, f"{kind.value}_tokens"), rate(kind, known)
            if tokens:
                price, amount = (_per_million(each), decimal(tokens * each)) if known else (None, None)
                lines.append((str(kind.label), tokens, price, amount))
        found.append(Charge(row.attempt, row.deployment, lines, row.cost, row.estimated))
    return found


def _per_million(each: int) -> Decimal:
    """Pico-dollars for a token as dollars for a million."""
    return decimal(each * 1_000_000)


def own_deployments() -> dict[UUID, str]:
    """The deployments of the open tenant, without the platform's."""
    return {one.pk: one.name for one in Deployment.objects.filter(tenant_id=current())}


def prices_of(ids: Iterable[UUID]) -> dict[UUID, dict[str, Decimal]]:
    """What a million tokens that go in, and that come out, cost at deployments now: {"input", "output"} in US dollars;
    without those of which no price is known.
    """
    now = timezone.now()
    held, kinds = prices_at(now), (Kind.INPUT, Kind.OUTPUT)
    known = {deployment: held.of(deployment, now.timestamp()) for deployment in ids}
    return {
        deployment: {kind: _per_million(prices[kind]) for kind in kinds if kind in prices}
        for deployment, prices in known.items()
        if prices
    }
