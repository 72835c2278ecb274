"""Passkeys in the console: the challenge that a session keeps, and what is said about the browser's answer."""

from __future__ import annotations

import time
from typing import Any

from django.http import HttpRequest, HttpResponse, HttpResponseRedirect, JsonResponse
from django.http.request import split_domain_port
from django.template.response import TemplateResponse

from tenants import passkeys
from tenants.errors import PasskeyRefused, Taken
from tenants.models import User

from .sign_in import may_try, open_session, record_refusal

#: where the session keeps the challenge that was given out, what for and for whom
CHALLENGE = "passkey"
CHALLENGE_SECONDS = 300
ALONE, BEHIND, ADDING = "alone", "behind the password", "adding"
LATE = "This was not begun in this browser, or too long ago. Start again."
TOO_OFTEN = "Too many wrong tries from here. Wait a quarter of an hour, then try again."
PAGE = "console/sign_in.html"


# -- signing in without a password ------------------------------------------------------------------------------------


def begin_alone(request: HttpRequest) -> HttpResponse:
    """What the browser asks any passkey for."""
    return _begun(request, ALONE, None, *passkeys.begin(_site(request), None))


def sign_in(request: HttpRequest, onward: str, context: dict[str, Any]) -> HttpResponse:
    """Signs in whose passkey has answered; the device has verified them."""
    challenge, answer = _take(request, ALONE, None), request.POST.get("answer", "")
    context |= {"title": "Sign in", "next": onward}
    if challenge is None:
        return _shown(request, context, LATE, 400)
    try:
        person = passkeys.owner(answer)
    except PasskeyRefused as refusal:
        return _shown(request, context, str(refusal), 403)
    if person is None:
        return _shown(request, context, str(PasskeyRefused("nobody")), 403)
    said, status = _checked(request, person, challenge, alone=True)
    if said:
        return _shown(request, context, said, status)
    open_session(request, person, factor="passkey_alone")
    return HttpResponseRedirect(onward)


def _shown(request: HttpRequest, context: dict[str, Any], said: str, status: int) -> HttpResponse:
    return TemplateResponse(request, PAGE, {**context, "problem": said}, status=status)


# -- behind the password ----------------------------------------------------------------------------------------------


def begin_behind_password(request: HttpRequest, person: User) -> HttpResponse:
    """What the browser asks a passkey of this person for."""
    return _begun(request, BEHIND, person, *passkeys.begin(_site(request), person))


def check_behind_password(request: HttpRequest, person: User) -> tuple[str, str, int]:
    """`passkey` when one of this person has answered, otherwise '' with a sentence and the status."""
    challenge = _take(request, BEHIND, person)
    if challenge is None:
        return "", LATE, 400
    said, status = _checked(request, person, challenge, alone=False)
    return ("", said, status) if said else ("passkey", "", 200)


def _checked(request: HttpRequest, person: User, challenge: str, *, alone: bool) -> tuple[str, int]:
    """What is wrong, with the status; '' when all is well. A refusal is recorded with its reason."""
    if not may_try(request, person.email):
        return TOO_OFTEN, 429
    try:
        passkeys.check(_site(request), person, challenge, request.POST.get("answer", ""), alone=alone)
    except PasskeyRefused as refusal:
        record_refusal(request, person.email, factor=True, passkey=refusal.reason)
        return str(refusal), 403
    return "", 200


# -- one's own --------------------------------------------------------------------------------------------------------


def begin_adding(request: HttpRequest, person: User) -> HttpResponse:
    """What the browser makes a new passkey of."""
    try:
        return _begun(request, ADDING, person, *passkeys.begin_adding(_site(request), person))
    except Taken as refusal:
        return problem(str(refusal), 409)


def add(request: HttpRequest, person: User, context: dict[str, Any]) -> bool:
    """Keeps the passkey that the browser has made; otherwise `problem` says why not."""
    challenge = _take(request, ADDING, person)
    if challenge is None:
        context["problem"] = LATE
        return False
    try:
        given = request.POST.get("answer", ""), request.POST.get("name", "")
        passkeys.add(_site(request), person, challenge, *given)
    except (PasskeyRefused, Taken) as refusal:
        context["problem"] = str(refusal)
        return False
    return True


# -- the challenge ----------------------------------------------------------------------------------------------------


def problem(sentence: str, status: int) -> JsonResponse:
    """What the page says instead of asking for a passkey."""
    return JsonResponse({"problem": sentence}, status=status)


def _site(request: HttpRequest) -> passkeys.Site:
    host, _ = split_domain_port(request.get_host())
    return passkeys.Site(host, f"{request.scheme}://{request.get_host()}")


def _begun(
    request: HttpRequest, purpose: str, person: User | None, options: dict[str, Any], challenge: str
) -> JsonResponse:
    request.session[CHALLENGE] = {"for": purpose, "user": _id(person), "challenge": challenge, "at": time.time()}
    return JsonResponse({"options": options}, headers={"Cache-Control": "no-store"})


def _take(request: HttpRequest, purpose: str, person: User | None) -> str | None:
    """The challenge that was given out for this, not long ago; whatever comes of it, it is used up."""
    kept = request.session.pop(CHALLENGE, None)
    if kept is None:
        return None
    request.session.save()
    fresh = 0 <= time.time() - kept["at"] <= CHALLENGE_SECONDS
    mine = (kept["for"], kept["user"]) == (purpose, _id(person))
    return str(kept["challenge"]) if fresh and mine else None


def _id(person: User | None) -> str:
    return str(person.pk) if person is not None else ""
