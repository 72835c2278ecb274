"""Exports of the trail: asked for, made by a worker, fetched, forgotten when they expire.

    asked for ──► queued ──► running ──► succeeded ──► expired
                     ▲          │ worker died │
                     └──────────┴─► failed ◄──┘

Whatever the format, everything that is committed is sealed first, and an export holds sealed records only.
"""

from __future__ import annotations

import json
import logging
import zipfile
from collections.abc import Callable, Iterator
from csv import writer as csv_writer
from datetime import datetime, timedelta
from hashlib import sha256
from io import StringIO
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

from django.conf import settings
from django.utils import timezone
from django.utils.module_loading import import_string

from tenants.isolation.scope import scope

from . import evidence, keyring, seals
from .actions import Action, known, sentence
from .evidence import Marks, Record, Wanted
from .merkle import Range
from .models import Export, ExportFormat, ExportPart, ExportState, Seal
from .parts import Sink
from .records import canonical
from .services import record

log = logging.getLogger("customhouse.exports")

KEPT = timedelta(days=7)
#: a queued export whose message was lost, and a running one whose worker died, are handed out again after
LOST_AFTER, DEAD_AFTER = timedelta(minutes=2), timedelta(hours=2)
VERIFIER = Path(__file__).parent / "verify_customhouse.py"
NAMES = {
    ExportFormat.PACK: ("zip", "application/zip"),
    ExportFormat.JSONL: ("jsonl", "application/x-ndjson"),
    ExportFormat.CSV: ("csv", "text/csv; charset=utf-8"),
    ExportFormat.CEF: ("cef", "text/plain; charset=utf-8"),
}

README = """Evidence pack of Customhouse
============================

Tenant {tenant}, {records} records, sealed by seal {seal} over {size} records.
Signed by the key with the fingerprint {key}.

    python verify_customhouse.py PACK.zip [--seal KEPT_SEAL_OR_PACK] [--key FINGERPRINT]

needs Python 3.9 or later and the package `cryptography`, no network and no database. It ends with 0 when everything is
true, 1 when something is false (it says which record and why), 2 when the pack cannot be read. Take the script from
a source that you trust rather than from the pack itself; it is in it so that you can compare the two.

What it shows: each record is the one that was sealed; none was added, removed or moved; the seals are one chain. What
it cannot show: that somebody who holds the signing key did not write the whole history anew. Against that, keep a
seal (the last line of seals.jsonl is enough) or this pack, and name it with --seal when you verify a later one.

events.jsonl     the records in the order of the history, each with its position and hash
seals.jsonl      all seals of the tenant up to this export
proofs.json      what this pack holds, signed, and the hashes that tie it to the seal
keys.json        public keys; each was introduced by the one before
policies.jsonl   the policies that were in force, with their rules
"""


class Writable(Protocol):
    """What an export is written to."""

    def write(self, data: bytes) -> int: ...


def ask(wanted: Wanted, format_: str, made_by: str) -> Export:
    """Writes down that an export is wanted, in the open scope, and records it. Hand it to `tasks.dispatch` then."""
    made = Export.objects.create(
        format=format_,
        since=wanted.since,
        until=wanted.until,
        request_id=wanted.request_id,
        made_by=made_by[:200],
        expires_at=timezone.now() + KEPT,
    )
    asked = {"format": format_, "from": wanted.since, "to": wanted.until, "request_id": wanted.request_id}
    detail = {name: value for name, value in asked.items() if value is not None}
    record(Action.EVENT_EXPORT, object_type="export", object_id=str(made.pk), detail=detail)
    return made


def make(tenant: UUID, export: UUID) -> None:
    """Makes a queued export. What goes wrong leaves it failed, with the reason."""
    with scope(tenant):
        now = timezone.now()
        claimed = Export.objects.filter(pk=export, state=ExportState.QUEUED).update(
            state=ExportState.RUNNING, changed_at=now
        )
        if not claimed:
            return
        ExportPart.objects.filter(export=export).delete()
        row = Export.objects.get(pk=export)
    try:
        _make(tenant, row)
    except Exception as error:
        log.exception("export %s failed", export)
        with scope(tenant):
            Export.objects.filter(pk=export).update(
                state=ExportState.FAILED, error=type(error).__name__, changed_at=timezone.now()
            )
            ExportPart.objects.filter(export=export).delete()


