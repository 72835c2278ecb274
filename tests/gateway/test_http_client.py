"""The client's side: real sockets on loopback, upstreams that send exactly the bytes they are told to."""

from __future__ import annotations

import asyncio
import datetime
import socket
import ssl
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
import pytest_asyncio
from cryptography import x509
from cryptography.hazmat.primitives import hashes, serialization
from cryptography.hazmat.primitives.asymmetric import ec
from cryptography.x509.oid import NameOID

from gateway.providers import http
from gateway.providers.http import (
    Address,
    Answer,
    Broken,
    Client,
    Disconnected,
    HTTPError,
    Malformed,
    Unreachable,
    is_public,
    request,
)
from tests.gateway.fakes import HANG_UP, STREAM_END, STREAM_HEAD, Seen, Vendor, always, framed
from tests.gateway.fakes import http as whole

pytestmark = pytest.mark.asyncio

FINE = whole(200, b"fine")


class Line:
    """One connection as an upstream has it."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader, self.writer = reader, writer

    async def request(self) -> bytes:
        """The next request, head and body."""
        head = await self.reader.readuntil(b"\r\n\r\n")
        return head + await self.reader.readexactly(int(head.rpartition(b"content-length: ")[2]))

    async def say(self, *pieces: bytes) -> None:
        """Sends pieces that arrive one after the other."""
        for piece in pieces:
            self.writer.write(piece)
            await asyncio.sleep(0.01)

    async def over(self) -> None:
        """Waits until the client has hung up."""
        try:
            while await self.reader.read(65536):
                pass
        except ConnectionError:
            pass


class Upstream:
    """`async with Upstream(does) as upstream`; `does` has one connection after the other."""

    def __init__(self, does: Callable[[Line], Awaitable[None]], context: ssl.SSLContext | None = None) -> None:
        self._does, self._context = does, context
        self.connections = 0
        self.over = asyncio.Event()  #: a connection has ended
        self.begun = asyncio.Event()

    async def __aenter__(self) -> Upstream:
        self._server = await asyncio.start_server(self._serve, "127.0.0.1", 0, ssl=self._context)
        self.port = self._server.sockets[0].getsockname()[1]
        self.url = f"http{'s' if self._context else ''}://{'localhost' if self._context else '127.0.0.1'}:{self.port}/"
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        self.begun.set()
        try:
            await self._does(Line(reader, writer))
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the client has gone, or the test is over
        finally:
            writer.close()
            self.over.set()


def saying(*pieces: bytes, then: Callable[[Line], Awaitable[None]] = Line.over) -> Callable[[Line], Awaitable[None]]:
    """Sends this to the first request of each connection; `then` waits for the client to hang up."""

    async def does(line: Line) -> None:
        await line.request()
        await line.say(*pieces)
        await then(line)

    return does


async def close(line: Line) -> None:
    """Closes the connection."""


async def abort(line: Line) -> None:
    line.writer.transport.abort()


@pytest_asyncio.fixture
async def client() -> AsyncIterator[Client]:
    """Whatever happens on it, no exchange stays behind."""
    client = Client()
    yield client
    assert client._busy == set()
    await client.close()


async def post(client: Client, url: str, body: bytes = b"{}", *, guarded: bool = False, wait: float = 5) -> Answer:
    address = Address.of(url, guarded=guarded)
    return await client.post(address, request(address, {}), body, deadline=time.monotonic() + wait)


async def ask(client: Client, url: str, **more: Any) -> tuple[int, dict[str, str], bytes]:
    """Status, headers and body of a whole answer."""
    answer = await post(client, url, **more)
    try:
        return await answer.head(), answer.headers, await answer.whole(1 << 26)
    finally:
        answer.release()


async def until(true: Callable[[], object]) -> None:
    """Waits for something to become true."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it does not come")


# -- what is sent ---------------------------------------------------------------------------------------------------


async def test_what_a_request_looks_like(client: Client) -> None:
    seen = b""

    async def does(line: Line) -> None:
        nonlocal seen
        seen = await line.request()
        await line.say(FINE)

    async with Upstream(does) as upstream:
        address = Address.of(f"http://user:secret@127.0.0.1:{upstream.port}/a%20b?c=d#e")
        head = request(address, {"x-key": "é"})
        answer = await client.post(address, head, b"body", deadline=time.monotonic() + 5)
        assert await answer.head() == 200
        answer.release()
    host = f"host: 127.0.0.1:{upstream.port}"
    lines = ["POST /a%20b?c=d HTTP/1.1", host, "x-key: é", "content-length: 4", "", "body"]
    assert seen == "\r\n".join(lines).encode("latin-1")


