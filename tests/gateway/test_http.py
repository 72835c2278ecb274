"""The server's side of a connection: real sockets on loopback, a door that does as it is told."""

from __future__ import annotations

import asyncio
import socket
import struct
from collections.abc import AsyncIterator, Awaitable, Callable
from dataclasses import dataclass, field
from typing import Any

import pytest
import pytest_asyncio
import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from gateway import http
from gateway.http import House, Proxies, Reception, Request

pytestmark = pytest.mark.asyncio

MOST_BODY = 1000
Answer = Callable[[Request], Awaitable[None]]


async def echo(request: Request) -> None:
    """The body, or 413 where there is none because it was too large."""
    if request.body is None:
        await request.respond(413, [], b"too large")
    else:
        await request.respond(200, [(b"x-path", request.path.encode())], request.body)


@dataclass
class Doorman:
    """A door that keeps what it was asked."""

    answer: Answer = echo
    max_body: int = MOST_BODY
    asked: list[Request] = field(default_factory=list)

    async def __call__(self, request: Request) -> None:
        self.asked.append(request)
        await self.answer(request)


class Elsewhere(asyncio.Protocol):
    """Takes what is handed over and says so."""

    def __init__(self) -> None:
        self.received = b""

    def connection_made(self, transport: Any) -> None:
        self.transport = transport
        transport.write(b"elsewhere")

    def data_received(self, data: bytes) -> None:
        self.received += data


class Hall:
    """A server; `async with Hall(door) as hall`."""

    def __init__(self, door: Doorman, **more: Any) -> None:
        self.door, self.more = door, more
        self.elsewhere: list[Elsewhere] = []
        self.connections: set[Any] = set()
        self.tasks: set[asyncio.Task[None]] = set()

    async def __aenter__(self) -> Hall:
        house = House(
            self.door,  # type: ignore[arg-type]
            **{"elsewhere": self._hand_over, "connections": self.connections, "tasks": self.tasks, **self.more},
        )
        listener = socket.create_server(("127.0.0.1", 0))
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_SNDBUF, 1 << 17)  # else megabytes wait where nobody sees them
        self.port = listener.getsockname()[1]
        self._server = await asyncio.get_running_loop().create_server(lambda: Reception(house), sock=listener)
        return self

    async def __aexit__(self, *error: object) -> None:
        self._server.close()
        for connection in list(self.connections):
            connection.abort()

    def _hand_over(self) -> asyncio.Protocol:
        self.elsewhere.append(Elsewhere())
        return self.elsewhere[-1]


@pytest.fixture
def door() -> Doorman:
    return Doorman()


@pytest_asyncio.fixture
async def hall(door: Doorman) -> AsyncIterator[Hall]:
    async with Hall(door, headers=lambda: [(b"date", b"today")]) as hall:
        yield hall


@dataclass
class Answered:
    """An answer as it stood on the wire."""

    status: int
    headers: dict[str, str]
    body: bytes


