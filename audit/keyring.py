"""The keys that sign a tenant's seals: Ed25519, the private half encrypted, each introduced by the one before.

A key's name is its fingerprint, so a name in a signature cannot stand for two keys. After a rotation both keys sign for
a week: who knows only the old one can still verify, and learns the new one from its introduction.
"""

from __future__ import annotations

from base64 import b64encode
from dataclasses import dataclass
from datetime import datetime, timedelta
from hashlib import sha256
from typing import Any
from uuid import UUID

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from django.conf import settings

from tenants.ids import uuid7
from tenants.sealing import seal, unseal

from .models import SealKey
from .records import canonical

FORMAT = "customhouse-key/1"
OVERLAP = timedelta(days=7)
NAME_LENGTH = 32


@dataclass(frozen=True, slots=True)
class Signer:
    """A key that signs: its name and private half."""

    name: str
    private: Ed25519PrivateKey

    def signature(self, data: bytes) -> dict[str, str]:
        return {"key": self.name, "signature": b64encode(self.private.sign(data)).decode()}


def sign(body: dict[str, Any], signers: list[Signer]) -> bytes:
    """The body as one canonical line with its signatures: each signs the canonical form of the body without them."""
    return canonical({**body, "signatures": signatures(body, signers)})


def signatures(body: dict[str, Any], signers: list[Signer]) -> list[dict[str, str]]:
    """Each signer's signature over the canonical form of a body."""
    data = canonical(body)
    return [signer.signature(data) for signer in signers]


def signers(tenant: UUID, now: datetime) -> list[Signer]:
    """The keys that sign at present in the open scope of a tenant, newest first; the first key is made here."""
    keys = list(SealKey.objects.order_by("-created_at", "-id")[:2])
    if not keys:
        return [_make(tenant, now, [])]
    overlapping = now < keys[0].created_at + OVERLAP
    return [_open(tenant, key) for key in (keys if overlapping else keys[:1])]


def rotate(tenant: UUID, now: datetime) -> str:
    """Makes a new key, introduced by the present ones, in the open scope; returns its name."""
    return _make(tenant, now, signers(tenant, now)).name


def published() -> list[str]:
    """The public halves of the open tenant's keys, oldest first, each a signed line."""
    return list(SealKey.objects.values_list("line", flat=True))


def _make(tenant: UUID, now: datetime, introducers: list[Signer]) -> Signer:
    private = Ed25519PrivateKey.generate()
    public = private.public_key().public_bytes_raw()
    made = Signer(sha256(public).hexdigest()[:NAME_LENGTH], private)
    body = {
        "format": FORMAT,
        "tenant": str(tenant),
        "key": made.name,
        "algorithm": "Ed25519",
        "public": b64encode(public).decode(),
        "time": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
    }
    row = uuid7()
    SealKey.objects.create(
        id=row,
        name=made.name,
        line=sign(body, [*introducers, made]).decode(),
        sealed=_seal(private.private_bytes_raw(), tenant, row),
        created_at=now,
    )
    return made


def _seal(secret: bytes, tenant: UUID, key: UUID) -> bytes:
    return seal(settings.SEAL_KEY, secret, tenant.bytes + key.bytes)


def _open(tenant: UUID, key: SealKey) -> Signer:
    secret = unseal(settings.SEAL_KEY, key.sealed, tenant.bytes + key.pk.bytes)
    return Signer(key.name, Ed25519PrivateKey.from_private_bytes(secret))
