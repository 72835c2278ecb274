"""Signing in with a tenant's identity provider: the code flow against a real one, and confined to that tenant."""

from __future__ import annotations

import http.client
import time
from secrets import token_hex
from urllib.parse import parse_qs, urlsplit

import pytest
from django.conf import settings
from django.contrib.auth.hashers import make_password
from django.test import Client
from django.urls import reverse

from audit.models import Event
from config.provider_sign_in import AWAY, AWAY_SECONDS
from tenants import identity, invitations
from tenants.isolation import PLATFORM, Scope, current, scope
from tenants.isolation.middleware import CONFINED_KEY, TENANT_KEY
from tenants.models import Identity, IdentityProvider, Membership, Tenant, User
from tests.identity_provider import IdentityProvider as Realm

PASSWORD = "a long enough password"
SECRET = "s3cret: of / the client"


@pytest.fixture(scope="module")
def realm():
    made = Realm()
    yield made
    made.stop()


@pytest.fixture(autouse=True)
def reachable(realm, monkeypatch):
    """The provider is on loopback, and tells the truth until a test says otherwise."""
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    realm.twist, realm.refuses, realm.away, realm.ways = {}, "", False, ["client_secret_basic"]


def register(house, realm, secret=SECRET, **more):
    """A provider of a house's own."""
    client = f"client {token_hex(4)}"
    realm.clients[client] = secret
    values = {
        "name": f"SSO {token_hex(4)}",
        "issuer": realm.issuer,
        "audience": token_hex(8),
        "algorithms": ["RS256"],
        "department": house.departments["legal"],
        "sign_in": True,
        "email_trusted": True,
        "client_id": client,
        "client_secret": secret,
        **more,
    }
    with house.open():
        return identity.save(values)


@pytest.fixture
def provider(acme, realm):
    return register(acme, realm)


def page_of(house):
    return reverse("admin:sign_in_of", args=[house.name])


def sent_away(house, provider, client=None, **form):
    """A browser on its way to the provider, and where it was sent."""
    client = client or Client()
    answer = client.post(page_of(house), {"provider": str(provider.pk), **form})
    assert answer.status_code == 302, answer.content.decode()
    return client, answer["location"]


def at_provider(realm, address, **person):
    """What the provider answers: the path that the browser is sent back to."""
    realm.person = {"sub": f"subject-{token_hex(8)}", **person}
    parts = urlsplit(address)
    connection = http.client.HTTPConnection(parts.netloc, timeout=10)
    connection.request("GET", f"{parts.path}?{parts.query}")
    answer = connection.getresponse()
    connection.close()
    assert answer.status == 302
    back = urlsplit(answer.headers["location"])
    assert back.netloc == "testserver"
    return f"{back.path}?{back.query}"


def come_back(house, realm, provider, **person):
    """The whole way: the browser, and what it is shown at the end."""
    client, address = sent_away(house, provider)
    return client, client.get(at_provider(realm, address, **person))


def signed_in(house, realm, provider, **person):
    client, answer = come_back(house, realm, provider, **person)
    assert (answer.status_code, answer["location"]) == (302, "/console/"), answer.content.decode()
    return client


def member(house, role="developer", password=None):
    with house.open():
        user = User(email=f"ann-{token_hex(4)}@people.example", name="Ann", password=make_password(password))
        user.save(force_insert=True)
        Membership.objects.create(user=user, role=role, clearance=1)
    return user


# -- the way there and back -------------------------------------------------------------------------------------------


def test_a_member_signs_in_with_a_button_and_is_who_they_are(acme, realm, provider):
    ann = member(acme)
    assert f"Sign in with {provider.name}" in Client().get(page_of(acme)).content.decode()
    client, address = sent_away(acme, provider, next="/console/audit/event/")
    back = at_provider(realm, address, sub="ann-1", email=ann.email.upper())
    assert client.get(back)["location"] == "/console/audit/event/"
    assert acme.name.title() in client.get("/console/").content.decode()
    with acme.open():
        linked = Identity.objects.get(subject="ann-1")
        opened = Event.objects.get(action="session.open", actor_id=str(ann.pk))
        made = Event.objects.get(action="identity.create", object_id=str(linked.pk))
    assert (linked.user_id, opened.detail) == (ann.pk, {"provider": provider.name})
    assert (made.actor_type, made.actor_name) == ("identity_provider", provider.name)


