"""What the wall costs: one row by its id behind row-level security, and in an equal table without it by WHERE."""

from __future__ import annotations

import random
import time
from collections.abc import Callable
from statistics import median
from uuid import UUID

import psycopg

from .load import share
from .report import Section, table
from .stage import Stage

TENANTS, ROWS, READS = 100, 1_000, 20_000
#: The wanted share of a point read that the wall may cost.
MOST = 1.10

PREPARE = """
set session_replication_role = replica;
insert into tenants_department (id, tenant_id, slug, name)
    select gen_random_uuid(), tenant, 'bench-' || number, 'Department ' || number
    from unnest(%(tenants)s::uuid[]) as tenant, generate_series(1, %(rows)s) as number;
create table bench_department (like tenants_department including all);
insert into bench_department select * from tenants_department;
grant select on bench_department to customhouse_app;
analyze tenants_department; analyze bench_department
"""
SCOPE = "select set_config('app.tenant', %s, true)"
WALLED = "select id, slug, name from tenants_department where id = %s"
PLAIN = "select id, slug, name from bench_department where tenant_id = %s and id = %s"


def run(stage: Stage) -> list[Section]:
    """Measures with one connection of the application's role, the two reads in turn."""
    from django.conf import settings

    known = _fill(stage.owner_url)
    with psycopg.connect(settings.DATABASE_URL) as connection:
        walled, plain = _read(connection, known)
    ratio = median(walled) / median(plain)
    rows = [
        (name, f"{median(took) * 1e6:.1f}", f"{share(took, 0.95) * 1e6:.1f}")
        for name, took in (("behind the wall", walled), ("WHERE tenant_id =", plain))
    ]
    said = (
        f"{READS:,} reads each of one of {TENANTS * ROWS:,} rows of {TENANTS} tenants, prepared, "
        f"the two in turn in one transaction. Ratio of the medians: {ratio:.3f} (wanted: at most {MOST:.2f}; "
        f"{'met' if ratio <= MOST else 'missed'})."
    )
    return [Section("The wall", f"{said}\n\n{table(('one row by its id', 'p50 µs', 'p95 µs'), rows)}")]


def _fill(owner_url: str) -> list[tuple[UUID, UUID]]:
    """Rows of many tenants; some of them as (tenant, id)."""
    from tenants.isolation import PLATFORM, scope
    from tenants.services import make_tenant

    with scope(PLATFORM):
        tenants = [make_tenant(f"wall-{number}", "Wall")[0].pk for number in range(TENANTS)]
    with psycopg.connect(owner_url, autocommit=True) as owner:
        cursor = psycopg.ClientCursor(owner)
        for statement in PREPARE.split(";"):
            cursor.execute(statement, {"tenants": tenants, "rows": ROWS})
        found = cursor.execute("select tenant_id, id from bench_department where slug like 'bench-%%'", {}).fetchall()
    return random.Random(7).choices(found, k=READS)


def _read(connection: psycopg.Connection, known: list[tuple[UUID, UUID]]) -> tuple[list[float], list[float]]:
    walled: list[float] = []
    plain: list[float] = []
    for tenant, row in known:
        with connection.transaction():
            connection.execute(SCOPE, [str(tenant)])
            pair = [
                (walled, lambda row=row: connection.execute(WALLED, [row], prepare=True)),
                (plain, lambda row=row, tenant=tenant: connection.execute(PLAIN, [tenant, row], prepare=True)),
            ]
            for took, ask in pair if len(walled) % 2 else pair[::-1]:
                took.append(_timed(ask, row))
    return walled, plain


def _timed(ask: Callable[[], psycopg.Cursor], row: UUID) -> float:
    began = time.perf_counter()
    found = ask().fetchone()
    took = time.perf_counter() - began
    assert found is not None
    assert found[0] == row
    return took
