"""Somebody who changes a pack, and knows how it is made: with ever more of it made to fit, up to signing all anew.

0  changes records, nothing else
1  gives them hashes that fit
2  makes seals, marks and file hashes fit as well, and keeps the old signatures
3  signs all of it with a key of their own, which they put in the pack: only a kept seal or key shows that
"""

from __future__ import annotations

import json
import random
import zipfile
from base64 import b64encode
from collections.abc import Callable
from hashlib import sha256
from io import BytesIO
from typing import Any

from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey

from audit.evidence import Marks
from audit.merkle import Frontier

KEY = Ed25519PrivateKey.generate()
PUBLIC = KEY.public_key().public_bytes_raw()
NAME = sha256(PUBLIC).hexdigest()[:32]

Files = dict[str, bytes]


def unpacked(pack: bytes) -> Files:
    with zipfile.ZipFile(BytesIO(pack)) as found:
        return {name: found.read(name) for name in found.namelist()}


def packed(files: Files) -> BytesIO:
    made = BytesIO()
    with zipfile.ZipFile(made, "w") as pack:
        for name, data in files.items():
            pack.writestr(name, data)
    made.seek(0)
    return made


def canonical(value: Any) -> bytes:
    return json.dumps(value, sort_keys=True, separators=(",", ":"), ensure_ascii=False).encode()


def bodies(files: Files) -> list[bytes]:
    """The records without their hashes."""
    return [line[:-75] + b"}" for line in files["events.jsonl"].splitlines()]


def hashes(files: Files) -> list[bytes]:
    return [line[-66:-2] for line in files["events.jsonl"].splitlines()]


def lines(records: list[bytes], stated: list[bytes]) -> bytes:
    return b"".join(one[:-1] + b',"hash":"' + leaf + b'"}\n' for one, leaf in zip(records, stated, strict=True))


def leaf(record: bytes) -> bytes:
    return sha256(b"\0" + record).digest()


def signed(body: dict[str, Any], old: list[dict[str, str]], own: bool) -> dict[str, Any]:
    body = {name: value for name, value in body.items() if name != "signatures"}
    given = [{"key": NAME, "signature": b64encode(KEY.sign(canonical(body))).decode()}] if own else old
    return {**body, "signatures": given}


def rebuilt(files: Files, records: list[bytes], own: bool) -> Files:
    """The pack with all that follows from the records computed anew; `own`: signed with the forger's key."""
    made = {**files, "events.jsonl": lines(records, [leaf(one).hex().encode() for one in records])}
    sealed = [json.loads(line) for line in files["seals.jsonl"].splitlines()]
    sizes = sorted({min(seal["size"], len(records)) for seal in sealed})
    if len(records) > sizes[-1]:
        sizes[-1] = len(records)
    tree, marks, seals, previous = Frontier(), Marks(len(records)), [], ""
    for place, one in enumerate(records, 1):
        tree.append(leaf(one))
        marks.add(leaf(one))
        if place in sizes:
            old = sealed[len(seals)]
            body = {**old, "size": place, "root": tree.root.hex(), "previous": previous}
            seals.append(canonical(signed(body, old["signatures"], own)))
            previous = sha256(seals[-1]).hexdigest()
    marks.close()
    made["seals.jsonl"] = b"".join(seal + b"\n" for seal in seals)
    if own:
        key = {**json.loads(files["keys.json"])["keys"][0], "key": NAME, "public": b64encode(PUBLIC).decode()}
        made["keys.json"] = canonical({"format": "customhouse-keys/1", "keys": [signed(key, [], own)]}) + b"\n"
    proofs = json.loads(files["proofs.json"])
    statement = {
        **proofs["statement"],
        "seal": len(seals),
        "size": len(records),
        "runs": [[0, len(records)]],
        "block": marks.block,
        "marks": marks.found,
        "files": {name: sha256(data).hexdigest() for name, data in made.items() if name != "proofs.json"},
    }
    made["proofs.json"] = (
        canonical({**proofs, "statement": signed(statement, proofs["statement"]["signatures"], own)}) + b"\n"
    )
    return made


