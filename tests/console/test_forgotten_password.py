"""A forgotten password: a link by mail that works once, tells nobody who has an account, and spares no factor."""

from __future__ import annotations

import re
from secrets import token_hex

import pytest
from django.contrib.auth.hashers import make_password
from django.core.management import CommandError, call_command
from django.test import Client
from django.utils import timezone

from audit.models import Event
from config import forgotten
from config.tasks import send_password_link
from tenants import passwords
from tenants.isolation import Scope, scope
from tenants.models import Membership, User

OLD, NEW = "the password of before", "an altogether new password"
HASH = make_password(OLD)
ASK, CHOOSE, LOGIN = "/console/forgotten/", "/console/password/", "/console/login/"
ORIGIN = "http://testserver/"


@pytest.fixture(autouse=True)
def mails(settings, monkeypatch):
    """Mail goes out, and a worker is at hand; nobody has asked yet."""
    settings.EMAIL_HOST = "mail.example"
    monkeypatch.setattr(send_password_link, "delay", send_password_link)
    monkeypatch.setattr(forgotten, "MOST_QUESTIONS", 10_000)


def person(house, password: str = HASH, **more) -> User:
    email = f"fay-{token_hex(4)}@acme.example"
    with scope(Scope(tenant=house.tenant, login=email)):
        user = User(email=email, name="Fay", password=password, **more)
        user.save(force_insert=True)
        Membership.objects.create(user=user, role="member", clearance=1)
    return user


def link_in(mail) -> str:
    [found] = re.findall(r"http://testserver(/console/password/\S+)", mail.body)
    return found


def signs_in(user: User, password: str) -> bool:
    answer = Client().post(LOGIN, {"username": user.email, "password": password})
    return answer.status_code == 302


def asked(email: str) -> str:
    answer = Client().post(ASK, {"email": email})
    assert answer.status_code == 200
    return re.sub(r'value="[^"]*"', "", answer.content.decode())


def test_a_link_brings_a_new_password_once_and_ends_all_sessions(acme, mailoutbox):
    fay = person(acme)
    before = Client()
    before.post(LOGIN, {"username": fay.email, "password": OLD})
    assert before.get("/console/").status_code == 200
    asked(fay.email.upper())
    [mail] = mailoutbox
    assert mail.to == [fay.email]
    client = Client()
    assert client.get(link_in(mail))["location"] == CHOOSE
    page = client.get(CHOOSE).content.decode()
    assert fay.email in page
    assert link_in(mail) not in page
    assert "too short" in client.post(CHOOSE, {"password": "short"}).content.decode()
    assert client.post(CHOOSE, {"password": NEW})["location"] == LOGIN
    assert "Your password is changed" in client.get(LOGIN).content.decode()
    assert (signs_in(fay, OLD), signs_in(fay, NEW)) == (False, True)
    assert before.get("/console/").status_code == 302
    again = Client()
    again.get(link_in(mail))
    assert again.post(CHOOSE, {"password": "yet another password"}).status_code == 410
    assert signs_in(fay, NEW)
    with acme.open():
        actions = Event.objects.filter(actor_id=str(fay.pk), action__startswith="password.").order_by("seq")
        assert [event.action for event in actions] == ["password.ask", "password.reset"]


def test_nobody_is_told_who_has_an_account(acme, mailoutbox):
    provided = person(acme, password="!")
    disabled = person(acme, is_active=False)
    nobody = f"nobody-{token_hex(4)}@acme.example"
    pages = {asked(email) for email in (person(acme).email, nobody, provided.email, disabled.email)}
    assert len(pages) == 1
    assert len(mailoutbox) == 1


def test_the_second_factor_is_asked_for_as_ever(acme, mailoutbox):
    fay = person(acme)
    with scope(Scope(user=fay.pk)):
        User.objects.filter(pk=fay.pk).update(second_factor_at=timezone.now())
    asked(fay.email)
    client = Client()
    client.get(link_in(mailoutbox[0]))
    client.post(CHOOSE, {"password": NEW})
    answer = client.post(LOGIN, {"username": fay.email, "password": NEW})
    assert answer["location"] == "/console/second-factor/"
    assert client.get("/console/").status_code == 302


def test_a_link_ends_with_its_time_with_signing_in_and_is_of_one_person(acme, mailoutbox, settings):
    fay, eve = person(acme), person(acme)
    for user in (fay, eve):
        asked(user.email)
    links = [link_in(mail) for mail in mailoutbox]
    token = links[0].split("/")[-2]
    assert passwords.presented(eve.pk, token) is None
    assert passwords.presented(fay.pk, token) is not None
    assert passwords.change(eve, links[1].split("/")[-2], NEW)
    assert not passwords.change(eve, links[1].split("/")[-2], "one more password")
    settings.PASSWORD_RESET_TIMEOUT = -1
    assert passwords.presented(fay.pk, token) is None
    settings.PASSWORD_RESET_TIMEOUT = 3600
    assert signs_in(fay, OLD)
    assert passwords.presented(fay.pk, token) is None
    assert Client().get(f"/console/password/{fay.pk}/nonsense/").status_code == 302


def test_nobodys_mailbox_is_filled(acme, mailoutbox):
    fay = person(acme)
    for _ in range(5):
        asked(fay.email)
    assert len(mailoutbox) == forgotten.MOST_MAILS


def test_one_address_does_not_ask_for_ever(monkeypatch):
    monkeypatch.setattr(forgotten, "MOST_QUESTIONS", 0)
    assert Client().post(ASK, {"email": "x@acme.example"}).status_code == 429


def test_without_the_broker_it_says_so(monkeypatch, settings):
    settings.REDIS_URL = "redis://127.0.0.1:1/0"
    answer = Client().post(ASK, {"email": "x@acme.example"})
    assert answer.status_code == 503
    assert "Try again" in answer.content.decode()


def test_without_mail_the_page_says_whom_to_ask_and_the_operator_has_a_link(acme, settings, capsys):
    settings.EMAIL_HOST = ""
    assert "Ask its operator" in Client().get(ASK).content.decode()
    fay = person(acme)
    call_command("password_link", fay.email, "--origin", "http://testserver")
    client = Client()
    client.get(capsys.readouterr().out.strip().removeprefix("http://testserver"))
    assert client.post(CHOOSE, {"password": NEW})["location"] == LOGIN
    assert signs_in(fay, NEW)
    with pytest.raises(CommandError, match="No active account"):
        call_command("password_link", "nobody@acme.example")


def test_a_host_that_anybody_names_gets_no_links(settings):
    settings.ALLOWED_HOSTS = ["*"]
    answer = Client().post(ASK, {"email": "x@acme.example"}, headers={"host": "evil.example"})
    assert "Ask its operator" in answer.content.decode()
