"""Money as the other apps see it. Amounts are whole pico-dollars (10⁻¹² USD) unless a type says Decimal."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import TYPE_CHECKING
from uuid import UUID

if TYPE_CHECKING:
    from .budgets import Slice

#: where the one window of a budget without periods begins
EPOCH = datetime(1970, 1, 1, tzinfo=UTC)


@dataclass(frozen=True, slots=True)
class Window:
    """One period: from `starts` until `ends` (None: it never ends)."""

    starts: datetime
    ends: datetime | None


def window_of(period: str, now: datetime) -> Window:
    """The period ("day", "month", "total"; in UTC) that a moment lies in."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if period == "day":
        return Window(midnight, midnight + timedelta(days=1))
    if period == "month":
        first = midnight.replace(day=1)
        return Window(first, (first + timedelta(days=32)).replace(day=1))
    return Window(EPOCH, None)


@dataclass(frozen=True, slots=True)
class BudgetView:
    """A budget as the hot path knows it. `target` is the id of what it limits (None: the tenant itself)."""

    id: UUID
    scope: str
    target: UUID | None
    period: str
    limit: int
    warn_at: tuple[Decimal, ...] = ()

    @property
    def title(self) -> str:
        """How a refusal names it, without personal data."""
        how_often = {"day": "daily budget", "month": "monthly budget"}.get(self.period, "budget")
        return f"The {how_often} of this {self.scope}"


@dataclass(frozen=True, slots=True)
class Budgets:
    """A tenant's budgets: (scope, target) -> those that limit it."""

    by_target: dict[tuple[str, UUID | None], tuple[BudgetView, ...]] = field(default_factory=dict)
    _found: dict[tuple[UUID | None, ...], tuple[BudgetView, ...]] = field(default_factory=dict)

    def of(
        self,
        *,
        department: UUID | None = None,
        user: UUID | None = None,
        key: UUID | None = None,
        model: UUID | None = None,
    ) -> tuple[BudgetView, ...]:
        """All budgets that a call must fit into, in one fixed order."""
        if not self.by_target:
            return ()
        asked = (department, user, key, model)
        found = self._found.get(asked)
        if found is None:
            targets = zip(("department", "user", "key", "model"), asked, strict=True)
            places = [("tenant", None), *((scope, target) for scope, target in targets if target is not None)]
            every = [view for place in places for view in self.by_target.get(place, ())]
            found = self._found[asked] = tuple(sorted(every, key=lambda view: view.id))
        return found


@dataclass(slots=True)
class Reservation:
    """Money held for one call: `amount` in each of its budgets."""

    tenant: UUID
    amount: int
    slices: Sequence[Slice] = ()


@dataclass(slots=True)
class Charge:
    """What one call takes from one lease: `spent` within what the budget held, `overrun` beyond it."""

    slice: Slice
    lease: UUID
    window: UUID
    spent: int
    overrun: int

    def row(self) -> dict[str, object]:
        """As the ledger's statement reads it."""
        return {"lease": self.lease, "window": self.window, "spent": self.spent, "overrun": self.overrun}


@dataclass(frozen=True, slots=True)
class BudgetState:
    """How a budget stands in its present period."""

    spent: Decimal
    reserved: Decimal
    remaining: Decimal
    overrun: Decimal
    renews_at: datetime | None


@dataclass(frozen=True, slots=True)
class Forecast:
    """How a budget's period is likely to end (forecasts.py). `spent` is None for a budget without an end; `runs_out_at`
    is None when it lasts.
    """

    spent: Decimal | None
    runs_out_at: datetime | None


@dataclass(frozen=True, slots=True)
class Swept:
    """What a sweep settled."""

    workers: int = 0
    calls: int = 0
    leases: int = 0
