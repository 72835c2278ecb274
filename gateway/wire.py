"""One connection to PostgreSQL in libpq's pipeline mode: a batch of statements is one round trip and one transaction.

psycopg makes the connection; the statements go through its libpq interface directly, because its cursors cost 200 µs
of CPU a batch where this costs 60.
"""

from __future__ import annotations

import asyncio
import hashlib
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import psycopg
from psycopg import AsyncConnection
from psycopg.pq import DiagnosticField, ExecStatus

#: SQLSTATE classes that speak of the server's condition, not of the rows: try again
PASSING = ("08", "40", "53", "55", "57", "58", "XX", "25")
#: a pooler between us that does not keep prepared statements
UNPREPARED = ("26000", "42P05")
#: the tables were altered since the statements were prepared: connect again
STALE = ("0A000",)
CONNECT_SECONDS = 3
ANSWER_SECONDS = 10.0

Command = tuple[str, list[bytes]]


class Lost(Exception):
    """The connection is gone; nobody knows whether the batch was committed."""


class Unprepared(Lost):
    """Something between us and the server does not keep prepared statements."""


class Undone(Exception):
    """The server could not do it now; nothing of the batch was committed."""


class Refused(Exception):
    """The server refuses the batch because of what is in it; nothing of it was committed."""


class Wire:
    """Statements by name. Open one with `Wire.open`; after Lost it is of no use."""

    def __init__(
        self, connection: AsyncConnection[Any], statements: Mapping[str, str], died: Callable[[], None]
    ) -> None:
        self._connection, self._pg = connection, connection.pgconn
        self._loop = asyncio.get_running_loop()
        self._statements = {name: text.encode() for name, text in statements.items()}
        self._names = {name: _name(text) for name, text in self._statements.items()}
        self._answer: asyncio.Future[None] | None = None
        self._error: tuple[str, str] | None = None
        self.alive, self._died = True, died
        self._prepared = False
        self._pg.nonblocking = 1
        self._pg.enter_pipeline_mode()
        self._socket = self._pg.socket
        self._loop.add_reader(self._socket, self._readable)

    @classmethod
    async def open(
        cls, url: str, statements: Mapping[str, str], died: Callable[[], None], *, prepare: bool = True
    ) -> Wire:
        """Connects and prepares the statements; `died` is called when the connection ends by itself. Raises Lost."""
        try:
            connection = await AsyncConnection.connect(
                url, autocommit=True, connect_timeout=CONNECT_SECONDS, keepalives_idle=5, tcp_user_timeout=10_000
            )
        except (psycopg.Error, OSError) as error:
            raise Lost(type(error).__name__) from error
        wire = cls(connection, statements, died)
        if prepare:
            try:
                await wire._prepare()
            except Lost:
                await wire.close()
                raise
            except (Refused, Undone) as error:
                await wire.close()
                raise Lost(str(error)) from error
        return wire

    async def close(self) -> None:
        self.alive = False
        self._loop.remove_reader(self._socket)
        self._loop.remove_writer(self._socket)
        await self._connection.close()

    def _failure(self) -> tuple[str, str] | None:
        """What the server refused, set while the answer was read."""
        return self._error

    async def run(self, commands: Sequence[Command]) -> None:
        """Runs (statement, parameters) one after another in one transaction. Raises Lost, Undone or Refused."""
        try:
            for name, parameters in commands:
                if self._prepared:
                    self._pg.send_query_prepared(self._names[name], parameters)
                else:
                    self._pg.send_query_params(self._statements[name], parameters)
        except psycopg.Error as error:
            raise Lost(type(error).__name__) from error
        await self._finish()

    async def _prepare(self) -> None:
        for name, text in self._statements.items():
            self._pg.send_prepare(self._names[name], text)
        await self._finish()
        self._prepared = True

    async def _finish(self) -> None:
        """Ends the transaction and waits for its answer."""
        self._error, self._answer = None, self._loop.create_future()
        try:
            self._pg.pipeline_sync()
            self._flush()
            async with asyncio.timeout(ANSWER_SECONDS):
                await self._answer
        except (psycopg.Error, OSError, TimeoutError) as error:
            raise Lost(type(error).__name__) from error
        finally:
            self._answer = None
        found: tuple[str, str] | None = self._failure()
        if found is not None:
            state, message = found
            if state in UNPREPARED:
                raise Unprepared(state)
            if state in STALE:
                raise Lost(state)
            raise (Undone if state.startswith(PASSING) else Refused)(f"{state} {message}")

    def _flush(self) -> None:
        """Sends what the socket takes, and the rest when it takes more."""
        self._loop.remove_writer(self._socket)
        if self._pg.flush():
            self._loop.add_writer(self._socket, self._flush)

    def _readable(self) -> None:
        try:
            self._pg.consume_input()
            while self._answer is not None and not self._pg.is_busy():
                result = self._pg.get_result()
                if result is None:
                    continue
                if result.status == ExecStatus.PIPELINE_SYNC:
                    if not self._answer.done():
                        self._answer.set_result(None)
                    return
                if result.status == ExecStatus.FATAL_ERROR and self._error is None:
                    state = result.error_field(DiagnosticField.SQLSTATE) or b""
                    said = result.error_field(DiagnosticField.MESSAGE_PRIMARY) or b""
                    self._error = state.decode(), said.decode(errors="replace")
        except psycopg.Error as error:
            self.alive = False
            self._loop.remove_reader(self._socket)
            if self._answer is not None and not self._answer.done():
                self._answer.set_exception(error)
            self._died()


def _name(statement: bytes) -> bytes:
    """What a statement is prepared as. Behind a pooler others prepare theirs on the same connection: of one name there
    is one text, so that nobody ever runs another's.
    """
    return b"ch_" + hashlib.sha256(statement).hexdigest()[:32].encode()
