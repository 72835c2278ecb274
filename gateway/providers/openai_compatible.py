"""Every vendor that speaks OpenAI's form over HTTP: OpenAI, Azure, vLLM, Ollama, Groq, Mistral and many more.

One pooled client per process, and as little as possible done per call: a plain call costs about a tenth of a
millisecond of CPU.
"""

from __future__ import annotations

import asyncio
import ipaddress
import socket
import time
from collections.abc import AsyncGenerator, Mapping
from email.utils import parsedate_to_datetime
from functools import lru_cache
from typing import Any, Final
from urllib.parse import quote, urlsplit, urlunsplit

import aiohttp
import orjson
from aiohttp.abc import AbstractResolver, ResolveResult
from yarl import URL

from gateway.data import ProviderView, Reply, Target
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
from .tokens import reported, reported_embedding

#: Seconds to connect: a host that does not take a connection leaves time for the next deployment.
CONNECT_S: Final = 10.0
#: Seconds that an idle connection is kept.
KEEP_ALIVE_S: Final = 30.0
#: How much of a refusal is read to find its reason.
MOST_ERROR_BYTES: Final = 64 << 10

AZURE_API_VERSION: Final = "2024-10-21"

_NETWORK = (aiohttp.ClientError, OSError)  # TimeoutError is an OSError: it is looked at first


class OpenAICompatible:
    """A Provider over HTTP. Bound to the event loop of its first call; `close` lets it begin anew on another."""

    def __init__(self) -> None:
        self._open: aiohttp.ClientSession | None = None
        self._guarded: aiohttp.ClientSession | None = None
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

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """A streamed chat completion. Closing the generator closes the upstream's connection."""
        reader = EventReader()
        response: aiohttp.ClientResponse | None = None
        try:
            async with asyncio.timeout(target.first_token_timeout_s):
                response = await self._post(target, "/chat/completions", _stream_body(target, body))
                block = await _next_block(response, reader)
            yield block
            while not reader.done:
                if reader.error:
                    raise reader.error
                yield await _next_block(response, reader)
        except TimeoutError:
            raise UpstreamTimeout("The model did not answer in time.") from None
        finally:
            if response is not None:
                _hang_up(response)

    async def close(self) -> None:
        """Ends idle connections."""
        for session in (self._open, self._guarded):
            if session is not None:
                await session.close()
        self._open = self._guarded = self._loop = None

    # -- one call -------------------------------------------------------------------------------------------------

    async def _plain(self, target: Target, path: str, payload: bytes) -> dict[str, Any]:
        response: aiohttp.ClientResponse | None = None
        try:
            response = await self._post(target, path, payload)
            return _object(await _whole(response, MOST_BYTES))
        except TimeoutError:
            raise UpstreamTimeout("The model did not answer in time.") from None
        except _NETWORK:
            raise UpstreamError("The connection to the model broke in the middle of its answer.") from None
        finally:
            if response is not None:
                _hang_up(response)

    async def _post(self, target: Target, path: str, payload: bytes) -> aiohttp.ClientResponse:
        """The response, whose status is a success. Raises GatewayError, or TimeoutError."""
        provider = target.provider
        try:
            url = _url(provider.base_url, provider.vendor, target.upstream_model, path)
            response = await self._session(provider, url).post(
                url,
                data=payload,
                headers=_headers(provider),
                allow_redirects=False,
                timeout=_timeout(target.timeout_s),
            )
        except TimeoutError:
            raise
        except (aiohttp.ClientConnectorError, aiohttp.InvalidURL, ValueError):
            raise UpstreamError("The model's host cannot be reached.") from None
        except (aiohttp.ServerDisconnectedError, aiohttp.ClientOSError):
            raise UpstreamDisconnected("The connection to the model was lost before it answered.") from None
        except _NETWORK:
            raise UpstreamError("The model's host does not speak HTTP as expected.") from None
        if response.status != 200:
            await _refuse(response, provider.credential)
        return response

    def _session(self, provider: ProviderView, url: URL) -> aiohttp.ClientSession:
        loop = asyncio.get_running_loop()
        if self._loop is not loop:
            self._open = self._guarded = None
            self._loop = loop
        if provider.guarded:
            _check_literal(url)
            self._guarded = self._guarded or _new_session(PublicAddresses())
            return self._guarded
        self._open = self._open or _new_session(None)
        return self._open


