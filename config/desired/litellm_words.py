"""LiteLLM's words: vendors, modes, strategies, and what is said of settings that have no counterpart here."""

from __future__ import annotations

from typing import Final

from gateway.providers.facts import ABILITIES, PRICES
from gateway.providers.litellm_provider import CREDENTIAL_FIELDS

#: vendors that speak OpenAI's form, by LiteLLM's word for them, and their address
OPENAI_FORM: Final = {
    "openai": "https://api.openai.com/v1",
    "groq": "https://api.groq.com/openai/v1",
    "mistral": "https://api.mistral.ai/v1",
    "deepseek": "https://api.deepseek.com/v1",
    "xai": "https://api.x.ai/v1",
    "together_ai": "https://api.together.xyz/v1",
    "fireworks_ai": "https://api.fireworks.ai/inference/v1",
    "openrouter": "https://openrouter.ai/api/v1",
    "cerebras": "https://api.cerebras.ai/v1",
    "nvidia_nim": "https://integrate.api.nvidia.com/v1",
    "deepinfra": "https://api.deepinfra.com/v1/openai",
    "ollama": "http://localhost:11434",
    "ollama_chat": "http://localhost:11434",
}
#: the same, at an address that the file must say
AT_AN_ADDRESS: Final = frozenset(
    {"azure", "custom_openai", "hosted_vllm", "litellm_proxy", "llamafile", "lm_studio", "openai_like", "vllm"}
)
#: LiteLLM's table has other words for some vendors than its model names
SAME: Final = {"bedrock_converse": "bedrock", "cohere_chat": "cohere", "text-completion-openai": "openai"}

#: fields of litellm_params that are a credential where a key alone is not enough
CREDENTIAL: Final = tuple(sorted(CREDENTIAL_FIELDS - {"api_key", "api_version"}))
#: model_info.mode -> the capability that answers it
MODES: Final = {"": "chat", "chat": "chat", "responses": "chat", "embedding": "embeddings", "rerank": "rerank"}
STRATEGIES: Final = {
    "simple-shuffle": "weighted",
    "least-busy": "least_busy",
    "latency-based-routing": "fastest",
    "cost-based-routing": "cheapest",
    "lowest-cost": "cheapest",
    "usage-based-routing": "least_busy",
    "usage-based-routing-v2": "least_busy",
}
#: what is used of an entry; any other key is told
PARAMS_USED: Final = frozenset(
    {
        *CREDENTIAL,
        *PRICES,
        "model",
        "custom_llm_provider",
        "api_key",
        "api_base",
        "base_url",
        "api_version",
        "litellm_credential_name",
        "weight",
        "order",
        "timeout",
        "request_timeout",
        "stream_timeout",
        "max_parallel_requests",
        "region_name",
        "rpm",
        "tpm",
    }
)
INFO_USED: Final = frozenset(
    {
        *PRICES,
        *ABILITIES,
        "mode",
        "base_model",
        "max_tokens",
        "max_input_tokens",
        "max_output_tokens",
        "id",
        "description",
    }
)
ROUTER_USED: Final = frozenset(
    {"routing_strategy", "fallbacks", "default_fallbacks", "model_group_alias", "timeout", "stream_timeout"}
)

_DROPPED = (
    "parameters that a vendor does not know are dropped for vendors that go through litellm, and passed on to the "
    "others."
)
_RETRIES = (
    "a deployment is asked once more where its vendor asks for a second's patience at most, then the next one is; that "
    "is not configured."
)
_TOLD = "usage, audit events and webhooks are built in: GET billing/usage, GET audit/events, POST webhooks."
_REDIS = "the installation has a Redis of its own (REDIS_URL)."

#: why something is not carried over, by its place in the file
INSTEAD: Final = {
    "litellm_params.drop_params": _DROPPED,
    "router_settings.num_retries": _RETRIES,
    "router_settings.retry_after": "the pause before a retry is the one that the vendor asks for.",
    "router_settings.allowed_fails": "a breaker opens after 5 failures in a row, or when half of 20 calls fail.",
    "router_settings.cooldown_time": "a breaker that has opened tries again after 10 s.",
    "router_settings.context_window_fallbacks": (
        "deployments whose max_input_tokens is too small are passed over: add larger ones."
    ),
    "router_settings.content_policy_fallbacks": "what a vendor refuses for its content is not asked of another one.",
    "router_settings.enable_pre_call_checks": "the size of a call is always checked against max_input_tokens.",
    "router_settings.redis_host": _REDIS,
    "router_settings.redis_port": _REDIS,
    "router_settings.redis_password": _REDIS,
    "litellm_settings.drop_params": _DROPPED,
    "litellm_settings.callbacks": _TOLD,
    "litellm_settings.success_callback": _TOLD,
    "litellm_settings.failure_callback": _TOLD,
    "litellm_settings.cache": "answers are not cached.",
    "litellm_settings.cache_params": "answers are not cached.",
    "litellm_settings.num_retries": _RETRIES,
    "litellm_settings.max_budget": "budgets are objects here: POST budgets, or `budgets:` of a file for apply.",
    "litellm_settings.set_verbose": "logs never hold prompts; CUSTOMHOUSE_LOG_LEVEL sets how much they say.",
    "litellm_settings.json_logs": "CUSTOMHOUSE_LOG_LEVEL sets how much the logs say.",
    "litellm_settings.guardrails": "guardrails are part of a policy's rules.",
    "general_settings.master_key": "it is not taken over: keys are made here, with POST api-keys.",
    "general_settings.database_url": "the installation has a database of its own (DATABASE_URL).",
    "general_settings.alerting": "webhooks tell what happens: POST webhooks.",
    "guardrails": "guardrails are part of a policy's rules.",
    "include": "the files that it names are not read: import each of them.",
}
NO_COUNTERPART: Final = "it has no counterpart here."
