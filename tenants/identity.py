"""Identity providers of the open tenant: registered, changed, and tried before anybody relies on them."""

from __future__ import annotations

import json
from collections.abc import Mapping
from http.client import HTTPException
from typing import Any
from urllib.parse import urlsplit
from uuid import UUID

from django.conf import settings
from django.db import IntegrityError, transaction
from django.utils import timezone

from . import key_sets, tokens
from .addresses import insecure, unsafe_address
from .directory import ISSUERS, PEOPLE, issuer_of, people_of
from .errors import Taken, UnknownCredential
from .isolation import current
from .models import Department, IdentityProvider, Protocol
from .roles import Role
from .saml import held_certificates
from .sealing import seal, unseal
from .services import rows_of

#: What claims may give: whoever runs the identity provider makes nobody an owner.
ROLES = tuple(role for role in Role if role != Role.OWNER)
ROLE_CHOICES = [(role.value, role.label) for role in ROLES]
MOST_VALUES = 500


def save(values: Mapping[str, Any], found: IdentityProvider | None = None) -> IdentityProvider:
    """Registers a provider, or changes `found`. Raises Taken."""
    provider, values = found or IdentityProvider(), dict(values)
    if "client_secret" in values:
        provider.sealed = seal_secret(values.pop("client_secret"), provider.pk)
    for name, value in values.items():
        setattr(provider, name, value)
    try:
        with transaction.atomic():
            provider.save(force_insert=found is None)
    except IntegrityError as error:
        if "identity_provider_name" in str(error):
            raise Taken(f"There is an identity provider {provider.name!r} already.") from error
        if "one_tenant_per_audience" in str(error):
            raise Taken(
                "This issuer and audience are registered already. An audience belongs to one tenant alone: have your "
                "identity provider issue tokens for one of your own, or ask the platform's operator who has it."
            ) from error
        raise
    return provider


def seal_secret(secret: str, provider: UUID) -> bytes | None:
    """The sealed form of a client's secret, bound to the open tenant and the provider; None for none."""
    if not secret:
        return None
    return seal(settings.IDENTITY_KEY, secret.encode(), UUID(current()).bytes + provider.bytes)


def open_secret(provider: IdentityProvider) -> str:
    """A client's secret, '' when there is none."""
    if provider.sealed is None:
        return ""
    return unseal(settings.IDENTITY_KEY, provider.sealed, provider.tenant_id.bytes + provider.pk.bytes).decode()


def unsafe_issuer(url: str) -> str:
    """Why an address may not be an issuer's or its keys'; '' when it may."""
    parts = urlsplit(url)
    if parts.scheme != "https" and parts.hostname not in settings.PRIVATE_HOSTS_ALLOWED:
        return "It must be an https address."
    if parts.username or parts.password or parts.fragment:
        return "It must be an address without a user, a password or a fragment."
    return unsafe_address(url)


def unsafe_page(url: str) -> str:
    """Why people may not be sent to an address to sign in; '' when they may. It may lie in their own network."""
    parts = urlsplit(url)
    if not parts.hostname or insecure(url):
        return "It must be an https address."
    return (
        "It must be an address without a user, a password or a fragment."
        if "@" in parts.netloc or parts.fragment
        else ""
    )


def check(provider: IdentityProvider, token: str = "") -> dict[str, Any]:
    """Fetches a provider's keys and, with a token, says whom it would let in: `{"ok", "problem", "keys", "caller"}`.

    Nobody is let in by it, and nothing is changed. It also works for a provider that is not active yet. Of one that
    speaks SAML the certificates are looked at.
    """
    found = issuer(provider)
    told: dict[str, Any] = {"ok": False, "problem": "", "keys": 0, "caller": None}
    if provider.protocol == Protocol.SAML:
        return told | _checked_certificates(provider, token)
    try:
        published = key_sets.published(found.issuer, found.jwks_url)
    except (OSError, HTTPException, ValueError) as error:
        return told | {"problem": f"The keys cannot be fetched: {error}."}
    told["keys"] = key_sets.usable(published, found.algorithms)
    if not told["keys"]:
        return told | {"problem": "None of the published keys fits the algorithms."}
    if not token:
        return told | {"ok": True}
    try:
        told["caller"] = _shown(_tried(found, published, token))
    except UnknownCredential as error:
        return told | {"problem": str(error)}
    return told | {"ok": True}


def _checked_certificates(provider: IdentityProvider, token: str) -> dict[str, Any]:
    ends = [held.not_valid_after_utc for held in held_certificates(provider.certificates)]
    current = [end for end in ends if end > timezone.now()]
    told = {"keys": len(current), "ok": bool(current) and not token}
    if token:
        return told | {"problem": "A SAML provider issues no tokens: sign in with it to try it."}
    if not current:
        return told | {"problem": f"The last certificate expired on {max(ends):%Y-%m-%d}. Add the provider's new one."}
    return told


def issuer(provider: IdentityProvider) -> tokens.Issuer:
    """A provider of the open tenant as tokens are checked by it, active or not."""
    slugs = dict(Department.objects.values_list("pk", "slug"))
    row = rows_of(ISSUERS, {"id": provider.pk})[0]
    tables = {name: json.loads(row[name]) for name in ("departments", "roles", "clearances")}
    return issuer_of(provider.tenant_id, row | tables, slugs)


def _tried(issuer: tokens.Issuer, published: list[dict[str, Any]], token: str) -> Any:
    said = tokens.read(token)
    if tokens.chosen(said, (issuer,)) is None:
        raise UnknownCredential("This token's issuer (`iss`) or audience (`aud`) is another than the provider's.")
    tokens.check_algorithm(said, issuer)
    key = key_sets.KeySet(published).find(said.key_id, said.algorithm)
    if key is None:
        raise UnknownCredential("This token is signed with a key that the provider does not publish.")
    return tokens.caller_of(issuer, tokens.verified(token, issuer, said.algorithm, key), people_of(rows_of(PEOPLE)))


def _shown(caller: Any) -> dict[str, Any]:
    reach = dict(Department.objects.values_list("pk", "slug"))
    return {
        "subject": caller.subject,
        "name": caller.name,
        "member": None if caller.origin.person is None else str(caller.origin.person.id),
        "role": caller.role,
        "clearance": caller.clearance,
        "department": caller.department_slug,
        "departments": [reach[place] for place in caller.departments if place in reach],
    }
