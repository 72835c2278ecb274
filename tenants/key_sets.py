"""The keys that identity providers publish (JWKS, RFC 7517), kept in each worker and fetched again before they are old.

A token that names an unknown key has them fetched anew, but not more often than every AGAIN_SECONDS: keys are rotated,
and names of keys are cheap to invent. A provider that is away changes nothing for LAST_SECONDS; after that, or when its
keys were never seen, nobody can tell whether a token is right, which is not to say that it is wrong.
"""

from __future__ import annotations

import asyncio
import json
import logging
import time
from collections import OrderedDict
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass, field
from http.client import HTTPException
from typing import Any
from uuid import UUID

import jwt

from . import addresses
from .errors import DirectoryUnavailable, UnknownCredential
from .tokens import ALGORITHMS, Issuer

log = logging.getLogger("customhouse.identity")

FRESH_SECONDS = 300.0
LAST_SECONDS = 24 * 3600.0
AGAIN_SECONDS = 10.0
FAILED_SECONDS = 2.0  #: until a provider that was away is asked again
TIMEOUT = 5.0
MOST_BYTES = 512 * 1024
MOST_KEYS = 100
MOST_SETS = 2_000
LEAST_BITS = 2048  #: of an RSA key (NIST SP 800-131A)
DISCOVERY = "/.well-known/openid-configuration"

Fetch = Callable[[str, float, int], bytes]
#: whose keys: a change of the provider's addresses makes it another place
Place = tuple[UUID, str, str]


