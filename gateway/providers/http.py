"""The pooled HTTP/1.1 client through which calls leave the house. Parsing is httptools'; the rest is very little.

    Client ──► Connection (one exchange at a time; kept when the answer was read to its end) ──► Answer

A general client costs 85 to 170 µs a call and again for every piece of a stream; this one about 30. It knows POST, one
host a connection, bodies of known length, chunked or until the end, and nothing of redirects, cookies, proxies or
compression, which no call to a model needs.

A connection is used again only when the one answer to its last request has come, and nothing else: whatever is left
over on it would be taken for the answer to somebody else's call.
"""

from __future__ import annotations

import asyncio
import socket
import ssl
import time
from dataclasses import dataclass, field
from functools import cache
from ipaddress import IPv4Address, IPv6Address, IPv6Network, ip_address
from typing import Any, Final
from urllib.parse import urlsplit

import httptools

#: Seconds to connect: a host that does not take a connection leaves time for the next deployment.
CONNECT_S: Final = 10.0
#: Seconds that an idle connection is kept.
KEEP_ALIVE_S: Final = 30.0
#: Seconds between two looks at the deadlines: none is kept more exactly than this.
TICK_S: Final = 0.05
#: An answer whose head is larger is no answer, nor is one that goes on for so long between two bytes of its body.
MOST_HEAD_BYTES: Final = 64 << 10
#: Seconds that the end of a body may come after all that counts of it; then its connection is given up.
END_S: Final = 0.2
#: Bytes of a stream that wait unread before the upstream is slowed down.
MOST_WAITING_BYTES: Final = 256 << 10


class HTTPError(Exception):
    """The exchange came to nothing.

    HTTPError
     ├── Unreachable    no connection
     ├── Disconnected   lost before any byte of the answer
     ├── Broken         lost in the middle of the answer
     └── Malformed      what came is not HTTP/1.1
    """


class Unreachable(HTTPError):
    """No connection could be made."""


class Disconnected(HTTPError):
    """The connection was lost before any byte of the answer."""


class Broken(HTTPError):
    """The connection was lost in the middle of the answer."""


class Malformed(HTTPError):
    """What came is not HTTP/1.1."""


@dataclass(frozen=True, slots=True)
class Address:
    """Where a request goes. `guarded`: only public addresses are connected to, whatever the name resolves to."""

    scheme: str
    host: str
    port: int
    target: str  #: path and query, encoded
    guarded: bool = False
    authority: str = field(default="", compare=False)  #: for the Host header

    @classmethod
    def of(cls, url: str, *, guarded: bool = False) -> Address:
        """The parts of an http or https URL. Raises ValueError when it is none."""
        parts = urlsplit(url)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("not an http(s) address")
        target = (parts.path or "/") + (f"?{parts.query}" if parts.query else "")
        found = cls(
            parts.scheme,
            parts.hostname,
            parts.port or (443 if parts.scheme == "https" else 80),
            target,
            guarded,
            parts.netloc.rpartition("@")[2],
        )
        if any(character <= " " or character >= "\x7f" for character in found.target + found.authority):
            raise ValueError("an address is encoded")
        return found


def request(address: Address, headers: dict[str, str]) -> bytes:
    """The head of a POST, all but its content-length. Raises ValueError for a header that would end its line."""
    lines = [f"POST {address.target} HTTP/1.1", f"host: {address.authority}"]
    for name, value in headers.items():
        if any(character in "\r\n\0" for character in name + value):
            raise ValueError("a header holds a line end")
        lines.append(f"{name}: {value}")
    return ("\r\n".join(lines) + "\r\ncontent-length: ").encode("latin-1")


