"""The connections on which calls come: HTTP/1.1 straight from the socket to the door and back.

    socket ──► Reception ── /v1 ──► Request ──► Door
                   └── anything else: the connection is handed to the server that Django runs in, for good

A general ASGI server spends on each request, in messages, tasks and second writes, a good part of what the whole
pipeline does. Parsing is httptools'; what is here reads whole requests, one at a time a connection, and writes answers.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Iterator, Sequence
from http import HTTPStatus
from typing import Any, Final
from urllib.parse import unquote

import httptools

from .door import Door, Headers

log = logging.getLogger("customhouse.http")

#: A request whose head is larger is refused.
MOST_HEAD_BYTES: Final = 64 << 10
#: What is read and thrown away of a body that is too large, so that its sender gets to read why.
MOST_IGNORED_BYTES: Final = 64 << 20
#: Seconds that a connection may be idle, and that a request may take to arrive.
KEEP_ALIVE_S: Final = 75.0
ARRIVAL_S: Final = 60.0
TICK_S: Final = 1.0
#: Bytes that are looked at to see where a request goes.
PEEK: Final = 16

_STATUS: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CLOSE: Final = b"connection: close\r\n"

MakeProtocol = Callable[[], asyncio.Protocol]


class House:
    """What all connections of a worker share.

    elsewhere: makes the protocol that everything but /v1 is handed to; headers: those that every answer carries;
    connections and tasks: the server's own sets, which it waits for when it ends; trusted: addresses of proxies whose
    `x-forwarded-for` is believed.
    """

    def __init__(
        self,
        door: Door,
        elsewhere: MakeProtocol,
        connections: set[Any],
        tasks: set[asyncio.Task[None]],
        headers: Callable[[], Sequence[tuple[bytes, bytes]]] = tuple,
        trusted: frozenset[str] = frozenset(),
    ) -> None:
        self.door, self.elsewhere, self.headers, self.trusted = door, elsewhere, headers, trusted
        self.connections, self.tasks = connections, tasks
        self.loop = asyncio.get_running_loop()
        self._held: set[Reception] = set()
        self._ticking: asyncio.TimerHandle | None = None

    def hold(self, reception: Reception) -> None:
        self.connections.add(reception)
        self._held.add(reception)
        if self._ticking is None:
            self._ticking = self.loop.call_later(TICK_S, self._tick)

    def leave(self, reception: Reception) -> None:
        self.connections.discard(reception)
        self._held.discard(reception)

    def _tick(self) -> None:
        """Closes what is idle or does not get on."""
        now = time.monotonic()
        for reception in [held for held in self._held if held.patience < now]:
            reception.give_up()
        self._ticking = self.loop.call_later(TICK_S, self._tick) if self._held else None


class Request:
    """One request and its answer: the `Exchange` that the door sees."""

    __slots__ = (
        *("_begun", "_chunked", "_gone", "_reception", "_silent"),
        *("address", "body", "complete", "headers", "keep_alive", "method", "path", "waiting"),
    )

    def __init__(self, reception: Reception, address: str) -> None:
        self._reception = reception
        self.address = address
        self.method = self.path = ""
        self.headers: list[tuple[bytes, bytes]] = []
        self.body: bytes | None = b""
        self.keep_alive, self._chunked, self._silent = True, True, False
        self._begun = self.complete = False
        self._gone: Callable[[], None] | None = None
        self.waiting: asyncio.Future[None] | None = None

    def asked(self, method: str, version: str, keep_alive: bool) -> None:
        """The head has come."""
        self.method, self.keep_alive = method, keep_alive
        self._chunked, self._silent = version == "1.1", method == "HEAD"

    # -- for the door ---------------------------------------------------------------------------------------------

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if self._begun or self.complete:
            self._reception.abort()  # half of another answer is out: no client may take this for its end
            return
        head = self._head(status, [*headers, (b"content-length", b"%d" % len(body))])
        self._reception.send(head if self._silent else head + body)
        self._finish()

    async def begin(self, headers: Headers, block: bytes) -> None:
        self._begun = True
        if self._chunked:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        else:
            self.keep_alive = False
        self._reception.send(self._head(200, headers) + self._piece(block))

    async def write(self, block: bytes) -> None:
        if block:
            self._reception.send(self._piece(block))
        if self.waiting is not None:
            await self.waiting

    async def end(self, block: bytes) -> None:
        self._reception.send(self._piece(block) + (b"0\r\n\r\n" if self._chunked else b""))
        self._finish()

    def on_gone(self, told: Callable[[], None]) -> None:
        if self._reception.gone:
            self._reception.loop.call_soon(told)
        else:
            self._gone = told

    def done(self) -> None:
        self._gone = None

    # -- for the connection ---------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The client has gone."""
        if self.waiting is not None and not self.waiting.done():
            self.waiting.set_result(None)
        if self._gone is not None:
            told, self._gone = self._gone, None
            told()

    def _piece(self, block: bytes) -> bytes:
        if not block or not self._chunked:
            return block
        return b"%x\r\n%b\r\n" % (len(block), block)

    def _head(self, status: int, headers: Headers) -> bytes:
        lines = [_STATUS[status]]
        lines += [b"%b: %b\r\n" % line for line in self._reception.house.headers()]
        lines += [b"%b: %b\r\n" % line for line in headers]
        if not self.keep_alive:
            lines.append(_CLOSE)
        head = b"".join(lines)
        if head.count(b"\n") != len(lines) or head.count(b"\r") != len(lines):
            raise ValueError("a header holds a line end")
        return head + b"\r\n"

    def _finish(self) -> None:
        self.complete = True
        self._reception.finished(self)


