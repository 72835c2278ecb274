"""A fake vendor in OpenAI's form, on loopback, whose inbox can be read. The model's name says what it does.

`echo` answers with the last user message, `fixed` with a sentence, `tool` with a call whose arguments hold the message,
`no-usage` does not count, `slow` streams a word every 50 ms, `error-500` and the like fail, `garbage` is no JSON, and
`breaks` drops the connection in the middle of its answer.
"""

from __future__ import annotations

import asyncio
import json
import threading
from typing import Any

from aiohttp import web


class Vendor:
    """`with Vendor() as vendor: vendor.url, vendor.inbox`."""

    def __init__(self) -> None:
        self.inbox: list[str] = []
        self.hung_up = 0
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
        if name.startswith("error-"):
            failure = {"message": "no", "type": "server_error", "code": None}
            return web.json_response({"error": failure}, status=int(name[6:]))
        if name == "garbage":
            return web.Response(text="<html>", content_type="text/html")
        text = "The gateway keeps its ledger." if name in ("fixed", "slow") else body["messages"][-1]["content"]
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
        words = ["word "] * 200 if name == "slow" else [text[i : i + 3] for i in range(0, len(text), 3)]
        try:
            for number, word in enumerate(words):
                if name == "breaks" and number == len(words) // 2:
                    assert request.transport is not None
                    request.transport.abort()
                    return response
                await response.write(_event(name, {"content": word}))
                await asyncio.sleep(0.05 if name == "slow" else 0)
            await response.write(_event(name, {}, "stop"))
            if name != "no-usage":
                usage = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}
                await response.write(_data({"id": "x", "model": name, "choices": [], "usage": usage}))
            await response.write(b"data: [DONE]\n\n")
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


def _event(model: str, delta: dict[str, Any], finish: str | None = None) -> bytes:
    choice = {"index": 0, "delta": delta, "finish_reason": finish}
    return _data({"id": "x", "object": "chat.completion.chunk", "created": 1, "model": model, "choices": [choice]})


def _data(value: dict[str, Any]) -> bytes:
    return b"data: " + json.dumps(value).encode() + b"\n\n"
