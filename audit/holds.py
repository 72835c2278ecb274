"""Legal holds: whatever removes something asks first whether it is held."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from datetime import datetime
from uuid import UUID

from .data import Held
from .models import Hold


def holds_over(
    *,
    time: datetime,
    actor: str = "",
    department: UUID | None = None,
    request_id: UUID | None = None,
    object_type: str = "",
    object_id: str = "",
) -> list[Hold]:
    """The holds in force in the open tenant that keep something from being removed. An empty list: nothing does."""
    return _holding(
        Hold.objects.filter(released_at=None),
        time=time,
        actor=actor,
        department=department,
        request_id=request_id,
        object_type=object_type,
        object_id=object_id,
    )


def keepers() -> Held:
    """The same for many things: the holds in force are read once, and told by their names."""
    holds = list(Hold.objects.filter(released_at=None))
    return lambda **marks: tuple(hold.name for hold in _holding(holds, **marks))


def _holding(
    holds: Iterable[Hold],
    *,
    time: datetime,
    actor: str = "",
    department: UUID | None = None,
    request_id: UUID | None = None,
    object_type: str = "",
    object_id: str = "",
) -> list[Hold]:
    marks = {
        "actor": actor,
        "department": str(department or ""),
        "request_id": str(request_id or ""),
        "object_type": object_type,
        "object_id": object_id,
    }
    return [hold for hold in holds if fits(hold.filter, time, marks)]


def fits(filter_: Mapping[str, str], time: datetime, marks: Mapping[str, str]) -> bool:
    """Whether a filter fits: everything that it names must. A name that is not known fits, so that it holds."""
    since, until = filter_.get("from"), filter_.get("to")
    if since is not None and time < datetime.fromisoformat(since.replace("Z", "+00:00")):
        return False
    if until is not None and time >= datetime.fromisoformat(until.replace("Z", "+00:00")):
        return False
    return all(marks.get(name, value) == value for name, value in filter_.items() if name not in ("from", "to"))
