#!/usr/bin/env python3
"""Verifies an evidence pack or a receipt of Customhouse: without Customhouse, without a database, without a network.

    python verify_customhouse.py PACK [--seal KEPT_SEAL_OR_PACK] [--key FINGERPRINT]

PACK is a pack (zip) or a receipt (JSON). With --seal, a seal that you kept from earlier (a JSON file, an older pack),
it also shows that nothing of what that seal covered was changed or cut off since. With --key it accepts only what
is signed by the key of that fingerprint, or by keys that it introduced.

Exit status: 0 everything is true, 1 something is false (it says which record and why), 2 the files cannot be read.
Needs Python 3.9 or later and the package `cryptography`. The format is described in docs/reference/evidence.md.
"""

from __future__ import annotations

import argparse
import json
import re
import sys
import zipfile
from base64 import b64decode
from collections.abc import Iterable, Iterator
from hashlib import sha256
from typing import IO, Any

from cryptography.exceptions import InvalidSignature
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PublicKey

FILES = {
    *("events.jsonl", "seals.jsonl", "proofs.json", "keys.json", "policies.jsonl"),
    *("verify_customhouse.py", "README.txt"),
}
SEAL_MEMBERS = ("format", "tenant", "number", "size", "root", "time", "previous", "signatures")
HASH_MEMBER = re.compile(rb',"hash":"([0-9a-f]{64})"\}\Z')
HASH_LENGTH = len(b',"hash":""}') + 64
MOST_FAULTS = 20
LONGEST_LINE = 16 * 1024 * 1024

#: a seal's number, size and root
Boundary = tuple[int, int, str]


class Unreadable(Exception):
    """The file is no pack or receipt, or is damaged."""


class Enough(Exception):
    """So much is false that the rest need not be read."""


class Report:
    """What was found: `faults` are sentences, none means that everything is true."""

    def __init__(self) -> None:
        self.faults: list[str] = []
        self.facts: list[str] = []

    def fault(self, sentence: str) -> None:
        self.faults.append(sentence)
        if len(self.faults) >= MOST_FAULTS:
            self.faults.append("There is more; the rest was not read.")
            raise Enough


# -- the tree of RFC 6962 --------------------------------------------------------------------------------------------


class Tree:
    """A Merkle tree that grows from the left; it holds one hash for each bit of its size."""

    def __init__(self) -> None:
        self.size = 0
        self._parts: list[bytes] = []

    def append(self, subtree: bytes, height: int = 0) -> None:
        """Appends a leaf's hash, or the root of a perfect subtree of 2^height leaves at a place that it fits."""
        place, size = self.size >> height, 1 << height
        while place & 1:
            subtree = sha256(b"\x01" + self._parts.pop() + subtree).digest()
            place >>= 1
        self._parts.append(subtree)
        self.size += size

    def root(self) -> bytes:
        found: bytes | None = None
        for part in reversed(self._parts):
            found = part if found is None else sha256(b"\x01" + part + found).digest()
        return sha256(b"").digest() if found is None else found


def subtrees(start: int, end: int) -> Iterator[int]:
    """The heights of the perfect subtrees that cover the leaves from start to end (not included), left to right."""
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height
        start += 1 << height


# -- signed JSON -----------------------------------------------------------------------------------------------------


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def parse(data: bytes, what: str) -> Any:
    try:
        return json.loads(data)
    except (ValueError, RecursionError):
        raise Unreadable(f"{what} is not JSON.") from None


