"""Drives a gateway in a closed loop: each connection asks again as soon as it was answered.

wrk does it where it is installed; a driver of our own otherwise, which takes more of the machine for itself: its
ratios are right, its requests/s are lower.
"""

from __future__ import annotations

import asyncio
import json
import shutil
import subprocess
import tempfile
import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from pathlib import Path
from urllib.parse import urlsplit

#: Where a request's own number goes when every prompt is to be a new one. As many digits as the mark has characters.
MARK = "0000000"

_SCRIPT = """
local before, after, number = [==[%(before)s]==], [==[%(after)s]==], %(first)d
wrk.method = "POST"
wrk.headers["content-type"] = "application/json"
wrk.headers["authorization"] = "Bearer %(key)s"
wrk.body = before .. "%(mark)s" .. after
if %(fresh)s then
  request = function()
    number = number + 1
    return wrk.format(nil, nil, nil, before .. string.format("%%07d", number) .. after)
  end
end
done = function(summary, latency)
  local e = summary.errors
  io.write(string.format('RESULT {"requests": %%d, "seconds": %%f, "errors": %%d, "p50_ms": %%f, "p99_ms": %%f}\\n',
    summary.requests, summary.duration / 1e6, e.status + e.connect + e.read + e.write + e.timeout,
    latency:percentile(50) / 1e3, latency:percentile(99) / 1e3))
end
"""


@dataclass(frozen=True, slots=True)
class Run:
    """What one run saw. Latencies in milliseconds; `errors` are answers with another status than 200 and lost ones."""

    requests: int
    seconds: float
    errors: int
    p50_ms: float
    p99_ms: float

    @property
    def rate(self) -> float:
        """Good answers a second."""
        return (self.requests - self.errors) / self.seconds


def driver() -> str:
    """Which one drives."""
    return "wrk" if shutil.which("wrk") else "own"


def drive(url: str, key: str, body: str, *, seconds: float, connections: int, first: int = 0) -> Run:
    """One run. A body with MARK is numbered from `first` on, so that no two requests are alike."""
    if driver() == "own":
        return asyncio.run(_drive(url, key, body, seconds, connections, first))
    before, mark, after = body.partition(MARK)
    fields = {
        "before": before,
        "after": after,
        "mark": mark,
        "key": key,
        "first": first,
        "fresh": str(bool(mark)).lower(),
    }
    with tempfile.TemporaryDirectory() as folder:
        script = Path(folder) / "load.lua"
        script.write_text(_SCRIPT % fields)
        command = [
            "wrk",
            "-t1",
            f"-c{connections}",
            f"-d{max(1, round(seconds))}s",
            "--timeout",
            "30s",
            "-s",
            str(script),
        ]
        said = subprocess.run([*command, url], capture_output=True, text=True, check=True, timeout=seconds + 90).stdout
    result = next(line for line in said.splitlines() if line.startswith("RESULT "))
    return Run(**json.loads(result.removeprefix("RESULT ").replace("-nan", "0").replace("nan", "0")))


class Asker:
    """A keep-alive HTTP/1.1 connection."""

    def __init__(self, url: str, key: str) -> None:
        self._at = urlsplit(url)
        self._head = (
            f"POST {self._at.path} HTTP/1.1\r\nhost: {self._at.netloc}\r\nauthorization: Bearer {key}\r\n"
            "content-type: application/json\r\ncontent-length: "
        ).encode()

    async def open(self) -> Asker:
        assert self._at.hostname is not None
        assert self._at.port is not None
        self._reader, self._writer = await asyncio.open_connection(self._at.hostname, self._at.port)
        return self

    async def ask(self, body: str) -> tuple[int, bytes, float, float]:
        """Status, body, seconds until its first byte, seconds until its end."""
        began = time.perf_counter()
        data = body.encode()
        self._writer.write(self._head + b"%d\r\n\r\n%s" % (len(data), data))
        head = (await self._reader.readuntil(b"\r\n\r\n")).lower()
        status = int(head.split(b" ", 2)[1])
        _, _, length = head.partition(b"content-length:")
        if length:
            body_read = await self._reader.readexactly(int(length.split(b"\r\n", 1)[0]))
            first = time.perf_counter()
        else:
            body_read, first = await self._chunks()
        return status, body_read, first - began, time.perf_counter() - began

    async def _chunks(self) -> tuple[bytes, float]:
        parts: list[bytes] = []
        first = 0.0
        while size := int(await self._reader.readline(), 16):
            parts.append((await self._reader.readexactly(size + 2))[:-2])
            first = first or time.perf_counter()
        await self._reader.readline()
        return b"".join(parts), first

    def close(self) -> None:
        self._writer.close()


async def together(connections: int, work: Callable[[int], Awaitable[None]]) -> None:
    """The same work on so many connections at once."""
    await asyncio.gather(*(work(number) for number in range(connections)))


async def _drive(url: str, key: str, body: str, seconds: float, connections: int, first: int) -> Run:
    took: list[float] = []
    errors, number = 0, first
    until = time.monotonic() + seconds

    async def work(_: int) -> None:
        nonlocal errors, number
        asker = await Asker(url, key).open()
        while time.monotonic() < until:
            number += 1
            status, _, _, all_of_it = await asker.ask(body.replace(MARK, f"{number:07d}"))
            took.append(all_of_it * 1e3)
            errors += status != 200
        asker.close()

    began = time.monotonic()
    await together(connections, work)
    return Run(len(took), time.monotonic() - began, errors, share(took, 0.5), share(took, 0.99))


def share(values: list[float], part: float) -> float:
    """The value that this part of the values does not exceed."""
    ordered = sorted(values)
    return ordered[min(len(ordered) - 1, int(part * len(ordered)))]
