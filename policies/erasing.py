"""Forgetting a person in the vaults of `redact`."""

from __future__ import annotations

from collections.abc import Iterator
from uuid import UUID

from audit.data import Held, Subject, Trace

from .models import VaultEntry
from .pii.errors import VaultError
from .redact import opened


class VaultEraser:
    """An `audit.erasure.Eraser` of vaults."""

    kind = "vault"

    def find(self, subject: Subject, held: Held) -> Iterator[Trace]:
        for entry in VaultEntry.objects.order_by("pk").iterator(chunk_size=200):
            if _names(entry, subject):
                over = held(time=entry.created_at, actor=entry.principal.partition(":")[2])
                yield Trace(self.kind, entry.pk, entry.created_at, "vault", over)

    def erase(self, identity: UUID) -> None:
        VaultEntry.objects.filter(pk=identity).delete()


def _names(entry: VaultEntry, subject: Subject) -> bool:
    if subject.principals:
        return entry.principal.partition(":")[2] in subject.principals
    try:
        return subject.is_in_any(list(opened(entry).originals))
    except VaultError:  # nobody reads it again
        return False
