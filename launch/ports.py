"""The listening socket that all server processes share, bound before the long work begins."""

from __future__ import annotations

import errno
import socket
from collections.abc import Mapping

from .errors import BadSetting, PortBusy

DEFAULT = 8000
BACKLOG = 2048
_TRIED = 100


def listen(environment: Mapping[str, str]) -> socket.socket:
    """A listening socket on 127.0.0.1 at `CUSTOMHOUSE_PORT`. Without that variable the next free port from 8000 on."""
    asked = environment.get("CUSTOMHOUSE_PORT", "")
    first = _number(asked) if asked else DEFAULT
    for port in [first] if asked else range(first, first + _TRIED):
        listener = _listener(port)
        if listener is not None:
            if not asked and port != first:
                print(f"Port {first} is taken by another program: Customhouse listens on port {port}.", flush=True)
            return listener
    raise PortBusy(f"Port {first} is taken by another program: stop that one, or set CUSTOMHOUSE_PORT to a free port.")


def _number(asked: str) -> int:
    if not asked.isdecimal() or int(asked) > 65535:
        raise BadSetting(f"CUSTOMHOUSE_PORT must be a number from 0 (any free port) to 65535, not {asked!r}.")
    return int(asked)


def _listener(port: int) -> socket.socket | None:
    """None when the port is taken."""
    listener = socket.socket()
    try:
        listener.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
        listener.bind(("127.0.0.1", port))
        listener.listen(BACKLOG)
    except OSError as error:
        listener.close()
        if error.errno == errno.EADDRINUSE:
            return None
        raise PortBusy(f"Port {port} cannot be used ({error.strerror}): set CUSTOMHOUSE_PORT to another.") from error
    listener.set_inheritable(True)
    return listener
