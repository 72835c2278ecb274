"""Providers' secrets at rest: AES-256-GCM, bound to the tenant and the provider they belong to."""

from __future__ import annotations

from uuid import UUID

from django.conf import settings

from tenants.sealing import seal, unseal


def seal_credential(plain: str, tenant: UUID, provider: UUID) -> bytes:
    """The sealed form of a provider's API key."""
    return seal(settings.CREDENTIAL_KEY, plain.encode(), tenant.bytes + provider.bytes)


def open_credential(sealed: bytes | memoryview | None, tenant: UUID, provider: UUID) -> str:
    """The API key again; '' when there is none. Raises InvalidTag when it was sealed for another provider."""
    if not sealed:
        return ""
    return unseal(settings.CREDENTIAL_KEY, sealed, tenant.bytes + provider.bytes).decode()
