"""Remembers what was found in a string, so that a conversation's history and a repeated prompt are not analysed again.

The key is a keyed hash with a secret of the process, the value holds types and places only: no text can be read there.
"""

from __future__ import annotations

import hashlib
import secrets
import threading
from collections import OrderedDict
from typing import Final

from policies.pii.data import Entity

MAX_WEIGHT: Final = 50_000


class Findings:
    """Bounded by weight: an entry weighs one, and one for each entity; the least recently used go. Thread-safe."""

    def __init__(self, max_weight: int = MAX_WEIGHT, secret: bytes | None = None) -> None:
        self._start = hashlib.blake2b(
            key=hashlib.sha256(secret).digest() if secret else secrets.token_bytes(32), digest_size=16
        )
        self._max_weight = max_weight
        self._weight = 0
        self._entries: OrderedDict[bytes, tuple[Entity, ...]] = OrderedDict()
        self._writing = threading.Lock()

    def __len__(self) -> int:
        return len(self._entries)

    def key(self, text: str, hint: str, version: str) -> bytes:
        """The name under which the findings in a text are kept."""
        state = self._start.copy()
        state.update(f"{version}\0{hint}\0{text}".encode("utf-8", "surrogatepass"))
        return state.digest()

    def get(self, key: bytes) -> tuple[Entity, ...] | None:
        """What was found, or None when nobody looked yet."""
        found = self._entries.get(key)
        if found is not None:
            try:
                self._entries.move_to_end(key)
            except KeyError:  # another thread has just dropped it
                return found
        return found

    def put(self, key: bytes, found: tuple[Entity, ...]) -> None:
        """Keeps what was found; drops what was not asked for in the longest time."""
        weight = 1 + len(found)
        if weight * 8 > self._max_weight:
            return
        with self._writing:
            if key in self._entries:
                return
            self._entries[key] = found
            self._weight += weight
            while self._weight > self._max_weight:
                _, dropped = self._entries.popitem(last=False)
                self._weight -= 1 + len(dropped)
