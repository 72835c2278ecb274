"""A LiteLLM config.yaml becomes providers, deployments, models and prices, and sentences for the rest."""

from __future__ import annotations

from io import StringIO
from textwrap import dedent
from typing import Any

import pytest
from django.core.management import CommandError, call_command

from billing.models import Price
from config.desired.errors import Refused
from config.desired.litellm_config import Imported, translate
from config.desired.reading import parse
from gateway.credentials import open_credential
from gateway.models import Deployment, Model, Provider
from tenants.isolation import scope
from tenants.services import tenant_of
from tests.desired.conftest import applied, events

STARTER = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: openai/gpt-4o
      api_key: os.environ/OPENAI_API_KEY
  - model_name: claude
    litellm_params:
      model: anthropic/claude-sonnet-4-5
      api_key: os.environ/ANTHROPIC_API_KEY
  - model_name: embeddings
    litellm_params:
      model: text-embedding-3-small
      api_key: os.environ/OPENAI_API_KEY
    model_info:
      mode: embedding
general_settings:
  master_key: sk-1234
"""

BALANCED = """
model_list:
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-eu
      api_base: https://house-eu.openai.azure.com/
      api_key: os.environ/AZURE_EU_KEY
      api_version: "2024-10-21"
      rpm: 600
      tpm: 90000
      region_name: eu
    model_info:
      base_model: azure/gpt-4o
      id: eu-1
  - model_name: gpt-4o
    litellm_params:
      model: azure/gpt-4o-us
      api_base: https://house-us.openai.azure.com/
      api_key: os.environ/AZURE_US_KEY
      rpm: 300
    model_info:
      base_model: azure/gpt-4o
  - model_name: llama
    litellm_params:
      model: hosted_vllm/meta-llama/Llama-3.3-70B-Instruct
      api_base: http://vllm.internal:8000/v1
      max_parallel_requests: 32
      temperature: 0.2
      timeout: 300
  - model_name: tiny
    litellm_params:
      model: ollama_chat/llama3.2
router_settings:
  routing_strategy: simple-shuffle
  num_retries: 3
  cooldown_time: 30
  timeout: 60
  stream_timeout: 10
  fallbacks: [{gpt-4o: [llama]}, {llama: [nowhere]}]
  model_group_alias: {gpt-4: gpt-4o}
litellm_settings:
  drop_params: true
  success_callback: [langfuse]
  default_fallbacks: [tiny]
  set_verbose: no
"""

CLOUDS = """
credential_list:
  - credential_name: aws
    credential_values:
      aws_access_key_id: os.environ/AWS_ACCESS_KEY_ID
      aws_secret_access_key: os.environ/AWS_SECRET_ACCESS_KEY
      aws_region_name: eu-central-1
environment_variables:
  GROQ_API_KEY: gsk-in-the-clear
