"""POST /v1/completions: the older form of OpenAI's, answered by chat models: the prompt is the user's message."""

from __future__ import annotations

import time
from collections.abc import Mapping, Sequence
from typing import Any, ClassVar, Final
from uuid import UUID

import orjson

from gateway.data import Call, Tokens
from gateway.errors import GatewayError, InvalidRequest
from gateway.providers.base import INTERNAL
from gateway.providers.events import DONE
from gateway.streaming import Ending, Frame, dump

from . import openai_chat
from .reading import is_whole, read_object, refuse
from .search import retrieval

#: Fields that no chat model knows, with the values that ask for nothing.
_IDLE: Final[Mapping[str, Any]] = {"suffix": (None, ""), "best_of": (None, 1), "logprobs": (None,)}
_TRANSLATED: Final = frozenset({"prompt", "echo", "retrieval", *_IDLE})


def parse(raw: bytes, request_id: UUID, *, client_ip: str = "", traceparent: str = "") -> Call:
    """The call in a request body. Raises InvalidRequest, which names the field."""
    body = read_object(raw)
    model = body.get("model")
    if not isinstance(model, str) or not model:
        raise refuse("model", "the name of a model")
    for name in (INTERNAL | {"messages", "tools"}) & body.keys():
        raise InvalidRequest(f"{name} is not a field of this form.", param=name)
    for name, idle in _IDLE.items():
        if body.get(name) not in idle:
            raise InvalidRequest(f"{name} is not supported by chat models.", param=name)
    if not isinstance(body.get("echo"), bool | None):
        raise refuse("echo", "true or false")
    made = {name: value for name, value in body.items() if name not in _TRANSLATED}
    made["messages"] = [{"role": "user", "content": _prompt(body.get("prompt"))}]
    openai_chat.check_fields(made)
    asked, options = body.get("retrieval"), body.get("stream_options") or {}
    return Call(
        id=request_id,
        kind="chat",
        dialect="completions",
        model=model,
        body=made,
        stream=bool(made.get("stream")),
        include_usage=options.get("include_usage") is True,
        retrieval=None if asked is None else retrieval(asked, "retrieval."),
        client_ip=client_ip,
        traceparent=traceparent,
        asked=body,
    )


def plain(
    call: Call,
    body: Mapping[str, Any],
    citations: Sequence[Mapping[str, Any]] | None = None,
    tokens: Tokens | None = None,
) -> dict[str, Any]:
    """A whole answer as the client sees it; citations stand beside the choices."""
    head = _echoed(call)
    answer = {**_base(call), "choices": [_choice(choice, head) for choice in body.get("choices") or ()]}
    if body.get("usage") is not None:
        answer["usage"] = body["usage"]
    if citations is not None:
        answer["citations"] = list(citations)
    return answer


def form(call: Call) -> CompletionsForm:
    """How this call's stream is written."""
    return CompletionsForm(_base(call), _echoed(call), include_usage=call.include_usage)


class CompletionsForm:
    """A stream of texts. `echo`: what stands before each choice."""

    ordered: ClassVar[bool] = False

    def __init__(self, base: dict[str, Any], echo: str = "", *, include_usage: bool = False) -> None:
        self._base, self._echo, self._include_usage = base, echo, include_usage
        self._begun: set[int] = set()
        self._head = orjson.dumps({**base, "choices": []})[:-2]

    def texts(self, frame: Frame, parts: list[bytes]) -> bytes:
        """Pieces of text that came together, as one."""
        choice = b'{"text":"%s","index":%d,"logprobs":null,"finish_reason":null}]}'
        return b"data: " + self._head + choice % (b"".join(parts), frame.choice) + b"\n\n"

    def chunk(self, value: dict[str, Any]) -> bytes:
        """One chunk; what has no text is nothing here."""
        return b"".join(map(dump, self._values(value)))

    def end(self, last: list[dict[str, Any]], ending: Ending) -> bytes:
        """The finish of each choice, the usage where it was asked, and `[DONE]`."""
        out = [value for chunk in last for value in self._values(chunk)]
        if ending.stopped_by and out:
            out[-1]["customhouse"] = {"stopped_by": ending.stopped_by}
        if self._include_usage:
            cost = {} if ending.cost is None else {"cost": ending.cost}
            out.append({**self._base, "choices": [], "usage": {**ending.usage, **cost}})
        if ending.citations is not None:
            if not out:
                out.append({**self._base, "choices": []})
            out[-1]["citations"] = list(ending.citations)
        return b"".join([*map(dump, out), DONE])

    def broken(self, error: GatewayError) -> bytes:
        return error.event()

    def _values(self, value: Mapping[str, Any]) -> list[dict[str, Any]]:
        choices = []
        for choice in value.get("choices") or ():
            index, finish = choice.get("index", 0), choice.get("finish_reason")
            text = (choice.get("delta") or {}).get("content") or ""
            if self._echo and index not in self._begun:
                text = self._echo + text
            self._begun.add(index)
            if text or finish:
                choices.append({"text": text, "index": index, "logprobs": None, "finish_reason": finish})
        return [{**self._base, "choices": choices}] if choices else []


def _prompt(value: Any) -> str:
    """One prompt; several, or tokens, are refused."""
    if isinstance(value, list) and len(value) == 1:
        value = value[0]
    if not isinstance(value, str) or not value:
        raise refuse("prompt", "a string that is not empty, or a list with one: send one prompt a call")
    return value


def _echoed(call: Call) -> str:
    prompt: str = call.body["messages"][-1]["content"]
    return prompt if call.asked.get("echo") else ""


def _base(call: Call) -> dict[str, Any]:
    return {
        "id": f"cmpl-{call.id.hex}",
        "object": "text_completion",
        "created": int(time.time()),
        "model": call.model,
    }


def _choice(choice: Mapping[str, Any], head: str) -> dict[str, Any]:
    text = (choice.get("message") or {}).get("content")
    index = choice.get("index", 0)
    return {
        "text": head + (text if isinstance(text, str) else ""),
        "index": index if is_whole(index) else 0,
        "logprobs": None,
        "finish_reason": choice.get("finish_reason"),
    }
