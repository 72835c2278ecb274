"""Requests and tokens per minute, shared by all workers: sliding minutes (GCRA) in Redis.

Far from every limit a call does not wait for Redis: a worker may use half of its share of what was left when it last
heard, and tells Redis a moment later. Nearer to a limit Redis decides; calls that gather while a batch is under way are
asked about together, in one script. Redis may be gone: then each worker keeps to its share of the limits by itself,
from where the shared counters stood, and no call waits for it.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import deque
from collections.abc import Awaitable, Callable, Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

import orjson
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import NoScriptError, RedisError

from tenants.data import Caller

log = logging.getLogger("customhouse.limits")

MINUTE = 60_000_000.0  #: microseconds
PATIENCE_SECONDS = 0.05  #: that calls wait for Redis
RETRY_SECONDS = 0.25
LATER_SECONDS = 0.02  #: that what need not be asked waits until it is told
FRESH_SECONDS = 0.2  #: for which a worker relies on what it heard
FAR = 64  #: calls of this size that must fit into what a worker may use without asking
MOST_IN_BATCH = 256
MOST_KEPT = 20_000
_SCRIPT = (Path(__file__).parent / "lua" / "limits.lua").read_text()


_HEADERS = {
    kind: tuple(f"x-ratelimit-{what}-{kind}".encode() for what in ("limit", "remaining", "reset"))
    for kind in ("requests", "tokens")
}


@dataclass(slots=True, eq=False)
class State:
    """What this worker knows of a counter in Redis, in microseconds; of one name there is one.

    tat: when it is empty again (unix); heard_at: when Redis last spoke of it (unix), and usable: what may be used since
    then without asking; untold: units that Redis has not heard of.
    """

    tat: float = 0.0
    heard_at: float = 0.0
    usable: float = 0.0
    untold: int = 0


@dataclass(slots=True, eq=False)
class Counter:
    """One limit: `kind` is "requests" or "tokens", and a unit of them flows back in `unit` microseconds."""

    name: str
    kind: str
    limit: int
    state: State = field(default_factory=State)
    unit: float = field(init=False)

    def __post_init__(self) -> None:
        self.unit = MINUTE / max(self.limit, 1)

    def use(self, now: float, microseconds: float) -> float:
        """Counts what was used (or, below zero, given back), and returns how far it is from empty."""
        state = self.state
        state.tat = max(max(state.tat, now) + microseconds, now)
        return state.tat - now


@dataclass(slots=True)
class Verdict:
    """Whether a call may go on, and how its limits stand after it (`ahead`: microseconds until each is empty)."""

    allowed: bool = True
    counters: Sequence[Counter] = ()
    ahead: Sequence[float] = ()
    retry_after: float | None = None  #: seconds
    reason: str = ""  #: which kind was exceeded

    def headers(self) -> list[tuple[bytes, bytes]]:
        """`x-ratelimit-{limit,remaining,reset}-{requests,tokens}`, of the tightest limit of each kind."""
        if not self.counters:
            return []
        tightest: dict[str, tuple[int, int, float]] = {}
        for counter, ahead in zip(self.counters, self.ahead, strict=True):
            left = max(int((MINUTE - ahead) * counter.limit / MINUTE + 1e-6), 0)
            known = tightest.get(counter.kind)
            if known is None or left < known[0]:
                tightest[counter.kind] = left, counter.limit, ahead
        found: list[tuple[bytes, bytes]] = []
        for kind, (left, most, ahead) in tightest.items():
            limit, remaining, reset = _HEADERS[kind]
            seconds = (b"%.3f" % (ahead / 1e6)).rstrip(b"0").rstrip(b".")
            found += ((limit, b"%d" % most), (remaining, b"%d" % left), (reset, seconds + b"s"))
        return found


@dataclass(slots=True)
class Ask:
    """A call's question, or (without a future) what has been used and is only told."""

    counters: Sequence[Counter]
    units: Sequence[int]
    future: asyncio.Future[Verdict] | None


