"""Keys by form: shown once and kept nowhere, never above their maker, replaced and revoked with the effect said."""

from __future__ import annotations

import re

import pytest
from django.conf import settings
from django.contrib.sessions.models import Session
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from tenants import keys
from tenants.models import ApiKey

ADD = "/console/tenants/apikey/add/"
KEY = re.compile(r"sk-ch-[a-z0-9]{12}-[a-z0-9]{32}-[a-z0-9]{6}")


def filled(acme, **more):
    department = str(acme.departments["legal"].pk)
    return {"name": "new key", "department": department, "role": "developer", "clearance": "1", **more}


def made(acme, name="new key"):
    with acme.open():
        return ApiKey.objects.get(name=name)


def test_a_key_is_shown_once_and_kept_as_a_hash(acme, as_role):
    client = as_role("admin")
    answer = client.post(ADD, filled(acme))
    [secret] = set(KEY.findall(answer.content.decode()))
    assert "no-store" in answer["cache-control"]
    key = made(acme)
    assert keys.matches(bytes(key.digest), settings.API_KEY_PEPPER, secret)
    for page in ("changelist", "change", "revoke", "rotate"):
        address = reverse(f"admin:tenants_apikey_{page}", args=[] if page == "changelist" else [key.pk])
        assert secret not in client.get(address).content.decode()
    assert secret not in str(Session.objects.get(pk=client.session.session_key).get_decoded())
    with acme.open():
        events = [(event.detail, event.reason) for event in Event.objects.filter(object_id=str(key.pk))]
    assert secret not in str(events)
    assert key.digest.hex() not in str(events)


def test_a_key_gets_what_the_form_says(acme, as_role):
    limits = {"rpm": "60", "tpm": "9000", "ip_allow": "192.0.2.0/24, 2001:db8::1", "models": [f"model-{acme.name}"]}
    departments = [str(acme.departments["sales"].pk)]
    last_day = (timezone.now() + timezone.timedelta(days=3)).date()
    form = filled(acme, name="limited", departments=departments, expires_on=last_day.isoformat(), **limits)
    as_role("owner").post(ADD, form)
    key = made(acme, "limited")
    assert (key.rpm, key.tpm, key.ip_allow) == (60, 9000, ["192.0.2.0/24", "2001:db8::1"])
    assert (key.model_names, key.clearance) == ([f"model-{acme.name}"], 1)
    assert key.expires_at.date() == last_day + timezone.timedelta(days=1)
    with acme.open():
        assert [place.slug for place in key.departments.all()] == ["sales"]


@pytest.mark.parametrize(
    ("field", "value", "sentence"),
    [
        ("name", "", "This field is required"),
        ("department", "", "This field is required"),
        ("ip_allow", "not an address", "is no address or network"),
        ("expires_on", "2001-01-01", "This day is over"),
        ("rpm", "0", "greater than or equal to 1"),
        ("role", "emperor", "Select a valid choice"),
        ("clearance", "9", "Select a valid choice"),
    ],
)
def test_a_wrong_field_is_a_sentence_beside_it_and_no_key(acme, as_role, field, value, sentence):
    with acme.open():
        before = ApiKey.objects.count()
    answer = as_role("owner").post(ADD, filled(acme, **{field: value}))
    assert sentence in answer.content.decode()
    assert not KEY.search(answer.content.decode())
    with acme.open():
        assert ApiKey.objects.count() == before


def test_alice_makes_keys_of_her_department_only_and_no_admin(acme, as_role):
    client = as_role("alice")
    assert KEY.search(client.post(ADD, filled(acme, name="of alice")).content.decode())
    foreign = filled(acme, department=str(acme.departments["sales"].pk))
    assert "Select a valid choice" in client.post(ADD, foreign).content.decode()
    assert "Select a valid choice" in client.post(ADD, filled(acme, role="admin")).content.decode()
    assert "Select a valid choice" in client.post(ADD, filled(acme, clearance="3")).content.decode()


def test_bobs_key_is_his_own_and_for_calls_only(acme, as_role):
    form = filled(acme, name="of bob", department=str(acme.departments["sales"].pk), role="member")
    as_role("bob").post(ADD, form)
    key = made(acme, "of bob")
    assert (key.user_id, key.role) == (acme.people["bob"].pk, "member")


def test_a_department_of_another_tenant_is_no_choice(acme, globex, as_role):
    form = filled(acme, department=str(globex.departments["legal"].pk))
    assert "Select a valid choice" in as_role("owner").post(ADD, form).content.decode()


def test_revoking_says_what_it_does_and_keeps_the_reason(acme, as_role):
    client, key = as_role("admin"), acme.keys["copilot"]
    url = reverse("admin:tenants_apikey_revoke", args=[key.pk])
    page = client.get(url).content.decode()
    assert "It made 1 calls in the last 30 days." in page
    assert made(acme, key.name).revoked_at is None
    client.post(url, {"reason": "found in a log"})
    assert made(acme, key.name).revoked_at is not None
    with acme.open():
        event = Event.objects.filter(object_id=str(key.pk), action="api_key.update").latest("seq")
    assert (event.reason, event.actor_name) == ("found in a log", acme.people["admin"].name)
    assert "revoked already" in client.get(url, follow=True).content.decode()


def test_replacing_shows_the_new_key_once_and_lets_the_old_one_end_later(acme, as_role):
    client, old = as_role("owner"), acme.keys["assistant"]
    answer = client.post(reverse("admin:tenants_apikey_rotate", args=[old.pk]), {"grace": "3600"})
    assert KEY.search(answer.content.decode())
    with acme.open():
        old.refresh_from_db()
        new = ApiKey.objects.filter(name=old.name).exclude(pk=old.pk).get()
    assert timezone.now() < old.revoked_at
    assert (new.department_id, new.role, new.clearance) == (old.department_id, old.role, old.clearance)
    assert "replaced" in client.get(reverse("admin:tenants_apikey_change", args=[old.pk])).content.decode()


def test_keys_are_revoked_and_not_deleted(acme, as_role):
    url = reverse("admin:tenants_apikey_delete", args=[acme.keys["laptop"].pk])
    assert as_role("owner").post(url, {"post": "yes"}).status_code == 403


@pytest.mark.parametrize("verb", ["revoke", "rotate"])
def test_who_may_not_see_keys_cannot_end_them(acme, as_role, verb):
    url = reverse(f"admin:tenants_apikey_{verb}", args=[acme.keys["laptop"].pk])
    assert as_role("auditor").post(url, {"grace": "0"}).status_code == 404
    assert as_role("alice").post(url, {"grace": "0"}).status_code == 404
