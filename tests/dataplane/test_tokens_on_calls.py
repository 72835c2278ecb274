"""A token of the tenant's identity provider makes calls as a key does, on a real server."""

from __future__ import annotations

import time
from collections.abc import Iterator
from secrets import token_hex

import httpx
import openai
import pytest
from django.conf import settings

from config.demo import _baseline, _offline_models
from tenants import identity
from tenants.isolation import PLATFORM, scope
from tenants.models import IdentityProvider as Row
from tests.conftest import House, house
from tests.dataplane.conftest import Server
from tests.identity_provider import AUDIENCE, IdentityProvider

MODEL = "local-extractive"


@pytest.fixture(scope="module")
def initech(database: None) -> House:
    return house("initech", ("legal", "sales"))


@pytest.fixture(scope="module")
def provider(initech: House) -> Iterator[IdentityProvider]:
    made = IdentityProvider()
    values = {"issuer": made.issuer, "audience": AUDIENCE, "algorithms": ["RS256"], "rpm": 50}
    with scope(initech.id):
        identity.save({"name": "own", "department": initech.departments["legal"], **values})
    yield made
    made.stop()


@pytest.fixture(scope="module")
def root(database: None) -> Iterator[str]:
    """A server whose operator allows the provider's host."""
    with scope(PLATFORM):
        _baseline()
        _offline_models()
    settings.HOME.mkdir(exist_ok=True, parents=True)
    made = Server(CUSTOMHOUSE_PRIVATE_HOSTS="127.0.0.1")
    made.start()
    yield made.root
    made.stop()


def ask(root: str, token: str, model: str = MODEL) -> httpx.Response:
    body = {"model": model, "messages": [{"role": "user", "content": "Who keeps the ledger?"}]}
    headers = {"authorization": f"Bearer {token}"}
    return httpx.post(root + "/v1/chat/completions", json=body, headers=headers, timeout=30)


def manage(root: str, initech: House, path: str) -> list[dict]:
    answer = httpx.get(f"{root}/api/v1/{path}", headers={"authorization": f"Bearer {initech.owner_key}"}, timeout=30)
    assert answer.status_code == 200, answer.text
    return answer.json()["results"]


def test_the_stock_sdk_calls_with_a_token(root: str, initech: House, provider: IdentityProvider):
    sdk = openai.OpenAI(api_key=provider.token(), base_url=root + "/v1", max_retries=0, timeout=30)
    assert MODEL in {model.id for model in sdk.models.list()}
    answer = sdk.chat.completions.with_raw_response.create(
        model=MODEL, messages=[{"role": "user", "content": "Who keeps the ledger?"}]
    )
    assert answer.headers["x-ratelimit-limit-requests"] == "50"
    events = manage(root, initech, f"audit/events?request_id={answer.headers['x-request-id']}")
    assert {event["action"] for event in events} >= {"call.intent", "call.outcome"}
    assert {(event["actor"]["type"], event["actor"]["id"]) for event in events} == {("subject", "alice-7")}
    assert manage(root, initech, "audit/events?actor=alice-7&action=call.outcome")
    assert [row["department"] for row in manage(root, initech, "billing/usage?group_by=department")] == ["legal"]


def test_what_is_wrong_with_a_token_is_said(root: str, provider: IdentityProvider):
    for token, because in (
        (provider.token(exp=int(time.time()) - 400), "has expired"),
        (provider.token(aud="another"), "No tenant has registered"),
    ):
        answer = ask(root, token)
        assert (answer.status_code, answer.json()["error"]["code"]) == (401, "invalid_api_key")
        assert because in answer.json()["error"]["message"]
    assert ask(root, provider.token(jti="2"), "nothing-of-the-kind").status_code == 404


def test_a_policy_may_ask_what_the_token_proves_of_the_device(root: str, initech: House, provider: IdentityProvider):
    """Calls from devices that nobody manages are refused; who has no token proves no device at all."""
    condition = {"unless": {"claim": {"device.managed": ["true"]}}, "refuse": "Only from devices that we manage."}
    rules = {"conditions": [condition]}
    headers = {"authorization": f"Bearer {initech.owner_key}"}
    made = httpx.post(f"{root}/api/v1/policies", json={"name": "devices", "rules": rules}, headers=headers, timeout=30)
    assert made.status_code == 201, made.text
    policy = f"{root}/api/v1/policies/{made.json()['id']}"
    assert httpx.post(f"{policy}/activate", headers=headers, timeout=30).status_code == 200
    time.sleep(1)
    assert ask(root, provider.token(jti="d1", device={"managed": True})).status_code == 200
    for token in (provider.token(jti="d2", device={"managed": False}), provider.token(jti="d3")):
        refused = ask(root, token)
        assert (refused.status_code, refused.json()["error"]["code"]) == (403, "policy_violation")
        assert "devices that we manage" in refused.json()["error"]["message"]
    lax = httpx.post(f"{root}/api/v1/policies", json={"name": "devices", "rules": {}}, headers=headers, timeout=30)
    lax_url = f"{root}/api/v1/policies/{lax.json()['id']}/activate"
    assert httpx.post(lax_url, headers=headers, timeout=30).status_code == 200
    time.sleep(1)


def test_an_identity_provider_that_is_away_is_a_503(root: str, initech: House):
    other = IdentityProvider()
    other.away = True
    audience = token_hex(8)
    with scope(initech.id):
        values = {"issuer": other.issuer, "audience": audience, "algorithms": ["RS256"]}
        identity.save({"name": "away", "department": initech.departments["legal"], **values})
    answer = ask(root, other.token(aud=audience))
    assert (answer.status_code, answer.json()["error"]["code"]) == (503, "service_unavailable")
    assert int(answer.headers["retry-after"]) >= 1
    other.stop()


def test_a_provider_that_is_switched_off_lets_nobody_in_within_a_second(
    root: str, initech: House, provider: IdentityProvider
):
    token = provider.token(jti="3")
    assert ask(root, token).status_code == 200
    with scope(initech.id):
        identity.save({"active": False}, Row.objects.get(name="own"))
    time.sleep(0.9)
    assert ask(root, token).status_code == 401