class PublicAddresses(AbstractResolver):
    """Resolves names to public addresses only: a name that points into the house's own network is no host."""

    def __init__(self) -> None:
        self._resolver = aiohttp.ThreadedResolver()

    async def resolve(
        self, host: str, port: int = 0, family: socket.AddressFamily = socket.AF_INET
    ) -> list[ResolveResult]:
        """As the system resolves, or OSError when any of the addresses is private."""
        found = await self._resolver.resolve(host, port, family)
        if not all(is_public(result["host"]) for result in found):
            raise OSError("The name resolves to a private address.")
        return found

    async def close(self) -> None:
        await self._resolver.close()


def is_public(address: str) -> bool:
    """Whether an IP address is reachable by everybody: not private, loopback, link-local, reserved or multicast."""
    ip = ipaddress.ip_address(address.partition("%")[0])
    mapped = getattr(ip, "ipv4_mapped", None)
    ip = mapped or ip
    return ip.is_global and not ip.is_multicast


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


def _headers(provider: ProviderView) -> dict[str, str]:
    sent = {"content-type": "application/json", "accept-encoding": "identity"}
    if provider.credential:
        if provider.vendor == "azure":
            sent["api-key"] = provider.credential
        else:
            sent["authorization"] = f"Bearer {provider.credential}"
    return sent


@lru_cache(maxsize=4096)
def _url(base_url: str, vendor: str, model: str, path: str) -> URL:
    """Where a call goes. Azure's older form names the deployment in the path and its version in the query."""
    parts = urlsplit(base_url)
    if parts.scheme not in ("http", "https") or not parts.hostname:
        raise ValueError("base_url is not an address")
    place, query = parts.path.rstrip("/"), parts.query
    if vendor == "azure" and not place.endswith("/openai/v1"):
        if "/openai/deployments/" not in place:
            place = place.removesuffix("/openai") + f"/openai/deployments/{quote(model, safe='')}"
        query = query or f"api-version={AZURE_API_VERSION}"
    return URL(urlunsplit((parts.scheme, parts.netloc, place + path, query, "")), encoded=True)


@lru_cache(maxsize=256)
def _timeout(total: float) -> aiohttp.ClientTimeout:
    return aiohttp.ClientTimeout(total=total, sock_connect=min(CONNECT_S, total))


def _new_session(resolver: AbstractResolver | None) -> aiohttp.ClientSession:
    connector = aiohttp.TCPConnector(
        limit=0, keepalive_timeout=KEEP_ALIVE_S, ttl_dns_cache=60, use_dns_cache=resolver is None, resolver=resolver
    )
    return aiohttp.ClientSession(
        connector=connector,
        auto_decompress=False,
        cookie_jar=aiohttp.DummyCookieJar(),
        trust_env=False,
        skip_auto_headers=("user-agent", "accept"),
    )


def _check_literal(url: URL) -> None:
    """An address that needs no resolving is looked at here."""
    try:
        public = is_public(url.host or "")
    except ValueError:
        return  # a name: the resolver looks at what it points to
    if not public:
        raise ValueError("base_url is a private address")


# -- what comes back ----------------------------------------------------------------------------------------------


async def _next_block(response: aiohttp.ClientResponse, reader: EventReader) -> bytes:
    """The next events, as many as are there. Raises UpstreamError when the answer ends too early."""
    while True:
        try:
            data = await response.content.readany()
        except TimeoutError:
            raise
        except _NETWORK:
            raise UpstreamError("The connection to the model broke in the middle of its answer.") from None
        block = reader.feed(data) if data else reader.end()
        if block:
            return block
        if reader.error:
            raise reader.error


async def _whole(response: aiohttp.ClientResponse, most: int) -> bytes:
    """The whole body. Raises UpstreamError when it is larger than `most` bytes."""
    parts, size = [], 0
    while data := await response.content.readany():
        parts.append(data)
        size += len(data)
        if size > most:
            raise UpstreamError("The model's answer is larger than the gateway accepts.")
    return parts[0] if len(parts) == 1 else b"".join(parts)


async def _refuse(response: aiohttp.ClientResponse, credential: str) -> None:
    try:
        body = await response.content.read(MOST_ERROR_BYTES)
    except _NETWORK:
        body = b""  # the status says enough
    finally:
        _hang_up(response)
    raise failure(response.status, response.headers, body, credential)


def _hang_up(response: aiohttp.ClientResponse) -> None:
    """Gives the connection back when the answer was read to its end; closes it at once otherwise."""
    if response.content.at_eof():
        response.release()
    else:
        response.close()


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
