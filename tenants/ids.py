"""Ids: UUIDs of version 7 (RFC 9562), whose order in time keeps indexes compact."""

from __future__ import annotations

import os
import time
from uuid import UUID

_KEPT = ~(0xF << 76 | 0x3 << 62)
_MARKS = 0x7 << 76 | 0x2 << 62


def uuid7() -> UUID:
    """A new id: 48 bits of milliseconds since 1970, then 74 random bits."""
    value = (time.time_ns() // 1_000_000) << 80 | int.from_bytes(os.urandom(10), "big")
    return UUID(int=value & _KEPT | _MARKS)
