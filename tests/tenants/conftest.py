"""A worker's memory of who may call, running beside the tests as it does in a server."""

from __future__ import annotations

import asyncio
import threading
from collections.abc import Iterator
from typing import Any

import pytest
from django.conf import settings

from tenants.data import Caller
from tenants.isolation.pool import make_pool
from tenants.snapshot import Snapshots
from tests.identity_provider import IdentityProvider


class Worker:
    """Snapshots on a loop in a thread of its own."""

    def __init__(self) -> None:
        self._loop = asyncio.new_event_loop()
        threading.Thread(target=self._loop.run_forever, daemon=True).start()
        self.pool = make_pool(settings.DATABASE_URL, 2)
        self.snapshots: Snapshots = self.run(self._start())

    async def _start(self) -> Snapshots:
        await self.pool.open()
        made = Snapshots(settings.DATABASE_URL, self.pool, settings.API_KEY_PEPPER)
        await made.start()
        return made

    def run(self, what: Any) -> Any:
        return asyncio.run_coroutine_threadsafe(what, self._loop).result(20)

    def identify(self, credential: str) -> Caller:
        caller: Caller = self.run(self.snapshots.identify(credential, "192.0.2.1"))[0]
        return caller

    def stop(self) -> None:
        self.run(self.snapshots.stop())
        self.run(self.pool.close())
        self._loop.call_soon_threadsafe(self._loop.stop)


@pytest.fixture
def worker(database: None) -> Iterator[Worker]:
    made = Worker()
    yield made
    made.stop()


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    made = IdentityProvider()
    yield made
    made.stop()
