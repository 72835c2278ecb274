"""Reads one file in a process of its own: bytes on standard input, JSON on standard output. With a password in its
environment it only opens the file, and what it gives is the file without one.

Run by file name, outside of the application and without its environment. A file can ask its reader for any amount of
time and memory, or make it run a stranger's code; so the process takes limits upon itself before it looks at the first
byte. What it cannot do afterwards: use more memory and time, write a file, reach the network.
"""

from __future__ import annotations

import ctypes
import json
import logging
import os
import resource
import sys
import warnings
from base64 import b64encode
from pathlib import Path

#: Frames of the interpreter: deeper nesting is an attack.
MOST_FRAMES = 2_000
_NEW_USER, _NEW_NETWORK = 0x10000000, 0x40000000
_NO_NEW_PRIVILEGES = 38


def limit(memory: int, seconds: int) -> None:
    """Caps this process's address space (bytes) and computing time (seconds), and those of what it starts."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # the first ends it with its own signal
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def withdraw() -> None:
    """Leaves the network and the means to gain rights, as far as the system lets a process do so."""
    if not sys.platform.startswith("linux"):
        return
    system = ctypes.CDLL(None)
    system.prctl(_NO_NEW_PRIVILEGES, 1, 0, 0, 0)
    if system.unshare(_NEW_NETWORK) != 0:
        system.unshare(_NEW_USER | _NEW_NETWORK)


def read(content: bytes, filename: str, mime: str) -> dict[str, object]:
    """A draft's result, or {"content": base64}, or {"error": the error's name, "message"}."""
    from retrieval.errors import IngestError
    from retrieval.ingest.formats import choice, unlock
    from retrieval.ingest.formats.draft import Draft

    draft = Draft(choice.read)
    password = os.environ.pop("PASSWORD", None)
    try:
        if password is not None:
            return {"content": b64encode(unlock.unlocked(content, password)).decode()}
        choice.read(content, filename, mime, draft)
    except IngestError as error:
        return {"error": type(error).__name__, "message": str(error)}
    except (MemoryError, RecursionError):
        return {"error": "TooLarge", "message": ""}
    except Exception as error:  # noqa: BLE001  whatever a damaged file provokes in a parser is that file's fault
        return {"error": "Unreadable", "message": "", "kind": type(error).__name__}
    return draft.result()


def main() -> None:
    limit(int(sys.argv[1]), int(sys.argv[2]))
    withdraw()
    # parsers' remarks quote the file
    logging.disable(logging.CRITICAL)
    warnings.simplefilter("ignore")
    sys.setrecursionlimit(MOST_FRAMES)
    sys.path.insert(0, str(Path(__file__).resolve().parents[2]))
    found = read(sys.stdin.buffer.read(), sys.argv[3], sys.argv[4])
    sys.stdout.buffer.write(json.dumps(found).encode("ascii"))


if __name__ == "__main__":
    main()
