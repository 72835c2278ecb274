"""The fake vendor with more to say. The model's name says what it does:

`both` answers with the last message and then with a call of a tool that holds it, `thinks` with the message as its
reasoning and then as its answer, `fields` with all that was asked besides; and texts can be ranked, the shortest first.
"""

from __future__ import annotations

import json
from typing import Any

from aiohttp import web

from tests.vendor import Vendor

USAGE = {"prompt_tokens": 100, "completion_tokens": 10, "total_tokens": 110}


class Speaker(Vendor):
    """`with Speaker() as vendor: vendor.url, vendor.inbox`."""

    async def _start(self) -> str:
        app = web.Application(client_max_size=1 << 26)
        app.router.add_post("/v1/chat/completions", self._chat)
        app.router.add_post("/v1/embeddings", self._embed)
        app.router.add_post("/v1/rerank", self._rerank)
        self._runner = web.AppRunner(app)
        await self._runner.setup()
        await web.TCPSite(self._runner, "127.0.0.1", 0).start()
        return f"http://127.0.0.1:{self._runner.addresses[0][1]}/v1"

    async def _chat(self, request: web.Request) -> web.StreamResponse:
        raw = await request.text()
        body = json.loads(raw)
        if body["model"] not in ("both", "thinks", "fields"):
            return await super()._chat(request)
        self.inbox.append(raw)
        if body.get("stream"):
            return await self._say(request, body)
        choice = {"index": 0, "message": _message(body), "finish_reason": "stop"}
        if body["model"] == "fields":
            token = {"token": "a", "logprob": -0.1, "bytes": [97], "top_logprobs": []}
            choice["logprobs"] = {"content": [token]}
        answer = {"id": "x", "object": "chat.completion", "created": 1, "model": body["model"], "choices": [choice]}
        return web.json_response({**answer, "usage": USAGE, "service_tier": "default"})

    async def _say(self, request: web.Request, body: dict[str, Any]) -> web.StreamResponse:
        response = web.StreamResponse(headers={"content-type": "text/event-stream"})
        await response.prepare(request)
        for delta in _deltas(body):
            await response.write(_event({"choices": [{"index": 0, "delta": delta, "finish_reason": None}]}))
        await response.write(_event({"choices": [{"index": 0, "delta": {}, "finish_reason": "stop"}]}))
        await response.write(_event({"choices": [], "usage": USAGE}) + b"data: [DONE]\n\n")
        return response

    async def _rerank(self, request: web.Request) -> web.Response:
        raw = await request.text()
        self.inbox.append(raw)
        documents = json.loads(raw)["documents"]
        rows = [{"index": i, "relevance_score": 1 / (1 + len(text))} for i, text in enumerate(documents)]
        return web.json_response({"id": "x", "results": rows})


def _message(body: dict[str, Any]) -> dict[str, Any]:
    text = body["messages"][-1]["content"]
    if body["model"] == "fields":
        asked = {key: body[key] for key in body.keys() - {"messages", "model", "stream"}}
        return {"role": "assistant", "content": json.dumps(asked)}
    message = {"role": "assistant", "content": text}
    if body["model"] == "thinks":
        return {**message, "reasoning_content": text}
    function = {"name": body["tools"][0]["function"]["name"], "arguments": json.dumps({"text": text})}
    return {**message, "tool_calls": [{"id": "c1", "type": "function", "function": function}]}


def _deltas(body: dict[str, Any]) -> list[dict[str, Any]]:
    text = body["messages"][-1]["content"]
    before = "content" if body["model"] == "both" else "reasoning_content"
    found: list[dict[str, Any]] = [{before: piece} for piece in _pieces(text)]
    if body["model"] == "thinks":
        return [*found, *({"content": piece} for piece in _pieces(text))]
    name = body["tools"][0]["function"]["name"]
    head = {"index": 0, "id": "c1", "type": "function", "function": {"name": name, "arguments": ""}}
    found.append({"tool_calls": [head]})
    for piece in _pieces(json.dumps({"text": text})):
        found.append({"tool_calls": [{"index": 0, "function": {"arguments": piece}}]})  # noqa: PERF401
    return found


def _pieces(text: str) -> list[str]:
    return [text[at : at + 3] for at in range(0, len(text), 3)]


def _event(value: dict[str, Any]) -> bytes:
    whole = {"id": "x", "object": "chat.completion.chunk", "created": 1, "model": "up", **value}
    return b"data: " + json.dumps(whole).encode() + b"\n\n"
