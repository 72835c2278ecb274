"""Providers, deployments, models and prices by form: secrets stay sealed, the platform's rows stay as they are."""

from __future__ import annotations

from decimal import Decimal
from secrets import token_hex

import pytest
from django.urls import reverse

from billing.models import Budget, Price
from gateway.credentials import open_credential
from gateway.models import Deployment, Model, Provider
from tenants.isolation import PLATFORM, scope

SECRET = "sk-vendor-7h3s3cr3t"


@pytest.fixture
def provider(acme, as_role):
    """A provider of Acme's own, added by form with a secret."""
    name = f"vendor-{token_hex(4)}"
    form = {"name": name, "kind": "openai_compatible", "base_url": "https://llm.example/v1", "api_key": SECRET}
    assert as_role("admin").post(reverse("admin:gateway_provider_add"), form).status_code == 302
    with acme.open():
        return Provider.objects.get(name=name)


@pytest.fixture
def shared(acme):
    """A provider that the platform shares with every tenant."""
    with scope(PLATFORM):
        provider = Provider.objects.create(name=f"shared-{token_hex(4)}", kind="scripted")
        deployment = Deployment.objects.create(provider=provider, name=f"shared-{token_hex(4)}", upstream_model="m")
        model = Model.objects.create(name=f"shared-{token_hex(4)}")
    return provider, deployment, model


def change(obj):
    return reverse(f"admin:gateway_{obj._meta.model_name}_change", args=[obj.pk])


def test_a_providers_secret_is_sealed_and_never_shown(acme, as_role, provider):
    assert SECRET.encode() not in bytes(provider.credential)
    assert open_credential(provider.credential, acme.tenant, provider.pk) == SECRET
    client = as_role("owner")
    for page in (change(provider), reverse("admin:gateway_provider_changelist")):
        assert SECRET not in client.get(page).content.decode()
    trail = client.get(reverse("admin:audit_event_changelist"), {"object_id": str(provider.pk)}).content.decode()
    assert "Provider created" in trail
    assert SECRET not in trail


def edited(provider, **changed):
    form = {"name": provider.name, "kind": provider.kind, "base_url": provider.base_url, "api_key": "", "region": ""}
    return {**form, **changed}


def test_a_secret_stays_when_nothing_is_typed(acme, as_role, provider):
    as_role("admin").post(change(provider), edited(provider, region="eu"))
    with acme.open():
        provider.refresh_from_db()
    assert provider.region == "eu"
    assert open_credential(provider.credential, acme.tenant, provider.pk) == SECRET


def test_a_secret_is_not_sent_to_another_address_unasked(acme, as_role, provider):
    form = edited(provider, base_url="https://elsewhere.example/v1")
    assert "Write the API key again" in as_role("admin").post(change(provider), form).content.decode()
    with acme.open():
        provider.refresh_from_db()
    assert provider.base_url == "https://llm.example/v1"


@pytest.mark.parametrize("address", ["llm.example", "file:///etc/passwd", "https://", "javascript:alert(1)"])
def test_an_address_is_a_web_address(as_role, address):
    form = {"name": "odd", "kind": "openai_compatible", "base_url": address}
    page = as_role("admin").post(reverse("admin:gateway_provider_add"), form).content.decode()
    assert "Write the whole address" in page


def test_the_platforms_objects_are_shown_and_not_changed(acme, as_role, shared):
    client = as_role("owner")
    for obj in shared:
        page = client.get(change(obj))
        assert page.status_code == 200
        assert 'name="_save"' not in page.content.decode()
        assert client.post(change(obj), {"name": "stolen"}).status_code == 403
        delete = reverse(f"admin:gateway_{obj._meta.model_name}_delete", args=[obj.pk])
        assert client.post(delete, {"post": "yes"}).status_code == 403
    with scope(PLATFORM):
        assert Provider.objects.get(pk=shared[0].pk).name == shared[0].name


