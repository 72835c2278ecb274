"""What an export says of itself: which records it holds, how they hang together with the seal, signed."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from . import history, keyring
from .merkle import Range
from .models import Seal
from .records import line, record_bytes

PACK, RECEIPT = "customhouse-pack/1", "customhouse-receipt/1"
BLOCKS = 4096  #: records are marked one by one up to so many, and in blocks beyond
AT_ONCE = 2_000  #: records read at once
#: an event carries the time at which its transaction began; none stays open for longer
LONGEST_TRANSACTION = timedelta(days=1)

_SQL = Path(__file__).parent / "sql"
_RECORDS = (_SQL / "sealed_records.sql").read_text()
_EXTENT = (_SQL / "extent.sql").read_text()
_POSITIONS = (_SQL / "positions.sql").read_text()


@dataclass(frozen=True, slots=True)
class Wanted:
    """Which records: of a time (`until` not included), of a request, or of both; nothing given means all."""

    since: datetime | None = None
    until: datetime | None = None
    request_id: UUID | None = None
    events: tuple[UUID, ...] | None = None  #: of the request, these alone


@dataclass(slots=True)
class Marks:
    """Digests over the hashes of the records, in blocks: they tell where something was changed."""

    total: int
    found: list[str] = field(default_factory=list)
    _digest: Any = field(default_factory=sha256)
    _count: int = 0

    @property
    def block(self) -> int:
        return max(1, -(-self.total // BLOCKS))

    def add(self, leaf: bytes) -> None:
        self._digest.update(leaf)
        self._count += 1
        if self._count == self.block:
            self.close()

    def close(self) -> None:
        if self._count:
            self.found.append(self._digest.hexdigest()[:16])
            self._digest, self._count = sha256(), 0


@dataclass(frozen=True, slots=True)
class Record:
    """A sealed record: its place, its bytes, the hash that was sealed."""

    position: int
    data: bytes
    leaf: bytes

    @property
    def line(self) -> bytes:
        return line(self.data, self.leaf)


def runs_of(wanted: Wanted, seal: Seal) -> list[Range]:
    """The positions of the wanted records that a seal covers, in runs, in the open scope.

    A time is one run without gaps, so that nothing can be missing in it: what was written outside of the time but
    sealed in the midst of it is in it as well.
    """
    if wanted.request_id is not None:
        asked = {
            "request_id": wanted.request_id,
            "since": wanted.since,
            "until": wanted.until,
            "events": None if wanted.events is None else list(wanted.events),
        }
        return list(_joined(place for (place,) in _rows(_POSITIONS, asked) if place < seal.size))
    return _run_of(wanted.since, wanted.until, seal)


def _run_of(since: datetime | None, until: datetime | None, seal: Seal) -> list[Range]:
    """The one run of a time, or none."""
    if since is None and until is None:
        return [(0, seal.size)]
    # No event is later than its seal, and none waits for it for more than a day.
    before = Seal.objects.filter(time__lt=since).first() if since else None
    after = None
    if until is not None:
        after = Seal.objects.filter(time__gte=until + LONGEST_TRANSACTION).order_by("number").first()
    asked = {
        "start": before.size if before else 0,
        "end": min(after.size, seal.size) if after else seal.size,
        "since": since,
        "until": until,
    }
    [(start, end)] = _rows(_EXTENT, asked)
    return [] if start is None else [(start, end)]


def read(start: int, end: int) -> Iterator[Record]:
    """Sealed records between two positions, in the open scope. One whose event is gone is left out, and missed."""
    for position, _, leaf, stored in stored_records(start, end):
        if stored is not None:
            yield Record(position, record_bytes(stored, position), bytes(leaf))


def stored_records(start: int, end: int) -> list[tuple[int, UUID, bytes, str | None]]:
    """Between two positions: position, the event's id, the hash that was sealed, the record as it is stored now."""
    return _rows(_RECORDS, {"start": start, "end": end})


def proofs(
    kind: str,
    tenant: UUID,
    wanted: Wanted,
    runs: list[Range],
    seal: Seal,
    marks: Marks,
    files: dict[str, str],
) -> dict[str, Any]:
    """The content of proofs.json: the signed statement, and the hashes that stand between the runs."""
    now = datetime.now(UTC)
    statement = {
        "format": kind,
        "tenant": str(tenant),
        "made": _moment(now),
        "from": _moment(wanted.since),
        "to": _moment(wanted.until),
        "request_id": str(wanted.request_id) if wanted.request_id else None,
        "seal": seal.number,
        "size": seal.size,
        "runs": [list(run) for run in runs],
        "block": marks.block,
        "marks": marks.found,
        "files": files,
    }
    signers = keyring.signers(tenant, now)
    return {
        "format": "customhouse-proofs/1",
        "statement": {**statement, "signatures": keyring.signatures(statement, signers)},
        "gaps": [gap.hex() for gap in history.gaps(runs, seal.size)],
    }


def _joined(places: Iterable[int]) -> Iterator[Range]:
    """Positions in order, as runs."""
    start = end = -1
    for place in places:
        if place != end:
            if end >= 0:
                yield start, end
            start = place
        end = place + 1
    if end >= 0:
        yield start, end


def _rows(statement: str, parameters: dict[str, Any]) -> list[tuple[Any, ...]]:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
        rows: list[tuple[Any, ...]] = cursor.fetchall()
        return rows


def _moment(moment: datetime | None) -> str | None:
    return moment.astimezone(UTC).isoformat(timespec="microseconds").replace("+00:00", "Z") if moment else None
