"""An export's file as encrypted parts in the database: behind the wall, on whichever machine it is made or fetched.

Each file has a key of its own, encrypted under the installation's; when that is gone, so is the file, wherever its
parts are still kept. AES-256-GCM; a part's nonce is its number, its associated data say which export's part it is.
"""

from __future__ import annotations

import os
from collections.abc import Iterator
from hashlib import sha256
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

from tenants.isolation.scope import Scope, scope
from tenants.sealing import seal, unseal

from .models import Export, ExportPart

PART_BYTES = 1 << 20
_NONCE = 12


class Sink:
    """A file that can only be written: gathers bytes into parts and stores each in a transaction of its own."""

    def __init__(self, tenant: UUID, export: UUID) -> None:
        self._tenant, self._export = tenant, export
        self._key = os.urandom(32)
        self._waiting = bytearray()
        self._digest = sha256()
        self._parts = 0
        self.size = 0

    def write(self, data: bytes) -> int:
        self._waiting += data
        self._digest.update(data)
        self.size += len(data)
        while len(self._waiting) >= PART_BYTES:
            self._store(bytes(self._waiting[:PART_BYTES]))
            del self._waiting[:PART_BYTES]
        return len(data)

    def flush(self) -> None:
        """Parts are stored when they are full."""

    def close(self) -> None:
        if self._waiting:
            self._store(bytes(self._waiting))
            self._waiting.clear()

    @property
    def digest(self) -> str:
        return self._digest.hexdigest()

    @property
    def wrapped_key(self) -> bytes:
        """The file's key, encrypted for the export's row."""
        return seal(settings.EXPORT_KEY, self._key, self._tenant.bytes + self._export.bytes)

    def _store(self, data: bytes) -> None:
        sealed = AESGCM(self._key).encrypt(_nonce(self._parts), data, self._export.bytes)
        with scope(self._tenant):
            ExportPart.objects.create(export_id=self._export, number=self._parts, data=sealed)
        self._parts += 1


def contents(export: Export, opened: Scope) -> Iterator[bytes]:
    """An export's file, part by part, each read in a transaction of its own. Raises InvalidTag when one was changed."""
    key = unseal(settings.EXPORT_KEY, export.key or b"", export.tenant_id.bytes + export.pk.bytes)
    left, number = export.size, 0
    while left > 0:
        with scope(opened):
            part = ExportPart.objects.get(export=export, number=number)
        data = AESGCM(key).decrypt(_nonce(number), bytes(part.data), export.pk.bytes)
        yield data
        left -= len(data)
        number += 1


def _nonce(number: int) -> bytes:
    return number.to_bytes(_NONCE, "big")
