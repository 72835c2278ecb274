"""What the hot path knows of a tenant, kept in each worker: keys, policies, routes, prices, budgets.

A snapshot is immutable and is replaced whole when the tenant's revision rises. Workers hear of it by NOTIFY at commit;
a poll every two seconds catches what NOTIFY lost. Readers never write here, so nothing revoked comes back to life.
"""

from __future__ import annotations

import asyncio
import hashlib
import logging
import secrets
import time
from collections import OrderedDict
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field, replace
from hmac import compare_digest
from ipaddress import ip_address
from typing import Any
from uuid import UUID

import psycopg
from psycopg import AsyncConnection
from psycopg_pool import PoolTimeout

from . import directory, keys, tokens
from .bounds import grants_of
from .data import Caller, GrantRows
from .errors import DirectoryUnavailable, UnknownCredential
from .isolation.pool import Connection, Pool, scoped, within
from .isolation.scope import PLATFORM, Scope
from .key_sets import KeySet, KeySets

log = logging.getLogger("customhouse.snapshot")

CHANNEL = "customhouse_changed"
POLL_SECONDS = 2.0
ANSWER_SECONDS = 5.0  #: that a call waits for the database to say who is calling, as long as for a connection to it
MOST_TENANTS = 10_000
MOST_PROVEN = 100_000
MOST_TOKENS = 20_000
FORGET_UNKNOWN_SECONDS = 1.0

_NO_ISSUER = (
    "No tenant has registered this token's issuer (`iss`) and audience (`aud`). Ask your tenant's owner to register "
    "both under Identity providers, or have the token issued for the registered audience."
)

Loader = Callable[[Connection, UUID], Awaitable[Any]]

#: name of a part -> what loads it, inside the tenant's scope; apps register theirs when they are ready
LOADERS: dict[str, Loader] = {}


def part(name: str, loader: Loader) -> None:
    """Adds a part to every snapshot (`snapshot.parts[name]`)."""
    LOADERS[name] = loader


@dataclass(frozen=True, slots=True)
class Snapshot:
    """One tenant at one revision. `caches` belongs to this snapshot and dies with it."""

    tenant: UUID
    revision: tuple[int, int]  #: the tenant's and the platform's
    callers: dict[str, tuple[bytes, Caller]]  #: public id -> (digest, caller)
    parts: dict[str, Any]
    caches: dict[Any, Any] = field(default_factory=dict)
    issuers: tuple[tokens.Issuer, ...] = ()
    people: dict[str, tokens.Person] = field(default_factory=dict)  #: by e-mail address
    grants: GrantRows = field(default_factory=dict)

    def again(self, caller: Caller) -> Caller | None:
        """What somebody whose call is running may now; None when they may nothing any more."""
        if caller.origin is not None:
            same = tokens.still(caller.origin, self.issuers, self.people)
            return replace(caller, grants=grants_of(caller, self.grants)) if same else None
        if caller.key is None:
            return None  # a visitor from the platform: what changed may be their place there
        return self.of_key(caller.key)

    def of_key(self, key: UUID) -> Caller | None:
        """The caller behind a key; None for one that is not there or not active."""
        found: dict[UUID | None, Caller] | None = self.caches.get("keys")
        if found is None:
            found = self.caches["keys"] = {one.key: one for _, one in self.callers.values()}
        return found.get(key)


@dataclass(frozen=True, slots=True)
class _Known:
    """A token that was right, for as long as the snapshot and the keys are the ones that it was right by."""

    caller: Caller
    snapshot: Snapshot
    keys: KeySet


