"""Joining by the link of an invitation: once, with one's own password or account, and seen by nobody else."""

from __future__ import annotations

import threading
from datetime import timedelta
from secrets import token_hex

import pytest
from django.contrib.auth.hashers import make_password
from django.db import connections
from django.test import Client
from django.utils import timezone

from audit.models import Event
from tenants import invitations, services
from tenants.errors import TenantsError
from tenants.isolation import Scope, scope
from tenants.isolation.middleware import TENANT_KEY
from tenants.models import Invitation, Membership, User

PASSWORD = "a long enough password"
HASH = make_password(PASSWORD)
ADD = "/console/tenants/invitation/add/"
JOIN = "/console/invitation/"
CHOSEN = {"name": "Dora Doe", "password": PASSWORD}


def invited(house, email=None, role="developer", giver="owner", **more):
    """An invitation and its link, given by one of the house's people."""
    actor = {"type": "user", "id": str(house.people[giver].pk), "name": str(house.people[giver])}
    with house.open(actor=actor):
        made, link = invitations.invite(
            email or f"dora-{token_hex(4)}@new.example", role, 2, [house.departments["legal"]], "http://testserver"
        )
        if more:
            Invitation.objects.filter(pk=made.pk).update(**more)
    return made, link.removeprefix("http://testserver")


def account(email=None, password=HASH, house=None):
    email = email or f"eve-{token_hex(4)}@new.example"
    with scope(Scope(tenant=house.tenant if house else None, login=email)):
        user = User(email=email, name="Eve", password=password)
        user.save(force_insert=True)
    return user


def place_in(house, email):
    with house.open():
        return Membership.objects.filter(user__email=email).select_related("user").first()


def opened(link):
    client = Client()
    answer = client.get(link)
    assert (answer.status_code, answer["location"]) == (302, JOIN)
    return client


def test_somebody_new_chooses_a_password_and_is_in(acme):
    made, link = invited(acme)
    client = opened(link)
    page = client.get(JOIN).content.decode()
    assert made.email in page
    assert link not in page
    assert client.post(JOIN, CHOSEN)["location"] == "/console/"
    assert acme.name.title() in client.get("/console/").content.decode()
    place = place_in(acme, made.email)
    assert (place.role, place.clearance, place.user.name) == ("developer", 2, "Dora Doe")
    with acme.open():
        assert [department.slug for department in place.departments.all()] == ["legal"]
        events = {event.action: event for event in Event.objects.filter(actor_id=str(place.user_id))}
    assert {"membership.create", "invitation.accept", "session.open"} <= set(events)
    assert events["membership.create"].reason == f"invited by {acme.people['owner']}"
    assert Client().post("/console/login/", {"username": made.email, "password": PASSWORD}).status_code == 302


def test_a_link_works_once(acme):
    made, link = invited(acme)
    first, second = opened(link), opened(link)
    first.post(JOIN, CHOSEN)
    assert second.get(JOIN).status_code == 410
    assert second.post(JOIN, CHOSEN).status_code == 410
    with acme.open():
        assert Invitation.objects.get(pk=made.pk).digest is None


def test_of_two_who_come_at_the_same_moment_one_is_let_in(acme):
    user = account()
    _, link = invited(acme, user.email)
    shown = invitations.presented(invitations.digest(link.rsplit("/", 2)[1]))
    barrier, outcomes = threading.Barrier(2), []

    def come():
        barrier.wait()
        try:
            outcomes.append(invitations.accept(shown, user))
        except TenantsError as refusal:
            outcomes.append(str(refusal))
        finally:
            connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(2)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(isinstance(outcome, Membership) for outcome in outcomes) == [False, True]
    assert any("was used" in str(outcome) for outcome in outcomes)


@pytest.mark.parametrize("more", [{"expires_at": timezone.now() - timedelta(seconds=1)}, {"digest": token_hex(32)}])
def test_a_link_that_expired_or_was_replaced_shows_nothing(acme, more):
    made, link = invited(acme, **more)
    page = opened(link).get(JOIN)
    assert page.status_code == 410
    assert made.email not in page.content.decode()
    assert acme.name not in page.content.decode()


def test_without_a_link_there_is_nothing_to_join(database, client):
    assert client.get(JOIN).status_code == 410
    assert client.get(f"{JOIN}made-up/", follow=True).status_code == 410


def test_a_weak_password_is_refused_and_uses_nothing_up(acme):
    made, link = invited(acme)
    client = opened(link)
    assert "too short" in client.post(JOIN, {**CHOSEN, "password": "k7w2"}).content.decode()
    assert "too similar" in client.post(JOIN, {**CHOSEN, "password": made.email}).content.decode()
    assert place_in(acme, made.email) is None
    assert client.post(JOIN, CHOSEN).status_code == 302