def test_a_model_is_added_with_its_routes(acme, as_role, provider, shared):
    name = f"house-model-{token_hex(4)}"
    form = {
        "name": name,
        "strategy": "weighted",
        "routes-TOTAL_FORMS": "1",
        "routes-INITIAL_FORMS": "0",
        "routes-0-deployment": str(shared[1].pk),
        "routes-0-priority": "2",
        "routes-0-weight": "7",
    }
    assert as_role("admin").post(reverse("admin:gateway_model_add"), form).status_code == 302
    with acme.open():
        [route] = Model.objects.get(name=name).routes.all()
    assert (route.deployment_id, route.priority, route.weight) == (shared[1].pk, 2, 7)


def test_a_deployment_is_added(acme, as_role, provider):
    name = f"house-deployment-{token_hex(4)}"
    form = {
        "provider": str(provider.pk),
        "name": name,
        "upstream_model": "m-1",
        "capabilities": ["chat", "tools"],
        "max_concurrency": "5",
        "timeout_s": "30",
    }
    assert as_role("admin").post(reverse("admin:gateway_deployment_add"), form).status_code == 302
    with acme.open():
        assert Deployment.objects.get(name=name).capabilities == ["chat", "tools"]
    page = as_role("admin").get(reverse("admin:gateway_provider_delete", args=[provider.pk])).content.decode()
    assert "cannot be removed while these need it" in page


def test_those_who_know_models_by_name_see_no_routes(acme, as_role):
    page = as_role("bob").get(reverse("admin:gateway_model_changelist")).content.decode()
    assert f"model-{acme.name}" in page
    assert f"deployment-{acme.name}" not in page


def test_a_budget_is_added_for_a_department_and_says_how_it_stands(acme, as_role):
    sales = acme.departments["sales"]
    form = {"aim": f"department:{sales.pk}", "period": "day", "limit": "2.50", "warn": "50, 80%"}
    client = as_role("billing_manager")
    assert client.post(reverse("admin:billing_budget_add"), form).status_code == 302
    with acme.open():
        made = Budget.objects.get(target=sales.pk)
    assert (made.scope, made.period, made.limit, made.warn_at) == (
        "department",
        "day",
        Decimal("2.5"),
        [Decimal("0.5"), Decimal("0.8")],
    )
    page = client.get(reverse("admin:billing_budget_changelist")).content.decode()
    assert sales.name in page
    assert "$2.50" in page


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("limit", "-1", "is violated"),
        ("warn", "0", "whole percentages"),
        ("warn", "1e9", "whole percentages"),
        ("aim", "department:00000000-0000-0000-0000-000000000001", "Select a valid choice"),
    ],
)
def test_a_wrong_budget_is_refused(as_role, field, value, sentence):
    form = {"aim": "tenant:", "period": "day", "limit": "1", "warn": "", field: value}
    page = as_role("billing_manager").post(reverse("admin:billing_budget_add"), form).content.decode()
    assert sentence in page


def test_a_price_is_added_for_an_own_deployment_only_and_never_changed(acme, as_role, shared):
    own = next(obj for obj in acme.objects if isinstance(obj, Deployment))
    form = {"deployment": str(own.pk), "kind": "output", "per_million": "0.15", "valid_from": "2026-01-01T00:00"}
    client = as_role("billing_manager")
    assert client.post(reverse("admin:billing_price_add"), form).status_code == 302
    with acme.open():
        made = Price.objects.get(deployment_id=own.pk, kind="output")
    assert (made.per_million, made.valid_from.isoformat()) == (Decimal("0.15"), "2026-01-01T00:00:00+00:00")
    foreign = {**form, "deployment": str(shared[1].pk)}
    page = client.post(reverse("admin:billing_price_add"), foreign).content.decode()
    assert "Select a valid choice" in page
    assert client.post(reverse("admin:billing_price_change", args=[made.pk]), form).status_code == 403