class Snapshots:
    """All snapshots of this worker. `start` before use, `stop` at the end. `url` leads to notices, past any pooler."""

    def __init__(self, url: str, pool: Pool, pepper: bytes) -> None:
        self._url, self._pool, self._pepper = url, pool, pepper
        self._tenants: OrderedDict[UUID, Snapshot] = OrderedDict()
        self._tenant_of: dict[str, UUID] = {}
        self._unknown: OrderedDict[str, float] = OrderedDict()
        self._proven: dict[str, tuple[bytes, bytes]] = {}
        self._proof = hashlib.blake2b(key=secrets.token_bytes(32), digest_size=32)
        self._key_sets = KeySets()
        self._tokens: OrderedDict[bytes, _Known] = OrderedDict()
        self._tenant_of_token: OrderedDict[tuple[str, str], UUID] = OrderedDict()
        self._loading: dict[UUID, asyncio.Task[Snapshot]] = {}
        self._watchers: dict[UUID, set[Callable[[Snapshot], None]]] = {}
        self._tasks: list[asyncio.Task[None]] = []

    async def start(self) -> None:
        self._tasks = [asyncio.create_task(self._listen()), asyncio.create_task(self._poll())]

    async def stop(self) -> None:
        for task in self._tasks:
            task.cancel()
        await asyncio.gather(*self._tasks, return_exceptions=True)

    async def identify(self, credential: str, address: str = "") -> tuple[Caller, Snapshot]:
        """The caller behind an API key, or behind a token of a tenant's identity provider.

        Raises UnknownCredential, or DirectoryUnavailable when nobody can tell.
        """
        public_id = keys.public_id(credential)
        if public_id is None:
            if tokens.looks_like_one(credential):
                return await self._bearer(credential)
            raise UnknownCredential
        snapshot = self._known(public_id)
        if snapshot is None:
            if not keys.is_whole(credential):
                raise UnknownCredential
            snapshot = await self._find(public_id)
        entry = snapshot.callers.get(public_id)
        if entry is None or not self._proves(credential, public_id, entry[0]):
            raise UnknownCredential
        return _usable(entry[1], address), snapshot

    async def key(self, tenant: UUID, key: UUID, address: str) -> tuple[Caller, Snapshot]:
        """The caller behind a key, for somebody who may use it without showing its secret. Raises as `identify`."""
        snapshot = await self.of(tenant)
        caller = snapshot.of_key(key)
        if caller is None:
            raise UnknownCredential("This API key is not active. Choose another one.")
        return _usable(caller, address), snapshot

    def watch(self, tenant: UUID, changed: Callable[[Snapshot], None]) -> Callable[[], None]:
        """Calls `changed` with every new snapshot of a tenant, until the returned function is called."""
        watchers = self._watchers.setdefault(tenant, set())
        watchers.add(changed)

        def forget() -> None:
            watchers.discard(changed)
            if not watchers and self._watchers.get(tenant) is watchers:
                del self._watchers[tenant]

        return forget

    async def of(self, tenant: UUID) -> Snapshot:
        """The snapshot of a tenant, loaded if need be."""
        found = self._tenants.get(tenant)
        return found if found is not None else await self._load(tenant)

    async def member(self, caller: Caller, email: str) -> tuple[Caller, Snapshot]:
        """Somebody who is signed in, as a caller whose place is watched while a call runs.

        Raises UnknownCredential when they have none any more, DirectoryUnavailable.
        """
        snapshot = await self.of(caller.tenant)
        person = snapshot.people.get(email.lower())
        if person is None or not person.active or person.id != caller.user:
            raise UnknownCredential("You have no place in this tenant any more. Ask an administrator of it.")
        return replace(caller, origin=tokens.Origin(None, email.lower(), person)), snapshot

    def latest(self, known: Snapshot) -> Snapshot:
        """The newest snapshot of a tenant of whom one is known."""
        return self._tenants.get(known.tenant, known)

    def _proves(self, credential: str, public_id: str, digest: bytes) -> bool:
        """Whether a key's stored digest is the credential's. One that was right before is known by a hash that costs
        a quarter, under a secret of this process.
        """
        proof = self._proof.copy()
        proof.update(credential.encode())
        mark = proof.digest()
        known = self._proven.get(public_id)
        if known is not None and known[1] == digest and compare_digest(known[0], mark):
            return True
        if not keys.matches(digest, self._pepper, credential):
            return False
        if len(self._proven) >= MOST_PROVEN:
            self._proven.clear()
        self._proven[public_id] = mark, digest
        return True

    async def _bearer(self, token: str) -> tuple[Caller, Snapshot]:
        """The caller whom a token names. One that was right before is known by its hash until something changes."""
        proof = self._proof.copy()
        proof.update(token.encode("utf-8", "replace"))
        mark = proof.digest()
        known = self._tokens.get(mark)
        if known is not None:
            if self._holds(known):
                return known.caller, known.snapshot
            del self._tokens[mark]
        said = tokens.read(token)
        snapshot, issuer = await self._issuer(said)
        tokens.check_algorithm(said, issuer)
        published, key = await self._key_sets.key(issuer, said.key_id, said.algorithm)
        now = self._tenants.get(snapshot.tenant)
        if now is not None and now is not snapshot:  # it changed while the keys were fetched
            if issuer not in now.issuers:
                raise UnknownCredential("The identity provider of this token was changed. Try again.")
            snapshot = now
        claims = tokens.verified(token, issuer, said.algorithm, key)
        caller = tokens.caller_of(issuer, claims, snapshot.people, snapshot.grants)
        self._tokens[mark] = _Known(caller, snapshot, published)
        while len(self._tokens) > MOST_TOKENS:
            self._tokens.popitem(last=False)
        return caller, snapshot

    def _holds(self, known: _Known) -> bool:
        caller = known.caller
        return (
            self._tenants.get(caller.tenant) is known.snapshot
            and self._key_sets.current(caller.origin.issuer) is known.keys
            and (caller.expires_at or 0.0) > time.time()
        )

    async def _issuer(self, said: tokens.Unproven) -> tuple[Snapshot, tokens.Issuer]:
        """The tenant and the provider that a token says it is of."""
        for audience in said.audiences:
            tenant = self._tenant_of_token.get((said.issuer, audience))
            if tenant is not None:
                snapshot = await self.of(tenant)
                issuer = tokens.chosen(said, snapshot.issuers)
                if issuer is not None:
                    return snapshot, issuer
                del self._tenant_of_token[said.issuer, audience]
        return await self._find_issuer(said)

    async def _find_issuer(self, said: tokens.Unproven) -> tuple[Snapshot, tokens.Issuer]:
        """Asks the database whose token this may be; who is unknown is not asked for again within a second."""
        now, place = time.monotonic(), hashlib.sha256(repr((said.issuer, said.audiences)).encode()).hexdigest()
        if self._unknown.get(place, 0.0) > now:
            raise UnknownCredential(_NO_ISSUER)
        try:
            found = await within(ANSWER_SECONDS, directory.tenants_of_issuer(self._pool, said.issuer))
        except (psycopg.OperationalError, PoolTimeout, OSError) as error:
            raise DirectoryUnavailable from error
        places = {audience: found[audience] for audience in said.audiences if audience in found}
        if len(set(places.values())) > 1:
            raise UnknownCredential(
                "Several tenants have registered audiences of this token. Get one for one audience."
            )
        for audience, tenant in places.items():
            snapshot = await self.of(tenant)
            issuer = tokens.chosen(said, snapshot.issuers)
            if issuer is None:  # registered a moment ago
                snapshot = await self._load(tenant)
                issuer = tokens.chosen(said, snapshot.issuers)
            if issuer is not None:
                self._tenant_of_token[said.issuer, audience] = tenant
                while len(self._tenant_of_token) > MOST_TENANTS:
                    self._tenant_of_token.popitem(last=False)
                return snapshot, issuer
        self._forget_soon(place)
        raise UnknownCredential(_NO_ISSUER)

    def _forget_soon(self, unknown: str) -> None:
        self._unknown[unknown] = time.monotonic() + FORGET_UNKNOWN_SECONDS
        while len(self._unknown) > 10_000:
            self._unknown.popitem(last=False)

    def _known(self, public_id: str) -> Snapshot | None:
        tenant = self._tenant_of.get(public_id)
        return None if tenant is None else self._tenants.get(tenant)

    async def _find(self, public_id: str) -> Snapshot:
        """Asks the database whose key this is. An unknown one is remembered for a second, so that a flood is cheap."""
        now = time.monotonic()
        if self._unknown.get(public_id, 0.0) > now:
            raise UnknownCredential
        try:
            tenant = await within(ANSWER_SECONDS, directory.tenant_of_key(self._pool, public_id))
        except (psycopg.OperationalError, PoolTimeout, OSError) as error:
            raise DirectoryUnavailable from error
        if tenant is None:
            self._forget_soon(public_id)
            raise UnknownCredential
        joined = tenant in self._loading
        snapshot = await self._load(tenant)
        if joined and public_id not in snapshot.callers:  # that reading may have begun before the key was made
            snapshot = await self._load(tenant)
        self._tenant_of[public_id] = tenant
        return snapshot

    async def _load(self, tenant: UUID) -> Snapshot:
        """Reads a tenant anew; callers that ask at the same time share one reading."""
        task = self._loading.get(tenant)
        if task is None:
            task = self._loading[tenant] = asyncio.create_task(self._read(tenant))
            task.add_done_callback(lambda _: self._loading.pop(tenant, None))
        try:
            return await within(ANSWER_SECONDS, task)
        except (psycopg.OperationalError, PoolTimeout, OSError) as error:
            raise DirectoryUnavailable from error

    async def _read(self, tenant: UUID) -> Snapshot:
        async with scoped(self._pool, Scope(tenant=tenant, actor={"type": "system", "id": "", "name": "gateway"})) as c:
            # The revision first: what commits while the rest is read raises it again, and is read again.
            revision = await directory.revision(c, tenant)
            granted = await directory.grants(c)
            callers = await directory.callers(c, tenant, granted)
            issuers = await directory.issuers(c, tenant)
            people = await directory.people(c)
            parts = {name: await loader(c, tenant) for name, loader in LOADERS.items()}
        snapshot = Snapshot(tenant, revision, callers, parts, issuers=issuers, people=people, grants=granted)
        self._keep(snapshot)
        return snapshot

    def _keep(self, snapshot: Snapshot) -> None:
        before = self._tenants.get(snapshot.tenant)
        if before is not None and before.revision > snapshot.revision:
            return
        self._tenants[snapshot.tenant] = snapshot
        self._tenants.move_to_end(snapshot.tenant)
        for public_id in snapshot.callers:
            self._tenant_of[public_id] = snapshot.tenant
        for changed in list(self._watchers.get(snapshot.tenant, ())):
            changed(snapshot)
        while len(self._tenants) > MOST_TENANTS:
            forgotten, _ = self._tenants.popitem(last=False)
            self._tenant_of = {key: owner for key, owner in self._tenant_of.items() if owner != forgotten}

    async def _refresh(self, tenants: list[UUID]) -> None:
        for tenant in tenants:
            if tenant in self._tenants:
                running = self._loading.get(tenant)
                if running is not None:  # it may have read before the change
                    await asyncio.wait([running])
                await self._load(tenant)

    async def _listen(self) -> None:
        """Hears of changes at their commit."""
        while True:
            try:
                async with await AsyncConnection.connect(self._url, autocommit=True) as connection:
                    await connection.execute(f"listen {CHANNEL}")
                    await self._compare()  # what changed while nobody listened
                    async for notice in connection.notifies():
                        changed = UUID(notice.payload)
                        await self._refresh(list(self._tenants) if changed == PLATFORM else [changed])
            except (psycopg.OperationalError, PoolTimeout, OSError, DirectoryUnavailable) as error:
                log.warning("not listening for changes (%s); polling", type(error).__name__)
                await asyncio.sleep(1)

    async def _poll(self) -> None:
        while True:
            await asyncio.sleep(POLL_SECONDS)
            try:
                await self._compare()
            except (psycopg.OperationalError, PoolTimeout, OSError, DirectoryUnavailable) as error:
                log.warning("changes cannot be read (%s)", type(error).__name__)

    async def _compare(self) -> None:
        """Reads again every tenant whose revision is not the one in memory."""
        if not self._tenants:
            return
        async with scoped(self._pool, Scope(tenant=PLATFORM)) as connection:
            numbers = await directory.revisions(connection)
        platform = numbers.get(PLATFORM, 0)
        behind = [t for t, s in self._tenants.items() if s.revision != (numbers.get(t, 0), platform)]
        await self._refresh(behind)


def _usable(caller: Caller, address: str) -> Caller:
    """A key's caller, if it may be used now and from this address. Raises UnknownCredential."""
    if caller.expires_at is not None and caller.expires_at <= time.time():
        raise UnknownCredential("This API key has expired. Ask an administrator of your tenant for a new one.")
    if caller.ip_allow and not _within(address, caller.ip_allow):
        raise UnknownCredential("This API key may not be used from this network address.")
    return caller


def _within(address: str, networks: tuple[Any, ...]) -> bool:
    try:
        found = ip_address(address)
    except ValueError:
        return False
    return any(found in network for network in networks)
