"""Legal holds: who may place them, what they fit, and that they end without being forgotten."""

from __future__ import annotations

from datetime import UTC, datetime

import pytest

from audit.holds import holds_over
from tenants.ids import uuid7
from tenants.isolation import scope
from tests.api.test_attack import call
from tests.conftest import House, house

HELD = {"name": "Smith ./. Acme", "reason": "Letter of 3 November"}
NOVEMBER = datetime(2026, 11, 10, tzinfo=UTC)


@pytest.fixture(scope="module")
def acme(database: None) -> House:
    return house("acme", ("legal", "sales"))


@pytest.fixture(scope="module")
def globex(database: None) -> House:
    return house("globex", ("research",))


def place(house: House, **more: object) -> str:
    answer = call("post", "/api/v1/audit/holds", house.keys["auditor"], {**HELD, "name": str(uuid7()), **more})
    assert answer.status_code == 201, answer.content
    made: str = answer.json()["id"]
    return made


def over(house: House, **what: object) -> list[str]:
    with scope(house.id):
        return [str(hold.pk) for hold in holds_over(**{"time": NOVEMBER, **what})]  # type: ignore[arg-type]


def test_a_hold_fits_what_all_of_its_filter_fits(acme: House) -> None:
    made = place(acme, filter={"from": "2026-11-01T00:00:00Z", "to": "2026-12-01T00:00:00Z", "actor": "alice"})
    assert made in over(acme, actor="alice")
    assert made not in over(acme, actor="bob")
    assert made not in over(acme, actor="alice", time=datetime(2026, 12, 1, tzinfo=UTC))
    assert made not in over(acme, actor="alice", time=datetime(2026, 10, 31, tzinfo=UTC))
    everything = place(acme)
    assert everything in over(acme, actor="bob")


def test_a_released_hold_holds_nothing_and_stays_on_record(acme: House) -> None:
    made = place(acme)
    assert call("delete", f"/api/v1/audit/holds/{made}", acme.keys["auditor"]).status_code == 204
    assert made not in over(acme)
    shown = call("get", f"/api/v1/audit/holds/{made}", acme.keys["auditor"]).json()
    assert shown["released_at"]
    events = call("get", "/api/v1/audit/events?action=hold.", acme.owner_key).json()["results"]
    assert {event["action"] for event in events if event["object"]["id"] == made} == {"hold.create", "hold.update"}


def test_two_holds_in_force_do_not_share_a_name(acme: House) -> None:
    place(acme, name="same")
    answer = call("post", "/api/v1/audit/holds", acme.keys["auditor"], {**HELD, "name": "same"})
    assert answer.status_code in (400, 409)


def test_a_filter_that_means_nothing_is_refused(acme: House) -> None:
    for wrong in ({"colour": "red"}, {"from": "soon"}, {"request_id": "x"}, "all"):
        answer = call("post", "/api/v1/audit/holds", acme.keys["auditor"], {**HELD, "filter": wrong})
        assert answer.status_code == 400, wrong


def test_charlie_is_held_by_nothing_of_acmes(acme: House, globex: House) -> None:
    made = place(acme)
    assert over(globex) == []
    assert call("get", f"/api/v1/audit/holds/{made}", globex.owner_key).status_code == 404


def test_reading_the_trail_is_an_event_of_those_who_may_read_all(acme: House) -> None:
    call("get", "/api/v1/audit/events?action=nothing.", acme.keys["auditor"])
    call("get", "/api/v1/audit/events?action=nothing.", acme.keys["developer"])
    events = call("get", "/api/v1/audit/events?action=event.read", acme.owner_key).json()["results"]
    looked = [event for event in events if event["detail"].get("filters") == {"action": "nothing."}]
    assert [event["actor"]["id"] for event in looked] == [str(acme.key_ids[acme.keys["auditor"]])]
