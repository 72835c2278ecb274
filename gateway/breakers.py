"""Breakers of all workers, shared through Redis: what one has found out, the others need not pay for.

A worker whose breaker opens or closes says so, and the others open or close theirs. Each still judges by its own calls
and probes by itself; while Redis is gone each is alone, and no call waits for it. What is open stands in one hash, for
workers that start later and for people who look.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from secrets import token_hex
from typing import Any
from uuid import UUID

import orjson
import redis
from django.conf import settings
from redis.asyncio import Redis
from redis.asyncio.retry import Retry
from redis.backoff import NoBackoff
from redis.exceptions import RedisError

from .routing import Router

log = logging.getLogger("customhouse.breakers")

HASH, CHANNEL = "ch:breakers", "ch:breakers:changed"
PATIENCE_SECONDS = 1.0
RETRY_SECONDS = 1.0
LISTEN_SECONDS = 0.5  #: after which a worker that listens looks whether it shall stop
FORGET_SECONDS = 86_400.0


@dataclass(frozen=True, slots=True)
class OpenBreaker:
    """A deployment that is not called: since when, until when at least, and the code of the last error."""

    opened_at: datetime
    until: datetime
    error: str

    @property
    def reason(self) -> str:
        """The error in words."""
        return self.error.replace("_", " ")


class Breakers:
    """Tells and hears of breakers. `start` before use, `stop` at the end; both work without Redis."""

    def __init__(self, url: str, router: Router) -> None:
        self._redis = Redis.from_url(
            url,
            socket_connect_timeout=PATIENCE_SECONDS,
            socket_timeout=PATIENCE_SECONDS,
            retry=Retry(NoBackoff(), 0),
        )
        self._router, self._me = router, token_hex(8)
        self._stopping = False
        self._tasks: set[asyncio.Task[None]] = set()
        router.told = self._tell

    async def start(self) -> None:
        self._keep(asyncio.create_task(self._run()))

    async def stop(self) -> None:
        """What is still to be told is told. Nothing is cancelled: the client's own code may swallow a cancellation."""
        self._stopping = True
        self._router.told = None
        await asyncio.gather(*self._tasks, return_exceptions=True)
        await self._redis.aclose()

    def _keep(self, task: asyncio.Task[None]) -> None:
        self._tasks.add(task)
        task.add_done_callback(self._tasks.discard)

    # -- telling ----------------------------------------------------------------------------------------------------

    def _tell(self, deployment: UUID, seconds: float, error: str) -> None:
        self._keep(asyncio.create_task(self._write(deployment, seconds, error)))

    async def _write(self, deployment: UUID, seconds: float, error: str) -> None:
        field, now = str(deployment), time.time()
        said = {"deployment": field, "seconds": seconds, "worker": self._me}
        with contextlib.suppress(RedisError, OSError):
            async with self._redis.pipeline() as commands:
                if seconds:
                    kept = {"opened_at": now, "until": now + seconds, "error": error}
                    commands.hset(HASH, field, orjson.dumps(kept))
                else:
                    commands.hdel(HASH, field)
                commands.publish(CHANNEL, orjson.dumps(said))
                await commands.execute()

    # -- hearing ----------------------------------------------------------------------------------------------------

    async def _run(self) -> None:
        while not self._stopping:
            try:
                await self._listen()
            except (RedisError, OSError) as error:
                log.warning("breakers are kept by each worker alone: Redis is gone (%s)", type(error).__name__)
                await asyncio.sleep(RETRY_SECONDS)

    async def _listen(self) -> None:
        async with self._redis.pubsub(ignore_subscribe_messages=True) as channel:
            await channel.subscribe(CHANNEL)
            await self._catch_up()
            while not self._stopping:
                message = await channel.get_message(timeout=LISTEN_SECONDS)
                if message is not None:
                    with contextlib.suppress(ValueError, KeyError):  # of a version that says it otherwise
                        self._hear(orjson.loads(message["data"]))

    def _hear(self, said: Mapping[str, Any]) -> None:
        if said["worker"] != self._me:
            self._router.heard(UUID(said["deployment"]), float(said["seconds"]))

    async def _catch_up(self) -> None:
        """What was said before this worker listened."""
        now = time.time()
        kept: Any = await self._redis.hgetall(HASH)
        for field, value in kept.items():
            until = orjson.loads(value)["until"]
            if until < now - FORGET_SECONDS:
                await self._redis.hdel(HASH, field.decode())
            else:
                self._router.heard(UUID(field.decode()), max(until - now, 1e-3))


def open_breakers() -> dict[UUID, OpenBreaker]:
    """All deployments, of whomever, that are not called at the moment; none when Redis cannot be asked."""
    try:
        with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=1, socket_connect_timeout=1) as shared:
            kept: Any = shared.hgetall(HASH)
    except RedisError:
        return {}
    return {UUID(field.decode()): _read(value) for field, value in kept.items()}


def _read(value: bytes) -> OpenBreaker:
    kept = orjson.loads(value)
    opened_at, until = (datetime.fromtimestamp(kept[name], UTC) for name in ("opened_at", "until"))
    return OpenBreaker(opened_at, until, kept["error"])