class Keys:
    """Public keys by fingerprint. All but the first were introduced by one before, by its signature."""

    def __init__(self, listed: list[Any], report: Report, trusted: str | None = None) -> None:
        self._keys: dict[str, Ed25519PublicKey] = {}
        self.names: list[str] = []
        for number, entry in enumerate(listed, 1):
            self._add(entry, number, report, trusted)
        if trusted is not None and trusted not in self._keys:
            report.fault(f"The key {trusted} is not among the keys of this evidence.")

    def _add(self, entry: Any, number: int, report: Report, trusted: str | None) -> None:
        what = f"key No. {number}"
        try:
            public = b64decode(entry["public"], validate=True)
            key = Ed25519PublicKey.from_public_bytes(public)
            name = entry["key"]
        except (KeyError, TypeError, ValueError):
            report.fault(f"{what}: it is no Ed25519 key.")
            return
        if name != sha256(public).hexdigest()[:32]:
            report.fault(f"{what}: its name is not its fingerprint; it was exchanged.")
            return
        introducers = {given.get("key") for given in signatures_of(entry)} - {name}
        if self.names and not introducers & set(self.names):
            report.fault(f"{what} ({name}): no key before it introduces it.")
            return
        self._keys[name] = key
        self.names.append(name)
        if trusted is not None and trusted != name and not introducers & set(self._keys) and trusted in self._keys:
            report.fault(f"{what} ({name}): the key {trusted} does not lead to it.")
        self.check(entry, what, report)

    def check(self, signed: dict[str, Any], what: str, report: Report) -> None:
        """Whether every signature is that of a known key over the rest of the object; one at least."""
        given = signatures_of(signed)
        if not given:
            report.fault(f"{what}: it is not signed.")
        data = canonical({name: value for name, value in signed.items() if name != "signatures"})
        for one in given:
            key = self._keys.get(str(one.get("key")))
            if key is None:
                report.fault(f"{what}: it is signed by {one.get('key')}, which is none of the keys.")
                continue
            try:
                key.verify(b64decode(one["signature"], validate=True), data)
            except (InvalidSignature, KeyError, TypeError, ValueError):
                report.fault(f"{what}: the signature by {one.get('key')} is false.")


def signatures_of(signed: Any) -> list[dict[str, Any]]:
    given = signed.get("signatures") if isinstance(signed, dict) else None
    return [one for one in given if isinstance(one, dict)] if isinstance(given, list) else []


# -- seals -----------------------------------------------------------------------------------------------------------


def check_seals(
    lines: Iterable[bytes],
    tenant: str,
    keys: Keys,
    report: Report,
    kept: dict[str, Any] | None = None,
    whole: bool = True,
) -> dict[str, Any] | None:
    """Checks each seal and that each holds the hash of the one before; returns the last. `whole`: from the first on."""
    last: dict[str, Any] | None = None
    previous, size, time = "", 0, ""
    for number, line in enumerate(lines, 1):
        what = f"seal {number}"
        try:
            seal = json.loads(line)
            if canonical(seal) != line:
                raise ValueError
            found, covers, at = int(seal["number"]), int(seal["size"]), str(seal["time"])
            bytes.fromhex(seal["root"])
        except (ValueError, KeyError, TypeError, RecursionError):
            report.fault(f"{what}: its line was changed; it is not a seal.")
            return None
        if whole and found != number:
            report.fault(f"{what}: seal {found} stands in its place; seals were removed, added or reordered.")
            return None
        if whole and seal.get("previous") != previous:
            report.fault(f"{what}: it does not hold the hash of the seal before it; one of the two was changed.")
            return None
        if seal.get("format") != "customhouse-seal/1" or seal.get("tenant") != tenant:
            report.fault(f"{what}: it belongs to tenant {seal.get('tenant')}.")
        if covers <= size or at < time:
            report.fault(f"{what}: it covers less, or is older, than the one before it.")
        keys.check(seal, what, report)
        if kept is not None and found == kept["number"]:
            if any(seal.get(member) != kept.get(member) for member in SEAL_MEMBERS):
                report.fault(f"seal {found} is not the one that was kept: the history was written anew.")
            report.facts.append(f"The kept seal {found} ({kept['size']:,} records, {kept['time']}) is part of it.")
        last, previous, size, time = seal, sha256(line).hexdigest(), covers, at
    if last is None:
        report.fault("There is no seal.")
    elif kept is not None and not whole and kept["number"] != last["number"]:
        report.fault(f"A receipt holds one seal, the kept seal {kept['number']} is another. Hold it against a pack.")
    elif kept is not None and kept["number"] > last["number"]:
        report.fault(
            f"The kept seal {kept['number']} ({kept['size']:,} records, {kept['time']}) is not in it: this one ends "
            f"with seal {last['number']} ({last['size']:,} records, {last['time']}). Its tail was cut off, or it was "
            "exported before that seal was made; then ask for a new export."
        )
    return last


