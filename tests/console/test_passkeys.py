"""Passkeys: behind the password or in its place, each challenge once, at this site, by their owner's device alone."""

from __future__ import annotations

import json
import threading
import time
from secrets import token_bytes

import pytest
from cryptography.hazmat.primitives.asymmetric import ec
from django.contrib.auth.hashers import make_password
from django.db import connections
from django.test import Client

from config.passkey_pages import CHALLENGE, CHALLENGE_SECONDS
from config.sign_in import ATTEMPTS
from tenants import passkeys, second_factor
from tenants.errors import PasskeyRefused
from tenants.isolation import PLATFORM, Scope, scope
from tenants.models import Membership, Passkey, SecondFactor, User
from tenants.passkeys import Site
from tests.console.authenticator import Authenticator
from tests.console.test_second_factor import (
    ASK,
    LOGIN,
    OWN,
    PASSWORD,
    code_of,
    events,
    half_in,
    person_in,
    place_of,
    set_up,
    strict,
    with_factor,
)

__all__ = ["strict"]
SITE = Site("localhost", "http://localhost")
ALONE, BEGIN_ALONE = "/console/passkey/", "/console/passkey/begin/"
BEGIN_BEHIND, BEGIN_OWN = "/console/second-factor/begin/", "/console/account/passkeys/begin/"


@pytest.fixture
def ann(acme):
    return person_in(acme)


def browser(**more):
    return Client(SERVER_NAME="localhost", **more)


def signed_in(user):
    client = browser()
    assert client.post(LOGIN, {"username": user.email, "password": PASSWORD})["location"] == "/console/"
    return client


def half(user, **more):
    return half_in(user, browser(**more))


def with_passkey(user, **more):
    """Gives somebody a passkey; the device that holds it."""
    device = Authenticator(**more)
    options, challenge = passkeys.begin_adding(SITE, user)
    passkeys.add(SITE, user, challenge, device.create(options), "My phone")
    return device


def options_of(client, url, **form):
    return client.post(url, form).json()["options"]


def add(client, device, name="My phone", **more):
    options = options_of(client, BEGIN_OWN, password=PASSWORD)
    return client.post(OWN, {"act": "add_passkey", "name": name, "answer": device.create(options, **more)})


def alone(device, client=None, **more):
    """Signs in with the passkey alone."""
    client = client or browser()
    return client.post(ALONE, {"answer": device.get(options_of(client, BEGIN_ALONE), **more)})


def behind(device, user, **more):
    client = half(user)
    return client.post(ASK, {"answer": device.get(options_of(client, BEGIN_BEHIND), **more)})


def reasons(house, user):
    return [one.detail.get("passkey") for one in events(house, user, "session.refused")]


# -- added and removed ------------------------------------------------------------------------------------------------


def test_somebody_adds_one_and_signs_in_with_it_both_ways(acme, ann):
    client, device = signed_in(ann), Authenticator()
    assert add(client, device)["location"] == OWN
    assert client.get("/console/").status_code == 200
    page = client.get(OWN).content.decode()
    assert "My phone" in page
    assert "never used" in page
    assert behind(device, ann)["location"] == "/console/audit/event/"
    browser_alone = browser()
    assert alone(device, browser_alone)["location"] == "/console/"
    assert browser_alone.get("/console/").status_code == 200
    assert "last used" in client.get(OWN).content.decode()
    factors = [one.detail.get("factor") for one in events(acme, ann, "session.open")]
    assert factors == [None, "passkey", "passkey_alone"]
    [made] = events(acme, ann, "passkey.create")
    assert "My phone" in str(made.detail)
    assert not any(word in str(made.detail) for word in ("public", "credential", "counter"))


def test_it_takes_the_password_to_add_or_remove_one(acme, ann):
    client, device = signed_in(ann), Authenticator()
    assert client.post(BEGIN_OWN, {"password": "wrong"}).json() == {"problem": "This is not your password."}
    assert client.post(BEGIN_OWN, {"password": "wrong"}).status_code == 403
    add(client, device)
    [passkey] = passkeys.listed(ann)
    form = {"act": "remove_passkey", "passkey": str(passkey.pk)}
    assert "not your password" in client.post(OWN, {**form, "password": "wrong"}).content.decode()
    assert len(passkeys.listed(ann)) == 1
    assert client.post(OWN, {**form, "password": PASSWORD})["location"] == OWN
    assert passkeys.listed(ann) == []
    assert len(events(acme, ann, "passkey.delete")) == 1
    assert alone(device).status_code == 403
    assert signed_in(ann).get("/console/").status_code == 200
    assert "removed already" in client.post(OWN, {**form, "password": PASSWORD}).content.decode()


