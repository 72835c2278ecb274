"""A vendor on loopback that sends exactly the bytes it is told to, and a restorer that can be read at a glance."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass, field
from typing import Any
from uuid import uuid4

from gateway.data import ProviderView, Target

HANG_UP = b"\0hang up"


@dataclass
class Seen:
    """A request as the vendor received it."""

    path: str
    headers: dict[str, str]
    body: dict[str, Any]


Answer = Callable[[Seen], AsyncIterator[bytes]]


@dataclass
class Vendor:
    """Speaks HTTP/1.1 on a free port; `answer` yields the raw bytes of a response, or HANG_UP."""

    answer: Answer
    seen: list[Seen] = field(default_factory=list)
    connections: int = 0
    asked: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def __aenter__(self) -> Vendor:
        self.server = await asyncio.start_server(self._serve, "127.0.0.1", 0)
        self.port = self.server.sockets[0].getsockname()[1]
        self.url = f"http://127.0.0.1:{self.port}/v1"
        return self

    async def __aexit__(self, *error: object) -> None:
        self.server.close()

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.connections += 1
        try:
            while await self._one(reader, writer):
                pass
        except (ConnectionError, asyncio.IncompleteReadError, asyncio.CancelledError):
            pass  # the other side has gone, or the loop ends
        finally:
            writer.close()

    async def _one(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> bool:
        head = (await reader.readuntil(b"\r\n\r\n")).decode()
        lines = head.split("\r\n")
        headers = {
            name.lower(): value.strip() for name, _, value in (line.partition(":") for line in lines[1:] if line)
        }
        body = await reader.readexactly(int(headers.get("content-length", 0)))
        request = Seen(lines[0].split()[1], headers, json.loads(body) if body else {})
        self.seen.append(request)
        self.asked.set()
        gone = asyncio.ensure_future(reader.read(1))
        async for data in self.answer(request):
            if data == HANG_UP:
                writer.transport.abort()
                return False
            writer.write(data)
            await asyncio.sleep(0)
            if gone.done():
                self.hung_up.set()
                return False
        gone.cancel()
        await asyncio.gather(gone, return_exceptions=True)
        return True


def http(status: int, body: bytes | dict[str, Any], **headers: str) -> bytes:
    """A whole response."""
    data = body if isinstance(body, bytes) else json.dumps(body).encode()
    lines = [f"{name.replace('_', '-')}: {value}\r\n" for name, value in headers.items()]
    return b"HTTP/1.1 %d X\r\ncontent-type: application/json\r\ncontent-length: %d\r\n%s\r\n%s" % (
        status,
        len(data),
        "".join(lines).encode(),
        data,
    )


STREAM_HEAD = b"HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n\r\n"
STREAM_END = b"0\r\n\r\n"


def framed(data: bytes) -> bytes:
    """One HTTP chunk."""
    return b"%x\r\n%s\r\n" % (len(data), data)


def always(*parts: bytes) -> Answer:
    """The same bytes to every request."""

    async def answer(_: Seen) -> AsyncIterator[bytes]:
        for part in parts:
            yield part

    return answer


def completion(text: str, usage: dict[str, Any] | None = None) -> dict[str, Any]:
    """A vendor's plain answer."""
    choice = {"index": 0, "message": {"role": "assistant", "content": text}, "finish_reason": "stop"}
    found = {"id": "chatcmpl-up", "object": "chat.completion", "created": 1, "model": "up-1", "choices": [choice]}
    return found if usage is None else {**found, "usage": usage}


def events(
    deltas: list[dict[str, Any]],
    *,
    finish: str = "stop",
    usage: dict[str, Any] | None = None,
    index: int = 0,
    done: bool = True,
) -> list[bytes]:
    """A vendor's stream: one event for each delta, then finish, usage and [DONE]."""
    base = {"id": "chatcmpl-up", "object": "chat.completion.chunk", "created": 1, "model": "up-1"}

    def one(value: dict[str, Any]) -> bytes:
        return b"data: " + json.dumps({**base, **value}, ensure_ascii=False, separators=(",", ":")).encode() + b"\n\n"

    out = [one({"choices": [{"index": index, "delta": delta, "finish_reason": None}]}) for delta in deltas]
    out.append(one({"choices": [{"index": index, "delta": {}, "finish_reason": finish}]}))
    if usage is not None:
        out.append(one({"choices": [], "usage": usage}))
    return [*out, b"data: [DONE]\n\n"] if done else out


def target(url: str = "", model: str = "up-1", **changes: Any) -> Target:
    """A deployment; what is not about the provider or the target itself is an error."""
    provider = {
        "id": uuid4(),
        "name": "vendor",
        "kind": "openai_compatible",
        "base_url": url,
        "vendor": "",
        "region": "",
        "self_hosted": False,
        "credential": "sk-upstream-secret",
    }
    provider |= {name: changes.pop(name) for name in list(changes) if name in (*provider, "guarded")}
    found: dict[str, Any] = {
        "id": uuid4(),
        "name": model,
        "upstream_model": model,
        "capabilities": frozenset({"chat"}),
        "max_concurrency": 100,
        "timeout_s": 5.0,
        "first_token_timeout_s": 5.0,
        "max_output_tokens": None,
    }
    return Target(**{**found, **changes}, provider=ProviderView(**provider))


class Names:
    """A restorer for placeholders of the form [X]; holds everything from a `[` that is not closed."""

    ORIGINALS = {"[A]": 'Alice "Al" Roe', "[B]": "Bob\nBolt", "[C]": "Charlie 😀"}

    def __init__(self, escape: bool = False) -> None:
        self.escape, self.held = escape, ""

    def feed(self, text: str) -> str:
        text = self.held + text
        at = text.rfind("[")
        cut = at if at >= 0 and "]" not in text[at:] and len(text) - at < 3 else len(text)
        self.held = text[cut:]
        return self._put(text[:cut])

    def flush(self) -> str:
        held, self.held = self.held, ""
        return held

    def _put(self, text: str) -> str:
        for placeholder, original in self.ORIGINALS.items():
            written = json.dumps(original, ensure_ascii=False)[1:-1] if self.escape else original
            text = text.replace(placeholder, written)
        return text
