"""What people hold of passages: which of them answer a question, and which do not.

Kept with the question in its own words, so that a collection can be measured by what its people really ask.
"""

from __future__ import annotations

from dataclasses import dataclass
from uuid import UUID

from django.db.models import Count, Max, Q, QuerySet

from tenants.data import Caller

from .errors import PassageNotFound
from .models import ChunkText, Feedback


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
    text = ChunkText.objects.filter(pk=chunk).only("document_id").first()
    if text is None:
        raise PassageNotFound
    made, _ = Feedback.objects.update_or_create(
        actor_id=str(caller.actor_id),
        chunk_id=chunk,
        question=question.strip()[:4000],
        defaults={"useful": useful, "actor_name": caller.name, "document_id": text.document_id},
    )
    return made


def own(caller: Caller, question: str, chunks: list[UUID]) -> dict[UUID, bool]:
    """What this person held of passages for a question, by passage."""
    found = Feedback.objects.filter(
        actor_id=str(caller.actor_id), question=question.strip()[:4000], chunk_id__in=chunks
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
