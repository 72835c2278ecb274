"""The console's page of identity providers: for owners alone, and tried before anybody relies on it."""

from __future__ import annotations

from secrets import token_hex

import pytest
from django.conf import settings

from tenants.models import IdentityProvider as Row
from tests.identity_provider import AUDIENCE, IdentityProvider

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