class KeySet:
    """One publication of a provider's keys. A new object means that something changed."""

    def __init__(self, published: list[dict[str, Any]]) -> None:
        self.published = published
        self._made: dict[tuple[int, str], jwt.PyJWK | None] = {}

    def find(self, key_id: str | None, algorithm: str) -> jwt.PyJWK | None:
        """The key of that name which fits the algorithm; of a token that names none, the only one that fits."""
        fitting = [
            made
            for place, key in enumerate(self.published)
            if (key_id is None or key.get("kid") == key_id) and (made := self._key(place, key, algorithm)) is not None
        ]
        return fitting[0] if len(fitting) == 1 else None

    def _key(self, place: int, key: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
        if (place, algorithm) not in self._made:
            self._made[place, algorithm] = _usable(key, algorithm)
        return self._made[place, algorithm]


@dataclass(slots=True)
class _Held:
    keys: KeySet | None = None
    at: float = 0.0  #: when the keys were last seen
    tried: float = 0.0
    failed: bool = False
    running: asyncio.Task[None] | None = field(default=None, repr=False)


class KeySets:
    """All key sets of this worker."""

    def __init__(self, fetch: Fetch = addresses.get) -> None:
        self._fetch = fetch
        self._held: OrderedDict[Place, _Held] = OrderedDict()
        # Threads of their own: a provider that hangs must not hold up whatever else waits for a thread.
        self._threads = ThreadPoolExecutor(8, thread_name_prefix="key-sets")

    def current(self, issuer: Issuer) -> KeySet | None:
        """The keys in memory, None when there are none that may be used. Old ones are asked for in the background."""
        held = self._held.get(_place(issuer))
        if held is None or held.keys is None:
            return None
        age = time.monotonic() - held.at
        if age > LAST_SECONDS:
            return None
        if age > FRESH_SECONDS and self._may_try(held, FAILED_SECONDS):
            self._start(issuer, held)
        return held.keys

    async def key(self, issuer: Issuer, key_id: str | None, algorithm: str) -> tuple[KeySet, jwt.PyJWK]:
        """The key that a token names. Raises UnknownCredential, or DirectoryUnavailable when it cannot be known."""
        keys = self.current(issuer)
        held = self._held.setdefault(_place(issuer), _Held())
        if keys is None:
            await self._ask(issuer, held, FAILED_SECONDS)
            keys = self.current(issuer)
            if keys is None:
                raise _away(issuer)
        found = keys.find(key_id, algorithm)
        if found is None:
            await self._ask(issuer, held, AGAIN_SECONDS)
            if held.failed:
                raise _away(issuer)
            keys = held.keys or keys
            found = keys.find(key_id, algorithm)
        if found is None:
            raise UnknownCredential(
                "This token is signed with a key that its issuer does not publish. Get a new token; if that does not "
                "help, ask your tenant's owner to check the identity provider's issuer and JWKS address."
            )
        return keys, found

    def _may_try(self, held: _Held, pause: float) -> bool:
        return held.running is None and (not held.tried or time.monotonic() - held.tried >= pause)

    async def _ask(self, issuer: Issuer, held: _Held, pause: float) -> None:
        """Fetches the keys, or waits for whoever does; not more often than `pause` says."""
        if self._may_try(held, pause):
            self._start(issuer, held)
        if held.running is not None:
            await asyncio.shield(held.running)

    def _start(self, issuer: Issuer, held: _Held) -> None:
        held.tried = time.monotonic()
        held.running = asyncio.create_task(self._refresh(issuer, held))
        self._held[_place(issuer)] = held
        while len(self._held) > MOST_SETS:
            self._held.popitem(last=False)

    async def _refresh(self, issuer: Issuer, held: _Held) -> None:
        loop = asyncio.get_running_loop()
        try:
            work = loop.run_in_executor(self._threads, published, issuer.issuer, issuer.jwks_url, self._fetch)
            found = await asyncio.wait_for(work, 2 * TIMEOUT)
        except (OSError, HTTPException, ValueError) as error:
            held.failed = True
            log.warning("the keys of identity provider %s cannot be fetched: %s", issuer.id, error)
        else:
            held.failed, held.at = False, time.monotonic()
            if held.keys is None or held.keys.published != found:
                held.keys = KeySet(found)
        finally:
            held.running = None


def published(issuer: str, jwks_url: str, fetch: Fetch = addresses.get) -> list[dict[str, Any]]:
    """The keys that a provider publishes. Raises OSError, HTTPException, or ValueError for what is no set of keys."""
    url = jwks_url or jwks_address(issuer, fetch)
    document = _document(fetch(url, TIMEOUT, MOST_BYTES))
    keys = document.get("keys")
    if not isinstance(keys, list):
        raise ValueError(f"{url} is no set of keys (JWKS)")
    return [key for key in keys if isinstance(key, dict)][:MOST_KEYS]


def jwks_address(issuer: str, fetch: Fetch = addresses.get) -> str:
    """Where an issuer says that its keys are. Raises as `published`."""
    found = discovered(issuer, fetch).get("jwks_uri")
    if not isinstance(found, str):
        raise ValueError(f"{issuer} does not say where the keys are")
    return found


def discovered(issuer: str, fetch: Fetch = addresses.get) -> dict[str, Any]:
    """What an issuer says of itself (OpenID Connect Discovery 1.0). Raises as `published`."""
    url = issuer.rstrip("/") + DISCOVERY
    document = _document(fetch(url, TIMEOUT, MOST_BYTES))
    if document.get("issuer") != issuer:
        raise ValueError(f"{url} is another issuer's, {document.get('issuer')!r}")
    return document


def _document(body: bytes) -> dict[str, Any]:
    try:
        found = json.loads(body)
    except RecursionError:
        raise ValueError("it is no JSON") from None
    if not isinstance(found, dict):
        raise ValueError("it is no JSON object")
    return found


def usable(published: list[dict[str, Any]], algorithms: tuple[str, ...]) -> int:
    """How many of the keys can check a signature of one of these kinds."""
    return sum(any(_usable(key, algorithm) is not None for algorithm in algorithms) for key in published)


def _usable(key: dict[str, Any], algorithm: str) -> jwt.PyJWK | None:
    """The key, if it is public, for signatures, long enough, and for this algorithm."""
    kind, curve = ALGORITHMS.get(algorithm, ("", ""))
    fits = key.get("kty") == kind and (not curve or key.get("crv") == curve)
    if not fits or key.get("use", "sig") != "sig" or key.get("alg", algorithm) != algorithm:
        return None
    try:
        made = jwt.PyJWK({name: value for name, value in key.items() if name != "d"}, algorithm)
    except (jwt.PyJWTError, ValueError, TypeError, KeyError):
        return None
    return made if kind != "RSA" or made.key.key_size >= LEAST_BITS else None


def _place(issuer: Issuer) -> Place:
    return issuer.id, issuer.issuer, issuer.jwks_url


def _away(issuer: Issuer) -> DirectoryUnavailable:
    return DirectoryUnavailable(
        f"The keys of the identity provider {issuer.name!r} cannot be fetched at the moment. Try again shortly."
    )