model_list:
  - model_name: sonnet
    litellm_params:
      model: bedrock/anthropic.claude-3-5-sonnet-20240620-v1:0
      litellm_credential_name: aws
      order: 1
  - model_name: sonnet
    litellm_params:
      model: vertex_ai/claude-3-5-sonnet@20240620
      vertex_project: house
      vertex_location: europe-west1
      vertex_credentials: /etc/house/vertex.json
      order: 2
  - model_name: fast
    litellm_params:
      model: groq/llama-3.3-70b-versatile
      api_key: os.environ/GROQ_API_KEY
      input_cost_per_token: 5.9e-7
      output_cost_per_token: "0.00000079"
  - model_name: draw
    litellm_params: {model: openai/dall-e-3, api_key: sk-in-the-clear}
    model_info: {mode: image_generation}
  - model_name: "openai/*"
    litellm_params: {model: "openai/*"}
  - model_name: ours
    litellm_params: {model: house-model, api_base: https://models.house.example/v1, api_key: sk-in-the-clear}
    model_info: {supports_vision: true, max_input_tokens: 32000, access_groups: [beta]}
  - model_name: riddle
    litellm_params: {model: riddle}
  - model_name: elsewhere
    litellm_params: {model: azure/gpt-4o, api_base: os.environ/NOT_SET_ANYWHERE}
router_settings:
  routing_strategy: latency-based-routing
  fallbacks: [{fast: [ours]}]
guardrails: []
"""


def translated(text: str, tenant: str = "acme") -> Imported:
    return translate(parse(dedent(text).encode(), "config.yaml"), tenant)


def part(imported: Imported) -> dict[str, Any]:
    data = imported.document.data
    return data["platform"] if "platform" in data else data["tenants"][0]


def by_name(rows: list[dict[str, Any]]) -> dict[str, dict[str, Any]]:
    return {row["name"]: row for row in rows}


def test_a_starters_file():
    found = translated(STARTER)
    made = part(found)
    assert by_name(made["providers"]) == {
        "openai": {
            "name": "openai",
            "kind": "openai_compatible",
            "base_url": "https://api.openai.com/v1",
            "vendor": "openai",
            "region": "",
            "self_hosted": False,
            "api_key": {"env": "OPENAI_API_KEY"},
        },
        "anthropic": {
            "name": "anthropic",
            "kind": "litellm",
            "base_url": "",
            "vendor": "anthropic",
            "region": "",
            "self_hosted": False,
            "api_key": {"env": "ANTHROPIC_API_KEY"},
        },
    }
    deployments = by_name(made["deployments"])
    assert deployments["openai/gpt-4o"]["upstream_model"] == "gpt-4o"
    assert {"chat", "tools", "vision"} <= set(deployments["openai/gpt-4o"]["capabilities"])
    assert deployments["anthropic/claude-sonnet-4-5"]["upstream_model"] == "anthropic/claude-sonnet-4-5"
    assert deployments["openai/text-embedding-3-small"]["capabilities"] == ["embeddings"]
    assert [model["name"] for model in made["models"]] == ["gpt-4o", "claude", "embeddings"]
    prices = {(row["deployment"], row["kind"]): row["per_million"] for row in made["prices"]}
    assert prices["openai/gpt-4o", "input"] == "2.5"
    assert ("openai/text-embedding-3-small", "embedding") in prices
    assert found.notes == [
        "config.yaml:18: general_settings.master_key: it is not taken over: keys are made here, with POST api-keys."
    ]


def test_several_entries_of_a_name_are_deployments_with_weights_and_fallbacks_come_last():
    found = translated(BALANCED)
    made = part(found)
    providers, models = by_name(made["providers"]), by_name(made["models"])
    assert providers["azure-house-eu"]["base_url"] == "https://house-eu.openai.azure.com?api-version=2024-10-21"
    assert (providers["azure-house-eu"]["vendor"], providers["azure-house-eu"]["region"]) == ("azure", "eu")
    assert providers["vllm.internal"]["self_hosted"]
    assert providers["ollama"]["base_url"] == "http://localhost:11434/v1"
    last = [{"deployment": "ollama/llama3.2", "weight": 0, "priority": 3}]
    both = [
        {"deployment": "azure-house-eu/gpt-4o-eu", "weight": 600, "priority": 1},
        {"deployment": "azure-house-us/gpt-4o-us", "weight": 300, "priority": 1},
    ]
    fallback = [{"deployment": "vllm.internal/meta-llama/Llama-3.3-70B-Instruct", "weight": 0, "priority": 2}]
    assert models["gpt-4o"] == {"name": "gpt-4o", "strategy": "weighted", "deployments": both + fallback + last}
    assert models["gpt-4"]["deployments"] == [*both, {**last[0], "priority": 2}]
    llama = by_name(made["deployments"])["vllm.internal/meta-llama/Llama-3.3-70B-Instruct"]
    assert (llama["max_concurrency"], llama["timeout_s"], llama["first_token_timeout_s"]) == (32, 300.0, 10.0)
    assert by_name(made["deployments"])["azure-house-eu/gpt-4o-eu"]["timeout_s"] == 60.0
    told = "\n".join(found.notes)
    for place in (
        "model_list[0].litellm_params.rpm: it is used as the weight;",
        "model_list[0].litellm_params.tpm: deployments have no limits a minute",
        "model_list[2].litellm_params.temperature: it has no counterpart here.",
        "router_settings.num_retries: ",
        "router_settings.cooldown_time: ",
        "router_settings.fallbacks[1].llama: the fallback 'nowhere' is left out",
        "litellm_settings.drop_params: ",
        "litellm_settings.success_callback: usage, audit events and webhooks",
        "litellm_settings.set_verbose: ",
    ):
        assert place in told, place
    assert len(found.notes) == 10


def test_accounts_of_clouds_and_what_cannot_be_carried_over(monkeypatch):
    monkeypatch.delenv("NOT_SET_ANYWHERE", raising=False)
    found = translated(CLOUDS, tenant="")
    made = part(found)
    providers, models = by_name(made["providers"]), by_name(made["models"])
    assert providers["bedrock"]["api_key"] == {
        "fields": {
            "aws_access_key_id": {"env": "AWS_ACCESS_KEY_ID"},
            "aws_secret_access_key": {"env": "AWS_SECRET_ACCESS_KEY"},
            "aws_region_name": "eu-central-1",
        }
    }
    assert providers["vertex_ai"]["api_key"]["fields"]["vertex_credentials"] == {"file": "/etc/house/vertex.json"}
    assert providers["groq"]["api_key"].value == "gsk-in-the-clear"
    assert providers["models.house.example"]["api_key"].value == "sk-in-the-clear"
    assert models["sonnet"]["strategy"] == "priority"
    assert [route["priority"] for route in models["sonnet"]["deployments"]] == [1, 2]
    assert models["fast"]["strategy"] == "fastest"
    assert set(models) == {"sonnet", "fast", "ours"}
    prices = {(row["deployment"], row["kind"]): row["per_million"] for row in made["prices"]}
    assert prices["groq/llama-3.3-70b-versatile", "input"] == "0.59"
    assert prices["groq/llama-3.3-70b-versatile", "output"] == "0.79"
    ours = by_name(made["deployments"])["models.house.example/house-model"]
    assert (ours["capabilities"], ours["max_input_tokens"]) == (["chat", "vision"], 32000)
    told = "\n".join(found.notes)
    for sentence in (
        "model_list[3]: it is left out: models of the mode image_generation are not served here.",
        "model_list[4]: it is left out: names with * stand for models that nobody has named",
        "model_list[5].litellm_params.api_key: this secret stands in the file in the clear",
        "model_list[5].model_info.access_groups: it has no counterpart here.",
        "model_list[5]: nobody knows what models.house.example/house-model costs",
        "model_list[6]: it is left out: whose model 'riddle' is cannot be told",
        "model_list[7]: it is left out: The environment has no NOT_SET_ANYWHERE.",
        "router_settings.fallbacks[0].fast: it is left out: with the strategy fastest no deployment comes last.",
        "guardrails: guardrails are part of a policy's rules.",
    ):
        assert sentence in told, sentence
    assert "in-the-clear" not in told
    assert "in-the-clear" not in repr(made)


def test_another_file_is_refused():
    with pytest.raises(Refused, match="This is no LiteLLM"):
        translated("tenants: []")


@pytest.fixture
def balanced(tmp_path: Any, monkeypatch: pytest.MonkeyPatch) -> Any:
    """A file whose addresses a tenant may use here."""
    hosts = ["house-eu.openai.azure.com", "house-us.openai.azure.com", "vllm.internal", "localhost"]
    monkeypatch.setattr("django.conf.settings.PRIVATE_HOSTS_ALLOWED", hosts)
    monkeypatch.setenv("AZURE_EU_KEY", "eu-secret")
    monkeypatch.setenv("AZURE_US_KEY", "us-secret")
    file = tmp_path / "config.yaml"
    file.write_text(BALANCED)
    return file


def imported(file: Any, **options: Any) -> str:
    out = StringIO()
    call_command("import_litellm", str(file), stdout=out, **options)
    return out.getvalue()


def test_the_command_says_what_it_would_do_then_does_it_once(slug, balanced):
    applied(f"tenants: [{{slug: {slug}, name: Acme}}]")
    before = events(slug)
    out = StringIO()
    with pytest.raises(SystemExit) as ended:
        call_command("import_litellm", str(balanced), tenant=slug, dry_run=True, stdout=out)
    assert ended.value.code == 2
    assert "Not, or not exactly, carried over:\n  config.yaml:9: model_list[0].litellm_params.rpm" in out.getvalue()
    assert "+ provider azure-house-eu" in out.getvalue()
    assert events(slug) == before
    assert "0 changed, 0 removed." in imported(balanced, tenant=slug)
    before = events(slug)
    assert "0 made, 0 changed, 0 removed." in imported(balanced, tenant=slug)
    assert events(slug) == before
    with scope(tenant_of(slug)):
        own = {"tenant_id": tenant_of(slug)}
        account = Provider.objects.get(name="azure-house-eu", **own)
        assert open_credential(account.credential, account.tenant_id, account.pk) == "eu-secret"
        assert Model.objects.get(name="gpt-4o", **own).routes.count() == 4
        assert Price.objects.filter(deployment_id=Deployment.objects.get(name__endswith="gpt-4o-eu").pk).exists()


def test_it_becomes_somebodys(slug, balanced):
    with pytest.raises(CommandError, match="one of the arguments --tenant --platform is required"):
        imported(balanced)
    with pytest.raises(CommandError, match=r"tenants\[0\]: A new tenant needs a name"):
        imported(balanced, tenant=slug)
