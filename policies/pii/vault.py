"""The request's map from placeholder to original.

A placeholder looks like `[EMAIL_ADDRESS_K7Q2M]`: typed, ASCII, without spaces, and unlike anything that a language
would inflect. Its five characters are a keyed hash of type and value, so the same value has the same placeholder
wherever the same scope's secret is used, and no two scopes share one.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable
from hashlib import blake2b
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.pii.errors import VaultError

ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that no word appears, and no characters that look alike."""
ID_LENGTH: Final = 5
LONGEST: Final = 64
"""No placeholder is longer."""

MOST_ATTEMPTS: Final = 1_000_000

_DIGITS, _LETTERS, _EITHER = (
    "".join(characters[byte % len(characters)] for byte in range(256)).encode()
    for characters in (ALPHABET[:8], ALPHABET[8:], ALPHABET)
)
"""What a byte of a digest becomes."""
_FORMAT: Final = b"\x01"
_NONCE: Final = 12


class Vault:
    """Placeholders of one scope (a request, a conversation) and their originals. Not thread-safe."""

    __slots__ = ("_by_id", "_by_value", "_given_hash_key", "_given_secret", "_said", "_start")

    def __init__(self, scope_secret: bytes | None = None, *, hash_key: bytes | None = None) -> None:
        """`scope_secret`: 16 to 64 bytes; without one a fresh random secret is used, so nothing links two requests.

        `hash_key` keys the irreversible `hash` action and should live as long as hashes are to be comparable.
        """
        if scope_secret is not None and not 16 <= len(scope_secret) <= 64:
            raise ValueError("A scope's secret has 16 to 64 bytes.")
        self._given_secret, self._given_hash_key = scope_secret, hash_key
        self._start: Any = None  #: the keyed hash before its first byte
        self._by_value: dict[tuple[str, str], str] = {}
        self._by_id: dict[str, tuple[str, str]] = {}
        self._said = ""

    @property
    def _secret(self) -> bytes:
        """Drawn when it is first needed: most requests hold nothing that needs one."""
        if self._given_secret is None:
            self._given_secret = secrets.token_bytes(32)
        return self._given_secret

    def __len__(self) -> int:
        return len(self._by_id)

    def __bool__(self) -> bool:
        return bool(self._by_id)

    def __repr__(self) -> str:
        return f"<Vault of {len(self)} entries>"

    def __contains__(self, entry: tuple[str, str]) -> bool:
        """Whether this (type, value) has a placeholder already."""
        return entry in self._by_value

    def reserve(self, texts: Iterable[str]) -> None:
        """Never gives out an id that can be read in these texts: what the request already says stays what it is."""
        self._said = "\n".join([self._said, *texts]).upper()

    def placeholder(self, kind: str, value: str) -> str:
        """The placeholder of a value of this type: the same one each time it is asked."""
        known = self._by_value.get((kind, value))
        if known is not None:
            return known
        subject = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        token = self._token(0, subject)
        attempt = 1
        while token in self._by_id or token in self._said:  # something else has it already
            if attempt == MOST_ATTEMPTS:
                raise VaultError("The scope has no free placeholders left.")
            token = self._token(attempt, subject)
            attempt += 1
        self._by_id[token] = (kind, value)
        placeholder = self._by_value[kind, value] = f"[{kind}_{token}]"
        return placeholder

    def _token(self, attempt: int, subject: bytes) -> str:
        """An id that a value may have: a letter, a digit, then either, so that it is neither a word nor a number."""
        if self._start is None:
            self._start = blake2b(key=self._secret, digest_size=ID_LENGTH)
        state = self._start.copy()
        state.update(b"%d\0%s" % (attempt, subject))
        digest: bytes = state.digest()
        start = digest[:1].translate(_LETTERS) + digest[1:2].translate(_DIGITS)
        return (start + digest[2:].translate(_EITHER)).decode()

    def digest(self, kind: str, value: str) -> str:
        """The irreversible stand-in of a value: keyed, never in the map."""
        subject = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return f"{kind}#{hmac.digest(self._given_hash_key or self._secret, b'hash' + subject, 'sha256').hex()[:16]}"

    def entry(self, token: str) -> tuple[str, str] | None:
        """(type, original) of an id as it stands in a placeholder, upper case."""
        return self._by_id.get(token)

    @property
    def types(self) -> frozenset[str]:
        """The types that have placeholders."""
        return frozenset(kind for kind, _ in self._by_id.values())

    @property
    def originals(self) -> frozenset[str]:
        """The values that have placeholders."""
        return frozenset(value for _, value in self._by_id.values())

    def seal(self, key: bytes, associated: bytes = b"") -> bytes:
        """The vault encrypted under a 32-byte key (AES-256-GCM), bound to `associated` (the tenant, the purpose)."""
        entries = [[token, kind, value] for token, (kind, value) in self._by_id.items()]
        content = json.dumps({"secret": self._secret.hex(), "entries": entries}).encode()
        nonce = secrets.token_bytes(_NONCE)
        return _FORMAT + nonce + _cipher(key).encrypt(nonce, content, _FORMAT + associated)

    @classmethod
    def open(cls, sealed: bytes, key: bytes, associated: bytes = b"", *, hash_key: bytes | None = None) -> Vault:
        """The vault that `seal` encrypted. Raises VaultError for another key or purpose, or changed bytes."""
        if sealed[:1] != _FORMAT:
            raise VaultError
        try:
            content = json.loads(
                _cipher(key).decrypt(sealed[1 : 1 + _NONCE], sealed[1 + _NONCE :], _FORMAT + associated)
            )
        except (InvalidTag, ValueError):
            raise VaultError from None
        vault = cls(bytes.fromhex(content["secret"]), hash_key=hash_key)
        for token, kind, value in content["entries"]:
            vault._by_id[token] = (kind, value)
            vault._by_value[kind, value] = f"[{kind}_{token}]"
        return vault


def _cipher(key: bytes) -> AESGCM:
    if len(key) != 32:
        raise ValueError("A vault is sealed with a key of 32 bytes.")
    return AESGCM(key)
