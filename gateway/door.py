"""The lean door for /v1: no signals, thread hops or middleware between a request and the pipeline.

It finds a request's surface, lets the pipeline answer and writes the answer; nothing else happens here. Requests come
from `gateway.http`, which holds the connections, or through `gateway.asgi` from any other server.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, Sequence
from dataclasses import dataclass, replace
from typing import Any, Protocol
from uuid import UUID

import orjson

from policies.services import Context
from tenants.data import Caller
from tenants.ids import uuid7
from tenants.snapshot import Snapshot

from .catalogue import ModelView
from .errors import GatewayError, InvalidKey, MethodNotAllowed, RequestTooLarge, RouteNotFound
from .memory import ResponseNotFound
from .pipeline import Plain, Stream, admitted
from .runtime import Runtime
from .surfaces import (
    anthropic_messages,
    embeddings,
    models,
    moderations,
    openai_chat,
    openai_completions,
    openai_responses,
    rerank,
    search,
)

log = logging.getLogger("customhouse.door")

Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")
NO_CACHE = (b"cache-control", b"no-cache")


class Exchange(Protocol):
    """One request, and the way its answer takes. `body` None: it was too large.

    `respond` does nothing after an answer is complete; in the middle of one it sees to it that nobody takes that for
    a whole one.
    """

    method: str
    path: str
    body: bytes | None
    address: str  #: the client's

    @property
    def headers(self) -> Sequence[tuple[bytes, bytes]]:
        """Names are lower case."""
        ...

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


@dataclass(frozen=True, slots=True)
class Asked:
    """What a route that calls no model answers from; `name` is what follows the route in the path."""

    exchange: Exchange
    id: UUID
    name: str
    caller: Caller
    snapshot: Snapshot


Body = dict[str, Any]
Answers = Callable[[Asked], Awaitable[Body]]


class Door:
    """Answers /v1/*. One per worker."""

    def __init__(self, runtime: Runtime, max_body: int) -> None:
        self._runtime, self.max_body = runtime, max_body
        self._posts = {
            "/v1/chat/completions": openai_chat.parse,
            "/v1/embeddings": embeddings.parse,
            "/v1/messages": anthropic_messages.parse,
            "/v1/responses": openai_responses.parse,
            "/v1/completions": openai_completions.parse,
            "/v1/rerank": rerank.parse,
        }
        #: the routes that call no model (one that ends with a slash stands for all below it): methods, and what answers
        self._others: dict[str, tuple[tuple[str, ...], Answers]] = {
            "/v1/models": (("GET", "HEAD"), self._models),
            "/v1/models/": (("GET", "HEAD"), self._model),
            "/v1/messages/count_tokens": (("POST",), self._count),
            "/v1/moderations": (("POST",), self._moderate),
            "/v1/responses/": (("GET", "DELETE"), self._kept),
            "/v1/retrieval/search": (("POST",), self._search),
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
        """A route that calls no model."""
        place = path if path in self._others else next((place for place in self._others if _below(path, place)), "")
        if not place:
            raise RouteNotFound(f"{exchange.method} {path} is not one of this gateway's routes.")
        methods, answer = self._others[place]
        if exchange.method not in methods:
            named = " or ".join(method for method in methods if method != "HEAD")
            raise MethodNotAllowed(f"{exchange.method} is not allowed on {path}; use {named}.")
        caller, snapshot = await self._runtime.identify(_papers(exchange.headers)[0], exchange.address)
        body = await answer(Asked(exchange, request_id, path[len(place) :], caller, snapshot))
        await _plain(exchange, Plain(body, []), request_id)

    async def _models(self, asked: Asked) -> Body:
        return models.listing(self._models_of(asked))

    async def _model(self, asked: Asked) -> Body:
        return models.one(self._models_of(asked), asked.name)

    def _models_of(self, asked: Asked) -> list[ModelView]:
        return self._runtime.pipeline.models(asked.caller, asked.snapshot, asked.exchange.address)

    async def _search(self, asked: Asked) -> Body:
        wanted = search.parse(self._body(asked.exchange))
        found = await self._runtime.pipeline.search(
            asked.id, asked.caller, asked.snapshot, wanted, asked.exchange.address
        )
        return search.listing(found)

    async def _count(self, asked: Asked) -> Body:
        call = anthropic_messages.parse_count(self._body(asked.exchange), asked.id)
        call = replace(call, client_ip=asked.exchange.address)
        return await self._runtime.pipeline.count(call, asked.caller, asked.snapshot)

    async def _moderate(self, asked: Asked) -> Body:
        texts = moderations.parse(self._body(asked.exchange))
        judged = await self._runtime.pipeline.moderate(texts, asked.caller, asked.snapshot, asked.exchange.address)
        return moderations.answer(asked.id, judged)

    async def _kept(self, asked: Asked) -> Body:
        """Shows or removes an answer that is kept."""
        found = openai_responses.request_id_of(asked.name)
        if found is None or not asked.caller.may("models.call"):
            raise ResponseNotFound("There is no such response.")
        admitted(asked.caller, asked.snapshot, Context(asked.exchange.address, claims=asked.caller.claims))
        memory = self._runtime.pipeline.memory
        if asked.exchange.method == "GET":
            return (await memory.show(asked.caller, found, asked.id)).response
        await memory.forget(asked.caller, found, asked.id)
        return openai_responses.deleted(asked.name)

    def _body(self, exchange: Exchange) -> bytes:
        if exchange.body is None:
            raise RequestTooLarge(f"The request body is larger than {self.max_body} bytes.")
        return exchange.body


def _below(path: str, place: str) -> bool:
    return place.endswith("/") and path.startswith(place)


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
    headers = [JSON, *_named(exchange, request_id), *answer.headers]
    await exchange.respond(200, headers, orjson.dumps(answer.body))


async def _stream(exchange: Exchange, answer: Stream, request_id: UUID) -> None:
    """Writes blocks as they come; the first comes before the head, so that an early failure has a status."""
    try:
        first = await answer.start(exchange.on_gone)
        headers = [EVENTS, NO_CACHE, *_named(exchange, request_id), *answer.headers]
        await exchange.begin(headers, first)
        async for block in answer.rest():
            await exchange.write(block)
        await exchange.end(answer.last)
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not answer.over or task is None:
            raise
        task.uncancel()  # what was being written is not read: the connection ends without the rest
    finally:
        exchange.done()
        await answer.close()


async def _refuse(exchange: Exchange, error: GatewayError, request_id: UUID) -> None:
    headers = [JSON, *_named(exchange, request_id), *error.headers()]
    body = anthropic_messages.refusal(error, request_id) if _is_anthropics(exchange) else error.body()
    await exchange.respond(error.status, headers, orjson.dumps(body))


def _named(exchange: Exchange, request_id: UUID) -> Headers:
    """The request's id, also under the name that Anthropic's clients look for."""
    value = str(request_id).encode()
    return [(b"x-request-id", value), *([(b"request-id", value)] if _is_anthropics(exchange) else ())]


def _is_anthropics(exchange: Exchange) -> bool:
    return exchange.path.startswith("/v1/messages")
