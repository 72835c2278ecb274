"""Beyond the size that is scored whole, an approximate index must find what scoring all chunks would."""

from __future__ import annotations

import asyncio
import os
import random
import time

import psycopg
import pytest
from django.conf import settings

from benchmarks import scale
from retrieval import search
from tenants.isolation.pool import make_pool

SIZE, ASKED = 4_000, 15


@pytest.fixture
def large(database, settings, monkeypatch):
    """A tenant that is searched by index, as one of a hundred thousand chunks would be."""
    settings.EMBEDDER = "benchmarks.scale.Drawn"
    for name in ("EXACT_TENANT", "EXACT_VISIBLE", "EXACT_SPARSE"):
        monkeypatch.setattr(search, name, SIZE // 10)
    dice = scale.Dice(5)
    with psycopg.connect(os.environ["OWNER_DATABASE_URL"], autocommit=True) as owner:
        owner.execute("set session_replication_role = replica")
        tenant, texts = scale.fill(owner, dice, SIZE)
        owner.execute("analyze retrieval_chunk")
    chosen = random.Random(1)
    return tenant, [scale.learned(dice, *chosen.choice(texts)) for _ in range(ASKED)]


def test_the_index_finds_what_scoring_all_chunks_finds(large):
    tenant, questions = large
    before = scans(tenant)

    async def ask():
        async with make_pool(settings.DATABASE_URL, 1) as pool:
            return [await scale.answers(pool, tenant, questions, percent) for percent in (100, 50)]

    assert all(asked.recall >= 0.98 for asked in asyncio.run(ask()))
    ends = time.monotonic() + 10
    while scans(tenant) == before and time.monotonic() < ends:  # a session's counts become visible when it has ended
        time.sleep(0.1)
    assert scans(tenant) - before >= 2 * ASKED, "the approximate index of the tenant's part was not used"


def scans(tenant) -> int:
    """How often the approximate index of the tenant's part was read."""
    with psycopg.connect(os.environ["OWNER_DATABASE_URL"], autocommit=True) as owner:
        [count] = owner.execute(
            """select coalesce(sum(s.idx_scan), 0)::int from pg_stat_user_indexes s
               join pg_class i on i.oid = s.indexrelid join pg_am m on m.oid = i.relam and m.amname = 'hnsw'
               where s.relname = (select tableoid::regclass::text from retrieval_chunk where tenant_id = %s limit 1)""",
            [tenant],
        ).fetchone()
    return count