class Reception(asyncio.Protocol):
    """One connection."""

    def __init__(self, house: House) -> None:
        self.house, self.loop = house, house.loop
        self.gone = False
        self.patience = time.monotonic() + ARRIVAL_S
        self._transport: Any = None
        self._address = ""
        self._early = b""  #: too little to see where it goes
        self._parser: Any = None
        self._request: Request | None = None
        self._running = False  #: a request is being answered
        self._arrived = True  #: all of the last request is here
        self._url = b""
        self._parts: list[bytes] = []
        self._size = self._head_bytes = 0
        self._closing = False

    # -- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = str(peer[0]) if isinstance(peer, tuple) else ""
        self.house.hold(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self.house.leave(self)
        if self._request is not None and self._running:
            self._request.lost()
        self._parser = None

    def data_received(self, data: bytes) -> None:
        if self._arrived and not self._running:  # a request begins
            data = self._early + data
            where = _where(data)
            if where is None:
                self._early = data
                return
            self._early = b""
            if not where:
                self._hand_over(data)
                return
            self.patience = time.monotonic() + ARRIVAL_S
            if self._parser is None:
                self._parser = httptools.HttpRequestParser(self)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade:
            self._bad(400, "Upgrades are not supported.")
        except httptools.HttpParserError:
            self._bad(400, "The request is not valid HTTP.")

    def pause_writing(self) -> None:
        if self._request is not None and self._request.waiting is None:
            self._request.waiting = self.loop.create_future()

    def resume_writing(self) -> None:
        request = self._request
        if request is not None and request.waiting is not None:
            if not request.waiting.done():
                request.waiting.set_result(None)
            request.waiting = None

    # -- the server -----------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The worker ends: the running answer is finished, then the connection closes."""
        self._closing = True
        if self._request is not None and self._running:
            self._request.keep_alive = False
        elif self._arrived:
            self._transport.close()

    def give_up(self) -> None:
        """It was idle for too long, or its request does not arrive."""
        if self._arrived or self.gone:
            self._transport.close()
        else:
            self._bad(408, "The request did not arrive in time.")

    # -- the request ----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if not self.gone:
            self._transport.write(data)

    def abort(self) -> None:
        self._transport.abort()

    def finished(self, request: Request) -> None:
        """An answer is complete."""
        if request is not self._request:
            return
        self._running = False
        self.patience = time.monotonic() + KEEP_ALIVE_S
        if self.gone:
            return
        if not request.keep_alive or self._closing:
            self._transport.close()
        elif not self._arrived:
            self.patience = time.monotonic() + ARRIVAL_S  # the rest of a body that nobody wants

    def _hand_over(self, data: bytes) -> None:
        """The connection belongs to somebody else from here on."""
        self.house.leave(self)
        protocol = self.house.elsewhere()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _bad(self, status: int, message: str) -> None:
        """Nothing that follows on this connection can be understood; a running answer is its last."""
        self._closing = True
        if self._running:
            return
        if not self.gone:
            body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"invalid_request"}}'
            body %= message.encode()
            head = _STATUS[status] + b"content-type: application/json\r\ncontent-length: %d\r\n" % len(body)
            self._transport.write(head + _CLOSE + b"\r\n" + body)
        self._transport.close()

    def _answer(self, request: Request) -> None:
        self._running = True
        self.patience = float("inf")
        task = self.loop.create_task(self.house.door(request))
        self.house.tasks.add(task)
        task.add_done_callback(lambda task: self._answered(request, task))

    def _answered(self, request: Request, task: asyncio.Task[None]) -> None:
        """The door is done; by now another request may be running."""
        self.house.tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            log.error("a request ended without an answer", exc_info=None if task.cancelled() else task.exception())
        if not request.complete:
            self._running = False
            if not self.gone:
                self._transport.abort()  # its answer is not whole

    # -- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._running:  # a second request before the answer to the first: that one is the last here
            self._closing = True
            return
        self._request = Request(self, self._address)
        self._arrived, self._url, self._size, self._head_bytes = False, b"", 0, 0
        self._parts = []

    def on_url(self, url: bytes) -> None:
        if not self._running:
            self._url += url
            self._count(len(url))

    def on_header(self, name: bytes, value: bytes) -> None:
        if not self._running and self._request is not None:
            self._request.headers.append((name.lower(), value))
            self._count(len(name) + len(value) + 4)

    def on_headers_complete(self) -> None:
        request = self._request
        if self._running or request is None:
            return
        parser = self._parser
        request.asked(parser.get_method().decode(), parser.get_http_version(), parser.should_keep_alive())
        path = self._url.partition(b"?")[0].decode("latin-1")
        request.path = unquote(path) if "%" in path else path
        for name, value in request.headers:
            if name == b"content-length" and int(value) > self.house.door.max_body:
                self._too_large(request)
            elif name == b"expect" and value.lower() == b"100-continue" and request.body is not None:
                self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")
        if self._address in self.house.trusted:
            request.address = _forwarded(request, self._address, self.house.trusted)

    def on_body(self, body: bytes) -> None:
        request = self._request
        if request is None or self._arrived:
            return
        self._size += len(body)
        if request.body is not None:
            self._parts.append(body)
            if self._size > self.house.door.max_body:
                self._too_large(request)
        elif self._size > MOST_IGNORED_BYTES:
            self._transport.abort()

    def on_message_complete(self) -> None:
        request = self._request
        if request is None or self._arrived:
            return
        self._arrived = True
        if request.body is None:  # answered already
            return
        parts, self._parts = self._parts, []
        request.body = parts[0] if len(parts) == 1 else b"".join(parts)
        self._answer(request)

    def _too_large(self, request: Request) -> None:
        """The answer need not wait for the rest."""
        request.body, self._parts = None, []
        self._answer(request)

    def _count(self, size: int) -> None:
        self._head_bytes += size
        if self._head_bytes > MOST_HEAD_BYTES and not self._closing:
            self._bad(431, "The request's head is too large.")


def _where(data: bytes) -> bool | None:
    """Whether a request is for /v1; None when too little of it has come to tell."""
    space = data.find(b" ", 0, PEEK)
    if space < 0:
        return None if len(data) < PEEK and b"\n" not in data else False
    if len(data) < space + 5 and b"\n" not in data:
        return None
    return data[space + 1 : space + 4] == b"/v1" and data[space + 4 : space + 5] in (b"/", b" ", b"?")


def _forwarded(request: Request, address: str, trusted: frozenset[str]) -> str:
    """The client's address as trusted proxies tell it: the last that none of them added for another."""
    said = [value for name, value in request.headers if name == b"x-forwarded-for"]
    hops: Iterator[str] = reversed([hop.strip() for hop in b",".join(said).decode("latin-1").split(",") if hop.strip()])
    for hop in hops:
        address = hop
        if hop not in trusted:
            break
    return address
