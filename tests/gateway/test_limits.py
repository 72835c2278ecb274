"""Requests and tokens per minute: one shared count for all workers, and no gap when Redis is gone."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager

import pytest
from django.conf import settings
from redis.asyncio import Redis

from gateway.limits import MINUTE, Counter, Limits, Verdict, wait_for
from tenants.data import Caller
from tenants.ids import uuid7
from tests.gateway.proxy import Proxy

pytestmark = pytest.mark.asyncio


def caller(rpm: int | None = None, tpm: int | None = None, like: Caller | None = None, **tenant: int) -> Caller:
    """A key of a new tenant, or another key of the tenant of `like`."""
    return Caller(
        tenant=like.tenant if like else uuid7(),
        tenant_slug="acme",
        key=uuid7(),
        user=None,
        name="Alice's key",
        role="developer",
        clearance=1,
        department=None,
        department_slug="",
        departments=(),
        rpm=rpm,
        tpm=tpm,
        tenant_rpm=tenant.get("tenant_rpm", like.tenant_rpm if like else None),
        tenant_tpm=tenant.get("tenant_tpm", like.tenant_tpm if like else None),
    )


@asynccontextmanager
async def worker(url: str | None = None, workers: int = 2) -> AsyncIterator[Limits]:
    limits = Limits(url or settings.REDIS_URL, workers=workers)
    await limits.start()
    try:
        yield limits
    finally:
        await limits.stop()


def header(verdict: Verdict, name: str) -> str:
    return dict(verdict.headers())[f"x-ratelimit-{name}".encode()].decode()


async def admitted(limits: Limits, who: Caller, number: int, tokens: int = 1) -> int:
    return sum(verdict.allowed for verdict in [await limits.admit(who, tokens) for _ in range(number)])


async def test_a_limit_admits_as_many_as_it_says() -> None:
    async with worker() as limits:
        assert await admitted(limits, caller(rpm=10), 15) == 10


async def test_all_workers_count_together() -> None:
    alice = caller(rpm=30)
    async with worker() as one, worker() as two, worker() as three:
        found = await asyncio.gather(*(admitted(limits, alice, 30) for limits in (one, two, three)))
        assert sum(found) == 30


async def test_far_from_a_limit_no_call_waits_for_redis() -> None:
    alice = caller(rpm=10_000)
    async with worker() as limits:
        await limits.admit(alice, 1)
        asked = limits.metrics.batches
        found = [await limits.admit(alice, 1) for _ in range(500)]
        assert limits.metrics.batches - asked < 50
        assert header(found[-1], "remaining-requests") == str(10_000 - 501 + refilled(found[-1], 10_000, 501))
        await asyncio.sleep(0.1)
        async with worker() as other:
            left = int(header(await other.admit(alice, 1), "remaining-requests"))
            assert left < 10_000 - 480, "what was not asked was told"


async def test_workers_that_do_not_ask_still_admit_no_more_than_the_limit() -> None:
    alice = caller(rpm=3_000)
    async with worker() as one, worker() as two:
        began = time.monotonic()
        found = await asyncio.gather(*(admitted(limits, alice, 2_500) for limits in (one, two)))
        flowed_back = (time.monotonic() - began) * 3_000 / 60
        assert 3_000 <= sum(found) <= 3_000 + flowed_back + 1


def refilled(verdict: Verdict, limit: int, used: int) -> int:
    """What has flowed back into a counter since it was full."""
    return int((MINUTE - verdict.ahead[0]) * limit / MINUTE + 1e-6) - (limit - used)


async def test_calls_that_arrive_together_are_asked_together_and_counted_one_by_one() -> None:
    alice = caller(rpm=10)
    async with worker() as limits:
        found = await asyncio.gather(*(limits.admit(alice, 1) for _ in range(25)))
        assert [verdict.allowed for verdict in found] == [True] * 10 + [False] * 15
        assert [header(verdict, "remaining-requests") for verdict in found[:10]] == [str(9 - n) for n in range(10)]
        assert limits.metrics.batches <= 2


async def test_a_keys_limit_and_its_tenants_both_hold() -> None:
    alice = caller(rpm=100, tenant_rpm=10)
    bob = caller(rpm=100, like=alice)
    async with worker() as limits:
        assert await admitted(limits, alice, 8) == 8
        assert await admitted(limits, bob, 8) == 2
        refused = await limits.admit(bob, 1)
        assert (refused.allowed, refused.reason) == (False, "requests")
        assert header(refused, "limit-requests") == "10", "the tighter one is shown"


async def test_a_refused_call_uses_up_nothing() -> None:
    alice = caller(rpm=100, tpm=1000)
    async with worker() as limits:
        await limits.admit(alice, 900)
        for _ in range(5):
            assert not (await limits.admit(alice, 900)).allowed
        verdict = await limits.admit(alice, 50)
        assert (verdict.allowed, header(verdict, "remaining-requests")) == (True, "98")


async def test_a_refusal_says_when_to_come_back() -> None:
    alice = caller(rpm=120)
    async with worker() as limits:
        refused = (await asyncio.gather(*(limits.admit(alice, 1) for _ in range(121))))[-1]
        assert refused.retry_after is not None
        assert 0 < refused.retry_after <= 0.5
        await asyncio.sleep(refused.retry_after + 0.01)
        assert (await limits.admit(alice, 1)).allowed


async def test_the_header_falls_by_what_was_used() -> None:
    alice = caller(tpm=60_000)
    async with worker() as limits:
        before = await limits.admit(alice, 4196)
        limits.correct(alice, 4196, 130)
        after = await limits.admit(alice, 0)
        # a token flows back each millisecond
        assert header(before, "remaining-tokens") == str(60_000 - 4196)
        assert 60_000 - 131 <= int(header(after, "remaining-tokens")) <= 60_000 - 131 + 120


async def test_an_estimate_that_was_too_low_is_charged_afterwards() -> None:
    alice = caller(tpm=1000)
    async with worker() as limits:
        await limits.admit(alice, 10)
        limits.correct(alice, 10, 2500)
        refused = await limits.admit(alice, 1)
        assert (refused.allowed, refused.reason) == (False, "tokens")
        assert refused.retry_after is not None
        assert 85 < refused.retry_after < 91


async def test_a_call_larger_than_a_minute_is_admitted_to_an_empty_counter() -> None:
    alice = caller(tpm=1000)
    async with worker() as limits:
        assert (await limits.admit(alice, 50_000)).allowed
        assert not (await limits.admit(alice, 50_000)).allowed


async def test_a_limit_of_nothing_admits_nothing() -> None:
    async with worker() as limits:
        assert not (await limits.admit(caller(rpm=0), 1)).allowed
        assert not (await limits.admit(caller(tpm=0), 1)).allowed


async def test_without_limits_nobody_is_asked() -> None:
    async with worker() as limits:
        verdict = await limits.admit(caller(), 10)
        assert (verdict.allowed, verdict.headers(), limits.metrics.asked) == (True, [], 0)


async def test_charlies_calls_do_not_count_for_acme() -> None:
    alice, charlie = caller(tenant_rpm=5), caller(tenant_rpm=5)
    async with worker() as limits:
        assert await admitted(limits, charlie, 10) == 5
        assert await admitted(limits, alice, 10) == 5


async def test_a_script_that_redis_forgot_is_loaded_again() -> None:
    async with worker() as limits, Redis.from_url(settings.REDIS_URL) as redis:
        await redis.script_flush()
        assert await admitted(limits, caller(rpm=3), 5) == 3
        assert limits.healthy


async def test_without_redis_each_worker_keeps_to_its_share() -> None:
    alice = caller(rpm=20)
    async with Proxy(settings.REDIS_URL) as proxy, worker(proxy.url) as one, worker(proxy.url) as two:
        proxy.away()
        found = await asyncio.gather(*(admitted(limits, alice, 20) for limits in (one, two)))
        assert found == [10, 10]


async def test_without_redis_the_count_goes_on_from_where_it_stood() -> None:
    alice = caller(rpm=20)
    async with Proxy(settings.REDIS_URL) as proxy, worker(proxy.url) as limits:
        assert await admitted(limits, alice, 20) == 20
        proxy.away()
        assert await admitted(limits, alice, 5) == 0


async def test_a_redis_that_hangs_costs_fifty_milliseconds_once() -> None:
    alice = caller(rpm=240)  # so few that each call asks
    async with Proxy(settings.REDIS_URL) as proxy, worker(proxy.url) as limits:
        await limits.admit(alice, 1)
        proxy.hang()
        began = time.perf_counter()
        for _ in range(100):
            assert (await limits.admit(alice, 1)).allowed
        assert time.perf_counter() - began < 0.15
        assert not limits.healthy
        proxy.back()


async def test_redis_is_taken_up_again_by_itself() -> None:
    alice = caller(rpm=100)
    async with Proxy(settings.REDIS_URL) as proxy, worker(proxy.url) as limits:
        proxy.away()
        await limits.admit(alice, 1)
        assert not limits.healthy
        proxy.back()
        for _ in range(40):
            await asyncio.sleep(0.05)
            if limits.healthy:
                break
        before = limits.metrics.batches
        assert (await limits.admit(alice, 1)).allowed
        assert limits.metrics.batches == before + 1


async def test_a_worker_starts_without_redis() -> None:
    async with Proxy(settings.REDIS_URL) as proxy:
        proxy.away()
        async with worker(proxy.url) as limits:
            assert await admitted(limits, caller(rpm=10), 10) == 5


async def test_a_share_of_less_than_one_a_minute_still_admits_one() -> None:
    assert wait_for(limit=0.25, units=1, ahead=0.0) <= 0
    assert wait_for(limit=0.25, units=1, ahead=1.0) > 0


async def test_headers_show_the_tightest_limit_of_each_kind() -> None:
    counters = [Counter("a", "requests", 10), Counter("b", "requests", 4), Counter("c", "tokens", 1000)]
    verdict = Verdict(True, counters, [MINUTE / 10, MINUTE / 4, MINUTE / 2])
    assert dict(verdict.headers()) == {
        b"x-ratelimit-limit-requests": b"4",
        b"x-ratelimit-remaining-requests": b"3",
        b"x-ratelimit-reset-requests": b"15s",
        b"x-ratelimit-limit-tokens": b"1000",
        b"x-ratelimit-remaining-tokens": b"500",
        b"x-ratelimit-reset-tokens": b"30s",
    }
