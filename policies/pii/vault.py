"""The request's map from placeholder, or surrogate, to original.

A placeholder looks like `[EMAIL_ADDRESS_K7Q2M]`: typed, ASCII, without spaces, and unlike anything that a language
would inflect. Its five characters are a keyed hash of type and value, so the same value has the same placeholder
wherever the same scope's secret is used, and no two scopes share one. A surrogate is drawn by the same hash
(`surrogates`); one that could be read in what the request already says is not given out.
"""

from __future__ import annotations

import hmac
import json
import secrets
from collections.abc import Iterable, Mapping
from hashlib import blake2b, shake_256
from typing import Any, Final

from cryptography.exceptions import InvalidTag
from cryptography.hazmat.primitives.ciphers.aead import AESGCM

from policies.pii import surrogates
from policies.pii.errors import VaultError
from policies.pii.written import Index

ALPHABET: Final = "23456789BCDFGHJKMNPQRSTVWXZ"
"""No vowels, so that no word appears, and no characters that look alike."""
ID_LENGTH: Final = 5
LONGEST: Final = 64
"""No placeholder is longer."""

MOST_ATTEMPTS: Final = 1_000_000
MOST_SURROGATES: Final = 16
"""So often another surrogate is drawn for a value; then it gets a placeholder."""

_DIGITS, _LETTERS, _EITHER = (
    "".join(characters[byte % len(characters)] for byte in range(256)).encode()
    for characters in (ALPHABET[:8], ALPHABET[8:], ALPHABET)
)
"""What a byte of a digest becomes."""
_FORMAT: Final = b"\x01"
_NONCE: Final = 12


class Vault:
    """Placeholders of one scope (a request, a conversation) and their originals. Not thread-safe."""

    __slots__ = (
        *(
            "_as_written",
            "_by_id",
            "_by_surrogate",
            "_by_value",
            "_given_hash_key",
            "_given_secret",
            "_names",
            "_said",
            "_start",
        ),
        *("_surrogates", "index"),
    )

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
        self._surrogates: dict[tuple[str, str], str] = {}
        self._as_written: dict[str, str] = {}
        self._by_surrogate: dict[str, str] = {}  #: in lower case, with single spaces
        self._names = surrogates.Names()
        #: how its surrogates are found in a text, kept by `restore`: of how many it is, and whether in JSON's text
        self.index: tuple[tuple[int, bool], Index] | None = None

    @property
    def _secret(self) -> bytes:
        """Drawn when it is first needed: most requests hold nothing that needs one."""
        if self._given_secret is None:
            self._given_secret = secrets.token_bytes(32)
        return self._given_secret

    def __len__(self) -> int:
        return len(self._by_id) + len(self._surrogates)

    def __bool__(self) -> bool:
        return bool(self._by_id or self._surrogates)

    def __repr__(self) -> str:
        return f"<Vault of {len(self)} entries>"

    def __contains__(self, entry: tuple[str, str]) -> bool:
        """Whether this (type, value) has a placeholder already."""
        return entry in self._by_value or entry in self._surrogates

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

    def surrogate(self, kind: str, value: str) -> str:
        """Something realistic in the place of a value, the same each time it is asked; else a placeholder."""
        known = self._surrogates.get((kind, value))
        if known is not None:
            return known
        if not surrogates.makes(kind, value):
            return self.placeholder(kind, value)
        for attempt in range(MOST_SURROGATES):
            found = self._drawn(kind, value, attempt)
            if found.strip() and self._may_be(found, value):
                break
        else:
            return self.placeholder(kind, value)
        self._surrogates[kind, value] = found
        self._as_written[found] = value
        self._by_surrogate[_plain(found)] = self._by_surrogate.get(_plain(found), value)
        if kind == "PERSON":
            for alias, original in self._names.aliases(value, found):
                self._by_surrogate.setdefault(_plain(alias), original)
        return found

    def _drawn(self, kind: str, value: str, attempt: int) -> str:
        subject = f"{kind}\0{value}\0{attempt}".encode("utf-8", "surrogatepass")

        def draw(length: int) -> bytes:
            return shake_256(self._secret + subject).digest(length)

        if kind == "PERSON":
            return self._names.person(value, draw, self._is_free)
        if kind == "EMAIL_ADDRESS":
            return self._names.email(value, draw, self._is_free)
        return surrogates.made(kind, value, draw)

    def _may_be(self, found: str, value: str) -> bool:
        """Whether a surrogate may stand for a value: nobody else's, save a part of the same name or in another case."""
        known = self._by_surrogate.get(_plain(found))
        if known is not None:
            return known.casefold() == value.casefold()
        return found.upper() not in self._said and found.casefold() != value.casefold()

    def _is_free(self, text: str) -> bool:
        """Whether nobody says this already, so that where it is read it is ours."""
        return _plain(text) not in self._by_surrogate and text.upper() not in self._said

    def digest(self, kind: str, value: str) -> str:
        """The irreversible stand-in of a value: keyed, never in the map."""
        subject = f"{kind}\0{value}".encode("utf-8", "surrogatepass")
        return f"{kind}#{hmac.digest(self._given_hash_key or self._secret, b'hash' + subject, 'sha256').hex()[:16]}"

    def entry(self, token: str) -> tuple[str, str] | None:
        """(type, original) of an id as it stands in a placeholder, upper case."""
        return self._by_id.get(token)

    def behind(self, surrogate: str, written: str) -> str | None:
        """The original of a surrogate (in lower case), or of a part of a surrogate name; `written` is how it was read,
        which tells apart those that differ in nothing but case.
        """
        return self._as_written.get(written) or self._by_surrogate.get(surrogate)

    @property
    def surrogates(self) -> Mapping[str, str]:
        """What is to be found in an answer, in lower case, and the originals."""
        return self._by_surrogate

    @property
    def types(self) -> frozenset[str]:
        """The types that have placeholders."""
        return frozenset(kind for kind, _ in self._by_id.values())

    @property
    def originals(self) -> frozenset[str]:
        """The values that have placeholders."""
        return frozenset(value for _, value in self._by_id.values()) | frozenset(value for _, value in self._surrogates)

    def seal(self, key: bytes, associated: bytes = b"") -> bytes:
        """The vault encrypted under a 32-byte key (AES-256-GCM), bound to `associated` (the tenant, the purpose)."""
        entries = [[token, kind, value] for token, (kind, value) in self._by_id.items()]
        kept: dict[str, Any] = {"secret": self._secret.hex(), "entries": entries}
        if self._surrogates:
            kept["surrogates"] = [[kind, value, made] for (kind, value), made in self._surrogates.items()]
            kept["behind"] = self._by_surrogate
        content = json.dumps(kept).encode()
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
        vault._surrogates = {(kind, value): made for kind, value, made in content.get("surrogates", ())}
        vault._as_written = {made: value for (_, value), made in vault._surrogates.items()}
        vault._by_surrogate = content.get("behind", {})
        return vault


def _plain(text: str) -> str:
    return " ".join(text.casefold().split())


def _cipher(key: bytes) -> AESGCM:
    if len(key) != 32:
        raise ValueError("A vault is sealed with a key of 32 bytes.")
    return AESGCM(key)
