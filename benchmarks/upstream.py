"""A model vendor that costs as little as possible: prepared answers in OpenAI's form, from a process of its own.

The model's name says what it does: `fixed` answers twenty words, `echo` the last message, and with `"stream": true`
`fixed` sends a hundred chunks in ten writes. The fiftieth and fifty-first chunk carry the two halves of the first
placeholder that stands in the prompt (or of a text as long), so that a gateway that restores has something to restore.

Run: `python -m benchmarks.upstream PORT`. In code: `with upstream() as url:`.
"""

from __future__ import annotations

import asyncio
import re
import subprocess
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import orjson
import uvloop

from benchmarks.processes import answering, free_port

WORDS = "The ledger shows what was charged, the seal shows that nobody changed it, and both are kept."
CHUNKS, WRITES = 100, 10
PLACEHOLDER = re.compile(rb"\[[A-Z_]{3,40}_[A-Z0-9]{5}\]")
IN_ITS_PLACE = b"the customer's address"
HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: "
STREAM_HEAD = HEAD + b"text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"


@contextmanager
def upstream() -> Iterator[str]:
    """A running one; its base URL."""
    port = free_port()
    command = [sys.executable, "-m", "benchmarks.upstream", str(port)]
    process = subprocess.Popen(command, cwd=Path(__file__).resolve().parent.parent)
    try:
        answering(port, process)
        yield f"http://127.0.0.1:{port}/v1"
    finally:
        process.terminate()
        process.wait(10)


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def event(delta: dict[str, str], finish: str | None = None) -> bytes:
    """One event of a chat stream, framed."""
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    body = {"id": "up", "object": "chat.completion.chunk", "created": 1, "model": "fixed", "choices": [choice]}
    return framed(b"data: " + orjson.dumps(body) + b"\n\n")


def answer(text: str) -> bytes:
    """A plain answer."""
    body = orjson.dumps(
        {
            "id": "up",
            "object": "chat.completion",
            "created": 1,
            "model": "fixed",
            "choices": [{"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}],
            "usage": {"prompt_tokens": 100, "completion_tokens": 20, "total_tokens": 120},
        }
    )
    return HEAD + b"application/json\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body)


def prepared_stream() -> tuple[list[bytes], bytes]:
    """The ten writes without the two chunks in the middle, and the end."""
    words = WORDS.split()
    events = [event({"role": "assistant", "content": ""})]
    events += [event({"content": words[number % len(words)] + " "}) for number in range(CHUNKS - 3)]
    size = CHUNKS // WRITES
    writes = [b"".join(events[at : at + size]) for at in range(0, len(events), size)]
    usage = {"prompt_tokens": 100, "completion_tokens": CHUNKS, "total_tokens": 100 + CHUNKS}
    last = {
        "id": "up",
        "object": "chat.completion.chunk",
        "created": 1,
        "model": "fixed",
        "choices": [],
        "usage": usage,
    }
    end = event({}, "stop") + framed(b"data: " + orjson.dumps(last) + b"\n\n") + framed(b"data: [DONE]\n\n")
    return [STREAM_HEAD + writes[0], *writes[1:]], end + b"0\r\n\r\n"


FIXED = answer(WORDS)
STREAM, STREAM_END = prepared_stream()
MIDDLE = WRITES // 2


def halves(body: bytes) -> bytes:
    """The two chunks in the middle of a stream."""
    found = PLACEHOLDER.search(body)
    text = (found[0] if found else IN_ITS_PLACE).decode()
    cut = len(text) // 2
    return event({"content": text[:cut]}) + event({"content": text[cut:]})


class Vendor(asyncio.Protocol):
    """One keep-alive connection; a client that waits for its answer before it asks again."""

    def connection_made(self, transport: Any) -> None:  # uvloop's transports are none of asyncio's
        self._transport, self._buffer = transport, b""
        self._loop = asyncio.get_running_loop()

    def data_received(self, data: bytes) -> None:
        self._buffer += data
        head, end, body = self._buffer.partition(b"\r\n\r\n")
        if not end:
            return
        _, _, length = head.lower().partition(b"content-length:")
        if len(body) < int(length.split(b"\r\n", 1)[0] or 0):
            return
        self._buffer = b""
        self._answer(body)

    def _answer(self, body: bytes) -> None:
        asked = orjson.loads(body)
        if asked.get("stream"):
            self._write(0, [*STREAM[:MIDDLE], STREAM[MIDDLE] + halves(body), *STREAM[MIDDLE + 1 :], STREAM_END])
        elif asked["model"] == "echo":
            self._transport.write(answer(asked["messages"][-1]["content"]))
        else:
            self._transport.write(FIXED)

    def _write(self, number: int, writes: list[bytes]) -> None:
        """One write in each turn of the loop, so that each is a segment of its own."""
        if self._transport.is_closing():
            return
        last = number == WRITES - 1
        self._transport.write(writes[number] + writes[-1] if last else writes[number])
        if not last:
            self._loop.call_soon(self._write, number + 1, writes)


async def serve(port: int) -> None:
    server = await asyncio.get_running_loop().create_server(Vendor, "127.0.0.1", port, backlog=2048)
    await server.serve_forever()


if __name__ == "__main__":
    uvloop.run(serve(int(sys.argv[1])))
