"""The second factor in the console: asked for behind the password, set up and removed by the person themselves."""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any
from uuid import UUID

import segno
from django.contrib.auth import SESSION_KEY
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils.crypto import constant_time_compare
from django.utils.safestring import SafeString

from tenants import passkeys, second_factor
from tenants.errors import Taken, TooManyTries
from tenants.isolation import Scope, scope
from tenants.models import User
from tenants.sessions import is_own, mark_proven

from . import passkey_pages
from .sign_in import open_session, password_is_right, record_refusal

#: where the session keeps who has shown their password, and nothing else yet
HALF = "half"
HALF_SECONDS = 600
#: where it keeps the secret that the person's authenticator is shown, sealed
FRESH = "fresh_factor"
PAGE = "console/own_factor.html"
#: what says that a code was wrong; whoever has none left asks somebody
WRONG = "This code is wrong or was used already. Take the one that is shown now, or one of your recovery codes."


# -- signing in -------------------------------------------------------------------------------------------------------


def enter(request: HttpRequest, person: User, onward: str) -> HttpResponse:
    """Behind the right password: in, or first to the page that asks for the second factor."""
    if person.second_factor_at is None:
        open_session(request, person)
        return HttpResponseRedirect(onward)
    request.session.cycle_key()
    request.session[HALF] = {
        "user": str(person.pk),
        "hash": person.get_session_auth_hash(),
        "at": time.time(),
        "next": onward,
    }
    return HttpResponseRedirect(reverse("admin:second_factor"))


