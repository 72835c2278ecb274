"""A streamed answer from its beginning to its end, as an object of this process."""

from __future__ import annotations

import asyncio
import gc
import time
import weakref
from types import SimpleNamespace
from typing import Any

import pytest

from billing.services import Prices
from gateway.data import Call
from gateway.pipeline import Stream
from gateway.routing import Router
from policies.guardrails import Guardrails
from policies.pii.vault import Vault
from policies.services import Masked
from tenants.ids import uuid7
from tenants.snapshot import Snapshots
from tests.gateway.fakes import Vendor, always, events, http, target

pytestmark = pytest.mark.asyncio


def prepared(url: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "good morning"}], "stream": True}
    return SimpleNamespace(
        call=Call(uuid7(), "chat", "m", body, stream=True),
        caller=SimpleNamespace(tenant=uuid7()),
        snapshot=SimpleNamespace(parts={"prices": Prices()}),
        rules=SimpleNamespace(guardrails=Guardrails()),
        targets=[target(url)],
        masked=Masked(body, {}, Vault()),
        ceiling=1000,
        headers=[],
        began=time.perf_counter(),
    )


class Pipeline:
    """What a stream needs of the pipeline; `settled` tells how it ended."""

    def __init__(self) -> None:
        self.snapshots = Snapshots("", None, b"")  # type: ignore[arg-type]
        self.router = Router()
        self.settled: list[str] = []

    def settle(self, *_: Any, reason: str = "", **__: Any) -> asyncio.Future[None]:
        self.settled.append(reason)
        done: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        done.set_result(None)
        return done

    def remember(self, *_: Any) -> None:
        return None


async def test_a_stream_that_has_ended_is_freed_at_once() -> None:
    """Nothing is left that only the garbage collector could free: under load it would run for every few hundred."""
    pipeline = Pipeline()
    async with Vendor(
        always(http(200, b"".join(events([{"role": "assistant"}, {"content": "good "}, {"content": "morning"}]))))
    ) as vendor:
        gc.collect()
        gc.disable()
        try:
            stream = Stream(pipeline, prepared(vendor.url))  # type: ignore[arg-type]
            told = []
            sent = await stream.start(told.append)
            async for block in stream.rest():
                sent += block
            sent += stream.last
            await stream.close()
            assert sent.endswith(b"data: [DONE]\n\n")
            assert pipeline.settled == [""]
            life = weakref.ref(stream)
            told.clear()
            del stream
            await asyncio.sleep(0)
            assert life() is None
        finally:
            gc.enable()