class Client:
    """Connections to all hosts, kept for the next call. Belongs to one event loop."""

    def __init__(self) -> None:
        self._loop = asyncio.get_running_loop()
        self._idle: dict[tuple[str, str, int, bool], list[Connection]] = {}
        self._busy: set[Connection] = set()
        self._ticking: asyncio.TimerHandle | None = None

    async def post(self, address: Address, head: bytes, body: bytes, *, deadline: float) -> Answer:
        """Sends a request; `await answer.head()` next. `head` is `request(...)`'s, `deadline` as time.monotonic().

        Raises Unreachable, or TimeoutError. Release the answer in any case.
        """
        connection = self._take(address)
        if connection is None:
            connection = await self._connect(address, deadline)
        self._busy.add(connection)
        if self._ticking is None:
            self._ticking = self._loop.call_later(TICK_S, self._tick)
        return connection.begin(b"%b%d\r\n\r\n%b" % (head, len(body), body), deadline)

    async def close(self) -> None:
        """Ends all connections."""
        if self._ticking is not None:
            self._ticking.cancel()
            self._ticking = None
        for connection in [*self._busy, *(kept for idle in self._idle.values() for kept in idle)]:
            connection.close()
        self._idle.clear()
        await asyncio.sleep(0)

    # -- connections ----------------------------------------------------------------------------------------------

    def _take(self, address: Address) -> Connection | None:
        idle = self._idle.get((address.scheme, address.host, address.port, address.guarded))
        while idle:
            connection = idle.pop()
            if connection.alive:
                return connection
        return None

    def keep(self, connection: Connection, *, reusable: bool) -> None:
        """An exchange on a connection is over."""
        self._busy.discard(connection)
        if reusable and self._ticking is not None:
            self._idle.setdefault(connection.key, []).append(connection)
        else:
            connection.close()

    async def _connect(self, address: Address, deadline: float) -> Connection:
        key = (address.scheme, address.host, address.port, address.guarded)
        name = address.host if address.scheme == "https" else None
        context = _tls() if name is not None else None
        last: Exception | None = None
        try:
            async with asyncio.timeout(max(min(CONNECT_S, deadline - time.monotonic()), 0)):
                for host in await self._hosts(address):
                    try:
                        _, made = await self._loop.create_connection(
                            lambda: Connection(self, key), host, address.port, ssl=context, server_hostname=name
                        )
                    except (OSError, ssl.SSLError) as error:
                        last = error
                        continue
                    return made
        except TimeoutError:
            raise Unreachable("It did not take the connection in time.") from None
        except (OSError, UnicodeError) as error:
            last = error
        raise Unreachable("It cannot be connected to.") from last

    async def _hosts(self, address: Address) -> list[str]:
        """What to connect to, in turn. A guarded name is resolved here, so that what is checked is what is used."""
        if not address.guarded:
            return [address.host]
        found = await self._loop.getaddrinfo(address.host, address.port, type=socket.SOCK_STREAM)
        hosts = [str(info[4][0]) for info in found]
        if not all(map(is_public, hosts)):
            raise OSError("The name stands for a private address.")
        return hosts

    def _tick(self) -> None:
        """Ends exchanges that are late and connections that nobody used for long."""
        now = time.monotonic()
        for connection in [busy for busy in self._busy if busy.deadline < now]:
            connection.fail(TimeoutError())
        for key, idle in list(self._idle.items()):
            old = [kept for kept in idle if not kept.alive or now - kept.since > KEEP_ALIVE_S]
            for kept in old:
                idle.remove(kept)
                kept.close()
            if not idle:
                del self._idle[key]
        self._ticking = self._loop.call_later(TICK_S, self._tick) if self._busy or self._idle else None


