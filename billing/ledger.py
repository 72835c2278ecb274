"""The only writer of money: usage, windows of budgets, and leases.

Every function is one transaction's worth of statements in an open scope. A window is always locked before its leases,
so that workers, top-ups and the sweeper never wait for each other in a circle.
"""

from __future__ import annotations

from dataclasses import dataclass
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from psycopg import AsyncConnection
from psycopg.rows import DictRow

from tenants.ids import uuid7

from .data import BudgetView, Window
from .prices import decimal, pico

_SQL = Path(__file__).parent / "sql"


def _read(name: str) -> str:
    return (_SQL / f"{name}.sql").read_text()


#: ends of calls, for the journal: one parameter ($1), a JSON array of `outcome` rows of one tenant
OUTCOMES = _read("outcomes")
#: the same statement for connections that mark parameters with %s
OUTCOMES_SYNC = OUTCOMES.replace("$1", "%s")

_OPEN_WINDOW = _read("open_window")
_TOP_UP = _read("top_up")
_LOCK_LEASE = _read("lock_lease")
_GIVE_BACK = _read("give_back")
_LIVE = _read("live")
_REGISTER = (
    "insert into billing_worker (tenant_id, id, started_at, seen_at, oldest_call)"
    " values (wall.platform(), %s, now(), now(), now()) on conflict do nothing"
)
_CALL_IN = "select pg_notify('customhouse_leases', %s)"


class Cursor(Protocol):
    """What runs a statement: Django's cursor."""

    def execute(self, sql: str, params: Any = None) -> Any: ...


@dataclass(frozen=True, slots=True)
class Slice:
    """What a top-up brought. Amounts in pico-dollars."""

    window: UUID
    lease: UUID | None
    granted: int
    left_over: int  #: in the lease, granted included
    room: int  #: the window had, before
    elsewhere: int  #: held unspent by other workers


async def top_up(
    connection: AsyncConnection[DictRow],
    budget: BudgetView,
    window: Window,
    worker: UUID,
    *,
    least: int,
    need: int,
    want: int,
) -> Slice:
    """Takes a slice of a budget's window into the worker's lease: at least `least` or nothing (see top_up.sql)."""
    place = {"budget": budget.id, "starts": window.starts, "limit": decimal(budget.limit)}
    await connection.execute(_OPEN_WINDOW, {**place, "id": uuid7()})
    sizes = {"least": decimal(least), "need": decimal(need), "want": decimal(want)}
    cursor = await connection.execute(_TOP_UP, {**place, **sizes, "worker": worker, "lease": uuid7()})
    row = await cursor.fetchone()
    assert row is not None, "the window was made a statement ago"
    return Slice(
        window=row["window_id"],
        lease=row["lease_id"],
        granted=pico(row["amount"]),
        left_over=pico(row["left_over"] or Decimal(0)),
        room=pico(row["room"]),
        elsewhere=pico(row["elsewhere"]),
    )


async def give_back(connection: AsyncConnection[DictRow], window: UUID, lease: UUID, amount: int | None) -> None:
    """Books what a lease has spent and returns `amount` of the rest (None: all, and the lease ends)."""
    place = {"window": window, "lease": lease}
    await connection.execute(_LOCK_LEASE, place)
    await connection.execute(_GIVE_BACK, {**place, "amount": None if amount is None else decimal(amount)})


def end_lease(cursor: Cursor, window: UUID, lease: UUID) -> None:
    """The same for the sweeper: everything goes back."""
    place = {"window": window, "lease": lease}
    cursor.execute(_LOCK_LEASE, place)
    cursor.execute(_GIVE_BACK, {**place, "amount": None})


async def call_in(connection: AsyncConnection[DictRow], window: UUID, worker: UUID) -> None:
    """Asks the other workers to return what they hold of a window and do not use."""
    await connection.execute(_CALL_IN, (f"wanted {window} {worker}",))


async def register(connection: AsyncConnection[DictRow], worker: UUID) -> None:
    """Enters a worker, in the platform's scope."""
    await connection.execute(_REGISTER, (worker,))


async def live(connection: AsyncConnection[DictRow], worker: UUID, oldest_call: float) -> bool:
    """Says that a worker lives (platform's scope). False: it was taken for dead and its calls were settled."""
    oldest = datetime.fromtimestamp(oldest_call, UTC)
    cursor = await connection.execute(_LIVE, {"worker": worker, "oldest": oldest})
    return await cursor.fetchone() is not None


async def sign_off(connection: AsyncConnection[DictRow], worker: UUID) -> None:
    """Removes a worker that leaves nothing open (platform's scope)."""
    await connection.execute("delete from billing_worker where tenant_id = wall.platform() and id = %s", (worker,))
