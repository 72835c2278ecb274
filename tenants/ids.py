"""Ids: UUIDs of version 7 (RFC 9562), whose order in time keeps indexes compact.

48 bits of milliseconds since 1970, 12 bits of the millisecond's parts (the RFC's method 3), 62 random bits. A call
makes three of them, so randomness is fetched for many at once and the object is made without `UUID.__init__`.
"""

from __future__ import annotations

import os
import struct
import time
from uuid import UUID, SafeUUID

_AT_ONCE = 512
_VERSION, _VARIANT, _RANDOM_BITS = 0x7000, 1 << 63, (1 << 62) - 1
_new, _set, _SAFE = object.__new__, object.__setattr__, SafeUUID.unknown
_random: list[int] = []

if hasattr(os, "register_at_fork"):  # two processes must not draw from the same store
    os.register_at_fork(after_in_child=_random.clear)


def uuid7() -> UUID:
    """A new id."""
    milliseconds, rest = divmod(time.time_ns(), 1_000_000)
    time_part = milliseconds << 16 | _VERSION | rest * 4096 // 1_000_000
    made = _new(UUID)
    _set(made, "int", time_part << 64 | _VARIANT | _drawn() & _RANDOM_BITS)
    _set(made, "is_safe", _SAFE)
    return made


def _drawn() -> int:
    """64 random bits that nobody else gets; `pop` is atomic."""
    try:
        return _random.pop()
    except IndexError:
        _random.extend(struct.unpack(f"{_AT_ONCE}Q", os.urandom(_AT_ONCE * 8)))
        return _random.pop()
