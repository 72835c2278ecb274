"""Signing in and out: through the wall, recorded, and not endlessly often."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse

from audit.models import Event
from config.sign_in import ATTEMPTS
from tenants.isolation import Scope, scope
from tenants.models import Membership, User

PASSWORD = "a long enough password"
LOGIN = "/console/login/"
HASH = make_password(PASSWORD)


@pytest.fixture
def ann(acme):
    """A fresh member of Acme with a password."""
    with acme.open():
        user = User(email=f"ann-{token_hex(4)}@acme.example", name="Ann", password=HASH)
        user.save(force_insert=True)
        Membership.objects.create(user=user, role="admin")
    return user


def sign_in(client: Client, email: str, password: str = PASSWORD):
    return client.post(LOGIN, {"username": email, "password": password, "next": "/console/"})


def actions(house, user):
    with house.open():
        return [event.action for event in Event.objects.filter(actor_id=str(user.pk)).order_by("seq")]


def test_it_signs_in_with_address_and_password_in_any_case(acme, ann, client):
    answer = sign_in(client, ann.email.upper())
    assert (answer.status_code, answer["location"]) == (302, "/console/")
    assert acme.name.title() in client.get("/console/").content.decode()


def test_it_remembers_and_records_when_somebody_signed_in(acme, ann, client):
    sign_in(client, ann.email)
    with scope(Scope(user=ann.pk)):
        assert User.objects.get(pk=ann.pk).last_login is not None
    assert actions(acme, ann) == ["session.open"]


def test_it_records_signing_out(acme, ann, client):
    sign_in(client, ann.email)
    assert client.post(reverse("admin:logout")).status_code == 200
    assert actions(acme, ann) == ["session.open", "session.close"]
    assert client.get("/console/").status_code == 302


@pytest.mark.parametrize("known", [True, False])
def test_a_wrong_password_and_an_unknown_address_read_the_same(ann, client, known):
    page = sign_in(client, ann.email if known else "nobody@acme.example", "wrong password")
    assert "No active account has this address and password" in page.content.decode()
    assert "sessionid" not in client.cookies


def test_it_records_a_wrong_password_without_the_password(acme, ann, client):
    sign_in(client, ann.email, "wrong password")
    with acme.open():
        event = Event.objects.get(actor_id=str(ann.pk))
    assert (event.action, event.decision, event.detail) == ("session.refused", "deny", {"address": "127.0.0.1"})


def test_it_stops_guessing_from_one_address_and_lets_another_in(acme, ann):
    guesser = Client(REMOTE_ADDR="192.0.2.7")
    with acme.open():
        for _ in range(ATTEMPTS):
            Event.objects.create(
                action="session.refused",
                actor_type="user",
                actor_id=str(ann.pk),
                detail={"address": "192.0.2.7"},
            )
    assert sign_in(guesser, ann.email).status_code == 429
    assert sign_in(Client(REMOTE_ADDR="192.0.2.8"), ann.email).status_code == 302


def test_who_lost_their_place_is_out_with_the_next_click(acme, ann, client):
    sign_in(client, ann.email)
    with acme.open():
        Membership.objects.filter(user=ann).delete()
    page = client.get("/console/", follow=True).content.decode()
    assert "have no place in any tenant" in page
    assert acme.name not in page


def test_who_is_no_longer_active_is_out_with_the_next_click(acme, ann, client):
    sign_in(client, ann.email)
    with scope(Scope(user=ann.pk)):
        User.objects.filter(pk=ann.pk).update(is_active=False)
    assert client.get("/console/").status_code == 302
    assert sign_in(Client(), ann.email).status_code == 200


def test_somebody_changes_their_own_password(acme, ann, client):
    sign_in(client, ann.email)
    new = {"old_password": PASSWORD, "new_password1": "quite another one 7", "new_password2": "quite another one 7"}
    assert client.post(reverse("admin:password_change"), new).status_code == 302
    assert sign_in(Client(), ann.email).status_code == 200
    assert sign_in(Client(), ann.email, "quite another one 7").status_code == 302


def test_a_session_ends_when_the_password_changes(acme, ann, client):
    sign_in(client, ann.email)
    with scope(Scope(user=ann.pk)):
        User.objects.filter(pk=ann.pk).update(password=make_password("changed elsewhere"))
    assert client.get("/console/").status_code == 302


@pytest.mark.parametrize("page", ["/console/", "/console/tenants/apikey/", "/console/audit/event/", "/console/open/x/"])
def test_nobody_sees_a_page_without_signing_in(database, client, page):
    assert client.get(page).status_code in (302, 404)


def test_signing_in_needs_the_pages_own_form(ann):
    answer = Client(enforce_csrf_checks=True).post(LOGIN, {"username": ann.email, "password": PASSWORD})
    assert answer.status_code == 403


def test_it_sends_nobody_to_a_foreign_address_after_signing_in(ann, client):
    answer = client.post(LOGIN, {"username": ann.email, "password": PASSWORD, "next": "https://evil.example/"})
    assert answer["location"] == "/console/"
