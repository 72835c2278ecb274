"""Vendors that do not speak OpenAI's form, through the litellm library. Nothing else imports litellm.

Only its translation is wanted: no callbacks, no retries, no cache, no prices fetched. It would also read credentials
from the environment, follow addresses in a request body and fetch pictures: here it is given what it may use, and
no more.
"""

from __future__ import annotations

import asyncio
import importlib
import json
import logging
import os
from collections.abc import AsyncGenerator, Mapping
from contextlib import aclosing
from functools import cache
from typing import Any, Final

from gateway.data import ProviderView, Reply, Target
from gateway.errors import (
    GatewayError,
    UpstreamError,
    UpstreamRateLimited,
    UpstreamRejected,
    UpstreamTimeout,
    UpstreamUnauthorized,
)

from .events import DONE, MOST_MESSAGE, event
from .facts import model_facts, price_table
from .openai_compatible import retry_after
from .tokens import reported, reported_embedding

__all__ = ["LiteLLMProvider", "model_facts", "price_table"]

log = logging.getLogger("customhouse.litellm")

#: The fields of a request that litellm is given. Its further arguments (addresses, credentials, callbacks) are not for
#: clients to set.
CHAT_FIELDS: Final = frozenset(
    {
        "messages",
        "temperature",
        "top_p",
        "n",
        "stop",
        "max_tokens",
        "max_completion_tokens",
        "presence_penalty",
        "frequency_penalty",
        "logit_bias",
        "user",
        "response_format",
        "seed",
        "tools",
        "tool_choice",
        "parallel_tool_calls",
        "functions",
        "function_call",
        "logprobs",
        "top_logprobs",
        "reasoning_effort",
        "verbosity",
        "service_tier",
        "prediction",
        "thinking",
        "top_k",
    }
)
RERANK_FIELDS: Final = frozenset({"query", "documents", "top_n", "max_tokens_per_doc"})
EMBEDDING_FIELDS: Final = frozenset({"input", "dimensions", "user"})

#: What a credential may hold when it is a JSON object, for vendors that need more than a key.
CREDENTIAL_FIELDS: Final = frozenset(
    {
        "api_key",
        "api_version",
        "aws_access_key_id",
        "aws_secret_access_key",
        "aws_session_token",
        "aws_region_name",
        "vertex_project",
        "vertex_location",
        "vertex_credentials",
        "watsonx_project_id",
    }
)
#: Vendors whose libraries would look for credentials on this machine, and what must be given instead.
NEEDS: Final = {
    "bedrock": "aws_access_key_id",
    "sagemaker": "aws_access_key_id",
    "sagemaker_chat": "aws_access_key_id",
    "vertex_ai": "vertex_credentials",
    "vertex_ai_beta": "vertex_credentials",
}
#: Where a tenant's own provider may go: vendors at an address of their own, not one that the tenant chooses.
PUBLIC_VENDORS: Final = frozenset(
    {
        "ai21",
        "anthropic",
        "bedrock",
        "cohere",
        "cohere_chat",
        "deepseek",
        "fireworks_ai",
        "gemini",
        "groq",
        "mistral",
        "openai",
        "openrouter",
        "perplexity",
        "replicate",
        "together_ai",
        "vertex_ai",
        "xai",
    }
)

_ADDRESSES: Final = ("http://", "https://", "gs://", "s3://", "file:", "ftp://")


class LiteLLMProvider:
    """A Provider for Anthropic, Gemini, Bedrock, Cohere and the others that litellm translates for."""

    async def chat(self, target: Target, body: dict[str, Any]) -> Reply:
        """A plain chat completion."""
        arguments = _chat_arguments(target, body)
        litellm = await _library()
        try:
            async with asyncio.timeout(target.timeout_s):
                answer = await litellm.acompletion(**arguments)
                found = answer.model_dump(exclude_none=True)
        except Exception as error:  # noqa: BLE001  its errors have no common class; all are mapped and raised
            raise failure(error, target.provider) from None
        return Reply(_openai_form(found), reported(found.get("usage")))

    async def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """A streamed chat completion, written anew as events in OpenAI's form."""
        arguments = _chat_arguments(target, body)
        arguments |= {"stream": True, "stream_options": {"include_usage": True}}
        litellm = await _library()
        async with aclosing(_chunks(litellm, arguments, target)) as chunks:
            async for chunk in chunks:
                yield _event(chunk)
        yield DONE

    async def embed(self, target: Target, body: dict[str, Any]) -> Reply:
        """Embeddings of `body["input"]`."""
        arguments = _arguments(target) | {name: body[name] for name in EMBEDDING_FIELDS & body.keys()}
        litellm = await _library()
        try:
            async with asyncio.timeout(target.timeout_s):
                answer = await litellm.aembedding(**arguments)
                found = answer.model_dump(exclude_none=True)
        except Exception as error:  # noqa: BLE001  as above
            raise failure(error, target.provider) from None
        return Reply(found, reported_embedding(found.get("usage")))

    async def rerank(self, target: Target, body: dict[str, Any]) -> Reply:
        """A ranking of `body["documents"]`."""
        arguments = _arguments(target) | {name: body[name] for name in RERANK_FIELDS & body.keys()}
        litellm = await _library()
        try:
            async with asyncio.timeout(target.timeout_s):
                answer = await litellm.arerank(**arguments)
                found = answer.model_dump(exclude_none=True)
        except Exception as error:  # noqa: BLE001  as above
            raise failure(error, target.provider) from None
        return Reply(found, None)

    async def close(self) -> None:
        """litellm keeps its own connections; they end with the process."""