class Question:
    """A batch as the script reads it, and how to read its answer."""

    def __init__(self, batch: Sequence[Ask]) -> None:
        self.batch, self.ahead = batch, [0.0]
        places: dict[str, int] = {}
        self.limits: list[int] = []
        self.asks: list[int] = []
        for ask in batch:
            self.asks += (0 if ask.future is None else 1, len(ask.counters))
            for counter, units in zip(ask.counters, ask.units, strict=True):
                place = places.get(counter.name)
                if place is None:
                    self.limits.append(counter.limit)
                    place = places[counter.name] = len(self.limits)
                self.asks += (place, units)
        self.names = list(places)

    def retell(self, ahead: list[float], flags: str) -> Iterator[tuple[Ask, bool, list[float]]]:
        """Each call with its answer and how its counters stood after it; `ahead` is how they stood before the first."""
        self.ahead, asks, at = ahead, self.asks, 0
        for ask, flag in zip(self.batch, flags, strict=True):
            final = at + 2 + 2 * asks[at + 1]
            allowed, stands = flag == "1", []
            for i in range(at + 2, final, 2):
                place = asks[i] - 1
                if allowed:
                    ahead[place] = max(ahead[place] + asks[i + 1] * MINUTE / self.limits[place], 0.0)
                stands.append(ahead[place])
            at = final
            yield ask, allowed, stands


@dataclass(slots=True)
class Metrics:
    """Counted since the start."""

    batches: int = 0
    asked: int = 0
    refused: int = 0
    local: int = 0  #: answered without Redis


