"""A key that was right before is recognised faster, and no other text is taken for it."""

from __future__ import annotations

from types import SimpleNamespace
from typing import Any

import pytest

from tenants import keys
from tenants.errors import UnknownCredential
from tenants.ids import uuid7
from tenants.snapshot import Snapshot, Snapshots

pytestmark = pytest.mark.asyncio
PEPPER = b"pepper" * 6


def knowing(*made: keys.NewKey) -> Snapshots:
    """Snapshots that hold one tenant with these keys."""
    caller: Any = SimpleNamespace(expires_at=None, ip_allow=())
    snapshots = Snapshots("", None, PEPPER)  # type: ignore[arg-type]
    keep(snapshots, Snapshot(uuid7(), (1, 1), {key.public_id: (key.digest, caller) for key in made}, {}))
    return snapshots


def keep(snapshots: Snapshots, snapshot: Snapshot) -> None:
    snapshots._keep(snapshot)


async def test_a_wrong_secret_is_refused_after_the_right_one_was_seen():
    key = keys.generate(PEPPER)
    snapshots = knowing(key)
    for _ in range(2):
        await snapshots.identify(key.key)
        wrong = key.key[:-8] + ("a" if key.key[-8] != "a" else "b") + key.key[-7:]
        with pytest.raises(UnknownCredential):
            await snapshots.identify(wrong)


async def test_a_key_whose_digest_changed_is_not_recognised_from_before():
    key, other = keys.generate(PEPPER), keys.generate(PEPPER)
    snapshots = knowing(key)
    _, snapshot = await snapshots.identify(key.key)
    caller = snapshot.callers[key.public_id][1]
    keep(snapshots, Snapshot(snapshot.tenant, (2, 1), {key.public_id: (other.digest, caller)}, {}))
    with pytest.raises(UnknownCredential):
        await snapshots.identify(key.key)
