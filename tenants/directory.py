"""Reads who is calling from the database, for the snapshot."""

from __future__ import annotations

from ipaddress import ip_network
from pathlib import Path
from uuid import UUID

from psycopg.rows import DictRow

from .data import Caller
from .isolation.pool import Connection, Pool
from .isolation.scope import PLATFORM
from .roles import RANK, Role

_SQL = Path(__file__).parent / "sql"
_CALLERS = (_SQL / "callers.sql").read_text()


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
    cursor = await connection.execute(_CALLERS)
    return {row["public_id"]: (bytes(row["digest"]), caller_of(tenant, row)) for row in await cursor.fetchall()}


def caller_of(tenant: UUID, row: DictRow) -> Caller:
    """The caller that a row of callers.sql describes."""
    role, clearance = row["role"], row["clearance"]
    if row["user_id"] is not None:  # a person's key never does more than the person
        role = min(role, row["member_role"], key=lambda name: RANK[Role(name)])
        clearance = min(clearance, row["member_clearance"])
    everywhere = role in (Role.OWNER, Role.ADMIN)
    own = [row["department_id"]] if row["department_id"] else []
    return Caller(
        tenant=tenant,
        tenant_slug=row["tenant_slug"],
        key=row["id"],
        user=row["user_id"],
        name=row["name"],
        role=role,
        clearance=clearance,
        department=row["department_id"],
        department_slug=row["department_slug"] or "",
        departments=None if everywhere else tuple(own + list(row["departments"])),
        models=None if row["model_names"] is None else frozenset(row["model_names"]),
        scopes=None if row["scopes"] is None else frozenset(row["scopes"]),
        rpm=row["rpm"],
        tpm=row["tpm"],
        tenant_rpm=row["tenant_rpm"],
        tenant_tpm=row["tenant_tpm"],
        ip_allow=tuple(ip_network(network, strict=False) for network in row["ip_allow"] or ()),
        expires_at=row["expires_at"].timestamp() if row["expires_at"] else None,
    )
