"""`manage.py verify_audit`: what somebody with the database in their hands changes is found and named."""

from __future__ import annotations

import json
from collections.abc import Callable
from io import StringIO
from pathlib import Path
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from audit.evidence import stored_records
from audit.merkle import leaf_hash
from audit.records import record_bytes
from audit.seals import seal
from audit.services import record
from audit.verify import verify
from tenants.isolation import scope
from tests.billing.house import House


@pytest.fixture
def lived(acme: House) -> House:
    for place in range(6):
        with scope(acme.tenant, actor={"type": "user", "id": "a", "name": "Alice"}):
            record("document.read", object_type="document", object_id=str(place))
        if place % 2:
            seal(acme.tenant)
    return acme


def event(house: House, place: int) -> Any:
    return house.one("select id from audit_event where action = 'document.read' and object_id = %s", str(place))


def position(house: House, place: int) -> int:
    found: int = house.one("select position from audit_leaf where id = %s", event(house, place))
    return found


def kept(house: House) -> dict[str, Any]:
    found: dict[str, Any] = json.loads(house.one("select line from audit_seal order by number desc limit 1"))
    return found


def edit(house: House) -> str:
    name = f"record {position(house, 2)}: its event {event(house, 2)} was changed"
    house.servers.ask("update audit_event set actor_name = 'Bob' where id = %s", event(house, 2))
    return name


def edit_and_hash(house: House) -> str:
    house.servers.ask("update audit_leaf set hash = sha256('x') where id = %s", event(house, 2))
    return f"record {position(house, 2)}: its event"


def delete(house: House) -> str:
    name = f"record {position(house, 2)}: its event {event(house, 2)} was removed"
    house.servers.ask("delete from audit_event where id = %s", event(house, 2))
    return name


def delete_with_its_place(house: House) -> str:
    gone, place = event(house, 2), position(house, 2)
    house.servers.ask("delete from audit_event where id = %s", gone)
    house.servers.ask("delete from audit_leaf where id = %s", gone)
    return f"record {place}: its place in the history was removed"


def insert(house: House) -> str:
    house.servers.ask(
        "insert into audit_event (tenant_id, id, xact, action, decision, reason, actor_type, actor_id, actor_name, "
        "object_type, object_id, policy, model, deployment, region, entities, passages, tokens, detail) "
        "select tenant_id, uuidv7(), xact, action, decision, reason, actor_type, actor_id, actor_name, object_type, "
        "object_id, policy, model, deployment, region, entities, passages, tokens, detail from audit_event "
        "where id = %s",
        event(house, 2),
    )
    return "it has no place in the history"


def reorder(house: House) -> str:
    one, other = event(house, 2), event(house, 3)
    first, second = position(house, 2), position(house, 3)
    for key, place in ((one, -1), (other, first), (one, second)):
        house.servers.ask("update audit_leaf set position = %s where id = %s", place, key)
    return f"record {first}: its event {other} was changed"


def move(house: House) -> str:
    gone, place = event(house, 2), position(house, 2)
    house.servers.ask("update audit_event set tenant_id = gen_random_uuid() where id = %s", gone)
    return f"record {place}: its event {gone} was removed"


def cut(house: House) -> str:
    last = kept(house)["number"]
    size = house.one("select size from audit_seal where number = %s", last - 1)
    house.servers.ask(
        "delete from audit_event where id in (select id from audit_leaf where tenant_id = %s and position >= %s)",
        house.tenant,
        size,
    )
    house.servers.ask("delete from audit_leaf where tenant_id = %s and position >= %s", house.tenant, size)
    house.servers.ask("delete from audit_seal where tenant_id = %s and number = %s", house.tenant, last)
    return f"The kept seal {last} "


def unseal(house: House) -> str:
    house.servers.ask(
        "delete from audit_seal where tenant_id = %s and number = %s", house.tenant, kept(house)["number"]
    )
    return "no seal covers it"


def forge_a_seal(house: House) -> str:
    house.servers.ask(
        "update audit_seal set line = replace(line, '\"size\":', '\"size\":1') where tenant_id = %s and number = 2",
        house.tenant,
    )
    return "seal 2"


def test_an_untouched_trail_is_true(lived: House) -> None:
    assert verify(lived.tenant, kept(lived)).faults == []


@pytest.mark.parametrize(
    "change",
    [edit, edit_and_hash, delete, delete_with_its_place, insert, reorder, move, cut, unseal, forge_a_seal],
    ids=lambda change: change.__name__,
)
def test_what_was_changed_is_named(lived: House, change: Callable[[House], str]) -> None:
    remembered = kept(lived)
    said = change(lived)
    told = verify(lived.tenant, remembered).faults
    assert any(fault.startswith(said) or said in fault for fault in told), told


def test_a_changed_record_whose_hash_was_changed_too_is_found_by_the_root(lived: House) -> None:
    place = position(lived, 2)
    lived.servers.ask("update audit_event set actor_name = 'Bob' where id = %s", event(lived, 2))
    with scope(lived.tenant):
        [(_, _, _, stored)] = stored_records(place, place + 1)
    assert stored is not None
    lived.servers.ask(
        "update audit_leaf set hash = %s where id = %s", leaf_hash(record_bytes(stored, place)), event(lived, 2)
    )
    assert any("do not have the root" in fault for fault in verify(lived.tenant).faults)


def test_the_command_tells_all_tenants_and_ends_accordingly(lived: House, globex: House, tmp_path: Path) -> None:
    slug = lived.one("select slug from tenants_tenant where id = %s", lived.tenant)
    out, file = StringIO(), tmp_path / "kept.json"
    file.write_text(json.dumps(kept(lived)))
    call_command("verify_audit", tenant=slug, seal=str(file), stdout=out)
    assert f"{slug}: TRUE" in out.getvalue()
    edit(lived)
    with pytest.raises(SystemExit) as ended:
        call_command("verify_audit", tenant=slug, stdout=out)
    assert (ended.value.code, f"{slug}: FALSE" in out.getvalue()) == (1, True)
    for wrong in ({"tenant": "nobody"}, {"tenant": slug, "seal": str(tmp_path / "nowhere")}):
        with pytest.raises(CommandError):
            call_command("verify_audit", **wrong)
    (file).write_text(json.dumps({**kept(lived), "tenant": str(globex.tenant)}))
    with pytest.raises(CommandError, match="none of these"):
        call_command("verify_audit", tenant=slug, seal=str(file))
