"""Does search still find the best, and how long does it take, in a table of a million chunks of many tenants?

Tenants of 10 to 100,000 chunks are asked, without a filter and with filters that leave 1, 10 and 50 % of their
documents; beside them lie the chunks of many others. Each question is put a second time with all chunks scored, which
is what the first answer is held against. What row-level security costs is seen by asking as a role that it does not
bind. Vectors are drawn around two thousand centres in 48 dimensions and then spread over 384, words by Zipf's law:
embedding a million texts would take a day and tell nothing more about searching.
"""

from __future__ import annotations

import asyncio
import random
import struct
import time
from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar
from unittest.mock import patch
from uuid import UUID

import numpy as np
import psycopg
from django.conf import settings
from django.test.utils import override_settings

from retrieval import analyser, search
from retrieval.ingest import index
from retrieval.models import DIMENSION, Document
from retrieval.services import Passage, create_collection, recall
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, Scope, scope
from tenants.isolation.pool import Pool, make_pool
from tenants.services import make_tenant

from .load import share
from .report import Section, table
from .stage import Stage

SIZES = (10, 1_000, 10_000, 100_000)
CHUNKS = 1_000_000
#: Chunks of a document, and of each of the other tenants.
PER_DOCUMENT, PER_TENANT = 10, 2_000
#: Questions for each tenant and filter, and what is compared of each answer.
QUESTIONS, TOP = 40, 10
#: The share of documents that a filter leaves, in percent; 100 is no filter.
FILTERS = (100, 50, 10, 1)
CENTRES, INNER, WORDS, VOCABULARY = 2_000, 48, 60, 30_000


class Drawn:
    """An embedder that knows the questions of this benchmark."""

    name, version, dimension = "drawn", "drawn/scale", DIMENSION
    known: ClassVar[dict[str, Any]] = {}

    def documents(self, texts: Sequence[str]) -> Any:
        raise NotImplementedError

    def query(self, text: str) -> Any:
        return self.known[text]

    def pieces(self, text: str) -> int:
        return text.count(" ") + 1


class Dice:
    """Draws vectors, texts, and questions about them."""

    def __init__(self, seed: int) -> None:
        self._numbers, self._words = np.random.default_rng(seed), random.Random(seed)
        self._centres = self._numbers.normal(0, 1, (CENTRES, INNER)).astype(np.float32)
        self._spread = self._numbers.normal(0, 1, (INNER, DIMENSION)).astype(np.float32)
        self._zipf = np.cumsum(1 / np.arange(10, VOCABULARY + 10))

    def vectors(self, count: int) -> Any:
        """(count, 384), of unit length."""
        inner = self._centres[self._numbers.integers(CENTRES, size=count)]
        inner = inner + self._numbers.normal(0, 0.6, inner.shape).astype(np.float32)
        return _unit(inner @ self._spread + self._numbers.normal(0, 1, (count, DIMENSION)).astype(np.float32))

    def near(self, vector: Any) -> Any:
        """A vector like that of a question about a text."""
        return _unit(vector + self._numbers.normal(0, 0.7 / DIMENSION**0.5, vector.shape).astype(np.float32))

    def text(self) -> str:
        """As many words as Zipf's law gives them."""
        drawn = np.searchsorted(self._zipf, self._numbers.random(WORDS) * self._zipf[-1])
        return " ".join(f"w{_letters(int(word))}" for word in drawn)

    def question(self, text: str) -> str:
        """Some of a text's words among others."""
        return " ".join(self._words.sample(text.split(), 5) + self.text().split()[:3])


@dataclass(frozen=True, slots=True)
class Asked:
    """What came of the questions of one tenant and filter."""

    recall: float
    took_ms: list[float]