@pytest.mark.parametrize("evil", ["a\r\nb: c", "a\nb", "a\rb", "a\0b", "€"])
async def test_a_header_that_would_end_its_line_is_not_sent(evil: str) -> None:
    for headers in ({"x": evil}, {evil: "x"}):
        with pytest.raises(ValueError):
            request(Address.of("http://a/"), headers)


@pytest.mark.parametrize(
    "url",
    [
        "",
        "/a",
        "ftp://a/",
        "http:///a",
        "http://a/b c",
        "http://a/ü",
        "http://ü/",
        "http://a b/",
        "http://a:b/",
        "http://a/\x7f",
    ],
)
async def test_an_address_that_is_none_or_is_not_encoded_is_refused(url: str) -> None:
    with pytest.raises(ValueError):
        Address.of(url)


# -- what comes back ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "wire",
    [
        whole(200, b"hello", X_Name="value"),
        b"HTTP/1.1 200 OK\r\nX-Name: value\r\nTransfer-Encoding: chunked\r\n\r\n"
        + framed(b"hel")
        + framed(b"lo")
        + STREAM_END,
    ],
    ids=["length", "chunks"],
)
async def test_an_answer_cut_at_every_byte_is_the_same_answer(client: Client, wire: bytes) -> None:
    async def bytewise(_: Seen) -> AsyncIterator[bytes]:
        for byte in wire:
            yield bytes([byte])

    async with Vendor(bytewise) as vendor:
        for _ in range(2):
            status, headers, body = await ask(client, vendor.url)
            assert (status, headers["x-name"], body) == (200, "value", b"hello")
    assert vendor.connections == 1


@pytest.mark.parametrize("version", ["1.0", "1.1"])
async def test_a_body_without_length_ends_with_its_connection(client: Client, version: str) -> None:
    wire = f"HTTP/{version} 200 OK\r\n\r\n".encode()
    async with Upstream(saying(wire + b"hel", b"lo", then=close)) as upstream:
        for _ in range(2):
            assert (await ask(client, upstream.url))[2] == b"hello"
    assert upstream.connections == 2


@pytest.mark.parametrize("status", [204, 304])
async def test_an_answer_without_body_is_complete(client: Client, status: int) -> None:
    wire = f"HTTP/1.1 {status} X\r\n\r\n".encode()
    async with Vendor(always(wire)) as vendor:
        for _ in range(2):
            assert await ask(client, vendor.url) == (status, {}, b"")
    assert vendor.connections == 1


async def test_interim_answers_are_passed_over(client: Client) -> None:
    hints = b"HTTP/1.1 103 Early Hints\r\nlink: a\r\nretry-after: 9\r\n\r\n"
    for wire in ([b"HTTP/1.1 100 Continue\r\n\r\n" + hints + FINE], [hints, hints[:20], hints[20:], FINE]):
        async with Upstream(saying(*wire)) as upstream:
            status, headers, body = await ask(client, upstream.url)
        assert (status, body) == (200, b"fine")
        assert set(headers) == {"content-type", "content-length"}


async def test_what_trails_a_body_is_no_header(client: Client) -> None:
    async with Vendor(always(STREAM_HEAD, framed(b"hello"), b"0\r\nretry-after: 9\r\n\r\n")) as vendor:
        _, headers, body = await ask(client, vendor.url)
    assert body == b"hello"
    assert "retry-after" not in headers


@pytest.mark.parametrize(
    "wire",
    [
        b"SSH-2.0-OpenSSH_9.6\r\n",
        b"HTTP/1.1 200 OK\nx: y\n\n",
        b"HTTP/1.1 200 OK\r\nx: a\0b\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ntransfer-encoding: chunked\r\n\r\n",
        b"HTTP/1.1 200 OK\r\ncontent-length: 4\r\ncontent-length: 5\r\n\r\nfine",
        b"HTTP/1.1 101 Switching\r\nconnection: upgrade\r\nupgrade: h2c\r\n\r\n",
        b"HTTP/1.1 200 OK\r\nx: " + b"x" * 100_000,
        b"HTTP/1.1 200 OK\r\n" + b"x: y\r\n" * 20_000,
        b"HTTP/1.1 100 Continue\r\n\r\n" * 4_000,
    ],
    ids=["SSH", "LF", "NUL", "two ends", "two lengths", "upgrade", "one header", "many headers", "interim answers"],
)
async def test_what_is_not_http_1_1_is_malformed(client: Client, wire: bytes) -> None:
    async with Upstream(saying(wire)) as upstream:
        answer = await post(client, upstream.url)
        with pytest.raises(Malformed):
            await answer.head()
        answer.release()
        await asyncio.wait_for(upstream.over.wait(), 5)


