"""The trail is searched, written and read; what is in it is in the vocabulary."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from typing import Any
from uuid import UUID

import psycopg
import pytest

from audit.actions import OBJECTS, SENTENCES, Action, known, sentence
from audit.services import Page, record, search
from tenants.ids import uuid7
from tenants.isolation import scope
from tenants.models import Department
from tests.billing.house import House

ALICE, BOB = (
    {"type": "user", "id": "0198a000-0000-7000-8000-00000000000a", "name": "Alice"},
    {"type": "user", "id": "0198a000-0000-7000-8000-00000000000b", "name": "Bob"},
)

DENIED = """
    insert into audit_event (tenant_id, id, action, decision, reason, actor_type, actor_id, actor_name, department_id,
        object_type, object_id, policy, model, deployment, region, entities, passages, tokens, detail)
    values (%s, uuidv7(), 'call.refused', 'deny', '', 'key', '', '', %s, '', '', '', '', '', '', '{}', '[]', '{}', '{}')
"""


def found(house: House, **asked: Any) -> Page:
    with scope(house.tenant):
        return search(**asked)


def write(house: House, actor: dict[str, str], *actions: Action, request_id: UUID | None = None) -> None:
    with scope(house.tenant, actor=actor):
        for place, action in enumerate(actions):
            record(action, object_type="thing", object_id=str(place), request_id=request_id)


def test_what_somebody_reads_is_recorded_with_their_name(acme: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    [event] = found(acme).results
    assert event["actor"] == ALICE
    assert (event["action"], event["decision"]) == ("event.read", "allow")
    assert event["time"].endswith("Z")
    assert event["object"] == {"type": "thing", "id": "0"}


def test_an_event_has_the_fields_that_clients_rely_on(acme: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    promised = "id seq time actor department action decision reason request_id policy model deployment region entities"
    assert set(f"{promised} passages tokens cost latency_ms".split()) <= set(found(acme).results[0])


def test_events_are_found_by_each_of_their_marks(acme: House) -> None:
    request = uuid7()
    write(acme, ALICE, Action.EVENT_READ, Action.USAGE_READ, request_id=request)
    write(acme, BOB, Action.VAULT_REVEAL)
    assert [event["action"] for event in found(acme, request_id=request).results] == ["usage.read", "event.read"]
    assert [event["action"] for event in found(acme, actor=BOB["id"]).results] == ["vault.reveal"]
    assert [event["action"] for event in found(acme, action="event.read").results] == ["event.read"]
    assert [event["action"] for event in found(acme, action="vault.").results] == ["vault.reveal"]
    assert found(acme, decision="deny").results == []


def test_events_are_found_by_time(acme: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    now, hour = datetime.now(UTC), timedelta(hours=1)
    assert len(found(acme, since=now - hour, until=now + hour).results) == 1
    assert found(acme, since=now + hour).results == []
    assert found(acme, until=now - hour).results == []


def test_a_department_is_known_by_its_slug_and_its_id(acme: House) -> None:
    acme.servers.ask(DENIED, acme.tenant, acme.legal)
    for asked in ("legal", str(acme.legal), acme.legal):
        assert [event["department"] for event in found(acme, department=asked).results] == ["legal"]
    assert found(acme, department="sales").results == found(acme, department="nowhere").results == []


def test_pages_go_back_and_forth(acme: House) -> None:
    write(acme, ALICE, *[Action.EVENT_READ] * 7)
    every = [event["id"] for event in found(acme).results]
    first = found(acme, limit=3)
    second = found(acme, limit=3, cursor=first.next)
    third = found(acme, limit=3, cursor=second.next)
    assert [event["id"] for page in (first, second, third) for event in page.results] == every
    assert (first.previous, third.next) == (None, None)
    again = found(acme, limit=3, cursor=third.previous)
    assert again.results == second.results
    with pytest.raises(ValueError, match="cursor"):
        found(acme, cursor="sideways:1")


def test_a_role_sees_its_own_and_its_area(acme: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    write(acme, BOB, Action.POLICY_ACTIVATE, Action.VAULT_REVEAL)
    seen = found(acme, actors=[ALICE["id"]], areas=["policy."]).results
    assert sorted(event["action"] for event in seen) == ["event.read", "policy.activate"]
    assert found(acme, actors=[]).results == []


def test_charlie_sees_nothing_of_acme(acme: House, globex: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    assert found(globex).results == []
    assert search().results == [], "and without a scope nobody does"


def test_the_same_thing_in_one_request_is_recorded_once(acme: House) -> None:
    request = uuid7()
    for _ in range(3):
        write(acme, ALICE, Action.DOCUMENT_READ, request_id=request)
    assert len(found(acme).results) == 1


def test_an_event_is_neither_changed_nor_removed(acme: House) -> None:
    write(acme, ALICE, Action.EVENT_READ)
    for statement in ("update audit_event set actor_name = 'Bob'", "delete from audit_event", "truncate audit_event"):
        with pytest.raises(psycopg.errors.InsufficientPrivilege):
            acme.rows(statement)


def test_a_change_is_recorded_by_the_database(acme: House) -> None:
    with scope(acme.tenant, actor=ALICE):
        Department.objects.filter(slug="sales").update(name="Selling")
    [event] = found(acme, action="department.update").results
    assert (event["detail"]["before"]["name"], event["detail"]["after"]["name"]) == ("Sales", "Selling")


def test_an_action_outside_the_vocabulary_is_refused(acme: House) -> None:
    with scope(acme.tenant), pytest.raises(ValueError, match="vocabulary"):
        record("weather.change")


def test_every_action_has_a_sentence() -> None:
    assert set(SENTENCES) == set(Action)
    assert sentence("api_key.update") == "An API key was changed."
    assert sentence("call.refused").startswith("A call was turned away")
    assert not known("weather.change")


def test_every_watched_table_is_in_the_vocabulary(acme: House) -> None:
    watched = acme.servers.ask(
        "select split_part(encode(tgargs, 'escape'), '\\000', 1) from pg_trigger where tgname = 'audit'"
    )
    assert {name for (name,) in watched} <= set(OBJECTS)
    assert len(watched) >= 15


def test_every_action_that_was_ever_written_is_in_the_vocabulary(acme: House) -> None:
    assert [name for (name,) in acme.servers.ask("select distinct action from audit_event") if not known(name)] == []
