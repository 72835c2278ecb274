"""Reads a PDF in a process of its own: bytes on standard input, JSON on standard output.

Run by file name, outside of the application and without its environment. A page description can ask for any amount of
time and memory, so the process gives itself limits before it looks at the first byte.
"""

from __future__ import annotations

import io
import json
import logging
import resource
import sys
from typing import Any

import pypdf
from pypdf.errors import FileNotDecryptedError, LimitReachedError, WrongPasswordError

MOST_PAGES = 5_000
MOST_CHARACTERS = 10_000_000


def limit(memory: int, seconds: int) -> None:
    """Caps this process's address space (bytes) and computing time; it may write no file and start no process."""
    resource.setrlimit(resource.RLIMIT_AS, (memory, memory))
    resource.setrlimit(resource.RLIMIT_CPU, (seconds, seconds + 5))  # the first ends it with its own signal
    resource.setrlimit(resource.RLIMIT_FSIZE, (0, 0))
    resource.setrlimit(resource.RLIMIT_CORE, (0, 0))


def read(content: bytes) -> dict[str, Any]:
    """{"pages": [text, …]} or {"error": kind}."""
    try:
        reader = pypdf.PdfReader(io.BytesIO(content))
        if reader.is_encrypted and not reader.decrypt(""):
            return {"error": "encrypted"}
        if len(reader.pages) > MOST_PAGES:
            return {"error": "large"}
        return _pages(reader)
    except (FileNotDecryptedError, WrongPasswordError):
        return {"error": "encrypted"}
    except (MemoryError, LimitReachedError):
        return {"error": "large"}
    except Exception as error:  # noqa: BLE001  whatever a damaged file provokes in the parser is that file's fault
        return {"error": "unreadable", "kind": type(error).__name__}


def _pages(reader: Any) -> dict[str, Any]:
    pages: list[str] = []
    total = 0
    for number, page in enumerate(reader.pages, start=1):
        try:
            text = page.extract_text()
        except (MemoryError, LimitReachedError):
            raise
        except Exception as error:  # noqa: BLE001  better no document than one that silently lacks a page
            return {"error": "page", "number": number, "kind": type(error).__name__}
        total += len(text)
        if total > MOST_CHARACTERS:
            return {"error": "large"}
        pages.append(text)
    return {"pages": pages}


def main() -> None:
    limit(int(sys.argv[1]), int(sys.argv[2]))
    logging.disable(logging.CRITICAL)  # the parser's remarks quote the file
    sys.setrecursionlimit(2_000)
    found = read(sys.stdin.buffer.read())
    sys.stdout.buffer.write(json.dumps(found).encode("ascii"))


if __name__ == "__main__":
    main()
