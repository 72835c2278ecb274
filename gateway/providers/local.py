"""What the providers that answer in process have in common: from a text to a completion or to its events."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

from .events import DONE, ChunkWriter

LOCAL_ID = "chatcmpl-local"


@dataclass(frozen=True, slots=True)
class Script:
    """An answer before it is written: the pieces of its text, or a call of a tool with the pieces of its arguments."""

    pieces: Sequence[str]
    tool: str | None = None
    finish: str = "stop"

    @property
    def text(self) -> str:
        return "".join(self.pieces)


def usage(prompt: int, completion: int) -> dict[str, int]:
    """OpenAI's usage object."""
    return {"prompt_tokens": prompt, "completion_tokens": completion, "total_tokens": prompt + completion}


def completion(model: str, script: Script, choices: int, counted: Mapping[str, int] | None) -> dict[str, Any]:
    """A plain chat completion."""
    if script.tool is None:
        message: dict[str, Any] = {"role": "assistant", "content": script.text}
    else:
        function = {"name": script.tool, "arguments": script.text}
        message = {
            "role": "assistant",
            "content": None,
            "tool_calls": [{"id": "call_1", "type": "function", "function": function}],
        }
    body = {
        "id": LOCAL_ID,
        "object": "chat.completion",
        "created": int(time.time()),
        "model": model,
        "choices": [{"index": index, "message": message, "finish_reason": script.finish} for index in range(choices)],
    }
    if counted is not None:
        body["usage"] = dict(counted)
    return body


def events(model: str, script: Script, choices: int, counted: Mapping[str, int] | None) -> Iterator[bytes]:
    """The events of a streamed completion, one by one."""
    writer = ChunkWriter(model, LOCAL_ID)
    for index in range(choices):
        yield writer.delta({"role": "assistant", "content": None if script.tool else ""}, index=index)
        if script.tool is not None:
            opening = {
                "index": 0,
                "id": "call_1",
                "type": "function",
                "function": {"name": script.tool, "arguments": ""},
            }
            yield writer.delta({"tool_calls": [opening]}, index=index)
        for piece in script.pieces:
            delta = {"content": piece} if script.tool is None else _argument(piece)
            yield writer.delta(delta, index=index)
        yield writer.delta({}, script.finish, index)
    if counted is not None:
        yield writer.usage(dict(counted))
    yield DONE


def _argument(piece: str) -> dict[str, Any]:
    return {"tool_calls": [{"index": 0, "function": {"arguments": piece}}]}
