"""Forgetting a person in documents: whoever is named in one makes the whole document go."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from audit.data import Held, Subject, Trace

from .documents import delete_document
from .models import ChunkText, Document, Feedback


class DocumentEraser:
    """An `audit.erasure.Eraser` of documents: by their titles, metadata and texts, as they were read."""

    kind = "document"

    def find(self, subject: Subject, held: Held) -> Iterator[Trace]:
        if subject.principals:
            return  # who uploaded a document is not who it is about
        named = {
            text.document_id
            for text in ChunkText.objects.only("document_id", "text", "section").iterator(chunk_size=500)
            if subject.is_in(text.text) or subject.is_in(text.section)
        }
        for document in Document.objects.order_by("pk").iterator(chunk_size=500):
            described = [document.title, document.external_id or "", document.metadata]
            if document.pk in named or subject.is_in_any(described):
                over = held(time=document.created_at, object_type="document", object_id=str(document.pk))
                yield Trace(self.kind, document.pk, document.created_at, str(document), over)

    def erase(self, identity: UUID) -> None:
        delete_document(identity)


class FeedbackEraser:
    """An `audit.erasure.Eraser` of feedback on passages: by what was asked, and by who judged."""

    kind = "feedback"

    def find(self, subject: Subject, held: Held) -> Iterator[Trace]:
        for given in Feedback.objects.order_by("pk").iterator(chunk_size=500):
            named = given.actor_id in subject.principals if subject.principals else subject.is_in(given.question)
            if named:
                over = held(time=given.changed_at, actor=given.actor_id)
                yield Trace(self.kind, given.pk, given.changed_at, "feedback on a passage", over)

    def erase(self, identity: UUID) -> None:
        Feedback.objects.filter(pk=identity).delete()
