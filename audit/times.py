"""Ids tell when they were made, so that the primary key finds a time."""

from __future__ import annotations

from datetime import datetime, timedelta
from uuid import UUID

#: an id is made when a row is, its time when the transaction began or was repeated: rows of bad minutes stay in
_SLACK = timedelta(hours=1)


def first_id(moment: datetime, *, after: bool = False) -> UUID:
    """An id (UUID version 7) below those of all rows written at `moment` or later (`after`: above those of all rows
    written before it): the primary key finds a time.
    """
    edge = moment + _SLACK if after else moment - _SLACK
    milliseconds = max(int(edge.timestamp() * 1000), 0)
    return UUID(int=milliseconds << 80 | 0x7 << 76 | 0x2 << 62)
