"""Budgets as leases: each worker holds slices of budgets and spends them without asking anybody.

A slice is taken from the budget's window by one conditional statement, so the sum of what is spent and held never
passes the limit, however many workers there are. Slices are a quarter of what is left at most; near the limit a call
gets what is left of it, and then nothing.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import AsyncIterator, Callable, Iterable, Sequence
from contextlib import asynccontextmanager, suppress
from dataclasses import dataclass, field
from datetime import UTC, datetime
from math import inf
from pathlib import Path
from uuid import UUID

import psycopg
from psycopg import AsyncConnection

from tenants.ids import uuid7
from tenants.isolation.pool import Connection, make_pool, scoped
from tenants.isolation.scope import PLATFORM, Scope

from . import ledger
from .data import Budgets, BudgetView, Charge, Reservation, Window, window_of
from .errors import BudgetExhausted, LedgerUnavailable
from .prices import pico

log = logging.getLogger("customhouse.budgets")

CHANNEL = "customhouse_leases"
BEAT_SECONDS = 3.0  #: between two signs of life
SURE_SECONDS = 12.0  #: after its last sign of life a worker may still rely on its leases; the sweeper waits longer
IDLE_SECONDS = 10.0  #: until an unused slice is returned
PATIENCE_SECONDS = 0.25  #: a call's wait for what other workers may return
ASK_AGAIN_SECONDS = 1.0  #: between two requests to the others
SHORT_SECONDS = 0.25  #: for which a window without room is not asked again
STATEMENT_SECONDS = 2.0
FAILED_SECONDS = 0.5  #: for which the database counts as gone after a statement failed
CALLS_AHEAD = 8  #: worst cases that the first slice holds
_BUDGETS = (Path(__file__).parent / "sql" / "budgets.sql").read_text()
_SYSTEM = {"type": "system", "id": "", "name": "gateway"}


async def load_budgets(connection: Connection, tenant: UUID) -> Budgets:
    """The part of a tenant's snapshot that tells its budgets."""
    found: dict[tuple[str, UUID | None], tuple[BudgetView, ...]] = {}
    cursor = await connection.execute(_BUDGETS)
    for row in await cursor.fetchall():
        target = None if row["scope"] == "tenant" else row["target"]
        view = BudgetView(
            row["id"], row["scope"], target, row["period"], pico(row["limit"]), tuple(row["warn_at"] or ())
        )
        found[view.scope, target] = (*found.get((view.scope, target), ()), view)
    return Budgets(found)


@dataclass(slots=True, eq=False)
class Slice:
    """What this worker holds of one budget's window, in pico-dollars: `free`, and `outstanding` for running calls."""

    tenant: UUID
    budget: BudgetView
    window: Window
    ends: float
    id: UUID | None = None  #: the window's
    lease: UUID | None = None
    free: int = 0
    outstanding: int = 0
    waiting: int = 0  #: asked for by calls that wait
    want: int = 0
    room: int = 0
    used_at: float = 0.0
    topped_at: float = 0.0
    asked_at: float = -inf
    short_until: float = 0.0
    doubtful: bool = False  #: nobody knows whether the last statement about the lease was committed
    lock: asyncio.Lock = field(default_factory=asyncio.Lock)
    returned: asyncio.Event = field(default_factory=asyncio.Event)


