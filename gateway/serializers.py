"""Providers, deployments, models and their prices on the outside."""

from __future__ import annotations

from typing import Any

from django.conf import settings
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from billing.services import PRICE_KINDS
from tenants.api.fields import Reference, Strict
from tenants.isolation import PLATFORM
from tenants.models import Tenant

from .models import Deployment, Model, Provider, ProviderKind, Strategy
from .services import unsafe_address


class ProviderSerializer(Strict, serializers.ModelSerializer[Provider]):
    api_key = serializers.CharField(write_only=True, required=False, allow_blank=True)
    kind = serializers.ChoiceField(choices=ProviderKind.choices)
    tenants = serializers.ListField(
        child=Reference(Tenant, by="slug"), required=False, write_only=True, allow_null=True
    )
    has_credential = serializers.SerializerMethodField()

    class Meta:
        model = Provider
        fields = (
            "id",
            "name",
            "kind",
            "base_url",
            "api_key",
            "vendor",
            "region",
            "self_hosted",
            "tenants",
            "has_credential",
            "created_at",
        )
        read_only_fields = ("id", "created_at")

    def get_has_credential(self, provider: Provider) -> bool:
        return bool(provider.credential)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        kind = attrs.get("kind", self.instance.kind if self.instance else "")
        base_url = attrs.get("base_url", self.instance.base_url if self.instance else "")
        if kind == ProviderKind.SCRIPTED and not settings.SCRIPTED_PROVIDER:
            raise serializers.ValidationError({"kind": "Scripted providers are switched off here."})
        if kind == ProviderKind.OPENAI_COMPATIBLE and not base_url:
            raise serializers.ValidationError({"base_url": "An OpenAI-compatible provider needs its address."})
        if base_url and self.context["view"].caller.tenant != PLATFORM:
            problem = unsafe_address(base_url)
            if problem:
                raise serializers.ValidationError({"base_url": problem})
        if attrs.get("tenants") is not None and self.context["view"].caller.tenant != PLATFORM:
            raise serializers.ValidationError({"tenants": "Only the platform shares providers."})
        return attrs


class BreakerSerializer(serializers.Serializer[Any]):
    """Whether a deployment is called. `probed_at`: when the next call may try it again."""

    state = serializers.ChoiceField(choices=["closed", "open"])
    error = serializers.CharField(allow_null=True)
    opened_at = serializers.DateTimeField(allow_null=True)
    probed_at = serializers.DateTimeField(allow_null=True)


class DeploymentSerializer(Strict, serializers.ModelSerializer[Deployment]):
    breaker = serializers.SerializerMethodField()
    provider = Reference(Provider)
    capabilities = serializers.ListField(child=serializers.CharField(max_length=30), required=False, default=list)
    timeout_s = serializers.FloatField(min_value=0.05, max_value=3600, default=120)
    first_token_timeout_s = serializers.FloatField(min_value=0.05, max_value=3600, required=False, allow_null=True)
    max_concurrency = serializers.IntegerField(min_value=1, default=100)

    class Meta:
        model = Deployment
        fields = (
            "id",
            "provider",
            "name",
            "upstream_model",
            "capabilities",
            "max_concurrency",
            "timeout_s",
            "first_token_timeout_s",
            "max_output_tokens",
            "max_input_tokens",
            "breaker",
            "created_at",
        )
        read_only_fields = ("id", "created_at")

    def to_representation(self, instance: Deployment) -> dict[str, Any]:
        return {**super().to_representation(instance), "provider": str(instance.provider_id)}

    @extend_schema_field(BreakerSerializer)
    def get_breaker(self, instance: Deployment) -> dict[str, Any]:
        found = self.context["view"].breakers.get(instance.pk)
        if found is None:
            return {"state": "closed", "error": None, "opened_at": None, "probed_at": None}
        return {"state": "open", "error": found.error or None, "opened_at": found.opened_at, "probed_at": found.until}


class RouteSerializer(Strict):
    deployment = Reference(Deployment)
    name = serializers.CharField(read_only=True, help_text="The deployment's.")
    weight = serializers.IntegerField(min_value=0, default=1)
    priority = serializers.IntegerField(min_value=0, default=1)


class ModelSerializer(Strict, serializers.ModelSerializer[Model]):
    """Who may not see routes sees a model's id and name."""

    sometimes = ("created_at", "deployments")
    strategy = serializers.ChoiceField(choices=Strategy.choices, default=Strategy.PRIORITY)
    deployments = RouteSerializer(many=True)

    class Meta:
        model = Model
        fields = ("id", "name", "strategy", "deployments", "created_at")
        read_only_fields = ("id", "created_at")

    def validate_deployments(self, value: list[Any]) -> list[Any]:
        if not value:
            raise serializers.ValidationError("A model needs at least one deployment.")
        return value

    def to_representation(self, instance: Model) -> dict[str, Any]:
        if not self.context["view"].caller.may("routes.view"):
            return {"id": str(instance.pk), "name": instance.name}
        routes = [
            {
                "deployment": str(route.deployment_id),
                "name": route.deployment.name,
                "weight": route.weight,
                "priority": route.priority,
            }
            for route in instance.routes.all()
        ]
        return {
            "id": str(instance.pk),
            "name": instance.name,
            "strategy": instance.strategy,
            "deployments": routes,
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }


class PriceSerializer(Strict):
    id = serializers.UUIDField(read_only=True)
    deployment = Reference(Deployment)
    kind = serializers.ChoiceField(choices=PRICE_KINDS)
    per_million = serializers.DecimalField(max_digits=18, decimal_places=6, min_value=0)
    valid_from = serializers.DateTimeField()
    source = serializers.CharField(read_only=True)  # type: ignore[assignment]
