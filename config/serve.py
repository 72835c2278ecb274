"""One server process on a listening socket that was bound before: `python -m config.serve FD`.

uvicorn's own --fd takes every descriptor for a Unix socket: the client's address would be lost, and without TCP_NODELAY
each answer would wait 40 ms for an acknowledgement.
"""

from __future__ import annotations

import asyncio
import socket
import sys

import uvicorn

DRAIN_SECONDS = 20
BACKLOG = 2048


def main() -> None:
    """Serves until SIGTERM; running answers have DRAIN_SECONDS to end."""
    listener = socket.socket(fileno=int(sys.argv[1]))
    settings = uvicorn.Config(
        "config.asgi:application",
        loop="uvloop",
        http="httptools",
        lifespan="on",
        access_log=False,
        log_level="warning",
        server_header=False,
        backlog=BACKLOG,
        timeout_graceful_shutdown=DRAIN_SECONDS,
    )
    with asyncio.Runner(loop_factory=settings.get_loop_factory()) as runner:
        runner.run(uvicorn.Server(settings).serve(sockets=[listener]))


if __name__ == "__main__":
    main()
