"""What travels through the pipeline: one internal form for every dialect."""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any
from uuid import UUID


@dataclass(frozen=True, slots=True)
class RetrievalRequest:
    """What a call asks of the tenant's documents. `collections` None means all that the caller may read.

    `queries` are searched for instead of what the conversation asks; `budget` are the tokens that all sources together
    may have; where nothing is found, `ask_anyway` calls the model all the same. `purpose` is what a search by itself is
    for, as its client says.
    """

    collections: tuple[str, ...] | None = None
    top_k: int = 8
    filter: dict[str, Any] | None = None
    min_score: float | None = None
    queries: tuple[str, ...] = ()
    budget: int | None = None
    ask_anyway: bool = False
    purpose: str = ""


@dataclass(frozen=True, slots=True)
class Call:
    """One call in OpenAI's form, whatever dialect it came in. `body` is the client's, without gateway-only fields."""

    id: UUID  #: the request id
    kind: str  #: what answers it: "chat", "embeddings" or "rerank"
    model: str  #: the alias that was asked
    body: dict[str, Any]
    stream: bool = False
    include_usage: bool = False  #: the client asked for the usage event of a stream
    retrieval: RetrievalRequest | None = None
    client_ip: str = ""
    traceparent: str = ""
    dialect: str = "chat"  #: the form that it came in and that its answer goes out in (`gateway.surfaces`)
    documents: frozenset[int] = frozenset()  #: messages that quote documents, by index
    asked: dict[str, Any] = field(default_factory=dict)  #: the body as it came, where the answer repeats parts of it
    previous: UUID | None = None  #: the kept answer that this call goes on from
    tried_by: UUID | None = None  #: the person who tries a key in the console without showing its secret


@dataclass(frozen=True, slots=True)
class ProviderView:
    """A provider as the hot path needs it. `credential` is the opened secret: never log it."""

    id: UUID
    name: str
    kind: str
    base_url: str
    vendor: str
    region: str
    self_hosted: bool
    credential: str = field(repr=False)
    #: a tenant's own provider: no private address is connected to, whatever its name resolves to at that moment
    guarded: bool = False


@dataclass(frozen=True, slots=True)
class Target:
    """One deployment that may answer a call."""

    id: UUID
    name: str
    upstream_model: str
    provider: ProviderView
    capabilities: frozenset[str]
    max_concurrency: int
    timeout_s: float  #: total
    first_token_timeout_s: float
    max_output_tokens: int | None
    max_input_tokens: int | None = None
    weight: int = 1
    priority: int = 1
    #: pico-dollars a token by kind (`billing.models.Kind`); empty when the deployment has no price
    prices: dict[str, int] = field(default_factory=dict)

    @property
    def label(self) -> str:
        """What `x-customhouse-model` says."""
        return f"{self.provider.name}/{self.upstream_model}"


@dataclass(slots=True)
class Tokens:
    """Disjoint kinds of tokens; `estimated` when the vendor did not count them."""

    input: int = 0
    cached_input: int = 0
    cache_write: int = 0
    output: int = 0
    reasoning: int = 0
    embedding: int = 0
    estimated: bool = False


@dataclass(frozen=True, slots=True)
class Reply:
    """A provider's plain answer: its body in OpenAI's form, and the tokens that it reported (None: it did not)."""

    body: dict[str, Any]
    tokens: Tokens | None
