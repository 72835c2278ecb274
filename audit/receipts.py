"""A request's receipt: its records, and all that somebody needs to verify them without us."""

from __future__ import annotations

import json
from typing import Any
from uuid import UUID

from tenants.isolation.scope import scope

from . import evidence, keyring
from .models import Leaf, Seal
from .seals import SEALER, seal


def receipt(tenant: UUID, request_id: UUID, events: tuple[UUID, ...]) -> dict[str, Any]:
    """The receipt over these events of a request, as `verify_customhouse.py` reads it; what is not sealed yet is.

    `records` are the exact lines that were hashed; `events` says the same for reading.
    """
    if Leaf.objects.filter(pk__in=events).count() < len(events):
        seal(tenant)
    with scope(tenant, actor=SEALER):
        last = Seal.objects.first()
        assert last is not None
        wanted = evidence.Wanted(request_id=request_id, events=events)
        runs = evidence.runs_of(wanted, last)
        records = [record for run in runs for record in evidence.read(*run)]
        marks = evidence.Marks(len(records))
        for record in records:
            marks.add(record.leaf)
        lines = [record.line.decode() for record in records]
        return {
            "format": evidence.RECEIPT,
            "tenant": str(tenant),
            "request_id": str(request_id),
            "events": [json.loads(line) for line in lines],
            "records": lines,
            "seals": [json.loads(last.line)],
            "keys": [json.loads(line) for line in keyring.published()],
            "proofs": evidence.proofs(evidence.RECEIPT, tenant, wanted, runs, last, marks, {}),
        }
