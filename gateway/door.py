"""The lean door for /v1: no signals, thread hops or middleware between a request and the pipeline.

It finds a request's surface, lets the pipeline answer and writes the answer; nothing else happens here. Requests come
from `gateway.http`, which holds the connections, or through `gateway.asgi` from any other server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Sequence
from typing import Protocol
from uuid import UUID

import orjson

from tenants.ids import uuid7

from .errors import GatewayError, InvalidKey, MethodNotAllowed, RequestTooLarge, RouteNotFound
from .pipeline import Plain, Stream
from .runtime import Runtime
from .surfaces import embeddings, models, openai_chat, search

log = logging.getLogger("customhouse.door")

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE = (b"cache-control", b"no-cache")


class Exchange(Protocol):
    """One request, and the way its answer takes. Header names are lower case; `body` None: too large.

    `respond` does nothing after an answer is complete; in the middle of one it sees to it that nobody takes that for
    a whole one.
    """

    method: str
    path: str
    headers: Sequence[tuple[bytes, bytes]]
    body: bytes | None
    address: str  #: the client's

    async def respond(self, status: int, headers: Headers, body: bytes) -> None:
        """The whole answer."""
        ...

    async def begin(self, headers: Headers, block: bytes) -> None:
        """The head of an answer that comes in pieces (200), and its first piece."""
        ...

    async def write(self, block: bytes) -> None:
        """A further piece; waits while the client does not read."""
        ...

    async def end(self, block: bytes) -> None:
        """The last piece."""
        ...

    def on_gone(self, told: Callable[[], None]) -> None:
        """`told` is called once if the client hangs up before the end."""
        ...

    def done(self) -> None:
        """Nobody is interested in a hang-up any more."""
        ...


class Door:
    """Answers /v1/*. One per worker."""

    def __init__(self, runtime: Runtime, max_body: int) -> None:
        self._runtime, self.max_body = runtime, max_body
        self._posts = {
            "/v1/chat/completions": openai_chat.parse,
            "/v1/embeddings": embeddings.parse,
        }

    async def __call__(self, exchange: Exchange) -> None:
        request_id = uuid7()
        try:
            await self._answer(exchange, request_id)
        except GatewayError as error:
            await _refuse(exchange, error, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            await _refuse(exchange, GatewayError("The gateway failed; the operator's log knows why."), request_id)

    async def _answer(self, exchange: Exchange, request_id: UUID) -> None:
        path = exchange.path.rstrip("/")
        parse = self._posts.get(path)
        if parse is None:
            await self._other(exchange, request_id, path)
            return
        if exchange.method != "POST":
            raise MethodNotAllowed(f"{exchange.method} is not allowed on {path}; use POST.")
        credential, traceparent = _papers(exchange.headers)
        caller, snapshot = await self._runtime.identify(credential, exchange.address)
        call = parse(self._body(exchange), request_id, client_ip=exchange.address, traceparent=traceparent)
        answer = await self._runtime.pipeline.answer(call, caller, snapshot)
        if isinstance(answer, Plain):
            await _plain(exchange, answer, request_id)
        else:
            await _stream(exchange, answer, request_id)

    async def _other(self, exchange: Exchange, request_id: UUID, path: str) -> None:
        """The routes that call no model."""
        method = exchange.method
        if path == "/v1/models" or path.startswith("/v1/models/"):
            if method not in ("GET", "HEAD"):
                raise MethodNotAllowed(f"{method} is not allowed on {path}; use GET.")
            caller, snapshot = await self._runtime.identify(_papers(exchange.headers)[0], exchange.address)
            listed = self._runtime.pipeline.models(caller, snapshot)
            body = models.listing(listed) if path == "/v1/models" else models.one(listed, path[len("/v1/models/") :])
            await _plain(exchange, Plain(body, []), request_id)
            return
        if path == "/v1/retrieval/search":
            if method != "POST":
                raise MethodNotAllowed(f"{method} is not allowed on {path}; use POST.")
            caller, _ = await self._runtime.identify(_papers(exchange.headers)[0], exchange.address)
            query, wanted = search.parse(self._body(exchange))
            found = await self._runtime.pipeline.search(caller, query, wanted)
            await _plain(exchange, Plain(search.listing(found), []), request_id)
            return
        raise RouteNotFound(f"{method} {path} is not one of this gateway's routes.")

    def _body(self, exchange: Exchange) -> bytes:
        if exchange.body is None:
            raise RequestTooLarge(f"The request body is larger than {self.max_body} bytes.")
        return exchange.body


def _papers(headers: Sequence[tuple[bytes, bytes]]) -> tuple[str, str]:
    """The key, of `Authorization: Bearer` or of `x-api-key` as Anthropic's clients send it; and the traceparent."""
    credential, traceparent = b"", ""
    for name, value in headers:
        if name == b"authorization":
            if value[:7].lower() == b"bearer ":
                credential = value[7:]
        elif name == b"x-api-key" or name == b"api-key":
            credential = credential or value
        elif name == b"traceparent":
            traceparent = str(value[:55], "latin-1")
    if not credential:
        raise InvalidKey("No API key was sent. Send `Authorization: Bearer <key>`.")
    return str(credential.strip(), "latin-1"), traceparent


async def _plain(exchange: Exchange, answer: Plain, request_id: UUID) -> None:
    headers = [JSON, (b"x-request-id", str(request_id).encode()), *answer.headers]
    await exchange.respond(200, headers, orjson.dumps(answer.body))


async def _stream(exchange: Exchange, answer: Stream, request_id: UUID) -> None:
    """Writes blocks as they come; the first comes before the head, so that an early failure has a status."""
    try:
        first = await answer.start(exchange.on_gone)
        headers = [EVENTS, NO_CACHE, (b"x-request-id", str(request_id).encode()), *answer.headers]
        await exchange.begin(headers, first)
        async for block in answer.rest():
            await exchange.write(block)
        await exchange.end(answer.last)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not answer.hung_up or task is None:
            raise
        task.uncancel()  # the client has gone: nobody is left to answer
    finally:
        exchange.done()
        await answer.close()


async def _refuse(exchange: Exchange, error: GatewayError, request_id: UUID) -> None:
    headers = [JSON, (b"x-request-id", str(request_id).encode()), *error.headers()]
    await exchange.respond(error.status, headers, orjson.dumps(error.body()))
