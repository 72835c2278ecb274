"""The ASGI application: /v1 goes through the gateway's lean door, everything else through Django.

`config.serve` takes /v1 straight from the socket instead; this way serves it under any other server.
"""

from __future__ import annotations

import ctypes
import gc
import os
from collections.abc import Awaitable, Callable, MutableMapping
from contextlib import suppress
from typing import Any

os.environ.setdefault("DJANGO_SETTINGS_MODULE", "config.settings")

from django.core.asgi import get_asgi_application

django_application = get_asgi_application()

from django.conf import settings  # noqa: E402  (Django must be set up first)

from gateway import asgi as gateway_asgi  # noqa: E402
from gateway.door import Door  # noqa: E402
from gateway.runtime import Runtime  # noqa: E402

Scope = MutableMapping[str, Any]
Receive = Callable[[], Awaitable[MutableMapping[str, Any]]]
Send = Callable[[MutableMapping[str, Any]], Awaitable[None]]

runtime = Runtime.from_settings()
door = Door(runtime, settings.REQUEST_MAX_BYTES)


async def application(scope: Scope, receive: Receive, send: Send) -> None:
    """One request, or the life of this worker."""
    if scope["type"] == "lifespan":
        await lifespan(receive, send)
        return
    path: str = scope.get("path", "")
    if path.startswith("/v1/") or path == "/v1":
        await gateway_asgi.answer(door, scope, receive, send)
        return
    if path == "/healthz":
        await _text(send, 200, b"ok\n")
        return
    if path == "/readyz":
        problem = await runtime.problem()
        await _text(send, 503 if problem else 200, (problem or "ready").encode() + b"\n")
        return
    await django_application(scope, receive, send)  # type: ignore[arg-type]


def _give_back() -> None:
    """Returns to the system what start-up has freed (11 MB), where the C library can: glibc keeps it else."""
    with suppress(AttributeError, OSError):
        ctypes.CDLL(None).malloc_trim(0)


async def lifespan(receive: Receive, send: Send) -> None:
    while True:
        message = await receive()
        if message["type"] == "lifespan.startup":
            await runtime.start()
            # What start-up made lives as long as the worker: the collector need not walk it again (85-110 ms stalls).
            gc.collect()
            gc.freeze()
            _give_back()
            gc.set_threshold(50_000, 20, 100)
            await send({"type": "lifespan.startup.complete"})
        else:
            await runtime.stop()
            await send({"type": "lifespan.shutdown.complete"})
            return


async def _text(send: Send, status: int, body: bytes) -> None:
    headers = [(b"content-type", b"text/plain; charset=utf-8"), (b"content-length", b"%d" % len(body))]
    await send({"type": "http.response.start", "status": status, "headers": headers})
    await send({"type": "http.response.body", "body": body})
