"""The bytes of a record: what is hashed, exported and verified. The shape is `audit.record_1` in sql/evidence.sql.

JSON in UTF-8 without white space, members in the order of their code points, numbers exactly as PostgreSQL stores them.
In exports each line is these bytes with one more member at the end, the hash of the leaf; a verifier takes it off and
hashes the rest, and so needs no opinion of its own about how JSON is written.
"""

from __future__ import annotations

import json
from typing import Any

import orjson

HASH_MEMBER = b',"hash":"'
# Numbers are carried over as text: a cost with twenty digits is hashed with all of them.
_DECODER = json.JSONDecoder(parse_int=orjson.Fragment, parse_float=orjson.Fragment)


def canonical(value: Any) -> bytes:
    """JSON in its one form."""
    return orjson.dumps(value, option=orjson.OPT_SORT_KEYS)


def record_bytes(stored: str, position: int) -> bytes:
    """A record as `audit.record_1` gives it, in its place in the tenant's history, as bytes."""
    record = _DECODER.decode(stored)
    record["position"] = position
    return canonical(record)


def line(record: bytes, leaf: bytes) -> bytes:
    """A record's line in an export."""
    return record[:-1] + HASH_MEMBER + leaf.hex().encode() + b'"}'