def test_what_is_left_is_asked_for_and_other_sessions_as_well(ann):
    client, phone, key = signed_in(ann), Authenticator(), Authenticator()
    add(client, phone, "phone")
    other = browser()
    alone(phone, other)
    add(client, key, "key")
    assert other.get("/console/").status_code == 200
    lost = next(one for one in passkeys.listed(ann) if one.name == "phone")
    client.post(OWN, {"act": "remove_passkey", "passkey": str(lost.pk), "password": PASSWORD})
    assert client.get("/console/").status_code == 200
    assert other.get("/console/")["location"].startswith(LOGIN)
    assert behind(phone, ann).status_code == 403
    assert behind(key, ann).status_code == 302


def test_it_stands_beside_an_authenticator(ann):
    client, device = signed_in(ann), Authenticator()
    secret, _ = set_up(client)
    add(client, device)
    page = half(ann).get(ASK).content.decode()
    assert "recovery code" in page
    assert "Use a passkey" in page
    assert behind(device, ann).status_code == 302
    assert half(ann).post(ASK, {"code": code_of(secret, 1)}).status_code == 302
    client.post(OWN, {"act": "remove", "password": PASSWORD})
    assert not second_factor.has_authenticator(ann)
    page = half(ann).get(ASK).content.decode()
    assert "Use a passkey" in page
    assert 'name="code"' not in page
    assert client.get("/console/").status_code == 200


def test_an_authenticator_is_set_up_beside_a_passkey(ann):
    client = signed_in(ann)
    add(client, Authenticator())
    assert "<svg" not in client.get(OWN).content.decode().split("ch-factor", 1)[1]
    page = client.get(OWN + "?authenticator").content.decode()
    secret = page.split('ch-typed">', 1)[1].split("<", 1)[0].replace(" ", "")
    assert "recovery codes" in client.post(OWN, {"act": "confirm", "code": code_of(secret)}).content.decode()
    assert client.get("/console/").status_code == 200


def test_where_a_second_factor_is_demanded_a_passkey_is_one(strict):
    eve = person_in(strict)
    client = signed_in(eve)
    assert client.get("/console/", follow=True).redirect_chain[-1][0] == OWN
    add(client, Authenticator())
    assert client.get("/console/").status_code == 200
    [passkey] = passkeys.listed(eve)
    client.post(OWN, {"act": "remove_passkey", "passkey": str(passkey.pk), "password": PASSWORD})
    assert client.get("/console/", follow=True).redirect_chain[-1][0] == OWN


def test_an_admin_resets_passkeys_as_well(acme, ann, as_role):
    device = with_passkey(ann)
    answer = as_role("admin").post(
        f"/console/tenants/membership/{place_of(acme, ann).pk}/reset/", {"reason": "lost the phone"}, follow=True
    )
    assert "passkeys were removed as well" in answer.content.decode()
    assert alone(device).status_code == 403
    assert signed_in(ann).get("/console/").status_code == 200
    [event] = [one for one in events(acme, acme.people["admin"], "passkey.delete") if one.reason]
    assert event.reason == "lost the phone"


@pytest.mark.parametrize("first", ["remove", "add"])
def test_whoever_adds_one_while_the_last_is_removed_is_asked_for_it(ann, first):
    """Neither change sees the other before it is done; together they must leave no passkey that nobody asks for."""
    with_passkey(ann)
    [last], device = passkeys.listed(ann), Authenticator()
    with scope(Scope(user=ann.pk)):
        adder, remover = User.objects.get(pk=ann.pk), User.objects.get(pk=ann.pk)
    acts = {
        "add": lambda: passkeys.add(SITE, adder, challenge, answer, "second"),
        "remove": lambda: passkeys.remove(remover, last.pk),
    }
    options, challenge = passkeys.begin_adding(SITE, ann)
    answer = device.create(options)

    def come():
        acts[{"add": "remove", "remove": "add"}[first]]()
        connections.close_all()

    other = threading.Thread(target=come)
    with scope(Scope(user=ann.pk)):
        acts[first]()
        other.start()
        other.join(0.5)
    other.join()
    assert half(ann).get(ASK).status_code == 200
    assert alone(device).status_code == 302


def test_twenty_are_enough(ann, monkeypatch):
    monkeypatch.setattr(passkeys, "MOST", 1)
    client = signed_in(ann)
    add(client, Authenticator())
    refused = client.post(BEGIN_OWN, {"password": PASSWORD})
    assert (refused.status_code, "Remove one" in refused.json()["problem"]) == (409, True)


