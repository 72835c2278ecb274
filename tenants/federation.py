"""Whom an identity provider's proven claims are in a tenant: known by subject, else a member, invited, or made one.

Everything happens in the provider's own tenant. Whoever runs a provider can say any address; it gains them that
person's place in this tenant, which the tenant's owner could give to anybody, and nothing anywhere else: the session is
confined to it (`sessions`), and the wall shows it nothing of the account (`wall.account()`).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from typing import Any
from uuid import UUID

from django.db.models import Q
from django.utils import timezone

from . import identity, invitations, services, tokens
from .errors import ProviderRefused, TenantsError, UnknownCredential
from .isolation import current, scope
from .models import Identity, IdentityProvider, Invitation, Membership, Protocol, User
from .oidc import Client
from .saml import ServiceProvider
from .tokens import Issuer

MOST_SUBJECT = 255  #: characters (OpenID Connect Core 1.0, 2)


def providers(tenant: UUID | None) -> list[IdentityProvider]:
    """Those that a tenant's people may sign in with."""
    if tenant is None:
        return []
    with scope(tenant):
        asks = Q(protocol=Protocol.SAML) | ~Q(client_id="")
        return list(IdentityProvider.objects.filter(asks, active=True, sign_in=True))


def client_of(provider: IdentityProvider, redirect_uri: str) -> Client:
    """Us at a provider."""
    with scope(provider.tenant_id):
        issuer = identity.issuer(provider)
    return Client(issuer, provider.client_id, identity.open_secret(provider), provider.scopes, redirect_uri)


def service_of(provider: IdentityProvider, answer_url: str) -> ServiceProvider:
    """Us at a provider that speaks SAML."""
    with scope(provider.tenant_id):
        issuer = identity.issuer(provider)
    return ServiceProvider(issuer, provider.sso_url, provider.certificates, answer_url)


def person_of(provider: IdentityProvider, issuer: Issuer, claims: Mapping[str, Any]) -> User:
    """The member that proven claims are of. Raises ProviderRefused."""
    subject = claims.get("sub")
    if not isinstance(subject, str) or not 0 < len(subject) <= MOST_SUBJECT:
        raise ProviderRefused("The provider says nobody: there is no `sub`, or it is longer than 255 characters.")
    signed = {"type": "identity_provider", "id": str(provider.pk), "name": provider.name}
    with scope(provider.tenant_id, actor=signed, reason=f"signed in with {provider.name}"):
        user = _known(provider, issuer, claims, subject) or _linked(provider, issuer, claims, subject)
        if not user.is_active:
            raise ProviderRefused("This person may not sign in any more. Ask an administrator of your tenant.")
        Identity.objects.filter(provider=provider, subject=subject).update(used_at=timezone.now())
        return user


def _known(provider: IdentityProvider, issuer: Issuer, claims: Mapping[str, Any], subject: str) -> User | None:
    """The member whose subject this is. Whom the tenant has sent away comes back by an invitation alone."""
    found = Identity.objects.filter(provider=provider, subject=subject).first()
    if found is None:
        return None
    place = Membership.objects.select_related("user").filter(tenant_id=current(), user_id=found.user_id).first()
    if place is not None:
        return place.user
    if _invitation(vouched_address(issuer, claims)) is None:
        raise ProviderRefused("You do not belong to this tenant any more. Ask an administrator to invite you.")
    found.delete()
    return None


def _invitation(email: str) -> Invitation | None:
    """The open invitation of an address."""
    held = Invitation.objects.filter(accepted_at=None, expires_at__gt=timezone.now())
    return held.filter(email=email).first() if email else None


def _linked(provider: IdentityProvider, issuer: Issuer, claims: Mapping[str, Any], subject: str) -> User:
    """A subject that was not seen before, by the address that the provider answers for."""
    email = vouched_address(issuer, claims)
    if not email:
        raise ProviderRefused(
            "The provider does not answer for your e-mail address, so nobody can tell who you are here. Ask your "
            "tenant's owner whether its addresses can be trusted."
        )
    place = Membership.objects.select_related("user").filter(tenant_id=current(), user__email=email).first()
    user = place.user if place is not None else _joined(provider, issuer, claims, email)
    Identity.objects.create(provider=provider, subject=subject, user=user)
    return user


def vouched_address(issuer: Issuer, claims: Mapping[str, Any]) -> str:
    """The address that the provider answers for; '' when it does not, or says itself that nobody has checked it."""
    return "" if claims.get("email_verified") is False else tokens.address_of(issuer, claims)


def _joined(provider: IdentityProvider, issuer: Issuer, claims: Mapping[str, Any], email: str) -> User:
    """Somebody who is no member yet: invited, or made one because the owner said that this provider may."""
    held = _invitation(email)
    if held is None and not provider.makes_members:
        raise ProviderRefused("No member of this tenant has your e-mail address. Ask an administrator to invite you.")
    user = services.make_user(email, str(claims.get("name") or "")[:200])
    try:
        if held is not None:
            invitations.accept(held, user, account=False)
        else:
            _made_member(issuer, claims, user)
    except TenantsError as error:
        raise ProviderRefused(str(error)) from error
    return user


def _made_member(issuer: Issuer, claims: Mapping[str, Any], user: User) -> None:
    """A place as the provider's tables map the claims, once: it is changed here from then on."""
    try:
        mapped = tokens.caller_of(replace(issuer, members_only=False), claims, {})
    except UnknownCredential as error:
        raise ProviderRefused(str(error)) from error
    services.check_giving(mapped.role, mapped.clearance)
    services.place_person(user, mapped.role, mapped.clearance, mapped.departments or ())
