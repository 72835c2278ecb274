"""The connections on which calls come: HTTP/1.1 straight from the socket to the door and back.

    socket ──► Reception ── /v1 ──► Request ──► Door
                   └── anything else: the connection is handed to the server that Django runs in, for good

A general ASGI server spends on each request, in messages, tasks and second writes, a good part of what the whole
pipeline does. Parsing is httptools'; what is here reads whole requests, one at a time a connection, and writes answers.

What one client can hold is bounded: the head, the body, the time in which a request comes, the time in which nothing
of an answer is read. Where its bytes could be read in two ways, the answer at hand is the connection's last: after a
request that came too early, a body that was not read, and anything that is not strictly HTTP.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections.abc import Callable, Container, Iterable, Sequence
from http import HTTPStatus
from ipaddress import IPv6Address, ip_address, ip_network
from typing import TYPE_CHECKING, Any, Final
from urllib.parse import unquote

import httptools

from tenants.ids import uuid7

if TYPE_CHECKING:  # what stands behind the door does not concern a connection
    from .door import Door, Headers

log = logging.getLogger("customhouse.http")

#: A request whose head is larger is refused; so is one that goes on for so long between two bytes of its body.
MOST_HEAD_BYTES: Final = 64 << 10
#: What is read and thrown away after the last answer, so that a client which is still sending gets to read it.
MOST_IGNORED_BYTES: Final = 64 << 20
LINGER_S: Final = 30.0
#: Seconds that a connection may be idle, that a request may take to arrive, and that an answer may wait unread.
KEEP_ALIVE_S: Final = 75.0
ARRIVAL_S: Final = 60.0
STALL_S: Final = 60.0
TICK_S: Final = 1.0
#: Bytes that are looked at to see where a request goes.
PEEK: Final = 16

#: Where a connection is in its round: between requests; in a head; in a body; in a head that is read once more, without
#: its wish for another protocol; answering; after its last answer.
_IDLE, _HEAD, _BODY, _ANEW, _ANSWERING, _OVER = range(6)

_STATUS: Final = {status.value: f"HTTP/1.1 {status.value} {status.phrase}\r\n".encode() for status in HTTPStatus}
_CLOSE: Final = b"connection: close\r\n"

MakeProtocol = Callable[[], asyncio.Protocol]


class Proxies:
    """The addresses and networks (`10.0.0.0/8`) of proxies whose `x-forwarded-for` is believed; `*` is all of them.

    Raises ValueError for what is neither.
    """

    def __init__(self, named: Iterable[str]) -> None:
        names = [name.strip() for name in named]
        self._all = "*" in names
        self._networks = [ip_network(name) for name in names if name != "*"]

    def __contains__(self, address: object) -> bool:
        if self._all:
            return True
        try:
            found = ip_address(str(address))
        except ValueError:
            return False
        return any(found in network for network in self._networks)


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
        trusted: Container[str] = frozenset(),
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
        *("address", "body", "complete", "headers", "keep_alive", "method", "path"),
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

    def asked(self, method: str, version: str, keep_alive: bool) -> None:
        """The head has come. Only HTTP/1.1 has chunks, and connections that are kept without a word."""
        modern = version == "1.1"
        self.method, self.keep_alive = method, modern and keep_alive
        self._silent = method == "HEAD"
        self._chunked = modern and not self._silent

    # -- for the door ---------------------------------------------------------------------------------------------

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        if self.complete:
            return  # what went wrong afterwards does not concern the client
        if self._begun:
            self._reception.abort()  # half of another answer is out: no client may take this for its end
            return
        head = self._head(status, [*headers, (b"content-length", b"%d" % len(body))])
        self._reception.send(head if self._silent else head + body)
        self._finish()

    async def begin(self, headers: Headers, block: bytes) -> None:
        if self._chunked:
            headers = [*headers, (b"transfer-encoding", b"chunked")]
        else:
            self.keep_alive = False
        head = self._head(200, headers)
        self._begun = True
        self._reception.send(head + self._piece(block))

    async def write(self, block: bytes) -> None:
        if block:
            self._reception.send(self._piece(block))
        if self._reception.paused:
            await self._reception.drained()

    async def end(self, block: bytes) -> None:
        self._reception.send(self._piece(block) + (b"0\r\n\r\n" if self._chunked else b""))
        self._finish()

    def on_gone(self, told: Callable[[], None]) -> None:
        self._gone = told
        if self._reception.gone:
            self._reception.loop.call_soon(self.lost)

    def done(self) -> None:
        self._gone = None

    # -- for the connection ---------------------------------------------------------------------------------------

    def lost(self) -> None:
        """The client has gone."""
        if self._gone is not None:
            told, self._gone = self._gone, None
            told()

    def _piece(self, block: bytes) -> bytes:
        if self._chunked and block:
            return b"%x\r\n%b\r\n" % (len(block), block)
        return b"" if self._silent else block

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
    """One connection.

    A request is read whole, then answered; what comes in the meantime is not read as a request. A client that closes
    its sending side has gone: nothing tells it from one that hung up.
    """

    def __init__(self, house: House) -> None:
        self.house, self.loop = house, house.loop
        self.gone = False
        self.paused = False  #: the client does not read
        self.patience = time.monotonic() + ARRIVAL_S
        self._transport: Any = None
        self._address, self._behind_proxy = "", False
        self._state = _IDLE
        self._early = b""  #: too little to see where it goes
        self._parser: Any = None
        self._request: Request | None = None
        self._url = b""
        self._body: bytes | bytearray = b""
        self._fed = 0  #: bytes since the request began or the last of its body
        self._surplus = False  #: something came that was not read
        self._ignored = 0  #: bytes after the last answer
        self._unread = float("inf")  #: bytes of an answer that the client left last time
        self._closing = False
        self._waiter: asyncio.Future[None] | None = None

    # -- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        self._transport = transport
        peer = transport.get_extra_info("peername")
        self._address = _ip(str(peer[0])) if isinstance(peer, tuple) else ""
        self._behind_proxy = self._address in self.house.trusted
        self.house.hold(self)

    def connection_lost(self, error: Exception | None) -> None:
        self.gone = True
        self.house.leave(self)
        self.resume_writing()
        request, self._request, self._parser = self._request, None, None
        if request is not None and self._state == _ANSWERING:
            request.lost()

    def data_received(self, data: bytes) -> None:
        if self._state == _IDLE:
            data = self._early + data
            where = _where(data)
            if not where:
                self._elsewhere(data, known=where is not None)
                return
            self._early, self._fed = b"", 0
            self.patience = time.monotonic() + ARRIVAL_S
            if self._parser is None:
                self._parser = httptools.HttpRequestParser(self)
        elif self._state > _BODY:
            self._ignore(data)
            return
        self._feed(data)

    def pause_writing(self) -> None:
        self.paused = True
        self._unread = float("inf")
        if self._state == _ANSWERING:
            self.patience = time.monotonic() + STALL_S

    def resume_writing(self) -> None:
        self.paused = False
        if self._state == _ANSWERING:
            self.patience = float("inf")
        elif self._state == _IDLE:
            self._transport.resume_reading()
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    # -- the server -----------------------------------------------------------------------------------------------

    def shutdown(self) -> None:
        """The worker ends: a request that has begun is answered, then the connection closes."""
        self._closing = True
        if self._request is not None:
            self._request.keep_alive = False
        else:
            self._transport.close()

    def give_up(self) -> None:
        """It was idle for too long, its request does not arrive, or its answer is not read."""
        unread = self._transport.get_write_buffer_size()
        if 0 < unread < self._unread:  # slowly, but it gets on
            self._unread, self.patience = unread, time.monotonic() + STALL_S
        elif self._state in (_HEAD, _BODY):
            self._bad(408, "The request did not arrive in time.")
        else:
            self._transport.abort()

    # -- the answer -----------------------------------------------------------------------------------------------

    def send(self, data: bytes) -> None:
        if not self.gone:
            self._transport.write(data)

    async def drained(self) -> None:
        """Waits until the client has read what was sent, or has gone."""
        self._waiter = self.loop.create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def abort(self) -> None:
        self._transport.abort()

    def finished(self, request: Request) -> None:
        """An answer is complete."""
        if self.gone:
            return
        self._request = None
        self.patience = time.monotonic() + KEEP_ALIVE_S
        if request.keep_alive:
            self._state = _IDLE
            if self.paused:
                self._transport.pause_reading()  # who does not read answers may not ask for more
        elif self._surplus:
            self._linger()
        else:
            self._state = _OVER
            self._transport.close()

    def _answer(self, request: Request) -> None:
        self._state = _ANSWERING
        self.patience = float("inf")
        task = self.loop.create_task(self.house.door(request))
        self.house.tasks.add(task)
        task.add_done_callback(lambda task: self._answered(request, task))

    def _answered(self, request: Request, task: asyncio.Task[None]) -> None:
        """The door is done; by now another request may be running."""
        self.house.tasks.discard(task)
        if task.cancelled() or task.exception() is not None:
            log.error("a request ended without an answer", exc_info=None if task.cancelled() else task.exception())
        if not request.complete and not self.gone:
            self._transport.abort()  # its answer is not whole

    def _bad(self, status: int, message: str) -> None:
        """Nothing that follows on this connection can be understood; a running answer is its last."""
        if self._state >= _ANSWERING:
            self._more_came()
            return
        body = b'{"error":{"message":"%b","type":"invalid_request_error","param":null,"code":"invalid_request"}}'
        body %= message.encode()
        head = b"%bcontent-type: application/json\r\nx-request-id: %b\r\ncontent-length: %d\r\n" % (
            _STATUS[status],
            str(uuid7()).encode(),
            len(body),
        )
        self._transport.write(head + _CLOSE + b"\r\n" + body)
        self._request = None
        self._linger()

    def _linger(self) -> None:
        """Says no more, and throws away what still comes: hanging up on a client that is sending would take the answer
        from it before it is read."""
        self._state = _OVER
        self.patience = time.monotonic() + LINGER_S
        try:
            self._transport.write_eof()
        except OSError:
            self._transport.abort()  # it has gone already

    # -- the request ----------------------------------------------------------------------------------------------

    def _feed(self, data: bytes) -> None:
        self._fed += len(data)
        try:
            self._parser.feed_data(data)
        except httptools.HttpParserUpgrade as upgrade:
            self._read_anew(data[upgrade.args[0] :])
        except httptools.HttpParserCallbackError:
            raise  # a fault of ours, not of the client's
        except httptools.HttpParserError:
            self._bad(400, "The request is not valid HTTP.")
        if self._fed > MOST_HEAD_BYTES and self._state <= _BODY:
            self._bad(431, "The request's head is too large.")

    def _read_anew(self, rest: bytes) -> None:
        """To the parser a request ends with its head when it wishes for another protocol (`upgrade: h2c`, as Java's
        client does with every one). The wish is not granted, so what follows is still this request."""
        request = self._request
        if self._state != _ANEW or request is None or all(name != b"upgrade" for name, _ in request.headers):
            self._bad(400, "The request is not valid HTTP.")
            return
        lines = [b"%b %b HTTP/%b" % (self._parser.get_method(), self._url, self._parser.get_http_version().encode())]
        lines += [b"%b: %b" % line for line in request.headers if line[0] != b"upgrade"]
        self._parser = httptools.HttpRequestParser(self)
        self._state, self._fed = _IDLE, 0
        self._feed(b"\r\n".join([*lines, b"", rest]))

    def _elsewhere(self, data: bytes, known: bool) -> None:
        """The connection belongs to somebody else from here on, as soon as that is known."""
        if not known:
            self._early = data.lstrip(b"\r\n")
            return
        self._early, self._parser = b"", None
        self.house.leave(self)
        protocol = self.house.elsewhere()
        self._transport.set_protocol(protocol)
        protocol.connection_made(self._transport)
        protocol.data_received(data)

    def _ignore(self, data: bytes) -> None:
        """What comes before an answer is complete, or after the last one. Empty lines mean nothing."""
        if self._state == _OVER:
            self._ignored += len(data)
            if self._ignored > MOST_IGNORED_BYTES:
                self._transport.abort()
        elif data.strip(b"\r\n"):
            self._more_came()

    def _more_came(self) -> None:
        """Bytes that will not be read as a request: the answer at hand is the last."""
        self._surplus = True
        if self._request is not None:
            self._request.keep_alive = False

    # -- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        if self._state != _IDLE:  # a second request before the answer to the first
            self._more_came()
            return
        self._state = _HEAD
        self._request = Request(self, self._address)
        self._url = self._body = b""

    def on_url(self, url: bytes) -> None:
        if self._state == _HEAD:
            self._url += url

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._state == _HEAD and self._request is not None:  # what trails a body is no header
            self._request.headers.append((name.lower(), value))

    def on_headers_complete(self) -> None:
        request, parser = self._request, self._parser
        if self._state != _HEAD or request is None:
            return
        if self._fed > MOST_HEAD_BYTES and _size(self._url, request.headers) > MOST_HEAD_BYTES:
            self._bad(431, "The request's head is too large.")
            return
        if parser.should_upgrade():
            self._state = _ANEW
            return
        self._state = _BODY
        version = parser.get_http_version()
        request.asked(parser.get_method().decode(), version, parser.should_keep_alive() and not self._closing)
        path = self._url.partition(b"?")[0].decode("latin-1")
        request.path = unquote(path) if "%" in path else path
        if self._behind_proxy:
            request.address = _forwarded(request.headers, self._address, self.house.trusted)
        self._expect(request, version)

    def _expect(self, request: Request, version: str) -> None:
        """What the head says about the body."""
        waits = False
        for name, value in request.headers:
            if name == b"content-length":
                if int(value) > self.house.door.max_body:
                    self._too_large(request)
                    return
            elif name == b"expect":
                waits = value.strip().lower() == b"100-continue"
            elif name == b"transfer-encoding" and version != "1.1":  # others would not see a body there
                self._bad(400, "The request is not valid HTTP.")
                return
        if waits and version == "1.1":
            self._transport.write(b"HTTP/1.1 100 Continue\r\n\r\n")

    def on_body(self, body: bytes) -> None:
        request = self._request
        if self._state != _BODY or request is None:
            return
        self._fed = 0
        if not self._body:
            self._body = body
        else:
            if isinstance(self._body, bytes):
                self._body = bytearray(self._body)  # not a list: pieces may be single bytes
            self._body += body
        if len(self._body) > self.house.door.max_body:
            self._too_large(request)

    def on_message_complete(self) -> None:
        request = self._request
        if self._state != _BODY or request is None:
            return
        body, self._body = self._body, b""
        request.body = body if isinstance(body, bytes) else bytes(body)
        self._answer(request)

    def _too_large(self, request: Request) -> None:
        """The answer need not wait for the rest, which nobody reads."""
        request.body, self._body = None, b""
        self._more_came()
        self._answer(request)


def _where(data: bytes) -> bool | None:
    """Whether a request is for /v1; None when too little of it has come to tell."""
    space = data.find(b" ", 0, PEEK)
    if space < 0:
        begun = data.lstrip(b"\r\n")
        return None if len(begun) < PEEK and b"\n" not in begun else False
    if len(data) < space + 5 and b"\n" not in data[space:]:
        return None
    return data[space + 1 : space + 4] == b"/v1" and data[space + 4 : space + 5] in (b"/", b" ", b"?")


def _size(url: bytes, headers: Headers) -> int:
    """Bytes of a head."""
    return len(url) + sum(len(name) + len(value) + 4 for name, value in headers)


def _ip(text: str) -> str:
    """An IP address without port, brackets and the form of IPv4 in IPv6; "" when it is none."""
    host = text.strip()
    if host.startswith("["):
        host = host[1:].partition("]")[0]
    elif host.count(":") == 1:
        host = host.partition(":")[0]
    try:
        found = ip_address(host)
    except ValueError:
        return ""
    mapped = found.ipv4_mapped if isinstance(found, IPv6Address) else None
    return str(mapped or found)


def _forwarded(headers: Headers, address: str, trusted: Container[str]) -> str:
    """The client's address as trusted proxies tell it: the last that none of them added for another; "" when they tell
    one that is none."""
    lines = [value for name, value in headers if name == b"x-forwarded-for"]
    if not lines:
        return address
    said = b",".join(lines).decode("latin-1")
    for hop in reversed([hop for hop in said.split(",") if hop.strip()]):
        address = _ip(hop)
        if address not in trusted:
            break
    return address