def run(stage: Stage, chunks: int = CHUNKS) -> list[Section]:
    """Fills the table and asks."""
    dice, began = Dice(3), time.perf_counter()
    with psycopg.connect(stage.owner_url, autocommit=True) as owner:
        owner.execute("set session_replication_role = replica")  # the rows are ours: no keys to check
        owner.execute("set maintenance_work_mem = '2GB'")
        owner.execute("drop index retrieval_chunk_nearest")
        tenants = {size: fill(owner, dice, size) for size in SIZES}
        _others(owner, dice, chunks - sum(SIZES))
        print(f"  {chunks:,} chunks in {time.perf_counter() - began:.0f} s", flush=True)
        began = time.perf_counter()
        # the parts of tenants that nobody asks are pruned: their indexes would never be read
        for [part] in owner.execute(
            "select distinct tableoid::regclass::text from retrieval_chunk where tenant_id = any(%s)",
            [[tenant for tenant, _ in tenants.values()]],
        ).fetchall():
            owner.execute(f"create index on {part} using hnsw (embedding halfvec_cosine_ops)".encode())
        print(f"  indexed in {time.perf_counter() - began:.0f} s", flush=True)
        owner.execute("vacuum analyze retrieval_chunk, retrieval_posting, retrieval_chunktext, retrieval_document")
    with override_settings(EMBEDDER="benchmarks.scale.Drawn"):
        rows, costs = asyncio.run(_measured(stage, dice, tenants))
    head = ("chunks of the tenant", "filter leaves", "recall@10 of exact", "p50 ms", "p95 ms")
    said = (
        f"{chunks:,} chunks in one table; the tenants asked have {', '.join(f'{size:,}' for size in SIZES)} of them. "
        f"{QUESTIONS} questions each, one at a time; the embedding of the question is not in it. "
        f"Row-level security costs {costs} against the same search by a role that it does not bind (ratio of the "
        "medians, in turn)."
    )
    return [Section("Search in a table of a million", f"{said}\n\n{table(head, rows)}")]


async def _measured(stage: Stage, dice: Dice, tenants: dict[int, tuple[UUID, list[tuple[str, Any]]]]) -> Any:
    rows, costs = [], []
    async with make_pool(settings.DATABASE_URL, 1) as pool, make_pool(stage.owner_url, 1) as unbound:
        for size, (tenant, texts) in tenants.items():
            questions = [learned(dice, *random.Random(n).choice(texts)) for n in range(QUESTIONS)]
            for percent in FILTERS:
                asked = await answers(pool, tenant, questions, percent)
                p50, p95 = share(asked.took_ms, 0.5), share(asked.took_ms, 0.95)
                print(f"  {size:7} {percent:3} %  recall {asked.recall:.3f}  {p50:6.1f} {p95:6.1f} ms", flush=True)
                rows.append((f"{size:,}", f"{percent} %", f"{asked.recall:.3f}", f"{p50:.1f}", f"{p95:.1f}"))
            bound, free = [], []
            for question in questions:
                bound.append((await _one(pool, tenant, question, None))[1])
                free.append((await _one(unbound, tenant, question, None))[1])
            costs.append(f"{100 * (share(bound, 0.5) / share(free, 0.5) - 1):+.0f} % at {size:,}")
            print(f"  {size:7} row-level security {costs[-1]}", flush=True)
    return rows, ", ".join(costs)


async def answers(pool: Pool, tenant: UUID, questions: Sequence[str], percent: int) -> Asked:
    wanted = None if percent == 100 else {"bucket": {"lt": percent}}
    await _one(pool, tenant, questions[0], wanted)
    hits = most = 0
    took = []
    for question in questions:
        found, ms = await _one(pool, tenant, question, wanted)
        took.append(ms)
        with patch.multiple(search, EXACT_TENANT=10**9, EXACT_VISIBLE=10**9):
            exact, _ = await _one(pool, tenant, question, wanted)
        best = {passage.chunk_id for passage in exact}
        hits, most = hits + len(best & {passage.chunk_id for passage in found}), most + len(best)
    return Asked(hits / most if most else 1.0, took)


async def _one(pool: Pool, tenant: UUID, question: str, wanted: Any) -> tuple[list[Passage], float]:
    began = time.perf_counter()
    found = await recall(pool, Scope(tenant=tenant), question, top_k=TOP, filter=wanted, min_score=-1.0)
    return found, (time.perf_counter() - began) * 1e3


def learned(dice: Dice, text: str, vector: Any) -> str:
    question = dice.question(text)
    Drawn.known[question] = dice.near(vector)
    return question


# -- filling -----------------------------------------------------------------------------------------------------------


