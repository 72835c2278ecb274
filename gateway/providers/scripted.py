"""A model that does what its name says, in process: for tests, the demo and benchmarks.

The upstream model's name chooses, with options after `@`: `echo`, `fixed@n=100,delay=0.01`, `echo@split=1`.

  echo       the text of the last user message          fixed      a fixed text of n words
  json-echo  {"echo": <that text>}                      tool-echo  a tool call whose arguments hold that text
  no-usage   as echo, without reporting usage           slow       as fixed, first byte after `wait` seconds (2)
  error400 error401 error429 error500 error503          flaky      error500 on every second call, else fixed
  break-mid-stream  half an answer, then an error       hang       never answers

Options: n (words), delay (s between pieces), wait (s before the first), split (characters a piece).
"""

from __future__ import annotations

import asyncio
import hashlib
import json
from collections.abc import AsyncGenerator, Mapping
from typing import Any, Final

from gateway.data import Reply, Target
from gateway.errors import (
    GatewayError,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)
from gateway.prompts import question_of

from .local import Script, completion, events, usage
from .tokens import reported, reported_embedding, simple_count

_TEXT: Final = "The customs house inspects every cargo and checks the papers before it levies the duty ."
WORDS: Final = tuple(_TEXT.split())
DIMENSIONS: Final = 8


class ScriptedProvider:
    """A Provider without a network; deterministic, except that `flaky` counts its calls."""

    def __init__(self) -> None:
        self._calls = 0

    async def chat(self, target: Target, body: dict[str, Any]) -> Reply:
        """A plain chat completion."""
        name, options = read_name(target.upstream_model)
        await self._begin(target, name, options)
        script = _script(name, options, body, words=20)
        if name == "break-mid-stream":
            raise UpstreamError("The connection to the model broke in the middle of its answer.")
        counted = None if name == "no-usage" else _usage(body, script)
        return Reply(completion(target.upstream_model, script, _choices(body), counted), reported(counted))

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """A streamed chat completion: in one block, or piece by piece where there is a delay."""
        name, options = read_name(target.upstream_model)
        await self._begin(target, name, options)
        script = _script(name, options, body, words=100)
        counted = None if name == "no-usage" else _usage(body, script)
        parts = list(events(target.upstream_model, script, _choices(body), counted))
        if name == "break-mid-stream":
            yield b"".join(parts[: 1 + len(script.pieces) // 2])
            raise UpstreamError("The connection to the model broke in the middle of its answer.")
        delay = _number(options, "delay", 0)
        if not delay:
            yield b"".join(parts)
            return
        for part in parts:
            yield part
            await asyncio.sleep(delay)

    async def embed(self, target: Target, body: dict[str, Any]) -> Reply:
        """Vectors that depend on the text alone."""
        name, options = read_name(target.upstream_model)
        await self._begin(target, name, options)
        texts = [body["input"]] if isinstance(body["input"], str) else body["input"]
        size = int(body.get("dimensions") or _number(options, "dim", DIMENSIONS))
        rows = [
            {"object": "embedding", "index": index, "embedding": _vector(text, size)}
            for index, text in enumerate(texts)
        ]
        tokens = sum(map(simple_count, texts))
        counted = {"prompt_tokens": tokens, "total_tokens": tokens}
        answer = {"object": "list", "data": rows, "model": target.upstream_model, "usage": counted}
        return Reply(answer, reported_embedding(counted))

    async def rerank(self, target: Target, body: dict[str, Any]) -> Reply:
        """Scores that depend on the text alone."""
        name, options = read_name(target.upstream_model)
        await self._begin(target, name, options)
        rows = [
            {"index": index, "relevance_score": _vector(text, 1)[0] + 0.5}
            for index, text in enumerate(body["documents"])
        ]
        return Reply({"results": rows}, None)

    async def close(self) -> None:
        """Nothing is open."""

    async def _begin(self, target: Target, name: str, options: Mapping[str, str]) -> None:
        """Waits and fails as the name says."""
        self._calls += 1
        if name == "hang":
            await asyncio.sleep(target.first_token_timeout_s)
            raise UpstreamTimeout("The model did not answer in time.")
        wait = _number(options, "wait", 2 if name == "slow" else 0)
        if wait:
            await asyncio.sleep(min(wait, target.first_token_timeout_s))
        if wait > target.first_token_timeout_s:
            raise UpstreamTimeout("The model did not answer in time.")
        if name == "flaky" and self._calls % 2 == 0:
            name = "error500"
        error = _error(name)
        if error is not None:
            raise error


def read_name(model: str) -> tuple[str, dict[str, str]]:
    """`echo@split=1,delay=0.01` -> ("echo", {"split": "1", "delay": "0.01"}); a prefix before `/` is dropped."""
    name, _, rest = model.rpartition("/")[2].partition("@")
    pairs = (part.partition("=") for part in rest.split(",") if part)
    return name, {key: value for key, _, value in pairs}


def _script(name: str, options: Mapping[str, str], body: Mapping[str, Any], words: int) -> Script:
    if name in ("fixed", "slow", "flaky"):
        number = int(_number(options, "n", words))
        return Script([(" " if at else "") + WORDS[at % len(WORDS)] for at in range(number)])
    text = question_of(body["messages"])
    if name == "json-echo":
        text = json.dumps({"echo": text}, ensure_ascii=False)
    if name == "tool-echo":
        arguments = json.dumps({"text": text}, ensure_ascii=False)
        return Script(_pieces(arguments, options), _tool(body), "tool_calls")
    return Script(_pieces(text, options))


def _pieces(text: str, options: Mapping[str, str]) -> list[str]:
    size = max(1, int(_number(options, "split", 8)))
    return [text[at : at + size] for at in range(0, len(text), size)]


def _tool(body: Mapping[str, Any]) -> str:
    for tool in body.get("tools") or ():
        if isinstance(tool, dict) and isinstance(tool.get("function"), dict):
            return str(tool["function"].get("name") or "note")
    return "note"


def _choices(body: Mapping[str, Any]) -> int:
    return int(body.get("n") or 1)


def _usage(body: Mapping[str, Any], script: Script) -> dict[str, int]:
    prompt = sum(simple_count(json.dumps(message, ensure_ascii=False)) for message in body["messages"])
    return usage(prompt, simple_count(script.text) * _choices(body))


def _error(name: str) -> GatewayError | None:
    if name == "error400":
        return UpstreamRejected("The model's vendor refused the request (400): as its name says")
    if name == "error401":
        return UpstreamUnauthorized("The model's vendor refused the gateway's credential (401).")
    if name == "error429":
        return UpstreamRateLimited("The model's vendor limits its rate.", retry_after=1.0)
    if name in ("error500", "error503"):
        return UpstreamError(f"The model's vendor answered {name[5:]}.")
    return None


def _vector(text: str, size: int) -> list[float]:
    digest = hashlib.sha256(text.encode("utf-8", "surrogatepass")).digest()
    return [digest[at % len(digest)] / 255 - 0.5 for at in range(size)]


def _number(options: Mapping[str, str], name: str, default: float) -> float:
    try:
        return float(options[name])
    except (KeyError, ValueError):
        return default