@pytest.mark.parametrize("endless", [b"0\r\nx: ", b"5;x="], ids=["trailer", "extension of a chunk"])
async def test_a_body_that_only_goes_on_around_itself_is_malformed(client: Client, endless: bytes) -> None:
    pieces = [STREAM_HEAD, framed(b"hello") + endless, *[b"x" * 10_000] * 8]
    async with Upstream(saying(*pieces)) as upstream:
        answer = await post(client, upstream.url)
        assert await answer.read() == b"hello"
        with pytest.raises(Malformed):
            await answer.read()
        answer.release()


async def test_a_long_stream_is_not_taken_for_a_long_head(client: Client) -> None:
    async def drops(_: Seen) -> AsyncIterator[bytes]:
        yield STREAM_HEAD
        for _ in range(3000):
            yield b"1" + b";" + b"x" * 30
            yield b"\r\nx\r\n"
        yield STREAM_END

    async with Vendor(drops) as vendor:
        assert (await ask(client, vendor.url))[2] == b"x" * 3000


@pytest.mark.parametrize(
    ("came", "error"),
    [
        (b"", Disconnected),
        (b"HTTP/1.1 200", Broken),
        (b"HTTP/1.1 100 Continue\r\n\r\n", Broken),
        (FINE[:-1], Broken),
        (STREAM_HEAD + framed(b"fine"), Broken),
    ],
    ids=["nothing", "half a head", "an interim answer", "half a body", "no last chunk"],
)
async def test_how_a_lost_connection_is_told(client: Client, came: bytes, error: type[HTTPError]) -> None:
    for then in (close, abort):
        async with Upstream(saying(came, then=then)) as upstream:
            with pytest.raises(error) as raised:
                await ask(client, upstream.url)
            assert type(raised.value) is error


async def test_what_came_before_the_break_is_read_first(client: Client) -> None:
    async with Upstream(saying(STREAM_HEAD + framed(b"hel"), framed(b"lo"), then=close)) as upstream:
        answer = await post(client, upstream.url)
        await asyncio.wait_for(upstream.over.wait(), 5)
        await asyncio.sleep(0.05)
        assert await answer.head() == 200
        assert await answer.read() == b"hello"
        for _ in range(2):
            with pytest.raises(Broken):
                await answer.read()
        answer.release()


async def test_what_came_before_nonsense_is_read_first_as_well(client: Client) -> None:
    async with Upstream(saying(STREAM_HEAD + framed(b"hel") + framed(b"lo") + b"nonsense")) as upstream:
        answer = await post(client, upstream.url)
        assert await answer.head() == 200
        assert await answer.read() == b"hello"
        with pytest.raises(Malformed):
            await answer.read()
        answer.release()


async def test_of_a_body_that_is_too_large_no_more_is_read(client: Client) -> None:
    async with Upstream(saying(STREAM_HEAD, *[framed(b"x" * 1000)] * 100)) as upstream:
        answer = await post(client, upstream.url)
        await answer.head()
        assert 2000 < len(await answer.whole(2000)) < 50_000
        answer.release()
        await asyncio.wait_for(upstream.over.wait(), 5)


# -- connections that are kept --------------------------------------------------------------------------------------


async def test_a_connection_is_used_again(client: Client) -> None:
    async with Vendor(always(FINE)) as vendor:
        for _ in range(5):
            assert (await ask(client, vendor.url))[2] == b"fine"
    assert vendor.connections == 1


