"""Providers' secrets at rest: AES-256-GCM, bound to the tenant and the provider they belong to."""

from __future__ import annotations

import os
from uuid import UUID

from cryptography.hazmat.primitives.ciphers.aead import AESGCM
from django.conf import settings

_NONCE = 12


def seal_credential(plain: str, tenant: UUID, provider: UUID) -> bytes:
    """The sealed form of a provider's API key."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(settings.CREDENTIAL_KEY).encrypt(nonce, plain.encode(), tenant.bytes + provider.bytes)


def open_credential(sealed: bytes | memoryview | None, tenant: UUID, provider: UUID) -> str:
    """The API key again; '' when there is none. Raises InvalidTag when it was sealed for another provider."""
    if not sealed:
        return ""
    data = bytes(sealed)
    opened = AESGCM(settings.CREDENTIAL_KEY).decrypt(data[:_NONCE], data[_NONCE:], tenant.bytes + provider.bytes)
    return opened.decode()
