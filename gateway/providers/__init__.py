"""The ways out of the house: one object per kind of provider and process."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Final

from gateway.errors import UpstreamError

from .base import PASSAGES, Provider
from .extractive import ExtractiveProvider
from .litellm_provider import LiteLLMProvider
from .openai_compatible import OpenAICompatible
from .scripted import ScriptedProvider

__all__ = ["PASSAGES", "Provider", "close_all", "provider_for"]

_KINDS: Final[Mapping[str, Callable[[], Provider]]] = {
    "openai_compatible": OpenAICompatible,
    "litellm": LiteLLMProvider,
    "extractive": ExtractiveProvider,
    "scripted": ScriptedProvider,
}
_made: dict[str, Provider] = {}


def provider_for(kind: str) -> Provider:
    """The process's provider of a kind (`gateway.models.ProviderKind`). Raises UpstreamError for an unknown one."""
    found = _made.get(kind)
    if found is None:
        make = _KINDS.get(kind)
        if make is None:
            raise UpstreamError(f"There is no provider of kind {kind!r}.")
        found = _made[kind] = make()
    return found


async def close_all() -> None:
    """Ends all idle connections; at the end of a process, or of an event loop."""
    while _made:
        await _made.popitem()[1].close()