class Limits:
    """RPM and TPM of keys and tenants. `start` before use, `stop` at the end; both work without Redis."""

    def __init__(self, url: str, *, workers: int = 1) -> None:
        self.metrics = Metrics()
        self._redis = Redis.from_url(
            url,
            single_connection_client=True,
            socket_connect_timeout=RETRY_SECONDS,
            retry=Retry(NoBackoff(), 0),
            decode_responses=True,
        )
        self._workers = max(workers, 1)
        self._sha = ""
        self._up, self._stopping = False, False
        self._queue: deque[Ask] = deque()
        self._untold: dict[str, Counter] = {}
        self._wake = asyncio.Event()
        self._plans: dict[UUID | None, tuple[Caller, tuple[Counter, ...]]] = {}
        self._states: dict[str, State] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        await self._connect()
        self._tasks = [asyncio.create_task(self._run()), asyncio.create_task(self._reconnect())]

    async def stop(self) -> None:
        """Answers what waits. The client's own code may swallow a cancellation, so nothing is cancelled in it."""
        self._stopping = True
        self._wake.set()
        await asyncio.gather(*self._tasks)
        await self._redis.aclose()

    @property
    def healthy(self) -> bool:
        """Whether the limits are shared at the moment."""
        return self._up

    async def admit(self, caller: Caller, tokens: int) -> Verdict:
        """Counts one request and an estimate of its tokens, in all limits of the caller or in none."""
        counters = self._counters(caller)
        if not counters:
            return Verdict()
        units = [1 if c.kind == "requests" else _charged(tokens, c) for c in counters]
        self.metrics.asked += 1
        if not self._up:
            return self._judge_here(counters, units)
        stands = spare(counters, units)
        if stands is not None:
            self._tell(counters, units)
            return Verdict(True, counters, stands)
        future: asyncio.Future[Verdict] = asyncio.get_running_loop().create_future()
        self._queue.append(Ask(counters, units, future))
        self._wake.set()
        return await future

    def correct(self, caller: Caller, tokens: int, actual: int) -> None:
        """Puts the tokens that a call really used in the place of its estimate. Nobody waits for it."""
        counters = [counter for counter in self._counters(caller) if counter.kind == "tokens" and counter.limit > 0]
        units = [actual - _charged(tokens, counter) for counter in counters]
        if not any(units):
            return
        if self._up:
            use(counters, units)
            self._tell(counters, units)
        else:
            now = time.time() * 1e6
            for counter, count in zip(counters, units, strict=True):
                counter.use(now, count * counter.unit * self._workers)

    def _tell(self, counters: Sequence[Counter], units: Sequence[int]) -> None:
        """Redis hears of it with the next question, or soon."""
        untold = self._untold
        if not untold and not self._queue:
            asyncio.get_running_loop().call_later(LATER_SECONDS, self._wake.set)
        for counter, count in zip(counters, units, strict=True):
            untold[counter.name] = counter
            counter.state.untold += count

    # -- asking -----------------------------------------------------------------------------------------------------

    def _counters(self, caller: Caller) -> tuple[Counter, ...]:
        who = caller.key or caller.user
        known = self._plans.get(who)
        if known is not None and known[0] is caller:
            return known[1]
        whole = f"ch:{{{caller.tenant}}}"
        limits = (
            (f"{whole}:{who}:r", "requests", caller.rpm),
            (f"{whole}:{who}:t", "tokens", caller.tpm),
            (f"{whole}:r", "requests", caller.tenant_rpm),
            (f"{whole}:t", "tokens", caller.tenant_tpm),
        )
        if len(self._plans) >= MOST_KEPT:  # states that count nothing any more go with the plans that hold them
            now = time.time() * 1e6
            self._states = {name: state for name, state in self._states.items() if state.tat > now or state.untold}
            self._plans.clear()
        found = tuple(
            Counter(name, kind, limit, self._states.setdefault(name, State()))
            for name, kind, limit in limits
            if limit is not None
        )
        self._plans[who] = caller, found
        return found

    async def _run(self) -> None:
        while self._queue or self._untold or not self._stopping:
            self._wake.clear()
            if not self._queue and not self._stopping:
                await self._wake.wait()
            batch = [self._queue.popleft() for _ in range(min(len(self._queue), MOST_IN_BATCH))]
            if self._untold:
                told = list(self._untold.values())
                batch.insert(0, Ask(told, [counter.state.untold for counter in told], None))
                self._untold.clear()
                for counter in told:
                    counter.state.untold = 0
            if batch:
                await self._answer(batch)

    async def _answer(self, batch: list[Ask]) -> None:
        if not self._up:
            self._answer_here(batch)
            return
        question = Question(batch)
        try:
            async with asyncio.timeout(PATIENCE_SECONDS):
                said = await self._evaluate(question)
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits are kept by each worker alone: Redis is gone (%s)", type(error).__name__)
            self._up = False
            self._answer_here(batch)
            return
        self.metrics.batches += 1
        stands, _, flags = said.partition(";")
        for ask, allowed, ahead in question.retell([float(one) for one in stands.split()], flags):
            if ask.future is not None and not ask.future.done():
                ask.future.set_result(self._verdict(ask.counters, ask.units, allowed, ahead, 1))
        now = time.time() * 1e6
        for name, found in zip(question.names, question.ahead, strict=True):
            state = self._states.get(name)
            if state is not None:
                state.tat, state.heard_at = now + found, now
                state.usable = (MINUTE - found) / (2 * self._workers)
        told = list(self._untold.values())  # since the question was asked
        use(told, [counter.state.untold for counter in told])

    async def _evaluate(self, question: Question) -> str:
        names = question.names
        command = [len(names), *names, orjson.dumps(question.limits), orjson.dumps(question.asks)]
        run: Callable[..., Awaitable[Any]] = self._redis.execute_command
        try:
            return str(await run("EVALSHA", self._sha, *command))
        except NoScriptError:  # Redis was restarted
            self._sha = await self._redis.script_load(_SCRIPT)
            return str(await run("EVALSHA", self._sha, *command))

    def _answer_here(self, batch: list[Ask]) -> None:
        for ask in batch:
            if ask.future is None:
                continue  # it was counted here when it was admitted
            if not ask.future.done():
                ask.future.set_result(self._judge_here(ask.counters, ask.units))

    def _judge_here(self, counters: Sequence[Counter], units: Sequence[int]) -> Verdict:
        """Each worker keeps to its share: the limit divided by the number of workers, never more."""
        self.metrics.local += 1
        now, workers = time.time() * 1e6, self._workers
        stands = [max(counter.state.tat - now, 0.0) for counter in counters]
        allowed = all(
            wait_for(counter.limit / workers, count, ahead) <= 0
            for counter, count, ahead in zip(counters, units, stands, strict=True)
        )
        if allowed:
            stands = [
                counter.use(now, count * counter.unit * workers) for counter, count in zip(counters, units, strict=True)
            ]
        return self._verdict(counters, units, allowed, stands, workers)

    def _verdict(
        self, counters: Sequence[Counter], units: Sequence[int], allowed: bool, ahead: Sequence[float], share: int
    ) -> Verdict:
        if allowed:
            return Verdict(True, counters, ahead)
        self.metrics.refused += 1
        waits = [
            (wait_for(counter.limit / share, count, stands), counter.kind)
            for counter, count, stands in zip(counters, units, ahead, strict=True)
        ]
        longest, reason = max(waits)
        return Verdict(False, counters, ahead, longest / 1e6, reason)

    # -- Redis ------------------------------------------------------------------------------------------------------

    async def _connect(self) -> None:
        try:
            async with asyncio.timeout(RETRY_SECONDS):
                self._sha = await self._redis.script_load(_SCRIPT)
            self._up = True
        except (RedisError, OSError, TimeoutError) as error:
            log.warning("limits are kept by each worker alone: no Redis (%s)", type(error).__name__)

    async def _reconnect(self) -> None:
        while not self._stopping:
            await asyncio.sleep(RETRY_SECONDS)
            if not self._up and not self._stopping:
                await self._again()

    async def _again(self) -> None:
        try:
            async with asyncio.timeout(1.0):
                if self._redis.connection is not None:
                    await self._redis.connection.disconnect(nowait=True)
                self._sha = await self._redis.script_load(_SCRIPT)
            self._up = True
            log.warning("limits are shared again")
        except (RedisError, OSError, TimeoutError):
            return  # said once; it is tried until it is back