def test_nobody_registers_somebody_elses(ann, acme):
    device = with_passkey(ann)
    eve = person_in(acme)
    assert "in use already" in add(signed_in(eve), device).content.decode()
    assert passkeys.listed(eve) == []


@pytest.mark.parametrize(
    ("device", "said"),
    [
        ({"origin": "https://evil.example"}, {}),
        ({"origin": "http://localhost:81"}, {}),
        ({"host": "evil.example"}, {}),
        ({}, {"challenge": "AAAAAAAAAAAAAAAAAAAAAA"}),
        ({}, {"type": "webauthn.get"}),
        ({}, {"crossOrigin": True}),
    ],
)
def test_what_was_made_elsewhere_is_not_kept(ann, device, said):
    client = signed_in(ann)
    assert "not accepted" in add(client, Authenticator(**device), **said).content.decode()
    assert passkeys.listed(ann) == []


# -- signing in -------------------------------------------------------------------------------------------------------


def test_a_challenge_is_answered_once(acme, ann):
    device, client = with_passkey(ann, counter=None), browser()
    answer = device.get(options_of(client, BEGIN_ALONE))
    kept = client.session[CHALLENGE]
    assert client.post(ALONE, {"answer": answer}).status_code == 302
    assert "Start again" in browser().post(ALONE, {"answer": answer}).content.decode()
    again = browser()
    options_of(again, BEGIN_ALONE)
    assert again.post(ALONE, {"answer": answer}).status_code == 403
    session = again.session  # even where a session were brought back
    session[CHALLENGE] = kept
    session.save()
    assert again.post(ALONE, {"answer": answer}).status_code == 403
    assert reasons(acme, ann) == ["Wrong challenge in response.", "challenge used"]


def test_a_wrong_answer_uses_it_up(ann):
    device, client = with_passkey(ann), browser()
    options = options_of(client, BEGIN_ALONE)
    assert client.post(ALONE, {"answer": "{}"}).status_code == 403
    assert client.post(ALONE, {"answer": device.get(options)}).status_code == 400


def test_of_four_with_the_same_answer_one_is_let_in(ann):
    device = with_passkey(ann, counter=None)
    options, challenge = passkeys.begin(SITE, ann)
    answer, barrier, outcomes = device.get(options), threading.Barrier(4), []

    def come():
        barrier.wait()
        try:
            passkeys.check(SITE, ann, challenge, answer, alone=True)
            outcomes.append("in")
        except PasskeyRefused as refusal:
            outcomes.append(refusal.reason)
        connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["challenge used"] * 3 + ["in"]


def test_a_challenge_expires_and_is_for_what_it_was_given_out_for(ann):
    device, client = with_passkey(ann), browser()
    options = options_of(client, BEGIN_ALONE)
    session = client.session
    session[CHALLENGE] = {**session[CHALLENGE], "at": time.time() - CHALLENGE_SECONDS - 1}
    session.save()
    assert client.post(ALONE, {"answer": device.get(options)}).status_code == 400
    client = half(ann)
    options = options_of(client, BEGIN_BEHIND)
    assert client.post(ALONE, {"answer": device.get(options)}).status_code == 400
    options = options_of(client, BEGIN_ALONE)
    assert client.post(ASK, {"answer": device.get(options)}).status_code == 400


@pytest.mark.parametrize("way", [alone, behind])
@pytest.mark.parametrize(
    ("said", "reason"),
    [
        ({"origin": "https://evil.example"}, "Invalid origin"),
        ({"origin": "http://localhost.evil.example"}, "Invalid origin"),
        ({"type": "webauthn.create"}, "Incorrect type"),
        ({"crossOrigin": True}, "another site"),
        ({"key": ec.generate_private_key(ec.SECP256R1())}, "Invalid signature"),
        ({"counter": 1}, "counter went back"),
        ({"counter": 0}, "counter went back"),
    ],
)
def test_what_is_not_right_is_refused_and_recorded(acme, ann, way, said, reason):
    device = with_passkey(ann)
    args = (device,) if way is alone else (device, ann)
    answer = way(*args, **said)
    assert (answer.status_code, "not accepted" in answer.content.decode()) == (403, True)
    [recorded] = reasons(acme, ann)
    assert reason in recorded
    assert events(acme, ann, "session.open") == []
    assert way(*args, counter=9).status_code == 302


def test_it_is_of_one_host(acme, ann):
    device = with_passkey(ann)
    device.host = "evil.example"
    assert alone(device).status_code == 403
    assert reasons(acme, ann) == ["Wrong RP ID hash in response."]


