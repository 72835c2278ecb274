"""What every provider offers. No byte leaves the house but through an implementation of this."""

from __future__ import annotations

from collections.abc import AsyncGenerator
from typing import Any, Final, Protocol

from gateway.data import Reply, Target

#: In a body: the numbered passages, for the provider that answers by quoting them. No other provider sends it on.
PASSAGES: Final = "x_passages"

#: Fields of a body that are the gateway's own and never leave the house.
INTERNAL: Final = frozenset({PASSAGES})


class Provider(Protocol):
    """One kind of upstream. Bodies are in OpenAI's form, already masked, with the upstream's own model name.

    Errors are `gateway.errors`: UpstreamRateLimited, UpstreamRejected, UpstreamTimeout, UpstreamError.
    """

    async def chat(self, target: Target, body: dict[str, Any]) -> Reply:
        """A plain chat completion."""
        ...

    def stream(self, target: Target, body: dict[str, Any]) -> AsyncGenerator[bytes, None]:
        """A streamed chat completion: blocks of whole server-sent events (each `data: …\\n\\n`) in OpenAI's chunk
        form, as they arrive, usage asked for, ending with `data: [DONE]`. A stream that ends without it raises
        UpstreamError. Closing the generator (`aclose`) hangs up at once.
        """
        ...

    async def embed(self, target: Target, body: dict[str, Any]) -> Reply:
        """Embeddings of `body["input"]`."""
        ...

    async def rerank(self, target: Target, body: dict[str, Any]) -> Reply:
        """`{"results": [{"index", "relevance_score"}]}` for `body["documents"]` (texts) and `body["query"]`."""
        ...

    async def close(self) -> None:
        """Ends idle connections."""
        ...