def renumbered(records: list[bytes]) -> list[bytes]:
    return [canonical({**json.loads(one), "position": place}) for place, one in enumerate(records)]


class Forger:
    """Draws mutations of one pack; `foreign` is another tenant's."""

    def __init__(self, pack: bytes, foreign: bytes, seed: int) -> None:
        self.files, self.foreign = unpacked(pack), unpacked(foreign)
        self.records, self.others = bodies(self.files), bodies(self.foreign)
        self.dice = random.Random(seed)

    def mutated(self, kind: str) -> tuple[Files, int]:
        """A pack that is not the one it was, and how much of it was made to fit."""
        effort = self.dice.choice((2, 3)) if kind == "cut" and self.dice.random() < 0.7 else self.dice.randrange(4)
        change: Callable[[list[bytes]], list[bytes]] = getattr(self, kind)
        while True:
            records = change(list(self.records))
            if effort and kind not in ("edit", "cut") and self.dice.random() < 0.5:
                records = renumbered(records)
            if records != self.records and records:
                return self._with(records, effort), effort

    def _with(self, records: list[bytes], effort: int) -> Files:
        if effort >= 2:
            return rebuilt(self.files, records, own=effort == 3)
        known = dict(zip([*self.records, *self.others], [*hashes(self.files), *hashes(self.foreign)], strict=True))
        if effort == 1:
            stated = [leaf(one).hex().encode() for one in records]
        else:  # a new or changed record keeps a hash that some record had
            stated = [known.get(one, self.dice.choice(list(known.values()))) for one in records]
        return {**self.files, "events.jsonl": lines(records, stated)}

    # -- the six classes ---------------------------------------------------------------------------------------------

    def edit(self, records: list[bytes]) -> list[bytes]:
        for place in self.dice.sample(range(len(records)), self.dice.choice((1, 1, 1, 3))):
            records[place] = self.dice.choice((self._byte, self._value))(records[place])
        return records

    def delete(self, records: list[bytes]) -> list[bytes]:
        for _ in range(self.dice.choice((1, 1, 2, 9))):
            del records[self.dice.randrange(len(records) - 1)]
        return records

    def insert(self, records: list[bytes]) -> list[bytes]:
        place = self.dice.randrange(len(records) + 1)
        new = self.dice.choice(records)
        if self.dice.random() < 0.7:
            changed = {**json.loads(new), "id": f"0198a000-0000-7000-8000-{self.dice.getrandbits(48):012x}"}
            new = canonical({**changed, "position": self.dice.choice((place, changed["position"], len(records)))})
        records.insert(place, new)
        return records

    def reorder(self, records: list[bytes]) -> list[bytes]:
        start = self.dice.randrange(len(records) - 2)
        end = min(len(records), start + self.dice.choice((2, 2, 3, 20)))
        part = records[start:end]
        self.dice.shuffle(part)
        records[start:end] = part
        return records

    def move(self, records: list[bytes]) -> list[bytes]:
        new, place = self.dice.choice(self.others), self.dice.randrange(len(records))
        if self.dice.random() < 0.5:
            new = canonical({**json.loads(new), "position": place})
        if self.dice.random() < 0.5:
            records[place] = new
        else:
            records.insert(place, new)
        return records

    def cut(self, records: list[bytes]) -> list[bytes]:
        return records[: -self.dice.randint(1, len(records) - 1)]

    def _byte(self, record: bytes) -> bytes:
        place, new = self.dice.randrange(len(record)), self.dice.randrange(256)
        return record[:place] + bytes([new if new != 10 else 32]) + record[place + 1 :]

    def _value(self, record: bytes) -> bytes:
        found = json.loads(record)
        name = self.dice.choice(sorted(set(found) - {"position"}))
        found[name] = self.dice.choice(("", None, "0.00", 17, "changed", [], {"name": "Bob"}))
        return canonical(found)
