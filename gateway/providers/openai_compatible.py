"""Every vendor that speaks OpenAI's form over HTTP: OpenAI, Azure, vLLM, Ollama, Groq, Mistral and many more.

One pooled client per process, and as little as possible done per call: a plain call costs about a tenth of a
millisecond of CPU.
"""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import orjson

from gateway.data import Reply, Target
from gateway.errors import (
    GatewayError,
    UpstreamDisconnected,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)

from .base import INTERNAL
from .events import MOST_BYTES, MOST_MESSAGE, EventReader, reported_error
from .http import Address, Answer, Client, Disconnected, HTTPError, Unreachable, request
from .tokens import reported, reported_embedding

#: How much of a refusal is read to find its reason.
MOST_ERROR_BYTES: Final = 64 << 10

AZURE_API_VERSION: Final = "2024-10-21"


class OpenAICompatible:
    """A Provider over HTTP. Bound to the event loop of its first call; `close` lets it begin anew on another."""

    def __init__(self) -> None:
        self._client: Client | None = None
        self._loop: asyncio.AbstractEventLoop | None = None

    async def chat(self, target: Target, body: dict[str, Any]) -> Reply:
        """A plain chat completion."""
        found = await self._plain(target, "/chat/completions", _plain_body(target, body))
        if not isinstance(found.get("choices"), list):
            raise UpstreamError("The model's answer is not a chat completion.")
        return Reply(found, reported(found.get("usage")))

    async def embed(self, target: Target, body: dict[str, Any]) -> Reply:
        """Embeddings of `body["input"]`."""
        found = await self._plain(target, "/embeddings", _plain_body(target, body))
        if not isinstance(found.get("data"), list):
            raise UpstreamError("The model's answer is not a list of embeddings.")
        return Reply(found, reported_embedding(found.get("usage")))

    async def rerank(self, target: Target, body: dict[str, Any]) -> Reply:
        """A ranking, in the form that vLLM, Jina and Cohere share."""
        found = await self._plain(target, "/rerank", _plain_body(target, body))
        if not isinstance(found.get("results"), list):
            raise UpstreamError("The model's answer is not a ranking.")
        return Reply(found, None)

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """A streamed chat completion. Closing the generator closes the upstream's connection."""
        reader = EventReader()
        began = time.monotonic()
        first = began + min(target.first_token_timeout_s, target.timeout_s)
        answer = await self._post(target, "/chat/completions", _stream_body(target, body), first)
        try:
            block = await _next_block(answer, reader)
            answer.deadline = began + target.timeout_s
            yield block
            while not reader.done:
                if reader.error:
                    raise reader.error
                yield await _next_block(answer, reader)
        finally:
            answer.release(finishing=reader.done)

    async def close(self) -> None:
        """Ends idle connections."""
        if self._client is not None:
            await self._client.close()
        self._client = self._loop = None

    # -- one call -------------------------------------------------------------------------------------------------

    async def _plain(self, target: Target, path: str, payload: bytes) -> dict[str, Any]:
        answer = await self._post(target, path, payload, time.monotonic() + target.timeout_s)
        try:
            body = await answer.whole(MOST_BYTES)
        except TimeoutError:
            raise UpstreamTimeout("The model did not answer in time.") from None
        except HTTPError:
            raise UpstreamError("The connection to the model broke in the middle of its answer.") from None
        finally:
            answer.release()
        if len(body) > MOST_BYTES:
            raise UpstreamError("The model's answer is larger than the gateway accepts.")
        return _object(body)

    async def _post(self, target: Target, path: str, payload: bytes, deadline: float) -> Answer:
        """The answer, whose status is a success; release it. Raises GatewayError."""
        provider = target.provider
        answer: Answer | None = None
        try:
            address, head = _request(
                *(provider.base_url, provider.vendor, target.upstream_model, path),
                *(provider.credential, provider.guarded),
            )
            answer = await self._open().post(address, head, payload, deadline=deadline)
            status = await answer.head()
        except BaseException as error:
            if answer is not None:
                answer.release()
            if isinstance(error, HTTPError | TimeoutError | ValueError):
                raise _as_ours(error) from None
            raise
        if status != 200:
            await _refuse(answer, provider.credential)
        return answer

    def _open(self) -> Client:
        loop = asyncio.get_running_loop()
        if self._client is None or self._loop is not loop:
            self._client, self._loop = Client(), loop
        return self._client


def _as_ours(error: Exception) -> GatewayError:
    """What kept a call from being answered, as one of our errors."""
    if isinstance(error, TimeoutError):
        return UpstreamTimeout("The model did not answer in time.")
    if isinstance(error, Unreachable | ValueError):
        return UpstreamError("The model's host cannot be reached.")
    if isinstance(error, Disconnected):
        return UpstreamDisconnected("The connection to the model was lost before it answered.")
    return UpstreamError("The model's host does not speak HTTP as expected.")


