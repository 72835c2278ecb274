"""Group commit: the batches in which intents, refusals, outcomes and usage reach PostgreSQL.

Requests hand a row over and get a future; one connection writes all rows that wait as one transaction, while the next
batch gathers. Two lanes run side by side, so that their commits overlap: events (intents, refusals) and outcomes.

    intent ──► events lane ───┐ set scope of tenant A, its rows; set scope of tenant B, its rows; commit
    refused ─►                │
    outcome ─► outcomes lane ─┘ event + usage + settlement of leases in one statement a tenant

What keeps a record from being lost:
- a row is in the queue when the function returns, so cancelling the caller loses nothing;
- after a lost connection the same rows are sent again; they are keyed, so a row that was committed after all is not
  written twice;
- a batch that is refused is written row by row: one caller's error is not everybody's;
- an intent that nobody waits for any more, but which may have been written, gets its outcome from here.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any
from uuid import UUID

import orjson

from audit.services import EVENTS
from billing.services import OUTCOMES, Charge, Leases, Reservation, usd
from tenants.data import Caller
from tenants.ids import uuid7

from .data import Tokens
from .errors import Unavailable
from .wire import Command, Lost, Refused, Undone, Unprepared, Wire

log = logging.getLogger("customhouse.journal")

INTENT_SECONDS = 2.0  #: that a call waits for its intent while the database is away
REFUSAL_SECONDS = 0.5
OUTCOME_SECONDS = 15.0  #: that a caller waits for its outcome; the row stays until it is written
MOST_WAITING = 5_000  #: intents and refusals; more are turned away at once
MOST_REFUSALS = 2_000
MOST_IN_BATCH = 256
WATCH_SECONDS = 0.25
#: that a row waits for company, at most: fewer commits for a wait that a worker with many calls does not notice
PACE_SECONDS = 0.008
SHARE = 4  #: of the open calls, one in so many makes company enough
DRAIN_SECONDS = 10.0
BACKOFF_SECONDS = (0.05, 0.1, 0.25, 0.5, 1.0)

SCOPE = "select set_config('app.tenant', $1, true)"
_KINDS = ("input", "cached_input", "cache_write", "output", "reasoning")


@dataclass(slots=True)
class Intent:
    """What a call is about to do: written before anything leaves the house. Holds no text of prompt or answer."""

    call: UUID
    caller: Caller
    kind: str
    model: str
    model_id: UUID | None
    deployment: str
    deployment_id: UUID | None
    region: str
    policy: str
    reservation: Reservation
    input_tokens: int  #: reserved
    output_tokens: int  #: reserved
    entities: Mapping[str, int] = field(default_factory=dict)
    passages: Sequence[Mapping[str, Any]] = ()
    stream: bool = False
    address: str = ""
    detail: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Attempt:
    """One try at a provider. `tokens` None: it failed, nothing was delivered. `cost` in pico-dollars."""

    deployment: str
    deployment_id: UUID | None
    region: str = ""
    tokens: Tokens | None = None
    cost: int = 0
    error: str = ""


@dataclass(slots=True)
class Outcome:
    """How a call ended. `attempts` in order, the last one ended it; none: nothing left the house."""

    intent: Intent
    attempts: Sequence[Attempt] = ()
    decision: str = "allow"
    reason: str = ""
    latency_ms: float = 0.0
    entities: Mapping[str, int] | None = None  #: None: as in the intent
    passages: Sequence[Mapping[str, Any]] | None = None
    detail: Mapping[str, Any] | None = None

    @property
    def cost(self) -> int:
        """Pico-dollars over all attempts."""
        return sum(attempt.cost for attempt in self.attempts)


@dataclass(slots=True)
class Refusal:
    """A call that was turned away; nothing left the house and nothing was reserved."""

    call: UUID
    caller: Caller
    reason: str
    kind: str = "chat"
    model: str = ""
    policy: str = ""
    entities: Mapping[str, int] = field(default_factory=dict)
    address: str = ""
    detail: Mapping[str, Any] | None = None


@dataclass(slots=True)
class Metrics:
    """Counted since the start."""

    batches: int = 0
    rows: int = 0
    wait_s: float = 0.0  #: of all rows together, from hand-over to durable
    slowest_s: float = 0.0
    lost: int = 0  #: connections
    single: int = 0  #: rows written alone because their batch was refused
    turned_away: int = 0  #: rows that were never taken, or waited too long
    voided: int = 0  #: intents that nobody waited for any more


@dataclass(slots=True, eq=False)
class Entry:
    """One row on its way."""

    tenant: UUID
    row: dict[str, Any]
    data: bytes
    future: asyncio.Future[None]
    at: float
    patience: float
    subject: Any
    written: Callable[[Entry], None]
    dropped: Callable[[Entry], None] | None  #: None: never dropped
    sent: bool = False  #: it may have been committed


class Journal:
    """This worker's journal. `start` before use; `stop` writes what waits."""

    def __init__(self, url: str, leases: Leases) -> None:
        self.metrics = Metrics()
        self._leases = leases
        self._open: dict[UUID, float] = {}
        crowd = self._open.__len__
        self._events = Lane("events", url, {"scope": SCOPE, "rows": EVENTS}, self.metrics, crowd)
        self._outcomes = Lane("outcomes", url, {"scope": SCOPE, "rows": OUTCOMES}, self.metrics, crowd)
        self._refusals = 0
        self._watching: asyncio.Task[None] | None = None
        leases.watch_open(self._oldest)

    async def start(self) -> None:
        self._events.start()
        self._outcomes.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, patience: float = DRAIN_SECONDS) -> None:
        """Writes what waits (events first: they may end in outcomes), then closes."""
        until = time.monotonic() + patience
        await self._events.stop(until)
        await self._outcomes.stop(until)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def crowd(self) -> int:
        """How many calls are open."""
        return len(self._open)

    @property
    def waiting(self) -> int:
        """Rows that are not durable yet."""
        return self._events.waiting + self._outcomes.waiting

    @property
    def healthy(self) -> bool:
        """Whether both lanes are connected."""
        return self._events.connected and self._outcomes.connected

    # -- what happened ----------------------------------------------------------------------------------------------

    def intent(self, intent: Intent) -> asyncio.Future[None]:
        """Hands an intent over, and its reservation with it. The future ends when it is durable; Unavailable when it
        will not be, or in time: then nothing may leave, and the reservation goes back from here.
        """
        future = asyncio.get_running_loop().create_future()
        if self._events.waiting >= MOST_WAITING:
            self._leases.release(intent.reservation)
            return self._turned_away(future)
        self._open[intent.call] = time.time()
        row = _intent_row(intent, self._leases.worker)
        return self._events.hand(intent.caller.tenant, row, future, INTENT_SECONDS, intent, self._begun, self._never)

    def outcome(self, outcome: Outcome) -> asyncio.Future[None]:
        """Hands the end of a call over: event, usage and settlement. The future ends when it is durable. Without the
        database it raises Unavailable after a while, but the row stays in the queue until it is written.
        """
        future = asyncio.get_running_loop().create_future()
        intent = outcome.intent
        charges = self._leases.charge(intent.reservation, outcome.cost)
        row = _outcome_row(outcome, charges)
        subject = (intent, charges)
        return self._outcomes.hand(intent.caller.tenant, row, future, OUTCOME_SECONDS, subject, self._ended, None)

    def refused(self, refusal: Refusal) -> asyncio.Future[None]:
        """Hands a refusal over. Unavailable when there are too many: a refusal that is not recorded is not given."""
        future = asyncio.get_running_loop().create_future()
        if self._refusals >= MOST_REFUSALS or self._events.waiting >= MOST_WAITING:
            return self._turned_away(future)
        self._refusals += 1
        row = _refusal_row(refusal)
        tenant = refusal.caller.tenant
        return self._events.hand(tenant, row, future, REFUSAL_SECONDS, refusal, self._noted, self._noted)

    # -- what became of it ------------------------------------------------------------------------------------------

    def _begun(self, entry: Entry) -> None:
        if entry.future.done():  # cancelled, or told that it cannot be recorded, while it was on its way
            intent: Intent = entry.subject
            interrupted = entry.future.cancelled()
            self.metrics.voided += 1
            self.outcome(
                Outcome(
                    intent,
                    decision="allow" if interrupted else "deny",
                    reason="interrupted" if interrupted else "service_unavailable",
                )
            )

    def _never(self, entry: Entry) -> None:
        """The intent was not written and will not be."""
        intent: Intent = entry.subject
        self._open.pop(intent.call, None)
        self._leases.release(intent.reservation)

    def _ended(self, entry: Entry) -> None:
        intent, charges = entry.subject
        self._open.pop(intent.call, None)
        self._leases.settle(intent.reservation, charges)

    def _noted(self, entry: Entry) -> None:
        self._refusals -= 1

    def _turned_away(self, future: asyncio.Future[None]) -> asyncio.Future[None]:
        self.metrics.turned_away += 1
        future.set_exception(Unavailable("Too many calls wait to be recorded. Try again shortly."))
        return future

    def _oldest(self) -> float | None:
        return next(iter(self._open.values()), None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            now = time.monotonic()
            self._events.tire(now)
            self._outcomes.tire(now)


class Lane:
    """One connection and the rows that wait for it. `crowd` tells how many calls are open."""

    def __init__(
        self, name: str, url: str, statements: Mapping[str, str], metrics: Metrics, crowd: Callable[[], int]
    ) -> None:
        self._name, self._url, self._statements, self._metrics = name, url, statements, metrics
        self._crowd = crowd
        self._began, self._enough = 0.0, 0  #: of the last batch; rows that are waited for
        self._ripe = asyncio.Event()
        self._queue: deque[Entry] = deque()
        self._flying: list[Entry] = []
        self._wake = asyncio.Event()
        self._wire: Wire | None = None
        self._prepare, self._tries = True, 0
        self._stopping = False
        self._task: asyncio.Task[None] | None = None

    def start(self) -> None:
        self._task = asyncio.create_task(self._run(), name=f"journal-{self._name}")

    async def stop(self, until: float) -> None:
        """Writes what waits until a moment (time.monotonic), then closes."""
        self._stopping = True
        self._wake.set()
        self._ripe.set()
        if self._task is not None:
            await asyncio.wait([self._task], timeout=max(until - time.monotonic(), 0.1))
            self._task.cancel()
            await asyncio.gather(self._task, return_exceptions=True)
        if self._wire is not None:
            await self._wire.close()
        if self.waiting:
            log.error("%d rows of the %s lane could not be written before the end", self.waiting, self._name)

    @property
    def waiting(self) -> int:
        return len(self._queue) + len(self._flying)

    @property
    def connected(self) -> bool:
        return self._wire is not None and self._wire.alive

    def hand(
        self,
        tenant: UUID,
        row: dict[str, Any],
        future: asyncio.Future[None],
        patience: float,
        subject: Any,
        written: Callable[[Entry], None],
        dropped: Callable[[Entry], None] | None,
    ) -> asyncio.Future[None]:
        """Takes a row; it is in the queue when this returns."""
        entry = Entry(tenant, row, _json(row), future, time.monotonic(), patience, subject, written, dropped)
        self._queue.append(entry)
        self._wake.set()
        if len(self._queue) >= self._enough:
            self._ripe.set()
        return future

    def tire(self, now: float) -> None:
        """Tells those who have waited too long. Rows that can still be left out are; the others stay."""
        for entry in (*self._flying, *self._queue):
            if now - entry.at > entry.patience and not entry.future.done():
                self._metrics.turned_away += 1
                entry.future.set_exception(Unavailable("The call cannot be recorded at the moment. Try again shortly."))
                entry.future.exception()  # somebody who was cancelled does not ask for it
        if self._queue and not self.connected:
            kept = [entry for entry in self._queue if not self._left_out(entry)]
            self._queue.clear()
            self._queue.extend(kept)

    def _left_out(self, entry: Entry) -> bool:
        if entry.dropped is None or entry.sent or not entry.future.done():
            return False
        entry.dropped(entry)
        return True

    async def _run(self) -> None:
        while not self._stopping or self._queue:
            wire = self._wire
            if wire is None or not wire.alive:
                await self._connect()
                continue
            if not self._queue:
                self._wake.clear()
                await self._wake.wait()
                continue
            await self._gather()
            batch = self._next()
            if batch:
                await self._deliver(wire, batch)

    async def _gather(self) -> None:
        """Waits a moment for more rows, where many calls are open and the last batch was only just begun."""
        now = time.monotonic()
        soon, enough = self._began + PACE_SECONDS - now, self._crowd() // SHARE
        if soon > 0 and len(self._queue) < enough and not self._stopping:
            self._enough = enough
            self._ripe.clear()
            timer = asyncio.get_running_loop().call_later(soon, self._ripe.set)
            await self._ripe.wait()
            timer.cancel()
            now = time.monotonic()
        self._began = now

    def _next(self) -> list[Entry]:
        batch: list[Entry] = []
        while self._queue and len(batch) < MOST_IN_BATCH:
            entry = self._queue.popleft()
            if not self._left_out(entry):
                batch.append(entry)
        return batch

    async def _deliver(self, wire: Wire, batch: list[Entry]) -> None:
        """Writes a batch; what could not be written is in the queue again, in its place."""
        self._flying = batch
        try:
            await self._write(wire, batch)
        except Refused as error:
            log.warning("a batch of %d was refused: %s", len(batch), error)
            await self._one_by_one(wire, batch)
        except (Lost, Undone) as error:
            await self._put_back(batch, error)
        except BaseException:
            self._queue.extendleft(reversed(batch))
            raise
        finally:
            self._flying = []

    async def _write(self, wire: Wire, batch: list[Entry]) -> None:
        for entry in batch:
            entry.sent = True
        await wire.run(_commands(batch))
        now, metrics = time.monotonic(), self._metrics
        metrics.batches += 1
        metrics.rows += len(batch)
        for entry in batch:
            waited = now - entry.at
            metrics.wait_s += waited
            if waited > metrics.slowest_s:
                metrics.slowest_s = waited
            self._tell(entry)

    def _tell(self, entry: Entry) -> None:
        """The row is durable. What goes wrong in telling must not keep other rows from being written."""
        try:
            entry.written(entry)
        except Exception:
            log.exception("a written row of the %s lane could not be settled", self._name)
        if not entry.future.done():
            entry.future.set_result(None)

    async def _one_by_one(self, wire: Wire, batch: list[Entry]) -> None:
        """Writes the rows of a refused batch alone; one that is refused again loses its details, not its record."""
        for place, entry in enumerate(batch):
            self._metrics.single += 1
            try:
                try:
                    await self._write(wire, [entry])
                except Refused as error:
                    self._bare(entry, error)
                    await self._write(wire, [entry])
            except Refused as error:
                self._give_up(entry, error)
            except (Lost, Undone) as error:
                await self._put_back(batch[place:], error)
                return

    def _bare(self, entry: Entry, error: Refused) -> None:
        log.warning("a row of the %s lane was refused, writing it without details: %s", self._name, error)
        entry.data = _json(_bare_row(entry.row))

    def _give_up(self, entry: Entry, error: Refused) -> None:
        log.error("a row of the %s lane cannot be written: %s", self._name, error)
        entry.sent = False
        if not entry.future.done():
            entry.future.set_exception(Unavailable("The call cannot be recorded.", retry_after=None))
        if entry.dropped is not None:
            entry.dropped(entry)

    async def _put_back(self, batch: list[Entry], error: Exception) -> None:
        self._queue.extendleft(reversed(batch))
        log.warning("the %s lane will try again: %s", self._name, error)
        if isinstance(error, Lost):
            self._prepare = self._prepare and not isinstance(error, Unprepared)
            await self._disconnect()
        else:
            await asyncio.sleep(BACKOFF_SECONDS[0])

    async def _connect(self) -> None:
        """One try, and a pause after it when it fails."""
        await self._disconnect()
        try:
            self._wire = await Wire.open(self._url, self._statements, self._wake.set, prepare=self._prepare)
            self._tries = 0
        except Unprepared:
            self._prepare = False
        except Lost as error:
            if self._tries in (0, 10, 100):
                log.warning("the %s lane has no database (%s)", self._name, error)
            pause = BACKOFF_SECONDS[min(self._tries, len(BACKOFF_SECONDS) - 1)]
            self._tries += 1
            await asyncio.sleep(pause)

    async def _disconnect(self) -> None:
        wire, self._wire = self._wire, None
        if wire is not None:
            self._metrics.lost += 1
            await wire.close()


# -- rows ------------------------------------------------------------------------------------------------------------


def _commands(batch: list[Entry]) -> list[Command]:
    """Each tenant's rows in that tenant's scope; tenants in one order everywhere, so that batches never deadlock."""
    rows: dict[UUID, list[bytes]] = {}
    for entry in batch:
        rows.setdefault(entry.tenant, []).append(entry.data)
    commands: list[Command] = []
    for tenant in sorted(rows) if len(rows) > 1 else rows:
        commands.append(("scope", [str(tenant).encode()]))
        commands.append(("rows", [b"[" + b",".join(rows[tenant]) + b"]"]))
    return commands


def _intent_row(intent: Intent, worker: UUID) -> dict[str, Any]:
    caller, reservation = intent.caller, intent.reservation
    detail: dict[str, Any] = dict(intent.detail) if intent.detail else {}
    detail["kind"] = intent.kind
    detail["worker"] = worker
    detail["reserved"] = usd(reservation.amount)
    detail["input_tokens"], detail["output_tokens"] = intent.input_tokens, intent.output_tokens
    detail["model_id"], detail["deployment_id"] = intent.model_id, intent.deployment_id
    if caller.user is not None and caller.actor_id is not caller.user:
        detail["user_id"] = caller.user
    if reservation.slices:
        detail["leases"] = [(held.lease, held.id) for held in reservation.slices]
    if intent.stream:
        detail["stream"] = True
    if intent.address:
        detail["address"] = intent.address
    return {
        "id": uuid7(),
        "action": "call.intent",
        "request_id": intent.call,
        "actor_type": caller.actor_type,
        "actor_id": caller.actor_id,
        "actor_name": caller.name,
        "department_id": caller.department,
        "policy": intent.policy,
        "model": intent.model,
        "deployment": intent.deployment[:200],
        "region": intent.region,
        "entities": intent.entities,
        "passages": intent.passages,
        "detail": detail,
    }


def _refusal_row(refusal: Refusal) -> dict[str, Any]:
    caller = refusal.caller
    detail: dict[str, Any] = dict(refusal.detail) if refusal.detail else {}
    detail["kind"] = refusal.kind
    if refusal.address:
        detail["address"] = refusal.address
    return {
        "id": uuid7(),
        "action": "call.refused",
        "decision": "deny",
        "reason": refusal.reason[:300],
        "request_id": refusal.call,
        "actor_type": caller.actor_type,
        "actor_id": caller.actor_id,
        "actor_name": caller.name,
        "department_id": caller.department,
        "policy": refusal.policy,
        "model": refusal.model[:200],
        "entities": refusal.entities,
        "detail": detail,
    }


def _outcome_row(outcome: Outcome, charges: Sequence[Charge]) -> dict[str, Any]:
    intent, attempts = outcome.intent, outcome.attempts
    caller, event = intent.caller, uuid7()
    last = attempts[-1] if attempts else None
    detail: dict[str, Any] = dict(outcome.detail) if outcome.detail else {}
    if intent.stream:
        detail["stream"] = True
    failed = [{"deployment": attempt.deployment, "error": attempt.error} for attempt in attempts if attempt.error]
    if failed:
        detail["failed"] = failed
    return {
        "id": event,
        "decision": outcome.decision,
        "reason": outcome.reason[:300],
        "request_id": intent.call,
        "actor_type": caller.actor_type,
        "actor_id": caller.actor_id,
        "actor_name": caller.name,
        "department_id": caller.department,
        "user_id": caller.user,
        "key_id": caller.key,
        "model_id": intent.model_id,
        "policy": intent.policy,
        "model": intent.model,
        "deployment": last.deployment[:200] if last is not None else "",
        "region": last.region if last is not None else "",
        "entities": intent.entities if outcome.entities is None else outcome.entities,
        "passages": intent.passages if outcome.passages is None else outcome.passages,
        "tokens": _tokens(attempts),
        "cost": outcome.cost,
        "latency_ms": round(outcome.latency_ms, 3),
        "detail": detail,
        "attempts": [
            _attempt_row(event if attempt is last else uuid7(), place, attempt)
            for place, attempt in enumerate(attempts, 1)
        ],
        "charges": [charge.row() for charge in charges],
    }


def _attempt_row(row: UUID, place: int, attempt: Attempt) -> dict[str, Any]:
    made: dict[str, Any] = {
        "id": row,
        "attempt": place,
        "deployment_id": attempt.deployment_id,
        "deployment": attempt.deployment[:200],
        "cost": attempt.cost,
    }
    tokens = attempt.tokens
    if tokens is not None:
        made["input"] = tokens.input + tokens.embedding
        made["output"] = tokens.output
        if tokens.cached_input or tokens.cache_write or tokens.reasoning:
            made["cached_input"], made["cache_write"] = tokens.cached_input, tokens.cache_write
            made["reasoning"] = tokens.reasoning
        if tokens.estimated:
            made["estimated"] = True
    return made


def _tokens(attempts: Sequence[Attempt]) -> dict[str, Any]:
    """All attempts' tokens by kind, those that are not zero."""
    found: dict[str, Any] = {}
    for attempt in attempts:
        tokens = attempt.tokens
        if tokens is not None:
            for kind in _KINDS:
                count = getattr(tokens, kind)
                if count:
                    found[kind] = found.get(kind, 0) + count
            if tokens.embedding:
                found["input"] = found.get("input", 0) + tokens.embedding
            if tokens.estimated:
                found["estimated"] = True
    return found


#: what a record cannot do without, and what the columns take
_NEEDED = frozenset(
    {"kind", "worker", "reserved", "input_tokens", "output_tokens", "model_id", "deployment_id", "user_id", "leases"}
)
_LENGTHS = {"actor_name": 200, "policy": 120, "model": 200, "deployment": 200, "region": 20, "reason": 300}


def _bare_row(row: Mapping[str, Any]) -> dict[str, Any]:
    """A row without what callers brought, cut to what the columns take."""
    bare = {key: value for key, value in row.items() if key not in ("passages", "entities", "tokens")}
    for name, most in _LENGTHS.items():
        if name in bare:
            bare[name] = bare[name][:most]
    if "detail" in row:
        bare["detail"] = {key: value for key, value in row["detail"].items() if key in _NEEDED}
    return bare


def _json(row: Mapping[str, Any]) -> bytes:
    """A row as JSON that PostgreSQL takes: without NUL characters and halves of surrogate pairs."""
    try:
        data = orjson.dumps(row, default=str)
        if b"\\u0000" not in data:
            return data
    except orjson.JSONEncodeError:
        pass  # a lone surrogate, or a number too large: cleaned below
    return orjson.dumps(_clean(row), default=str, option=orjson.OPT_NON_STR_KEYS)


def _clean(value: Any) -> Any:
    if isinstance(value, str):
        return value.replace("\0", "").encode(errors="replace").decode()
    if isinstance(value, Mapping):
        return {_clean(str(key)): _clean(found) for key, found in value.items()}
    if isinstance(value, list | tuple):
        return [_clean(found) for found in value]
    if isinstance(value, int) and not isinstance(value, bool) and abs(value) >= 2**63:
        return str(value)
    return value
