"""Reads who is calling from the database, for the snapshot."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any
from uuid import UUID

from .bounds import callers_of
from .data import Caller, GrantRows
from .isolation.pool import Connection, Pool
from .isolation.scope import PLATFORM

_SQL = Path(__file__).parent / "sql"
CALLERS = (_SQL / "callers.sql").read_text()
GRANTS = (_SQL / "grants.sql").read_text()


async def tenant_of_key(pool: Pool, public_id: str) -> UUID | None:
    """Whose key this is. The setting makes that one row readable while no tenant is open."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('app.key', %s, true)", (public_id,))
        cursor = await connection.execute("select tenant_id from tenants_apikey where public_id = %s", (public_id,))
        row = await cursor.fetchone()
        return None if row is None else row["tenant_id"]


async def revision(connection: Connection, tenant: UUID) -> tuple[int, int]:
    """The tenant's own revision and the platform's, whose shared rows it reads as well."""
    cursor = await connection.execute("select tenant_id, number from tenants_revision")
    numbers = {row["tenant_id"]: row["number"] for row in await cursor.fetchall()}
    return numbers.get(tenant, 0), numbers.get(PLATFORM, 0)


async def revisions(connection: Connection) -> dict[UUID, int]:
    """All tenants' revisions, in the platform's scope."""
    cursor = await connection.execute("select tenant_id, number from tenants_revision")
    return {row["tenant_id"]: row["number"] for row in await cursor.fetchall()}


async def callers(connection: Connection, tenant: UUID) -> dict[str, tuple[bytes, Caller]]:
    """The tenant's living keys: public id -> (digest, caller)."""
    granted = grant_rows(await (await connection.execute(GRANTS)).fetchall())
    rows = await (await connection.execute(CALLERS, {"public_id": None})).fetchall()
    return callers_of(tenant, rows, granted)


def grant_rows(rows: Iterable[Mapping[str, Any]]) -> GrantRows:
    """The rows of grants.sql by whom they are for."""
    found: dict[tuple[str, UUID], list[tuple[str, UUID, str, bool]]] = {}
    for row in rows:
        what = (row["object_type"], row["object_id"], row["right"], row["deny"])
        found.setdefault((row["to_type"], row["to_id"]), []).append(what)
    return {principal: tuple(granted) for principal, granted in found.items()}
