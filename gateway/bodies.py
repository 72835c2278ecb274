"""What went out and came back in calls whose policy has it kept, on its way to the database.

It goes in batches, like the journal's rows, and is durable before the answer's last byte.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import Callable, Mapping
from typing import Any
from uuid import UUID

from audit.services import BODIES, body_row
from tenants.data import Caller

from .journal import OUTCOME_SECONDS, SCOPE, WATCH_SECONDS, Lane, Metrics


class Bodies:
    """This worker's way to kept bodies. `crowd` tells how many calls are open."""

    def __init__(self, url: str, crowd: Callable[[], int]) -> None:
        self._lane = Lane("bodies", url, {"scope": SCOPE, "rows": BODIES}, Metrics(), crowd)
        self._watching: asyncio.Task[None] | None = None

    async def start(self) -> None:
        self._lane.start()
        self._watching = asyncio.create_task(self._watch())

    async def stop(self, patience: float = 5.0) -> None:
        """Writes what waits, then closes."""
        await self._lane.stop(time.monotonic() + patience)
        if self._watching is not None:
            self._watching.cancel()
            await asyncio.gather(self._watching, return_exceptions=True)

    def keep(
        self, caller: Caller, request: UUID, mode: str, days: int, content: Mapping[str, Any]
    ) -> asyncio.Future[None]:
        """Hands a body over. The future ends when it is durable; Unavailable when that takes too long."""
        future = asyncio.get_running_loop().create_future()
        row = body_row(caller, request, mode, days, content)
        return self._lane.hand(caller.tenant, row, future, OUTCOME_SECONDS, None, _written, None)

    async def _watch(self) -> None:
        while True:
            await asyncio.sleep(WATCH_SECONDS)
            self._lane.tire(time.monotonic())


def _written(_: Any) -> None:
    """Nothing follows from it."""
