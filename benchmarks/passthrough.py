"""A gateway that governs nothing: the same server and the same HTTP client as ours, and what came in goes out.

It is the measure: what governance costs is what our gateway is slower than this one.
Run: `python -m benchmarks.passthrough PORT UPSTREAM_URL`.
"""

from __future__ import annotations

import sys
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

import aiohttp
import uvicorn

Message = MutableMapping[str, Any]


class PassThrough:
    """The ASGI application."""

    def __init__(self, upstream: str) -> None:
        self._upstream = upstream

    async def __call__(
        self, scope: Message, receive: Callable[[], Awaitable[Message]], send: Callable[[Message], Awaitable[None]]
    ) -> None:
        if scope["type"] == "lifespan":
            await self._live(receive, send)
            return
        headers = {"content-type": "application/json", "authorization": "Bearer none"}
        url = self._upstream + scope["path"].removeprefix("/v1")
        async with self._client.post(url, data=await _whole(receive), headers=headers) as reply:
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


if __name__ == "__main__":
    uvicorn.run(
        PassThrough(sys.argv[2]),
        host="127.0.0.1",
        port=int(sys.argv[1]),
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
    )
