"""Seals: every committed event gets one place in its tenant's history, whatever order workers begin and commit in."""

from __future__ import annotations

import json
from base64 import b64decode
from collections.abc import Iterator
from contextlib import contextmanager
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from random import Random
from threading import Thread
from typing import Any

import psycopg
import pytest
from cryptography.exceptions import InvalidSignature, InvalidTag
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey
from django.db import IntegrityError, connection
from psycopg.rows import dict_row

from audit import history, keyring, seals
from audit.models import Leaf, Seal, SealKey
from audit.seals import seal, with_own
from audit.services import record
from tenants.isolation import scope
from tests.audit import second
from tests.billing.house import House

INSERT = """
    insert into audit_event (id, action, decision, reason, actor_type, actor_id, actor_name, object_type, object_id,
        policy, model, deployment, region, entities, passages, tokens, cost, latency_ms, detail)
    values (uuidv7(), 'document.read', 'allow', %s, 'user', '', 'Alice', '', '', '', '', '', '', '{"PERSON": 2}',
        '[{"score": 0.12345678901234567890}]', '{}', 0.000123450000, 12.5,
        '{"zebra": 1, "ä": "ö\\u0001", "big": 12345678901234567890123}')
"""


@contextmanager
def worker(house: House) -> Iterator[psycopg.Connection[Any]]:
    """A connection of another worker, in the tenant's scope, inside a transaction."""
    with psycopg.connect(house.servers.app) as other:
        other.execute("select set_config('app.tenant', %s, true)", (str(house.tenant),))
        yield other


def write(house: House, *reasons: str) -> None:
    with worker(house) as one:
        for reason in reasons:
            one.execute(INSERT, (reason,))


def history_of(house: House) -> list[str]:
    """The reasons of the sealed events, by position; keys that are made for sealing have none."""
    found = house.rows(
        "select e.reason from audit_leaf l join audit_event e using (tenant_id, id) where e.action = 'document.read' "
        "order by l.position"
    )
    return [reason for (reason,) in found]


def lines(house: House) -> list[dict[str, Any]]:
    return [json.loads(line) for (line,) in house.rows("select line from audit_seal order by number")]


def public_key(house: House, name: str) -> Ed25519PublicKey:
    entry = json.loads(house.one("select line from audit_sealkey where name = %s", name))
    return Ed25519PublicKey.from_public_bytes(b64decode(entry["public"]))


def test_what_is_committed_is_sealed_once(acme: House) -> None:
    write(acme, "one", "two")
    assert seal(acme.tenant) >= 2
    write(acme, "three")
    seal(acme.tenant)
    seal(acme.tenant)
    assert history_of(acme) == ["one", "two", "three"]
    assert seal(acme.tenant) == 0, "and when nothing happened no seal is made"


def test_an_event_that_commits_late_with_an_earlier_number_is_not_skipped(acme: House) -> None:
    with worker(acme) as slow:
        slow.execute(INSERT, ("begun first",))
        write(acme, "begun later")
        seal(acme.tenant)
        write(acme, "later still")
        seal(acme.tenant)
        assert history_of(acme) == ["begun later", "later still"]
    seal(acme.tenant)
    assert history_of(acme) == ["begun later", "later still", "begun first"]
    assert seal(acme.tenant) == 0


def test_a_transaction_that_stays_open_holds_up_nobody(acme: House, globex: House) -> None:
    with worker(globex) as slow:
        slow.execute(INSERT, ("open",))
        write(acme, "one")
        assert seal(acme.tenant) >= 1
    assert history_of(acme) == ["one"]


def test_what_was_rolled_back_never_happened(acme: House) -> None:
    with worker(acme) as other:
        other.execute(INSERT, ("undone",))
        seal(acme.tenant)
        other.rollback()
    seal(acme.tenant)
    assert "undone" not in history_of(acme)


def test_a_transaction_that_seals_leaves_its_own_events_to_the_next_seal(acme: House) -> None:
    write(acme, "before")
    with scope(acme.tenant):
        record("document.read", reason="own, before")
        write(acme, "another, begun later and committed first")
        seal(acme.tenant)
        record("document.read", reason="own, after")
        assert history_of(acme) == []
    other = ["before", "another, begun later and committed first"]
    assert history_of(acme) == other
    seal(acme.tenant)
    assert history_of(acme) == [*other, "own, before", "own, after"]
    assert seal(acme.tenant) == 0