def test_who_is_known_by_subject_stays_known_whatever_the_address(acme, realm, provider):
    ann = member(acme)
    signed_in(acme, realm, provider, sub="ann-2", email=ann.email)
    other = member(acme)
    client = signed_in(acme, realm, provider, sub="ann-2", email=other.email)
    assert client.session["_auth_user_id"] == str(ann.pk)
    client = signed_in(acme, realm, provider, sub="ann-2")
    assert client.session["_auth_user_id"] == str(ann.pk)


@pytest.mark.parametrize(
    ("secret", "ways"),
    [(SECRET, ["client_secret_basic"]), (SECRET, ["client_secret_post"]), ("", ["none"])],
)
def test_we_show_ourselves_as_the_provider_asks(acme, realm, secret, ways):
    realm.ways, ann = ways, member(acme)
    signed_in(acme, realm, register(acme, realm, secret), email=ann.email)


def test_our_secret_is_sealed_and_in_no_trail(acme, provider):
    with acme.open():
        row = IdentityProvider.objects.get(pk=provider.pk)
        events = str(list(Event.objects.filter(object_id=str(provider.pk)).values_list("detail", flat=True)))
    assert identity.open_secret(row) == SECRET
    assert SECRET.encode() not in bytes(row.sealed)
    assert SECRET not in events
    assert "sealed" not in events


@pytest.mark.parametrize(
    ("twist", "said"),
    [
        ({"nonce": "another"}, "another sign-in"),
        ({"nonce": None}, "another sign-in"),
        ({"aud": "another client"}, "another client"),
        ({"aud": ["another client", "and one more"]}, "another client"),
        ({"iss": "https://elsewhere.example"}, "another client"),
        ({"exp": 1}, "expired"),
        ({"azp": "another client"}, "another client"),
        ({"sub": None}, "says nobody"),
        ({"sub": "x" * 256}, "says nobody"),
        ({"key_id": "unpublished"}, "does not publish"),
    ],
)
def test_a_token_that_is_not_ours_now_lets_nobody_in(acme, realm, provider, twist, said):
    ann = member(acme)
    realm.private.setdefault("unpublished", Realm.made("RS256"))
    realm.twist = twist
    client, page = come_back(acme, realm, provider, email=ann.email)
    assert (page.status_code, said in page.content.decode()) == (403, True), page.content.decode()
    assert client.get("/console/").status_code == 302


def test_a_token_for_several_clients_says_for_which(acme, realm, provider):
    ann = member(acme)
    realm.twist = {"aud": [provider.client_id, "another client"]}
    assert come_back(acme, realm, provider, email=ann.email)[1].status_code == 403
    realm.twist |= {"azp": provider.client_id}
    signed_in(acme, realm, provider, email=ann.email)


def test_what_comes_back_must_be_the_answer_to_this_browsers_question(acme, realm, provider):
    ann = member(acme)
    client, address = sent_away(acme, provider)
    back = at_provider(realm, address, email=ann.email)
    assert Client().get(back).status_code == 400  # another browser
    other, _ = sent_away(acme, provider)
    assert other.get(back).status_code == 403  # another question
    state = parse_qs(urlsplit(back).query)["state"][0]
    assert client.get(back.replace(state, "x")).status_code == 403
    assert client.get(back).status_code == 400  # one attempt uses the question up
    assert all(one.get("/console/").status_code == 302 for one in (client, other))


def test_an_answer_of_another_provider_is_none(acme, realm, provider):
    ann, second = member(acme), register(acme, realm)
    client, address = sent_away(acme, provider)
    back = at_provider(realm, address, email=ann.email)
    assert client.get(back.replace(str(provider.pk), str(second.pk))).status_code == 400
    client, address = sent_away(acme, provider)
    back = at_provider(realm, address, email=ann.email)
    assert "Another provider" in client.get(back.replace("iss=http", "iss=https")).content.decode()


