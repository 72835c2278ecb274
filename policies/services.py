"""The door to policies: what is in force for a caller, and what the engine does with text."""

from __future__ import annotations

import json
from datetime import datetime
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.data import Caller
from tenants.isolation.pool import Connection
from tenants.snapshot import Snapshot

from .conditions import Context
from .guardrails import Decision, GuardrailFailed, Guardrails, Judged
from .invented import judge_inventions
from .pii.data import Direction, Entity, PiiRules, Source
from .pii.errors import Blocked, DetectorFailed, MediaRefused, PiiError, PiiRefused, TextTooLarge, TooDeep, VaultError
from .pii.redaction import Pii
from .pii.restore import Restorer, restore_text, restore_value
from .pii.vault import Vault
from .pii.walk import Masked, strings
from .redact import engine
from .rules import ActivePolicy, Rules, resolve, validate
from .scopes import vault_of_call

__all__ = [
    "ActivePolicy",
    "Blocked",
    "Context",
    "Decision",
    "DetectorFailed",
    "Direction",
    "Entity",
    "GuardrailFailed",
    "Guardrails",
    "Judged",
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
    "engine",
    "in_force",
    "judge_inventions",
    "load",
    "resolve",
    "restore_text",
    "restore_value",
    "rules_for",
    "strings",
    "validate",
    "vault_of_call",
]

_ACTIVE = (Path(__file__).parent / "sql" / "active.sql").read_text()
_IN_FORCE = (Path(__file__).parent / "sql" / "in_force.sql").read_text()

#: The name of this app's part of a snapshot.
PART = "policies"


async def load(pooled: Connection, tenant: UUID) -> tuple[ActivePolicy, ...]:
    """The snapshot's part: all policies in force."""
    cursor = await pooled.execute(_ACTIVE)
    return tuple(ActivePolicy(**row) for row in await cursor.fetchall())


def rules_for(caller: Caller, snapshot: Snapshot) -> Rules:
    """The rules in force for a caller; resolved once a snapshot. Raises RulesError when there are none."""
    place = (PART, caller.department, caller.key)
    found: Rules | None = snapshot.caches.get(place)
    if found is None:
        found = snapshot.caches[place] = resolve(snapshot.parts[PART], caller.department, caller.key)
    return found


def in_force(since: datetime | None, until: datetime | None) -> list[dict[str, Any]]:
    """The policies in force for the open tenant at some moment between two (None: unbounded), for evidence."""
    with connection.cursor() as cursor:
        cursor.execute(_IN_FORCE, {"since": since, "until": until})
        return [json.loads(policy) for (policy,) in cursor.fetchall()]
