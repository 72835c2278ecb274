"""Sealing: gives a tenant's committed events their places in its history and signs the tree that they make.

Events are written by many workers and commit in any order, so nothing that is assigned at writing (an id, a sequence, a
clock) can be the history's order: an event that commits late would be skipped by a seal that is past its number. The
order is given here instead, afterwards and by one at a time, to what has been committed. What is new is told by
snapshots: an event is new when this seal's snapshot sees it and the last one's did not. The writers know nothing of it.
"""

from __future__ import annotations

import logging
from collections.abc import Iterator
from dataclasses import dataclass
from datetime import datetime
from hashlib import sha256
from itertools import islice
from pathlib import Path
from typing import Any
from uuid import UUID

from django.db import connection

from tenants.isolation.scope import PLATFORM, scope

from . import keyring
from .merkle import Frontier, Node, leaf_hash
from .models import Seal
from .records import record_bytes

log = logging.getLogger("customhouse.seals")

FORMAT = "customhouse-seal/1"
MOST = 10_000  #: events between two seals
#: heights of the subtrees that are kept beside the leaves
KEPT_HEIGHTS = (8, 16, 24)
SEALER = {"type": "system", "id": "", "name": "sealing"}

SQL = Path(__file__).parent / "sql"
_UNSEALED = (SQL / "unsealed.sql").read_text()
_UNSEALED_ANEW = (SQL / "unsealed_anew.sql").read_text()
_LEAVES = (SQL / "leaves.sql").read_text()
_NODES = (SQL / "nodes.sql").read_text()
_INSTANT = (SQL / "instant.sql").read_text()
_LOCK = "select pg_advisory_xact_lock(hashtextextended('audit.seal ' || wall.tenant(), 0))"

#: an event's id, its record as stored, and the snapshot in which it was read
Found = tuple[UUID, str, str]


@dataclass(frozen=True, slots=True)
class Instant:
    """When and where a seal is made: the database's time, the transaction's number, the cluster's id or ''."""

    now: datetime
    xact: int
    cluster: str


def seal(tenant: UUID, *, anew: bool = False) -> int:
    """Seals what is committed of a tenant, and returns how many events that were. One seal for every MOST of them.

    `anew` looks for events without a leaf instead of trusting the last snapshot: it reads the whole trail.
    """
    with scope(tenant, actor=SEALER):
        _one_at_a_time()
        instant, last = _instant(), Seal.objects.first()
        count = 0
        found = _unsealed(instant, last, anew)
        while batch := list(islice(found, MOST)):
            last = _seal(tenant, instant, last, batch)
            count += len(batch)
        return count


def seal_all() -> int:
    """Seals all tenants' events; what fails for one is logged and does not keep the others from theirs."""
    count = 0
    for tenant in tenants():
        try:
            count += seal(tenant)
        except Exception:
            log.exception("the events of tenant %s could not be sealed", tenant)
    return count


def rotate_key(tenant: UUID) -> str:
    """Gives a tenant a new key to seal with and returns its name; the old one signs beside it for a week."""
    with scope(tenant, actor=SEALER):
        _one_at_a_time()
        return keyring.rotate(tenant, _instant().now)


def tenants() -> list[UUID]:
    """Every tenant, the platform among them."""
    with scope(PLATFORM), connection.cursor() as cursor:
        cursor.execute("select id from tenants_tenant order by id")
        return [row[0] for row in cursor.fetchall()]


def seal_hash(line: str) -> str:
    """What the next seal holds of this one: the hash of its line, signatures included."""
    return sha256(line.encode()).hexdigest()


def with_own(snapshot: str, xact: int) -> str:
    """A snapshot (`xmin:xmax:running`) that counts this transaction among the running ones: what it writes after it
    was read is not seen yet.
    """
    low, high, running = snapshot.split(":")
    if xact >= int(high):
        return snapshot  # beyond its end nothing is seen anyway, and its end must not move: others run beyond it too
    numbers = sorted({*(int(number) for number in running.split(",") if number), xact})
    return f"{min(int(low), xact)}:{high}:{','.join(map(str, numbers))}"


def _one_at_a_time() -> None:
    with connection.cursor() as cursor:
        cursor.execute(_LOCK)


def _instant() -> Instant:
    with connection.cursor() as cursor:
        cursor.execute(_INSTANT)
        now, xact, cluster = cursor.fetchone()
    return Instant(now, int(xact), cluster)


def _unsealed(instant: Instant, last: Seal | None, anew: bool) -> Iterator[Found]:
    """The events to be sealed, read as they are needed, in one snapshot."""
    trusted = last is not None and not anew and last.cluster == instant.cluster and not _rewound(last, instant)
    statement, asked = (_UNSEALED, {"seen": last.snapshot}) if trusted and last is not None else (_UNSEALED_ANEW, {})
    connection.ensure_connection()
    assert connection.connection is not None
    with connection.connection.cursor("unsealed") as cursor:
        cursor.itersize = MOST
        cursor.execute(statement, asked)
        yield from cursor


def _rewound(last: Seal, instant: Instant) -> bool:
    """Whether transactions were numbered higher when the last seal was made: then this is another cluster."""
    return instant.xact < int(last.snapshot.split(":")[0])


def _seal(tenant: UUID, instant: Instant, last: Seal | None, batch: list[Found]) -> Seal:
    tree = Frontier(last.size, bytes(last.frontier)) if last else Frontier()
    first, leaves, nodes = tree.size, [], []
    for event, stored, _ in batch:
        leaf = leaf_hash(record_bytes(stored, tree.size))
        leaves.append((event, leaf))
        nodes += [node for node in tree.append(leaf) if node[0] in KEPT_HEIGHTS]
    _store(first, leaves, nodes)
    # Read after the events were: no event of a seal is later than its seal.
    now = _instant().now if last is None else max(_instant().now, last.time)
    number = last.number + 1 if last else 1
    body = {
        "format": FORMAT,
        "tenant": str(tenant),
        "number": number,
        "size": tree.size,
        "root": tree.root.hex(),
        "time": now.isoformat(timespec="microseconds").replace("+00:00", "Z"),
        "previous": seal_hash(last.line) if last else "",
    }
    return Seal.objects.create(
        number=number,
        size=tree.size,
        time=now,
        root=tree.root,
        line=keyring.sign(body, keyring.signers(tenant, now)).decode(),
        frontier=tree.packed,
        snapshot=with_own(batch[0][2], instant.xact),
        cluster=instant.cluster,
    )


def _store(first: int, leaves: list[tuple[UUID, bytes]], nodes: list[Node]) -> None:
    packed = b"".join(event.bytes + leaf for event, leaf in leaves)
    _run(_LEAVES, {"first": first, "count": len(leaves), "packed": packed})
    if nodes:
        heights, indexes, roots = (list(column) for column in zip(*nodes, strict=True))
        _run(_NODES, {"heights": heights, "indexes": indexes, "hashes": roots})


def _run(statement: str, parameters: dict[str, Any]) -> None:
    with connection.cursor() as cursor:
        cursor.execute(statement, parameters)
