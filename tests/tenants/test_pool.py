"""Connections of the hot path."""

from __future__ import annotations

import asyncio
import time

import pytest
from django.conf import settings
from psycopg.conninfo import make_conninfo

from tenants.isolation.pool import Pool, make_pool, within

pytestmark = pytest.mark.asyncio

CLOSE = "select pg_terminate_backend(pid) from pg_stat_activity where usename = current_user and application_name = %s"


async def test_a_connection_that_the_server_closed_is_not_handed_out(database: None) -> None:
    async with make_pool(make_conninfo(settings.DATABASE_URL, application_name="resting"), 3) as pool:
        await _fill(pool)
        async with make_pool(settings.DATABASE_URL, 1) as other, other.connection() as connection:
            await connection.execute(CLOSE, ["resting"])
        await asyncio.sleep(0.1)
        for _ in range(4):
            async with pool.connection() as connection:
                assert await (await connection.execute("select 1 as one")).fetchone() == {"one": 1}


async def test_a_question_that_takes_too_long_is_given_up_and_its_connection_comes_back(database: None) -> None:
    async with make_pool(settings.DATABASE_URL, 1) as pool:

        async def asked() -> None:
            async with pool.connection() as connection:
                await connection.execute("select pg_sleep(2)")

        began = time.monotonic()
        with pytest.raises(TimeoutError):
            await within(0.1, asked())
        assert time.monotonic() - began < 1.5
        async with pool.connection() as connection:
            assert await (await connection.execute("select 1 as one")).fetchone() == {"one": 1}


async def _fill(pool: Pool) -> None:
    """Opens all of its connections and lets them rest."""
    taken = [await pool.getconn() for _ in range(pool.max_size)]
    for connection in taken:
        await pool.putconn(connection)
