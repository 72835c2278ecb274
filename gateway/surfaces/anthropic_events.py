"""Anthropic's stream events out of chunks in OpenAI's form.

    message_start, ping, (content_block_start, content_block_delta …, content_block_stop) …, message_delta, message_stop

Blocks stand one after the other. Nothing here restores or counts: `gateway.streaming` has done both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from gateway.data import Tokens
from gateway.errors import GatewayError
from gateway.streaming import Ending, Frame, dump

#: What OpenAI's finish reasons are called.
REASONS: Final = {
    "stop": "end_turn",
    "length": "max_tokens",
    "tool_calls": "tool_use",
    "function_call": "tool_use",
    "content_filter": "refusal",
}

#: An error's type by its status, where the code does not say more.
TYPES: Final = {
    400: "invalid_request_error",
    401: "authentication_error",
    403: "permission_error",
    404: "not_found_error",
    405: "invalid_request_error",
    413: "request_too_large",
    429: "rate_limit_error",
    503: "overloaded_error",
    504: "timeout_error",
}


class MessagesForm:
    """One stream. `thinking`: the client wants to see it; `stops`: the stop sequences that it asked for."""

    ordered: ClassVar[bool] = True

    def __init__(self, id: str, model: str, *, thinking: bool = False, stops: tuple[str, ...] = ()) -> None:
        self._id, self._model, self._thinking, self._stops = id, model, thinking, stops
        self._started = False
        self._open: tuple[str, int] | None = None  #: the kind of the open block, and which call for a tool's
        self._index = -1  #: of the open block, or of the last one
        self._places: dict[int, int] = {}  #: tool call -> block
        self._refused = False
        self._stop: Any = None  #: what some vendors say stopped the model

    # -- as gateway.streaming wants it ------------------------------------------------------------------------------

    def texts(self, frame: Frame, parts: list[bytes]) -> bytes:
        """Pieces of text that came together, as one delta."""
        begun = b"".join(self._into("text"))
        head = b'event: content_block_delta\ndata: {"type":"content_block_delta","index":%d,' % self._index
        return begun + head + b'"delta":{"type":"text_delta","text":"' + b"".join(parts) + b'"}}\n\n'

    def chunk(self, value: dict[str, Any]) -> bytes:
        """One chunk; its finish waits for the end."""
        return b"".join([*self._start(), *self._chunk(value)])

    def end(self, last: list[dict[str, Any]], ending: Ending) -> bytes:
        """What is left, then why the model stopped and what it cost."""
        out = [*self._start()]
        for value in last:
            out += self._chunk(value)
        out += self._close()
        reason, sequence = stop_reason(ending.finish, self._stop, self._stops)
        if self._refused:
            reason = "refusal"
        elif reason == "end_turn" and self._places:
            reason = "tool_use"  # some vendors end a tool call with `stop`
        usage: dict[str, Any] = usage_of(ending.tokens)
        if ending.cost is not None:
            usage["cost"] = ending.cost
        delta = {"stop_reason": reason, "stop_sequence": sequence}
        event: dict[str, Any] = {"type": "message_delta", "delta": delta, "usage": usage}
        if ending.stopped_by:
            event["customhouse"] = {"stopped_by": ending.stopped_by}
        if ending.citations is not None:
            event["citations"] = list(ending.citations)
        return b"".join([*out, _event(event), _event({"type": "message_stop"})])

    def broken(self, error: GatewayError) -> bytes:
        """The event that ends a stream which broke."""
        return _event({"type": "error", "error": error_of(error)})

    # -- blocks -----------------------------------------------------------------------------------------------------

    def _start(self) -> Iterator[bytes]:
        if self._started:
            return
        self._started = True
        message: dict[str, Any] = {
            "id": self._id,
            "type": "message",
            "role": "assistant",
            "model": self._model,
            "content": [],
            "stop_reason": None,
            "stop_sequence": None,
            "usage": usage_of(Tokens()),  # not known before the end: `message_delta` tells
        }
        yield _event({"type": "message_start", "message": message})
        yield _event({"type": "ping"})

    def _chunk(self, value: Mapping[str, Any]) -> Iterator[bytes]:
        for choice in value.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0:
                self._stop = choice.get("stop_reason", self._stop)
                if isinstance(choice.get("delta"), dict):
                    yield from self._delta(choice["delta"])

    def _delta(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        if self._thinking:
            yield from self._thought(delta)
        for name in ("content", "refusal"):
            text = delta.get(name)
            if isinstance(text, str) and text:
                self._refused = self._refused or name == "refusal"
                yield from self._into("text")
                yield self._piece({"type": "text_delta", "text": text})
        for place, call in enumerate(delta.get("tool_calls") or ()):
            if isinstance(call, dict):
                yield from self._tool(call.get("index", place), call)

    def _thought(self, delta: Mapping[str, Any]) -> Iterator[bytes]:
        text = delta.get("reasoning_content") or delta.get("reasoning")
        if isinstance(text, str) and text:
            yield from self._into("thinking")
            yield self._piece({"type": "thinking_delta", "thinking": text})
        for block in delta.get("thinking_blocks") or ():
            if not isinstance(block, dict):
                continue
            if block.get("type") == "redacted_thinking":
                yield from self._close()
                yield from self._begin("redacted_thinking", -1, {"data": block.get("data") or ""})
            elif block.get("signature"):
                yield from self._into("thinking")
                yield self._piece({"type": "signature_delta", "signature": block["signature"]})

    def _tool(self, number: int, call: Mapping[str, Any]) -> Iterator[bytes]:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        if number not in self._places:
            yield from self._close()
            named: dict[str, Any] = {
                "id": call.get("id") or f"call_{number}",
                "name": function.get("name") or "",
                "input": {},
            }
            yield from self._begin("tool_use", number, named)
            self._places[number] = self._index
        if function.get("arguments"):
            piece = {"type": "input_json_delta", "partial_json": function["arguments"]}
            yield self._piece(piece, self._places[number])

    def _into(self, kind: str) -> Iterator[bytes]:
        """The events that make a block of this kind the open one."""
        if self._open == (kind, -1):
            return
        yield from self._close()
        empty = {"text": ""} if kind == "text" else {"thinking": "", "signature": ""}
        yield from self._begin(kind, -1, empty)

    def _begin(self, kind: str, number: int, fields: Mapping[str, Any]) -> Iterator[bytes]:
        self._index += 1
        self._open = kind, number
        yield _event({"type": "content_block_start", "index": self._index, "content_block": {"type": kind, **fields}})

    def _close(self) -> Iterator[bytes]:
        if self._open is not None:
            self._open = None
            yield _event({"type": "content_block_stop", "index": self._index})

    def _piece(self, delta: Mapping[str, Any], index: int | None = None) -> bytes:
        at = self._index if index is None else index
        return _event({"type": "content_block_delta", "index": at, "delta": delta})


def error_of(error: GatewayError) -> dict[str, Any]:
    """What went wrong, with Anthropic's type for it; our code and the field stand beside."""
    kind = "billing_error" if error.code == "insufficient_quota" else TYPES.get(error.status, "api_error")
    return {"type": kind, "message": str(error), "code": error.code, "param": error.param}


def stop_reason(finish: str, said: Any, asked: tuple[str, ...]) -> tuple[str, str | None]:
    """Why the model stopped, and at which sequence: that is known where the vendor says it."""
    if finish == "stop" and isinstance(said, str) and said in asked:
        return "stop_sequence", said
    return REASONS.get(finish, "end_turn"), None


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """Anthropic's usage object: what was cached is not counted as input."""
    return {
        "input_tokens": tokens.input,
        "cache_creation_input_tokens": tokens.cache_write,
        "cache_read_input_tokens": tokens.cached_input,
        "output_tokens": tokens.output + tokens.reasoning,
    }


def _event(value: dict[str, Any]) -> bytes:
    return b"event: %s\n%s" % (value["type"].encode(), dump(value))
