"""The request's map from placeholder to original.

A placeholder looks like `[EMAIL_ADDRESS_K7Q2M]`: typed, ASCII, without spaces, and unlike anything that a language
would inflect. Its five characters are a keyed hash of type and value, so the same value has the same placeholder
wherever the same scope's secret is used, and no two scopes share one.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Iterator
from hashlib import blake2b
from typing import Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.pii.errors import VaultError

ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that no word appears, and no characters that look alike."""
ID_LENGTH: Final = 5
LONGEST: Final = 64
"""No placeholder is longer."""

_LETTERS: Final = bytes(ord(ALPHABET[byte % len(ALPHABET)]) for byte in range(256))
"""What letter a byte of a digest becomes."""
_FORMAT: Final = b"\x01"
_NONCE: Final = 12


class Vault:
    """Placeholders of one scope (a request, a conversation) and their originals. Not thread-safe."""

    __slots__ = ("_by_id", "_by_value", "_hash_key", "_said", "_secret")

    def __init__(self, scope_secret: bytes | None = None, *, hash_key: bytes | None = None) -> None:
        """`scope_secret`: 16 to 64 bytes; without one a fresh random secret is used, so nothing links two requests.

        `hash_key` keys the irreversible `hash` action and should live as long as hashes are to be comparable.
        """
        self._secret = secrets.token_bytes(32) if scope_secret is None else scope_secret
        if not 16 <= len(self._secret) <= 64:
            raise ValueError("A scope's secret has 16 to 64 bytes.")
        self._hash_key = self._secret if hash_key is None else hash_key
        self._by_value: dict[tuple[str, str], str] = {}
        self._by_id: dict[str, tuple[str, str]] = {}
        self._said = ""

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
        for token in self._tokens(kind, value):
            if token not in self._by_id and token not in self._said:
                break
        self._by_id[token] = (kind, value)
        placeholder = self._by_value[kind, value] = f"[{kind}_{token}]"
        return placeholder

    def _tokens(self, kind: str, value: str) -> Iterator[str]:
        """The ids that a value may have, in order: the first, unless something else has it already."""
        subject = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        for attempt in range(1_000_000):
            digest = blake2b(b"%d\0%s" % (attempt, subject), key=self._secret, digest_size=ID_LENGTH).digest()
            token = digest.translate(_LETTERS).decode()
            # Letters and digits both: such a word is neither a word nor a number of the text around it.
            if not token.isalpha() and not token.isdigit():
                yield token
        raise VaultError("The scope has no free placeholders left.")

    def digest(self, kind: str, value: str) -> str:
        """The irreversible stand-in of a value: keyed, never in the map."""
        subject = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return f"{kind}#{hmac.digest(self._hash_key, b'hash' + subject, 'sha256').hex()[:16]}"

    def entry(self, token: str) -> tuple[str, str] | None:
        """(type, original) of an id as it stands in a placeholder, upper case."""
        return self._by_id.get(token)

    @property
    def types(self) -> frozenset[str]:
        """The types that have placeholders."""
        return frozenset(kind for kind, _ in self._by_id.values())

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
