"""Runs the process that reads a file, bounds what it may use and say, and turns that into a text or an error."""

from __future__ import annotations

import json
import os
import selectors
import signal
import subprocess
import sys
import tempfile
import time
from base64 import b64decode
from collections.abc import Callable
from pathlib import Path
from typing import IO, Any

from retrieval import errors
from retrieval.data import Extracted
from retrieval.errors import IngestError, TooLarge, Unreadable

#: Of the process that reads: bytes of address space, seconds of computing, seconds until it is ended in any case
#: (recognising scanned pages is done by others), and bytes of what it may say.
MEMORY = 1536 * 1024 * 1024
SECONDS = 120
MOST_SECONDS = 1_500
MOST_OUTPUT = 160 * 1024 * 1024
#: Seconds between two signs of life while it reads.
BEAT = 20.0

_READER = Path(__file__).with_name("reader.py")


def read(content: bytes, filename: str, mime: str, alive: Callable[[], None] = lambda: None) -> Extracted:
    """The text of a file of any kind; `alive` is called now and then while it is read. Raises IngestError."""
    with tempfile.TemporaryFile() as said:  # without a name: gone with the process, however it ends
        said.write(content)
        said.seek(0)
        return _found(_answer(said, [filename[-200:], mime[:120]], alive))


def unlock(content: bytes, password: str) -> bytes:
    """A file without its password. Raises IngestError: Encrypted when it is another one."""
    with tempfile.TemporaryFile() as said:
        said.write(content)
        said.seek(0)
        found = _answer(said, ["", ""], lambda: None, {"PASSWORD": password.replace("\0", "")})
    if "error" in found:
        raise _error(str(found["error"]), str(found.get("message", "")))
    return b64decode(found["content"])


def _answer(
    said: IO[bytes], arguments: list[str], alive: Callable[[], None], told: dict[str, str] | None = None
) -> dict[str, Any]:
    """What the process says of a file; `told` is its environment. Raises IngestError when it cannot say anything."""
    output, status = _run(arguments, said, alive, told or {})
    if status == -signal.SIGXCPU or status == -signal.SIGKILL:
        raise TooLarge(f"The file took longer than {SECONDS} seconds to read.")
    if status < 0:  # a parser written in C met its master
        raise Unreadable
    if status != 0:  # no memory even to say so
        raise TooLarge
    found: dict[str, Any] = json.loads(output)
    return found


def _run(arguments: list[str], said: IO[bytes], alive: Callable[[], None], told: dict[str, str]) -> tuple[bytes, int]:
    """What the reader says, and how it ended."""
    clean = [argument.replace("\0", "").encode("utf-8", "replace").decode("utf-8", "replace") for argument in arguments]
    process = subprocess.Popen(  # noqa: S603  the command is ours; the file comes on its standard input
        [sys.executable, "-I", str(_READER), str(MEMORY), str(SECONDS), *clean],
        stdin=said,
        stdout=subprocess.PIPE,
        stderr=subprocess.DEVNULL,
        env={"LC_ALL": "C.UTF-8", **told},
        cwd="/",
        start_new_session=True,
    )
    try:
        assert process.stdout is not None
        output = _heard(process.stdout, alive)
        return output, process.wait(timeout=BEAT)
    except subprocess.TimeoutExpired as error:
        raise TooLarge from error
    finally:
        _end(process)


def _heard(pipe: IO[bytes], alive: Callable[[], None]) -> bytes:
    """All that comes out of a pipe. Raises TooLarge after too much of it, or too long."""
    end = time.monotonic() + MOST_SECONDS
    parts: list[bytes] = []
    size = 0
    with selectors.DefaultSelector() as selector:
        selector.register(pipe, selectors.EVENT_READ)
        while time.monotonic() < end:
            if not selector.select(BEAT):
                alive()
                continue
            part = os.read(pipe.fileno(), 1 << 20)
            if not part:
                return b"".join(parts)
            parts.append(part)
            size += len(part)
            if size > MOST_OUTPUT:
                raise TooLarge
    raise TooLarge(f"The file took longer than {MOST_SECONDS // 60} minutes to read.")


def _end(process: subprocess.Popen[bytes]) -> None:
    """Ends the process with all that it started, whether or not it has ended itself."""
    try:
        os.killpg(process.pid, signal.SIGKILL)
    except ProcessLookupError:
        pass  # it left nobody behind
    process.wait()
    if process.stdout is not None:
        process.stdout.close()


def _found(said: dict[str, Any]) -> Extracted:
    if "error" in said:
        raise _error(str(said["error"]), str(said.get("message", "")))
    return Extracted(
        said["text"],
        pages=tuple((int(place), int(page)) for place, page in said["pages"]),
        sections=tuple((int(place), str(name)) for place, name in said["sections"]),
        tables=tuple((int(first), int(end), int(body)) for first, end, body in said["tables"]),
        page_count=said["page_count"],
    )


def _error(name: str, message: str) -> IngestError:
    kind = getattr(errors, name, Unreadable)
    known = isinstance(kind, type) and issubclass(kind, IngestError)
    return kind(message[:400] or None) if known else Unreadable()
