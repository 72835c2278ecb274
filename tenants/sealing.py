"""Sealing secrets at rest: AES-256-GCM under a fresh nonce, bound to whom the secret belongs to."""

from __future__ import annotations

import os
from typing import Final

from cryptography.hazmat.primitives.ciphers.aead import AESGCM

_NONCE: Final = 12  #: bytes, in front of what is sealed


def seal(key: bytes, plain: bytes, bound: bytes) -> bytes:
    """The sealed form, which opens under the same key for the same `bound` alone."""
    nonce = os.urandom(_NONCE)
    return nonce + AESGCM(key).encrypt(nonce, plain, bound)


def unseal(key: bytes, sealed: bytes | memoryview, bound: bytes) -> bytes:
    """The plain form again. Raises InvalidTag under another key, for another `bound`, or when it was changed."""
    data = bytes(sealed)
    return AESGCM(key).decrypt(data[:_NONCE], data[_NONCE:], bound)