def spare(counters: Sequence[Counter], units: Sequence[int]) -> list[float] | None:
    """Counts a call that needs no asking, and says for each counter how far it is from empty; None when it must ask.

    However many workers do this at once, together they use no more than half of what was left.
    """
    now = time.time() * 1e6
    stale = now - FRESH_SECONDS * 1e6
    steps = []
    for counter, count in zip(counters, units, strict=True):
        state, step = counter.state, count * counter.unit
        if state.heard_at < stale or state.usable < FAR * step:
            return None
        steps.append(step)
    stands = []
    for counter, step in zip(counters, steps, strict=True):
        counter.state.usable -= step
        stands.append(counter.use(now, step))
    return stands


def use(counters: Sequence[Counter], units: Sequence[int]) -> None:
    """Counts what Redis does not know of yet."""
    now = time.time() * 1e6
    for counter, count in zip(counters, units, strict=True):
        step = count * counter.unit
        counter.use(now, step)
        if step > 0:
            counter.state.usable -= step


def wait_for(limit: float, units: int, ahead: float) -> float:
    """Microseconds until so many units fit into a limit a minute whose counter is empty in `ahead`; ≤ 0: now.

    A share of less than one a minute still admits one call, when nothing else was admitted for long enough.
    """
    if limit <= 0:
        return MINUTE
    step = units * MINUTE / limit
    return ahead + step - max(MINUTE, step)


def _charged(tokens: int, counter: Counter) -> int:
    """An estimate never asks for more than a whole minute: a call larger than that is admitted to an empty counter."""
    return max(min(tokens, counter.limit), 1)
