"""Evidence in the console: the chain of seals is looked at and verified, packs are asked for and fetched."""

from __future__ import annotations

import os
from io import BytesIO

import psycopg
import pytest
from django.urls import reverse

from audit import tasks
from audit.models import Event, Export, Leaf, Seal
from audit.seals import seal
from audit.verify_customhouse import check_pack


@pytest.fixture
def sealed(acme):
    seal(acme.tenant)
    with acme.open():
        return Seal.objects.first()


def shown(client, name, *arguments):
    return client.get(reverse(f"admin:{name}", args=arguments)).content.decode()


def verified(client, sealed):
    return client.post(reverse("admin:audit_seal_verify", args=[sealed.pk]), follow=True).content.decode()


def test_seals_are_shown_as_a_chain(as_role, sealed):
    page = shown(as_role("auditor"), "audit_seal_changelist")
    assert f"No. {sealed.number}" in page
    opened = shown(as_role("auditor"), "audit_seal_change", sealed.pk)
    assert bytes(sealed.root).hex() in opened
    assert "Verify its records" in opened


def test_a_seal_is_verified_with_its_records(acme, as_role, sealed):
    assert "True:" in verified(as_role("auditor"), sealed)
    with acme.open():
        leaf = Leaf.objects.filter(position__lt=sealed.size).last()
        event = Event.objects.get(pk=leaf.pk)
    with psycopg.connect(os.environ["OWNER_DATABASE_URL"], autocommit=True) as owner:
        owner.execute("update audit_event set actor_name = 'Mallory' where id = %s", [event.pk])
        assert f"record {leaf.position}" in verified(as_role("auditor"), sealed)
        owner.execute("update audit_event set actor_name = %s where id = %s", [event.actor_name, event.pk])
    assert "True:" in verified(as_role("auditor"), sealed)


def test_a_pack_is_asked_for_and_fetched(acme, as_role, monkeypatch):
    monkeypatch.setattr(tasks, "dispatch", lambda tenant, export: tasks.export_task(str(tenant), str(export)))
    client = as_role("auditor")
    page = client.post(reverse("admin:audit_export_add"), {"format": "pack"}, follow=True).content.decode()
    with acme.open():
        made = Export.objects.first()
    assert (made.state, made.made_by) == ("succeeded", str(acme.people["auditor"]))
    place = f"/api/v1/audit/exports/{made.pk}/download"
    assert place in page
    assert place in shown(client, "audit_export_change", made.pk)
    data = b"".join(client.get(place).streaming_content)
    assert check_pack(BytesIO(data)).faults == []


def test_a_period_that_ends_before_it_begins_is_an_error_of_the_form(as_role):
    form = {"format": "csv", "since_0": "2026-02-01", "since_1": "00:00", "until_0": "2026-01-01", "until_1": "00:00"}
    page = as_role("owner").post(reverse("admin:audit_export_add"), form).content.decode()
    assert "Must be later than the beginning" in page


def test_those_who_may_not_export_are_refused(as_role, sealed):
    for place in ("admin", "alice", "billing_manager"):
        assert as_role(place).get(reverse("admin:audit_export_changelist")).status_code == 403
    assert as_role("alice").post(reverse("admin:audit_seal_verify", args=[sealed.pk])).status_code == 403


def test_charlie_verifies_and_opens_nothing_of_acme(globex, enter, sealed):
    client = enter(globex.people["charlie"])
    assert client.post(reverse("admin:audit_seal_verify", args=[sealed.pk])).status_code == 404
    assert client.get(reverse("admin:audit_seal_change", args=[sealed.pk])).status_code == 404
