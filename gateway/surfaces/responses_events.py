"""The stream events of OpenAI's responses out of chunks in chat form.

    response.created, response.in_progress,
      (output_item.added, content_part.added, output_text.delta …, output_text.done, content_part.done, output_item.done
     | output_item.added, function_call_arguments.delta …, function_call_arguments.done, output_item.done) …,
    response.completed | response.incomplete | response.failed

Each event is numbered, and what was added in pieces is told once more as a whole. Nothing here restores or counts:
`gateway.streaming` has done both.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, ClassVar, Final

from gateway.data import Tokens
from gateway.errors import GatewayError
from gateway.streaming import Ending, Frame, dump, unescaped

from .responses_items import call_item, reasoning_item, text_item, text_part

#: Kinds of items: how their ids begin, and what their deltas are called.
_PREFIX: Final = {"output_text": "msg", "refusal": "msg", "reasoning_text": "rs", "function_call": "fc"}


class Item:
    """One item of the output while it is written."""

    __slots__ = ("call_id", "id", "index", "kind", "logprobs", "name", "open", "pieces")

    def __init__(self, kind: str, index: int, response: str) -> None:
        self.kind, self.index = kind, index
        self.id = f"{_PREFIX[kind]}_{response.removeprefix('resp_')}_{index}"
        self.pieces: list[str | bytes] = []
        self.logprobs: list[Any] = []
        self.call_id = self.name = ""
        self.open = True

    def text(self) -> str:
        """All of it so far."""
        return "".join(piece if isinstance(piece, str) else unescaped(piece) for piece in self.pieces)

    def value(self, status: str) -> dict[str, Any]:
        """The item as it stands in the output."""
        text = "" if status == "in_progress" else self.text()
        if self.kind == "function_call":
            return call_item(self.id, self.call_id, self.name, text, status)
        if self.kind == "reasoning_text":
            return reasoning_item(self.id, text, status)
        return text_item(self.id, text, status, kind=self.kind, logprobs=self.logprobs)


class ResponsesForm:
    """One stream. `skeleton`: the response before anything was said; `reasoning`: the client wants to see it."""

    ordered: ClassVar[bool] = True

    def __init__(self, skeleton: dict[str, Any], *, reasoning: bool = False) -> None:
        self.answer = skeleton  #: complete once the stream has ended
        self._reasoning = reasoning
        self._number = 0
        self._started = False
        self._items: list[Item] = []
        self._calls: dict[int, Item] = {}

    # -- as gateway.streaming wants it ------------------------------------------------------------------------------

    def texts(self, frame: Frame, parts: list[bytes]) -> bytes:
        """Pieces of text that came together, as one delta."""
        begun = b"".join(self._into("output_text"))
        item, piece = self._items[-1], b"".join(parts)
        item.pieces.append(piece)
        return (
            b'%sevent: response.output_text.delta\ndata: {"type":"response.output_text.delta","item_id":"%s",'
            b'"output_index":%d,"content_index":0,"delta":"%s","logprobs":[],"sequence_number":%d}\n\n'
        ) % (begun, item.id.encode(), item.index, piece, self._next())

    def chunk(self, value: dict[str, Any]) -> bytes:
        """One chunk; its finish waits for the end."""
        return b"".join([*self._start(), *self._chunk(value)])

    def end(self, last: list[dict[str, Any]], ending: Ending) -> bytes:
        """What is left, then the whole response."""
        out = [*self._start()]
        for value in last:
            out += self._chunk(value)
        status, why = ended_as(ending.finish)
        out += self._close(status)
        usage = usage_of(ending.tokens)
        if ending.cost is not None:
            usage["cost"] = ending.cost
        self.answer |= {"status": status, "incomplete_details": why, "usage": usage, "output": self._output(status)}
        if ending.citations is not None:
            self.answer["citations"] = list(ending.citations)
        if ending.stopped_by:
            self.answer["customhouse"] = {"stopped_by": ending.stopped_by}
        out.append(self._event(f"response.{status}", {"response": self.answer}))
        return b"".join(out)

    def broken(self, error: GatewayError) -> bytes:
        """What ends a stream that broke: the response, failed."""
        told = {"code": error.code, "message": str(error)}
        failed = {**self.answer, "status": "failed", "error": told, "output": self._output("incomplete")}
        return b"".join([*self._start(), self._event("response.failed", {"response": failed})])

    # -- items --------------------------------------------------------------------------------------------------------

    def _start(self) -> Iterator[bytes]:
        if self._started:
            return
        self._started = True
        for name in ("response.created", "response.in_progress"):
            yield self._event(name, {"response": self.answer})

    def _chunk(self, value: Mapping[str, Any]) -> Iterator[bytes]:
        for choice in value.get("choices") or ():
            if isinstance(choice, dict) and choice.get("index", 0) == 0 and isinstance(choice.get("delta"), dict):
                yield from self._delta(choice["delta"], (choice.get("logprobs") or {}).get("content") or [])

    def _delta(self, delta: Mapping[str, Any], logprobs: list[Any]) -> Iterator[bytes]:
        thought = delta.get("reasoning_content") or delta.get("reasoning")
        if self._reasoning and isinstance(thought, str) and thought:
            yield from self._piece("reasoning_text", thought)
        if isinstance(delta.get("content"), str) and delta["content"]:
            yield from self._piece("output_text", delta["content"], logprobs)
        if isinstance(delta.get("refusal"), str) and delta["refusal"]:
            yield from self._piece("refusal", delta["refusal"])
        for place, call in enumerate(delta.get("tool_calls") or ()):
            if isinstance(call, dict):
                yield from self._call(call.get("index", place), call)

    def _piece(self, kind: str, text: str, logprobs: list[Any] | None = None) -> Iterator[bytes]:
        yield from self._into(kind)
        item = self._items[-1]
        item.pieces.append(text)
        fields: dict[str, Any] = {**_place(item), "content_index": 0, "delta": text}
        if kind == "output_text":
            item.logprobs += logprobs or []
            fields["logprobs"] = logprobs or []
        yield self._event(f"response.{kind}.delta", fields)

    def _call(self, number: int, call: Mapping[str, Any]) -> Iterator[bytes]:
        function = call.get("function")
        function = function if isinstance(function, dict) else {}
        item = self._calls.get(number)
        if item is None:
            yield from self._close("completed")
            item = self._calls[number] = self._new("function_call")
            item.call_id, item.name = call.get("id") or f"call_{number}", function.get("name") or ""
            yield self._event("response.output_item.added", self._item(item, "in_progress"))
        if function.get("arguments"):
            item.pieces.append(function["arguments"])
            fields = {**_place(item), "delta": function["arguments"]}
            yield self._event("response.function_call_arguments.delta", fields)

    def _into(self, kind: str) -> Iterator[bytes]:
        """The events that make an item of this kind the open one."""
        if self._items and self._items[-1].open and self._items[-1].kind == kind:
            return
        yield from self._close("completed")
        item = self._new(kind)
        yield self._event("response.output_item.added", self._item(item, "in_progress"))
        part = {**_place(item), "content_index": 0, "part": _part(kind, "")}
        yield self._event("response.content_part.added", part)

    def _new(self, kind: str) -> Item:
        item = Item(kind, len(self._items), self.answer["id"])
        self._items.append(item)
        return item

    def _close(self, status: str) -> Iterator[bytes]:
        """The events that tell the open item once more as a whole."""
        if not self._items or not self._items[-1].open:
            return
        item = self._items[-1]
        item.open, text = False, item.text()
        if item.kind == "function_call":
            fields = {**_place(item), "name": item.name, "arguments": text}
            yield self._event("response.function_call_arguments.done", fields)
        else:
            name = "refusal" if item.kind == "refusal" else "text"
            more = {"logprobs": item.logprobs} if item.kind == "output_text" else {}
            done = {**_place(item), "content_index": 0, name: text, **more}
            yield self._event(f"response.{item.kind}.done", done)
            part = {**_place(item), "content_index": 0, "part": _part(item.kind, text, item.logprobs)}
            yield self._event("response.content_part.done", part)
        yield self._event("response.output_item.done", self._item(item, status))

    def _item(self, item: Item, status: str) -> dict[str, Any]:
        return {"output_index": item.index, "item": item.value(status)}

    def _output(self, status: str) -> list[dict[str, Any]]:
        """All items; the last one is as complete as the response."""
        last = len(self._items) - 1
        return [item.value(status if item.index == last else "completed") for item in self._items]

    def _event(self, name: str, fields: Mapping[str, Any]) -> bytes:
        return b"event: %s\n%s" % (name.encode(), dump({"type": name, **fields, "sequence_number": self._next()}))

    def _next(self) -> int:
        self._number += 1
        return self._number - 1


def ended_as(finish: str) -> tuple[str, dict[str, str] | None]:
    """A response's status, and why it is not complete."""
    if finish == "length":
        return "incomplete", {"reason": "max_output_tokens"}
    if finish == "content_filter":
        return "incomplete", {"reason": "content_filter"}
    return "completed", None


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """The usage object of a response."""
    into = tokens.input + tokens.cached_input + tokens.cache_write
    out = tokens.output + tokens.reasoning
    return {
        "input_tokens": into,
        "input_tokens_details": {"cached_tokens": tokens.cached_input, "cache_write_tokens": tokens.cache_write},
        "output_tokens": out,
        "output_tokens_details": {"reasoning_tokens": tokens.reasoning},
        "total_tokens": into + out,
    }


def _place(item: Item) -> dict[str, Any]:
    return {"item_id": item.id, "output_index": item.index}


def _part(kind: str, text: str, logprobs: Any = ()) -> dict[str, Any]:
    if kind == "reasoning_text":
        return {"type": "reasoning_text", "text": text}
    return text_part(text, kind, logprobs)
