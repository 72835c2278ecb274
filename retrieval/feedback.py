"""What people hold of passages: which of them answer a question, and which do not.

Kept with the question in its own words, so that a collection can be measured by what its people really ask.
"""

from __future__ import annotations

import io
import json
import zipfile
from collections.abc import Iterator
from dataclasses import dataclass
from itertools import groupby
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet

from tenants.data import Caller

from .errors import PassageNotFound
from .models import ChunkText, Document, Feedback

#: characters of a question
LONGEST = 4000
#: documents of an evaluation set
MOST_DOCUMENTS = 20_000


@dataclass(frozen=True, slots=True)
class Judged:
    """A question that people have judged passages for."""

    question: str
    useful: int
    useless: int


def judge(caller: Caller, question: str, chunk: UUID, useful: bool) -> Feedback:
    """Keeps a person's judgement of a passage for a question; a later one takes its place. In the caller's scope.

    Raises PassageNotFound for a passage that this person cannot read.
    """
    question = question.strip()[:LONGEST]
    text = ChunkText.objects.filter(pk=chunk).only("document_id").first()
    if text is None or not question:
        raise PassageNotFound
    made, _ = Feedback.objects.update_or_create(
        actor_id=str(caller.actor_id),
        chunk_id=chunk,
        question=question,
        defaults={"useful": useful, "actor_name": caller.name, "document_id": text.document_id},
    )
    return made


def own(caller: Caller, question: str, chunks: list[UUID]) -> dict[UUID, bool]:
    """What this person held of passages for a question, by passage."""
    found = Feedback.objects.filter(
        actor_id=str(caller.actor_id), question=question.strip()[:LONGEST], chunk_id__in=chunks
    )
    return dict(found.values_list("chunk_id", "useful"))


def visible(caller: Caller) -> QuerySet[Feedback]:
    """The feedback that is shown: all on what one may read, for those who may change documents; else one's own."""
    found = Feedback.objects.all()
    return found if caller.may("documents.change") else found.filter(actor_id=str(caller.actor_id))


def unanswered(caller: Caller, most: int = 20) -> list[Judged]:
    """Questions for which nobody found a passage useful, the latest first: what documents lack, or search misses."""
    counted = visible(caller).order_by().values("question")
    counted = counted.annotate(
        good=Count("id", filter=Q(useful=True)), bad=Count("id", filter=Q(useful=False)), last=Max("changed_at")
    )
    rows = counted.filter(good=0).order_by("-last")[:most]
    return [Judged(row["question"], row["good"], row["bad"]) for row in rows]


def evaluation_set() -> bytes:
    """A question set in BEIR's form, as `manage.py evaluate_retrieval` reads it, in a zip file: what people asked and
    found useful, and the documents of the collections that it was found in, as far as the open scope may read them.
    """
    judged = sorted(set(Feedback.objects.filter(useful=True).order_by().values_list("question", "document_id")))
    questions = {text: f"q{number}" for number, text in enumerate(dict(judged), 1)}
    collections = Document.objects.filter(pk__in={document for _, document in judged}).values("collection_id")
    documents = Document.objects.filter(collection_id__in=collections).exclude(indexed_version=None).order_by("pk")
    packed = io.BytesIO()
    with zipfile.ZipFile(packed, "w", zipfile.ZIP_DEFLATED) as file:
        file.writestr("queries.jsonl", _lines({"_id": one, "text": text} for text, one in questions.items()))
        marks = "".join(f"{questions[text]}\t{document}\t1\n" for text, document in judged)
        file.writestr("qrels.tsv", "query-id\tcorpus-id\tscore\n" + marks)
        file.writestr("corpus.jsonl", _lines(_corpus(dict(documents.values_list("pk", "title")[:MOST_DOCUMENTS]))))
    return packed.getvalue()


def _corpus(titles: dict[UUID, str]) -> Iterator[dict[str, str]]:
    chunks = ChunkText.objects.filter(document_id__in=titles).order_by("document_id", "starts")
    rows = chunks.values_list("document_id", "starts", "ends", "text").iterator(chunk_size=1000)
    for document, pieces in groupby(rows, key=lambda row: row[0]):
        text, end = "", 0
        for _, starts, ends, piece in pieces:  # a chunk begins with words of the one before
            text += piece[max(0, end - starts) :] if starts < end else ("\n" if text else "") + piece
            end = max(end, ends)
        yield {"_id": str(document), "title": titles[document], "text": text}


def _lines(rows: Iterator[dict[str, str]]) -> str:
    return "".join(json.dumps(row, ensure_ascii=False) + "\n" for row in rows)
