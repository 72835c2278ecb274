"""Which deployment answers: the order of a model's candidates, breakers, concurrency, retries and fallbacks.

The candidates are decided before the first attempt; nothing here adds to them. Figures are those of this process; of
breakers the others are told (`breakers`).
"""

from __future__ import annotations

import asyncio
import random
import time
from collections import deque
from collections.abc import AsyncGenerator, Awaitable, Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Final, TypeVar
from uuid import UUID

from .data import Target
from .errors import (
    GatewayError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)

#: A breaker opens after so many failures in a row,
FAILURES_IN_A_ROW: Final = 5
#: or when half of at least so many calls
CALLS_TO_JUDGE: Final = 20
#: failed within so many seconds;
WINDOW_S: Final = 30.0
#: so long after that, one call may try again.
PROBE_AFTER_S: Final = 10.0

#: A vendor that asks for no longer pause than this is asked once more.
LONGEST_RETRY_AFTER_S: Final = 1.0
#: The pause before a connection that was lost is tried again: up to so long, by chance.
LONGEST_PAUSE_S: Final = 0.1
#: A vendor that limits its rate comes last for so long when it does not say, and never for longer than the second.
REST_S: Final = 1.0
LONGEST_REST_S: Final = 60.0

#: Weight of the newest latency in the moving average, and the seconds after which half of a figure is forgotten.
NEWEST: Final = 0.2
FORGET_S: Final = 60.0

#: What lets another deployment answer. Any other error is about the request, or about us.
FALLBACK: Final = (UpstreamError, UpstreamTimeout, UpstreamRateLimited)

Answer = TypeVar("Answer")
Failed = Callable[[Target, GatewayError], None]
Prices = Callable[[UUID], Mapping[str, int]]
Clock = Callable[[], float]
#: Is told of a breaker that opened for so many seconds (by an error's code), or closed (0, "").
Told = Callable[[UUID, float, str], None]


@dataclass(slots=True)
class Breaker:
    """Closed while calls succeed; open after too many failures; then one probe decides."""

    in_a_row: int = 0
    calls: deque[tuple[float, bool]] = field(default_factory=deque)  #: (when, whether it failed), the last WINDOW_S
    failures: int = 0  #: in `calls`
    open_until: float = 0.0  #: 0: closed
    probing: bool = False

    def allows(self, now: float) -> bool:
        """Whether a call may be made now."""
        return not self.open_until or (now >= self.open_until and not self.probing)

    def begin(self) -> bool:
        """A call is made; returns whether it is the probe of an open breaker."""
        if not self.open_until or self.probing:
            return False
        self.probing = True
        return True

    def end(self, failed: bool | None, probe: bool, now: float) -> None:
        """A call has ended; None when that says nothing about the deployment (the client hung up)."""
        if probe:
            self.probing = False
        if failed is None:
            return
        self._count(failed, now)
        if not failed:
            if probe:
                self.close()
            self.in_a_row = 0
            return
        self.in_a_row += 1
        if probe or self.in_a_row >= FAILURES_IN_A_ROW or self._half_failed():
            self.trip(now)

    def trip(self, now: float) -> None:
        """Opens it at once."""
        self.open_until = now + PROBE_AFTER_S

    def close(self) -> None:
        """Lets calls through again; what was counted is forgotten."""
        self.open_until, self.in_a_row = 0.0, 0
        self.calls.clear()
        self.failures = 0

    def _count(self, failed: bool, now: float) -> None:
        self.calls.append((now, failed))
        self.failures += failed
        while self.calls[0][0] < now - WINDOW_S:
            self.failures -= self.calls.popleft()[1]

    def _half_failed(self) -> bool:
        return len(self.calls) >= CALLS_TO_JUDGE and 2 * self.failures >= len(self.calls)


@dataclass(slots=True)
class Health:
    """What this process knows of one deployment."""

    deployment: UUID
    breaker: Breaker = field(default_factory=Breaker)
    in_flight: int = 0
    waiting: deque[asyncio.Future[None]] = field(default_factory=deque)
    latency: float | None = None  #: seconds to the first byte, moving average
    measured_at: float = 0.0
    resting_until: float = 0.0

    def expected(self, now: float) -> float:
        """Seconds to the first byte. Old figures fade, so that a deployment which was slow is tried again."""
        if self.latency is None:
            return 0.0
        return self.latency * float(0.5 ** ((now - self.measured_at) / FORGET_S))

    def measured(self, seconds: float, now: float) -> None:
        """A call's time to its first byte."""
        self.latency = seconds if self.latency is None else (1 - NEWEST) * self.latency + NEWEST * seconds
        self.measured_at = now