def test_a_seal_sees_one_moment_however_long_it_takes(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "MOST", 2)
    write(acme, *"abcde")
    inner = seals._seal

    def meanwhile(*given: Any) -> Seal:
        write(acme, "meanwhile")
        return inner(*given)

    monkeypatch.setattr(seals, "_seal", meanwhile)
    seal(acme.tenant)
    assert history_of(acme) == list("abcde")
    monkeypatch.setattr(seals, "_seal", inner)
    seal(acme.tenant)
    assert sorted(history_of(acme)) == sorted([*"abcde", *["meanwhile"] * history_of(acme).count("meanwhile")])
    assert history_of(acme).count("meanwhile") >= 3


def test_two_sealers_do_not_seal_twice(acme: House) -> None:
    write(acme, *(str(number) for number in range(300)))

    failed: list[Exception] = []

    def other() -> None:
        try:
            seal(acme.tenant)
        except IntegrityError as error:
            failed.append(error)
        finally:
            connection.close()

    threads = [Thread(target=other) for _ in range(4)]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert history_of(acme) == [str(number) for number in range(300)]
    assert failed == []


def test_many_workers_that_commit_in_any_order_make_one_history(acme: House) -> None:
    dice = Random(11)
    open_ones: list[psycopg.Connection[Any]] = []
    for step in range(120):
        if len(open_ones) < 6 and dice.random() < 0.6:
            other = psycopg.connect(acme.servers.app)
            other.execute("select set_config('app.tenant', %s, true)", (str(acme.tenant),))
            for _ in range(dice.randint(1, 3)):
                other.execute(INSERT, (f"{step}",))
            open_ones.append(other)
        elif open_ones and dice.random() < 0.7:
            other = open_ones.pop(dice.randrange(len(open_ones)))
            if dice.random() < 0.8:
                other.commit()
            other.close()
        else:
            seal(acme.tenant)
    for other in open_ones:
        other.commit()
        other.close()
    seal(acme.tenant)
    written = acme.one("select count(*) from audit_event where action = 'document.read'")
    assert len(history_of(acme)) == written > 40
    places = [place for (place,) in acme.rows("select position from audit_leaf order by position")]
    assert places == list(range(len(places)))
    assert seal(acme.tenant, anew=True) == 0


