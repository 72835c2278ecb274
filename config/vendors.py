"""Vendors whose keys stand in the environment, and the models that one usually wants of them."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Vendor:
    """How a vendor is reached. `variable` holds its key (or, for a self-hosted one, its address)."""

    name: str
    variable: str
    kind: str
    base_url: str
    models: tuple[str, ...]
    embeddings: tuple[str, ...] = ()
    self_hosted: bool = False


VENDORS = (
    Vendor(
        "openai",
        "OPENAI_API_KEY",
        "openai_compatible",
        "https://api.openai.com/v1",
        ("gpt-4o", "gpt-4o-mini", "gpt-4.1", "gpt-4.1-mini"),
        ("text-embedding-3-small", "text-embedding-3-large"),
    ),
    Vendor("anthropic", "ANTHROPIC_API_KEY", "litellm", "", ("claude-sonnet-4-5", "claude-haiku-4-5")),
    Vendor("gemini", "GEMINI_API_KEY", "litellm", "", ("gemini-2.5-pro", "gemini-2.5-flash")),
    Vendor("mistral", "MISTRAL_API_KEY", "openai_compatible", "https://api.mistral.ai/v1", ("mistral-large-latest",)),
    Vendor("groq", "GROQ_API_KEY", "openai_compatible", "https://api.groq.com/openai/v1", ("llama-3.3-70b-versatile",)),
    Vendor("deepseek", "DEEPSEEK_API_KEY", "openai_compatible", "https://api.deepseek.com/v1", ("deepseek-chat",)),
    Vendor("ollama", "OLLAMA_HOST", "openai_compatible", "", ("llama3.2",), self_hosted=True),
)
