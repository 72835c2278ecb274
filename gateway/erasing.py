"""Forgetting a person in answers that are kept for conversations to go on from."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict
from uuid import UUID

from cryptography.exceptions import InvalidTag
from django.conf import settings

from audit.data import Held, Subject, Trace

from .memory import open_kept
from .models import StoredResponse


class ResponseEraser:
    """An `audit.erasure.Eraser` of kept answers."""

    kind = "response"

    def find(self, subject: Subject, held: Held) -> Iterator[Trace]:
        for kept in StoredResponse.objects.order_by("pk").iterator(chunk_size=200):
            if _names(kept, subject):
                over = held(time=kept.created_at, actor=str(kept.owner), request_id=kept.pk)
                yield Trace(self.kind, kept.pk, kept.created_at, "kept answer", over)

    def erase(self, identity: UUID) -> None:
        StoredResponse.objects.filter(pk=identity).delete()


def _names(kept: StoredResponse, subject: Subject) -> bool:
    if subject.principals:
        return str(kept.owner) in subject.principals
    try:
        return subject.is_in_any(asdict(open_kept(settings.RESPONSES_KEY, kept.tenant_id, kept.pk, bytes(kept.sealed))))
    except InvalidTag:  # nobody reads it again
        return False
