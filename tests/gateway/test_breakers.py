"""Breakers are shared through Redis: one worker's finding spares the others, and nobody waits for Redis."""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable
from typing import Any
from uuid import UUID, uuid4

import orjson
import pytest
import redis
from django.conf import settings

from gateway import breakers as shared
from gateway import routing
from gateway.breakers import CHANNEL, HASH, Breakers, open_breakers
from gateway.data import Target
from gateway.errors import UpstreamError, UpstreamTimeout, UpstreamUnauthorized
from gateway.routing import FAILURES_IN_A_ROW, Router
from tests.gateway.test_routing import Deployments, plain


class Clock:
    """Real time, which a test may move on."""

    ahead = 0.0

    def __call__(self) -> float:
        return time.monotonic() + self.ahead


class Worker:
    """A router that shares its breakers."""

    def __init__(self, url: str = "") -> None:
        self.clock = Clock()
        self.router = Router(clock=self.clock)
        self.breakers = Breakers(url or settings.REDIS_URL, self.router)

    async def __aenter__(self) -> Worker:
        await self.breakers.start()
        return self

    async def __aexit__(self, *error: Any) -> None:
        await self.breakers.stop()

    def is_open(self, deployment: UUID) -> bool:
        return bool(self.router.health(deployment).breaker.open_until)


async def eventually(holds: Callable[[], Any], seconds: float = 5.0) -> bool:
    until = time.monotonic() + seconds
    while not holds():
        if time.monotonic() > until:
            return False
        await asyncio.sleep(0.01)
    return True


async def listening(*workers: Worker) -> None:
    """The workers have subscribed: what is said from here on reaches them."""
    probe = uuid4()
    said = orjson.dumps({"deployment": str(probe), "seconds": 1.0, "worker": "a test"})
    with redis.Redis.from_url(settings.REDIS_URL) as told:
        for worker in workers:

            def heard(worker: Worker = worker) -> bool:
                told.publish(CHANNEL, said)
                return worker.is_open(probe)

            assert await eventually(heard)


async def failing(worker: Worker, found: Deployments, times: int = FAILURES_IN_A_ROW) -> None:
    for _ in range(times):
        with pytest.raises(UpstreamError):
            await plain(worker.router, found)


async def test_what_one_worker_finds_the_other_knows() -> None:
    async with Worker() as one, Worker() as two:
        await listening(one, two)
        found = Deployments(a=[UpstreamTimeout("slow")] * 20)
        [target] = found.targets
        for _ in range(FAILURES_IN_A_ROW):
            with pytest.raises(UpstreamTimeout):
                await plain(one.router, found)
        assert await eventually(lambda: two.is_open(target.id))
        asked = len(found.asked)
        with pytest.raises(UpstreamError, match="No deployment of this model is healthy"):
            await plain(two.router, found)
        assert len(found.asked) == asked, "the vendor was asked by a worker that had been told"
        shown = open_breakers()
        assert shown[target.id].reason == "upstream timeout"
        assert 5 < (shown[target.id].until - shown[target.id].opened_at).total_seconds() <= routing.PROBE_AFTER_S


async def test_one_probe_that_succeeds_closes_all() -> None:
    async with Worker() as one, Worker() as two:
        await listening(one, two)
        found = Deployments(a=[UpstreamError("500")] * FAILURES_IN_A_ROW + [None] * 10)
        [target] = found.targets
        await failing(one, found)
        assert await eventually(lambda: two.is_open(target.id))
        one.clock.ahead = routing.PROBE_AFTER_S + 1
        assert (await plain(one.router, found)).startswith("answer of a")
        assert await eventually(lambda: not two.is_open(target.id))
        assert await eventually(lambda: target.id not in open_breakers())
        assert (await plain(two.router, found)).startswith("answer of a")


async def test_a_probe_that_fails_keeps_it_open_for_all() -> None:
    async with Worker() as one, Worker() as two:
        await listening(one, two)
        found = Deployments(a=[UpstreamError("500")] * 20)
        [target] = found.targets
        await failing(one, found)
        assert await eventually(lambda: target.id in open_breakers())
        first = open_breakers()[target.id]
        one.clock.ahead = routing.PROBE_AFTER_S + 1
        await failing(one, found, 1)
        assert await eventually(lambda: open_breakers()[target.id].until > first.until)
        assert two.is_open(target.id)


async def test_a_worker_that_starts_later_knows_as_well() -> None:
    async with Worker() as one:
        await listening(one)
        found = Deployments(a=[UpstreamUnauthorized("401")] * 3)
        [target] = found.targets
        await failing(one, found, 1)
        assert await eventually(lambda: target.id in open_breakers())
        async with Worker() as two:
            assert await eventually(lambda: two.is_open(target.id))


async def test_what_nobody_understands_is_passed_over() -> None:
    async with Worker() as one:
        await listening(one)
        with redis.Redis.from_url(settings.REDIS_URL) as told:
            for said in (b"no JSON", b"{}", b'{"worker": "x", "deployment": "y", "seconds": 1}'):
                told.publish(CHANNEL, said)
        await listening(one)  # it still hears


async def test_what_opened_long_ago_is_forgotten(monkeypatch: pytest.MonkeyPatch) -> None:
    deployment = uuid4()
    with redis.Redis.from_url(settings.REDIS_URL) as told:
        told.hset(HASH, str(deployment), '{"opened_at": 1.0, "until": 11.0, "error": "upstream_error"}')
    async with Worker() as one:
        await listening(one)
        assert not one.is_open(deployment)
    assert deployment not in open_breakers()


async def test_calls_that_were_on_their_way_are_not_told_one_by_one() -> None:
    told: list[float] = []
    router = Router()
    router.told = lambda deployment, seconds, error: told.append(seconds)
    found = Deployments(a=[UpstreamError("500")] * 40)

    async def slowly(target: Target) -> str:
        await asyncio.sleep(0.02)
        return await found.send(target)

    async def call() -> None:
        with pytest.raises(UpstreamError):
            await router.plain(found.targets, slowly, found.failed)

    await asyncio.gather(*(call() for _ in range(20)))
    assert len(told) == 1


async def test_without_redis_each_worker_is_alone(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(shared, "RETRY_SECONDS", 0.05)
    async with Worker("redis://127.0.0.1:1/0") as one:
        found = Deployments(a=[UpstreamError("500")] * FAILURES_IN_A_ROW + [None])
        began = time.monotonic()
        await failing(one, found)
        assert time.monotonic() - began < 1.0
        [target] = found.targets
        assert one.is_open(target.id)
        one.clock.ahead = routing.PROBE_AFTER_S + 1
        assert (await plain(one.router, found)).startswith("answer of a")
    monkeypatch.setattr(settings, "REDIS_URL", "redis://127.0.0.1:1/0")
    assert open_breakers() == {}
