"""Connections of the hot path: psycopg's own, because Django's async ORM hops threads on every query."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator, Awaitable
from contextlib import asynccontextmanager
from select import POLLIN, poll
from typing import Any, TypeVar

from psycopg import AsyncConnection
from psycopg.rows import DictRow, dict_row
from psycopg_pool import AsyncConnectionPool

from .scope import WRITE, Scope

Connection = AsyncConnection[DictRow]
Pool = AsyncConnectionPool[Connection]
Answer = TypeVar("Answer")


def make_pool(url: str, size: int = 4, *, check: bool = False) -> Pool:
    """A pool that is not open yet (`await pool.open()`); one for each use, so that one use never starves another.

    A connection that the server has closed meanwhile is not handed out. `check` even asks each whether it lives: for
    rare and important uses.
    """
    options: dict[str, Any] = {"row_factory": dict_row, "prepare_threshold": None, "autocommit": False}
    return AsyncConnectionPool(
        url,
        connection_class=AsyncConnection[DictRow],
        min_size=1,
        max_size=size,
        timeout=5,
        open=False,
        kwargs=options,
        check=AsyncConnectionPool.check_connection if check else _check_if_noticed,
    )


async def _check_if_noticed(connection: Connection) -> None:
    """Raises when the server has gone. It costs a system call: a connection at rest has nothing to read, unless the
    other side has closed it (or has sent a notice, so that it must be asked).
    """
    watch = poll()
    watch.register(connection.pgconn.socket, POLLIN)
    if watch.poll(0):
        await AsyncConnectionPool.check_connection(connection)


async def within(seconds: float, question: Awaitable[Answer]) -> Answer:
    """What the database answers in time. Raises TimeoutError when it does not: it may stand still without being gone.

    The question itself goes on, since psycopg waits for the end of one that is cancelled; its answer is thrown away.
    """
    asked = asyncio.ensure_future(question)
    asked.add_done_callback(_heard)
    done, _ = await asyncio.wait({asked}, timeout=seconds)
    if not done:
        raise TimeoutError
    return asked.result()


def _heard(asked: asyncio.Future[Any]) -> None:
    if not asked.cancelled():
        asked.exception()  # nobody may be left to whom it matters


@asynccontextmanager
async def scoped(pool: Pool, wanted: Scope) -> AsyncIterator[Connection]:
    """A connection inside a transaction that sees what `wanted` may see; the scope ends with the transaction."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute(WRITE, wanted.settings())
        yield connection
