"""Packs: what is true is found true, and of what somebody changed nothing is."""

from __future__ import annotations

import json
import re
import subprocess
import sys
from collections.abc import Callable
from dataclasses import dataclass
from datetime import UTC, datetime
from io import BytesIO
from pathlib import Path
from typing import Any
from uuid import UUID

import pytest

from audit import evidence, keyring
from audit.exports import VERIFIER, write_pack
from audit.models import Seal
from audit.seals import rotate_key, seal
from audit.services import record
from audit.verify_customhouse import Unreadable, check_pack
from tenants.isolation import scope
from tests.audit.forger import NAME, Files, Forger, canonical, leaf, packed, rebuilt, unpacked
from tests.billing.house import House, Servers, make_house

MUTATIONS = 1_000
REQUEST = UUID("0198a000-0000-7000-8000-0000000000ff")


@dataclass
class Evidence:
    """A tenant with a history of some seals, and packs over it."""

    house: House

    def pack(self, wanted: evidence.Wanted | None = None) -> bytes:
        wanted, sink = wanted or evidence.Wanted(), BytesIO()
        with scope(self.house.tenant):
            last = Seal.objects.first()
            assert last is not None
            runs = evidence.runs_of(wanted, last)
        write_pack(sink, self.house.tenant, wanted, runs, last)
        return sink.getvalue()

    def line(self, number: int) -> dict[str, Any]:
        found: dict[str, Any] = json.loads(self.house.one("select line from audit_seal where number = %s", number))
        return found

    @property
    def last(self) -> dict[str, Any]:
        return self.line(self.house.one("select max(number) from audit_seal"))


def lived(servers: Servers, name: str, events: int) -> Evidence:
    house = make_house(servers, name)
    for place in range(events):
        with scope(house.tenant, actor={"type": "user", "id": str(house.tenant), "name": f"Zoë {name}"}):
            record(
                "document.read",
                object_type="document",
                object_id=str(place),
                request_id=REQUEST if place in (3, 4, 40) else None,
                detail={"score": place / 7, "note": "naïve\n\u2028"},
            )
        if place % 17 == 0:
            seal(house.tenant)
        if place == 20:
            rotate_key(house.tenant)
    seal(house.tenant)
    return Evidence(house)


@pytest.fixture(scope="module")
def acme(servers: Servers, database: None) -> Evidence:
    return lived(servers, "acme", 45)


@pytest.fixture(scope="module")
def pack(acme: Evidence) -> bytes:
    return acme.pack()


@pytest.fixture(scope="module")
def globex(servers: Servers, database: None) -> Evidence:
    return lived(servers, "globex", 20)


@pytest.fixture(scope="module")
def foreign(globex: Evidence) -> bytes:
    return globex.pack()


def faults(files: Files, kept: dict[str, Any] | None = None, trusted: str | None = None) -> list[str]:
    try:
        return check_pack(packed(files), kept, trusted).faults
    except Unreadable as error:
        return [f"unreadable: {error}"]


def records(files: Files) -> list[dict[str, Any]]:
    return [json.loads(line) for line in files["events.jsonl"].splitlines()]


# -- what is true ----------------------------------------------------------------------------------------------------


def test_a_pack_holds_what_it_is_said_to_hold(pack: bytes) -> None:
    files = unpacked(pack)
    names = "events.jsonl seals.jsonl proofs.json keys.json policies.jsonl verify_customhouse.py README.txt"
    assert sorted(files) == sorted(names.split())
    assert files["verify_customhouse.py"] == VERIFIER.read_bytes()
    assert [one["position"] for one in records(files)] == list(range(len(records(files))))
    assert {one["actor"]["name"] for one in records(files)} >= {"Zoë acme"}


def test_a_whole_history_is_true_whichever_of_its_seals_was_kept(acme: Evidence, pack: bytes) -> None:
    report = check_pack(BytesIO(pack))
    assert (report.faults, "the whole history" in report.facts[0]) == ([], True)
    for number in range(1, acme.last["number"] + 1):
        assert check_pack(BytesIO(pack), acme.line(number)).faults == []


def test_a_time_is_one_run_without_gaps(acme: Evidence) -> None:
    times = [one["time"] for one in records(unpacked(acme.pack()))]
    since, until = (datetime.fromisoformat(times[place].replace("Z", "+00:00")) for place in (10, 41))
    files = unpacked(acme.pack(evidence.Wanted(since, until)))
    shown = [one["position"] for one in records(files)]
    assert shown == list(range(shown[0], shown[-1] + 1))
    assert {place for place, time in enumerate(times) if times[10] <= time < times[41]} == set(shown)
    assert faults(files, acme.last) == []
    shorter = {**files, "events.jsonl": b"\n".join(files["events.jsonl"].split(b"\n")[1:])}
    assert faults(shorter, acme.last)