def housekeeping(tenant: UUID) -> list[UUID]:
    """Removes what has expired and returns what is to be handed out again. In the open scope of a tenant."""
    now = timezone.now()
    expired = Export.objects.filter(expires_at__lte=now).exclude(state=ExportState.EXPIRED)
    for one in expired[:100]:
        ExportPart.objects.filter(export=one).delete()
        Export.objects.filter(pk=one.pk).update(state=ExportState.EXPIRED, key=None, changed_at=now)
    Export.objects.filter(state=ExportState.RUNNING, changed_at__lt=now - DEAD_AFTER).update(
        state=ExportState.QUEUED, changed_at=now
    )
    lost = Export.objects.filter(state=ExportState.QUEUED, changed_at__lt=now - LOST_AFTER)
    return list(lost.values_list("pk", flat=True)[:100])


def _make(tenant: UUID, row: Export) -> None:
    seals.seal(tenant)
    wanted = Wanted(row.since, row.until, row.request_id)
    with scope(tenant):
        last = Seal.objects.first()
        assert last is not None  # that it was asked for is an event
        runs = evidence.runs_of(wanted, last)
    count = sum(end - start for start, end in runs)
    sink = Sink(tenant, row.pk)
    if row.format == ExportFormat.PACK:
        write_pack(sink, tenant, wanted, runs, last)
    else:
        for chunk in _WRITERS[row.format](_read(tenant, runs)):
            sink.write(chunk)
    sink.close()
    with scope(tenant):
        Export.objects.filter(pk=row.pk).update(
            state=ExportState.SUCCEEDED,
            records=count,
            size=sink.size,
            digest=sink.digest,
            key=sink.wrapped_key,
            changed_at=timezone.now(),
        )


def _read(tenant: UUID, runs: list[Range]) -> Iterator[Record]:
    """The records of runs, some thousands in a transaction: what is sealed does not change between two."""
    for start, end in runs:
        for at in range(start, end, evidence.AT_ONCE):
            with scope(tenant):
                batch = list(evidence.read(at, min(at + evidence.AT_ONCE, end)))
            yield from batch


# -- packs -----------------------------------------------------------------------------------------------------------


class PackWriter:
    """A zip that is written front to back; it keeps the hash of each file."""

    def __init__(self, sink: Any) -> None:
        self._zip = zipfile.ZipFile(sink, "w", zipfile.ZIP_DEFLATED)
        self.hashes: dict[str, str] = {}

    def add(self, name: str, chunks: Iterator[bytes]) -> None:
        digest, entry = sha256(), zipfile.ZipInfo(name, _ZIP_TIME)
        entry.compress_type = zipfile.ZIP_DEFLATED
        with self._zip.open(entry, "w", force_zip64=True) as file:
            for chunk in chunks:
                digest.update(chunk)
                file.write(chunk)
        self.hashes[name] = digest.hexdigest()

    def close(self) -> None:
        self._zip.close()


_ZIP_TIME = (1980, 1, 1, 0, 0, 0)


def write_pack(sink: Writable, tenant: UUID, wanted: Wanted, runs: list[Range], last: Seal) -> None:
    """Writes an evidence pack over these runs of records."""
    pack = PackWriter(sink)
    marks = Marks(sum(end - start for start, end in runs))
    pack.add("events.jsonl", _marked(_read(tenant, runs), marks))
    marks.close()
    with scope(tenant, actor=seals.SEALER):
        pack.add("seals.jsonl", _seal_lines(last))
        pack.add("policies.jsonl", _policy_lines(wanted))
        keys = [json.loads(one) for one in keyring.published()]
        pack.add("keys.json", iter([canonical({"format": "customhouse-keys/1", "keys": keys}) + b"\n"]))
        pack.add("verify_customhouse.py", iter([VERIFIER.read_bytes()]))
        said = README.format(tenant=tenant, records=marks.total, seal=last.number, size=last.size, key=keys[-1]["key"])
        pack.add("README.txt", iter([said.encode()]))
        proofs = evidence.proofs(evidence.PACK, tenant, wanted, runs, last, marks, pack.hashes)
        pack.add("proofs.json", iter([canonical(proofs) + b"\n"]))
    pack.close()


def _marked(records: Iterator[Record], marks: Marks) -> Iterator[bytes]:
    for one in records:
        marks.add(one.leaf)
        yield one.line + b"\n"


