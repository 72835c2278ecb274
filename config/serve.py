"""One server process on a listening socket that was bound before: `python -m config.serve FD`.

uvicorn runs it and serves the console and the management API; connections of the data plane are `gateway.http`'s.

uvicorn's own --fd takes every descriptor for a Unix socket: the client's address would be lost, and without TCP_NODELAY
each answer would wait 40 ms for an acknowledgement.
"""

from __future__ import annotations

import asyncio
import socket
import sys
from typing import Any

import uvicorn
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from config.asgi import door
from config.settings import TRUSTED_PROXIES
from gateway.http import House, Proxies, Reception

DRAIN_SECONDS = 20
BACKLOG = 2048


class Connections:
    """Makes the protocol of each new connection."""

    def __init__(self, trusted: Proxies) -> None:
        self._trusted = trusted
        self._house: House | None = None

    def __call__(
        self, config: uvicorn.Config, server_state: ServerState, app_state: dict[str, Any], _loop: Any = None
    ) -> asyncio.Protocol:
        if self._house is None:
            self._house = House(
                door,
                lambda: HttpToolsProtocol(config, server_state, app_state, _loop),
                server_state.connections,
                server_state.tasks,
                headers=lambda: server_state.default_headers,
                trusted=self._trusted,
            )
        return Reception(self._house)


def main() -> None:
    """Serves until SIGTERM; running answers have DRAIN_SECONDS to end."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    settings = uvicorn.Config(
        "config.asgi:application",
        loop="uvloop",
        http=Connections(Proxies(TRUSTED_PROXIES)),  # type: ignore[arg-type]  # called as a class is
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        forwarded_allow_ips=[proxy.strip() for proxy in TRUSTED_PROXIES],
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    with asyncio.Runner(loop_factory=settings.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(settings).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
