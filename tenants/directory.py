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
from .tokens import Issuer, Person

_SQL = Path(__file__).parent / "sql"
CALLERS = (_SQL / "callers.sql").read_text()
GRANTS = (_SQL / "grants.sql").read_text()
ISSUERS = (_SQL / "issuers.sql").read_text()
PEOPLE = (_SQL / "people.sql").read_text()

#: what of an issuer is as its row says
_SAME = (
    *("id", "tenant_slug", "name", "issuer", "audience", "jwks_url", "user_claim", "email_trusted", "members_only"),
    *("department_claim", "role", "role_claim", "roles", "clearance", "clearance_claim", "clearances"),
    *("rpm", "tpm", "tenant_rpm", "tenant_tpm", "clock_skew"),
)


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


async def tenants_of_issuer(pool: Pool, issuer: str) -> dict[str, UUID]:
    """Who has registered an issuer, by audience. The setting makes those rows readable while no tenant is open."""
    async with pool.connection() as connection, connection.transaction():
        await connection.execute("select set_config('app.issuer', %s, true)", (issuer,))
        rows = await connection.execute(
            "select audience, tenant_id from tenants_identityprovider where issuer = %s and active", (issuer,)
        )
        return {row["audience"]: row["tenant_id"] for row in await rows.fetchall()}


async def grants(connection: Connection) -> GrantRows:
    """All grants of the open tenant."""
    return grant_rows(await (await connection.execute(GRANTS)).fetchall())


async def callers(connection: Connection, tenant: UUID, granted: GrantRows) -> dict[str, tuple[bytes, Caller]]:
    """The tenant's living keys: public id -> (digest, caller)."""
    rows = await (await connection.execute(CALLERS, {"public_id": None})).fetchall()
    return callers_of(tenant, rows, granted)


async def issuers(connection: Connection, tenant: UUID) -> tuple[Issuer, ...]:
    """The tenant's identity providers whose tokens are let in."""
    rows = await (await connection.execute(ISSUERS, {"id": None})).fetchall()
    if not rows:
        return ()
    places = await (await connection.execute("select id, slug from tenants_department")).fetchall()
    return tuple(issuer_of(tenant, row, {place["id"]: place["slug"] for place in places}) for row in rows)


async def people(connection: Connection) -> dict[str, Person]:
    """The tenant's people by e-mail address."""
    return people_of(await (await connection.execute(PEOPLE)).fetchall())


def people_of(rows: Iterable[Mapping[str, Any]]) -> dict[str, Person]:
    """The rows of people.sql by address."""
    return {
        row["email"]: Person(
            row["id"], row["name"], row["is_active"], row["role"], row["clearance"], tuple(row["departments"])
        )
        for row in rows
    }


def issuer_of(tenant: UUID, row: Mapping[str, Any], slugs: Mapping[UUID, str]) -> Issuer:
    """A row of issuers.sql; `slugs` are the tenant's departments. One that is gone stands for nothing."""
    places = {value: UUID(place) for value, place in row["departments"]}
    same = {name: row[name] for name in _SAME}
    return Issuer(
        tenant=tenant,
        algorithms=tuple(row["algorithms"]),
        department=(row["department_id"], slugs[row["department_id"]]) if row["department_id"] in slugs else None,
        departments={value: (place, slugs[place]) for value, place in places.items() if place in slugs},
        **same,
    )


def grant_rows(rows: Iterable[Mapping[str, Any]]) -> GrantRows:
    """The rows of grants.sql by whom they are for."""
    found: dict[tuple[str, UUID], list[tuple[str, UUID, str, bool]]] = {}
    for row in rows:
        what = (row["object_type"], row["object_id"], row["right"], row["deny"])
        found.setdefault((row["to_type"], row["to_id"]), []).append(what)
    return {principal: tuple(granted) for principal, granted in found.items()}
