"""The door behind any ASGI server: what comes over a connection that `gateway.http` does not hold."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any

from .door import Door, Headers

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]


async def answer(door: Door, scope: Scope, receive: Receive, send: Send) -> None:
    """One request to /v1."""
    exchange = AsgiExchange(scope, receive, send)
    try:
        exchange.body = await _body(scope, receive, door.max_body)
    except _Gone:
        return
    try:
        await door(exchange)
    finally:
        exchange.done()


class _Gone(Exception):
    """The client hung up before its request was whole."""


class AsgiExchange:
    """An `Exchange` over ASGI's messages."""

    def __init__(self, scope: Scope, receive: Receive, send: Send) -> None:
        self.method, self.path, self.headers = scope["method"], scope["path"], scope["headers"]
        client = scope.get("client")
        self.address: str = client[0] if client else ""
        self.body: bytes | None = None
        self._receive, self._send = receive, send
        self._begun = False
        self._listening: asyncio.Task[None] | None = None

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if self._begun:
            return  # half of another answer is out: the server hangs up, and nobody takes that for its end
        length = (b"content-length", b"%d" % len(body))
        await self._send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
        self._begun = True
        await self._send({"type": "http.response.body", "body": body})

    async def begin(self, headers: Headers, block: bytes) -> None:
        await self._send({"type": "http.response.start", "status": 200, "headers": headers})
        self._begun = True
        await self.write(block)

    async def write(self, block: bytes) -> None:
        await self._send({"type": "http.response.body", "body": block, "more_body": True})

    async def end(self, block: bytes) -> None:
        self.done()  # servers tell of a hang-up at the end of every answer
        await self._send({"type": "http.response.body", "body": block})

    def on_gone(self, told: Callable[[], None]) -> None:
        self._listening = asyncio.create_task(self._listen(told))

    def done(self) -> None:
        if self._listening is not None:
            self._listening.cancel()

    async def _listen(self, told: Callable[[], None]) -> None:
        while (await self._receive())["type"] != "http.disconnect":
            pass
        told()


async def _body(scope: Scope, receive: Receive, most: int) -> bytes | None:
    """The whole body; None as soon as it is known to be larger than `most` bytes. Raises _Gone."""
    for name, value in scope["headers"]:
        if name == b"content-length" and value.isdigit() and int(value) > most:
            return None
    parts: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise _Gone
        parts.append(message.get("body", b""))
        size, more = size + len(parts[-1]), message.get("more_body", False)
        if size > most:
            return None
    return b"".join(parts)