class Client:
    """A bare socket. `small`: it takes in little of what it does not read."""

    def __init__(self, hall: Hall, small: bool = False) -> None:
        self.socket = socket.socket()
        if small:
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        self.socket.connect(("127.0.0.1", hall.port))
        self.socket.setblocking(False)
        self.socket.setsockopt(socket.IPPROTO_TCP, socket.TCP_NODELAY, 1)
        self.read = b""
        self.loop = asyncio.get_running_loop()

    def __enter__(self) -> Client:
        return self

    def __exit__(self, *error: object) -> None:
        self.socket.close()

    async def say(self, *pieces: bytes) -> None:
        """Sends pieces that arrive one after the other."""
        for piece in pieces:
            await asyncio.wait_for(self.loop.sock_sendall(self.socket, piece), 5)
            await arrived()

    async def answer(self, silent: bool = False) -> Answered:
        """The next answer. `silent`: it has no body, whatever it says."""
        head = (await self._until(b"\r\n\r\n")).decode("latin-1").split("\r\n")
        headers = {name: value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
        status = int(head[0].split()[1])
        if silent or status < 200:
            return Answered(status, headers, b"")
        if headers.get("transfer-encoding") == "chunked":
            return Answered(status, headers, b"".join([chunk async for chunk in self.chunks()]))
        if "content-length" not in headers:
            return Answered(status, headers, await self.rest())
        return Answered(status, headers, await self._exactly(int(headers["content-length"])))

    async def chunks(self) -> AsyncIterator[bytes]:
        while size := int(await self._until(b"\r\n"), 16):
            yield (await self._exactly(size + 2))[:-2]
        assert await self._until(b"\r\n") == b"\r\n"

    async def rest(self) -> bytes:
        """All that comes until the server closes."""
        while await self._more():
            pass
        found, self.read = self.read, b""
        return found

    async def _until(self, end: bytes) -> bytes:
        while end not in self.read:
            assert await self._more(), f"the server closed after {self.read!r}"
        found, _, self.read = self.read.partition(end)
        return found + end

    async def _exactly(self, size: int) -> bytes:
        while len(self.read) < size:
            assert await self._more(), "the server closed within a body"
        found, self.read = self.read[:size], self.read[size:]
        return found

    async def _more(self) -> bytes:
        try:
            data = await asyncio.wait_for(self.loop.sock_recv(self.socket, 65536), 5)
        except ConnectionResetError:
            data = b""
        self.read += data
        return data


async def arrived() -> None:
    """The server has read what was sent: loopback delivers at once, its loop is ours."""
    for _ in range(5):
        await asyncio.sleep(0)


async def until(true: Callable[[], object]) -> None:
    """Waits for something to become true."""
    for _ in range(1000):
        if true():
            return
        await asyncio.sleep(0.005)
    pytest.fail("it does not come")


def post(body: bytes = b"hello", path: str = "/v1/x", *lines: str, version: str = "1.1") -> bytes:
    head = [f"POST {path} HTTP/{version}", "host: here", *lines, f"content-length: {len(body)}"]
    return "\r\n".join([*head, "", ""]).encode("latin-1") + body


def chunked(body: bytes, *lines: str, trailer: bytes = b"", size: int = 3) -> bytes:
    head = "\r\n".join(["POST /v1/x HTTP/1.1", "host: here", *lines, "transfer-encoding: chunked", "", ""]).encode()
    chunks = [b"%x\r\n%b\r\n" % (len(body[i : i + size]), body[i : i + size]) for i in range(0, len(body), size)]
    return head + b"".join(chunks) + b"0\r\n" + trailer + b"\r\n"


# -- requests -------------------------------------------------------------------------------------------------------


async def test_a_connection_takes_one_request_after_the_other(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        for number in range(3):
            await client.say(post(b"%d" % number, f"/v1/{number}"))
            answer = await client.answer()
            assert (answer.status, answer.body) == (200, b"%d" % number)
            assert answer.headers == {"date": "today", "x-path": f"/v1/{number}", "content-length": "1"}
    assert [request.method for request in door.asked] == ["POST"] * 3


async def test_what_the_door_is_told_of_a_request(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        await client.say(post(b"{}", "/v1/mod%C3%A8le?a=/b", "X-API-Key:  k ", "accept: a", "Accept: b"))
        await client.answer()
    request = door.asked[0]
    assert (request.method, request.path, request.body) == ("POST", "/v1/modèle", b"{}")
    assert request.address == "127.0.0.1"
    assert [line for line in request.headers if line[0] == b"accept"] == [(b"accept", b"a"), (b"accept", b"b")]
    assert dict(request.headers)[b"x-api-key"].strip() == b"k"


@pytest.mark.parametrize("whole", [post(b"hello"), chunked(b"hello")], ids=["length", "chunks"])
async def test_a_request_cut_at_every_byte_is_the_same_request(hall: Hall, door: Doorman, whole: bytes) -> None:
    with Client(hall) as client:
        for cut in range(1, len(whole)):
            await client.say(whole[:cut], whole[cut:])
            assert (await client.answer()).body == b"hello"
        await client.say(*(bytes([byte]) for byte in whole))
        assert (await client.answer()).body == b"hello"
    assert {(request.path, *map(tuple, request.headers)) for request in door.asked} == {
        (door.asked[0].path, *door.asked[0].headers)
    }


async def test_a_body_in_many_pieces_is_joined(hall: Hall, door: Doorman) -> None:
    door.max_body = 10 << 20
    body = bytes(range(256)) * 4096 * 3
    with Client(hall) as client:
        whole = post(body)
        await client.say(*(whole[i : i + 100_000] for i in range(0, len(whole), 100_000)))
        assert (await client.answer()).body == body
        await client.say(chunked(body[:3000], size=1))
        assert (await client.answer()).body == body[:3000]
    assert all(isinstance(request.body, bytes) for request in door.asked)


async def test_an_empty_body_is_empty(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        await client.say(post(b""), b"GET /v1/models HTTP/1.1\r\nhost: here\r\n\r\n")
        await client.answer()
        await client.answer()
    assert [(request.method, request.body) for request in door.asked] == [("POST", b""), ("GET", b"")]


async def test_who_expects_to_be_asked_for_the_body_is_asked(hall: Hall) -> None:
    with Client(hall) as client:
        whole = post(b"hello", "/v1/x", "Expect: 100-Continue")
        await client.say(whole[:-5])
        assert (await client.answer()).status == 100
        await client.say(whole[-5:])
        assert (await client.answer()).body == b"hello"


async def test_who_speaks_http_1_0_is_not_asked(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"hello", "/v1/x", "expect: 100-continue", version="1.0"))
        assert (await client.answer()).status == 200


@pytest.mark.parametrize("name", ["h2c", "websocket"])
async def test_a_wish_for_another_protocol_is_not_granted_and_takes_no_body_away(
    hall: Hall, door: Doorman, name: str
) -> None:
    lines = ("connection: Upgrade, HTTP2-Settings", f"upgrade: {name}", "http2-settings: AAMAAABkAAQAAP__")
    with Client(hall) as client:
        for whole in (post(b"hello", "/v1/x?y", *lines), chunked(b"hello", *lines)):
            await client.say(whole)
            assert (await client.answer()).body == b"hello"
            await client.say(whole[:-3], whole[-3:])
            assert (await client.answer()).body == b"hello"
    assert door.asked[0].path == "/v1/x"
    assert (b"http2-settings", b"AAMAAABkAAQAAP__") in door.asked[0].headers


async def test_empty_lines_between_requests_mean_nothing(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"one") + b"\r\n")
        assert (await client.answer()).body == b"one"
        await client.say(b"\r\n", b"\r\n" + post(b"two"))
        assert (await client.answer()).body == b"two"
    assert hall.elsewhere == []


async def test_what_trails_a_body_is_no_header(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        await client.say(chunked(b"hello", "authorization: mine", trailer=b"authorization: another\r\n"))
        assert (await client.answer()).body == b"hello"
    assert [value for name, value in door.asked[0].headers if name == b"authorization"] == [b"mine"]


# -- requests that come too early -----------------------------------------------------------------------------------


def held(begun: asyncio.Event, go_on: asyncio.Event) -> Answer:
    """An answer that waits to be let go."""

    async def answer(request: Request) -> None:
        begun.set()
        await go_on.wait()
        await echo(request)

    return answer


async def test_of_two_requests_at_once_the_first_is_answered_and_the_connection_closes(
    hall: Hall, door: Doorman
) -> None:
    with Client(hall) as client:
        await client.say(post(b"one") + post(b"two"))
        answer = await client.answer()
        assert answer.body == b"one"
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
    assert len(door.asked) == 1


@pytest.mark.parametrize(
    "early",
    [post(b"two"), b"POST /v1/x HT", b"GET / HTTP/1.1\r\n\r\n", b"\0" * 70_000, b"x-endless: " + b"x" * 200_000],
)
async def test_what_comes_before_an_answer_is_complete_is_not_read(hall: Hall, door: Doorman, early: bytes) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    door.answer = held(begun, go_on)
    with Client(hall) as client:
        await client.say(post(b"one"))
        await begun.wait()
        await client.say(early)
        go_on.set()
        answer = await client.answer()
        assert answer.body == b"one"
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
    assert len(door.asked) == 1
    assert hall.elsewhere == []


async def test_a_hang_up_is_noticed_behind_a_request_that_came_too_early(hall: Hall, door: Doorman) -> None:
    gone = asyncio.Event()

    async def answer(request: Request) -> None:
        request.on_gone(gone.set)
        await gone.wait()

    door.answer = answer
    with Client(hall) as client:
        await client.say(post(b"one"), post(b"two"))
    await asyncio.wait_for(gone.wait(), 5)


# -- requests that are refused --------------------------------------------------------------------------------------


async def test_a_body_that_is_said_to_be_too_large_is_refused_before_it_comes(hall: Hall, door: Doorman) -> None:
    size = 8 << 20
    with Client(hall) as client:
        await client.say(post(b"", "/v1/x").replace(b"length: 0", b"length: %d" % size))
        answer = await client.answer()
        assert (answer.status, answer.headers["connection"]) == (413, "close")
        await client.say(b"x" * size)  # and no reset takes the answer from a client that first sends all of it
        assert await client.rest() == b""
    assert [request.body for request in door.asked] == [None]


async def test_a_client_that_sends_all_of_a_body_which_is_too_large_reads_why(hall: Hall) -> None:
    for whole in (post(b"x" * (8 << 20)), chunked(b"x" * (8 << 20), size=1 << 20)):
        with Client(hall) as client:
            await client.say(whole)
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (413, "close")
            assert await client.rest() == b""


async def test_a_body_of_just_the_allowed_size_is_allowed(hall: Hall) -> None:
    with Client(hall) as client:
        for size, status in ((MOST_BODY, 200), (MOST_BODY + 1, 413)):
            await client.say(chunked(b"x" * size))
            assert (await client.answer()).status == status


async def test_a_body_that_is_too_large_is_not_asked_for(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        await client.say(post(b"", "/v1/x", "expect: 100-continue").replace(b"length: 0", b"length: 1001"))
        assert (await client.answer()).status == 413
        await client.say(post(b"the client believes that it need not send it"))
        assert await client.rest() == b""
    assert len(door.asked) == 1


async def test_nobody_is_heard_out_for_ever(hall: Hall, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(http, "MOST_IGNORED_BYTES", 1 << 20)
    with Client(hall) as client:
        await client.say(post(b"").replace(b"length: 0", b"length: 99999999"))
        await client.answer()
        with pytest.raises((ConnectionError, TimeoutError)):
            await client.say(*[b"x" * (1 << 20)] * 100)
    await until(lambda: not hall.connections)


LENGTH, CHUNKS = "content-length: 5\r\n", "transfer-encoding: chunked\r\n"


@pytest.mark.parametrize(
    ("head", "body"),
    [
        (LENGTH + CHUNKS, "0\r\n\r\n"),
        (CHUNKS + LENGTH, "0\r\n\r\n"),
        (LENGTH + LENGTH, "hello"),
        ("content-length: 5, 5\r\n", "hello"),
        ("content-length: +5\r\n", "hello"),
        ("content-length: 0x5\r\n", "hello"),
        ("content-length:\r\n", ""),
        ("content-length : 5\r\n", "hello"),
        ("content-length: 99999999999999999999\r\n", ""),
        ("transfer-encoding: gzip\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, gzip\r\n", "0\r\n\r\n"),
        ("transfer-encoding: chunked, chunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: xchunked\r\n", "0\r\n\r\n"),
        ("transfer-encoding: \x0bchunked\r\n", "0\r\n\r\n"),
        (CHUNKS + "transfer-encoding: identity\r\n", "0\r\n\r\n"),
        (CHUNKS, "5\nhello\r\n0\r\n\r\n"),
        (CHUNKS, "5 \r\nhello\r\n0\r\n\r\n"),
        (CHUNKS, "0x5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKS, "-5\r\nhello\r\n0\r\n\r\n"),
        (CHUNKS, "5\r\nhelloX0\r\n\r\n"),
        (CHUNKS, "fffffffffffffffff\r\n"),
        (CHUNKS, "5;a\nb\r\nhello\r\n0\r\n\r\n"),
        ("x: a\nb: c\r\n", ""),
        ("x: a\rb: c\r\n", ""),
        ("x: a\r\n folded\r\n", ""),
        ("x: a\0b\r\n", ""),
        (": a\r\n", ""),
        ("x y: a\r\n", ""),
    ],
)
async def test_what_could_be_read_in_two_ways_is_not_read(hall: Hall, door: Doorman, head: str, body: str) -> None:
    smuggled = post(b"smuggled", "/v1/smuggled")
    with Client(hall) as client:
        await client.say(f"POST /v1/x HTTP/1.1\r\nhost: here\r\n{head}\r\n{body}".encode("latin-1") + smuggled)
        answer = await client.answer()
        assert answer.status == 400
        assert b'"code":"invalid_request"' in answer.body
        assert answer.headers["connection"] == "close"
        assert await client.rest() == b""
    assert door.asked == []


@pytest.mark.parametrize(
    "whole",
    [
        b"POST /v1/x HTTP/1.0\r\ntransfer-encoding: chunked\r\n\r\n5\r\nhello\r\n0\r\n\r\n",
        b"POST /v1/x HTTP/3.1\r\nhost: here\r\n\r\n",
        b"POST /v1/x\xff HTTP/1.1\r\nhost: here\r\n\r\n",
        b"CONNECT /v1/x HTTP/1.1\r\nhost: here\r\n\r\n",
        b"post /v1/x HTTP/1.1\r\nhost: here\r\n\r\n",
        b"POST /v1/x HTTP/1.1\nhost: here\n\n",
        b"\x16\x03\x01 /v1/ is no request",
    ],
)
async def test_what_is_not_http_1_1_is_refused(hall: Hall, door: Doorman, whole: bytes) -> None:
    with Client(hall) as client:
        await client.say(whole)
        assert (await client.answer()).status == 400
        assert await client.rest() == b""
    assert door.asked == []


async def test_what_follows_a_request_and_is_no_http_ends_the_connection_after_the_answer(
    hall: Hall, door: Doorman
) -> None:
    with Client(hall) as client:
        await client.say(post(b"one") + b"\0\0\0")
        answer = await client.answer()
        assert (answer.body, answer.headers["connection"]) == (b"one", "close")
        assert await client.rest() == b""
    with Client(hall) as client:
        await client.say(post(b"one", "/v1/x", "connection: close") + post(b"two"))
        assert (await client.answer()).body == b"one"
        assert await client.rest() == b""
    assert len(door.asked) == 2


@pytest.mark.parametrize(
    "pieces",
    [
        [b"POST /v1/x HTTP/1.1\r\n" + b"x: %b\r\n" % (b"x" * 70_000) + b"content-length: 0\r\n\r\n"],
        [b"POST /v1/x HTTP/1.1\r\n" + b"x: y\r\n" * 12_000 + b"content-length: 0\r\n\r\n"],
        [b"POST /v1/x HTTP/1.1\r\nx: ", *[b"x" * 10_000] * 7],
        [b"POST /v1/" + b"x" * 70_000 + b" HTTP/1.1\r\n\r\n"],
        [chunked(b"hello")[:-2] + b"trailing: ", *[b"x" * 10_000] * 7],
        [chunked(b"hello")[:-5] + b"5;", *[b"x" * 10_000] * 7],
    ],
    ids=["one header", "many headers", "a header without end", "address", "trailer", "extension of a chunk"],
)
async def test_a_head_that_is_too_large_is_refused(hall: Hall, door: Doorman, pieces: list[bytes]) -> None:
    with Client(hall) as client:
        await client.say(*pieces)
        assert (await client.answer()).status == 431
        assert await client.rest() == b""
    assert door.asked == []


async def test_a_large_head_may_be_followed_by_a_large_body(hall: Hall, door: Doorman) -> None:
    door.max_body = 1 << 20
    with Client(hall) as client:
        whole = post(b"y" * 500_000, "/v1/x", "x: " + "x" * 60_000)
        await client.say(whole)
        assert (await client.answer()).body == b"y" * 500_000
        await client.say(whole[:50_000], whole[50_000:])
        assert (await client.answer()).body == b"y" * 500_000


# -- time -----------------------------------------------------------------------------------------------------------


@pytest.fixture
def soon(monkeypatch: pytest.MonkeyPatch) -> None:
    """Patience of tenths of a second."""
    monkeypatch.setattr(http, "TICK_S", 0.02)
    for name in ("ARRIVAL_S", "KEEP_ALIVE_S", "STALL_S", "LINGER_S"):
        monkeypatch.setattr(http, name, 0.15)


@pytest.mark.parametrize("begun", [post(b"hello")[:-1], post(b"hello")[:40], chunked(b"hello")[:-2]])
async def test_a_request_that_does_not_arrive_is_given_up(hall: Hall, door: Doorman, soon: None, begun: bytes) -> None:
    with Client(hall) as client:
        await client.say(begun)
        assert (await client.answer()).status == 408
        assert await client.rest() == b""
    assert door.asked == []


@pytest.mark.usefixtures("soon")
async def test_dribbling_does_not_make_it_last(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        for byte in post(b"x" * 1000):
            try:
                await client.say(bytes([byte]))
            except ConnectionError:
                break
            await asyncio.sleep(0.01)
            if client.socket.fileno() < 0 or not hall.connections:
                break
        else:
            pytest.fail("it could go on for ever")
    assert door.asked == []


@pytest.mark.usefixtures("soon")
@pytest.mark.parametrize("said", [b"", b"POST /v", b"\r\n"])
async def test_a_connection_that_asks_nothing_is_closed(hall: Hall, said: bytes) -> None:
    with Client(hall) as client:
        await client.say(said)
        assert await client.rest() == b""


@pytest.mark.usefixtures("soon")
async def test_an_idle_connection_is_closed_after_a_while(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"one"))
        await client.answer()
        assert await client.rest() == b""
    assert hall.connections == set()


@pytest.mark.usefixtures("soon")
async def test_an_answer_may_take_its_time(hall: Hall, door: Doorman) -> None:
    async def slowly(request: Request) -> None:
        await asyncio.sleep(0.5)
        await echo(request)

    door.answer = slowly
    with Client(hall) as client:
        await client.say(post(b"one"))
        assert (await client.answer()).body == b"one"


# -- elsewhere ------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    "path", ["/", "/api/v1/tenants", "/v1x", "/v2/x", "/healthz", "/v", "http://here/v1/x", "*", "//v1/x"]
)
async def test_what_is_not_for_v1_is_handed_over_with_all_its_bytes(hall: Hall, door: Doorman, path: str) -> None:
    whole = post(b"hello", path) + post(b"another", "/v1/x")
    for cut in (1, 4, 6, 9, len(whole) - 1):
        with Client(hall) as client:
            await client.say(whole[:cut], whole[cut:])
            await until(lambda: hall.elsewhere and hall.elsewhere[-1].received == whole)
    assert len(hall.elsewhere) == 5
    assert door.asked == []
    assert hall.connections == set()


@pytest.mark.parametrize("path", ["/v1", "/v1/", "/v1?a", "/v1/models"])
async def test_what_is_for_v1_is_not(hall: Hall, path: str) -> None:
    with Client(hall) as client:
        await client.say(post(b"hello", path))
        assert (await client.answer()).status == 200
    assert hall.elsewhere == []


async def test_a_connection_is_handed_over_between_two_requests_as_well(hall: Hall) -> None:
    other = post(b"hello", "/api/v1/tenants")
    with Client(hall) as client:
        await client.say(post(b"one"))
        await client.answer()
        await client.say(other[:3], other[3:])
        assert await client._exactly(9) == b"elsewhere"
        await until(lambda: hall.elsewhere[0].received == other)


@pytest.mark.parametrize("said", [b"\n\n\n", b"x" * 100, b"GET\n", b"\x16\x03\x01\x02\x00\x01\x00\x01\xfc\x03\x03"])
async def test_what_does_not_begin_like_a_request_is_not_ours(hall: Hall, said: bytes) -> None:
    with Client(hall) as client:
        await client.say(said)
        await client.say(b"x" * 16)
        await until(lambda: hall.elsewhere)


async def test_uvicorn_takes_what_is_handed_over(door: Doorman) -> None:
    async def app(scope: Any, receive: Any, send: Any) -> None:
        body = (await receive())["body"] + scope["path"].encode()
        await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
        await send({"type": "http.response.body", "body": body})

    config, state = uvicorn.Config(app, log_level="error"), ServerState()
    config.load()
    shared: dict[str, Any] = {"connections": state.connections, "tasks": state.tasks}
    async with Hall(door, elsewhere=lambda: HttpToolsProtocol(config, state, {}), **shared) as hall:
        with Client(hall) as client:
            await client.say(post(b"one"))
            assert (await client.answer()).body == b"one"
            for path in ("/console", "/v1/x"):  # for good
                await client.say(post(b"hello", path))
                assert (await client.answer()).body == b"hello" + path.encode()
        await until(lambda: not state.connections)
    assert len(door.asked) == 1


# -- answers --------------------------------------------------------------------------------------------------------


async def stream(request: Request) -> None:
    await request.begin([(b"content-type", b"text/plain")], b"one,")
    await request.write(b"two,")
    await request.write(b"")
    await asyncio.sleep(0)
    await request.write(b"three,")
    await request.end(b"four")


async def test_an_answer_in_pieces(hall: Hall, door: Doorman) -> None:
    door.answer = stream
    with Client(hall) as client:
        for _ in range(2):
            await client.say(post())
            answer = await client.answer()
            assert answer.body == b"one,two,three,four"
            assert answer.headers == {"date": "today", "content-type": "text/plain", "transfer-encoding": "chunked"}


async def test_pieces_arrive_as_they_are_written(hall: Hall, door: Doorman) -> None:
    go_on = asyncio.Event()

    async def answer(request: Request) -> None:
        await request.begin([], b"")
        await request.write(b"first")
        await go_on.wait()
        await request.end(b"")

    door.answer = answer
    with Client(hall) as client:
        await client.say(post())
        await client._until(b"\r\n\r\n")
        chunks = client.chunks()
        assert await anext(chunks) == b"first"
        go_on.set()
        assert [chunk async for chunk in chunks] == []


async def test_http_1_0_gets_no_chunks_and_no_second_request(hall: Hall, door: Doorman) -> None:
    for answer in (echo, stream):
        door.answer = answer
        with Client(hall) as client:
            await client.say(post(b"one,two,three,four", "/v1/x", "connection: keep-alive", version="1.0"))
            got = await client.answer()
            assert got.body == b"one,two,three,four"
            assert got.headers["connection"] == "close"
            assert "transfer-encoding" not in got.headers
            assert await client.rest() == b""


async def test_head_gets_no_body(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        for _ in range(2):
            await client.say(post(b"hello").replace(b"POST", b"HEAD"))
            answer = await client.answer(silent=True)
            assert answer.headers["content-length"] == "5"
        door.answer = stream
        await client.say(post(b"hello").replace(b"POST", b"HEAD"))
        assert (await client.answer(silent=True)).headers["connection"] == "close"
        assert await client.rest() == b""


async def test_who_asks_for_it_is_hung_up_on_afterwards(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"one", "/v1/x", "Connection: close"))
        assert (await client.answer()).headers["connection"] == "close"
        assert await client.rest() == b""


@pytest.mark.parametrize("evil", [b"a\r\nset-cookie: b", b"a\nb", b"a\rb", b"a\r\n\r\nb"])
async def test_a_line_end_in_a_header_never_reaches_the_wire(hall: Hall, door: Doorman, evil: bytes) -> None:
    async def answer(request: Request) -> None:
        for attempt in (request.respond(200, [(b"x", evil)], b""), request.begin([(evil, b"x")], b"")):
            with pytest.raises(ValueError):
                await attempt
        await request.respond(500, [], b"safe")

    door.answer = answer
    with Client(hall) as client:
        await client.say(post())
        answered = await client.answer()
        assert (answered.status, answered.body) == (500, b"safe")
        assert "set-cookie" not in answered.headers


async def test_half_an_answer_is_never_taken_for_a_whole_one(hall: Hall, door: Doorman) -> None:
    async def breaks(request: Request) -> None:
        await request.begin([], b"half")
        await asyncio.sleep(0.05)
        await request.respond(500, [], b"it broke")

    async def stops(request: Request) -> None:
        await request.begin([], b"half")
        await asyncio.sleep(0.05)

    async def fails(request: Request) -> None:
        await stops(request)
        raise RuntimeError("no")

    for answer in (breaks, stops, fails):
        door.answer = answer
        with Client(hall) as client:
            await client.say(post())
            wire = await client.rest()
        assert wire.endswith(b"4\r\nhalf\r\n")


async def test_a_door_that_fails_without_an_answer_hangs_up(
    hall: Hall, door: Doorman, caplog: pytest.LogCaptureFixture
) -> None:
    async def fails(request: Request) -> None:
        raise RuntimeError("no")

    async def is_cancelled(request: Request) -> None:
        raise asyncio.CancelledError

    for answer in (fails, is_cancelled):
        door.answer = answer
        with Client(hall) as client:
            await client.say(post())
            assert await client.rest() == b""
    assert [record.message for record in caplog.records] == ["a request ended without an answer"] * 2
    assert hall.tasks == set()


async def test_what_fails_after_an_answer_does_not_concern_the_client(hall: Hall, door: Doorman) -> None:
    async def answer(request: Request) -> None:
        await echo(request)
        await asyncio.sleep(0.02)
        await request.respond(500, [], b"it failed")

    door.answer = answer
    with Client(hall) as client:
        for _ in range(2):
            await client.say(post(b"hello"))
            assert (await client.answer()).body == b"hello"
            await client.say(b"")
            await asyncio.sleep(0.05)


async def test_an_idle_connection_keeps_nothing_of_its_last_request(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"hello"))
        await client.answer()
        (reception,) = hall.connections
        assert reception._request is None
        assert len(reception._body) == 0


# -- clients that go, and clients that do not read --------------------------------------------------------------------


def reset(client: Client) -> None:
    client.socket.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, struct.pack("ii", 1, 0))
    client.socket.close()


@pytest.mark.parametrize(
    "leave",
    [lambda client: client.socket.close(), reset, lambda client: client.socket.shutdown(socket.SHUT_WR)],
    ids=["closes", "resets", "closes one side"],
)
async def test_a_hang_up_is_told_once(hall: Hall, door: Doorman, leave: Callable[[Client], None]) -> None:
    told: list[str] = []
    begun, over = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> None:
        request.on_gone(lambda: told.append("gone"))
        await request.begin([], b"one")
        begun.set()
        await until(lambda: told)
        await request.write(b"two")
        await request.end(b"three")
        request.done()
        over.set()

    door.answer = answer
    with Client(hall) as client:
        await client.say(post())
        await begun.wait()
        leave(client)
        await asyncio.wait_for(over.wait(), 5)
    await arrived()
    assert told == ["gone"]
    assert hall.connections == set()


@pytest.mark.parametrize("done", [True, False])
async def test_a_hang_up_after_the_end_is_not_told(hall: Hall, door: Doorman, done: bool) -> None:
    told: list[str] = []

    async def answer(request: Request) -> None:
        request.on_gone(lambda: told.append("gone"))
        await stream(request)
        if done:
            request.done()
        await asyncio.sleep(0.05)

    door.answer = answer
    for lines in ((), ("connection: close",)):
        with Client(hall) as client:
            await client.say(post(b"", "/v1/x", *lines))
            await client.answer()
        await until(lambda: not hall.connections and not hall.tasks)
    assert told == []


async def test_a_hang_up_before_anybody_asked_is_told_to_who_asks(hall: Hall, door: Doorman) -> None:
    told: list[str] = []
    over = asyncio.Event()

    async def answer(request: Request) -> None:
        await until(lambda: not hall.connections)
        request.on_gone(lambda: told.append("one"))
        await arrived()
        request.on_gone(lambda: told.append("two"))
        request.done()
        await arrived()
        over.set()

    door.answer = answer
    with Client(hall) as client:
        await client.say(post())
    await asyncio.wait_for(over.wait(), 5)
    assert told == ["one"]


async def test_a_hang_up_in_the_middle_of_a_request_asks_nothing(hall: Hall, door: Doorman) -> None:
    with Client(hall) as client:
        await client.say(post(b"hello")[:-1])
    await until(lambda: not hall.connections)
    assert door.asked == []


def flood(pieces: int, written: list[int], size: int = 100_000) -> Answer:
    """An answer that is written as fast as the client reads."""

    async def answer(request: Request) -> None:
        await request.begin([], b"")
        for number in range(pieces):
            await request.write(b"x" * size)
            written.append(number)
        await request.end(b"")

    return answer


async def test_a_slow_reader_makes_write_wait(hall: Hall, door: Doorman) -> None:
    written: list[int] = []
    door.answer = flood(300, written)
    with Client(hall, small=True) as client:
        await client.say(post())
        await asyncio.sleep(0.2)
        stopped = len(written)
        assert stopped < 100
        assert len((await client.answer()).body) == 30_000_000
    assert len(written) == 300


async def test_a_hang_up_ends_the_waiting(hall: Hall, door: Doorman) -> None:
    written: list[int] = []
    door.answer = flood(300, written)
    with Client(hall, small=True) as client:
        await client.say(post())
        await asyncio.sleep(0.1)
        assert len(written) < 100
        reset(client)
        await until(lambda: not hall.tasks)


@pytest.mark.usefixtures("soon")
async def test_a_client_that_reads_nothing_is_given_up(hall: Hall, door: Doorman) -> None:
    told: list[str] = []
    written: list[int] = []

    async def answer(request: Request) -> None:
        request.on_gone(lambda: told.append("gone"))
        await flood(100_000, written)(request)

    door.answer = answer
    with Client(hall, small=True) as client:
        await client.say(post())
        await until(lambda: told)
    await until(lambda: not hall.connections)


@pytest.mark.usefixtures("soon")
async def test_a_whole_answer_that_nobody_reads_is_given_up(hall: Hall, door: Doorman) -> None:
    async def answer(request: Request) -> None:
        await request.respond(200, [], b"x" * 10_000_000)

    door.answer = answer
    for lines in ((), ("connection: close",)):
        with Client(hall, small=True) as client:
            await client.say(post(b"", "/v1/x", *lines))
            await until(lambda: not hall.connections)


async def test_a_client_that_reads_slowly_is_not(
    hall: Hall, door: Doorman, soon: None, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name in ("KEEP_ALIVE_S", "STALL_S"):
        monkeypatch.setattr(http, name, 0.5)

    async def answer(request: Request) -> None:
        await request.respond(200, [], b"x" * 20_000_000)

    door.answer = answer
    with Client(hall) as client:
        await client.say(post(b"", "/v1/x", "connection: close"))
        for read in range(1, 31):
            await asyncio.sleep(0.05)
            while len(client.read) < read * 400_000:
                await client._more()
        assert len((await client.answer()).body) == 20_000_000


async def test_who_does_not_read_answers_may_not_ask_for_more(hall: Hall, door: Doorman) -> None:
    async def answer(request: Request) -> None:
        await request.respond(200, [], b"x" * 5_000_000)

    door.answer = answer
    with Client(hall, small=True) as client:
        await client.say(post())
        await until(lambda: not hall.tasks)
        await client.say(post())
        await asyncio.sleep(0.1)
        assert len(door.asked) == 1
        for _ in range(2):
            assert len((await client.answer()).body) == 5_000_000
    assert len(door.asked) == 2


# -- the end of a worker ----------------------------------------------------------------------------------------------


def shut_down(hall: Hall) -> None:
    for connection in list(hall.connections):
        connection.shutdown()


async def test_shutting_down_lets_answers_end(hall: Hall, door: Doorman) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()

    async def answer(request: Request) -> None:
        await request.begin([], b"one,")
        begun.set()
        await go_on.wait()
        await request.end(b"two")

    door.answer = answer
    with Client(hall) as idle, Client(hall) as running:
        await running.say(post())
        await begun.wait()
        shut_down(hall)
        assert await idle.rest() == b""
        go_on.set()
        assert (await running.answer()).body == b"one,two"
        assert await running.rest() == b""
    assert hall.connections == set()


async def test_an_answer_that_begins_afterwards_says_that_it_is_the_last(hall: Hall, door: Doorman) -> None:
    begun, go_on = asyncio.Event(), asyncio.Event()
    door.answer = held(begun, go_on)
    with Client(hall) as running, Client(hall) as in_head, Client(hall) as in_body:
        await running.say(post(b"one"))
        await in_head.say(post(b"two")[:30])
        await in_body.say(post(b"two")[:-1])
        await begun.wait()
        shut_down(hall)
        await in_head.say(post(b"two")[30:])
        await in_body.say(post(b"two")[-1:])
        go_on.set()
        for client in (running, in_head, in_body):
            answer = await client.answer()
            assert (answer.status, answer.headers["connection"]) == (200, "close")
            assert await client.rest() == b""
    assert hall.connections == set()


async def test_nobody_is_heard_out_then(hall: Hall) -> None:
    with Client(hall) as client:
        await client.say(post(b"").replace(b"length: 0", b"length: 9999"))
        assert (await client.answer()).status == 413
        shut_down(hall)
        await until(lambda: not hall.connections)


# -- proxies ----------------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("trusted", "lines", "address"),
    [
        ("127.0.0.1", ["x-forwarded-for: 203.0.113.9"], "203.0.113.9"),
        ("10.0.0.1", ["x-forwarded-for: 203.0.113.9"], "127.0.0.1"),
        ("", ["x-forwarded-for: 203.0.113.9"], "127.0.0.1"),
        ("127.0.0.1", [], "127.0.0.1"),
        ("127.0.0.1", ["x-forwarded-for: "], "127.0.0.1"),
        ("127.0.0.1", ["x-forwarded-for: 198.51.100.1, 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["x-forwarded-for: 198.51.100.1", "X-Forwarded-For: 203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", ["x-forwarded-for: 198.51.100.1, 203.0.113.9, 10.1.2.3"], "203.0.113.9"),
        ("127.0.0.1, 10.0.0.0/8", ["x-forwarded-for: 10.9.9.9, 10.1.2.3"], "10.9.9.9"),
        ("*", ["x-forwarded-for: 198.51.100.1, 203.0.113.9"], "198.51.100.1"),
        ("127.0.0.1", ["x-forwarded-for: 203.0.113.9:4711"], "203.0.113.9"),
        ("127.0.0.1", ["x-forwarded-for: [2001:db8::1]:4711"], "2001:db8::1"),
        ("127.0.0.1", ["x-forwarded-for: 2001:DB8:0::1"], "2001:db8::1"),
        ("127.0.0.1", ["x-forwarded-for: ::ffff:203.0.113.9"], "203.0.113.9"),
        ("127.0.0.1", ["x-forwarded-for: 203.0.113.9, unknown"], ""),
        ("127.0.0.1", ["x-forwarded-for: unknown, 203.0.113.9"], "203.0.113.9"),
    ],
)
async def test_a_clients_address_is_believed_from_trusted_proxies_alone(
    door: Doorman, trusted: str, lines: list[str], address: str
) -> None:
    proxies = Proxies(name for name in trusted.split(",") if name)
    async with Hall(door, trusted=proxies) as hall:
        with Client(hall) as client:
            await client.say(post(b"", "/v1/x", *lines))
            await client.answer()
    assert door.asked[0].address == address


async def test_the_next_request_of_a_proxys_connection_has_its_own_address(door: Doorman) -> None:
    async with Hall(door, trusted=Proxies(["127.0.0.1"])) as hall:
        with Client(hall) as client:
            for line in (("x-forwarded-for: 203.0.113.9",), ("x-forwarded-for: 203.0.113.10",), ()):
                await client.say(post(b"", "/v1/x", *line))
                await client.answer()
    assert [request.address for request in door.asked] == ["203.0.113.9", "203.0.113.10", "127.0.0.1"]


async def test_what_trails_a_body_tells_no_address(door: Doorman) -> None:
    async with Hall(door, trusted=Proxies(["127.0.0.1"])) as hall:
        with Client(hall) as client:
            await client.say(chunked(b"hello", trailer=b"x-forwarded-for: 203.0.113.9\r\n"))
            await client.answer()
    assert door.asked[0].address == "127.0.0.1"


async def test_a_proxy_that_is_neither_address_nor_network_is_an_error() -> None:
    with pytest.raises(ValueError):
        Proxies(["proxy.example"])
    assert "proxy.example" not in Proxies(["10.0.0.1"])
