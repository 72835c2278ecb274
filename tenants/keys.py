"""API keys: `sk-ch-<public id>-<secret>-<checksum>`. Only a keyed hash of the whole is stored.

The prefix lets secret scanners find them, the public id is what one may show and index, the checksum rejects
typing errors without a look into the database.
"""

from __future__ import annotations

import hashlib
import hmac
import re
import secrets
import zlib
from typing import NamedTuple

PREFIX = "sk-ch-"
ALPHABET = "abcdefghijkmnpqrstuvwxyz23456789"  # without characters that are mistaken for each other
_SHAPE = re.compile(r"sk-ch-([a-z0-9]{12})-([a-z0-9]{32})-([a-z0-9]{6})")


class NewKey(NamedTuple):
    """A key at the one moment when it is known whole."""

    key: str
    public_id: str
    digest: bytes


def generate(pepper: bytes) -> NewKey:
    """Makes a key with 160 random bits of secret."""
    public_id, secret = _random(12), _random(32)
    body = f"{PREFIX}{public_id}-{secret}"
    key = f"{body}-{_checksum(body)}"
    return NewKey(key, public_id, digest(pepper, key))


def derive(pepper: bytes, name: str) -> NewKey:
    """The key that a name always has in this installation: for demonstrations, which must find theirs again."""
    stream = hashlib.shake_256(hmac.digest(pepper, b"derived key " + name.encode(), hashlib.sha256)).digest(44)
    letters = "".join(ALPHABET[byte % len(ALPHABET)] for byte in stream)
    body = f"{PREFIX}{letters[:12]}-{letters[12:]}"
    key = f"{body}-{_checksum(body)}"
    return NewKey(key, letters[:12], digest(pepper, key))


def public_id(credential: str) -> str | None:
    """The public id of what looks like a key, else None."""
    match = _SHAPE.fullmatch(credential)
    return None if match is None else match[1]


def is_whole(credential: str) -> bool:
    """Whether a key's checksum is right: a mistyped one is found out without asking anybody."""
    return _checksum(credential[:-7]) == credential[-6:]


def digest(pepper: bytes, credential: str) -> bytes:
    """HMAC-SHA-256 under the installation's pepper: 32 bytes."""
    return hmac.digest(pepper, credential.encode(), hashlib.sha256)


def matches(stored: bytes, pepper: bytes, credential: str) -> bool:
    """Whether a credential is the one whose hash is stored; takes the same time either way."""
    return hmac.compare_digest(stored, digest(pepper, credential))


def _random(length: int) -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(length))


def _checksum(body: str) -> str:
    value, letters = zlib.crc32(body.encode()), []
    for _ in range(6):
        value, rest = divmod(value, len(ALPHABET))
        letters.append(ALPHABET[rest])
    return "".join(letters)
