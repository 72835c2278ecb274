"""The lean door for /v1: an ASGI application without Django's per-request machinery.

It reads a request, finds its surface, lets the pipeline answer and writes the answer; nothing else happens here.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Awaitable, Callable, MutableMapping
from typing import Any
from uuid import UUID

import orjson

from tenants.ids import uuid7

from .errors import GatewayError, InvalidKey, MethodNotAllowed, RequestTooLarge, RouteNotFound
from .pipeline import Plain, Stream
from .runtime import Runtime
from .surfaces import embeddings, models, openai_chat, search

log = logging.getLogger("customhouse.door")

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]
Headers = list[tuple[bytes, bytes]]

JSON = (b"content-type", b"application/json")
EVENTS = (b"content-type", b"text/event-stream; charset=utf-8")


class Door:
    """Answers /v1/*. One per worker."""

    def __init__(self, runtime: Runtime, max_body: int) -> None:
        self._runtime, self._max_body = runtime, max_body
        self._posts = {
            "/v1/chat/completions": openai_chat.parse,
            "/v1/embeddings": embeddings.parse,
        }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        request_id = uuid7()
        try:
            await self._answer(scope, receive, send, request_id)
        except GatewayError as error:
            await _refuse(send, error, request_id)
        except Exception:
            log.exception("request %s failed", request_id)
            await _refuse(send, GatewayError("The gateway failed; the operator's log knows why."), request_id)

    async def _answer(self, scope: Scope, receive: Receive, send: Send, request_id: UUID) -> None:
        path, method = scope["path"].rstrip("/"), scope["method"]
        parse = self._posts.get(path)
        if parse is not None:
            if method != "POST":
                raise MethodNotAllowed(f"{method} is not allowed on {path}; use POST.")
            credential, address = _credential(scope), _address(scope)
            caller, snapshot = await self._runtime.identify(credential, address)
            raw = await self._body(scope, receive)
            call = parse(raw, request_id, client_ip=address, traceparent=_traceparent(scope))
            answer = await self._runtime.pipeline.answer(call, caller, snapshot)
            if isinstance(answer, Plain):
                await _plain(send, answer, request_id)
            else:
                await _stream(receive, send, answer, request_id)
            return
        await self._other(scope, receive, send, request_id, path, method)

    async def _other(
        self, scope: Scope, receive: Receive, send: Send, request_id: UUID, path: str, method: str
    ) -> None:
        """The routes that call no model."""
        if path == "/v1/models" or path.startswith("/v1/models/"):
            if method not in ("GET", "HEAD"):
                raise MethodNotAllowed(f"{method} is not allowed on {path}; use GET.")
            caller, snapshot = await self._runtime.identify(_credential(scope), _address(scope))
            listed = self._runtime.pipeline.models(caller, snapshot)
            body = models.listing(listed) if path == "/v1/models" else models.one(listed, path[len("/v1/models/") :])
            await _plain(send, Plain(body, []), request_id)
            return
        if path == "/v1/retrieval/search":
            if method != "POST":
                raise MethodNotAllowed(f"{method} is not allowed on {path}; use POST.")
            caller, _ = await self._runtime.identify(_credential(scope), _address(scope))
            query, wanted = search.parse(await self._body(scope, receive))
            found = await self._runtime.pipeline.search(caller, query, wanted)
            await _plain(send, Plain(search.listing(found), []), request_id)
            return
        raise RouteNotFound(f"{method} {path} is not one of this gateway's routes.")

    async def _body(self, scope: Scope, receive: Receive) -> bytes:
        """The whole body, never more than the limit: a larger one is refused as soon as that is known."""
        for name, value in scope["headers"]:
            if name == b"content-length" and value.isdigit() and int(value) > self._max_body:
                raise RequestTooLarge(f"The request body is larger than {self._max_body} bytes.")
        message = await receive()
        body: bytes = message.get("body", b"")
        if not message.get("more_body"):
            return body
        parts, size = [body], len(body)
        while message.get("more_body"):
            message = await receive()
            parts.append(message.get("body", b""))
            size += len(parts[-1])
            if size > self._max_body:
                raise RequestTooLarge(f"The request body is larger than {self._max_body} bytes.")
        return b"".join(parts)


def _credential(scope: Scope) -> str:
    """The key of `Authorization: Bearer`, or of `x-api-key` as Anthropic's clients send it."""
    for name, value in scope["headers"]:
        if name == b"authorization" and value[:7].lower() == b"bearer ":
            return str(value[7:].strip(), "latin-1")
        if name == b"x-api-key" or name == b"api-key":
            return str(value.strip(), "latin-1")
    raise InvalidKey("No API key was sent. Send `Authorization: Bearer <key>`.")


def _traceparent(scope: Scope) -> str:
    for name, value in scope["headers"]:
        if name == b"traceparent":
            return str(value[:55], "latin-1")
    return ""


def _address(scope: Scope) -> str:
    client = scope.get("client")
    return client[0] if client else ""


async def _plain(send: Send, answer: Plain, request_id: UUID) -> None:
    body = orjson.dumps(answer.body)
    headers = [
        JSON,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", str(request_id).encode()),
        *answer.headers,
    ]
    await send({"type": "http.response.start", "status": 200, "headers": headers})
    await send({"type": "http.response.body", "body": body})


async def _stream(receive: Receive, send: Send, answer: Stream, request_id: UUID) -> None:
    """Writes blocks as they come; the first comes before the head, so that an early failure has a status."""
    try:
        first = await answer.start(receive)
        headers = [
            EVENTS,
            (b"cache-control", b"no-cache"),
            (b"x-request-id", str(request_id).encode()),
            *answer.headers,
        ]
        await send({"type": "http.response.start", "status": 200, "headers": headers})
        await send({"type": "http.response.body", "body": first, "more_body": True})
        async for block in answer.rest():
            await send({"type": "http.response.body", "body": block, "more_body": True})
        await send({"type": "http.response.body", "body": b""})
    except asyncio.CancelledError:
        task = asyncio.current_task()
        if not answer.hung_up or task is None:
            raise
        task.uncancel()  # the client has gone: nobody is left to answer
    finally:
        await answer.close()


async def _refuse(send: Send, error: GatewayError, request_id: UUID) -> None:
    body = orjson.dumps(error.body())
    headers = [
        JSON,
        (b"content-length", b"%d" % len(body)),
        (b"x-request-id", str(request_id).encode()),
        *error.headers(),
    ]
    await send({"type": "http.response.start", "status": error.status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