def check_kept(kept: dict[str, Any], tenant: str, keys: Keys, report: Report) -> None:
    """A kept seal is signed by a key of this evidence, and is this tenant's."""
    if kept.get("tenant") != tenant:
        report.fault(f"The kept seal belongs to tenant {kept.get('tenant')}, this evidence to {tenant}.")
    keys.check(kept, "the kept seal", report)


# -- records ---------------------------------------------------------------------------------------------------------


class Records:
    """The records of one pack or receipt, checked as they are read: hash, place, tenant, and the tree they make."""

    def __init__(
        self, statement: dict[str, Any], gaps: list[str], boundaries: Iterable[Boundary], report: Report
    ) -> None:
        self._report = report
        self._tenant, self._request = statement["tenant"], statement.get("request_id")
        self._runs = [tuple(run) for run in statement["runs"]]
        self._positions = (position for start, end in self._runs for position in range(start, end))
        self._total = sum(end - start for start, end in self._runs)
        self._gaps, self._boundaries = iter(gaps), iter(boundaries)
        self._boundary = next(self._boundaries, None)
        self._block, self._marks = max(1, int(statement["block"])), iter(statement["marks"])
        self._size = statement["size"]
        self._tree, self._expected = Tree(), next(self._positions, None)
        self._digest, self._in_block = sha256(), 0
        self._first: int | None = None
        self._faulty = self._broken = False
        self.count = self.checked_seals = self.unchecked_seals = 0

    def add(self, line: bytes) -> None:
        """One line of events.jsonl, without its end."""
        self.count += 1
        found = HASH_MEMBER.search(line[-HASH_LENGTH:])
        try:
            record = json.loads(line)
            position, tenant = record["position"], record["tenant"]
            if found is None or not isinstance(position, int):
                raise ValueError
        except (ValueError, KeyError, TypeError, RecursionError):
            self._fault(f"line {self.count} of the records: it was changed; it is not a record.")
            self._broken = True
            return
        leaf = sha256(b"\x00" + line[:-HASH_LENGTH] + b"}")
        if leaf.hexdigest().encode() != found[1]:
            self._fault(f"{name_of(record)}: its content was changed; it does not have the hash that it had.")
        if tenant != self._tenant:
            self._fault(f"{name_of(record)}: it belongs to tenant {tenant}, not to {self._tenant}.")
        if self._request is not None and record.get("request_id") != self._request:
            self._fault(f"{name_of(record)}: it belongs to request {record.get('request_id')}.")
        self._place(record, position)
        if not self._broken:
            self._grow(position, leaf.digest())

    def _place(self, record: dict[str, Any], position: int) -> None:
        if position == self._expected:
            self._expected = next(self._positions, None)
            return
        self._broken = True
        if self._expected is None:
            self._fault(f"{name_of(record)}: it was added; the evidence ends before it.")
        elif position < self._expected:
            self._fault(f"{name_of(record)}: it was added or moved; it does not belong before record {self._expected}.")
        else:
            self._fault(f"record {self._expected}: it was removed or moved; record {position} stands in its place.")
            while self._expected is not None and self._expected <= position:
                self._expected = next(self._positions, None)

    def _grow(self, position: int, leaf: bytes) -> None:
        if position != self._tree.size:
            self._fill(position)
        self._tree.append(leaf)
        self._digest.update(leaf)
        self._first = position if self._first is None else self._first
        self._in_block += 1
        if self._in_block == self._block:
            self._mark(position)
        self._compare()

    def _fill(self, end: int) -> None:
        """Appends what stands between two runs of records, as far as `end`."""
        for height in subtrees(self._tree.size, end):
            gap = next(self._gaps, None)
            if gap is None:
                self._fault("proofs.json: hashes are missing.")
                self._broken = True
                return
            self._tree.append(bytes.fromhex(gap), height)
            self._compare()

    def _mark(self, position: int) -> None:
        if next(self._marks, None) != self._digest.hexdigest()[:16] and not self._faulty:
            which = f"record {position}" if self._block == 1 else f"one of the records {self._first} to {position}"
            self._fault(f"{which}: its content was changed, and its hash as well; it is not what was exported.")
        self._digest, self._first, self._in_block, self._faulty = sha256(), None, 0, False

    def _compare(self) -> None:
        """Holds the tree against each seal whose size it has reached; seals inside a gap cannot be computed."""
        while self._boundary is not None and self._boundary[1] <= self._tree.size:
            number, size, root = self._boundary
            self._boundary = next(self._boundaries, None)
            if size < self._tree.size:
                self.unchecked_seals += 1
            elif self._tree.root().hex() == root:
                self.checked_seals += 1
            elif not self._report.faults:
                self._fault(f"the records up to {size - 1} do not have the root that seal {number} signed.")

    def end(self, last: dict[str, Any]) -> None:
        """After the last record: nothing is missing, and the tree is the one that the last seal signed."""
        if self._expected is not None:
            rest = self._total - self.count
            self._fault(f"record {self._expected}: it is missing, as is everything behind it ({max(rest, 1)} records).")
            self._broken = True
        if self._broken:
            return
        if self._in_block:
            self._mark(self._tree.size - 1)
        self._fill(self._size)
        if next(self._gaps, None) is not None or next(self._marks, None) is not None:
            self._fault("proofs.json: it holds more than belongs to these records.")
        if not self._report.faults and (self._tree.size != last["size"] or self._tree.root().hex() != last["root"]):
            self._fault(f"the records do not have the root that seal {last['number']} signed.")

    def _fault(self, sentence: str) -> None:
        self._faulty = True
        self._report.fault(sentence)