def test_an_answer_after_ten_minutes_is_none(acme, realm, provider):
    ann = member(acme)
    client, address = sent_away(acme, provider)
    session = client.session
    session[AWAY] = {**session[AWAY], "at": time.time() - AWAY_SECONDS - 1}
    session.save()
    assert client.get(at_provider(realm, address, email=ann.email)).status_code == 400


def test_a_code_is_worth_nothing_without_what_was_hashed(acme, realm, provider):
    ann = member(acme)
    client, address = sent_away(acme, provider)
    session = client.session
    session[AWAY]["started"]["verifier"] = "x" * 64
    session.save()
    page = client.get(at_provider(realm, address, email=ann.email))
    assert (page.status_code, "did not accept the code" in page.content.decode()) == (403, True)


def test_what_the_provider_refuses_is_said(acme, realm, provider):
    realm.refuses = "access_denied<script>"
    page = come_back(acme, realm, provider)[1]
    assert "did not sign you in (access_deniedscript)" in page.content.decode()


def test_a_provider_that_is_away_is_no_error_of_ours(acme, realm, provider):
    client, address = sent_away(acme, provider)
    back = at_provider(realm, address)
    realm.away = True
    assert client.get(back).status_code == 503
    page = Client().post(page_of(acme), {"provider": str(provider.pk)})
    assert (page.status_code, "cannot be reached" in page.content.decode()) == (503, True)


def test_it_sends_nobody_to_a_foreign_address(acme, realm, provider):
    ann = member(acme)
    client, address = sent_away(acme, provider, next="https://evil.example/")
    assert client.get(at_provider(realm, address, email=ann.email))["location"] == "/console/"


def test_going_there_needs_the_pages_own_form(acme, provider):
    client = Client(enforce_csrf_checks=True)
    assert client.post(page_of(acme), {"provider": str(provider.pk)}).status_code == 403


def test_a_tenant_that_does_not_exist_looks_as_one_without_providers(globex):
    pages = [Client().get(reverse("admin:sign_in_of", args=[slug])) for slug in (globex.name, "nobody")]
    texts = [page.content.decode().replace(slug, "") for page, slug in zip(pages, (globex.name, "nobody"), strict=True)]
    shown = [text.split("<main")[1].split("csrfmiddlewaretoken")[0] for text in texts]
    assert shown[0] == shown[1]
    assert [page.status_code for page in pages] == [200, 200]


# -- who they are here ------------------------------------------------------------------------------------------------


def test_somebody_unknown_is_refused_and_recorded(acme, realm, provider):
    page = come_back(acme, realm, provider, email=f"{token_hex(4)}@elsewhere.example")[1]
    assert "Ask an administrator to invite you" in page.content.decode()
    with acme.open():
        refused = Event.objects.get(action="session.refused", actor_id=str(provider.pk))
    assert "No member" in refused.reason


def test_an_address_counts_only_when_the_provider_answers_for_it(acme, realm):
    ann, wary = member(acme), register(acme, realm, email_trusted=False)
    assert "does not answer for your e-mail" in come_back(acme, realm, wary, email=ann.email)[1].content.decode()
    signed_in(acme, realm, wary, email=ann.email, email_verified=True)
    trusting = register(acme, realm)
    assert come_back(acme, realm, trusting, email=ann.email, email_verified=False)[1].status_code == 403


def test_who_is_invited_is_in_with_what_they_were_invited_to(acme, realm, provider):
    email = f"dora-{token_hex(4)}@acme.example"
    with acme.open():
        invitations.invite(email, "auditor", 2, [acme.departments["sales"]], "http://testserver")
    signed_in(acme, realm, provider, email=email, name="Dora Doe")
    with acme.open():
        place = Membership.objects.select_related("user").get(user__email=email)
        assert [department.slug for department in place.departments.all()] == ["sales"]
    assert (place.role, place.clearance, place.user.name) == ("auditor", 2, "Dora Doe")
    assert not place.user.has_usable_password()


