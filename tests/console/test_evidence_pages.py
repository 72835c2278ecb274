"""Evidence in the console: the chain of seals is looked at and verified, packs are asked for and fetched."""

from __future__ import annotations

import json
import os
from io import BytesIO

import psycopg
import pytest
from django.db import connection
from django.urls import reverse

from audit import tasks
from audit.models import ErasureRequest, Event, Export, Hold, Leaf, Seal
from audit.seals import seal
from audit.services import BODIES, body_row
from audit.verify_customhouse import check_pack
from tenants.data import Caller
from tests.console.conftest import make_call


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


def kept(acme, key="assistant"):
    """A call of which prompt and answer were kept; its outcome."""
    with acme.open():
        request = make_call(acme, acme.keys[key])
        caller = Caller(acme.tenant, acme.name, acme.keys[key].pk, None, "k", "developer", 1, None, "", None)
        content = {"sent": {"text": "[PERSON_K2]"}, "said": {}, "request": {"text": "Mary Roe"}, "answer": {}}
        row = body_row(caller, request, "full", 30, content)
        with connection.cursor() as cursor:
            cursor.execute(BODIES.replace("$1", "%s"), [json.dumps([row], default=str)])
        return Event.objects.get(request_id=request, action="call.outcome")


def body_page(client, event, **given):
    return client.post(reverse("admin:audit_event_body", args=[event.pk]), given, follow=True).content.decode()


def test_a_kept_body_is_shown_masked_and_revealed_for_a_purpose(acme, as_role):
    event = kept(acme)
    auditor = as_role("auditor")
    assert "Show them masked" in shown(auditor, "audit_event_change", event.pk)
    masked = body_page(auditor, event)
    assert "[PERSON_K2]" in masked
    assert "Mary Roe" not in masked
    assert "say what for" in body_page(auditor, event, reveal="1")
    assert "Mary Roe" in body_page(auditor, event, reveal="1", purpose="complaint 17")
    with acme.open():
        told = Event.objects.filter(action__startswith="body.", object_id=str(event.request_id)).order_by("id")
        assert [(one.action, one.reason) for one in told] == [("body.read", ""), ("body.reveal", "complaint 17")]


def test_who_may_not_reveal_is_not_offered_it(acme, as_role):
    event, admin = kept(acme), as_role("admin")
    assert "Reveal" not in shown(admin, "audit_event_change", event.pk)
    assert "Mary Roe" not in body_page(admin, event, reveal="1", purpose="curious")


def test_an_erasure_is_asked_for_looked_at_and_carried_out(acme, as_role, monkeypatch):
    monkeypatch.setattr(
        tasks, "dispatch_erasure", lambda tenant, pk, state: tasks.erasure_task(str(tenant), str(pk), state)
    )
    kept(acme)
    client = as_role("auditor")
    asked = {"subject_type": "name", "value": "mary  roe", "why": "Letter of 3 November"}
    page = client.post(reverse("admin:audit_erasurerequest_add"), asked, follow=True).content.decode()
    assert "being searched for" in page
    with acme.open():
        made = ErasureRequest.objects.first()
    assert made.found == {"body": made.found["body"]}
    opened = shown(client, "audit_erasurerequest_change", made.pk)
    assert f"Remove {made.found['body']} for good" in opened
    done = client.post(reverse("admin:audit_erasure_execute", args=[made.pk]), follow=True).content.decode()
    assert "erased" in done
    assert f"/api/v1/erasure-requests/{made.pk}/certificate" in done
    assert "erased" in shown(client, "audit_erasurerequest_changelist")
    assert as_role("admin").get(reverse("admin:audit_erasurerequest_changelist")).status_code == 403


def test_a_hold_is_placed_and_released(acme, as_role):
    client = as_role("auditor")
    given = {"name": "Smith ./. Acme", "why": "Letter", "actor": "x", "since": "2026-11-01T00:00"}
    assert "held from now on" in client.post(reverse("admin:audit_hold_add"), given, follow=True).content.decode()
    assert "in force already" in client.post(reverse("admin:audit_hold_add"), given).content.decode()
    with acme.open():
        hold = Hold.objects.get(name="Smith ./. Acme")
    assert hold.filter == {"actor": "x", "from": "2026-11-01T00:00:00+00:00"}
    page = client.post(reverse("admin:audit_hold_release", args=[hold.pk]), follow=True).content.decode()
    assert "released" in page