def name_of(record: dict[str, Any]) -> str:
    words = (record.get("action"), record.get("time"), f"id {record.get('id')}")
    return f"record {record['position']} ({', '.join(str(word)[:60] for word in words)})"


def check_statement(statement: dict[str, Any], last: dict[str, Any] | None, keys: Keys, report: Report) -> bool:
    """What the exporter says of the evidence, signed: its extent. The last seal must be the one it names."""
    keys.check(statement, "the statement in proofs.json", report)
    if last is not None and (statement["seal"], statement["size"]) != (last["number"], last["size"]):
        report.fault(
            f"The evidence ends with seal {last['number']} over {last['size']:,} records, but was exported with seal "
            f"{statement['seal']} over {statement['size']:,}."
        )
        return False
    return last is not None


def read_statement(proofs: Any) -> tuple[dict[str, Any], list[str]]:
    """The statement and the hashes between the records, as far as they have the right form."""
    try:
        statement = proofs["statement"]
        runs = [(int(start), int(end)) for start, end in statement["runs"]]
        edges = [edge for run in runs for edge in run]
        if edges != sorted(edges) or (edges and edges[-1] > int(statement["size"])):
            raise ValueError
        for name in ("tenant", "seal", "size", "block", "marks", "files", "made"):
            statement[name]
        return statement, [gap for gap in proofs["gaps"] if bytes.fromhex(gap)]
    except (KeyError, TypeError, ValueError):
        raise Unreadable("proofs.json lacks its statement.") from None


# -- packs and receipts ----------------------------------------------------------------------------------------------