async def test_calls_at_the_same_time_have_connections_of_their_own(client: Client) -> None:
    async def echo(seen: Seen) -> AsyncIterator[bytes]:
        await asyncio.sleep(0.05)
        yield whole(200, seen.body)

    async with Vendor(echo) as vendor:
        for _ in range(2):
            bodies = [b'{"n": %d}' % n for n in range(5)]
            answers = await asyncio.gather(*(ask(client, vendor.url, body=body) for body in bodies))
            assert [body for _, _, body in answers] == bodies
    assert vendor.connections == 5


@pytest.mark.parametrize(
    "wire",
    [
        whole(200, b"fine", connection="close"),
        FINE.replace(b"HTTP/1.1", b"HTTP/1.0"),
        FINE + b"late",
        FINE + b"HTTP/1.1 200 OK\r\ncontent-le",
        FINE + whole(500, b"another", x="another's"),
        FINE + b"HTTP/1.1 100 Continue\r\n\r\n",
        STREAM_HEAD + framed(b"fine") + STREAM_END + b"x",
    ],
    ids=["close", "HTTP 1.0", "garbage", "half an answer", "another answer", "interim answer", "after chunks"],
)
async def test_a_connection_with_anything_left_on_it_is_not_used_again(client: Client, wire: bytes) -> None:
    async with Upstream(saying(wire)) as upstream:
        for number in (1, 2):
            status, headers, body = await ask(client, upstream.url)
            assert (status, body) == (200, b"fine")
            assert "x" not in headers
            assert upstream.connections == number


@pytest.mark.parametrize("late", [b"x", whole(200, b"somebody else's")])
async def test_a_late_byte_ends_an_idle_connection(client: Client, late: bytes) -> None:
    sent = asyncio.Event()

    async def does(line: Line) -> None:
        await line.request()
        await line.say(FINE)
        await asyncio.sleep(0.05)
        await line.say(late)
        sent.set()
        await line.over()

    async with Upstream(does) as upstream:
        assert (await ask(client, upstream.url))[2] == b"fine"
        await asyncio.wait_for(sent.wait(), 5)
        await asyncio.wait_for(upstream.over.wait(), 5)
        assert (await ask(client, upstream.url))[2] == b"fine"
    assert upstream.connections == 2


async def test_a_late_byte_between_the_end_and_the_release_counts_as_well(client: Client) -> None:
    async with Upstream(saying(FINE, b"HTTP/1.1 200 OK\r\n")) as upstream:
        answer = await post(client, upstream.url)
        assert await answer.whole(100) == b"fine"
        await asyncio.sleep(0.1)
        answer.release()
        assert (await ask(client, upstream.url))[2] == b"fine"
    assert upstream.connections == 2


async def test_empty_lines_after_an_answer_do_not_matter(client: Client) -> None:
    async with Vendor(always(FINE + b"\r\n")) as vendor:
        for _ in range(2):
            assert (await ask(client, vendor.url))[2] == b"fine"
    assert vendor.connections == 1


async def test_an_idle_connection_that_the_upstream_has_closed_is_not_used(client: Client) -> None:
    async with Upstream(saying(FINE, then=close)) as upstream:
        for number in (1, 2, 3):
            assert (await ask(client, upstream.url))[2] == b"fine"
            await asyncio.sleep(0.05)
            assert upstream.connections == number


async def test_nor_is_it_in_the_moment_of_its_closing(client: Client) -> None:
    async with Vendor(always(FINE)) as vendor:
        await ask(client, vendor.url)
        (kept,) = next(iter(client._idle.values()))
        kept.eof_received()  # the loop tells first this, then that the connection is lost
        assert (await ask(client, vendor.url))[2] == b"fine"
    assert vendor.connections == 2


async def test_an_idle_connection_is_closed_after_a_while(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "KEEP_ALIVE_S", 0.1)
    async with Upstream(saying(FINE)) as upstream:
        await ask(client, upstream.url)
        await asyncio.wait_for(upstream.over.wait(), 5)
    assert client._idle == {}


async def test_an_answer_that_came_before_all_of_the_request_had_gone_ends_the_connection(client: Client) -> None:
    async def does(line: Line) -> None:
        await line.reader.readuntil(b"\r\n\r\n")
        await line.say(whole(413, b"no"))
        await asyncio.sleep(0.1)
        await line.over()

    async with Upstream(does) as upstream:
        for number in (1, 2):
            status, _, body = await ask(client, upstream.url, body=b"x" * 30_000_000)
            assert (status, body) == (413, b"no")
            assert upstream.connections == number


