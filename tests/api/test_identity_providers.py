"""Identity providers over the API: what an owner registers, tries, changes and removes."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from secrets import token_hex
from typing import Any

import pytest
from django.conf import settings

from tests.api.test_attack import call
from tests.api.test_shapes import make
from tests.conftest import House
from tests.identity_provider import AUDIENCE, IdentityProvider
from tests.saml_provider import SamlProvider, make_certificate

ROUTE = "/api/v1/identity-providers"


@pytest.fixture
def provider(monkeypatch: pytest.MonkeyPatch) -> Iterator[IdentityProvider]:
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["127.0.0.1"])
    made = IdentityProvider()
    yield made
    made.stop()


def body(provider: IdentityProvider, **more: Any) -> dict[str, Any]:
    return {"name": token_hex(4), "issuer": provider.issuer, "audience": AUDIENCE, "department": "legal", **more}


def tried(acme: House, made: dict[str, Any], token: str = "") -> dict[str, Any]:
    found: dict[str, Any] = call("post", f"{ROUTE}/{made['id']}/check", acme.owner_key, {"token": token}).json()
    return found


def test_it_is_shown_as_it_was_made_in_its_order(acme: House, provider: IdentityProvider):
    tables = {
        "department_claim": "groups",
        "departments": {"Sales EMEA": "sales", "A": "legal"},
        "role_claim": "roles",
        "roles": {"dev": "developer"},
        "clearance_claim": "level",
        "clearances": {"3": "restricted"},
        "limits": {"rpm": 5, "tpm": None},
    }
    made = make(acme, "identity-providers", body(provider, **tables))
    shown = call("get", f"{ROUTE}/{made['name']}", acme.owner_key).json()
    assert {name: shown[name] for name in tables} == tables
    assert list(shown["departments"]) == ["Sales EMEA", "A"]
    assert (shown["role"], shown["clearance"], shown["active"]) == ("member", "internal", True)
    changed = call("patch", f"{ROUTE}/{made['id']}", acme.owner_key, {"active": False, "roles": {}})
    assert changed.json() == {**shown, "active": False, "roles": {}}
    events = call("get", "/api/v1/audit/events?action=identity_provider.update", acme.owner_key).json()["results"]
    assert events[0]["object"]["id"] == made["id"]
    assert call("delete", f"{ROUTE}/{made['id']}", acme.owner_key).status_code == 204


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"issuer": "https://10.0.0.1/"}, "issuer"),
        ({"issuer": "http://93.184.216.34/"}, "issuer"),
        ({"jwks_url": "https://169.254.169.254/keys"}, "jwks_url"),
        ({"algorithms": ["HS256"]}, "algorithms"),
        ({"algorithms": ["none"]}, "algorithms"),
        ({"algorithms": []}, "algorithms"),
        ({"role": "owner"}, "role"),
        ({"role_claim": "r", "roles": {"boss": "owner"}}, "roles"),
        ({"department_claim": "d", "departments": {"x": "nowhere"}}, "departments"),
        ({"roles": {"dev": "developer"}}, "role_claim"),
        ({"clock_skew": 301}, "clock_skew"),
        ({"audience": ""}, "audience"),
    ],
)
def test_what_is_wrong_is_named(acme: House, provider: IdentityProvider, wrong: dict[str, Any], field: str):
    answer = call("post", ROUTE, acme.owner_key, body(provider, **wrong))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field)


def test_what_another_tenant_has_is_a_conflict(acme: House, globex: House, provider: IdentityProvider):
    make(acme, "identity-providers", body(provider))
    answer = call("post", ROUTE, globex.owner_key, body(provider, department="research"))
    assert answer.status_code == 409
    assert "one tenant alone" in answer.json()["detail"]
    assert "acme" not in answer.content.decode()


def test_a_token_is_tried_before_anybody_is_let_in(acme: House, provider: IdentityProvider):
    made = make(acme, "identity-providers", body(provider, active=False))
    assert tried(acme, made) == {"ok": True, "problem": "", "keys": 1, "caller": None}
    told = tried(acme, made, provider.token(name="Alice"))
    assert told["caller"] == {
        "subject": "alice-7",
        "name": "Alice",
        "member": None,
        "role": "member",
        "clearance": "internal",
        "department": "legal",
        "departments": ["legal"],
    }
    assert "expired" in tried(acme, made, provider.token(exp=1))["problem"]
    assert "another than the provider's" in tried(acme, made, provider.token(aud="x"))["problem"]
    provider.away = True
    assert "cannot be fetched" in tried(acme, made)["problem"]


def test_a_token_is_no_key_of_the_management_plane(acme: House, provider: IdentityProvider):
    make(acme, "identity-providers", body(provider, role="admin"))
    assert call("get", "/api/v1/departments", provider.token()).status_code == 401


# -- SAML -------------------------------------------------------------------------------------------------------------


@pytest.fixture
def idp(tmp_path: Path) -> SamlProvider:
    return SamlProvider(tmp_path / "idp")


def saml_body(idp: SamlProvider, **more: Any) -> dict[str, Any]:
    return {"protocol": "saml", "name": token_hex(4), "metadata": idp.metadata, "sign_in": True, **more}


def test_a_saml_provider_is_made_of_its_metadata(acme: House, idp: SamlProvider):
    made = make(acme, "identity-providers", saml_body(idp, department="legal"))
    assert (made["protocol"], made["issuer"], made["sso_url"]) == ("saml", idp.entity_id, idp.sso_url)
    assert made["certificates"] == idp.certificate
    assert made["redirect_uri"] == made["audience"] == f"http://testserver/console/sign-in/{acme.slug}/saml/"
    assert "metadata" not in made
    assert tried(acme, made) == {"ok": True, "problem": "", "keys": 1, "caller": None}
    assert "issues no tokens" in tried(acme, made, "abc.def.ghi")["problem"]
    renewed = make_certificate()[1]
    changed = call("patch", f"{ROUTE}/{made['id']}", acme.owner_key, {"certificates": made["certificates"] + renewed})
    assert changed.json() == {**made, "certificates": f"{idp.certificate}\n{renewed}"}


def test_expired_certificates_are_said(acme: House, idp: SamlProvider):
    expired = make_certificate(days=-1)[1]
    made = make(acme, "identity-providers", saml_body(idp, certificates=expired))
    told = tried(acme, made)
    assert (told["ok"], told["keys"], "Add the provider's new one" in told["problem"]) == (False, 0, True)


@pytest.mark.parametrize(
    ("wrong", "field"),
    [
        ({"metadata": "<a/>"}, "metadata"),
        ({"certificates": "abc"}, "certificates"),
        ({"metadata": ""}, "metadata"),
        ({"sso_url": "http://idp.example/sso", "metadata": None}, "issuer"),
        ({"sso_url": "http://idp.example/sso", "metadata": None, "issuer": "x", "certificates": "@"}, "sso_url"),
        ({"metadata": None, "issuer": "x", "certificates": "@"}, "sso_url"),
        ({"metadata": None, "issuer": "x", "sso_url": "https://idp.example/sso"}, "certificates"),
    ],
)
def test_what_is_wrong_with_a_saml_provider_is_named(acme: House, idp: SamlProvider, wrong: dict[str, Any], field: str):
    sent = {name: value for name, value in saml_body(idp, **wrong).items() if value is not None}
    if sent.get("certificates") == "@":
        sent["certificates"] = idp.certificate
    answer = call("post", ROUTE, acme.owner_key, sent)
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, field), answer.json()


def test_a_protocol_stays_and_has_its_own_fields(acme: House, idp: SamlProvider, provider: IdentityProvider):
    made = make(acme, "identity-providers", saml_body(idp))
    answer = call("patch", f"{ROUTE}/{made['id']}", acme.owner_key, {"protocol": "oidc"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "protocol")
    answer = call("post", ROUTE, acme.owner_key, body(provider, certificates=idp.certificate))
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "certificates")
    answer = call("post", ROUTE, acme.owner_key, {"name": "no issuer", "audience": "x"})
    assert (answer.status_code, answer.json()["errors"][0]["field"]) == (400, "issuer")
