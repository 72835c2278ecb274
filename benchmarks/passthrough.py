"""Gateways that govern nothing: what came in goes out. They are the measure of what governance costs.

    general   uvicorn and aiohttp, as a gateway is usually built
    own       the server and the HTTP client of ours, and nothing between them

Run: `python -m benchmarks.passthrough general|own PORT UPSTREAM_URL`.
"""

from __future__ import annotations

import asyncio
import sys
import time
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import django
import uvicorn

django.setup()  # the rooms that the client lies among need it

from gateway.http import House, Reception  # noqa: E402
from gateway.providers.http import Address, Answer, Client, request  # noqa: E402

Message = MutableMapping[str, Any]
HEADERS = {"content-type": "application/json", "authorization": "Bearer none"}


class General:
    """The ASGI application."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        url = self._upstream + scope["path"].removeprefix("/v1")
        async with self._client.post(url, data=await _whole(receive), headers=HEADERS) as reply:
            kind = reply.headers["content-type"].encode()
            if kind == b"text/event-stream":
                await send({"type": "http.response.start", "status": 200, "headers": [(b"content-type", kind)]})
                async for block in reply.content.iter_any():
                    await send({"type": "http.response.body", "body": block, "more_body": True})
                await send({"type": "http.response.body", "body": b""})
                return
            body = await reply.read()
            length = [(b"content-type", kind), (b"content-length", b"%d" % len(body))]
            await send({"type": "http.response.start", "status": reply.status, "headers": length})
            await send({"type": "http.response.body", "body": body})

    async def _live(
        self, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        await receive()
        self._client = aiohttp.ClientSession(connector=aiohttp.TCPConnector(limit=0))
        await send({"type": "lifespan.startup.complete"})
        await receive()
        await self._client.close()
        await send({"type": "lifespan.shutdown.complete"})


async def _whole(receive: Callable[[], Awaitable[Message]]) -> bytes:
    parts = []
    while True:
        message = await receive()
        parts.append(message.get("body", b""))
        if not message.get("more_body"):
            return b"".join(parts)


class Own:
    """A door that lets everything pass."""

    max_body = 10 << 20

    def __init__(self, upstream: str) -> None:
        self._address = Address.of(upstream + "/chat/completions")
        self._head = request(self._address, HEADERS)
        self._client = Client()

    async def __call__(self, exchange: Any) -> None:
        answer = await self._client.post(self._address, self._head, exchange.body, deadline=time.monotonic() + 600)
        try:
            await self._pass_on(exchange, answer, await answer.head())
        finally:
            answer.release(finishing=True)

    async def _pass_on(self, exchange: Any, answer: Answer, status: int) -> None:
        kind = answer.headers["content-type"].encode()
        if kind != b"text/event-stream":
            await exchange.respond(status, [(b"content-type", kind)], await answer.whole(10 << 20))
            return
        await exchange.begin([(b"content-type", kind)], await answer.read())
        while block := await answer.read():
            await exchange.write(block)
        await exchange.end(b"")


async def _serve_own(port: int, upstream: str) -> None:
    house = House(Own(upstream), asyncio.Protocol, set(), set())  # type: ignore[arg-type]
    server = await asyncio.get_running_loop().create_server(lambda: Reception(house), "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


def main(kind: str, port: int, upstream: str) -> None:
    """Serves until it is ended."""
    common: dict[str, Any] = {"loop": "uvloop", "http": "httptools", "access_log": False, "log_level": "warning"}
    if kind == "general":
        uvicorn.run(General(upstream), host="127.0.0.1", port=port, lifespan="on", server_header=False, **common)
        return
    config = uvicorn.Config("", loop="uvloop")
    with asyncio.Runner(loop_factory=config.get_loop_factory()) as runner:
        runner.run(_serve_own(port, upstream))


if __name__ == "__main__":
    main(sys.argv[1], int(sys.argv[2]), sys.argv[3])
