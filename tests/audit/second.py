"""The hashing once more, from RFC 6962 and docs/reference/evidence.md alone: slow, recursive, no code shared.

What both compute alike is hardly wrong in the same way twice.
"""

from __future__ import annotations

import hashlib
import json
from decimal import Decimal
from typing import Any


def mth(leaves: list[bytes]) -> bytes:
    """Merkle tree hash of the leaves' bytes, RFC 6962 section 2.1."""
    if not leaves:
        return hashlib.sha256().digest()
    if len(leaves) == 1:
        return hashlib.sha256(bytes([0]) + leaves[0]).digest()
    k = half(len(leaves))
    return hashlib.sha256(bytes([1]) + mth(leaves[:k]) + mth(leaves[k:])).digest()


def path(m: int, leaves: list[bytes]) -> list[bytes]:
    """Audit path, section 2.1.1."""
    if len(leaves) == 1:
        return []
    k = half(len(leaves))
    if m < k:
        return [*path(m, leaves[:k]), mth(leaves[k:])]
    return [*path(m - k, leaves[k:]), mth(leaves[:k])]


def proof(m: int, leaves: list[bytes]) -> list[bytes]:
    """Consistency proof, section 2.1.2."""
    return subproof(m, leaves, True)


def subproof(m: int, leaves: list[bytes], b: bool) -> list[bytes]:
    if m == len(leaves):
        return [] if b else [mth(leaves)]
    k = half(len(leaves))
    if m <= k:
        return [*subproof(m, leaves[:k], b), mth(leaves[k:])]
    return [*subproof(m - k, leaves[k:], False), mth(leaves[:k])]


def half(n: int) -> int:
    k = 1
    while k * 2 < n:
        k *= 2
    return k


def included(leaf: bytes, index: int, size: int, proof: list[bytes]) -> bytes:
    """The root that an inclusion proof leads to, RFC 9162 section 2.1.3.2."""
    fn, sn, r = index, size - 1, leaf
    for p in proof:
        assert sn != 0
        if fn & 1 or fn == sn:
            r = hashlib.sha256(b"\x01" + p + r).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            r = hashlib.sha256(b"\x01" + r + p).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return r


def consistent(first: int, second: int, first_root: bytes, proof: list[bytes]) -> tuple[bytes, bytes]:
    """The two roots that a consistency proof leads to, RFC 9162 section 2.1.4.2 (0 < first < second)."""
    parts = list(proof)
    if first & (first - 1) == 0:
        parts.insert(0, first_root)
    fn, sn = first - 1, second - 1
    while fn & 1:
        fn, sn = fn >> 1, sn >> 1
    fr = sr = parts[0]
    for c in parts[1:]:
        assert sn != 0
        if fn & 1 or fn == sn:
            fr, sr = hashlib.sha256(b"\x01" + c + fr).digest(), hashlib.sha256(b"\x01" + c + sr).digest()
            while fn and not fn & 1:
                fn, sn = fn >> 1, sn >> 1
        else:
            sr = hashlib.sha256(b"\x01" + sr + c).digest()
        fn, sn = fn >> 1, sn >> 1
    assert sn == 0
    return fr, sr


def record(row: dict[str, Any], position: int) -> bytes:
    """A record's bytes from the columns of its row; JSON columns come as text."""
    members = {
        "v": "1",
        "position": str(position),
        "tenant": text(row["tenant_id"]),
        "id": text(row["id"]),
        "seq": str(row["seq"]),
        "time": text(row["time"].strftime("%Y-%m-%dT%H:%M:%S.%fZ")),
        **{
            name: text(row[name])
            for name in ("action", "decision", "reason", "policy", "model", "deployment", "region")
        },
        "request_id": text(row["request_id"]),
        "department_id": text(row["department_id"]),
        "actor": written({"id": row["actor_id"], "name": row["actor_name"], "type": row["actor_type"]}),
        "object": written({"id": row["object_id"], "type": row["object_type"]})
        if row["object_type"] or row["object_id"]
        else "null",
        **{
            name: written(json.loads(row[name], parse_float=Decimal))
            for name in ("entities", "passages", "tokens", "detail")
        },
        "cost": text(None if row["cost"] is None else money(row["cost"])),
        "latency_ms": "null" if row["latency_ms"] is None else number(Decimal(repr(row["latency_ms"]))),
    }
    return ("{" + ",".join(f"{text(name)}:{members[name]}" for name in sorted(members)) + "}").encode()


def money(amount: Decimal) -> str:
    whole, _, places = f"{amount:.12f}".partition(".")
    return f"{whole}.{places.rstrip('0').ljust(2, '0')}"


def number(amount: Decimal) -> str:
    found = f"{amount:f}"
    return found.rstrip("0").rstrip(".") if "." in found else found


def text(value: Any) -> str:
    return "null" if value is None else json.dumps(str(value), ensure_ascii=False)


def written(value: Any) -> str:
    """JSON without white space, members by code point, decimals with all the digits that they came with."""
    if isinstance(value, dict):
        return "{" + ",".join(f"{text(name)}:{written(value[name])}" for name in sorted(value)) + "}"
    if isinstance(value, list):
        return "[" + ",".join(written(one) for one in value) + "]"
    if isinstance(value, Decimal):
        return f"{value:f}"
    if isinstance(value, bool) or value is None:
        return {True: "true", False: "false", None: "null"}[value]
    return str(value) if isinstance(value, int) else text(value)
