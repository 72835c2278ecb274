"""A fake vendor in OpenAI's form, on loopback, whose inbox can be read. The model's name says what it does.

`echo` answers with the last user message, `invents` as well and with people of its own, `fixed` with a sentence, `tool`
with a call whose arguments hold the message, `json` with an object that holds it, `no-usage` does not count, `slow`
streams a word every 50 ms (200, or as many as it may), `error-500` and the like fail, `garbage` is no JSON, `hang`
answers too late, `reset` drops the connection of each request that it has not seen before; in the middle of a stream
`breaks` drops it, `garbles` sends what is no JSON, and `stalls` stops.
"""

from __future__ import annotations

import asyncio
import json
import threading
from collections import Counter
from typing import Any

from aiohttp import web

#: What `invents` says beside what it was told.
INVENTED = "Ask Carol Danvers (carol.danvers@rival.example) in Rotterdam, or call +44 20 7946 0018."


class _HungUp(Exception):
    """The vendor has dropped the connection."""


class Vendor:
    """`with Vendor() as vendor: vendor.url, vendor.inbox`."""

    def __init__(self) -> None:
        self.inbox: list[str] = []
        self.asked: Counter[str] = Counter()  #: calls by model
        self.hung_up = 0  #: clients that did, in the middle of a stream
        self._loop = asyncio.new_event_loop()
        self._thread = threading.Thread(target=self._loop.run_forever, daemon=True)

    def __enter__(self) -> Vendor:
        self._thread.start()
        self.url = asyncio.run_coroutine_threadsafe(self._start(), self._loop).result(10)
        return self

    def __exit__(self, *error: object) -> None:
        asyncio.run_coroutine_threadsafe(self._runner.cleanup(), self._loop).result(10)
        self._loop.call_soon_threadsafe(self._loop.stop)
        self._thread.join(10)

    async def _start(self) -> str:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        site = web.TCPSite(self._runner, "127.0.0.1", 0)
        await site.start()
        port = self._runner.addresses[0][1]
        return f"http://127.0.0.1:{port}/v1"

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        self.inbox.append(raw)
        body = json.loads(raw)
        name = body["model"]
        self.asked[name] += 1
        if name.startswith("error-"):
            failure = {"message": "no", "type": "server_error", "code": None}
            return web.json_response({"error": failure}, status=int(name[6:]))
        if name == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        if name == "hang":
            await asyncio.sleep(3)
        if name == "reset" and self.inbox.count(raw) == 1:
            _hang_up(request)
            return web.Response()
        text = "The gateway keeps its ledger." if name in ("fixed", "slow") else body["messages"][-1]["content"]
        if name == "invents":
            text = f"{text} {INVENTED}"
        if name == "json":
            text = json.dumps({"said": text})
        if body.get("stream"):
            return await self._stream(request, body, text)
        message: dict[str, Any] = {"role": "assistant", "content": text}
        if name == "tool":
            call = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"text": text})}
            message = {
                "role": "assistant",
                "content": None,
                "tool_calls": [{"id": "c1", "type": "function", "function": call}],
            }
        choices = [{"index": i, "message": message, "finish_reason": "stop"} for i in range(body.get("n") or 1)]
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": name, "choices": choices}
        if name != "no-usage":
            answer["usage"] = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
        return web.json_response(answer)

    async def _stream(self, request: web.Request, body: dict[str, Any], text: str) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        name = body["model"]
        text = json.dumps({"text": text}) if name == "tool" else text
        words = [text[i : i + 3] for i in range(0, len(text), 3)]
        if name == "slow":
            words = ["word "] * min(200, body.get("max_tokens") or 200)
        try:
            for number, word in enumerate(words):
                if number == len(words) // 2:
                    await _go_wrong(request, response)
                await response.write(_event(name, _part(body, number, word)))
                await asyncio.sleep(0.05 if name == "slow" else 0)
            await response.write(_event(name, {}, "stop"))
            if name != "no-usage":
                usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                await response.write(_data({"id": "x", "model": name, "choices": [], "usage": usage}))
            await response.write(b"data: [DONE]\n\n")
        except _HungUp:
            pass
        except ConnectionError:
            self.hung_up += 1
        return response

    async def _embed(self, request: web.Request) -> web.Response:
        raw = await request.text()
        self.inbox.append(raw)
        given = json.loads(raw)["input"]
        rows = [given] if isinstance(given, str) else given
        data = [{"object": "embedding", "index": i, "embedding": [0.5, -0.5]} for i in range(len(rows))]
        return web.json_response(
            {"object": "list", "data": data, "model": "e", "usage": {"prompt_tokens": 7, "total_tokens": 7}}
        )


async def _go_wrong(request: web.Request, response: web.StreamResponse) -> None:
    """What some models do in the middle of a stream."""
    name = json.loads(await request.text())["model"]
    if name in ("breaks", "garbles"):
        await asyncio.sleep(0.1)  # what was said before is on its way
    if name == "breaks":
        _hang_up(request)
        raise _HungUp
    if name == "garbles":
        await response.write(b"data: <html>\n\n")
    if name == "stalls":
        await asyncio.sleep(3)


def _hang_up(request: web.Request) -> None:
    assert request.transport is not None
    request.transport.abort()


def _part(body: dict[str, Any], number: int, word: str) -> dict[str, Any]:
    """What one event of a stream adds: to the text, or to the arguments of the one tool call."""
    if body["model"] != "tool":
        return {"content": word}
    begun = {"id": "c1", "type": "function"} if number == 0 else {}
    name = {"name": body["tools"][0]["function"]["name"]} if number == 0 else {}
    return {"tool_calls": [{"index": 0, **begun, "function": {**name, "arguments": word}}]}


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _data({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]})


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