def test_a_provider_makes_members_as_its_tables_say(acme, realm):
    tables = {
        "role_claim": "groups",
        "roles": {"bosses": "admin", "devs": "developer"},
        "department_claim": "groups",
        "departments": [["devs", str(acme.departments["sales"].pk)]],
        "clearance_claim": "groups",
        "clearances": {"devs": 2},
    }
    provider = register(acme, realm, makes_members=True, **tables)
    email = f"eve-{token_hex(4)}@acme.example"
    client = signed_in(acme, realm, provider, sub="eve", email=email, name="Eve", groups=["devs", "x"])
    with acme.open():
        place = Membership.objects.get(user__email=email)
        assert [department.slug for department in place.departments.all()] == ["sales"]
        Membership.objects.filter(pk=place.pk).update(role="member")
    assert (place.role, place.clearance) == ("developer", 2)
    assert "audit/event" in client.get("/console/").content.decode()
    signed_in(acme, realm, provider, sub="eve", email=email, groups=["bosses"])
    with acme.open():
        assert Membership.objects.get(pk=place.pk).role == "member"


def test_whose_claims_give_no_place_is_not_made_a_member(acme, realm):
    provider = register(acme, realm, makes_members=True, department=None)
    email = f"eve-{token_hex(4)}@acme.example"
    assert "stands for a department" in come_back(acme, realm, provider, email=email)[1].content.decode()
    with scope(Scope(login=email)):
        assert not User.objects.filter(email=email).exists()


def test_whom_the_tenant_sent_away_comes_back_by_invitation_alone(acme, realm):
    provider, email = register(acme, realm, makes_members=True), f"eve-{token_hex(4)}@acme.example"
    client = signed_in(acme, realm, provider, sub="gone", email=email)
    with acme.open():
        Membership.objects.filter(user__email=email).delete()
    assert client.get("/console/").status_code == 302
    assert (
        "do not belong to this tenant any more"
        in come_back(acme, realm, provider, sub="gone", email=email)[1].content.decode()
    )
    with acme.open():
        invitations.invite(email, "member", 0, [], "http://testserver")
    signed_in(acme, realm, provider, sub="gone", email=email)


@pytest.mark.parametrize("change", [{"active": False}, {"sign_in": False}])
def test_a_provider_that_is_switched_off_ends_its_sessions(acme, realm, provider, change):
    ann = member(acme)
    client = signed_in(acme, realm, provider, email=ann.email)
    assert client.get("/console/").status_code == 200
    with acme.open():
        IdentityProvider.objects.filter(pk=provider.pk).update(**change)
    assert client.get("/console/").status_code == 302
    assert client.get("/api/v1/models").status_code == 401
    assert provider.name not in Client().get(page_of(acme)).content.decode()


def test_a_providers_sign_in_stands_for_the_second_factor(acme, realm, provider):
    ann = member(acme)
    with acme.open():
        Tenant.objects.filter(pk=acme.tenant).update(require_second_factor=True)
    try:
        assert signed_in(acme, realm, provider, email=ann.email).get("/console/").status_code == 200
    finally:
        with acme.open():
            Tenant.objects.filter(pk=acme.tenant).update(require_second_factor=False)


# -- and nobody anywhere else -----------------------------------------------------------------------------------------


@pytest.fixture
def hostile(globex, realm):
    """Globex's provider says whatever it likes, and makes members."""
    return register(globex, realm, makes_members=True, role="admin", clearance=3)


@pytest.fixture
def victim(acme):
    """An owner of Acme with a password."""
    return member(acme, "owner", PASSWORD)


def stolen(globex, realm, hostile, email):
    """A browser in which Globex's provider has said somebody's address."""
    return signed_in(globex, realm, hostile, email=email)


