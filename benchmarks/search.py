"""How long hybrid search takes in the caller's rights, over small and larger collections, and how fast documents enter.

Embedding ten thousand chunks would take minutes and tell nothing about searching. So the large collections get drawn
vectors (a real sentence's with noise), while every question is embedded as it always is.
"""

from __future__ import annotations

import asyncio
import random
import time
from collections.abc import Sequence
from functools import cached_property
from typing import Any
from uuid import UUID

import numpy as np
from django.test.utils import override_settings

from retrieval.services import Upload, create_collection, ingest_now, recall
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, Scope, scope
from tenants.isolation.pool import Pool, make_pool
from tenants.services import make_tenant

from .load import share
from .report import Section, table

INGESTED, SIZES = 200, (1_000, 10_000)
QUERIES = 60
SUBJECTS = [
    "turbine",
    "valve",
    "pump",
    "ledger",
    "harbour",
    "glacier",
    "orchard",
    "printer",
    "violin",
    "reactor",
    "lens",
    "beacon",
    "ferry",
    "quarry",
    "loom",
]
VERBS = ["records", "lifts", "cools", "measures", "feeds", "turns", "guards", "follows", "lights", "balances"]
PLACES = [
    "in the north hall",
    "under the old bridge",
    "beside the second gate",
    "at the river station",
    "behind the archive",
]


class Drawn:
    """An embedder whose documents cost nothing."""

    def __init__(self) -> None:
        from retrieval.ingest.embed import LocalEmbedder

        self._real = LocalEmbedder()
        self.name, self.version, self.dimension = "drawn", "drawn/1", self._real.dimension
        self._noise = np.random.default_rng(1)

    @cached_property
    def _sentences(self) -> Any:
        dice = random.Random(1)
        return self._real.documents([_sentence(dice) for _ in range(64)])

    def documents(self, texts: Sequence[str]) -> Any:
        chosen = self._sentences[self._noise.integers(64, size=len(texts))]
        found = chosen + self._noise.normal(0, 0.02, chosen.shape).astype(np.float32)
        return found / np.linalg.norm(found, axis=1, keepdims=True)

    def query(self, text: str) -> Any:
        return self._real.query(text)

    def pieces(self, text: str) -> int:
        return self._real.pieces(text)


def run() -> list[Section]:
    """Fills a tenant of each size and asks it."""
    from django.conf import settings

    _, chunks, seconds = _fill(INGESTED)
    rate = f"{chunks / seconds:,.0f}"
    print(f"  {chunks:6} chunks ingested at {rate}/s", flush=True)
    rows = []
    with override_settings(EMBEDDER="benchmarks.search.Drawn"):
        for size in SIZES:
            tenant, chunks, _ = _fill(size)
            alone, together = asyncio.run(_ask(settings.DATABASE_URL, tenant))
            p50, p95, busy = share(alone, 0.5), share(alone, 0.95), share(together, 0.5)
            rows.append((f"{chunks:,}", f"{p50:.1f}", f"{p95:.1f}", f"{busy:.1f}"))
            print(f"  {chunks:6} chunks  p50 {p50:6.1f} ms", flush=True)
    said = (
        "Embedding of the question included; vector and full text in one statement behind row-level security. "
        f"Ingesting (chunking, embedding, indexing; one process) makes {rate} chunks/s."
    )
    return [Section("Search", f"{said}\n\n{table(('chunks', 'p50 ms', 'p95 ms', 'p50 ms, 4 at once'), rows)}")]


def _sentence(dice: random.Random) -> str:
    number = dice.randrange(10_000)
    return (
        f"The {dice.choice(SUBJECTS)} {dice.choice(VERBS)} the {dice.choice(SUBJECTS)} {number} {dice.choice(PLACES)}."
    )


def _fill(size: int) -> tuple[UUID, int, float]:
    """A tenant with at least so many chunks; how many, and how long ingesting took."""
    from retrieval.models import Document

    dice = random.Random(size)
    with scope(PLATFORM):
        tenant = make_tenant(f"search-{uuid7().hex[-6:]}", "Search")[0].pk
    with scope(tenant):
        collection = create_collection("library").pk
    chunks, began = 0, time.perf_counter()
    while chunks < size:
        parts = [f"# Part {part}\n\n" + " ".join(_sentence(dice) for _ in range(12)) for part in range(100)]
        with scope(tenant):
            text = "\n\n".join(parts)
            made = ingest_now(Upload(collection=collection, text=text, mime="text/markdown", title=f"Volume {chunks}"))
            chunks += Document.objects.get(pk=made.pk).chunks
    return tenant, chunks, time.perf_counter() - began


async def _ask(url: str, tenant: UUID) -> tuple[list[float], list[float]]:
    """Milliseconds of questions asked one by one, and four at once."""
    dice = random.Random(7)
    async with make_pool(url, 4) as pool:
        await _one(pool, tenant, _sentence(dice))
        alone = [await _one(pool, tenant, _sentence(dice)) for _ in range(QUERIES)]
        together: list[float] = []
        for _ in range(QUERIES // 4):
            together += await asyncio.gather(*(_one(pool, tenant, _sentence(dice)) for _ in range(4)))
    return alone, together


async def _one(pool: Pool, tenant: UUID, question: str) -> float:
    began = time.perf_counter()
    if not await recall(pool, Scope(tenant=tenant), question, top_k=8):
        raise RuntimeError("a question about what stands in the documents found nothing")
    return (time.perf_counter() - began) * 1e3
