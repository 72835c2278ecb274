"""The second factor: behind the password, never twice the same, not guessed, and somebody's own."""

from __future__ import annotations

import re
import threading
import time
from secrets import token_hex

import pyotp
import pytest
from django.contrib.auth.hashers import make_password
from django.db import connection, connections
from django.test import Client
from django.utils import timezone

from audit.models import Event
from config.second_factor import HALF, HALF_SECONDS
from tenants import second_factor
from tenants.errors import TooManyTries
from tenants.isolation import PLATFORM, Scope, scope
from tenants.models import Membership, SecondFactor, Tenant, User

PASSWORD = "a long enough password"
HASH = make_password(PASSWORD)
LOGIN, ASK, OWN = "/console/login/", "/console/second-factor/", "/console/account/second-factor/"


def person_in(house, role="admin", home=None):
    with scope((home or house).tenant):
        user = User(email=f"ann-{token_hex(4)}@acme.example", name="Ann", password=HASH)
        user.save(force_insert=True)
    with house.open():
        Membership.objects.create(user=user, role=role, clearance=1)
    return user


@pytest.fixture
def ann(acme):
    return person_in(acme)


def code_of(secret, ahead=0):
    return pyotp.TOTP(secret).generate_otp(int(time.time()) // 30 + ahead)


def with_factor(user):
    """Sets one up, and returns its secret and recovery codes."""
    fresh = second_factor.begin(user)
    codes = second_factor.confirm(user, fresh.sealed, code_of(fresh.secret, -1))
    assert codes is not None
    return fresh.secret, codes


def half_in(user, client=None):
    """A browser that has shown the password."""
    client = client or Client()
    answer = client.post(LOGIN, {"username": user.email, "password": PASSWORD, "next": "/console/audit/event/"})
    assert (answer.status_code, answer["location"]) == (302, ASK)
    return client


def signed_in(user):
    client = Client()
    assert client.post(LOGIN, {"username": user.email, "password": PASSWORD})["location"] == "/console/"
    return client


def set_up(client):
    """Sets one up in the console; the secret and the page with the recovery codes."""
    page = client.get(OWN).content.decode()
    assert "<svg" in page
    secret = re.search(r'ch-typed">([A-Z2-7 ]+)<', page)[1].replace(" ", "")
    return secret, client.post(OWN, {"act": "confirm", "code": code_of(secret)})


def events(house, user, action):
    with house.open():
        return list(Event.objects.filter(actor_id=str(user.pk), action=action).order_by("seq"))


def test_somebody_sets_it_up_and_is_asked_from_then_on(acme, ann):
    client = signed_in(ann)
    secret, page = set_up(client)
    codes = re.findall(r"<li><code>([a-z0-9-]{14})</code>", page.content.decode())
    assert len(set(codes)) == 10
    assert "no-store" in page["cache-control"]
    assert client.get("/console/").status_code == 200
    again = half_in(ann)
    answer = again.post(ASK, {"code": code_of(secret, 1)})
    assert answer["location"] == "/console/audit/event/"
    assert again.get("/console/").status_code == 200
    [made] = events(acme, ann, "second_factor.create")
    assert secret not in str(made.detail)
    assert events(acme, ann, "session.open")[-1].detail == {"factor": "totp"}


def test_behind_the_password_alone_there_is_nothing(acme, ann):
    with_factor(ann)
    client = half_in(ann)
    assert client.get("/console/")["location"].startswith(LOGIN)
    assert client.get(OWN).status_code == 302
    assert client.get("/api/v1/departments").status_code == 401
    assert client.post("/console/password_change/", {"old_password": PASSWORD}).status_code == 302
    assert events(acme, ann, "session.open") == []


def test_nobody_is_asked_for_a_code_who_has_shown_no_password(database, client):
    assert client.get(ASK)["location"] == LOGIN
    assert client.post(ASK, {"code": "123456"})["location"] == LOGIN


@pytest.mark.parametrize("code", ["000000", "", "é☂", "123", "abcd-efgh-ijkm"])
def test_a_wrong_code_is_refused_and_recorded_without_it(acme, ann, code):
    with_factor(ann)
    client = half_in(ann)
    assert "This code is wrong" in client.post(ASK, {"code": code}).content.decode()
    assert client.get("/console/").status_code == 302
    [refused] = events(acme, ann, "session.refused")
    assert refused.detail == {"address": "127.0.0.1", "factor": True}


def test_a_code_is_used_once(ann):
    secret, _ = with_factor(ann)
    code = code_of(secret)
    assert half_in(ann).post(ASK, {"code": code})["location"] == "/console/audit/event/"
    assert half_in(ann).post(ASK, {"code": code}).status_code == 200
    assert half_in(ann).post(ASK, {"code": code_of(secret, -1)}).status_code == 200
    assert half_in(ann).post(ASK, {"code": code_of(secret, 1)}).status_code == 302


def test_a_code_from_before_or_far_ahead_is_none(ann):
    secret, _ = with_factor(ann)
    for ahead in (-3, -2, 3, 4):
        assert second_factor.check(ann, code_of(secret, ahead)) == ""


@pytest.mark.parametrize("kind", ["totp", "recovery"])
def test_of_two_with_the_same_code_at_the_same_moment_one_is_let_in(ann, kind):
    secret, codes = with_factor(ann)
    code = code_of(secret) if kind == "totp" else codes[0]
    barrier, outcomes = threading.Barrier(4), []

    def come():
        barrier.wait()
        outcomes.append(second_factor.check(ann, code))
        connections.close_all()

    threads = [threading.Thread(target=come) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert sorted(outcomes) == ["", "", "", kind]


def test_a_recovery_code_is_used_once_however_it_is_typed(ann):
    _, codes = with_factor(ann)
    typed = codes[0].upper().replace("-", " ")
    assert half_in(ann).post(ASK, {"code": typed})["location"] == "/console/audit/event/"
    assert half_in(ann).post(ASK, {"code": codes[0]}).status_code == 200
    assert second_factor.left(ann) == 9


def test_codes_are_not_guessed_from_however_many_addresses(ann):
    secret, codes = with_factor(ann)
    clients = [half_in(ann, Client(REMOTE_ADDR=f"192.0.2.{number}")) for number in (1, 2)]
    for number in range(second_factor.ATTEMPTS):
        clients[number % 2].post(ASK, {"code": "000000"})
    for code in (code_of(secret), codes[0]):
        answer = clients[0].post(ASK, {"code": code})
        assert (answer.status_code, "Wait a quarter of an hour" in answer.content.decode()) == (429, True)
    with pytest.raises(TooManyTries):
        second_factor.check(ann, code_of(secret))
    with scope(Scope(user=ann.pk)):
        SecondFactor.objects.update(tries_since=timezone.now() - second_factor.PAUSE)
    assert second_factor.check(ann, code_of(secret)) == "totp"


def test_the_password_that_was_shown_counts_for_ten_minutes_and_while_it_is_one(ann):
    secret, _ = with_factor(ann)
    client = half_in(ann)
    session = client.session
    session[HALF] = {**session[HALF], "at": time.time() - HALF_SECONDS - 1}
    session.save()
    assert client.post(ASK, {"code": code_of(secret)})["location"] == LOGIN
    client = half_in(ann)
    with scope(Scope(user=ann.pk)):
        User.objects.filter(pk=ann.pk).update(password=make_password("changed elsewhere"))
    assert client.post(ASK, {"code": code_of(secret)})["location"] == LOGIN


def test_sessions_from_before_are_asked_as_well(ann):
    before, client = signed_in(ann), signed_in(ann)
    set_up(client)
    assert before.get("/console/")["location"].startswith(LOGIN)
    assert "second factor now" in before.get(LOGIN).content.decode()
    assert before.get("/api/v1/departments").status_code == 401
    assert client.get("/api/v1/departments").status_code == 200


def test_the_secret_is_sealed_and_of_codes_hashes_are_kept(ann):
    secret, codes = with_factor(ann)
    with scope(Scope(user=ann.pk)), connection.cursor() as cursor:
        cursor.execute("select f.*, encode(f.sealed, 'escape') from tenants_secondfactor f")
        kept = str(cursor.fetchall())
    assert secret not in kept
    assert not any(code in kept or code.replace("-", "") in kept for code in codes)


def test_a_secret_of_one_person_is_none_of_another(ann, acme):
    fresh = second_factor.begin(ann)
    with pytest.raises(Exception, match=r"^$"):  # cryptography's InvalidTag
        second_factor.begun(acme.people["owner"], fresh.sealed)


def test_removing_it_and_new_codes_need_the_password(acme, ann):
    client = signed_in(ann)
    secret, _ = set_up(client)
    for act in ("renew", "remove"):
        assert "not your password" in client.post(OWN, {"act": act, "password": "wrong"}).content.decode()
    renewed = client.post(OWN, {"act": "renew", "password": PASSWORD}).content.decode()
    [code, *_] = re.findall(r"<li><code>([a-z0-9-]{14})</code>", renewed)
    assert second_factor.check(ann, code) == "recovery"
    assert client.post(OWN, {"act": "remove", "password": PASSWORD})["location"] == OWN
    assert signed_in(ann).get("/console/").status_code == 200
    assert second_factor.check(ann, code_of(secret, 1)) == ""
    assert len(events(acme, ann, "second_factor.delete")) == 1


@pytest.fixture
def strict(globex):
    """Globex, which demands a second factor."""
    with globex.open():
        Tenant.objects.filter(pk=globex.tenant).update(require_second_factor=True)
    yield globex
    with globex.open():
        Tenant.objects.filter(pk=globex.tenant).update(require_second_factor=False)


def test_where_it_is_demanded_no_page_is_shown_before(strict):
    eve = person_in(strict)
    client = signed_in(eve)
    for path in ("/console/", "/console/tenants/apikey/", "/console/password_change/"):
        page = client.get(path, follow=True)
        assert page.redirect_chain[-1][0] == OWN, path
        assert "Your tenant asks its members for one" in page.content.decode()
        assert strict.name not in page.content.decode()
    assert client.get("/api/v1/departments").status_code == 401
    assert client.post("/console/tenants/department/add/", {"slug": "x", "name": "X"})["location"].startswith(LOGIN)
    set_up(client)
    assert client.get("/console/").status_code == 200
    client.post(OWN, {"act": "remove", "password": PASSWORD})
    assert client.get("/console/", follow=True).redirect_chain[-1][0] == OWN


def test_the_platforms_people_visit_such_a_tenant_with_one_only(strict, operator, enter):
    client = enter(operator)
    assert client.post(f"/console/open/{strict.tenant}/").status_code == 404
    assert client.get("/console/").status_code == 200


def test_the_owner_demands_it(acme, as_role):
    form = {"name": "Acme", "slug": acme.name, "rpm": "", "tpm": "", "require_second_factor": "on"}
    url = f"/console/tenants/tenant/{acme.tenant}/change/"
    assert as_role("admin").post(url, form).status_code == 403
    owner = as_role("owner")
    assert owner.post(url, form).status_code == 302
    assert owner.get("/console/", follow=True).redirect_chain[-1][0] == OWN
    with acme.open():
        Tenant.objects.filter(pk=acme.tenant).update(require_second_factor=False)


def place_of(house, user):
    with house.open():
        return Membership.objects.get(user=user, tenant=house.tenant)


def test_an_admin_resets_what_somebody_lost(acme, ann, as_role):
    with_factor(ann)
    url = f"/console/tenants/membership/{place_of(acme, ann).pk}"
    client = as_role("admin")
    assert f"{url}/reset/" in client.get(f"{url}/change/").content.decode()
    assert "really they who ask" in client.get(f"{url}/reset/").content.decode()
    assert client.post(f"{url}/reset/", {"reason": "lost the phone"}).status_code == 302
    [event] = [one for one in events(acme, acme.people["admin"], "second_factor.delete") if one.reason]
    assert event.reason == "lost the phone"
    assert signed_in(ann).get("/console/").status_code == 200


def test_nobody_resets_the_factor_of_somebody_above_them(acme, as_role):
    owner = person_in(acme, "owner")
    with_factor(owner)
    url = f"/console/tenants/membership/{place_of(acme, owner).pk}/reset/"
    assert as_role("admin").post(url, {}).status_code == 403
    assert as_role("auditor").post(url, {}).status_code in (403, 404)
    assert half_in(owner)


def test_no_other_tenant_weakens_an_account(acme, globex, operator, enter):
    """Globex adds somebody of Acme, and resets nothing: only Acme's administrators do, or the platform's people."""
    ann = person_in(acme)
    with_factor(ann)
    with globex.open():
        there = Membership.objects.create(user=ann, role="member")
    url = f"/console/tenants/membership/{there.pk}/reset/"
    assert "not made in this tenant" in enter(globex.people["charlie"]).post(url, {"reason": "x"}).content.decode()
    assert half_in(ann)
    visitor = enter(operator)
    visitor.post(f"/console/open/{globex.tenant}/")
    assert visitor.post(url, {"reason": "x"}).status_code == 302
    assert signed_in(ann)
    with globex.open():
        Membership.objects.filter(pk=there.pk).delete()


def test_no_tenants_scope_sees_a_factor(acme, ann):
    with_factor(ann)
    with acme.open(user=acme.people["owner"].pk):
        assert not SecondFactor.objects.exists()
        assert SecondFactor.objects.update(tries=0) == 0
    with scope(PLATFORM):
        assert not SecondFactor.objects.exists()


def test_joining_takes_no_session_that_has_not_shown_it(acme, globex, enter):
    from tests.console.test_joining import JOIN, invited

    ann = person_in(acme)
    client = enter(ann)
    with_factor(ann)
    _, link = invited(globex, ann.email, giver="charlie")
    client.get(link)
    client.post(JOIN)
    with globex.open():
        assert not Membership.objects.filter(user=ann, tenant=globex.tenant).exists()


def test_a_reset_over_the_api_is_for_those_who_change_people(acme, ann, enter):
    from tenants.services import make_key

    with acme.open():
        keys = {role: make_key(name=role, department=None, role=role)[1] for role in ("admin", "auditor")}
    with_factor(ann)
    url, headers = (
        f"/api/v1/users/{ann.pk}/reset-second-factor",
        {role: {"authorization": f"Bearer {key}"} for role, key in keys.items()},
    )
    assert Client().get(f"/api/v1/users/{ann.pk}", headers=headers["admin"]).json()["second_factor_at"] is not None
    assert Client().post(url, headers=headers["auditor"]).status_code == 403
    assert Client().post(url, headers=headers["admin"]).status_code == 204
    assert signed_in(ann)