class Pack:
    """The files of a pack, read as streams."""

    def __init__(self, source: str | IO[bytes]) -> None:
        try:
            self._zip = zipfile.ZipFile(source)
        except (zipfile.BadZipFile, OSError, ValueError):
            raise Unreadable("This is no zip file.") from None
        self.names = self._zip.namelist()

    def data(self, name: str) -> bytes:
        return b"".join(self.chunks(name))

    def chunks(self, name: str) -> Iterator[bytes]:
        try:
            with self._zip.open(name) as file:
                while chunk := file.read(1 << 20):
                    yield chunk
        except (zipfile.BadZipFile, OSError, ValueError, EOFError, KeyError, NotImplementedError) as error:
            raise Unreadable(f"{name} cannot be read: {error}") from None
        except Exception as error:  # noqa: BLE001  (zlib and others say it in words of their own)
            raise Unreadable(f"{name} is damaged: {error}") from None

    def lines(self, name: str, digest: Any = None) -> Iterator[bytes]:
        """The lines of a file without their ends; `digest` takes in its bytes."""
        rest = b""
        for chunk in self.chunks(name):
            if digest is not None:
                digest.update(chunk)
            lines = (rest + chunk).split(b"\n")
            rest = lines.pop()
            if len(rest) > LONGEST_LINE:
                raise Unreadable(f"{name} has a line without end.")
            yield from lines
        if rest:
            yield rest


def check_pack(source: str | IO[bytes], kept: dict[str, Any] | None = None, trusted: str | None = None) -> Report:
    """Checks a pack (a path or a file); returns the Report. Raises Unreadable."""
    report, pack = Report(), Pack(source)
    missing = FILES - set(pack.names)
    if missing:
        raise Unreadable(f"The pack lacks {', '.join(sorted(missing))}.")
    try:
        _check_pack(pack, report, kept, trusted)
    except Enough:
        pass
    return report


def _check_pack(pack: Pack, report: Report, kept: dict[str, Any] | None, trusted: str | None) -> None:
    for name in {name for name in pack.names if name not in FILES or pack.names.count(name) > 1}:
        report.fault(f"{name}: it does not belong to the pack, or is in it twice.")
    listed = parse(pack.data("keys.json"), "keys.json")
    written = pack.data("proofs.json")
    proofs = parse(written, "proofs.json")
    if written.rstrip(b"\n") != canonical(proofs) or set(proofs) != {"format", "gaps", "statement"}:
        report.fault("proofs.json: it was changed.")
    statement, gaps = read_statement(proofs)
    keys = Keys(listed.get("keys", []) if isinstance(listed, dict) else [], report, trusted)
    if kept is not None:
        check_kept(kept, statement["tenant"], keys, report)
    digests = {name: sha256() for name in ("events.jsonl", "seals.jsonl")}
    last = check_seals(pack.lines("seals.jsonl", digests["seals.jsonl"]), statement["tenant"], keys, report, kept=kept)
    fits = check_statement(statement, last, keys, report)
    boundaries = (sealed(line) for line in pack.lines("seals.jsonl")) if fits else iter(())
    records = Records(statement, gaps, boundaries, report)
    for line in pack.lines("events.jsonl", digests["events.jsonl"]):
        records.add(line)
    if fits and last is not None:
        records.end(last)
    check_files(pack, statement, digests, report)
    if last is not None:
        report.facts += facts(statement, last, records, keys)


def sealed(line: bytes) -> Boundary:
    seal = json.loads(line)
    return seal["number"], seal["size"], seal["root"]


def check_files(pack: Pack, statement: dict[str, Any], digests: dict[str, Any], report: Report) -> None:
    """The rest of the pack, by the hashes in the signed statement; for what was found already, no second word."""
    told = " ".join(report.faults)
    for name in sorted(FILES - {"proofs.json"}):
        digest = digests.get(name) or sha256(pack.data(name))
        if digest.hexdigest() != statement["files"].get(name) and not (told and name in digests):
            report.fault(f"{name}: it is not the file that was exported.")


def check_receipt(receipt: Any, kept: dict[str, Any] | None = None, trusted: str | None = None) -> Report:
    """Checks a receipt (as it was parsed from JSON); returns the Report. Raises Unreadable."""
    report = Report()
    try:
        lines = [line.encode() for line in receipt["records"]]
        seals = [canonical({name: seal[name] for name in SEAL_MEMBERS}) for seal in receipt["seals"]]
        listed, events = receipt["keys"], receipt.get("events")
        statement, gaps = read_statement(receipt["proofs"])
    except (KeyError, TypeError, AttributeError, UnicodeEncodeError):
        raise Unreadable("This is neither a pack nor a receipt.") from None
    try:
        keys = Keys(listed, report, trusted)
        if kept is not None:
            check_kept(kept, statement["tenant"], keys, report)
        last = check_seals(seals, statement["tenant"], keys, report, kept=kept, whole=False)
        if check_statement(statement, last, keys, report) and last is not None:
            records = Records(statement, gaps, (), report)
            for line in lines:
                records.add(line)
            records.end(last)
            if not report.faults and events is not None and events != [json.loads(line) for line in lines]:
                report.fault("events: they do not say what the records say.")
            report.facts += facts(statement, last, records, keys)
    except Enough:
        pass
    return report