def test_who_has_an_account_signs_in_and_agrees(acme):
    eve = account()
    _, link = invited(acme, eve.email)
    client = opened(link)
    assert "Sign in with it to accept" in client.get(JOIN).content.decode()
    client.post(JOIN, CHOSEN)
    assert place_in(acme, eve.email) is None
    answer = client.post("/console/login/", {"username": eve.email, "password": PASSWORD, "next": JOIN})
    assert answer["location"] == JOIN
    assert "Accept" in client.get(JOIN).content.decode()
    assert client.post(JOIN)["location"] == "/console/"
    assert client.session[TENANT_KEY] == str(acme.tenant)
    assert place_in(acme, eve.email).role == "developer"


def test_the_account_of_somebody_else_cannot_take_the_place(acme, globex, enter):
    made, link = invited(acme)
    client = enter(globex.people["charlie"])
    client.get(link)
    assert "You are signed in as" in client.get(JOIN).content.decode()
    client.post(JOIN, CHOSEN)
    assert place_in(acme, made.email) is None
    assert place_in(acme, globex.people["charlie"].email) is None


def test_nobody_sets_the_password_of_an_account_that_another_tenant_made(acme, globex):
    eve = account(password=make_password(None), house=globex)
    _, link = invited(acme, eve.email)
    client = opened(link)
    client.post(JOIN, CHOSEN)
    assert "Sign in with it to accept" in client.get(JOIN).content.decode()
    with scope(Scope(login=eve.email)):
        assert not User.objects.get(pk=eve.pk).has_usable_password()


def test_who_was_added_without_a_password_chooses_their_first(acme):
    eve = account(password=make_password(None), house=acme)
    with acme.open():
        Membership.objects.create(user=eve, role="auditor")
    _, link = invited(acme, eve.email, role="member")
    client = opened(link)
    assert client.post(JOIN, CHOSEN)["location"] == "/console/"
    assert place_in(acme, eve.email).role == "auditor"
    assert Client().post("/console/login/", {"username": eve.email, "password": PASSWORD}).status_code == 302


def test_a_place_is_given_only_while_its_giver_may(acme):
    made, link = invited(acme, role="admin", giver="admin")
    with acme.open():
        mine = Membership.objects.get(user=acme.people["admin"])
        Membership.objects.filter(pk=mine.pk).update(role="auditor")
    client = opened(link)
    try:
        page = client.post(JOIN, CHOSEN)
        assert (page.status_code, "may not do so any more" in page.content.decode()) == (409, True)
        assert place_in(acme, made.email) is None
    finally:
        with acme.open():
            Membership.objects.filter(pk=mine.pk).update(role="admin")
    assert client.post(JOIN, CHOSEN).status_code == 302


def test_an_admin_invites_in_the_console_and_takes_back(acme, as_role):
    client, email = as_role("admin"), f"fay-{token_hex(4)}@new.example"
    form = {"email": email, "role": "member", "clearance": "1", "reason": "for the pilot"}
    page = client.post(ADD, form)
    assert "no-store" in page["cache-control"]
    link = page.content.decode().split('data-copy="http://testserver')[1].split('"')[0]
    assert email in client.get("/console/tenants/invitation/").content.decode()
    with acme.open():
        made = Invitation.objects.get(email=email)
        assert Event.objects.get(action="invitation.create", object_id=str(made.pk)).reason == "for the pilot"
    shown = client.get(f"/console/tenants/invitation/{made.pk}/change/").content.decode()
    assert "Send again" in shown
    again = client.post(f"/console/tenants/invitation/{made.pk}/resend/").content.decode()
    assert link not in again
    assert opened(link).get(JOIN).status_code == 410
    assert client.post(f"/console/tenants/invitation/{made.pk}/delete/", {"post": "yes"}).status_code == 302
    assert opened(again.split('data-copy="http://testserver')[1].split('"')[0]).get(JOIN).status_code == 410
    assert "not one of the available choices" in client.post(ADD, {**form, "role": "owner"}).content.decode()


def test_an_admin_does_not_touch_an_owners_invitation(acme, as_role):
    made, link = invited(acme, role="owner")
    for verb in ("resend", "delete"):
        answer = as_role("admin").post(f"/console/tenants/invitation/{made.pk}/{verb}/", {"post": "yes"})
        assert answer.status_code == 403
    assert opened(link).get(JOIN).status_code == 200


def test_an_account_that_another_tenant_made_opens_no_place_before_its_holder_agreed(acme, globex):
    """Whoever made the account knows its password; the link that was sent to its address they do not have."""
    squatted = account(house=globex)
    with acme.open():
        place = services.add_person(squatted.email, "", "developer", 2, [])
    assert not place.agreed
    client = Client()
    client.post("/console/login/", {"username": squatted.email, "password": PASSWORD})
    assert acme.name.title() not in client.get("/console/").content.decode()
    assert client.get("/api/v1/collections").status_code == 401
    _, link = invited(acme, squatted.email)
    assert client.get(link)["location"] == JOIN
    assert client.post(JOIN)["location"] == "/console/"
    assert acme.name.title() in client.get("/console/").content.decode()
    assert place_in(acme, squatted.email).agreed
    assert client.get("/api/v1/collections").status_code == 200