def test_alone_the_device_must_have_verified_whoever_holds_it(acme, ann):
    device = with_passkey(ann)
    assert alone(device, verified=False).status_code == 403
    assert "User verification" in reasons(acme, ann)[0]
    assert behind(device, ann, verified=False).status_code == 302


def test_another_persons_passkey_opens_nothing(acme, ann):
    eve = person_in(acme)
    hers, anns = with_passkey(eve), with_passkey(ann)
    assert behind(hers, ann).status_code == 403
    assert behind(hers, ann, handle=ann.pk.bytes).status_code == 403
    assert alone(hers, handle=ann.pk.bytes).status_code == 403
    hers.id = anns.id  # Ann's passkey by name, signed with Eve's key
    assert alone(hers, handle=ann.pk.bytes).status_code == 403
    assert reasons(acme, ann) == ["another person", "unknown passkey", "unknown passkey", "Invalid signature."]
    assert events(acme, ann, "session.open") == []


@pytest.mark.parametrize("answer", ["", "{}", "[]", "null", "é", '{"id": 1}', "[" * 9000, "x" * 30_000])
def test_nonsense_is_refused(ann, answer):
    with_passkey(ann)
    client = browser()
    options_of(client, BEGIN_ALONE)
    assert client.post(ALONE, {"answer": answer}).status_code == 403
    client = half(ann)
    options_of(client, BEGIN_BEHIND)
    assert client.post(ASK, {"answer": answer}).status_code == 403
    client = half(ann)
    options = options_of(client, BEGIN_BEHIND)
    torn = json.loads(Authenticator().get(options))
    torn["response"]["authenticatorData"] = "AAAA"
    assert client.post(ASK, {"answer": json.dumps(torn)}).status_code == 403


def test_nobody_and_no_challenge(database):
    device = Authenticator()
    device.user = token_bytes(16)
    assert alone(device).status_code == 403
    device.user = b"short"
    assert alone(device).status_code == 403
    assert browser().post(ALONE, {"answer": "{}"}).status_code == 400
    assert browser().get(ALONE)["location"] == LOGIN
    assert browser().post(BEGIN_BEHIND).status_code == 403
    assert browser().post(BEGIN_OWN, {"password": PASSWORD}).status_code == 403
    assert browser().get(BEGIN_ALONE).status_code == 405


def test_who_is_disabled_or_has_no_password_is_not_let_in(ann):
    device = with_passkey(ann)
    for change in ({"is_active": False}, {"is_active": True, "password": make_password(None)}):
        with scope(Scope(user=ann.pk)):
            User.objects.filter(pk=ann.pk).update(**change)
        assert alone(device).status_code == 403
    with scope(Scope(user=ann.pk)):
        User.objects.filter(pk=ann.pk).update(password=ann.password)
    assert alone(device).status_code == 302


def test_who_has_no_place_any_more_sees_nothing(acme, ann):
    device, client = with_passkey(ann), browser()
    with acme.open():
        Membership.objects.filter(user=ann).delete()
    alone(device, client)
    assert client.get("/console/").status_code == 302


def test_wrong_answers_close_the_way_for_a_while(ann):
    device = with_passkey(ann)
    for _ in range(ATTEMPTS):
        alone(device, origin="https://evil.example")
    refused = alone(device)
    assert (refused.status_code, "Wait a quarter" in refused.content.decode()) == (429, True)
    assert alone(device, browser(REMOTE_ADDR="192.0.2.9")).status_code == 302


def test_behind_the_password_alone_no_passkey_is_added(ann):
    with_factor(ann)
    client = half(ann)
    assert client.post(BEGIN_OWN, {"password": PASSWORD}).status_code == 403


def test_no_tenants_scope_sees_a_passkey_and_no_confined_one(acme, ann):
    with_passkey(ann)
    for opened in (acme.open(user=acme.people["owner"].pk), scope(PLATFORM), scope(Scope(user=ann.pk, confined=True))):
        with opened:
            assert not Passkey.objects.exists()
            assert Passkey.objects.update(name="mine") == 0
    with scope(Scope(user=ann.pk)):
        assert Passkey.objects.count() == 1
        assert not SecondFactor.objects.exists()


def test_onward_leads_nowhere_else(ann):
    device = with_passkey(ann)
    for wanted, led in (("/console/audit/event/", "/console/audit/event/"), ("https://evil.example", "/console/")):
        client = browser()
        answer = device.get(options_of(client, BEGIN_ALONE))
        assert client.post(ALONE, {"answer": answer, "next": wanted})["location"] == led