def failure(error: Exception, provider: ProviderView) -> GatewayError:
    """What litellm raised, as one of our errors. The credential never stands in it."""
    if isinstance(error, GatewayError):
        return error
    status = getattr(error, "status_code", None)
    if isinstance(error, TimeoutError) or status == 408 or type(error).__name__ == "Timeout":
        return UpstreamTimeout("The model did not answer in time.")
    if status in (401, 403):
        return UpstreamUnauthorized(f"The model's vendor refused the gateway's credential ({status}).")
    if status == 429:
        return UpstreamRateLimited("The model's vendor limits its rate.", retry_after=_pause(error))
    if isinstance(status, int) and 400 <= status < 500:
        return UpstreamRejected(f"The model's vendor refused the request ({status}): {_said(error, provider)}")
    log.info("provider %s failed with %s", provider.id, type(error).__name__)
    if isinstance(status, int):
        return UpstreamError(f"The model's vendor answered {status}.", retry_after=_pause(error))
    return UpstreamError("The model's vendor gave no usable answer.")


# -- what litellm is given ------------------------------------------------------------------------------------------


def _chat_arguments(target: Target, body: Mapping[str, Any]) -> dict[str, Any]:
    for message in body["messages"]:
        _refuse_addresses(message)
    asked = {name: body[name] for name in CHAT_FIELDS & body.keys() if body[name] is not None}
    # Without this, tools would be looked through for servers that litellm calls itself.
    return _arguments(target) | asked | {"_skip_mcp_handler": True}


def _arguments(target: Target) -> dict[str, Any]:
    provider = target.provider
    model = target.upstream_model
    if provider.vendor and not model.startswith(provider.vendor + "/"):
        model = f"{provider.vendor}/{model}"
    vendor = model.partition("/")[0]
    if provider.guarded and (provider.base_url or vendor not in PUBLIC_VENDORS):
        raise UpstreamError("A tenant's own provider of this kind goes to its vendor's public address only.")
    arguments: dict[str, Any] = {
        "model": model,
        "timeout": target.timeout_s,
        "num_retries": 0,
        "max_retries": 0,
        "caching": False,
        "drop_params": True,
        **_credential(provider.credential),
    }
    if NEEDS.get(vendor, "model") not in arguments:
        raise UpstreamUnauthorized(f"The provider needs a credential with {NEEDS[vendor]}.")
    if provider.base_url:
        arguments["api_base"] = provider.base_url
    return arguments


def _credential(credential: str) -> dict[str, str]:
    """A key, or the fields of a JSON object. Without any, litellm would look for one in the environment."""
    fields: Mapping[str, Any] = {}
    if credential.startswith("{"):
        try:
            fields = json.loads(credential)
        except ValueError:
            raise UpstreamUnauthorized("The provider's credential is not valid JSON.") from None
    elif credential:
        fields = {"api_key": credential}
    found = {name: value for name, value in fields.items() if name in CREDENTIAL_FIELDS}
    for name, value in found.items():
        if isinstance(value, dict):
            found[name] = json.dumps(value)
        elif str(value).startswith(("os.environ/", "oidc/")):
            raise UpstreamUnauthorized("The provider's credential points elsewhere instead of holding a key.")
    return {"api_key": "none", **found}


def _refuse_addresses(message: Any) -> None:
    """litellm would fetch what an address in a message points to, from inside the house."""
    content = message.get("content") if isinstance(message, dict) else None
    for part in content if isinstance(content, list) else ():
        if isinstance(part, dict) and part.get("type") not in ("text", "input_text") and _has_address(part):
            raise UpstreamRejected(
                "Pictures and files must be sent inline (data: URLs) to this model.", param="messages"
            )


