"""The sweeper: settles what a worker left open when it died, and gives back what it held.

A worker says every few seconds that it lives. One that is silent is suspected, and buried when it stays silent although
the database is there; then each of its open calls gets an outcome (`interrupted`, charged at the worst case that was
reserved, estimated) and its leases end. Every step may be repeated, and two sweepers may run at once.
"""

from __future__ import annotations

import json
import logging
from datetime import UTC, datetime
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from audit.services import first_id
from tenants.ids import uuid7
from tenants.isolation.scope import PLATFORM, scope

from . import ledger
from .data import Swept
from .prices import pico

log = logging.getLogger("customhouse.sweeper")

SILENT_SECONDS = 18.0  #: without a sign of life a worker is suspected (it relies on its leases for 12)
PATIENCE_SECONDS = 6.0  #: and buried after this much more: it lives and says so every 3, if the database is there
FORGET_AFTER_SECONDS = 120.0  #: for which a buried worker is swept again, for what it wrote late
MOST_AT_ONCE = 500

_SQL = Path(__file__).parent / "sql"
_BURY = (_SQL / "bury.sql").read_text()
_OPEN_CALLS = (_SQL / "open_calls.sql").read_text()
_LEASES = (
    "select id, window_id from billing_lease where tenant_id = wall.tenant() and worker = any(%s) order by window_id"
)
_FORGET = (
    "delete from billing_worker where tenant_id = wall.platform() and swept_at < now() - make_interval(secs => %s)"
)


def sweep(silent: float = SILENT_SECONDS, patience: float = PATIENCE_SECONDS) -> Swept:
    """Settles what dead workers left open in all tenants. Needs no open scope."""
    dead = _bury(silent, patience)
    if not dead:
        return Swept()
    calls = leases = 0
    workers, since = list(dead), min(dead.values())
    for tenant in _tenants():
        calls += _settle(tenant, workers, since)
        leases += _end_leases(tenant, workers)
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute(_FORGET, [FORGET_AFTER_SECONDS])
    if calls or leases:
        log.warning("%d interrupted calls settled and %d leases ended of %d workers", calls, leases, len(workers))
    return Swept(len(workers), calls, leases)


def _bury(silent: float, patience: float) -> dict[UUID, datetime]:
    """The workers to be swept, and since when each may have open calls."""
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute(_BURY, {"silent": silent, "patience": patience})
        return dict(cursor.fetchall())


def _tenants() -> list[UUID]:
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute("select id from tenants_tenant order by id")
        return [row[0] for row in cursor.fetchall()]


def _settle(tenant: UUID, workers: list[UUID], since: datetime) -> int:
    """Writes the outcomes of a tenant's open calls, a few hundred in a transaction."""
    settled = 0
    while True:
        with scope(tenant), connection.cursor() as cursor:
            asked: dict[str, Any] = {
                "since": first_id(since),
                "workers": [str(worker) for worker in workers],
                "most": MOST_AT_ONCE,
            }
            cursor.execute(_OPEN_CALLS, asked)
            names = [column.name for column in cursor.description or ()]
            found = [dict(zip(names, row, strict=True)) for row in cursor.fetchall()]
            if not found:
                return settled
            cursor.execute(ledger.OUTCOMES_SYNC, [json.dumps([_interrupted(row) for row in found], default=str)])
            settled += len(found)


def _interrupted(intent: dict[str, Any]) -> dict[str, Any]:
    """The outcome of a call whose worker died, from its intent: what was reserved is charged, as an estimate."""
    detail = _read(intent["detail"])
    reserved = pico(Decimal(detail.get("reserved", "0")))
    event, who = uuid7(), intent["actor_id"]
    tokens = {"input": detail.get("input_tokens", 0), "output": detail.get("output_tokens", 0), "estimated": True}
    charges = [
        {"lease": lease, "window": window, "spent": reserved, "overrun": 0}
        for lease, window in detail.get("leases", ())
    ]
    return {
        **intent,
        "id": event,
        "entities": _read(intent["entities"]),
        "passages": _read(intent["passages"]),
        "decision": "allow",
        "reason": "interrupted",
        "user_id": detail.get("user_id") or (who if intent["actor_type"] == "user" else None),
        "key_id": who if intent["actor_type"] == "key" else None,
        "model_id": detail.get("model_id"),
        "tokens": tokens,
        "cost": reserved,
        "detail": {"settled_by": "sweeper", "at": datetime.now(UTC).isoformat()},
        "attempts": [
            {
                "id": event,
                "attempt": 1,
                "deployment_id": detail.get("deployment_id"),
                "deployment": intent["deployment"],
                **tokens,
                "cost": reserved,
            }
        ],
        "charges": charges,
    }


def _end_leases(tenant: UUID, workers: list[UUID]) -> int:
    """Books what dead workers' leases have spent and gives back the rest, one lease a transaction."""
    with scope(tenant), connection.cursor() as cursor:
        cursor.execute(_LEASES, [workers])
        found = cursor.fetchall()
    for lease, window in found:
        with scope(tenant), connection.cursor() as cursor:
            ledger.end_lease(cursor, window, lease)
    return len(found)


def _read(stored: Any) -> Any:
    """A JSON column, which Django's connection hands over as text."""
    return json.loads(stored) if isinstance(stored, str) else stored