def _seal_lines(last: Seal) -> Iterator[bytes]:
    for line in Seal.objects.filter(number__lte=last.number).order_by("number").values_list("line", flat=True):
        yield line.encode() + b"\n"


def _policy_lines(wanted: Wanted) -> Iterator[bytes]:
    in_force: Callable[[datetime | None, datetime | None], list[dict[str, Any]]] = import_string(
        settings.EVIDENCE_POLICIES
    )
    for policy in in_force(wanted.since, wanted.until):
        yield canonical(policy) + b"\n"


# -- other formats ---------------------------------------------------------------------------------------------------


def _jsonl(records: Iterator[Record]) -> Iterator[bytes]:
    for one in records:
        yield one.line + b"\n"


COLUMNS = (
    *("position", "id", "seq", "time", "action", "decision", "reason", "request_id"),
    *("actor_type", "actor_id", "actor_name", "department_id", "object_type", "object_id", "policy", "model"),
    *("deployment", "region", "entities", "passages", "tokens", "cost", "latency_ms", "detail", "hash"),
)


def _csv(records: Iterator[Record]) -> Iterator[bytes]:
    page = StringIO()
    writer = csv_writer(page)
    writer.writerow(COLUMNS)
    for one in records:
        flat = _flat(one)
        writer.writerow([_cell(flat.get(name)) for name in COLUMNS])
        if page.tell() > 1 << 16:
            yield page.getvalue().encode()
            page.seek(0)
            page.truncate()
    yield page.getvalue().encode()


def _flat(record: Record) -> dict[str, Any]:
    found = json.loads(record.data)
    for whole in ("actor", "object"):
        for part, value in (found.pop(whole) or {}).items():
            found[f"{whole}_{part}"] = value
    return {**found, "hash": record.leaf.hex()}


def _cell(value: Any) -> str:
    """A value as text that no spreadsheet takes for a formula."""
    if value is None:
        return ""
    if isinstance(value, dict | list):
        return json.dumps(value, ensure_ascii=False, sort_keys=True)
    text = str(value)
    return "'" + text if isinstance(value, str) and text.startswith(("=", "+", "-", "@", "\t", "\r")) else text


def _cef(records: Iterator[Record]) -> Iterator[bytes]:
    """ArcSight's Common Event Format, version 0: header fields and an extension of `key=value`."""
    for one in records:
        flat = _flat(one)
        action = flat["action"]
        head = ("Customhouse", "Customhouse", "1", action, sentence(action) if known(action) else action)
        severity = "6" if flat["decision"] == "deny" else "3"
        fields = {
            "rt": flat["time"],
            "externalId": flat["id"],
            "act": action,
            "outcome": flat["decision"],
            "reason": flat["reason"],
            "suid": flat["actor_id"],
            "suser": flat["actor_name"],
            "src": flat["detail"].get("address"),
            "fileId": flat.get("object_id"),
            "fileType": flat.get("object_type"),
            "cn1": flat["position"],
            "cn1Label": "position",
            **_labelled("cs1", "request", flat["request_id"]),
            **_labelled("cs2", "policy", flat["policy"]),
            **_labelled("cs3", "model", flat["model"]),
            **_labelled("cs4", "deployment", flat["deployment"]),
            **_labelled("cs5", "cost", flat["cost"]),
            **_labelled("cs6", "hash", flat["hash"]),
        }
        said = " ".join(f"{name}={_cef_value(value)}" for name, value in fields.items() if value not in (None, ""))
        yield f"CEF:0|{'|'.join(map(_cef_head, (*head, severity)))}|{said}\n".encode()


def _labelled(name: str, label: str, value: Any) -> dict[str, Any]:
    return {name: value, f"{name}Label": label} if value else {}


def _cef_head(value: str) -> str:
    return value.replace("\\", "\\\\").replace("|", "\\|").replace("\n", " ").replace("\r", " ")


def _cef_value(value: Any) -> str:
    return str(value).replace("\\", "\\\\").replace("=", "\\=").replace("\n", "\\n").replace("\r", "\\r")


_WRITERS: dict[str, Callable[[Iterator[Record]], Iterator[bytes]]] = {
    ExportFormat.JSONL: _jsonl,
    ExportFormat.CSV: _csv,
    ExportFormat.CEF: _cef,
}
