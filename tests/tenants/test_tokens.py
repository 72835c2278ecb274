"""Tokens of a tenant's identity provider: whom they let in, as what, and everything that they do not."""

from __future__ import annotations

import base64
import hashlib
import hmac
import json
import time
from secrets import token_hex
from typing import Any

import jwt
import pytest
from cryptography.hazmat.primitives import serialization
from django.conf import settings

from tenants import identity, key_sets, services
from tenants.errors import DirectoryUnavailable, Taken, UnknownCredential
from tenants.isolation import scope
from tenants.models import IdentityProvider as Row
from tenants.models import Membership
from tests.conftest import House
from tests.identity_provider import AUDIENCE, IdentityProvider
from tests.tenants.conftest import Worker


def register(tenant: House, provider: IdentityProvider, **more: Any) -> Row:
    """Acme's owner registers a provider whose people work in legal unless a claim says otherwise."""
    values = {"issuer": provider.issuer, "audience": AUDIENCE, "algorithms": ["RS256"], "name": token_hex(4), **more}
    with scope(tenant.id):
        return identity.save({"department": tenant.departments.get("legal"), **values})


def change(tenant: House, row: Row, **values: Any) -> None:
    with scope(tenant.id):
        identity.save(values, Row.objects.get(pk=row.pk))


def refused(worker: Worker, token: str, because: str) -> None:
    with pytest.raises(UnknownCredential, match=because):
        worker.identify(token)


def soon(worker: Worker, token: str, because: str, seconds: float = 1.0) -> None:
    """The worker refuses a token within the time in which revocations must hold."""
    until = time.monotonic() + seconds
    while time.monotonic() < until:
        try:
            worker.identify(token)
        except UnknownCredential:
            return refused(worker, token, because)
        time.sleep(0.02)
    raise AssertionError("it was still let in")


def test_a_token_is_a_caller_for_calls_alone(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider, rpm=30)
    caller = worker.identify(provider.token(name="Alice Roe"))
    assert caller.actor == {"type": "subject", "id": "alice-7", "name": "Alice Roe"}
    assert (caller.tenant, caller.key, caller.role, caller.clearance) == (acme.id, None, "member", 1)
    assert (caller.department_slug, caller.rpm) == ("legal", 30)
    assert caller.may("models.call")
    assert not any(caller.may(right) for right in ("keys.view", "usage.view", "events.view", "collections.view"))