def test_a_hostile_provider_opens_its_own_tenant_and_no_other(acme, globex, realm, hostile, victim):
    client = stolen(globex, realm, hostile, victim.email)
    assert globex.name.title() in client.get("/console/").content.decode()
    assert client.post(reverse("admin:open_tenant", args=[acme.tenant])).status_code == 404
    session = client.session
    session[TENANT_KEY] = str(acme.tenant)
    session.save()
    for path in ("/console/", "/console/tenants/tenant/", "/console/tenants/department/", "/console/audit/event/"):
        page = client.get(path).content.decode()
        assert acme.name not in page.lower().replace(victim.email, ""), path
        assert str(acme.tenant) not in page, path
    for path in ("tenants", "departments", "users", "memberships", "api-keys", "audit/events"):
        answer = client.get(f"/api/v1/{path}")
        assert answer.status_code == 200, path
        assert acme.name not in answer.content.decode().lower(), path
    assert client.get(f"/api/v1/departments/{acme.departments['legal'].pk}").status_code == 404


def test_it_changes_nothing_of_the_account(acme, globex, realm, hostile, victim):
    before = (victim.password, None, None)
    client = stolen(globex, realm, hostile, victim.email)
    new = {"old_password": PASSWORD, "new_password1": "quite another one 7", "new_password2": "quite another one 7"}
    assert client.post(reverse("admin:password_change"), new).status_code == 403
    assert client.get(reverse("admin:own_factor")).status_code == 302
    assert client.post(reverse("admin:own_factor"), {"act": "confirm", "code": "1"}).status_code == 302
    with scope(Scope(user=victim.pk)):
        now = User.objects.get(pk=victim.pk)
    assert (now.password, now.last_login, now.second_factor_at) == before


def test_it_accepts_no_invitation_in_the_persons_name(acme, globex, realm, hostile, victim, empty):
    with empty.open():
        _, link = invitations.invite(victim.email, "owner", 3, [], "http://testserver")
    client = stolen(globex, realm, hostile, victim.email)
    client.get(link.removeprefix("http://testserver"))
    client.post("/console/invitation/")
    with empty.open():
        assert not Membership.objects.filter(tenant=empty.tenant, user=victim).exists()


def test_the_platforms_own_people_gain_it_nothing(globex, acme, realm, hostile, operator):
    client = stolen(globex, realm, hostile, operator.email)
    listed = client.get(reverse("admin:tenants_tenant_changelist"), {"q": acme.name}).content.decode()
    assert acme.name.title() not in listed
    for tenant in (acme.tenant, PLATFORM):
        assert client.post(reverse("admin:open_tenant", args=[tenant])).status_code == 404
    assert client.post("/api/v1/tenants", {"slug": "x", "name": "X"}, "application/json").status_code == 403


def test_the_database_itself_holds_it_in(acme, globex, realm, hostile, victim):
    stolen(globex, realm, hostile, victim.email)
    with scope(Scope(tenant=globex.tenant, user=victim.pk, confined=True)):
        assert {place.tenant_id for place in Membership.objects.filter(user=victim)} == {globex.tenant}
        assert [tenant.pk for tenant in Tenant.objects.all()] == [globex.tenant]
        assert User.objects.filter(pk=victim.pk).update(name="stolen") == 0
    with scope(Scope(user=victim.pk, confined=True)):
        assert current() == ""
        assert not Membership.objects.exists()
        assert not User.objects.exists()


def test_a_confined_session_that_loses_its_mark_is_still_none_of_another_tenant(acme, globex, realm, hostile, victim):
    """The mark lies in the session, which the browser cannot write; who signs in anew begins without it."""
    client = stolen(globex, realm, hostile, victim.email)
    assert client.session[CONFINED_KEY]["tenant"] == str(globex.tenant)
    answer = client.post("/console/login/", {"username": victim.email, "password": PASSWORD})
    assert answer["location"] == "/console/"
    assert CONFINED_KEY not in client.session
    assert acme.name.title() in client.get("/console/").content.decode()


def test_what_one_tenants_provider_says_links_nobody_in_another(acme, globex, realm, hostile, provider, victim):
    """The same issuer, the same subject: each tenant's identities are its own."""
    stolen(globex, realm, hostile, victim.email)
    subject = realm.person["sub"]
    other = member(acme)
    client = signed_in(acme, realm, provider, sub=subject, email=other.email)
    assert client.session["_auth_user_id"] == str(other.pk)
