"""However readings and changes of a tenant interleave, a key that was once refused never works again."""

from __future__ import annotations

import asyncio
import random
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.db import connections

from tenants.errors import UnknownCredential
from tenants.isolation import scope
from tenants.isolation.pool import make_pool
from tenants.models import ApiKey
from tenants.services import make_key, revoke_key
from tenants.snapshot import LOADERS, Snapshots
from tests.conftest import House

ROUNDS, KEYS = 25, 40


def change(tenant: UUID, keys: list[UUID]) -> None:
    """Revokes keys, each in a transaction of its own, in any order."""
    for key in random.sample(keys, len(keys)):
        with scope(tenant):
            revoke_key(ApiKey.objects.get(pk=key))
    connections.close_all()


def make(tenant: UUID) -> dict[str, UUID]:
    with scope(tenant):
        made = [make_key(name=str(number), department=None, role="member") for number in range(KEYS)]
    connections.close_all()
    return {text: key.pk for key, text in made}


async def works(snapshots: Snapshots, key: str) -> bool:
    try:
        await snapshots.identify(key)
    except UnknownCredential:
        return False
    return True


async def test_a_thousand_keys_stay_dead(acme: House, monkeypatch: pytest.MonkeyPatch):
    async def dawdle(*_: Any) -> None:
        """Between reading keys and keeping them others read and change."""
        await asyncio.sleep(random.random() * 0.01)

    monkeypatch.setitem(LOADERS, "dawdle", dawdle)
    pool = make_pool(settings.DATABASE_URL, 6)
    await pool.open()
    snapshots = Snapshots(settings.DATABASE_URL, pool, settings.API_KEY_PEPPER)
    await snapshots.start()
    revived = []
    try:
        for _ in range(ROUNDS):
            keys = await asyncio.to_thread(make, acme.id)
            over, dead = asyncio.Event(), set[str]()

            async def ask(keys: dict[str, UUID] = keys, over: asyncio.Event = over, dead: set[str] = dead) -> None:
                while not over.is_set():
                    key = random.choice(list(keys))
                    known_dead = key in dead
                    if await works(snapshots, key):
                        if known_dead:
                            revived.append(key)
                    else:
                        dead.add(key)
                    await asyncio.sleep(0)

            async def read(over: asyncio.Event = over) -> None:
                while not over.is_set():
                    await snapshots._load(acme.id)
                    await asyncio.sleep(random.random() * 0.005)

            assert all([await works(snapshots, key) for key in keys])
            around = [asyncio.create_task(work()) for work in (ask, ask, read, read)]
            await asyncio.to_thread(change, acme.id, list(keys.values()))
            for _ in range(500):
                if not any([await works(snapshots, key) for key in keys]):
                    break
                await asyncio.sleep(0.01)
            over.set()
            await asyncio.gather(*around)
            assert not any([await works(snapshots, key) for key in keys])
    finally:
        await snapshots.stop()
        await pool.close()
    assert revived == []
