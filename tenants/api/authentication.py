"""Who calls the management plane: an API key, or the person who is signed in to the console."""

from __future__ import annotations

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest
from rest_framework import exceptions
from rest_framework.authentication import CSRFCheck

from tenants.data import Caller
from tenants.services import caller_of_key, caller_of_member


def caller_of(request: HttpRequest) -> Caller:
    """Raises NotAuthenticated without credentials, AuthenticationFailed with wrong ones."""
    word, _, credential = request.headers.get("Authorization", "").partition(" ")
    if word.lower() == "bearer":
        caller = caller_of_key(credential.strip(), request.META.get("REMOTE_ADDR", ""))
        if caller is None:
            raise exceptions.AuthenticationFailed("This API key is not valid.")
        return caller
    if SESSION_KEY in getattr(request, "session", {}):
        found = caller_of_member(request)
        if found is not None:
            _check_csrf(request)
            return found
    raise exceptions.NotAuthenticated("Send `Authorization: Bearer <key>`, or sign in to the console.")


def _check_csrf(request: HttpRequest) -> None:
    check = CSRFCheck(lambda _: None)  # type: ignore[arg-type]
    check.process_request(request)
    reason = check.process_view(request, None, (), {})  # type: ignore[arg-type]
    if reason:
        raise exceptions.PermissionDenied(f"CSRF check failed: {reason}")
