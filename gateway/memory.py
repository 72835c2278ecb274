"""Answers that a conversation may go on from: sealed under their tenant, readable by who asked, gone after some days.

What is kept is written in batches, like the journal's rows, and is durable before the answer's last byte: whoever has
an answer's id can go on from it at once, at any worker.
"""

from __future__ import annotations

import asyncio
import base64
import hashlib
import os
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any, Final
from uuid import UUID

import orjson
import psycopg
from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from psycopg_pool import PoolTimeout

from audit.services import EVENTS, Action
from tenants.data import Caller
from tenants.ids import uuid7
from tenants.isolation.pool import Pool, scoped

from .errors import GatewayError, Unavailable
from .journal import OUTCOME_SECONDS, SCOPE, WATCH_SECONDS, Lane, Metrics

_SQL = Path(__file__).parent / "sql"
_KEEP = (_SQL / "keep_responses.sql").read_text()
_FIND = (_SQL / "find_response.sql").read_text()
_FORGET = (_SQL / "forget_response.sql").read_text()

_NONCE: Final = 12
_KEY_BYTES: Final = 32


@dataclass(frozen=True, slots=True)
class Kept:
    """An answer as the client saw it, and the conversation that it belongs to (chat messages, originals in them)."""

    response: dict[str, Any]
    messages: list[dict[str, Any]]


class ResponseNotFound(GatewayError):
    """There is none of that id, it has expired, or it is somebody else's."""

    status, type, code = 404, "invalid_request_error", "not_found"


class Memory:
    """This worker's way to kept answers. `key`: 32 bytes that the tenants' keys are derived from."""

    def __init__(self, url: str, pool: Pool, key: bytes, days: int, crowd: Callable[[], int]) -> None:
        self._pool, self._key, self._days = pool, key, days
        self._lane = Lane("responses", url, {"scope": SCOPE, "rows": _KEEP}, Metrics(), crowd)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._lane.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, patience: float = 5.0) -> None:
        """Writes what waits, then closes."""
        await self._lane.stop(time.monotonic() + patience)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def keep(self, caller: Caller, response: UUID, kept: dict[str, Any]) -> asyncio.Future[None]:
        """Hands an answer over. The future ends when it is durable; Unavailable when that takes too long."""
        future = asyncio.get_running_loop().create_future()
        sealed = _seal(self._key, caller.tenant, response, orjson.dumps(kept, default=str))
        row = {
            "id": response,
            "owner": _owner(caller),
            "sealed": base64.b64encode(sealed).decode(),
            "days": self._days,
        }
        return self._lane.hand(caller.tenant, row, future, OUTCOME_SECONDS, None, _written, None)

    async def find(self, caller: Caller, response: UUID) -> Kept:
        """An answer of the caller's. Raises ResponseNotFound; Unavailable when the database cannot be asked."""
        return self._read(caller, response, await self._asked(_FIND, caller, response))

    async def show(self, caller: Caller, response: UUID, request: UUID) -> Kept:
        """As `find`, for somebody who wants to see it: that is recorded."""
        row = await self._asked(_FIND, caller, response, _event(Action.RESPONSE_READ, caller, response, request))
        return self._read(caller, response, row)

    async def forget(self, caller: Caller, response: UUID, request: UUID) -> None:
        """Removes an answer of the caller's, and records that. Raises as `find`."""
        await self._asked(_FORGET, caller, response, _event(Action.RESPONSE_DELETE, caller, response, request))

    async def _asked(
        self, statement: str, caller: Caller, response: UUID, event: dict[str, Any] | None = None
    ) -> dict[str, Any]:
        """The one row of a statement, and in its transaction the event that it was asked."""
        try:
            async with scoped(self._pool, caller.scope()) as connection:
                cursor = await connection.execute(statement.encode(), {"id": response, "owner": _owner(caller)})
                row = await cursor.fetchone()
                if row is not None and event is not None:
                    data = orjson.dumps([event], default=str).decode()
                    await psycopg.AsyncRawCursor(connection).execute(EVENTS.encode(), [data])
        except (psycopg.OperationalError, psycopg.InterfaceError, PoolTimeout, OSError) as error:
            raise Unavailable("Kept answers cannot be reached at the moment.") from error
        if row is None:
            raise ResponseNotFound("There is no such response.")
        return row

    def _read(self, caller: Caller, response: UUID, row: dict[str, Any]) -> Kept:
        try:
            return open_kept(self._key, caller.tenant, response, row["sealed"])
        except InvalidTag:  # sealed under a key that is no longer
            raise ResponseNotFound("There is no such response.") from None

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._lane.tire(time.monotonic())


def open_kept(key: bytes, tenant: UUID, response: UUID, sealed: bytes) -> Kept:
    """A kept answer as it was sealed. Raises InvalidTag when it was sealed under another key."""
    plain = _cipher(key, tenant).decrypt(sealed[:_NONCE], sealed[_NONCE:], tenant.bytes + response.bytes)
    return Kept(**orjson.loads(plain))


def _seal(key: bytes, tenant: UUID, response: UUID, plain: bytes) -> bytes:
    nonce = os.urandom(_NONCE)
    return nonce + _cipher(key, tenant).encrypt(nonce, plain, tenant.bytes + response.bytes)


def _cipher(key: bytes, tenant: UUID) -> AESGCM:
    """Each tenant has a key of its own."""
    return AESGCM(hashlib.blake2b(tenant.bytes, key=key, person=b"responses", digest_size=_KEY_BYTES).digest())


def _owner(caller: Caller) -> UUID | None:
    """Whose an answer is: the person's, else the key's."""
    return caller.user or caller.key


def _written(_: Any) -> None:
    """Nothing follows from it."""


def _event(action: Action, caller: Caller, response: UUID, request: UUID) -> dict[str, Any]:
    return {
        "id": uuid7(),
        "action": action,
        "request_id": request,
        "actor_type": caller.actor["type"],
        "actor_id": caller.actor["id"],
        "actor_name": caller.name,
        "department_id": caller.department,
        "policy": "",
        "model": "",
        "detail": {"response": response},
    }
