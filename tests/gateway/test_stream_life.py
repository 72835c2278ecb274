"""A streamed answer from its beginning to its end, as an object of this process."""

from __future__ import annotations

import asyncio
import gc
import weakref
from collections.abc import AsyncIterator
from types import SimpleNamespace
from typing import Any

import pytest

from billing.services import Prices
from gateway.data import Call
from gateway.door import _stream
from gateway.errors import Revoked
from gateway.pipeline import Steps, Stream
from gateway.routing import Router
from policies.guardrails import Guardrails
from policies.pii.vault import Vault
from policies.services import Masked
from tenants.ids import uuid7
from tenants.snapshot import Snapshot, Snapshots
from tests.gateway.fakes import STREAM_END, STREAM_HEAD, Seen, Vendor, always, events, framed, http, target

pytestmark = pytest.mark.asyncio


def prepared(url: str) -> Any:
    body = {"model": "m", "messages": [{"role": "user", "content": "good morning"}], "stream": True}
    tenant = uuid7()
    return SimpleNamespace(
        call=Call(uuid7(), "chat", "m", body, stream=True),
        caller=SimpleNamespace(tenant=tenant, key=uuid7(), origin=None),
        snapshot=Snapshot(tenant, (1, 1), {}, {"prices": Prices()}),
        rules=SimpleNamespace(guardrails=Guardrails(), keeps_bodies=False, holds_answers=False),
        targets=[target(url)],
        masked=Masked(body, {}, Vault()),
        ceiling=1000,
        headers=[],
        steps=Steps(),
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


async def slowly(_: Seen) -> AsyncIterator[bytes]:
    yield STREAM_HEAD
    for one in events([{"content": "more "}] * 20):
        yield framed(one)
        await asyncio.sleep(0.02)
    yield STREAM_END


class Unread:
    """A client that does not read what is written to it."""

    path, headers = "/v1/chat/completions", ()

    def __init__(self) -> None:
        self.stuck, self.ended = asyncio.Event(), False

    def on_gone(self, told: Any) -> None:
        """It stays."""

    def done(self) -> None:
        """Nobody would have told."""

    async def begin(self, headers: Any, block: bytes) -> None:
        """The head still fits."""

    async def write(self, block: bytes) -> None:
        self.stuck.set()
        await asyncio.Event().wait()

    async def end(self, block: bytes) -> None:
        self.ended = True


async def test_a_key_that_is_revoked_while_its_client_does_not_read_ends_the_stream_as_revoked() -> None:
    pipeline, client = Pipeline(), Unread()
    async with Vendor(slowly) as vendor:
        call = prepared(vendor.url)
        stream = Stream(pipeline, call)  # type: ignore[arg-type]
        answering = asyncio.create_task(_stream(client, stream, uuid7()))  # type: ignore[arg-type]
        await asyncio.wait_for(client.stuck.wait(), 5)
        for changed in list(pipeline.snapshots._watchers[call.caller.tenant]):
            changed(Snapshot(call.caller.tenant, (2, 2), {}, {}))
        await asyncio.wait_for(answering, 5)
    assert pipeline.settled == ["revoked"]
    assert not client.ended


async def test_a_key_that_is_revoked_while_its_call_is_decided_gets_no_stream() -> None:
    pipeline = Pipeline()
    async with Vendor(slowly) as vendor:
        call = prepared(vendor.url)
        pipeline.snapshots._keep(Snapshot(call.caller.tenant, (2, 2), {}, {}))  # before anybody watches for this call
        stream = Stream(pipeline, call)  # type: ignore[arg-type]
        with pytest.raises(Revoked):
            await stream.start(lambda _: None)
        await stream.close()
    assert pipeline.settled == ["revoked"]


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