class Leases:
    """This worker's slices of all budgets. `start` before use, `stop` at the end; both work without a database.

    Notices are heard at `direct`, where `url` leads through a pooler that passes none on.
    """

    def __init__(self, url: str, direct: str = "") -> None:
        self.worker = uuid7()
        self._direct, self._pool = direct or url, make_pool(url, size=3, check=True)
        self._slices: dict[UUID, Slice] = {}
        self._ended: list[Slice] = []
        self._oldest: Callable[[], float | None] = lambda: None
        self._registered, self._sure_until, self._failed_at = False, -inf, -inf
        self._beating = asyncio.Lock()
        self._tasks: set[asyncio.Task[None]] = set()

    def watch_open(self, oldest: Callable[[], float | None]) -> None:
        """Tells since when (unix seconds) this worker's oldest open call runs; None without one."""
        self._oldest = oldest

    async def start(self) -> None:
        await self._pool.open(wait=False)
        self._spawn(self._live())
        self._spawn(self._listen())

    async def stop(self) -> None:
        """Returns what is not in use, and signs off if nothing is left open."""
        for task in list(self._tasks):
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)
        try:
            for held in [*self._slices.values(), *self._ended]:
                await self._return(held)
            if self._registered and self._oldest() is None:
                async with self._scope(PLATFORM) as connection:
                    await ledger.sign_off(connection, self.worker)
        except LedgerUnavailable:
            log.warning("leases could not be returned; they end with this worker")
        finally:
            await self._pool.close()

    # -- a call ---------------------------------------------------------------------------------------------------

    async def reserve(
        self, tenant: UUID, budgets: Sequence[BudgetView], amount: int, *, at_least: int | None = None
    ) -> Reservation:
        """Holds `amount` pico-dollars in all budgets, or in none.

        Near a limit the reservation may be smaller, down to `at_least` (default: `amount`). No I/O while this
        worker's slices suffice. Raises BudgetExhausted or LedgerUnavailable.
        """
        if time.monotonic() > self._sure_until:
            await self._make_sure()
        if not budgets or amount <= 0:
            return Reservation(tenant, max(amount, 0))
        now = time.time()
        slices = [self._slice(tenant, budget, now) for budget in budgets]
        for held in slices:
            if held.free < amount:
                least = amount if at_least is None else min(at_least, amount)
                return await self._obtain(tenant, slices, amount, max(least, 1))
        for held in slices:
            held.free -= amount
            held.outstanding += amount
        return Reservation(tenant, amount, slices)

    def release(self, reservation: Reservation) -> None:
        """Gives a reservation back unused."""
        for held in reservation.slices:
            self._put_back(held, reservation.amount)

    def charge(self, reservation: Reservation, cost: int) -> list[Charge]:
        """What a call takes from each lease. What it cost beyond its reservation comes from the slice as far as that
        reaches, and is an overrun beyond. Nothing is freed before `settle`.
        """
        charges = []
        for held in reservation.slices:
            assert held.lease is not None, "a slice without a lease holds nothing"
            assert held.id is not None
            extra = min(max(cost - reservation.amount, 0), held.free)
            held.free -= extra
            held.outstanding += extra
            spent = min(cost, reservation.amount + extra)
            charges.append(Charge(held, held.lease, held.id, spent, cost - spent))
        return charges

    def settle(self, reservation: Reservation, charges: Iterable[Charge]) -> None:
        """The charges are durable: the rest of the reservation is free again."""
        now = time.monotonic()
        for charge in charges:
            held = charge.slice
            within = min(charge.spent, reservation.amount)
            held.outstanding -= reservation.amount + charge.spent - within
            held.free += reservation.amount - within
            held.used_at = now

    def _put_back(self, held: Slice, amount: int) -> None:
        held.free += amount
        held.outstanding -= amount
        held.used_at = time.monotonic()

    # -- slices ---------------------------------------------------------------------------------------------------

    def _slice(self, tenant: UUID, budget: BudgetView, now: float) -> Slice:
        held = self._slices.get(budget.id)
        if held is None or held.ends <= now:
            if held is not None:
                self._ended.append(held)
            window = window_of(budget.period, datetime.fromtimestamp(now, UTC))
            held = Slice(tenant, budget, window, window.ends.timestamp() if window.ends else inf)
            held.used_at = time.monotonic()
            self._slices[budget.id] = held
        elif held.budget is not budget:
            self._changed(held, budget)
        return held

    def _changed(self, held: Slice, budget: BudgetView) -> None:
        """The budget was read anew. What is held under a higher limit goes back before it is spent under the lower."""
        if budget.period != held.budget.period:
            held.ends = -inf
        if budget.limit < held.budget.limit and held.free > 0:
            self._spawn(self._quietly_return(held))
        held.budget, held.short_until = budget, 0.0

    async def _obtain(self, tenant: UUID, slices: list[Slice], amount: int, least: int) -> Reservation:
        """Takes from every slice in their fixed order, so that two calls never hold what the other waits for."""
        taken: list[int] = []
        try:
            for held in slices:  # one after the other, and what was taken is known when one fails
                taken.append(await self._take(held, amount, least))  # noqa: PERF401
        except BaseException:
            for held, had in zip(slices, taken, strict=False):
                self._put_back(held, had)
            raise
        final = min(taken)
        for held, had in zip(slices, taken, strict=True):
            if had > final:
                self._put_back(held, had - final)
        return Reservation(tenant, final, slices)

    async def _take(self, held: Slice, amount: int, least: int) -> int:
        held.waiting += amount
        try:
            async with held.lock:
                if held.free < amount:
                    await self._fill(held, amount, least)
                had = min(held.free, amount)
                if had < least:
                    if held.free:
                        self._spawn(self._quietly_return(held))
                    raise BudgetExhausted(held.budget, held.window.ends)
                held.free -= had
                held.outstanding += had
                return had
        finally:
            held.waiting -= amount

    async def _fill(self, held: Slice, amount: int, least: int) -> None:
        """Tops the slice up; when the window is short, asks the other workers once and waits a moment."""
        until = None
        while held.free < amount:
            now = time.monotonic()
            if now < held.short_until and held.room < least - held.free:
                return
            self._spare_the_wait()
            held.returned.clear()
            brought = await self._top_up(held, amount, least)
            if held.free >= amount:
                return
            if until is None:
                if brought.elsewhere <= 0 or now - held.asked_at < ASK_AGAIN_SECONDS:
                    break
                held.asked_at, until = now, now + PATIENCE_SECONDS
                async with self._scope(held.tenant) as connection:
                    await ledger.call_in(connection, brought.window, self.worker)
            try:
                await asyncio.wait_for(held.returned.wait(), until - time.monotonic())
            except TimeoutError:
                break
        if held.free < amount:
            held.short_until = time.monotonic() + SHORT_SECONDS

    async def _top_up(self, held: Slice, amount: int, least: int) -> ledger.Slice:
        now = time.monotonic()
        quick = now - held.topped_at < 1.0
        held.want = max(CALLS_AHEAD * amount, held.want * 2 if quick else held.want // 2)
        held.want = min(held.want, held.budget.limit)
        was_doubtful, held.doubtful = held.doubtful, True
        async with self._scope(held.tenant) as connection:
            brought = await ledger.top_up(
                connection,
                held.budget,
                held.window,
                self.worker,
                least=max(least - held.free, 1),
                need=max(amount, held.waiting) - held.free,
                want=held.want,
            )
        held.doubtful, held.topped_at = False, now
        held.room = brought.room - brought.granted
        held.id, held.lease = brought.window, brought.lease or held.lease
        held.free += brought.granted
        if was_doubtful and brought.lease is not None:
            held.free = max(brought.left_over - held.outstanding, 0)
        return brought

    async def _return(self, held: Slice) -> None:
        """Returns what is free; with nothing outstanding the lease ends."""
        async with held.lock:
            if held.lease is None or held.id is None:
                return
            lease, amount = held.lease, held.free if held.outstanding else None
            held.free = 0
            if amount is None:
                held.lease = None
            was_doubtful, held.doubtful = held.doubtful, True
            async with self._scope(held.tenant) as connection:
                await ledger.give_back(connection, held.id, lease, amount)
            held.doubtful = was_doubtful

    async def _quietly_return(self, held: Slice) -> None:
        with suppress(LedgerUnavailable):  # then it goes back later, or ends with this worker
            await self._return(held)

    async def _return_idle(self) -> None:
        """Returns what nobody used for a while, and what is left of periods that are over."""
        before = time.monotonic() - IDLE_SECONDS
        now = time.time()
        for held in list(self._slices.values()):
            if held.ends <= now:
                self._ended.append(self._slices.pop(held.budget.id))
            elif held.used_at < before and not held.lock.locked():
                if held.free or not held.outstanding:
                    await self._return(held)
                if not held.outstanding and held.lease is None and not held.waiting:
                    self._slices.pop(held.budget.id, None)
        for held in [held for held in self._ended if not held.outstanding]:
            await self._return(held)
            self._ended.remove(held)

    # -- this worker ----------------------------------------------------------------------------------------------

    async def _live(self) -> None:
        while True:
            try:
                async with self._beating:
                    await self._beat()
                await self._return_idle()
                pause = BEAT_SECONDS
            except LedgerUnavailable:
                pause = 0.5
            await asyncio.sleep(pause)

    async def _make_sure(self) -> None:
        """Before relying on leases after a silence: asks once, however many calls wait."""
        async with self._beating:
            if time.monotonic() > self._sure_until:
                self._spare_the_wait()
                await self._beat()

    async def _beat(self) -> None:
        """One sign of life. A worker that was taken for dead begins anew: its leases are gone and its calls settled."""
        now = time.monotonic()
        oldest = self._oldest() or time.time()
        async with self._scope(PLATFORM) as connection:
            if self._registered and not await ledger.live(connection, self.worker, oldest):
                log.error("this worker was taken for dead; it begins anew")
                self.worker, self._registered = uuid7(), False
                self._slices.clear()
                self._ended.clear()
            if not self._registered:
                await ledger.register(connection, self.worker)
        self._registered, self._sure_until = True, now + SURE_SECONDS

    async def _listen(self) -> None:
        """Hears who wants something returned, and what was."""
        while True:
            try:
                async with await AsyncConnection.connect(self._direct, autocommit=True) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    async for notice in connection.notifies():
                        self._heard(*notice.payload.split())
            except (psycopg.OperationalError, OSError) as error:
                log.warning("not listening for leases (%s)", type(error).__name__)
                await asyncio.sleep(1)

    def _heard(self, what: str, window: str, worker: str = "") -> None:
        found = UUID(window)
        for held in self._slices.values():
            if held.id == found:
                if what == "returned":
                    held.short_until = 0.0
                    held.returned.set()
                elif worker != str(self.worker) and not held.lock.locked():
                    self._spawn(self._quietly_return(held))

    def _spawn(self, work: object) -> None:
        task: asyncio.Task[None] = asyncio.create_task(work)  # type: ignore[arg-type]
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    def _spare_the_wait(self) -> None:
        """Calls that queued behind one which found no database do not each wait for it again."""
        if time.monotonic() - self._failed_at < FAILED_SECONDS:
            raise LedgerUnavailable

    @asynccontextmanager
    async def _scope(self, tenant: UUID) -> AsyncIterator[Connection]:
        try:
            async with asyncio.timeout(STATEMENT_SECONDS), scoped(self._pool, Scope(tenant, actor=_SYSTEM)) as found:
                yield found
        except (psycopg.OperationalError, psycopg.InterfaceError, OSError, TimeoutError) as error:
            self._failed_at = time.monotonic()
            raise LedgerUnavailable from error
