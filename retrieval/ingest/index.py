"""Writes a document's chunks (vectors, terms, texts and postings), in the transaction and scope of the caller."""

from __future__ import annotations

import math
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from retrieval import analyser
from retrieval.analyser import Term
from retrieval.data import Piece

from .chunk import chunk_id
from .embed import Vector

#: Terms of a chunk that get a posting, besides every identifier. While a tenant has few chunks nobody knows yet which
#: words will be telling, and postings are cheap.
POSTINGS, EARLY_POSTINGS, EARLY = 24, 64, 1_000
#: Chunks a statement.
BATCH = 64

_SQL = Path(__file__).parent.parent / "sql"
_LOCK = (_SQL / "lock_index.sql").read_text()
_FORGET = (_SQL / "forget_terms.sql").read_text()
_COUNT = (_SQL / "count_terms.sql").read_text()
_CHUNKS = (_SQL / "insert_chunks.sql").read_text()
_POSTINGS = (_SQL / "insert_postings.sql").read_text()
_RECOUNT = (_SQL / "recount_terms.sql").read_text()
_KNOWN = "select term, chunks from retrieval_termcount where tenant_id = wall.tenant() and term = any(%s)"
_DELETE = (
    "delete from retrieval_posting where tenant_id = wall.tenant() and document_id = %s",
    "delete from retrieval_chunktext where tenant_id = wall.tenant() and document_id = %s",
    "delete from retrieval_chunk where tenant_id = wall.tenant() and document_id = %s",
)


@dataclass(frozen=True, slots=True)
class Indexed:
    """A chunk ready to be written. `terms` are those of title and text together."""

    piece: Piece
    vector: Vector = field(repr=False)
    terms: list[Term] = field(repr=False)


def lock() -> None:
    """Makes this transaction the only writer of the tenant's index."""
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)


def remove(document: UUID) -> None:
    """Takes a document's chunks, texts and postings out of the index. Call `lock` before."""
    with connection.cursor() as cursor:
        cursor.execute(_FORGET, {"document": document})
        for statement in _DELETE:
            cursor.execute(statement, [document])


def write(document: UUID, version: int, access: int, chunks: Sequence[Indexed]) -> None:
    """Adds a document's chunks to the index. Call `lock` before."""
    counts = Counter(term.slot for chunk in chunks for term in chunk.terms)
    counts[0] = len(chunks)
    with connection.cursor() as cursor:
        cursor.execute(_COUNT, {"terms": list(counts), "chunks": list(counts.values())})
        cursor.execute(_KNOWN, [list(counts)])
        known = dict(cursor.fetchall())
        for batch in _batches(chunks):
            cursor.execute(_CHUNKS, _rows(document, version, access, batch))
            cursor.execute(_POSTINGS, _postings(document, version, access, batch, known))


def recount() -> None:
    """Counts the terms of the open tenant anew."""
    lock()
    with connection.cursor() as cursor:
        cursor.execute(_RECOUNT)


def _batches(chunks: Sequence[Indexed]) -> Iterator[Sequence[Indexed]]:
    for first in range(0, len(chunks), BATCH):
        yield chunks[first : first + BATCH]


def _rows(document: UUID, version: int, access: int, batch: Sequence[Indexed]) -> dict[str, Any]:
    pieces = [chunk.piece for chunk in batch]
    return {
        "document": document,
        "access": access,
        "version": version,
        "ids": [chunk_id(document, version, piece.ordinal) for piece in pieces],
        "ordinals": [piece.ordinal for piece in pieces],
        "embeddings": [_dense(chunk.vector) for chunk in batch],
        "lexes": [_sparse(chunk.terms) for chunk in batch],
        "texts": [piece.text for piece in pieces],
        "pages": [piece.page for piece in pieces],
        "sections": [piece.section for piece in pieces],
        "starts": [piece.start for piece in pieces],
        "ends": [piece.end for piece in pieces],
    }


def _postings(
    document: UUID, version: int, access: int, batch: Sequence[Indexed], known: dict[int, int]
) -> dict[str, Any]:
    rows = [
        (chunk_id(document, version, chunk.piece.ordinal), slot, weight)
        for chunk in batch
        for slot, weight in _telling(chunk.terms, known)
    ]
    ids, terms, weights = zip(*rows, strict=True) if rows else ((), (), ())
    return {"document": document, "access": access, "chunks": list(ids), "terms": list(terms), "weights": list(weights)}


def _telling(terms: list[Term], known: dict[int, int]) -> list[tuple[int, float]]:
    """The terms that tell a chunk from others, by weight times idf, and all its identifiers."""
    chunks = known.get(0, 0)
    most = POSTINGS if chunks >= EARLY else EARLY_POSTINGS
    weighed = list(zip(terms, analyser.weights(terms), strict=True))
    weighed.sort(key=lambda pair: pair[1] * _idf(known.get(pair[0].slot, 0), chunks), reverse=True)
    return [(term.slot, weight) for place, (term, weight) in enumerate(weighed) if place < most or term.identifier]


def _idf(df: int, chunks: int) -> float:
    return math.log1p((max(chunks, df) - df + 0.5) / (df + 0.5))


def _dense(vector: Vector) -> str:
    return "[" + ",".join(f"{number:.5f}" for number in vector.tolist()) + "]"


def _sparse(terms: list[Term]) -> str:
    weights = analyser.weights(terms)
    pairs = ",".join(f"{term.slot}:{weight:.4f}" for term, weight in zip(terms, weights, strict=True))
    return f"{{{pairs}}}/{analyser.SLOTS}"
