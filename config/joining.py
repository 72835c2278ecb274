"""Joining a tenant by the link of an invitation.

The link is opened, its hash goes into the session, and the address bar forgets it: what is posted, logged and sent on
from there names no link. Opening uses nothing up, since programs that look at mail open links as well.
"""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django import forms
from django.contrib.auth.password_validation import validate_password
from django.db import transaction
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse

from audit.services import record
from tenants import invitations
from tenants.errors import TenantsError
from tenants.isolation import scope
from tenants.isolation.middleware import TENANT_KEY
from tenants.models import Invitation, Tenant, User
from tenants.sessions import is_own

from .sign_in import open_session

#: where the session keeps the hash of the link
KEY = "invitation"
TEMPLATE = "console/join.html"


class JoinForm(forms.Form):
    """Name and password of somebody new."""

    name = forms.CharField(max_length=200)
    password = forms.CharField(strip=False)

    def __init__(self, email: str, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._email = email

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if "password" in data:
            try:
                validate_password(data["password"], User(email=self._email, name=data.get("name", "")))
            except forms.ValidationError as error:
                self.add_error("password", error)
        return data


def open_link(request: HttpRequest, token: str) -> HttpResponse:
    """The address in the mail."""
    request.session[KEY] = invitations.digest(token)
    return HttpResponseRedirect(reverse("admin:join"))


def join(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """What an invitation is to, and the one step that is left: a password, signing in, or just yes."""
    found = invitations.presented(request.session.get(KEY, ""))
    if found is None:
        return TemplateResponse(request, TEMPLATE, {**context, "title": "Invitation", "over": True}, status=410)
    with scope(found.tenant_id):
        tenant = Tenant.objects.get(pk=found.tenant_id)
    account = invitations.account_of(found.email)
    context |= {"title": f"Join {tenant.name}", "invitation": found, "tenant": tenant}
    if account is not None and request.user.pk == account.pk and is_own(request.session, account):
        return _agreed(request, found, account, context)
    if request.user.is_authenticated and (account is None or request.user.pk != account.pk):
        return TemplateResponse(request, TEMPLATE, {**context, "other": True})
    if not invitations.needs_password(found, account):
        return TemplateResponse(request, TEMPLATE, {**context, "sign_in": f"?next={reverse('admin:join')}"})
    return _chosen(request, found, context)


def _agreed(request: HttpRequest, found: Invitation, account: User, context: dict[str, Any]) -> HttpResponse:
    """Somebody who is signed in says yes."""
    if request.method != "POST":
        return TemplateResponse(request, TEMPLATE, {**context, "agree": True})
    try:
        with transaction.atomic():
            invitations.accept(found, account)
            _record(found, account)
    except TenantsError as refusal:
        return TemplateResponse(request, TEMPLATE, {**context, "refusal": str(refusal)}, status=409)
    del request.session[KEY]
    request.session[TENANT_KEY] = str(found.tenant_id)
    return HttpResponseRedirect(reverse("admin:index"))


def _chosen(request: HttpRequest, found: Invitation, context: dict[str, Any]) -> HttpResponse:
    """Somebody new chooses a name and a password."""
    form = JoinForm(found.email, request.POST or None)
    if not form.is_valid():
        return TemplateResponse(request, TEMPLATE, {**context, "form": form})
    try:
        with transaction.atomic():
            account, _ = invitations.join(found, form.cleaned_data["name"], form.cleaned_data["password"])
            _record(found, account)
    except TenantsError as refusal:
        return TemplateResponse(request, TEMPLATE, {**context, "refusal": str(refusal)}, status=409)
    open_session(request, account, tenant=found.tenant_id)
    request.session.pop(KEY, None)
    return HttpResponseRedirect(reverse("admin:index"))


def _record(found: Invitation, account: User) -> None:
    actor = {"type": "user", "id": str(account.pk), "name": str(account)}
    with scope(UUID(str(found.tenant_id)), user=account.pk, actor=actor):
        record("invitation.accept", object_type="invitation", object_id=str(found.pk))