def ask(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Asks for a code; with the right one the person is signed in."""
    half, person = _half(request)
    if half is None or person is None:
        return HttpResponseRedirect(reverse("admin:login"))
    status, problem = 200, ""
    if request.method == "POST":
        kind, problem, status = _check(request, person)
        if kind:
            del request.session[HALF]
            open_session(request, person, factor=kind)
            return HttpResponseRedirect(half["next"])
    ways = {"codes": second_factor.has_authenticator(person), "passkeys": bool(passkeys.listed(person))}
    context |= {"title": "Second factor", "person": person, "problem": problem, **ways}
    return TemplateResponse(request, "console/second_factor.html", context, status=status)


def ask_passkey(request: HttpRequest) -> HttpResponse:
    """What the browser asks a passkey of whoever has shown their password for."""
    _, person = _half(request)
    if person is None:
        return passkey_pages.problem("It took too long. Start again with your password.", 403)
    return passkey_pages.begin_behind_password(request, person)


def _check(request: HttpRequest, person: User) -> tuple[str, str, int]:
    """What was shown, '' when it is wrong, with the sentence about it and the status; refusals are recorded."""
    if "answer" in request.POST:
        return passkey_pages.check_behind_password(request, person)
    try:
        kind, problem, status = second_factor.check(person, request.POST.get("code", "")), WRONG, 200
    except TooManyTries as refusal:
        kind, problem, status = "", str(refusal), 429
    if not kind:
        record_refusal(request, person.email, factor=True)
    return kind, problem, status


def _half(request: HttpRequest) -> tuple[dict[str, Any] | None, User | None]:
    half = request.session.get(HALF)
    return half, _person(half) if half else None


def _person(half: dict[str, Any]) -> User | None:
    """Who has shown their password, for ten minutes, and no longer than it stays their password."""
    with scope(Scope(user=UUID(half["user"]))):
        found = User.objects.filter(pk=half["user"], is_active=True).first()
    fresh = 0 <= time.time() - half["at"] <= HALF_SECONDS
    if found is None or not fresh or not constant_time_compare(half["hash"], found.get_session_auth_hash()):
        return None
    return found


# -- one's own --------------------------------------------------------------------------------------------------------


def own(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The person's own second factor: set up, with new recovery codes, or removed."""
    person = _signed_in(request)
    if person is None:
        return HttpResponseRedirect(f"{reverse('admin:login')}?next={request.path}")
    context |= {"title": "Second factor", "person": person, "base": _layout(context)}
    act = _ACTS.get(request.POST.get("act", "")) if request.method == "POST" else None
    page = act(request, person, context) if act is not None else None
    if page is None:
        page = _shown(request, person, context)
    page["Cache-Control"] = "no-store"
    return page


def _layout(context: dict[str, Any]) -> str:
    """Who must set one up sees no page before, so not their navigation either."""
    return "admin/base_site.html" if context.get("member") else "unfold/layouts/unauthenticated.html"


def _signed_in(request: HttpRequest) -> User | None:
    """Who is signed in, with all that their account asks for."""
    if SESSION_KEY not in request.session or not request.user.is_authenticated:
        return None
    person = request.user
    return person if isinstance(person, User) and is_own(request.session, person) else None


def _shown(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse:
    context |= {"passkeys": passkeys.listed(person), "authenticator": second_factor.has_authenticator(person)}
    if context["authenticator"]:
        return TemplateResponse(request, PAGE, {**context, "left": second_factor.left(person)})
    if context["passkeys"] and "authenticator" not in request.GET:
        return TemplateResponse(request, PAGE, context)
    return _set_up(request, second_factor.begin(person), context)


def _set_up(request: HttpRequest, fresh: second_factor.Fresh, context: dict[str, Any]) -> HttpResponse:
    request.session[FRESH] = fresh.sealed
    return TemplateResponse(request, PAGE, {**context, "secret": fresh.typed, "picture": picture(fresh.address)})


def picture(address: str) -> SafeString:
    """An address as a QR code, drawn into the page: dark on white in both themes, as cameras want it."""
    drawn: str = segno.make(address, error="m").svg_inline(scale=4, border=3, dark="#000", light="#fff")
    return SafeString(drawn)


def _confirm(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse | None:
    sealed = request.session.get(FRESH)
    if not sealed or second_factor.has_authenticator(person):
        return None
    try:
        codes = second_factor.confirm(person, sealed, request.POST.get("code", ""))
    except Taken:
        return HttpResponseRedirect(request.path)
    if codes is None:
        context["problem"] = "This code is wrong. Take the one that your authenticator shows now."
        context["passkeys"] = passkeys.listed(person)
        return _set_up(request, second_factor.begun(person, sealed), context)
    del request.session[FRESH]
    mark_proven(request.session, person)
    return TemplateResponse(request, PAGE, {**context, "codes": codes})


def _renew(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse | None:
    if not password_is_right(request, person, context):
        return None
    return TemplateResponse(request, "console/own_factor.html", {**context, "codes": second_factor.renew_codes(person)})


def _remove(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse | None:
    if not password_is_right(request, person, context):
        return None
    second_factor.remove(person)
    mark_proven(request.session, person)
    return HttpResponseRedirect(request.path)


def begin_passkey(request: HttpRequest) -> HttpResponse:
    """What the browser makes a new passkey of the signed-in person of; it asks for the password."""
    person = _signed_in(request)
    if person is None:
        return passkey_pages.problem("You are no longer signed in. Sign in again.", 403)
    context: dict[str, Any] = {}
    if not password_is_right(request, person, context):
        return passkey_pages.problem(context["problem"], 403)
    return passkey_pages.begin_adding(request, person)


def _add_passkey(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse | None:
    if not passkey_pages.add(request, person, context):
        return None
    mark_proven(request.session, person)
    return HttpResponseRedirect(request.path)


def _remove_passkey(request: HttpRequest, person: User, context: dict[str, Any]) -> HttpResponse | None:
    if not password_is_right(request, person, context):
        return None
    try:
        gone = passkeys.remove(person, UUID(request.POST.get("passkey", "")))
    except ValueError:
        gone = False
    if not gone:
        context["problem"] = "This passkey was removed already."
        return None
    mark_proven(request.session, person)
    return HttpResponseRedirect(request.path)


_ACTS: dict[str, Callable[[HttpRequest, User, dict[str, Any]], HttpResponse | None]] = {
    "confirm": _confirm,
    "renew": _renew,
    "remove": _remove,
    "add_passkey": _add_passkey,
    "remove_passkey": _remove_passkey,
}