def order(
    targets: Sequence[Target],
    strategy: str,
    health: Callable[[UUID], Health],
    rng: random.Random,
    now: float,
    prices: Prices | None = None,
) -> list[Target]:
    """The candidates as they are to be tried.

    `priority` keeps equals in their order; `weighted` draws without replacement; `cheapest` adds the prices of an input
    and an output token (an unpriced deployment is free where it is self-hosted, else last); `fastest` and `least_busy`
    go by this process's figures, then by priority.
    """
    if strategy == "weighted":
        return sorted(targets, key=lambda target: -_draw(target.weight, rng))
    if strategy == "cheapest":
        return sorted(targets, key=lambda target: (_price(target, prices), target.priority))
    if strategy == "fastest":
        return sorted(targets, key=lambda target: (health(target.id).expected(now), target.priority))
    if strategy == "least_busy":
        return sorted(targets, key=lambda target: (health(target.id).in_flight, target.priority))
    return sorted(targets, key=lambda target: target.priority)


def _draw(weight: int, rng: random.Random) -> float:
    """A number whose order is a weighted draw without replacement (Efraimidis and Spirakis 2006)."""
    return float(rng.random() ** (1.0 / weight)) if weight > 0 else -1.0


def _price(target: Target, prices: Prices | None) -> float:
    table = target.prices if prices is None else prices(target.id)
    if not table:
        return 0 if target.provider.self_hosted else float("inf")
    return table.get("input", 0) + table.get("output", 0)


class Router:
    """Tries candidates in turn. One per process.

    Another deployment is asked after connection errors, a first token that does not come, 408, 429, 5xx, 401 and 403;
    the same one once more when it asks for a pause of at most a second, or lost the connection before any byte.
    After the first byte there is no way back.
    """

    def __init__(self, rng: random.Random | None = None, clock: Clock = time.monotonic) -> None:
        self._rng = rng or random.Random()  # noqa: S311  routing is no secret
        self._clock = clock
        self._health: dict[UUID, Health] = {}
        self.told: Told | None = None

    def heard(self, deployment: UUID, seconds: float) -> None:
        """Another worker's breaker has opened for so long, or closed (0)."""
        breaker = self.health(deployment).breaker
        if not seconds:
            breaker.close()
        elif not breaker.open_until:
            breaker.open_until = self._clock() + seconds

    def changed(self, health: Health, error: BaseException | None) -> None:
        """A breaker of this worker has opened or closed."""
        if self.told is not None:
            until = health.breaker.open_until
            left = max(until - self._clock(), 1e-3) if until else 0.0
            self.told(health.deployment, left, getattr(error, "code", ""))

    def health(self, deployment: UUID) -> Health:
        """What is known of a deployment."""
        found = self._health.get(deployment)
        if found is None:
            found = self._health[deployment] = Health(deployment)
        return found

    def order(self, targets: Sequence[Target], strategy: str, prices: Prices | None = None) -> list[Target]:
        """The candidates as they are to be tried; those that asked for a pause come last."""
        if len(targets) < 2:
            return list(targets)
        now = self._clock()
        found = order(targets, strategy, self.health, self._rng, now, prices)
        found.sort(key=lambda target: self.health(target.id).resting_until > now)
        return found

    async def plain(
        self, targets: Sequence[Target], send: Callable[[Target], Awaitable[Answer]], failed: Failed
    ) -> tuple[Target, Answer]:
        """The first answer. `failed` is told of each attempt that gave none; the last error is raised."""

        async def attempt(target: Target) -> Answer:
            call = await self._enter(target)
            try:
                answer = await send(target)
            except BaseException as error:
                call.end(error)
                raise
            call.first_byte()
            call.end()
            return answer

        return await self._first(targets, attempt, failed)

    async def stream(
        self, targets: Sequence[Target], open: Callable[[Target], AsyncGenerator[bytes, None]], failed: Failed
    ) -> tuple[Target, Opened]:
        """The first stream that begins, with its first block at hand. Close it in any case."""

        async def attempt(target: Target) -> Opened:
            call = await self._enter(target)
            blocks = open(target)
            try:
                first = await anext(blocks)
            except BaseException as error:
                await blocks.aclose()
                call.end(error)
                if isinstance(error, StopAsyncIteration):
                    raise UpstreamError("The model's answer is empty.") from None
                raise
            call.first_byte()
            return Opened(first, blocks, call)

        return await self._first(targets, attempt, failed)

    # -- attempts ---------------------------------------------------------------------------------------------------

    async def _first(
        self, targets: Sequence[Target], attempt: Callable[[Target], Awaitable[Answer]], failed: Failed
    ) -> tuple[Target, Answer]:
        last: GatewayError | None = None
        for target in self._free_first(targets) if len(targets) > 1 else targets:
            breaker = self.health(target.id).breaker
            for again in (False, True):
                if not breaker.allows(self._clock()):
                    break
                try:
                    return target, await attempt(target)
                except FALLBACK as error:
                    last = error
                    failed(target, error)
                    if again or not await _worth_another(error):
                        break
                except GatewayError as error:
                    failed(target, error)
                    raise
        raise last or self._all_open(targets)

    def _free_first(self, targets: Sequence[Target]) -> list[Target]:
        """Those with a free place before those where one has to wait."""
        return sorted(targets, key=lambda target: self.health(target.id).in_flight >= target.max_concurrency)

    def _all_open(self, targets: Sequence[Target]) -> GatewayError:
        now = self._clock()
        soonest = min((self.health(target.id).breaker.open_until for target in targets), default=now)
        return UpstreamError(
            "No deployment of this model is healthy at the moment.", retry_after=max(0.0, soonest - now)
        )

    async def _enter(self, target: Target) -> Ongoing:
        """A place at the deployment, after waiting for one where all are taken."""
        health = self.health(target.id)
        if health.in_flight >= target.max_concurrency:
            await self._wait(health, target.first_token_timeout_s)
        else:
            health.in_flight += 1
        return Ongoing(health, self._clock, self.changed)

    async def _wait(self, health: Health, patience: float) -> None:
        """The place of a call that ends is handed to the one that has waited longest."""
        place: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        health.waiting.append(place)
        try:
            async with asyncio.timeout(patience):
                await place
        except BaseException as error:
            if place.done() and not place.cancelled():
                _leave(health)  # it came at the very last moment
            if isinstance(error, TimeoutError):
                raise UpstreamRateLimited("Too many calls wait for this model.", retry_after=2.0) from None
            raise


