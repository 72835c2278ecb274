"""The door to policies: what is in force for a caller, and what the engine does with text."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

from tenants.data import Caller
from tenants.isolation.pool import Connection
from tenants.snapshot import Snapshot

from .pii.data import Entity, PiiRules, Source
from .pii.errors import Blocked, DetectorFailed, MediaRefused, PiiError, PiiRefused, TextTooLarge, TooDeep, VaultError
from .pii.redaction import Pii
from .pii.restore import Restorer, restore_text, restore_value
from .pii.vault import Vault
from .pii.walk import Masked
from .rules import ActivePolicy, Rules, resolve, validate

__all__ = [
    "ActivePolicy",
    "Blocked",
    "DetectorFailed",
    "Entity",
    "Masked",
    "MediaRefused",
    "Pii",
    "PiiError",
    "PiiRefused",
    "PiiRules",
    "Restorer",
    "Rules",
    "Source",
    "TextTooLarge",
    "TooDeep",
    "Vault",
    "VaultError",
    "load",
    "resolve",
    "restore_text",
    "restore_value",
    "rules_for",
    "validate",
]

_ACTIVE = (Path(__file__).parent / "sql" / "active.sql").read_text()

#: The name of this app's part of a snapshot.
PART = "policies"


async def load(connection: Connection, tenant: UUID) -> tuple[ActivePolicy, ...]:
    """The snapshot's part: all policies in force."""
    cursor = await connection.execute(_ACTIVE)
    return tuple(ActivePolicy(**row) for row in await cursor.fetchall())


def rules_for(caller: Caller, snapshot: Snapshot) -> Rules:
    """The rules in force for a caller; resolved once a snapshot. Raises RulesError when there are none."""
    place = (PART, caller.department, caller.key)
    found: Rules | None = snapshot.caches.get(place)
    if found is None:
        found = snapshot.caches[place] = resolve(snapshot.parts[PART], caller.department, caller.key)
    return found
