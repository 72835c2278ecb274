"""Measures search on a question set in BEIR's form: corpus.jsonl, queries.jsonl and qrels.tsv in one folder.

The corpus is ingested as it would be in production, into a collection of its own that is removed afterwards, and the
questions go through the real statements: by vector alone, by words alone, and fused.
"""

from __future__ import annotations

import json
import random
import statistics
import time
from argparse import ArgumentParser
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from uuid import UUID

from django.core.management.base import BaseCommand, CommandError
from django.db import connection

from retrieval.data import Passage, Upload
from retrieval.documents import create_collection, delete_collection, ingest_now
from retrieval.measures import Measures, mean, measure
from retrieval.search import recall_now
from tenants.isolation.scope import Scope, scope
from tenants.services import tenant_of

#: The vector's share of the score, by what is measured; None as the question's language asks.
WAYS = {"vector": 1.0, "words": 0.0, "fused": None}


class Command(BaseCommand):
    help = "Measures search on a question set in BEIR's form."

    def add_arguments(self, parser: ArgumentParser) -> None:
        parser.add_argument("folder", type=Path)
        parser.add_argument("--tenant", required=True, help="slug of the tenant in which the collection is made")
        parser.add_argument("--questions", type=int, default=200, help="at most so many, drawn with a fixed seed")
        parser.add_argument("--keep", action="store_true", help="keep the collection, and use it again next time")

    def handle(self, *, folder: Path, tenant: str, questions: int, keep: bool, **options: Any) -> None:
        wanted = Scope(tenant=_found(tenant))
        collection = f"evaluation-{folder.name}"
        self._ingest(wanted, collection, folder)
        try:
            asked = _questions(folder, questions)
            for way, share in WAYS.items():
                self._report(way, *_measured(wanted, collection, asked, share))
        finally:
            if not keep:
                with scope(wanted):
                    delete_collection(collection)

    def _ingest(self, wanted: Scope, collection: str, folder: Path) -> None:
        with scope(wanted):
            with connection.cursor() as cursor:
                cursor.execute("select count(*) from retrieval_collection where name = %s", [collection])
                if cursor.fetchone()[0]:
                    return
            create_collection(collection)
        begun, count = time.perf_counter(), 0
        for row in _lines(folder / "corpus.jsonl"):
            with scope(wanted):
                ingest_now(
                    Upload(collection=collection, external_id=row["_id"], title=row["title"], text=row["text"] or " ")
                )
            count += 1
        self.stdout.write(f"{count} documents in {time.perf_counter() - begun:.0f} s")

    def _report(self, way: str, found: Measures, seconds: list[float]) -> None:
        p50, p95 = statistics.median(seconds) * 1000, statistics.quantiles(seconds, n=20)[-1] * 1000
        self.stdout.write(
            f"{way:7} nDCG@10 {found.ndcg_10:.3f}  recall@10 {found.recall_10:.3f}  recall@100 {found.recall_100:.3f}  "
            f"precision@10 {found.precision_10:.3f}  MRR {found.mrr:.3f}  p50 {p50:.1f} ms  p95 {p95:.1f} ms"
        )


def _lines(path: Path) -> Iterator[dict[str, str]]:
    with path.open(encoding="utf-8") as lines:
        for line in lines:
            yield json.loads(line)


def _questions(folder: Path, most: int) -> list[tuple[str, dict[str, float]]]:
    """Texts of questions with what is relevant to them."""
    judged: defaultdict[str, dict[str, float]] = defaultdict(dict)
    with (folder / "qrels.tsv").open(encoding="utf-8") as lines:
        next(lines)
        for line in lines:
            question, document, worth = line.rstrip("\n").split("\t")
            if float(worth) > 0:
                judged[question][document] = float(worth)
    found = [(row["text"], judged[row["_id"]]) for row in _lines(folder / "queries.jsonl") if row["_id"] in judged]
    random.Random(0).shuffle(found)  # noqa: S311
    return found[:most]


def _measured(
    wanted: Scope, collection: str, asked: list[tuple[str, dict[str, float]]], share: float | None
) -> tuple[Measures, list[float]]:
    measures, seconds = [], []
    for text, judged in asked:
        begun = time.perf_counter()
        found = recall_now(wanted, text, collections=[collection], top_k=100, min_score=-1.0, share=share)
        seconds.append(time.perf_counter() - begun)
        measures.append(measure(_documents(found), judged))
    return mean(measures), seconds


def _documents(passages: list[Passage]) -> list[str]:
    """Each document once, by its best passage."""
    return list(dict.fromkeys(str(passage.external_id) for passage in passages))


def _found(slug: str) -> UUID:
    found = tenant_of(slug)
    if found is None:
        raise CommandError(f"There is no tenant {slug!r}.")
    return found
