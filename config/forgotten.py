"""Forgotten passwords: the page that sends a link, and the one behind it.

What is answered never tells whether an address has an account: the look-up and the mail are a worker's, for every
address alike. A second factor is asked for afterwards as ever.
"""

from __future__ import annotations

import logging
from datetime import timedelta
from smtplib import SMTPException
from typing import Any
from uuid import UUID

import redis
from django import forms
from django.conf import settings
from django.contrib import messages
from django.contrib.auth.password_validation import validate_password
from django.http import HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import reverse
from django.utils import timezone
from kombu.exceptions import OperationalError as BrokerUnavailable

from audit.models import Event
from audit.services import Action, first_id, record
from tenants import passwords
from tenants.isolation import scope
from tenants.models import User

from .sign_in import address, places

log = logging.getLogger("customhouse.passwords")

ASK, CHOOSE = "console/forgotten.html", "console/new_password.html"
#: where the session keeps the link that was opened
KEY = "password_link"
#: Mails to one person, and questions from one address, until they must wait.
MOST_MAILS, MOST_QUESTIONS = 3, 10
PAUSE = timedelta(minutes=15)
_AWAY = "No mail can be sent at the moment. Try again in a few minutes."
_TOO_OFTEN = "You have asked often. Wait a quarter of an hour, then try again."


class AskForm(forms.Form):
    email = forms.EmailField(max_length=254)


class ChooseForm(forms.Form):
    """A new password, good enough for this person."""

    password = forms.CharField(strip=False)

    def __init__(self, person: User, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self._person = person

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        validate_password(password, self._person)
        return password


def ask(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """Whose password is forgotten?"""
    # where any host's name is answered to, whoever asks would say where the link leads
    mails = bool(settings.EMAIL_HOST) and "*" not in settings.ALLOWED_HOSTS
    context |= {"title": "Forgotten password", "mails": mails}
    form = AskForm(request.POST if request.method == "POST" and mails else None)
    if not form.is_valid():
        return TemplateResponse(request, ASK, {**context, "form": form})
    from .tasks import send_password_link  # tasks import this module

    try:
        if not _may_ask(address(request)):
            return TemplateResponse(request, ASK, {**context, "form": form, "problem": _TOO_OFTEN}, status=429)
        send_password_link.delay(form.cleaned_data["email"], request.build_absolute_uri("/"))
    except (BrokerUnavailable, redis.RedisError):
        return TemplateResponse(request, ASK, {**context, "form": form, "problem": _AWAY}, status=503)
    return TemplateResponse(request, ASK, {**context, "asked": True})


def _may_ask(client: str) -> bool:
    """Whether this address may ask once more. Raises redis.RedisError."""
    key = f"forgotten:{client}"
    with redis.Redis.from_url(settings.REDIS_URL, socket_timeout=2, socket_connect_timeout=2) as shared:
        shared.set(key, 0, ex=PAUSE, nx=True)
        return int(shared.incr(key)) <= MOST_QUESTIONS


def send(email: str, origin: str) -> bool:
    """Sends a link to an address that has an account with a password; whether a mail went out."""
    person = passwords.account_of(email)
    if person is None or not (opened := places(person)):
        return False
    since = timezone.now() - PAUSE
    for place in opened:
        with scope(place):
            asked = Event.objects.filter(id__gte=first_id(since), time__gte=since, action=Action.PASSWORD_ASK)
            if asked.filter(actor_id=str(person.pk)).count() >= MOST_MAILS:
                return False
    for place in opened:
        with scope(place):
            record(Action.PASSWORD_ASK, object_type="user", object_id=str(person.pk))
    try:
        passwords.message(person, passwords.link(person, origin)).send()
    except (OSError, SMTPException) as failure:
        log.warning("a link for a forgotten password was not sent: %s", type(failure).__name__)
        return False
    return True


def open_link(request: HttpRequest, person: UUID, token: str) -> HttpResponse:
    """The address in the mail; what is posted and logged from there on names no link."""
    request.session[KEY] = [str(person), token]
    return HttpResponseRedirect(reverse("admin:new_password"))


def choose(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """A new password for whoever has opened their link."""
    kept, token = request.session.get(KEY) or ("", "")
    person = passwords.presented(UUID(kept), token) if kept else None
    context |= {"title": "New password"}
    if person is None:
        return TemplateResponse(request, CHOOSE, {**context, "over": True}, status=410)
    form = ChooseForm(person, request.POST or None)
    if not form.is_valid():
        return TemplateResponse(request, CHOOSE, {**context, "form": form, "person": person})
    if not passwords.change(person, token, form.cleaned_data["password"]):
        return TemplateResponse(request, CHOOSE, {**context, "over": True}, status=410)
    for place in places(person):
        with scope(place):
            record(Action.PASSWORD_RESET, object_type="user", object_id=str(person.pk))
    request.session.flush()
    messages.success(request, "Your password is changed, and all sessions have ended. Sign in with the new one.")
    return HttpResponseRedirect(reverse("admin:login"))
