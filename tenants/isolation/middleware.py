"""Opens the scope of the person who is signed in to the console, for the time of one request."""

from __future__ import annotations

from collections.abc import Callable
from uuid import UUID

from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse

from .scope import Scope, scope

#: Where the session keeps the tenant whose console is open.
TENANT_KEY = "tenant"
#: Where it keeps the tenant whose identity provider alone vouches for the person.
CONFINED_KEY = "confined"


class Failed(Exception):
    """A page that failed; leaving by an exception takes back what its transaction had changed."""

    def __init__(self, response: HttpResponse) -> None:
        super().__init__(self.__doc__)
        self.response = response


class ScopeMiddleware:
    """The wall for pages: session -> person -> the membership that opens the tenant. No membership, no rows."""

    def __init__(self, get_response: Callable[[HttpRequest], HttpResponse]) -> None:
        self.get_response = get_response

    def __call__(self, request: HttpRequest) -> HttpResponse:
        if not hasattr(request, "session") or SESSION_KEY not in request.session:
            return self.get_response(request)
        try:
            confined = CONFINED_KEY in request.session
            with scope(Scope(user=UUID(request.session[SESSION_KEY]), confined=confined)):
                opened = self._membership(request)
                if opened is None:
                    return self._answer(request)
                with scope(opened):
                    return self._answer(request)
        except Failed as failed:
            return failed.response

    def _answer(self, request: HttpRequest) -> HttpResponse:
        response = self.get_response(request)
        if response.status_code >= 500:
            raise Failed(response)
        return response

    def _membership(self, request: HttpRequest) -> Scope | None:
        from tenants.services import scope_of_member

        return scope_of_member(request)