def test_a_request_is_proved_without_the_records_around_it(acme: Evidence) -> None:
    files = unpacked(acme.pack(evidence.Wanted(request_id=REQUEST)))
    assert [one["object"]["id"] for one in records(files)] == ["3", "4", "40"]
    assert faults(files, acme.last) == []
    other = {**files, "events.jsonl": b"\n".join(unpacked(acme.pack())["events.jsonl"].split(b"\n")[5:8]) + b"\n"}
    assert faults(other)


def test_a_time_without_records_is_true_and_empty(acme: Evidence) -> None:
    files = unpacked(acme.pack(evidence.Wanted(until=datetime.fromisoformat("2020-01-01T00:00:00+00:00"))))
    assert (records(files), faults(files)) == ([], [])


def test_large_packs_are_marked_in_blocks(acme: Evidence, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(evidence, "BLOCKS", 8)
    files = unpacked(acme.pack())
    assert faults(files) == []
    forger = Forger(acme.pack(), acme.pack(), 1)
    changed = forger.files["events.jsonl"].splitlines(keepends=True)
    body = changed[20][:-76] + b"}"
    body = body.replace(b"document.read", b"document.seen")
    changed[20] = body[:-1] + b',"hash":"' + leaf(body).hex().encode() + b'"}\n'
    told = faults({**files, "events.jsonl": b"".join(changed)})
    assert any("one of the records" in fault for fault in told)


# -- what is not -----------------------------------------------------------------------------------------------------


@pytest.mark.slow
@pytest.mark.timeout(600)
@pytest.mark.parametrize("kind", ["edit", "delete", "insert", "reorder", "move", "cut"])
def test_a_thousand_mutations_of_each_class_are_all_found(
    acme: Evidence, pack: bytes, foreign: bytes, kind: str
) -> None:
    forger = Forger(pack, foreign, seed=len(kind))
    kept, missed, unnamed = acme.last, [], []
    for number in range(MUTATIONS):
        files, effort = forger.mutated(kind)
        # Who signs all of it anew is found by what was kept; everybody else without.
        told = faults(files, kept if effort == 3 or kind == "cut" else None)
        if not told:
            missed.append((number, effort))
        elif effort < 2 and not any("record" in fault for fault in told):
            unnamed.append((number, effort, told))
        if number % 100 == 0:
            assert faults(forger.files, kept) == [], "a false alarm"
    assert (missed, unnamed) == ([], [])


def test_any_byte_that_is_changed_in_any_file_is_found(acme: Evidence, pack: bytes) -> None:
    files = unpacked(pack)
    for name, data in files.items():
        for place in range(0, len(data), max(1, len(data) // 60)):
            changed = data[:place] + bytes([data[place] ^ 1]) + data[place + 1 :]
            assert faults({**files, name: changed}), (name, place)


def test_files_that_are_missing_or_added_are_found(pack: bytes) -> None:
    files = unpacked(pack)
    for name in files:
        with pytest.raises(Unreadable, match=name):
            check_pack(packed({other: data for other, data in files.items() if other != name}))
    assert faults({**files, "more.txt": b"x"})


EDITS: list[tuple[str, Callable[[list[bytes]], None], str]] = [
    ("changed", lambda lines: lines.__setitem__(7, lines[7].replace(b'"allow"', b'"deny"')), "record 7 (.*was changed"),
    ("removed", lambda lines: lines.__delitem__(7), "record 7: it was removed"),
    ("twice", lambda lines: lines.insert(7, lines[6]), "record 6 (.*added or moved"),
    ("swapped", lambda lines: lines.insert(7, lines.pop(9)), "record 7: it was removed or moved; record 9"),
    ("cut", lambda lines: lines.__delitem__(slice(-3, None)), "it is missing"),
    ("garbage", lambda lines: lines.__setitem__(7, b"{}\n"), "line 8 of the records"),
]


@pytest.mark.parametrize(("what", "change", "said"), EDITS, ids=[what for what, _, _ in EDITS])
def test_it_says_which_record_and_why(pack: bytes, what: str, change: Callable[[list[bytes]], None], said: str) -> None:
    files = unpacked(pack)
    lines = files["events.jsonl"].splitlines(keepends=True)
    change(lines)
    told = faults({**files, "events.jsonl": b"".join(lines)})
    assert re.search(said.replace("(", r"\("), told[0]), told


def test_a_record_of_globex_is_named(pack: bytes, foreign: bytes, globex: Evidence) -> None:
    files = unpacked(pack)
    lines = files["events.jsonl"].splitlines(keepends=True)
    lines[7] = unpacked(foreign)["events.jsonl"].splitlines(keepends=True)[7]
    told = faults({**files, "events.jsonl": b"".join(lines)})
    assert any("record 7" in one and str(globex.house.tenant) in one for one in told)


def test_who_signs_all_of_it_anew_is_found_by_a_kept_seal_or_key(acme: Evidence, pack: bytes, foreign: bytes) -> None:
    forger = Forger(pack, foreign, 5)
    changed = list(forger.records)
    changed[5] = changed[5].replace(b'"decision":"allow"', b'"decision":"deny"')
    forged = rebuilt(forger.files, changed, own=True)
    assert faults(forged) == [], "by itself it cannot be told"
    assert faults(forged, acme.line(2))
    first = acme.line(1)["signatures"][0]["key"]
    assert faults(forged, None, first)
    assert faults(forged, None, NAME) == []
    assert faults(forger.files, None, first) == [], "the first key leads to the later ones"
    assert faults(forger.files, None, NAME)


def test_a_history_that_was_written_anew_with_the_right_key_is_found_by_a_kept_seal(
    acme: Evidence, pack: bytes
) -> None:
    tenant, kept = acme.house.tenant, acme.line(2)
    with scope(tenant):
        body = {**{name: kept[name] for name in kept if name != "signatures"}, "root": acme.line(1)["root"]}
        other = json.loads(keyring.sign(body, keyring.signers(tenant, datetime.now(UTC))))
    [told] = faults(unpacked(pack), other)
    assert "not the one that was kept" in told


def test_an_older_pack_is_found_by_a_newer_seal(servers: Servers, database: None) -> None:
    house = lived(servers, "acme", 20)
    older = unpacked(house.pack())
    with scope(house.house.tenant):
        record("document.read")
    seal(house.house.tenant)
    [told] = faults(older, house.last)
    assert "tail was cut off" in told
    assert faults(unpacked(house.pack()), house.last) == []


def test_a_kept_seal_of_globex_proves_nothing_of_acme(pack: bytes, globex: Evidence) -> None:
    assert any("belongs to tenant" in fault for fault in faults(unpacked(pack), globex.last))


# -- the command -----------------------------------------------------------------------------------------------------


@pytest.fixture
def run(tmp_path: Path, pack: bytes) -> Callable[..., tuple[int, str]]:
    """The verifier as its readers run it: the script from the pack, alone, in a folder of its own."""
    files = unpacked(pack)
    (tmp_path / "verify_customhouse.py").write_bytes(files["verify_customhouse.py"])
    (tmp_path / "pack.zip").write_bytes(pack)

    def ran(*arguments: str) -> tuple[int, str]:
        command = [sys.executable, "-I", "verify_customhouse.py", *arguments]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        return done.returncode, done.stdout + done.stderr

    return ran


def test_the_command_ends_with_0_1_or_2(
    run: Callable[..., tuple[int, str]], tmp_path: Path, acme: Evidence, pack: bytes, globex: Evidence
) -> None:
    files = unpacked(pack)
    (tmp_path / "kept.json").write_bytes(canonical(acme.line(2)))
    (tmp_path / "answer.json").write_text(json.dumps({"next": None, "results": [{"id": "x", **acme.last}]}))
    (tmp_path / "seals.jsonl").write_bytes(files["seals.jsonl"])
    (tmp_path / "foreign.json").write_bytes(canonical(globex.last))
    (tmp_path / "false.zip").write_bytes(
        packed({**files, "events.jsonl": files["events.jsonl"].replace(b"allow", b"deny", 1)}).getvalue()
    )
    (tmp_path / "half.zip").write_bytes(pack[: len(pack) // 2])
    code, said = run("pack.zip")
    assert (code, said.startswith("TRUE.")) == (0, True), said
    for kept in ("kept.json", "answer.json", "seals.jsonl", "pack.zip"):
        code, said = run("pack.zip", "--seal", kept)
        assert (code, "kept seal" in said) == (0, True), said
    code, said = run("false.zip")
    assert (code, "record 0 (" in said) == (1, True), said
    assert run("pack.zip", "--seal", "foreign.json")[0] == 1
    assert run("pack.zip", "--key", "0" * 32)[0] == 1
    for unreadable in (["half.zip"], ["nowhere.zip"], ["kept.json"], ["pack.zip", "--seal", "half.zip"]):
        assert run(*unreadable)[0] == 2, unreadable
