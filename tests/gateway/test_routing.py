"""Which deployment answers, and what happens when one does not."""

from __future__ import annotations

import asyncio
import random
from collections import Counter
from collections.abc import AsyncGenerator, Callable
from typing import Any

import pytest

from gateway import routing
from gateway.data import Target
from gateway.errors import (
    BudgetExhausted,
    GatewayError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.routing import Router
from tests.gateway.fakes import target

pytestmark = pytest.mark.asyncio


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


class Deployments:
    """Answers for targets by name: a list of what to raise (or None: answer) call by call; the last one stays."""

    def __init__(self, **scripts: list[GatewayError | None]) -> None:
        self.scripts, self.asked, self.failures = scripts, [], []
        self.targets = [target(model=name) for name in scripts]

    async def send(self, at: Target) -> str:
        self.asked.append(at.name)
        script = self.scripts[at.name]
        error = script.pop(0) if len(script) > 1 else script[0]
        if error is not None:
            raise error
        return f"answer of {at.name}"

    async def open(self, at: Target) -> AsyncGenerator[bytes, None]:
        yield (await self.send(at)).encode()
        yield b" and more"

    def failed(self, at: Target, error: GatewayError) -> None:
        self.failures.append((at.name, error.code))


@pytest.fixture(autouse=True)
def no_pauses(monkeypatch: pytest.MonkeyPatch) -> list[float]:
    """Pauses take no time; those that were made are in the list."""
    made: list[float] = []
    real = asyncio.sleep

    async def sleep(seconds: float) -> None:
        made.append(seconds)
        await real(0)

    monkeypatch.setattr(routing.asyncio, "sleep", sleep)
    return made


@pytest.fixture
def clock() -> Clock:
    return Clock()


@pytest.fixture
def router(clock: Clock) -> Router:
    return Router(random.Random(7), clock)


async def plain(router: Router, found: Deployments) -> str:
    return (await router.plain(found.targets, found.send, found.failed))[1]


async def streamed(router: Router, found: Deployments) -> str:
    _, opened = await router.stream(found.targets, found.open, found.failed)
    try:
        return b"".join([block async for block in opened]).decode()
    finally:
        await opened.close()


WAYS = pytest.mark.parametrize("way", [plain, streamed])
Way = Callable[[Router, Deployments], Any]

# -- fallback and retry -----------------------------------------------------------------------------------------------


@WAYS
@pytest.mark.parametrize(
    ("error", "asked"),
    [
        (UpstreamError("500"), ["a", "b"]),
        (UpstreamUnauthorized("401"), ["a", "b"]),
        (UpstreamTimeout("408, or no first token"), ["a", "b"]),
        (UpstreamRateLimited("429"), ["a", "b"]),
        (UpstreamRateLimited("429", retry_after=5), ["a", "b"]),
        (UpstreamRateLimited("429", retry_after=1), ["a", "a", "b"]),
        (UpstreamError("503", retry_after=0.2), ["a", "a", "b"]),
        (UpstreamDisconnected("reset"), ["a", "a", "b"]),
    ],
)
async def test_another_deployment_answers(
    router: Router, way: Way, error: GatewayError, asked: list[str], no_pauses: list[float]
) -> None:
    found = Deployments(a=[error], b=[None])
    assert (await way(router, found)).startswith("answer of b")
    assert found.asked == asked
    assert found.failures == [("a", error.code)] * (len(asked) - 1)
    assert len(no_pauses) == len(asked) - 2


@WAYS
@pytest.mark.parametrize("error", [UpstreamRejected("422"), BudgetExhausted("none left")])
async def test_what_is_wrong_with_the_request_is_wrong_everywhere(
    router: Router, way: Way, error: GatewayError
) -> None:
    found = Deployments(a=[error], b=[None])
    with pytest.raises(type(error)):
        await way(router, found)
    assert found.asked == ["a"]
    assert len(found.failures) == 1


@WAYS
async def test_the_same_deployment_may_answer_the_second_time(router: Router, way: Way, no_pauses: list[float]) -> None:
    found = Deployments(a=[UpstreamRateLimited("429", retry_after=1), None], b=[None])
    assert (await way(router, found)).startswith("answer of a")
    assert 1.0 <= no_pauses[0] <= 1.0 + routing.LONGEST_PAUSE_S


@WAYS
async def test_the_last_error_is_raised(router: Router, way: Way) -> None:
    found = Deployments(a=[UpstreamError("first")], b=[UpstreamTimeout("second")])
    with pytest.raises(UpstreamTimeout, match="second"):
        await way(router, found)
    assert [name for name, _ in found.failures] == ["a", "b"]


async def test_there_is_no_way_back_after_the_first_block(router: Router) -> None:
    async def breaks(at: Target) -> AsyncGenerator[bytes, None]:
        asked.append(at.name)
        yield b"half"
        raise UpstreamDisconnected("gone")

    asked: list[str] = []
    targets = [target(model="a"), target(model="b")]
    _, opened = await router.stream(targets, breaks, lambda at, error: None)
    blocks = aiter(opened)
    assert await anext(blocks) == b"half"
    with pytest.raises(UpstreamError):
        await anext(blocks)
    await opened.close()
    assert asked == ["a"]
    assert router.health(targets[0].id).breaker.in_a_row == 1
    assert router.health(targets[0].id).in_flight == 0


async def test_an_empty_stream_is_an_error(router: Router) -> None:
    async def empty(_: Target) -> AsyncGenerator[bytes, None]:
        return
        yield b""

    with pytest.raises(UpstreamError):
        await router.stream([target()], empty, lambda at, error: None)


async def test_closing_a_stream_closes_the_upstreams(router: Router) -> None:
    closed = []

    async def endless(_: Target) -> AsyncGenerator[bytes, None]:
        try:
            while True:
                yield b"a"
        finally:
            closed.append(True)

    at = target()
    _, opened = await router.stream([at], endless, lambda at, error: None)
    await anext(aiter(opened))
    assert router.health(at.id).in_flight == 1
    await opened.close()
    await opened.close()
    assert closed == [True]
    assert router.health(at.id).in_flight == 0


# -- breakers ---------------------------------------------------------------------------------------------------------


async def fail(router: Router, found: Deployments, times: int) -> None:
    for _ in range(times):
        with pytest.raises(GatewayError):
            await plain(router, found)


async def test_five_failures_in_a_row_open_the_breaker(router: Router) -> None:
    found = Deployments(a=[UpstreamError("500")])
    await fail(router, found, 5)
    with pytest.raises(UpstreamError, match="healthy") as raised:
        await plain(router, found)
    assert len(found.asked) == 5
    assert raised.value.retry_after == routing.PROBE_AFTER_S


async def test_a_success_between_keeps_it_closed(router: Router) -> None:
    found = Deployments(a=[*[UpstreamError("500")] * 4, None, *[UpstreamError("500")] * 4, None])
    await fail(router, found, 4)
    await plain(router, found)
    await fail(router, found, 4)
    assert await plain(router, found) == "answer of a"


async def test_half_of_twenty_failures_open_it(router: Router) -> None:
    found = Deployments(a=[None, UpstreamError("500")] * 10 + [None])
    for _ in range(10):
        await plain(router, found)
        await fail(router, found, 1)
    with pytest.raises(UpstreamError, match="healthy"):
        await plain(router, found)


async def test_failures_of_long_ago_do_not_count(router: Router, clock: Clock) -> None:
    found = Deployments(a=[None, UpstreamError("500")] * 10 + [None])
    for number in range(10):
        await plain(router, found)
        await fail(router, found, 1)
        clock.now += 20 * (number % 2)
    assert await plain(router, found) == "answer of a"


async def test_one_probe_after_ten_seconds_decides(router: Router, clock: Clock) -> None:
    found = Deployments(a=[*[UpstreamError("500")] * 6, None], b=[None])
    only_a = found.targets[:1]
    for _ in range(5):
        await plain(router, found)
    clock.now += routing.PROBE_AFTER_S - 0.1
    await plain(router, found)
    assert found.asked.count("a") == 5
    clock.now += 0.2
    await plain(router, found)  # the probe fails
    await plain(router, found)
    assert found.asked.count("a") == 6
    clock.now += routing.PROBE_AFTER_S
    for _ in range(2):
        assert (await router.plain(only_a, found.send, found.failed))[1] == "answer of a"


async def test_only_one_probe_at_a_time(router: Router, clock: Clock) -> None:
    found = Deployments(a=[UpstreamError("500")])
    await fail(router, found, 5)
    clock.now += routing.PROBE_AFTER_S
    go_on = asyncio.Event()

    async def slow(_: Target) -> str:
        await go_on.wait()
        return "answer"

    probe = asyncio.ensure_future(router.plain(found.targets, slow, found.failed))
    await asyncio.sleep(0)
    with pytest.raises(UpstreamError, match="healthy"):
        await plain(router, found)
    go_on.set()
    assert (await probe)[1] == "answer"


@pytest.mark.parametrize("error", [UpstreamRejected("400"), UpstreamRateLimited("429")])
async def test_a_vendor_that_answers_is_alive(router: Router, error: GatewayError) -> None:
    found = Deployments(a=[*[error] * 9, None])
    await fail(router, found, 9)
    assert await plain(router, found) == "answer of a"


async def test_a_refused_credential_opens_the_breaker_at_once(router: Router) -> None:
    found = Deployments(a=[UpstreamUnauthorized("401")], b=[None])
    await plain(router, found)
    await plain(router, found)
    assert found.asked == ["a", "b", "b"]


async def test_a_probe_that_fails_opens_it_again(router: Router, clock: Clock) -> None:
    found = Deployments(a=[UpstreamUnauthorized("401"), UpstreamError("500")], b=[None])
    await plain(router, found)
    clock.now += routing.PROBE_AFTER_S
    await plain(router, found)
    await plain(router, found)
    assert found.asked == ["a", "b", "a", "b", "b"]


async def test_a_client_that_hangs_up_says_nothing_about_the_deployment(router: Router) -> None:
    async def forever(_: Target) -> str:
        await asyncio.Event().wait()
        return ""

    at = target()
    for _ in range(6):
        call = asyncio.ensure_future(router.plain([at], forever, lambda at, error: None))
        await asyncio.sleep(0)
        call.cancel()
        await asyncio.gather(call, return_exceptions=True)
    assert router.health(at.id).breaker.allows(0)
    assert router.health(at.id).in_flight == 0


# -- concurrency ------------------------------------------------------------------------------------------------------


class Slow:
    """Counts how many are answered at once; answers when told."""

    def __init__(self) -> None:
        self.now = self.most = 0
        self.by_name: Counter[str] = Counter()
        self.go_on = asyncio.Event()

    async def send(self, at: Target) -> str:
        self.now += 1
        self.most = max(self.most, self.now)
        self.by_name[at.name] += 1
        await self.go_on.wait()
        self.now -= 1
        return "answer"


async def settle() -> None:
    for _ in range(20):
        await asyncio.sleep(0)


async def test_no_more_than_its_limit_at_once_and_the_rest_wait(router: Router) -> None:
    slow, at = Slow(), target(max_concurrency=2)
    calls = [asyncio.ensure_future(router.plain([at], slow.send, lambda at, error: None)) for _ in range(7)]
    await settle()
    assert slow.now == 2
    slow.go_on.set()
    assert len(await asyncio.gather(*calls)) == 7
    assert slow.most == 2
    assert router.health(at.id).in_flight == 0


async def test_a_free_deployment_is_preferred_to_waiting(router: Router) -> None:
    slow = Slow()
    targets = [target(model="a", max_concurrency=1), target(model="b", max_concurrency=5)]
    calls = [asyncio.ensure_future(router.plain(targets, slow.send, lambda at, error: None)) for _ in range(4)]
    await settle()
    assert slow.by_name == {"a": 1, "b": 3}
    slow.go_on.set()
    await asyncio.gather(*calls)


async def test_waiting_has_an_end(router: Router) -> None:
    slow, at = Slow(), target(max_concurrency=1, first_token_timeout_s=0.05)
    first = asyncio.ensure_future(router.plain([at], slow.send, lambda at, error: None))
    await settle()
    with pytest.raises(UpstreamRateLimited):
        await router.plain([at], slow.send, lambda at, error: None)
    slow.go_on.set()
    await first
    assert router.health(at.id).in_flight == 0


async def test_who_stops_waiting_leaves_the_place_to_the_next(router: Router) -> None:
    slow, at = Slow(), target(max_concurrency=1)
    calls = [asyncio.ensure_future(router.plain([at], slow.send, lambda at, error: None)) for _ in range(3)]
    await settle()
    calls[1].cancel()
    slow.go_on.set()
    done = await asyncio.gather(*calls, return_exceptions=True)
    assert [isinstance(result, tuple) for result in done] == [True, False, True]
    assert router.health(at.id).in_flight == 0


# -- strategies -------------------------------------------------------------------------------------------------------


def names(targets: list[Target]) -> list[str]:
    return [at.name for at in targets]


async def test_priority_keeps_equals_in_their_order(router: Router) -> None:
    targets = [target(model="b", priority=2), target(model="a"), target(model="c")]
    assert names(router.order(targets, "priority")) == ["a", "c", "b"]


async def test_weights_are_shares(router: Router) -> None:
    targets = [target(model="a", weight=3), target(model="b", weight=1), target(model="never", weight=0)]
    first = Counter(names(router.order(targets, "weighted"))[0] for _ in range(4000))
    assert 2850 < first["a"] < 3150
    assert first["never"] == 0


async def test_cheapest_goes_by_price(router: Router) -> None:
    targets = [
        target(model="unpriced"),
        target(model="dear", prices={"input": 9, "output": 9}),
        target(model="cheap", prices={"input": 1, "output": 2}),
        target(model="own", self_hosted=True),
    ]
    assert names(router.order(targets, "cheapest")) == ["own", "cheap", "dear", "unpriced"]
    table = {targets[0].id: {"input": 1, "output": 1}}
    assert names(router.order(targets[:2], "cheapest", lambda id: table.get(id, {"input": 5})))[0] == "unpriced"


async def test_fastest_goes_by_the_time_to_the_first_byte(router: Router, clock: Clock) -> None:
    slow, quick = target(model="slow"), target(model="quick")
    router.health(slow.id).measured(2.0, clock.now)
    router.health(quick.id).measured(0.5, clock.now)
    assert names(router.order([slow, quick], "fastest")) == ["quick", "slow"]
    clock.now += 3 * routing.FORGET_S
    router.health(quick.id).measured(0.5, clock.now)
    assert names(router.order([slow, quick], "fastest")) == ["slow", "quick"]


async def test_least_busy_goes_by_calls_under_way(router: Router) -> None:
    busy, idle = target(model="busy"), target(model="idle")
    router.health(busy.id).in_flight = 3
    assert names(router.order([busy, idle], "least_busy")) == ["idle", "busy"]


async def test_a_vendor_that_limits_its_rate_comes_last_for_a_while(router: Router, clock: Clock) -> None:
    found = Deployments(a=[UpstreamRateLimited("429", retry_after=30)], b=[None])
    await plain(router, found)
    assert names(router.order(found.targets, "priority")) == ["b", "a"]
    clock.now += 31
    assert names(router.order(found.targets, "priority")) == ["a", "b"]


async def test_measured_latency_is_that_of_the_first_byte(router: Router, clock: Clock) -> None:
    async def stream(_: Target) -> AsyncGenerator[bytes, None]:
        clock.now += 0.25
        yield b"first"
        clock.now += 60
        yield b"last"

    at = target()
    _, opened = await router.stream([at], stream, lambda at, error: None)
    assert [block async for block in opened] == [b"first", b"last"]
    await opened.close()
    assert router.health(at.id).latency == pytest.approx(0.25)