def facts(statement: dict[str, Any], last: dict[str, Any], records: Records, keys: Keys) -> list[str]:
    """What holds when nothing is false."""
    runs = statement["runs"]
    if runs == [[0, last["size"]]]:
        extent = "the whole history from its first record on"
    elif statement.get("request_id"):
        extent = f"the records of request {statement['request_id']}"
    else:
        extent = "records " + ", ".join(f"{start} to {end - 1}" for start, end in runs) if runs else "no records"
    found = [
        f"{records.count:,} records of tenant {statement['tenant']}: {extent}.",
        f"Exported {statement['made']}; sealed by seal {last['number']} over {last['size']:,} records, {last['time']}.",
        f"Signed by {', '.join(keys.names)}. Compare this fingerprint with the one that you were given.",
    ]
    if records.unchecked_seals:
        found.append(f"{records.unchecked_seals} earlier seals lie outside of these records; their chain is whole.")
    return found


def read_kept(path: str) -> dict[str, Any]:
    """A kept seal: a seal, a list of them, an answer of the API, a receipt (JSON), or a pack, whose last seal it is."""
    try:
        with open(path, "rb") as file:
            data = file.read(4)
            if data == b"PK\x03\x04":
                lines = list(Pack(path).lines("seals.jsonl"))
                return as_seal(parse(lines[-1], "seals.jsonl")) if lines else as_seal(None)
            data += file.read()
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None
    try:
        found = json.loads(data)
    except ValueError:  # lines
        found = [parse(line, str(path)) for line in data.splitlines() if line.strip()]
    if isinstance(found, dict):
        found = found.get("results") or found.get("seals") or [found]
    return as_seal(max(found, key=lambda seal: seal["number"]) if is_seals(found) else None)


def is_seals(found: Any) -> bool:
    return isinstance(found, list) and bool(found) and all(isinstance(one, dict) and "number" in one for one in found)


def as_seal(found: Any) -> dict[str, Any]:
    """The published members of a seal; an answer of the API has more."""
    if not isinstance(found, dict) or not all(name in found for name in SEAL_MEMBERS):
        raise Unreadable("The kept file holds no seal.")
    return {name: found[name] for name in SEAL_MEMBERS}


def check(path: str, kept_path: str | None = None, trusted: str | None = None) -> Report:
    """Checks a file of either kind; returns the Report. Raises Unreadable."""
    kept = read_kept(kept_path) if kept_path else None
    try:
        with open(path, "rb") as file:
            beginning = file.read(4)
            if beginning.startswith(b"PK"):
                return check_pack(path, kept, trusted)
            return check_receipt(parse(beginning + file.read(), str(path)), kept, trusted)
    except OSError as error:
        raise Unreadable(f"{path}: {error.strerror}") from None


def main(arguments: list[str] | None = None) -> int:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("pack", metavar="PACK")
    parser.add_argument("--seal", metavar="KEPT_SEAL_OR_PACK")
    parser.add_argument("--key", metavar="FINGERPRINT")
    asked = parser.parse_args(arguments)
    try:
        report = check(asked.pack, asked.seal, asked.key)
    except Unreadable as error:
        print(f"UNREADABLE. {error}", file=sys.stderr)
        return 2
    if report.faults:
        print("FALSE.")
        for fault in report.faults:
            print(f"  {fault}")
        return 1
    print("TRUE.")
    for fact in report.facts:
        print(f"  {fact}")
    return 0


if __name__ == "__main__":
    sys.exit(main())
