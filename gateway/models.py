"""Where calls go: providers, deployments and the model names that clients send."""

from __future__ import annotations

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.utils import timezone

from tenants.isolation.model import SharedModel, TenantForeignKey, TenantModel


class ProviderKind(models.TextChoices):
    OPENAI_COMPATIBLE = "openai_compatible"
    LITELLM = "litellm"
    EXTRACTIVE = "extractive"
    SCRIPTED = "scripted"


class Provider(SharedModel):
    """An account at a vendor, or a self-hosted endpoint. `credential` is sealed. Personal data: none."""

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=20, choices=ProviderKind.choices)
    base_url = models.CharField(max_length=500, blank=True, default="")
    credential = models.BinaryField(null=True, editable=False)
    vendor = models.CharField(max_length=60, blank=True, default="")
    region = models.CharField(max_length=20, blank=True, default="")
    self_hosted = models.BooleanField(default=False)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="provider_name")]

    def __str__(self) -> str:
        return self.name


class Deployment(SharedModel):
    """One model at one provider. Personal data: none."""

    provider = TenantForeignKey(Provider, models.PROTECT, related_name="deployments")
    name = models.CharField(max_length=200)
    upstream_model = models.CharField(max_length=200)
    capabilities = ArrayField(models.CharField(max_length=30), default=list, blank=True)
    max_concurrency = models.PositiveIntegerField(default=100)
    timeout_s = models.FloatField(default=120)
    first_token_timeout_s = models.FloatField(null=True, blank=True)
    max_output_tokens = models.PositiveIntegerField(null=True, blank=True)
    max_input_tokens = models.PositiveIntegerField(null=True, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="deployment_name")]

    def __str__(self) -> str:
        return self.name


class Strategy(models.TextChoices):
    PRIORITY = "priority"
    WEIGHTED = "weighted"
    CHEAPEST = "cheapest"
    FASTEST = "fastest"
    LEAST_BUSY = "least_busy"


class Model(SharedModel):
    """The name that clients send; its routes say which deployments answer. Personal data: none."""

    name = models.CharField(max_length=200)
    strategy = models.CharField(max_length=20, choices=Strategy.choices, default=Strategy.PRIORITY)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["name"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="model_name")]

    def __str__(self) -> str:
        return self.name


class Route(SharedModel):
    """A deployment which may answer for a model. Personal data: none."""

    model = TenantForeignKey(Model, models.CASCADE, related_name="routes")
    deployment = TenantForeignKey(Deployment, models.CASCADE, related_name="routes")
    weight = models.PositiveIntegerField(default=1)
    priority = models.PositiveIntegerField(default=1)

    class Meta:
        ordering = ["priority", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "model", "deployment"], name="route_once")]


class StoredResponse(TenantModel):
    """An answer that a conversation may go on from; its id is that of the request. Personal data: yes, in `sealed`,
    encrypted under a key of the tenant's, until it expires; `owner` is a person's or a key's id.
    """

    owner = models.UUIDField()
    sealed = models.BinaryField(editable=False)
    created_at = models.DateTimeField(default=timezone.now)
    expires_at = models.DateTimeField()

    class Meta:
        indexes = [models.Index(fields=["tenant", "expires_at"], name="stored_response_expiry")]
