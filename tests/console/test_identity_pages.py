"""The console's page of identity providers: for owners alone, and tried before anybody relies on it."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.conf import settings

from tenants.models import IdentityProvider as Row
from tests.identity_provider import AUDIENCE, IdentityProvider
from tests.saml_provider import SamlProvider

LIST = "/console/tenants/identityprovider/"


@pytest.fixture
def provider(monkeypatch):
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    made = IdentityProvider()
    yield made
    made.stop()


def values(acme, provider, **more):
    return {
        "name": token_hex(4),
        "issuer": provider.issuer,
        "audience": AUDIENCE,
        "algorithms": ["RS256"],
        "user_claim": "sub",
        "scopes": "openid email profile",
        "department_claim": "groups",
        "departments": "Sales = EMEA = sales\nCounsel = legal",
        "role": "member",
        "clearance": "1",
        "clock_skew": "60",
        "active": "on",
        "reason": "we have Keycloak",
        **more,
    }


def test_an_owner_adds_one_tries_a_token_and_changes_it(acme, as_role, provider):
    owner = as_role("owner")
    answer = owner.post(LIST + "add/", values(acme, provider))
    assert answer.status_code == 302, answer.content.decode()
    with acme.open():
        row = Row.objects.get()
        assert row.departments == [
            ["Sales = EMEA", str(acme.departments["sales"].pk)],
            ["Counsel", str(acme.departments["legal"].pk)],
        ]
    assert answer["location"] == f"{LIST}{row.pk}/try/"
    page = owner.post(answer["location"], {"token": provider.token(name="Alice Roe", groups=["Sales = EMEA"])})
    assert "It lets in Alice Roe (alice-7)" in page.content.decode()
    assert "no-store" in page["cache-control"]
    assert "stands for a department" in owner.post(answer["location"], {"token": provider.token()}).content.decode()
    shown = owner.get(f"{LIST}{row.pk}/change/").content.decode()
    assert "Sales = EMEA = sales" in shown
    assert f'href="{answer["location"]}"' in shown
    assert owner.post(f"{LIST}{row.pk}/change/", values(acme, provider, active="")).status_code == 302
    assert ">off<" in owner.get(LIST).content.decode()
    assert owner.post(f"{LIST}{row.pk}/delete/", {"post": "yes"}).status_code == 302
    with acme.open():
        assert not Row.objects.exists()


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"issuer": "http://10.0.0.1/"}, "https address"),
        ({"departments": "Counsel"}, "is not of the form"),
        ({"departments": "Counsel = nowhere"}, "There is no department"),
        ({"role_claim": "r", "roles": "boss = owner"}, "There is no role"),
        ({"department_claim": ""}, "Say which claim"),
    ],
)
def test_what_is_wrong_stands_on_the_form(acme, as_role, provider, wrong, said):
    page = as_role("owner").post(LIST + "add/", values(acme, provider, **wrong))
    assert page.status_code == 200
    assert said in page.content.decode()


@pytest.mark.parametrize("role", ["admin", "auditor", "alice", "bob"])
def test_nobody_else_sees_it(acme, as_role, role):
    browser = as_role(role)
    assert browser.get(LIST).status_code == 403
    assert browser.get(LIST + "add/").status_code == 403
    assert LIST not in browser.get("/console/").content.decode()


# -- SAML -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def idp(tmp_path):
    return SamlProvider(tmp_path / "idp")


def saml_values(**more):
    shared = {"name": token_hex(4), "user_claim": "sub", "role": "member", "clearance": "1", "clock_skew": "60"}
    return {**shared, "active": "on", "sign_in": "on", "reason": "we have ADFS", **more}


def test_an_owner_adds_a_saml_provider_by_its_metadata(acme, as_role, idp):
    owner, ours = as_role("owner"), f"http://testserver/console/sign-in/{acme.name}/saml/"
    page = owner.get(LIST + "add/").content.decode()
    assert 'href="?protocol=saml"' in page
    page = owner.get(LIST + "add/?protocol=saml").content.decode()
    assert ours in page
    assert f'href="{ours}metadata/"' in page
    answer = owner.post(LIST + "add/?protocol=saml", saml_values(metadata=idp.metadata))
    assert answer.status_code == 302, answer.content.decode()
    with acme.open():
        row = Row.objects.get(protocol="saml")
    assert (row.issuer, row.sso_url, row.certificates) == (idp.entity_id, idp.sso_url, idp.certificate)
    assert row.audience == ours
    tried = owner.get(answer["location"]).content.decode()
    assert f"/console/sign-in/{acme.name}/" in tried
    assert "1 of its certificates are valid" in owner.post(answer["location"], {}).content.decode()
    change = f"{LIST}{row.pk}/change/"
    assert idp.certificate.splitlines()[1] in owner.get(change).content.decode()
    kept = {"issuer": row.issuer, "sso_url": row.sso_url, "certificates": row.certificates, "audience": row.audience}
    assert owner.post(change, saml_values(**kept, name="ADFS")).status_code == 302
    with acme.open():
        assert Row.objects.filter(pk=row.pk).values("name", "issuer", "protocol").get() == {
            "name": "ADFS",
            "issuer": idp.entity_id,
            "protocol": "saml",
        }


@pytest.mark.parametrize(
    ("wrong", "said"),
    [
        ({"metadata": "hello"}, "it is no XML"),
        ({}, "metadata, or fill this in"),
        ({"issuer": "x", "sso_url": "http://idp.example/", "certificates": "@"}, "https address"),
        ({"issuer": "x", "sso_url": "https://idp.example/", "certificates": "abc"}, "cannot be read"),
    ],
)
def test_what_is_wrong_with_a_saml_provider_stands_on_the_form(acme, as_role, idp, wrong, said):
    if wrong.get("certificates") == "@":
        wrong = {**wrong, "certificates": idp.certificate}
    page = as_role("owner").post(LIST + "add/?protocol=saml", saml_values(**wrong))
    assert (page.status_code, said in page.content.decode()) == (200, True), page.content.decode()