def fill(owner: psycopg.Connection[Any], dice: Dice, size: int) -> tuple[UUID, list[tuple[str, Any]]]:
    """A tenant whose every chunk can be found by words and by vector; some of its texts with their vectors."""
    with scope(PLATFORM):
        tenant = make_tenant(f"scale-{uuid7().hex[-8:]}", "Scale")[0].pk
    with scope(tenant):
        collection = create_collection("library")
        documents = [
            Document(collection=collection, title="", metadata={"bucket": number % 100})
            for number in range(-(-size // PER_DOCUMENT))
        ]
        # the database finds their access
        Document.objects.bulk_create(documents, batch_size=1_000)
        access = Document.objects.filter(pk=documents[0].pk).values_list("access_id", flat=True).get()
    texts, vectors = [dice.text() for _ in range(size)], dice.vectors(size)
    ids = [uuid7() for _ in range(size)]
    terms = [analyser.terms(text) for text in texts]
    counts: dict[int, int] = {0: size}
    for found in terms:
        for term in found:
            counts[term.slot] = counts.get(term.slot, 0) + 1
    places = [documents[number // PER_DOCUMENT].pk for number in range(size)]
    with owner.cursor() as cursor:
        _copy(
            cursor,
            "retrieval_chunk (tenant_id, id, document_id, access_id, version, ordinal, embedding, lex)",
            (
                (
                    tenant,
                    ids[n],
                    places[n],
                    access,
                    1,
                    n % PER_DOCUMENT,
                    index._dense(vectors[n]),
                    index._sparse(terms[n]),
                )
                for n in range(size)
            ),
        )
        _copy(
            cursor,
            "retrieval_chunktext (tenant_id, id, document_id, access_id, text, starts, ends)",
            ((tenant, ids[n], places[n], access, texts[n], 0, len(texts[n])) for n in range(size)),
        )
        _copy(
            cursor,
            "retrieval_posting (tenant_id, chunk_id, document_id, term, access_id, weight)",
            (
                (tenant, ids[n], places[n], slot, access, weight)
                for n in range(size)
                for slot, weight in index._telling(terms[n], counts)
            ),
        )
        _copy(cursor, "retrieval_termcount (tenant_id, term, chunks)", ((tenant, *pair) for pair in counts.items()))
        cursor.execute(
            "update retrieval_document set chunks = %s, indexed_version = 1, state = 'ready' where tenant_id = %s",
            [min(size, PER_DOCUMENT), tenant],
        )
    chosen = range(0, size, max(1, size // 500))
    return tenant, [(texts[n], vectors[n]) for n in chosen]


def _copy(cursor: psycopg.Cursor[Any], into: str, rows: Iterator[Sequence[Any]]) -> None:
    with cursor.copy(f"copy {into} from stdin".encode()) as copy:
        for row in rows:
            copy.write_row(row)


def _others(owner: psycopg.Connection[Any], dice: Dice, count: int) -> None:
    """Chunks of tenants that nobody asks, as binary rows: only their place in the table and their vectors count."""
    lex = struct.pack(">iiiif", analyser.SLOTS, 1, 0, 0, 1.0)
    fixed = np.dtype(
        [
            ("fields", ">i2"), ("tenant_size", ">i4"), ("tenant", "V16"), ("id_size", ">i4"), ("id", "V16"),
            ("document_size", ">i4"), ("document", "V16"), ("access_size", ">i4"), ("access", ">i4"),
            ("version_size", ">i4"), ("version", ">i4"), ("ordinal_size", ">i4"), ("ordinal", ">i4"),
            ("vector_size", ">i4"), ("dimension", ">i2"), ("unused", ">i2"), ("vector", ">f2", DIMENSION),
            ("lex_size", ">i4"), ("lex", f"V{len(lex)}"),
        ]
    )  # fmt: skip
    into = "retrieval_chunk (tenant_id, id, document_id, access_id, version, ordinal, embedding, lex)"
    with owner.cursor() as cursor, cursor.copy(f"copy {into} from stdin (format binary)".encode()) as copy:
        copy.write(b"PGCOPY\n\xff\r\n\0" + struct.pack(">ii", 0, 0))
        for first in range(0, count, PER_TENANT):
            rows = np.zeros(min(PER_TENANT, count - first), fixed)
            rows["fields"] = 8
            for name in ("tenant", "id", "document"):
                rows[f"{name}_size"] = 16
            rows["access_size"] = rows["version_size"] = rows["ordinal_size"] = 4
            rows["tenant"] = np.void(uuid7().bytes)
            rows["id"] = np.frombuffer(random.randbytes(16 * len(rows)), "V16")
            rows["document"] = rows["id"]
            rows["access"] = rows["version"] = 1
            rows["vector_size"], rows["dimension"] = 4 + 2 * DIMENSION, DIMENSION
            rows["vector"] = dice.vectors(len(rows))
            rows["lex_size"], rows["lex"] = len(lex), np.void(lex)
            copy.write(rows.tobytes())
        copy.write(struct.pack(">h", -1))


def _unit(vectors: Any) -> Any:
    return (vectors / np.linalg.norm(vectors, axis=-1, keepdims=True)).astype(np.float32)


def _letters(number: int) -> str:
    """A number as letters: words with figures would count as identifiers."""
    found = ""
    while True:
        number, place = divmod(number, 26)
        found += "abcdefghijklmnopqrstuvwxyz"[place]
        if not number:
            return found
