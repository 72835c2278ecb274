"""Signing in with a tenant's own identity provider: to that tenant, and to no other."""

from __future__ import annotations

import time
from typing import Any
from uuid import UUID

from django.db import IntegrityError
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from audit.services import record
from tenants import federation, oidc
from tenants.errors import ProviderRefused, ProviderUnavailable
from tenants.isolation import scope
from tenants.models import IdentityProvider
from tenants.services import tenant_of

from .sign_in import address, open_confined

#: where the session keeps who was sent to which provider, and with what
AWAY = "at_provider"
AWAY_SECONDS = 600
PAGE = "console/sign_in.html"


def page(request: HttpRequest, slug: str, onward: str, context: dict[str, Any]) -> HttpResponse:
    """A tenant's page to sign in on, with a button for each provider. One that does not exist looks as one without."""
    found = federation.providers(tenant_of(slug))
    context |= {"title": "Sign in", "slug": slug, "providers": found, "next": onward}
    if request.method != "POST":
        return _shown(request, context)
    provider = next((one for one in found if str(one.pk) == request.POST.get("provider")), None)
    if provider is None:
        return _shown(request, {**context, "problem": "This provider does not sign anybody in any more."}, 404)
    try:
        where, started = oidc.start(federation.client_of(provider, _redirect_uri(request, slug, provider)))
    except ProviderUnavailable as problem:
        return _shown(request, {**context, "problem": str(problem)}, 503)
    kept = {"provider": str(provider.pk), "tenant": str(provider.tenant_id), "next": onward, "at": time.time()}
    request.session[AWAY] = kept | {"started": started.kept()}
    return HttpResponseRedirect(where)


def back(request: HttpRequest, slug: str, provider: UUID, context: dict[str, Any]) -> HttpResponse:
    """Where the provider sends the browser back to. What the session kept is used up by it."""
    away = request.session.pop(AWAY, None)
    tenant = tenant_of(slug)
    found = next((one for one in federation.providers(tenant) if one.pk == provider), None)
    context |= {"title": "Sign in", "slug": slug, "providers": federation.providers(tenant), "next": ""}
    if found is None or not _is_of(away, found):
        problem = "This sign-in was not begun in this browser, or too long ago. Start again."
        return _shown(request, {**context, "problem": problem}, 400)
    try:
        client = federation.client_of(found, _redirect_uri(request, slug, found))
        claims = oidc.finish(client, oidc.Started(**away["started"]), request.GET.dict())
    except ProviderUnavailable as problem:
        return _shown(request, {**context, "problem": str(problem)}, 503)
    except ProviderRefused as problem:
        return _shown(request, {**context, "problem": str(problem)}, 403)
    try:
        person = federation.person_of(found, client.issuer, claims)
    except (ProviderRefused, IntegrityError) as problem:
        sentence = str(problem) if isinstance(problem, ProviderRefused) else "Somebody was faster. Start again."
        _record_refusal(request, found, sentence)
        return _shown(request, {**context, "problem": sentence}, 403)
    open_confined(request, person, found)
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
