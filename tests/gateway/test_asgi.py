"""The way to the door behind any other ASGI server: messages instead of sockets."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from typing import Any

import pytest

from gateway.asgi import AsgiExchange, answer

pytestmark = pytest.mark.asyncio

GONE = {"type": "http.disconnect"}


def body(data: bytes, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": data, "more_body": more}


class Server:
    """Gives these messages, then waits for ever; keeps what is sent."""

    def __init__(self, *messages: dict[str, Any], **scope: Any) -> None:
        self.scope = {"method": "POST", "path": "/v1/x", "headers": [], "client": ("203.0.113.9", 1), **scope}
        self.messages, self.sent = list(messages), list[Any]()

    async def receive(self) -> dict[str, Any]:
        if not self.messages:
            await asyncio.Event().wait()
        return self.messages.pop(0)

    async def send(self, message: Any) -> None:
        self.sent.append(message)

    async def run(self, does: Callable[[AsgiExchange], Awaitable[None]]) -> list[AsgiExchange]:
        """The exchanges that the door has seen."""
        seen = []

        class Doorman:
            max_body = 10

            async def __call__(self, exchange: AsgiExchange) -> None:
                seen.append(exchange)
                await does(exchange)

        await answer(Doorman(), self.scope, self.receive, self.send)  # type: ignore[arg-type]
        return seen


async def fine(exchange: AsgiExchange) -> None:
    await exchange.respond(200, [(b"x", b"y")], b"fine")


async def test_a_request_and_its_answer() -> None:
    server = Server(body(b"hel", more=True), body(b"lo"))
    (seen,) = await server.run(fine)
    assert (seen.method, seen.path, seen.address, seen.body) == ("POST", "/v1/x", "203.0.113.9", b"hello")
    headers = [(b"x", b"y"), (b"content-length", b"4")]
    assert server.sent == [
        {"type": "http.response.start", "status": 200, "headers": headers},
        {"type": "http.response.body", "body": b"fine"},
    ]


async def test_a_body_that_is_too_large_is_none() -> None:
    for server in (
        Server(headers=[(b"content-length", b"11")]),
        Server(body(b"x" * 6, more=True), body(b"x" * 5, more=True)),
    ):
        (seen,) = await server.run(fine)
        assert seen.body is None


async def test_half_a_request_of_a_client_that_has_gone_is_none() -> None:
    server = Server(body(b"{}", more=True), GONE)
    assert await server.run(fine) == []
    assert server.sent == []


async def test_half_an_answer_is_not_completed_by_another() -> None:
    async def breaks(exchange: AsgiExchange) -> None:
        await exchange.begin([], b"half")
        await exchange.respond(500, [], b"it broke")

    server = Server(body(b""))
    await server.run(breaks)
    assert [message.get("body") for message in server.sent] == [None, b"half"]


async def test_a_hang_up_is_told_until_the_end() -> None:
    told: list[str] = []

    async def stream(exchange: AsgiExchange) -> None:
        exchange.on_gone(lambda: told.append("gone"))
        await exchange.begin([], b"one")
        await asyncio.sleep(0.01)
        await exchange.end(b"two")
        server.messages.append(GONE)  # as servers do
        await asyncio.sleep(0.01)

    server = Server(body(b""), GONE)
    await server.run(stream)
    assert told == ["gone"]
    server = Server(body(b""))
    await server.run(stream)
    assert told == ["gone"]