def test_seals_are_chained_signed_and_cover_the_tree(acme: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(seals, "MOST", 3)
    for round_ in range(3):
        write(acme, *(f"{round_}.{number}" for number in range(4)))
        seal(acme.tenant)
    rows = records(acme)
    previous, size, stored = "", 0, [line for (line,) in acme.rows("select line from audit_seal order by number")]
    for number, line in enumerate(stored, 1):
        found = json.loads(line)
        assert (found["number"], found["previous"], found["tenant"]) == (number, previous, str(acme.tenant))
        assert 0 < found["size"] - size <= 3
        assert found["root"] == second.mth(rows[: found["size"]]).hex()
        [given] = found.pop("signatures")
        signed = json.dumps(found, sort_keys=True, separators=(",", ":")).encode()
        public_key(acme, given["key"]).verify(b64decode(given["signature"]), signed)
        with pytest.raises(InvalidSignature):
            public_key(acme, given["key"]).verify(
                b64decode(given["signature"]), signed.replace(b'"size":', b'"size":1')
            )
        previous, size = sha256(line.encode()).hexdigest(), found["size"]


def records(house: House) -> list[bytes]:
    """The bytes of all sealed records, by the second implementation, from the columns."""
    with psycopg.connect(house.servers.owner, row_factory=dict_row) as owner:
        owner.execute("set timezone = 'UTC'")
        rows = owner.execute(
            "select e.*, e.entities::text entities, e.passages::text passages, e.tokens::text tokens, "
            "e.detail::text detail, l.position, l.hash from audit_leaf l join audit_event e using (tenant_id, id) "
            "where tenant_id = %s order by l.position",
            [house.tenant],
        ).fetchall()
    made = [second.record(row, place) for place, row in enumerate(rows)]
    assert [sha256(b"\0" + one).digest() for one in made] == [row["hash"] for row in rows]
    return made


def test_numbers_are_hashed_with_all_their_digits(acme: House) -> None:
    write(acme, "precise")
    seal(acme.tenant)
    [found] = [one for one in records(acme) if b"precise" in one]
    assert b'"score":0.12345678901234567890' in found
    assert b'"cost":"0.00012345","' in found
    assert b'"big":12345678901234567890123' in found
    assert '"ä":"ö\\u0001"'.encode() in found


def test_proofs_from_the_stored_tree_are_those_of_the_rfc(acme: House) -> None:
    write(acme, *(str(number) for number in range(600)))
    seal(acme.tenant)
    rows = records(acme)
    size = len(rows)
    assert acme.one("select count(*) from audit_node") == size // 256
    with scope(acme.tenant):
        for index in (0, 1, 255, 256, 511, 599, size - 1):
            assert history.inclusion(index, size) == second.path(index, rows)
            assert history.inclusion(min(index, 299), 300) == second.path(min(index, 299), rows[:300])
        for first in (1, 2, 255, 256, 257, 512, 599):
            assert history.consistency(first, size) == second.proof(first, rows)
        assert history.root_of(0, size) == second.mth(rows)
        with pytest.raises(LookupError):
            history.root_of(0, size + 1)


def test_a_new_key_is_introduced_by_the_old_and_both_sign_for_a_week(
    acme: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    write(acme, "one")
    seal(acme.tenant)
    new = seals.rotate_key(acme.tenant)
    write(acme, "two")
    seal(acme.tenant)
    old = lines(acme)[0]["signatures"][0]["key"]
    assert [given["key"] for given in lines(acme)[-1]["signatures"]] == [new, old]
    with scope(acme.tenant):
        entry = json.loads(keyring.published()[-1])
    assert [given["key"] for given in entry["signatures"]] == [old, new]
    monkeypatch.setattr(keyring, "OVERLAP", timedelta(0))
    write(acme, "three")
    seal(acme.tenant)
    assert [given["key"] for given in lines(acme)[-1]["signatures"]] == [new]


def test_private_keys_are_encrypted_and_bound_to_their_tenant(acme: House, globex: House) -> None:
    write(acme, "one")
    seal(acme.tenant)
    with scope(acme.tenant):
        key = SealKey.objects.get()
        [signer] = keyring.signers(acme.tenant, datetime.now(UTC))
        assert signer.private.private_bytes_raw() not in bytes(key.sealed)
        with pytest.raises(InvalidTag):
            keyring._open(globex.tenant, key)
    made = acme.one("select detail::text from audit_event where action = 'seal_key.create'")
    assert "sealed" not in made
    assert key.name in made


def test_sealed_history_can_be_neither_changed_nor_removed(acme: House) -> None:
    write(acme, "one")
    seal(acme.tenant)
    for table in ("audit_leaf", "audit_node", "audit_seal", "audit_sealkey"):
        for statement in (f"update {table} set id = uuidv7()", f"delete from {table}", f"truncate {table}"):
            with pytest.raises(psycopg.errors.InsufficientPrivilege):
                acme.rows(statement)


def test_charlie_sees_nothing_of_acmes_seals(acme: House, globex: House) -> None:
    write(acme, "one")
    seal(acme.tenant)
    with scope(globex.tenant):
        assert (Seal.objects.count(), Leaf.objects.count(), SealKey.objects.count()) == (0, 0, 0)


def test_after_a_move_to_another_cluster_nothing_is_lost(acme: House) -> None:
    """A dump that was restored elsewhere: transactions are numbered anew, lower than the last seal's snapshot."""
    write(acme, "one")
    seal(acme.tenant)
    acme.servers.ask("update audit_seal set snapshot = '999999999:999999999:' where tenant_id = %s", acme.tenant)
    write(acme, "two")
    seal(acme.tenant)
    acme.servers.ask("update audit_seal set cluster = 'elsewhere' where tenant_id = %s", acme.tenant)
    write(acme, "three")
    seal(acme.tenant)
    assert history_of(acme) == ["one", "two", "three"]


def test_events_from_before_sealing_are_sealed_first(acme: House) -> None:
    write(acme, "old")
    acme.servers.ask("update audit_event set xact = null where tenant_id = %s", acme.tenant)
    write(acme, "new")
    seal(acme.tenant)
    assert history_of(acme) == ["old", "new"]
    assert seal(acme.tenant) == 1, "the key that was made"
    assert seal(acme.tenant) == 0


def test_a_snapshot_counts_its_own_transaction_as_running() -> None:
    assert with_own("10:20:14,16", 12) == "10:20:12,14,16"
    assert with_own("10:20:", 5) == "5:20:5"
    assert with_own("10:10:", 12) == "10:10:", "what lies beyond the end is not seen, and others may run there"


def test_sealing_one_tenant_fails_and_the_others_are_sealed(
    acme: House, globex: House, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    write(acme, "one")
    write(globex, "two")
    inner = seals.seal

    def fails(tenant: Any) -> int:
        if tenant == acme.tenant:
            raise RuntimeError
        return inner(tenant)

    monkeypatch.setattr(seals, "seal", fails)
    monkeypatch.setattr(seals, "tenants", lambda: [acme.tenant, globex.tenant])
    seals.seal_all()
    assert (history_of(acme), history_of(globex)) == ([], ["two"])
    assert str(acme.tenant) in caplog.text
