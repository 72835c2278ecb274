"""Server-sent events without any I/O: bytes as they arrive become blocks of whole events; chunks become bytes."""

from __future__ import annotations

import time
from typing import Any, Final

import orjson

from gateway.errors import GatewayError, UpstreamError, UpstreamRateLimited

DONE: Final = b"data: [DONE]\n\n"

#: More than this in one answer is no answer.
MOST_BYTES: Final = 64 << 20
#: How much of a vendor's message is passed on.
MOST_MESSAGE: Final = 500


class EventReader:
    """Cuts an upstream's bytes, however they are split, into blocks of whole events `data: …\\n\\n`.

    Comments, event names and CRLF are taken out. What cannot be an answer is an UpstreamError: the first event is
    read before anything of it is passed on.
    """

    __slots__ = ("_pending", "_started", "_taken", "done", "error")

    def __init__(self) -> None:
        self._pending = b""
        self._started = False
        self._taken = 0
        self.done = False  #: `[DONE]` has been seen
        self.error: GatewayError | None = None  #: the upstream reported an error, after the block just returned

    def feed(self, data: bytes) -> bytes:
        """The events that are whole by now; b"" when there is none. Raises UpstreamError."""
        self._taken += len(data)
        if self._taken > MOST_BYTES:
            raise UpstreamError("The model's answer is larger than the gateway accepts.")
        if self._pending:
            data = self._pending + data
        if b"\r" in data:
            data = _unix(data)
        end = data.rfind(b"\n\n") + 2
        if end == 1:
            self._pending = data
            return b""
        block, self._pending = data[:end], data[end:]
        if not block.startswith(b"data: ") or block.count(b"\n") != 2 * block.count(b"\n\ndata: ") + 2:
            block = _canonical(block)
        return self._checked(block) if block else b""

    def end(self) -> bytes:
        """The upstream has closed: a `[DONE]` whose blank line is missing counts. Raises UpstreamError otherwise."""
        if self._pending.strip() != DONE.strip() or not self._started:
            raise UpstreamError("The model's answer ended before it was complete.")
        self.done = True
        return DONE

    def _checked(self, block: bytes) -> bytes:
        before = block.rfind(b"\n\n", 0, -2)
        last = block if before < 0 else block[before + 2 :]
        if last == DONE:
            self.done = True
        elif b'"error"' in last:
            self.error = _error_of(last[6:])
        if self.error is not None:
            block = block[: -len(last)]
            if not block and not self._started:
                raise self.error
        if not self._started and block:
            self._started = True
            _check_first(block)
        return block


def reported_error(error: Any) -> GatewayError:
    """The error that a vendor reports in the middle of an answer, as one of ours."""
    found = error if isinstance(error, dict) else {"message": error}
    message = str(found.get("message") or "the vendor gave no reason")[:MOST_MESSAGE]
    kinds = {str(found.get("type")), str(found.get("code"))}
    if kinds & {"rate_limit_error", "rate_limit_exceeded", "429"}:
        return UpstreamRateLimited(f"The model's vendor limits its rate: {message}")
    return UpstreamError(f"The model's vendor broke off: {message}")


class ChunkWriter:
    """Makes the events of one streamed answer, for the providers that write them in process."""

    __slots__ = ("_base",)

    def __init__(self, model: str, id: str = "chatcmpl-local") -> None:
        self._base = {"id": id, "object": "chat.completion.chunk", "created": int(time.time()), "model": model}

    def delta(self, delta: dict[str, Any], finish: str | None = None, index: int = 0) -> bytes:
        """An event with one choice."""
        return event({**self._base, "choices": [{"index": index, "delta": delta, "finish_reason": finish}]})

    def usage(self, usage: dict[str, Any]) -> bytes:
        """The event that reports the usage."""
        return event({**self._base, "choices": [], "usage": usage})


def event(value: Any) -> bytes:
    """One server-sent event."""
    return b"data: " + orjson.dumps(value) + b"\n\n"


def _unix(data: bytes) -> bytes:
    """Line ends as `\\n`; a `\\r` at the end waits for what follows it."""
    kept = data.endswith(b"\r")
    data = data[:-1] if kept else data
    data = data.replace(b"\r\n", b"\n").replace(b"\r", b"\n")
    return data + b"\r" if kept else data


def _canonical(block: bytes) -> bytes:
    """The same events, each as one line of data."""
    out = []
    for part in block.removeprefix(b"\xef\xbb\xbf").split(b"\n\n"):
        lines = [line[5:].removeprefix(b" ") for line in part.split(b"\n") if line.startswith(b"data:")]
        data = b" ".join(lines).strip()
        if data:
            out.append(b"data: " + data + b"\n\n")
        if data == b"[DONE]":
            break
    return b"".join(out)


def _check_first(block: bytes) -> None:
    data = block[6 : block.index(b"\n\n")]
    if data == b"[DONE]":
        raise UpstreamError("The model's answer is empty.")
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise UpstreamError("The model's answer is not valid JSON.") from None
    if not isinstance(value, dict) or not isinstance(value.get("choices"), list):
        raise UpstreamError("The model's answer is not a chat completion.")


def _error_of(data: bytes) -> GatewayError | None:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        return None
    error = value.get("error") if isinstance(value, dict) else None
    return reported_error(error) if error else None
