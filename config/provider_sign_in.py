"""Signing in with a tenant's own identity provider: to that tenant, and to no other."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from audit.services import record
from tenants import federation, oidc, saml
from tenants.errors import ProviderRefused, ProviderUnavailable
from tenants.isolation import scope
from tenants.models import IdentityProvider, Protocol
from tenants.services import tenant_of
from tenants.tokens import Issuer

from .sign_in import address, open_confined

#: where the session keeps who was sent to which provider, and with what
AWAY = "at_provider"
AWAY_SECONDS = 600
PAGE = "console/sign_in.html"

#: What a provider says: how its claims are read, and the claims, proven.
Said = tuple[Issuer, dict[str, Any]]


def page(request: HttpRequest, slug: str, onward: str, context: dict[str, Any]) -> HttpResponse:
    """A tenant's page to sign in on, with a button for each provider. One that does not exist looks as one without."""
    found = federation.providers(tenant_of(slug))
    context |= {"title": "Sign in", "slug": slug, "providers": found, "next": onward}
    if request.method != "POST":
        return _shown(request, context)
    provider = next((one for one in found if str(one.pk) == request.POST.get("provider")), None)
    if provider is None:
        return _shown(request, {**context, "problem": "This provider does not sign anybody in any more."}, 404)
    started: Any
    try:
        if provider.protocol == Protocol.SAML:
            where, started = saml.start(federation.service_of(provider, saml_address(request, slug)))
        else:
            where, begun = oidc.start(federation.client_of(provider, _redirect_uri(request, slug, provider)))
            started = begun.kept()
    except ProviderUnavailable as problem:
        return _shown(request, {**context, "problem": str(problem)}, 503)
    kept = {"provider": str(provider.pk), "tenant": str(provider.tenant_id), "next": onward, "at": time.time()}
    request.session[AWAY] = kept | {"started": started}
    return HttpResponseRedirect(where)


def back(request: HttpRequest, slug: str, provider: UUID, context: dict[str, Any]) -> HttpResponse:
    """Where an issuer of tokens sends the browser back to. What the session kept is used up by it."""

    def said(found: IdentityProvider, started: Any) -> Said:
        client = federation.client_of(found, _redirect_uri(request, slug, found))
        return client.issuer, oidc.finish(client, oidc.Started(**started), request.GET.dict())

    away = request.session.pop(AWAY, None)
    mine = away is not None and away["provider"] == str(provider)
    return _entered(request, slug, away if mine else None, Protocol.OIDC, said, context)


def saml_back(request: HttpRequest, slug: str, context: dict[str, Any]) -> HttpResponse:
    """Where a tenant's SAML providers have browsers bring their responses.

    The form comes from the provider's site, and with it no cookie that is our own site's alone: the page that is shown
    then sends it once more, from here.
    """
    response = request.POST.get("SAMLResponse", "")
    if AWAY not in request.session and response and "again" not in request.POST:
        return TemplateResponse(request, "console/saml_again.html", {**context, "response": response})

    def said(found: IdentityProvider, started: Any) -> Said:
        us = federation.service_of(found, saml_address(request, slug))
        return us.issuer, saml.finish(us, started, response)

    return _entered(request, slug, request.session.pop(AWAY, None), Protocol.SAML, said, context)


def saml_metadata(request: HttpRequest, tenant: str) -> HttpResponse:
    """What a SAML provider is given of us. It says nothing of the tenant but its name in an address."""
    address = saml_address(request, tenant)
    answer = HttpResponse(saml.metadata(address, address), content_type="application/samlmetadata+xml")
    answer["Content-Disposition"] = f'attachment; filename="customhouse-{tenant}.xml"'
    return answer


def saml_address(request: HttpRequest, slug: str) -> str:
    """Where responses for a tenant are brought, and our entity id unless its owner chose another."""
    return request.build_absolute_uri(reverse("admin:saml_back", args=[slug]))


def _entered(
    request: HttpRequest,
    slug: str,
    away: Any,
    protocol: Protocol,
    said: Callable[[IdentityProvider, Any], Said],
    context: dict[str, Any],
) -> HttpResponse:
    """Signs in whom the provider names to which the browser was sent, if it was. `said` proves what it answered."""
    found = federation.providers(tenant_of(slug))
    context |= {"title": "Sign in", "slug": slug, "providers": found, "next": ""}
    provider = next((one for one in found if one.protocol == protocol and _is_of(away, one)), None)
    if provider is None:
        problem = "This sign-in was not begun in this browser, or too long ago. Start again."
        return _shown(request, {**context, "problem": problem}, 400)
    try:
        issuer, claims = said(provider, away["started"])
        person = federation.person_of(provider, issuer, claims)
    except ProviderUnavailable as problem:
        return _shown(request, {**context, "problem": str(problem)}, 503)
    except (ProviderRefused, IntegrityError) as problem:
        sentence = str(problem) if isinstance(problem, ProviderRefused) else "Somebody was faster. Start again."
        _record_refusal(request, provider, sentence)
        return _shown(request, {**context, "problem": sentence}, 403)
    open_confined(request, person, provider)
    return HttpResponseRedirect(away["next"])


def _is_of(away: Any, provider: IdentityProvider) -> bool:
    """Whether the browser was sent to this provider, and not long ago."""
    if away is None or (away["provider"], away["tenant"]) != (str(provider.pk), str(provider.tenant_id)):
        return False
    return bool(0 <= time.time() - away["at"] <= AWAY_SECONDS)


def _redirect_uri(request: HttpRequest, slug: str, provider: IdentityProvider) -> str:
    return request.build_absolute_uri(reverse("admin:provider_back", args=[slug, provider.pk]))


def _record_refusal(request: HttpRequest, provider: IdentityProvider, sentence: str) -> None:
    signed = {"type": "identity_provider", "id": str(provider.pk), "name": provider.name}
    with scope(provider.tenant_id, actor=signed):
        detail = {"address": address(request)}
        record("session.refused", decision="deny", reason=sentence, object_type="session", detail=detail)


def _shown(request: HttpRequest, context: dict[str, Any], status: int = 200) -> HttpResponse:
    return TemplateResponse(request, PAGE, context, status=status)