class Connection(asyncio.Protocol):
    """One connection, on which requests and answers alternate."""

    __slots__ = ("_answer", "_body", "_client", "_parser", "_transport", "alive", "deadline", "key", "on_body", "since")

    def __init__(self, client: Client, key: tuple[str, str, int, bool]) -> None:
        self._client, self.key = client, key
        self._answer: Answer | None = None
        self._body: list[bytes] = []
        self.on_body = self._body.append  # a stream has hundreds of pieces: none of them costs a call of ours
        self._parser: Any = httptools.HttpResponseParser(self)
        self._transport: asyncio.Transport | None = None
        self.alive = False
        self.deadline = self.since = 0.0

    def begin(self, data: bytes, deadline: float) -> Answer:
        """Sends a request."""
        assert self._transport is not None
        self.deadline = deadline
        answer = self._answer = Answer(self)
        if self.alive:
            self._transport.write(data)
        else:
            answer.fail(Disconnected("Nothing came."))
        return answer

    def end(self, answer: Answer, *, finishing: bool) -> None:
        """The answer is not wanted any more: the connection is kept when all of it has come, or does so presently."""
        if self._answer is not answer:
            return
        if finishing and self.alive and not answer.complete and not answer.slowed:
            answer.finishing = True
            self.deadline = time.monotonic() + END_S
            return
        self._answer = None
        self.since = time.monotonic()
        # An upstream may answer before it has read all of a request: what it has not read would begin the next one.
        clean = self.alive and self._transport is not None and not self._transport.get_write_buffer_size()
        self._client.keep(self, reusable=answer.complete and answer.keep_alive and clean)

    def fail(self, error: Exception) -> None:
        """Ends the exchange with an error."""
        answer = self._answer
        self.close()
        if answer is not None:
            answer.fail(error)
            if answer.finishing:
                self.end(answer, finishing=False)

    def close(self) -> None:
        """Hangs up at once."""
        self.alive = False
        if self._transport is not None:
            self._transport.abort()

    def slow(self, wanted: bool) -> None:
        """Stops reading, or goes on."""
        if self._transport is not None and self.alive:
            if wanted:
                self._transport.pause_reading()
            else:
                self._transport.resume_reading()

    # -- asyncio --------------------------------------------------------------------------------------------------

    def connection_made(self, transport: asyncio.BaseTransport) -> None:
        assert isinstance(transport, asyncio.Transport) or hasattr(transport, "write")
        self._transport = transport  # type: ignore[assignment]
        self.alive = True

    def data_received(self, data: bytes) -> None:
        answer = self._answer
        if answer is None:  # nobody asked
            self.close()
            return
        answer.overhead += len(data)
        try:
            self._parser.feed_data(data)
        except (httptools.HttpParserError, httptools.HttpParserUpgrade):
            if not answer.complete:
                self._pass_on(answer)
                self.fail(Malformed("What came is not HTTP/1.1."))
                return
            answer.keep_alive = False  # more came than was said
            if self._answer is None:
                self.close()
        if self._body:
            self._pass_on(answer)
        if answer.overhead > MOST_HEAD_BYTES and not answer.complete:
            self.fail(Malformed("The head of the answer does not end."))
            return
        answer.wake()

    def eof_received(self) -> None:
        self.alive = False
        if self._answer is not None:
            self._answer.ended()

    def connection_lost(self, error: Exception | None) -> None:
        self.alive, self._parser = False, None
        answer = self._answer
        if answer is not None:
            begun = answer.overhead or answer.status
            answer.fail(Broken("It ended too early.") if begun else Disconnected("Nothing came."))
            if answer.finishing:
                self.end(answer, finishing=False)

    def _pass_on(self, answer: Answer) -> None:
        """What has come of the body since the last time, unless it belongs to no answer."""
        pieces = self._body
        if pieces and not answer.complete:
            answer.take(pieces[0] if len(pieces) == 1 else b"".join(pieces))
        pieces.clear()

    # -- httptools ------------------------------------------------------------------------------------------------

    def on_message_begin(self) -> None:
        answer = self._answer
        if answer is None:
            self.close()
        elif answer.complete:  # nobody asked for another
            answer.keep_alive = False

    def on_header(self, name: bytes, value: bytes) -> None:
        if self._answer is not None:
            self._answer.header_lines.append((name, value))

    def on_headers_complete(self) -> None:
        status = self._parser.get_status_code()
        answer = self._answer
        if answer is None or answer.complete:
            return
        if status < 200:  # an interim answer
            answer.header_lines.clear()
            return
        answer.status, answer.keep_alive = status, self._parser.should_keep_alive()
        answer.head_lines = len(answer.header_lines)

    def on_message_complete(self) -> None:
        answer = self._answer
        if answer is not None and answer.status and not answer.complete:
            self._pass_on(answer)
            answer.complete = True
            if answer.finishing:
                self.end(answer, finishing=False)