def failure(status: int, headers: Mapping[str, str], body: bytes, credential: str = "") -> GatewayError:
    """A vendor's refusal as one of our errors. The credential never stands in it, even where the vendor repeats it."""
    if status in (401, 403):
        return UpstreamUnauthorized(f"The model's vendor refused the gateway's credential ({status}).")
    if status == 408:
        return UpstreamTimeout("The model's vendor gave up on the request (408).")
    if status == 429:
        return UpstreamRateLimited("The model's vendor limits its rate.", retry_after=retry_after(headers))
    if status >= 500 or status < 400:
        return UpstreamError(f"The model's vendor answered {status}.", retry_after=retry_after(headers))
    message, param = _reason(body)
    if credential:
        message = message.replace(credential, "[credential]")
    return UpstreamRejected(f"The model's vendor refused the request ({status}): {message}", param=param)


def retry_after(headers: Mapping[str, str]) -> float | None:
    """Seconds to wait, from `retry-after-ms` or `retry-after` (seconds or a date); None when not said."""
    for name, unit in (("retry-after-ms", 1000.0), ("retry-after", 1.0)):
        said = headers.get(name)
        if said is None:
            continue
        try:
            return max(0.0, float(said) / unit)
        except ValueError:
            pass
        try:
            return max(0.0, parsedate_to_datetime(said).timestamp() - time.time())
        except ValueError:
            continue
    return None


# -- what is sent -------------------------------------------------------------------------------------------------


def _plain_body(target: Target, body: Mapping[str, Any]) -> bytes:
    sent = {name: value for name, value in body.items() if name not in INTERNAL}
    sent["model"] = target.upstream_model
    sent.pop("stream", None)
    sent.pop("stream_options", None)
    return orjson.dumps(sent)


def _stream_body(target: Target, body: Mapping[str, Any]) -> bytes:
    sent = {name: value for name, value in body.items() if name not in INTERNAL}
    sent["model"] = target.upstream_model
    sent["stream"] = True
    sent["stream_options"] = {**(sent.get("stream_options") or {}), "include_usage": True}
    return orjson.dumps(sent)


@lru_cache(maxsize=4096)
def _request(
    base_url: str, vendor: str, model: str, path: str, credential: str, guarded: bool
) -> tuple[Address, bytes]:
    """Where a call goes, and the head of its request. Azure's older form names the deployment in the path and its
    version in the query. Raises ValueError when the address or the credential cannot be used.
    """
    parts = urlsplit(base_url)
    place, query = parts.path.rstrip("/"), parts.query
    if vendor == "azure" and not place.endswith("/openai/v1"):
        if "/openai/deployments/" not in place:
            place = place.removesuffix("/openai") + f"/openai/deployments/{quote(model, safe='')}"
        query = query or f"api-version={AZURE_API_VERSION}"
    url = urlunsplit((parts.scheme, parts.netloc, quote(place + path, safe="/%:@!$&'()*+,;=~-._"), query, ""))
    headers = {"content-type": "application/json", "accept-encoding": "identity"}
    if credential:
        headers |= {"api-key": credential} if vendor == "azure" else {"authorization": f"Bearer {credential}"}
    address = Address.of(url, guarded=guarded)
    return address, request(address, headers)


# -- what comes back ----------------------------------------------------------------------------------------------


async def _next_block(answer: Answer, reader: EventReader) -> bytes:
    """The next events, as many as are there. Raises GatewayError, also when the answer ends too early."""
    while True:
        try:
            data = await answer.read()
        except TimeoutError:
            raise UpstreamTimeout("The model did not answer in time.") from None
        except HTTPError:
            raise UpstreamError("The connection to the model broke in the middle of its answer.") from None
        block = reader.feed(data) if data else reader.end()
        if block:
            return block
        if reader.error:
            raise reader.error


async def _refuse(answer: Answer, credential: str) -> None:
    try:
        body = (await answer.whole(MOST_ERROR_BYTES))[:MOST_ERROR_BYTES]
    except (HTTPError, TimeoutError):
        body = b""  # the status says enough
    finally:
        answer.release()
    raise failure(answer.status, answer.headers, body, credential)


def _object(data: bytes) -> dict[str, Any]:
    try:
        found = orjson.loads(data)
    except orjson.JSONDecodeError:
        raise UpstreamError("The model's answer is not valid JSON.") from None
    if not isinstance(found, dict):
        raise UpstreamError("The model's answer is not an object.")
    if found.get("error"):
        raise reported_error(found["error"])
    return found


def _reason(body: bytes) -> tuple[str, str | None]:
    """The vendor's sentence and the parameter that it names."""
    try:
        found = orjson.loads(body)
    except orjson.JSONDecodeError:
        return "no reason was given", None
    error = found.get("error", found) if isinstance(found, dict) else found
    if isinstance(error, str):
        return error[:MOST_MESSAGE], None
    if not isinstance(error, dict):
        return "no reason was given", None
    message = error.get("message") or error.get("detail") or "no reason was given"
    param = error.get("param")
    return str(message)[:MOST_MESSAGE], param if isinstance(param, str) else None
