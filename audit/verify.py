"""Verifies the trail where it lies: every record, place, hash and seal in the database, in constant memory.

What a pack's verifier does with a file this does with the tables; and it finds what no pack shows, events that have no
place in the history although the last seal saw them.
"""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.isolation.scope import scope

from . import evidence, history, keyring, seals
from .merkle import Frontier, leaf_hash
from .models import Leaf, Seal
from .records import record_bytes
from .verify_customhouse import Enough, Keys, Report, check_kept, check_seals

_STRAYS = (seals.SQL / "strays.sql").read_text()


def verify(tenant: UUID, kept: dict[str, Any] | None = None) -> Report:
    """Verifies a tenant's history; `kept` is a seal from earlier that must be part of it, as it was published."""
    report = Report()
    try:
        with scope(tenant):
            last = _check_seals(tenant, report, kept)
        if last is not None:
            _check_records(tenant, last, report)
            with scope(tenant):
                _check_strays(last, report)
    except Enough:
        pass
    return report


def verify_seal(tenant: UUID, number: int) -> Report:
    """Verifies one seal of the open tenant: its signatures, its link to the one before, the records that it added, and
    that the tree as it is stored has the root that was signed.
    """
    report = Report()
    found = {seal.number: seal for seal in Seal.objects.filter(number__in=(number - 1, number))}
    seal, before = found[number], found.get(number - 1)
    start = before.size if before else 0
    try:
        keys = Keys([json.loads(line) for line in keyring.published()], report)
        check_seals([seal.line.encode()], str(tenant), keys, report, whole=False)
        if json.loads(seal.line)["previous"] != (seals.seal_hash(before.line) if before else ""):
            report.fault(f"seal {number}: it does not hold the hash of the seal before it.")
        rows = evidence.stored_records(start, seal.size)
        if len(rows) != seal.size - start:
            report.fault(f"record {_missing(start, rows)}: its place in the history was removed.")
        for position, event, leaf, stored in rows:
            _check_record(position, event, bytes(leaf), stored, report)
        if not report.faults and history.root_of(0, seal.size).hex() != json.loads(seal.line)["root"]:
            report.fault(f"the records up to {seal.size - 1} do not have the root that seal {number} signed.")
    except Enough:
        pass
    except LookupError as error:
        report.faults.append(str(error))
    report.facts.append(f"{seal.size - start:,} records, the link to the seal before, the signature and the root hold.")
    return report


def _check_seals(tenant: UUID, report: Report, kept: dict[str, Any] | None) -> Seal | None:
    rows = Seal.objects.order_by("number")
    last = rows.last()
    if last is None:
        report.facts.append("Nothing is sealed yet.")
        if kept is not None:
            report.fault(f"There is no seal, but seal {kept['number']} was kept: the history is gone.")
        return None
    keys = Keys([json.loads(line) for line in keyring.published()], report)
    if kept is not None:
        check_kept(kept, str(tenant), keys, report)
    lines = (line.encode() for line in rows.values_list("line", flat=True).iterator())
    if check_seals(lines, str(tenant), keys, report, kept) is None:
        return None
    report.facts.append(
        f"{last.number} seals over {last.size:,} records, the last of {last.time:%Y-%m-%d %H:%M:%S} UTC."
    )
    return last


def _check_records(tenant: UUID, last: Seal, report: Report) -> None:
    """Each record has the hash that was sealed, and all of them the roots that were signed."""
    tree, boundaries = Frontier(), _boundaries(tenant)
    boundary = next(boundaries, None)
    while tree.size < last.size:
        with scope(tenant):
            batch = evidence.stored_records(tree.size, min(tree.size + evidence.AT_ONCE, last.size))
        if not batch or batch[-1][0] != tree.size + len(batch) - 1:
            report.fault(f"record {_missing(tree.size, batch)}: its place in the history was removed.")
            return
        for position, event, leaf, stored in batch:
            _check_record(position, event, bytes(leaf), stored, report)
            tree.append(bytes(leaf))
            if boundary is not None and tree.size == boundary.size:
                _check_root(boundary, tree, report)
                boundary = next(boundaries, None)
    with scope(tenant):
        beyond = Leaf.objects.filter(position__gte=last.size).order_by("position").first()
    if beyond is not None:
        report.fault(f"record {beyond.position}: no seal covers it; it was added, or the seals' tail was cut off.")


def _check_record(position: int, event: UUID, leaf: bytes, stored: str | None, report: Report) -> None:
    if stored is None:
        report.fault(f"record {position}: its event {event} was removed.")
    elif leaf_hash(record_bytes(stored, position)) != leaf:
        report.fault(f"record {position}: its event {event} was changed.")


def _check_root(seal: Seal, tree: Frontier, report: Report) -> None:
    signed = json.loads(seal.line)
    if (signed["number"], signed["size"], signed["root"]) != (seal.number, seal.size, bytes(seal.root).hex()):
        report.fault(f"seal {seal.number}: its columns do not say what it signed.")
    if tree.root.hex() != signed["root"]:
        report.fault(f"the records up to {seal.size - 1} do not have the root that seal {seal.number} signed.")


def _boundaries(tenant: UUID) -> Iterator[Seal]:
    """All seals in order, some at a time."""
    number = 0
    while True:
        with scope(tenant):
            found = list(Seal.objects.filter(number__gt=number).order_by("number")[:500])
        if not found:
            return
        yield from found
        number = found[-1].number


def _missing(start: int, batch: list[Any]) -> int:
    """The first position that is not there."""
    for expected, row in enumerate(batch, start):
        if row[0] != expected:
            return expected
    return start + len(batch)


def _check_strays(last: Seal, report: Report) -> None:
    """Events that the last seal saw and that have no place: written behind its back."""
    with connection.cursor() as cursor:
        cursor.execute(_STRAYS, {"seen": last.snapshot})
        for event, action in cursor.fetchall():
            report.fault(
                f"event {event} ({action}): it has no place in the history, but claims to be older than its seal."
            )