def _has_address(value: Any) -> bool:
    if isinstance(value, str):
        return value.lstrip().lower().startswith(_ADDRESSES)
    if isinstance(value, dict):
        return any(map(_has_address, value.values()))
    return isinstance(value, list) and any(map(_has_address, value))


@cache
def _load() -> Any:
    """The library (2 s, 175 MB), quiet and alone."""
    os.environ["LITELLM_LOCAL_MODEL_COST_MAP"] = "True"  # before the import: it would fetch its table otherwise
    litellm: Any = importlib.import_module("litellm")
    litellm.suppress_debug_info = True
    litellm.turn_off_message_logging = True
    litellm.disable_streaming_logging = True
    litellm.disable_aiohttp_trust_env = True
    litellm.aiohttp_trust_env = False
    for name in ("callbacks", "success_callback", "failure_callback", "input_callback", "service_callback"):
        setattr(litellm, name, [])
    for name in ("LiteLLM", "LiteLLM Proxy", "LiteLLM Router"):
        logging.getLogger(name).disabled = True  # its messages may quote a request
    return litellm


async def _library() -> Any:
    """The library, loaded in a thread the first time."""
    return await asyncio.to_thread(_load) if not _load.cache_info().currsize else _load()


# -- what comes back --------------------------------------------------------------------------------------------


async def _chunks(litellm: Any, arguments: dict[str, Any], target: Target) -> AsyncGenerator[dict[str, Any], None]:
    """litellm's chunks as dictionaries. However it fails, a GatewayError; closing it hangs up."""
    loop = asyncio.get_running_loop()
    deadline = loop.time() + target.timeout_s
    answer: Any = None
    try:
        async with asyncio.timeout(target.first_token_timeout_s):
            answer = await litellm.acompletion(**arguments)
            chunk = await anext(aiter(answer))
        while True:
            yield chunk.model_dump(exclude_none=True)
            async with asyncio.timeout_at(deadline):
                chunk = await anext(answer)
    except StopAsyncIteration:
        if _broke_off(answer):
            raise UpstreamError("The model's answer ended before it was complete.") from None
    except GeneratorExit:
        raise
    except Exception as error:  # noqa: BLE001  its errors have no common class; all are mapped and raised
        raise failure(error, target.provider) from None
    finally:
        if answer is not None:
            await _close(answer)


def _broke_off(answer: Any) -> bool:
    """Whether the vendor never said that it had finished: litellm would make up a `stop`."""
    said = [getattr(answer, name, "unknown") for name in ("received_finish_reason", "intermittent_finish_reason")]
    return not any(said)


async def _close(answer: Any) -> None:
    close = getattr(answer, "aclose", None)
    if close is not None:
        await close()


def _event(chunk: dict[str, Any]) -> bytes:
    """A chunk as an event; the one that reports usage has no choices, as in OpenAI's form."""
    found = _openai_form(chunk)
    if found.get("usage") and not any(_says_something(choice) for choice in found.get("choices", ())):
        found["choices"] = []
    return event(found)


def _says_something(choice: Mapping[str, Any]) -> bool:
    return bool(choice.get("finish_reason") or choice.get("delta"))


def _openai_form(found: dict[str, Any]) -> dict[str, Any]:
    """Without what litellm adds for its own users: its price among it."""
    if isinstance(found.get("usage"), dict):
        found["usage"].pop("cost", None)
    for choice in found.get("choices", ()):
        choice.pop("provider_specific_fields", None)
        for part in ("message", "delta"):
            if isinstance(choice.get(part), dict):
                choice[part].pop("provider_specific_fields", None)
        if isinstance(choice.get("message"), dict):
            choice["message"].setdefault("content", None)
        if "delta" in choice:
            choice.setdefault("finish_reason", None)
    return found


def _pause(error: Exception) -> float | None:
    headers = getattr(error, "litellm_response_headers", None)
    if headers is None:
        headers = getattr(getattr(error, "response", None), "headers", None)
    return retry_after(headers or {})


def _said(error: Exception, provider: ProviderView) -> str:
    """The vendor's sentence out of litellm's."""
    said = str(getattr(error, "message", "") or "no reason was given")
    said = said.removeprefix(f"litellm.{type(error).__name__}: ")
    for secret in _secrets(provider.credential):
        said = said.replace(secret, "[credential]")
    if provider.base_url:
        said = said.replace(provider.base_url, "[address]")
    return said[:MOST_MESSAGE]


def _secrets(credential: str) -> list[str]:
    if not credential:
        return []
    if not credential.startswith("{"):
        return [credential]
    return [credential, *(str(value) for value in _credential(credential).values() if len(str(value)) > 8)]