def test_one_person_is_one_user_and_another_is_another(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    first, again, other = (worker.identify(provider.token(sub=sub, jti=token_hex(4))) for sub in ("a", "a", "b"))
    assert first.user == again.user != other.user


def test_claims_give_departments_role_and_clearance(acme: House, worker: Worker, provider: IdentityProvider):
    legal, sales = (str(acme.departments[slug].pk) for slug in ("legal", "sales"))
    register(
        acme,
        provider,
        department_claim="groups",
        departments=[["Sales EMEA", sales], ["Counsel", legal]],
        role_claim="realm_access.roles",
        roles={"dev": "developer", "m": "member"},
        clearance_claim="https://acme.example/level",
        clearances={"2": 2, "3": 3},
    )
    claims = {"realm_access": {"roles": ["m", "dev", "unknown"]}, "https://acme.example/level": 2}
    caller = worker.identify(provider.token(groups=["Counsel", "Sales EMEA", "x"], **claims))
    assert (caller.department_slug, caller.role, caller.clearance) == ("sales", "developer", 2)
    assert {str(place) for place in caller.departments or ()} == {legal, sales}
    plain = worker.identify(provider.token(groups="Counsel"))
    assert (plain.department_slug, plain.role, plain.clearance) == ("legal", "member", 1)


def test_claims_that_stand_for_nothing_let_nobody_in(acme: House, worker: Worker, provider: IdentityProvider):
    legal = str(acme.departments["legal"].pk)
    row = register(acme, provider, department=None, department_claim="groups", departments=[["Counsel", legal]])
    refused(worker, provider.token(groups=["Elsewhere"]), "`groups` stands for a department")
    change(acme, row, role="", role_claim="roles", roles={"dev": "developer"})
    time.sleep(0.3)
    refused(worker, provider.token(groups=["Counsel"], roles=["x"]), "`roles` stands for a role")
    refused(worker, provider.token(groups=["Counsel"], roles=["dev"], sub=None), "lacks the claim `sub`")


@pytest.mark.parametrize("algorithm", ["RS256", "PS256", "ES256", "EdDSA"])
def test_it_knows_the_ways_of_signing(acme: House, worker: Worker, provider: IdentityProvider, algorithm: str):
    register(acme, provider, algorithms=[algorithm])
    provider.publish("own", algorithm)
    assert worker.identify(provider.token("own")).subject == "alice-7"


def test_times_are_kept_within_the_skew(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider, clock_skew=30)
    now = int(time.time())
    assert worker.identify(provider.token(exp=now - 20))
    assert worker.identify(provider.token(nbf=now + 20))
    refused(worker, provider.token(exp=now - 40), "expired")
    refused(worker, provider.token(nbf=now + 60), "not valid yet")
    refused(worker, provider.token(iat=now + 60), "not valid yet")
    refused(worker, provider.token(exp=None), "`exp`")


def test_a_token_that_was_right_ends_with_its_time(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider, clock_skew=0)
    token = provider.token(exp=int(time.time()) + 2)
    assert worker.identify(token)
    soon(worker, token, "expired", 3)


@pytest.mark.parametrize(
    ("claims", "because"),
    [
        ({"iss": "https://elsewhere.example"}, "No tenant has registered"),
        ({"aud": "another"}, "No tenant has registered"),
        ({"aud": ["another", 7]}, "No tenant has registered"),
        ({"aud": None}, "no audience"),
        ({"iss": None}, "no issuer"),
    ],
)
def test_whom_it_is_of_and_for_must_be_registered(
    acme: House, worker: Worker, provider: IdentityProvider, claims: dict[str, Any], because: str
):
    register(acme, provider)
    refused(worker, provider.token(**claims), because)


def test_several_audiences_are_fine_when_one_is_ours(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    assert worker.identify(provider.token(aud=["account", AUDIENCE]))


def part(value: dict[str, Any]) -> str:
    return base64.urlsafe_b64encode(json.dumps(value).encode()).decode().rstrip("=")


def test_nothing_but_the_published_key_signs(acme: House, worker: Worker, provider: IdentityProvider):
    """Without a signature, with the public key as a shared secret, with another's key, with the body changed."""
    register(acme, provider)
    good = provider.token()
    head, body, signature = good.split(".")
    claims = jwt.decode(good, options={"verify_signature": False})
    refused(worker, f"{part({'alg': 'none', 'typ': 'JWT'})}.{body}.", "must be signed with RS256")
    public = provider.private["first"][1].public_key()
    pem = public.public_bytes(serialization.Encoding.PEM, serialization.PublicFormat.SubjectPublicKeyInfo)
    confused = f"{part({'alg': 'HS256', 'kid': 'first'})}.{body}"
    mac = base64.urlsafe_b64encode(hmac.digest(pem, confused.encode(), hashlib.sha256)).decode().rstrip("=")
    refused(worker, f"{confused}.{mac}", "must be signed with RS256")
    stranger = IdentityProvider()
    stranger.stop()
    stolen = jwt.encode(claims, stranger.private["first"][1], "RS256", {"kid": "first"})
    refused(worker, stolen, "signature is wrong")
    refused(worker, f"{head}.{part({**claims, 'sub': 'bob'})}.{signature}", "signature is wrong")
    refused(worker, provider.token(headers={"alg": "RS512"}), "must be signed with RS256|not valid|wrong")
    own = {"jwk": provider.keys[0], "jku": "https://evil.example/keys", "kid": "unknown"}
    refused(worker, provider.token(headers=own), "does not publish")


@pytest.mark.parametrize(
    "text", ["eyJ.x.y", "eyJhbGciOiJub25lIn0..", "eyJ" + "[" * 9000 + ".e30.x", "eyJ.\udcff.", "eyJh"]
)
def test_what_is_no_token_is_refused(worker: Worker, text: str):
    with pytest.raises(UnknownCredential):
        worker.identify(text)


@pytest.mark.parametrize("kind", ["logout+jwt", "dpop+jwt", 7])
def test_what_is_for_something_else_is_refused(acme: House, worker: Worker, provider: IdentityProvider, kind: Any):
    register(acme, provider)
    refused(worker, provider.token(headers={"typ": kind}), "not for signing in|not a signed token")


@pytest.mark.filterwarnings("ignore:The RSA key is 1024 bits")
def test_a_short_key_and_one_for_encryption_sign_nothing(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    provider.publish("short", bits=1024)
    provider.publish("secretive")
    provider.keys[-1]["use"] = "enc"
    for name in ("short", "secretive"):
        worker.snapshots._key_sets._held.clear()
        refused(worker, provider.token(name), "does not publish")


def test_a_token_without_a_key_id_needs_the_only_key(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    assert worker.identify(provider.token(headers={"kid": None}))
    provider.publish("second")
    worker.snapshots._key_sets._held.clear()
    refused(worker, provider.token(headers={"kid": None}, jti="2"), "does not publish")


def test_rotated_keys_are_found_once_and_not_asked_for_endlessly(
    acme: House, worker: Worker, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
):
    register(acme, provider)
    old = provider.token()
    worker.identify(old)
    provider.rotate("second")
    monkeypatch.setattr(key_sets, "AGAIN_SECONDS", 0.0)
    assert worker.identify(provider.token("second"))
    monkeypatch.setattr(key_sets, "AGAIN_SECONDS", 10.0)
    assert provider.fetched == 2
    for _ in range(20):  # what was signed with the key that is gone is wrong now, remembered or not
        refused(worker, old, "does not publish")
    assert provider.fetched == 2


def test_keys_are_fetched_again_before_they_are_old(
    acme: House, worker: Worker, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
):
    register(acme, provider)
    token = provider.token()
    worker.identify(token)
    provider.rotate("second")
    monkeypatch.setattr(key_sets, "FRESH_SECONDS", 0.0)
    monkeypatch.setattr(key_sets, "FAILED_SECONDS", 0.0)
    soon(worker, token, "does not publish")


def test_a_provider_that_is_away_is_no_word_against_a_token(
    acme: House, worker: Worker, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
):
    register(acme, provider)
    token = provider.token()
    provider.away = True
    for _ in range(3):
        with pytest.raises(DirectoryUnavailable, match="cannot be fetched"):
            worker.identify(token)
    assert provider.fetched == 0  # discovery failed, once: it is not asked again at once
    provider.away = False
    monkeypatch.setattr(key_sets, "FAILED_SECONDS", 0.0)
    worker.identify(token)
    provider.away = True
    assert worker.identify(provider.token(jti="2"))  # its keys are known for a day
    monkeypatch.setattr(key_sets, "AGAIN_SECONDS", 0.0)
    provider.private["new"] = provider.private["first"]
    with pytest.raises(DirectoryUnavailable):
        worker.identify(provider.token("new"))


def test_discovery_believes_nobody_else(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    provider.says_issuer = "https://elsewhere.example"
    with pytest.raises(DirectoryUnavailable):
        worker.identify(provider.token())


def test_an_address_inside_the_house_is_not_asked(
    acme: House, worker: Worker, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
):
    register(acme, provider, jwks_url=provider.issuer + "/keys")
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", [])
    with pytest.raises(DirectoryUnavailable):
        worker.identify(provider.token())
    assert provider.fetched == 0


def test_a_known_token_costs_neither_a_signature_nor_a_question(
    acme: House, worker: Worker, provider: IdentityProvider, monkeypatch: pytest.MonkeyPatch
):
    register(acme, provider)
    token = provider.token()
    first = worker.identify(token)

    def never(*args: Any, **more: Any) -> Any:
        raise AssertionError("it was verified again")

    monkeypatch.setattr("tenants.tokens.verified", never)
    monkeypatch.setattr("tenants.tokens.read", never)
    assert worker.identify(token) is first


@pytest.mark.parametrize("values", [{"active": False}, {"audience": "another"}, {"role": "", "role_claim": "r"}])
def test_a_changed_provider_holds_within_a_second(
    acme: House, worker: Worker, provider: IdentityProvider, values: dict[str, Any]
):
    row = register(acme, provider)
    token = provider.token()
    caller = worker.identify(token)
    change(acme, row, **values)
    soon(worker, token, "No tenant has registered|stands for a role")
    snapshot = worker.run(worker.snapshots.of(acme.id))
    assert snapshot.again(caller) is None  # and so its streams are cut


def test_a_removed_provider_holds_within_a_second(acme: House, worker: Worker, provider: IdentityProvider):
    row = register(acme, provider)
    token = provider.token()
    worker.identify(token)
    with scope(acme.id):
        Row.objects.get(pk=row.pk).delete()
    soon(worker, token, "No tenant has registered")


def test_a_saml_provider_lets_no_token_in(acme: House, worker: Worker, provider: IdentityProvider):
    """Whoever may sign people in to the console may not by that name tokens for calls."""
    row = register(acme, provider, protocol="saml")
    refused(worker, provider.token(), "issuer")
    change(acme, row, protocol="oidc")
    time.sleep(1.2)  # whom nobody knew is not asked for again within a second
    assert worker.identify(provider.token()).subject == "alice-7"


def test_an_issuer_and_audience_belong_to_one_tenant(acme: House, globex: House, provider: IdentityProvider):
    row = register(acme, provider)
    with pytest.raises(Taken, match="one tenant alone"):
        register(globex, provider)
    change(acme, row, active=False)
    with pytest.raises(Taken):
        register(globex, provider)
    with scope(globex.id):
        assert not Row.objects.exists()


def test_a_token_for_two_tenants_is_for_neither(acme: House, globex: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    register(globex, provider, audience="theirs", department=globex.departments["research"])
    assert worker.identify(provider.token(aud="theirs", jti="1")).tenant == globex.id
    worker.snapshots._tenant_of_token.clear()
    refused(worker, provider.token(aud=[AUDIENCE, "theirs"]), "Several tenants")


@pytest.fixture
def alice(acme: House) -> Membership:
    with scope(acme.id):
        return services.add_person(
            f"alice-{token_hex(4)}@acme.example", "Alice", "member", 1, [acme.departments["sales"]]
        )


def test_a_member_never_may_more_than_their_place(
    acme: House, worker: Worker, provider: IdentityProvider, alice: Membership
):
    register(acme, provider, role="admin", clearance=3, department=acme.departments["sales"])
    who = {"email": alice.user.email.upper(), "email_verified": True}
    caller = worker.identify(provider.token(**who))
    assert (caller.user, caller.role, caller.clearance) == (alice.user_id, "member", 1)
    assert caller.departments == (acme.departments["sales"].pk,)
    assert caller.actor["id"] == "alice-7"
    unsure = worker.identify(provider.token(email=alice.user.email, jti="2"))
    assert unsure.user != alice.user_id


def test_members_only_means_that(acme: House, worker: Worker, provider: IdentityProvider, alice: Membership):
    register(acme, provider, members_only=True, department=acme.departments["sales"])
    token = provider.token(email=alice.user.email, email_verified=True)
    caller = worker.identify(token)
    refused(worker, provider.token(email="eve@acme.example", email_verified=True), "Only members")
    refused(worker, provider.token(email=alice.user.email), "Only members")
    with scope(acme.id):
        services.remove_person(Membership.objects.get(pk=alice.pk))
    soon(worker, token, "Only members")
    assert worker.run(worker.snapshots.of(acme.id)).again(caller) is None


def test_a_long_subject_is_known_by_its_hash(acme: House, worker: Worker, provider: IdentityProvider):
    register(acme, provider)
    caller = worker.identify(provider.token(sub="s" * 200))
    assert caller.subject.startswith("sha256:")
    assert len(caller.subject) <= 80