async def test_guarded_and_unguarded_providers_share_no_connection(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Vendor(always(FINE)) as vendor:
        await ask(client, vendor.url)
        with pytest.raises(Unreachable):
            await ask(client, vendor.url, guarded=True)
        monkeypatch.setattr(http, "is_public", lambda address: address == "127.0.0.1")
        for guarded in (True, False, True, False):
            await ask(client, vendor.url, guarded=guarded)
    assert vendor.connections == 2


@pytest.mark.parametrize(
    ("address", "public"),
    [
        ("93.184.216.34", True),
        ("10.0.0.1", False),
        ("240.0.0.1", False),
        ("2606:4700::1111", True),
        ("fc00::1", False),
        ("fe80::1%eth0", False),
        ("ff02::1", False),
        ("::", False),
        ("::10.0.0.1", False),
        ("::ffff:10.0.0.1", False),
        ("::ffff:93.184.216.34", True),
        ("64:ff9b::93.184.216.34", True),
        ("64:ff9b::10.0.0.1", False),
        ("64:ff9b::169.254.169.254", False),
        ("2002:0a00:0001::1", False),
        ("2001:0:5ef5:79fb::f5ff:fffe", False),
    ],
)
async def test_an_address_is_public_only_when_it_is_so_in_every_form(address: str, public: bool) -> None:
    assert is_public(address) is public


# -- an end that is on its way --------------------------------------------------------------------------------------


async def finished(client: Client, upstream: Upstream) -> None:
    """Reads all that counts, and does not wait for the end."""
    answer = await post(client, upstream.url)
    assert await answer.head() == 200
    assert await answer.read() == b"fine"
    answer.release(finishing=True)


@pytest.mark.parametrize("end", [[STREAM_END], [b"0\r\n", b"\r\n"]])
async def test_a_connection_is_kept_when_the_end_comes_presently(client: Client, end: list[bytes]) -> None:
    async def does(line: Line) -> None:
        while True:
            await line.request()
            await line.say(STREAM_HEAD + framed(b"fine"), *end)

    async with Upstream(does) as upstream:
        for _ in range(3):
            await finished(client, upstream)
            await until(lambda: any(client._idle.values()))
    assert upstream.connections == 1


@pytest.mark.parametrize(
    "rest",
    [[], [framed(b"more")], [STREAM_END + b"x"], [b"garbage"]],
    ids=["nothing", "more of the body", "more than the end", "garbage"],
)
async def test_and_dropped_when_it_does_not(client: Client, rest: list[bytes]) -> None:
    async with Upstream(saying(STREAM_HEAD + framed(b"fine"), *rest)) as upstream:
        for number in (1, 2):
            upstream.over.clear()
            await finished(client, upstream)
            await asyncio.wait_for(upstream.over.wait(), 5)
            assert upstream.connections == number
        await until(lambda: not client._busy)


async def test_an_upstream_that_closes_instead_is_let_go_at_once(
    client: Client, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(http, "END_S", 60)
    for head in (STREAM_HEAD + framed(b"fine"), b"HTTP/1.1 200 OK\r\n\r\nfine"):
        async with Upstream(saying(head, then=close)) as upstream:
            await finished(client, upstream)
            await until(lambda: not client._busy)


async def test_an_answer_that_is_let_go_before_its_end_hangs_up(client: Client) -> None:
    async with Upstream(saying(STREAM_HEAD + framed(b"fine"))) as upstream:
        answer = await post(client, upstream.url)
        await answer.head()
        answer.release()
        await asyncio.wait_for(upstream.over.wait(), 5)


# -- slow consumers -------------------------------------------------------------------------------------------------


async def test_reading_stops_while_the_consumer_is_slow(client: Client) -> None:
    written = 0

    async def does(line: Line) -> None:
        nonlocal written
        await line.request()
        line.writer.write(STREAM_HEAD)
        for _ in range(400):
            line.writer.write(framed(b"x" * 100_000))
            await line.writer.drain()
            written += 100_000
        line.writer.write(STREAM_END)
        await line.over()

    async with Upstream(does) as upstream:
        answer = await post(client, upstream.url)
        await answer.head()
        await asyncio.sleep(0.3)
        assert written < 20_000_000
        assert answer._waiting < 1 << 20
        assert len(await answer.whole(1 << 26)) == 40_000_000
        answer.release()
        assert len(client._idle) == 1


@pytest.mark.parametrize("finishing", [True, False])
async def test_a_consumer_that_stops_reading_gives_the_connection_up(client: Client, finishing: bool) -> None:
    async with Upstream(saying(STREAM_HEAD, *[framed(b"x" * 1_000_000)] * 5)) as upstream:
        answer = await post(client, upstream.url)
        await until(lambda: answer.slowed)
        answer.release(finishing=finishing)
        await asyncio.wait_for(upstream.over.wait(), 5)


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [[], [b"HTTP/1.1 200"], [STREAM_HEAD], [STREAM_HEAD + framed(b"x")]])
async def test_a_deadline_ends_a_call_wherever_it_is(client: Client, came: list[bytes]) -> None:
    async with Upstream(saying(*came)) as upstream:
        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await ask(client, upstream.url, wait=0.2)
        assert 0.2 <= time.monotonic() - began < 3
        await asyncio.wait_for(upstream.over.wait(), 5)


async def test_a_deadline_can_be_moved(client: Client) -> None:
    async with Upstream(saying(STREAM_HEAD + framed(b"one"), *[framed(b"x")] * 30, STREAM_END)) as upstream:
        answer = await post(client, upstream.url, wait=0.2)
        await answer.read()
        answer.deadline = time.monotonic() + 5
        assert await answer.whole(1000) == b"x" * 30
        answer.release()


async def test_a_deadline_that_has_passed_is_kept_on_a_kept_connection(client: Client) -> None:
    async with Upstream(saying(FINE)) as upstream:
        await ask(client, upstream.url)
        with pytest.raises(TimeoutError):
            await ask(client, upstream.url, wait=-1)


async def test_a_host_that_takes_no_connection_is_unreachable(client: Client, monkeypatch: pytest.MonkeyPatch) -> None:
    with socket.socket() as full, socket.socket() as one, socket.socket() as two:
        full.bind(("127.0.0.1", 0))
        full.listen(0)
        for waiting in (one, two):  # the queue is full now, and others wait
            waiting.setblocking(False)
            waiting.connect_ex(full.getsockname())
        url = f"http://127.0.0.1:{full.getsockname()[1]}/"
        with pytest.raises(Unreachable):
            await ask(client, url, wait=0.2)
        monkeypatch.setattr(http, "CONNECT_S", 0.2)
        began = time.monotonic()
        with pytest.raises(Unreachable):
            await ask(client, url)
        assert time.monotonic() - began < 3


@pytest.mark.parametrize("url", ["http://127.0.0.1:1/", "http://no-such-host.invalid/", "http://a..b/"])
async def test_a_host_that_does_not_exist_is_unreachable(client: Client, url: str) -> None:
    with pytest.raises(Unreachable):
        await ask(client, url)


# -- calls that are given up ----------------------------------------------------------------------------------------


@pytest.mark.parametrize("came", [[], [STREAM_HEAD], [STREAM_HEAD + framed(b"x")]], ids=["head", "body", "rest"])
async def test_a_cancelled_call_hangs_up(client: Client, came: list[bytes]) -> None:
    async with Upstream(saying(*came)) as upstream:
        call = asyncio.ensure_future(ask(client, upstream.url))
        await upstream.begun.wait()
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(upstream.over.wait(), 5)
    assert client._idle == {}


async def test_a_call_cancelled_at_any_step_of_the_loop_leaves_nothing_behind(client: Client) -> None:
    async with Upstream(saying(FINE)) as upstream:
        for steps in range(40):
            call = asyncio.ensure_future(ask(client, upstream.url))
            for _ in range(steps):
                await asyncio.sleep(0)
            call.cancel()
            await asyncio.gather(call, return_exceptions=True)
            assert client._busy == set()
            await client.close()
        await until(lambda: open_lines(upstream) == 0)


def open_lines(upstream: Upstream) -> int:
    """Connections that the upstream still has."""
    me = upstream.port
    lines = Path("/proc/net/tcp").read_text().splitlines()[1:]
    return sum(1 for line in lines if line.split()[1].endswith(f":{me:04X}") and line.split()[3] == "01")


async def test_a_call_cancelled_while_tls_is_spoken_hangs_up(client: Client) -> None:
    async def silent(line: Line) -> None:
        await line.over()

    async with Upstream(silent) as upstream:
        call = asyncio.ensure_future(ask(client, f"https://127.0.0.1:{upstream.port}/"))
        await upstream.begun.wait()
        await asyncio.sleep(0.05)
        call.cancel()
        with pytest.raises(asyncio.CancelledError):
            await call
        await asyncio.wait_for(upstream.over.wait(), 5)


async def test_closing_the_client_ends_idle_and_running_calls(client: Client) -> None:
    async with Vendor(always(FINE)) as vendor, Upstream(saying(STREAM_HEAD)) as upstream:
        await ask(client, vendor.url)
        answer = await post(client, upstream.url)
        await answer.head()
        await client.close()
        with pytest.raises(Broken):
            await answer.read()
        answer.release()
        await asyncio.wait_for(upstream.over.wait(), 5)
        assert (await ask(client, vendor.url))[2] == b"fine"
    assert vendor.connections == 2


async def test_an_upstream_that_speaks_first_is_answered_by_hanging_up(client: Client) -> None:
    async def does(line: Line) -> None:
        line.writer.write(b"220 mail.example ESMTP\r\n")
        await line.over()

    async with Upstream(does) as upstream:
        with pytest.raises(HTTPError):
            await ask(client, upstream.url)
        await asyncio.wait_for(upstream.over.wait(), 5)


async def test_hanging_up_is_what_the_vendor_notices(client: Client) -> None:
    async with Vendor(always(HANG_UP)) as vendor:
        with pytest.raises(Disconnected):
            await ask(client, vendor.url)


# -- TLS --------------------------------------------------------------------------------------------------------------


def certificate(folder: Path, name: str) -> Path:
    """A self-signed certificate for a name, with its key."""
    key = ec.generate_private_key(ec.SECP256R1())
    who = x509.Name([x509.NameAttribute(NameOID.COMMON_NAME, name)])
    now = datetime.datetime.now(datetime.UTC)
    made = (
        x509.CertificateBuilder()
        .subject_name(who)
        .issuer_name(who)
        .public_key(key.public_key())
        .serial_number(x509.random_serial_number())
        .not_valid_before(now - datetime.timedelta(days=1))
        .not_valid_after(now + datetime.timedelta(days=1))
        .add_extension(x509.SubjectAlternativeName([x509.DNSName(name)]), critical=False)
        .add_extension(x509.BasicConstraints(ca=True, path_length=None), critical=True)
        .sign(key, hashes.SHA256())
    )
    private = key.private_bytes(
        serialization.Encoding.PEM, serialization.PrivateFormat.PKCS8, serialization.NoEncryption()
    )
    file = folder / f"{name}.pem"
    file.write_bytes(private + made.public_bytes(serialization.Encoding.PEM))
    return file


def served(file: Path) -> ssl.SSLContext:
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(file)
    return context


async def twice(line: Line) -> None:
    for _ in range(2):
        await line.request()
        await line.say(FINE)
    await line.over()


async def test_a_certificate_that_nobody_vouches_for_is_refused(client: Client, tmp_path: Path) -> None:
    async with Upstream(twice, served(certificate(tmp_path, "localhost"))) as upstream:
        with pytest.raises(Unreachable):
            await ask(client, upstream.url)
    assert upstream.connections == 0


async def test_one_that_is_vouched_for_is_taken_for_its_own_name_alone(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    file = certificate(tmp_path, "localhost")
    trusting = ssl.create_default_context(cafile=str(file))
    monkeypatch.setattr(http, "_tls", lambda: trusting)
    async with Upstream(twice, served(file)) as upstream:
        for _ in range(2):
            assert (await ask(client, upstream.url))[2] == b"fine"
        assert upstream.connections == 1
        with pytest.raises(Unreachable):
            await ask(client, upstream.url.replace("localhost", "127.0.0.1"))


async def test_a_host_that_speaks_no_tls_is_unreachable(client: Client) -> None:
    async def plain(line: Line) -> None:
        line.writer.write(FINE)
        await line.over()

    async with Upstream(plain) as upstream:
        with pytest.raises(Unreachable):
            await ask(client, f"https://127.0.0.1:{upstream.port}/")


async def test_hosts_and_schemes_have_connections_of_their_own(
    client: Client, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async with Vendor(always(FINE)) as vendor:
        await ask(client, vendor.url)
        await ask(client, vendor.url.replace("127.0.0.1", "localhost"))
    assert vendor.connections == 2