Changed = Callable[[Health, BaseException | None], None]


class Ongoing:
    """A call at a deployment: holds its place until `end`."""

    __slots__ = ("_began", "_changed", "_clock", "_ended", "_health", "_probe")

    def __init__(self, health: Health, clock: Clock, changed: Changed) -> None:
        self._health, self._clock, self._changed = health, clock, changed
        self._probe = health.breaker.begin()
        self._began = clock()
        self._ended = False

    def first_byte(self) -> None:
        """The answer has begun."""
        now = self._clock()
        self._health.measured(now - self._began, now)

    def end(self, error: BaseException | None = None) -> None:
        """The call has ended, with an error or well."""
        if self._ended:
            return
        self._ended = True
        now, breaker = self._clock(), self._health.breaker
        before = breaker.open_until
        _leave(self._health)
        breaker.end(_is_failure(error), self._probe, now)
        if isinstance(error, UpstreamUnauthorized):
            breaker.trip(now)
        if breaker.open_until != before and (self._probe or not (before and breaker.open_until)):
            self._changed(self._health, error)  # calls that were on their way when it opened say nothing new
        if isinstance(error, UpstreamRateLimited):
            rest = REST_S if error.retry_after is None else min(error.retry_after, LONGEST_REST_S)
            self._health.resting_until = now + rest


class Opened:
    """A stream that has begun: iterate it, and `close` it in any case, which hangs up when it has not ended."""

    __slots__ = ("_again", "_blocks", "_call", "_first")

    def __init__(self, first: bytes, blocks: AsyncGenerator[bytes, None], call: Ongoing) -> None:
        self._first: bytes | None = first
        self._blocks, self._call = blocks, call
        self._again: deque[bytes] = deque()

    def replay(self, blocks: Iterable[bytes]) -> None:
        """These blocks come next, in the place of what was read."""
        self._again.extend(blocks)

    def __aiter__(self) -> Opened:
        return self

    async def __anext__(self) -> bytes:
        if self._first is not None:
            first, self._first = self._first, None
            return first
        if self._again:
            return self._again.popleft()
        try:
            return await anext(self._blocks)
        except GatewayError as error:
            self._call.end(error)
            raise

    async def close(self) -> None:
        """Hangs up and gives the place back."""
        try:
            await self._blocks.aclose()
        finally:
            self._call.end()


def _leave(health: Health) -> None:
    """Gives a place to whoever waits for it, or frees it."""
    while health.waiting:
        place = health.waiting.popleft()
        if not place.done():
            place.set_result(None)
            return
    health.in_flight -= 1


def _is_failure(error: BaseException | None) -> bool | None:
    """Whether an end speaks against the deployment; None when it says nothing."""
    if error is None or isinstance(error, UpstreamRejected):
        return False
    if isinstance(error, UpstreamError | UpstreamTimeout):
        return True
    return None


async def _worth_another(error: GatewayError) -> bool:
    """Whether the same deployment is asked once more; the pause is over when this returns."""
    if isinstance(error, UpstreamDisconnected):
        await asyncio.sleep(random.uniform(0, LONGEST_PAUSE_S))  # noqa: S311  spreads retries
        return True
    if error.retry_after is None or error.retry_after > LONGEST_RETRY_AFTER_S:
        return False
    await asyncio.sleep(error.retry_after + random.uniform(0, LONGEST_PAUSE_S))  # noqa: S311
    return True
