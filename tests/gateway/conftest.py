"""On which event loops tests run."""

from __future__ import annotations

import asyncio
from collections.abc import Callable, Mapping

import pytest
import uvloop

SOCKETS = {"test_http.py", "test_http_client.py"}


def pytest_asyncio_loop_factories(item: pytest.Item) -> Mapping[str, Callable[[], asyncio.AbstractEventLoop]]:
    """What handles sockets itself is tested on uvloop as well: production runs on it, and its transports differ."""
    ours = {"asyncio": asyncio.new_event_loop}
    return {**ours, "uvloop": uvloop.new_event_loop} if item.path.name in SOCKETS else ours