class Answer:
    """The answer to one request, as it comes."""

    __slots__ = (
        *("_connection", "_error", "_parts", "_waiter", "_waiting"),
        *("complete", "finishing", "head_lines", "header_lines", "keep_alive", "overhead", "slowed", "status"),
    )

    def __init__(self, connection: Connection) -> None:
        self._connection = connection
        self._parts: list[bytes] = []
        self._waiting = 0
        self._waiter: asyncio.Future[None] | None = None
        self._error: Exception | None = None
        self.slowed = False  #: the upstream is not read, because its answer is not
        self.status = 0
        self.header_lines: list[tuple[bytes, bytes]] = []
        self.head_lines = 0  #: how many of them stand before the body
        self.overhead = 0  #: bytes since the beginning, or since the last byte of the body
        self.complete = False  #: all of it has come, though not all may have been read
        self.finishing = False
        self.keep_alive = False

    @property
    def headers(self) -> dict[str, str]:
        """By lower-case name."""
        lines = self.header_lines[: self.head_lines]
        return {str(name, "latin-1").lower(): str(value, "latin-1") for name, value in lines}

    @property
    def deadline(self) -> float:
        """When the exchange is given up (time.monotonic())."""
        return self._connection.deadline

    @deadline.setter
    def deadline(self, moment: float) -> None:
        self._connection.deadline = moment

    async def head(self) -> int:
        """The status. Raises HTTPError or TimeoutError."""
        while not self.status:
            await self._wait()
        return self.status

    async def read(self) -> bytes:
        """What has come since the last time, at least one byte; b"" at the end. Raises HTTPError or TimeoutError."""
        while not self._parts:
            if self.complete:
                return b""
            await self._wait()
        parts, self._parts, self._waiting = self._parts, [], 0
        if self.slowed:
            self.slowed = False
            self._connection.slow(False)
        return parts[0] if len(parts) == 1 else b"".join(parts)

    async def whole(self, most: int) -> bytes:
        """The whole body, or at least its first `most` + 1 bytes. Raises HTTPError or TimeoutError."""
        data = await self.read()
        if self.complete and not self._parts:
            return data
        parts, size = [data], len(data)
        while size <= most and (data := await self.read()):
            parts.append(data)
            size += len(data)
        return b"".join(parts)

    def release(self, *, finishing: bool = False) -> None:
        """The answer is not wanted any more: its connection is kept, or hung up when there was more to come.

        finishing: what was read is all that counts; only the end of the body may still be on its way.
        """
        self._connection.end(self, finishing=finishing)

    # -- the connection's side ------------------------------------------------------------------------------------

    def take(self, body: bytes) -> None:
        self.overhead = 0
        self._parts.append(body)
        self._waiting += len(body)
        if self._waiting > MOST_WAITING_BYTES and not self.slowed:
            self.slowed = True
            self._connection.slow(True)

    def ended(self) -> None:
        """The upstream has closed: the end of a body of unknown length."""
        if self.status and not self.complete and not self._has_length():
            self.complete, self.keep_alive = True, False
            self.wake()

    def fail(self, error: Exception) -> None:
        if self._error is None and not self.complete:
            self._error = error
            self.wake()

    def wake(self) -> None:
        if self._waiter is not None and not self._waiter.done():
            self._waiter.set_result(None)

    async def _wait(self) -> None:
        if self._error is not None:
            raise self._error
        self._waiter = asyncio.get_running_loop().create_future()
        try:
            await self._waiter
        finally:
            self._waiter = None

    def _has_length(self) -> bool:
        return any(name.lower() in (b"content-length", b"transfer-encoding") for name, _ in self.header_lines)


def is_public(address: str) -> bool:
    """Whether an IP address is reachable by everybody: not private, loopback, link-local, reserved or multicast; nor
    IPv6 that stands for such an IPv4 address.
    """
    ip = ip_address(address.partition("%")[0])
    inner = _inner(ip) if isinstance(ip, IPv6Address) else ip
    if inner is not None:
        return inner.is_global and not inner.is_multicast
    return ip.is_global and not ip.is_multicast and not ip.is_reserved


def _inner(ip: IPv6Address) -> IPv4Address | None:
    """The IPv4 address to which packets for an IPv6 address go in the end: mapped, NAT64 (RFC 6052), 6to4, Teredo."""
    if ip in _NAT64:
        return IPv4Address(int(ip) & 0xFFFFFFFF)
    return ip.ipv4_mapped or ip.sixtofour or (ip.teredo[1] if ip.teredo else None)


_NAT64: Final = IPv6Network("64:ff9b::/96")


@cache
def _tls() -> ssl.SSLContext:
    context = ssl.create_default_context()
    context.set_alpn_protocols(["http/1.1"])
    return context
