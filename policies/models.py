"""May they, and what must not leave: versioned policies and the vault's sealed entries."""

from __future__ import annotations

from django.db import models

from tenants.isolation.model import SharedModel, TenantModel


class PolicyScope(models.TextChoices):
    PLATFORM = "platform"
    TENANT = "tenant"
    DEPARTMENT = "department"
    KEY = "key"


class PolicyState(models.TextChoices):
    DRAFT = "draft"
    ACTIVE = "active"
    ARCHIVED = "archived"


class Policy(SharedModel):
    """A versioned, immutable document of rules. Draft, then active, then archived; at most one is active for a scope
    and target. `target` is a department's or key's id, null for tenant and platform. Personal data: none by intent
    (deny- and allow-lists may hold names that the tenant wrote there).
    """

    name = models.CharField(max_length=120)
    version = models.PositiveIntegerField(default=1)
    scope = models.CharField(max_length=20, choices=PolicyScope.choices)
    target = models.UUIDField(null=True, blank=True)
    rules = models.JSONField(default=dict)
    state = models.CharField(max_length=20, choices=PolicyState.choices, default=PolicyState.DRAFT, editable=False)
    created_at = models.DateTimeField(auto_now_add=True)
    activated_at = models.DateTimeField(null=True, editable=False)
    # {"own": ["key:<id>", "user:<id>"], "makers": […]}: whose second pair of eyes would be the same one
    written_by = models.JSONField(default=dict, editable=False)

    class Meta:
        ordering = ["name", "-version"]
        verbose_name_plural = "policies"
        constraints = [
            models.UniqueConstraint(fields=["tenant", "name", "version"], name="policy_version"),
            models.UniqueConstraint(
                fields=["tenant", "scope", "target"],
                condition=models.Q(state="active"),
                nulls_distinct=False,
                name="one_active_policy",
            ),
        ]

    def __str__(self) -> str:
        return f"{self.name}@{self.version}"


class VaultEntry(TenantModel):
    """A sealed map from placeholders to originals, kept for `restore` until it expires, for whom it was made for.
    Personal data: yes, encrypted under the tenant's key.
    """

    principal = models.CharField(max_length=80, default="")
    sealed = models.BinaryField()
    created_at = models.DateTimeField(auto_now_add=True)
    expires_at = models.DateTimeField()

    class Meta:
        verbose_name_plural = "vault entries"
        indexes = [models.Index(fields=["tenant", "expires_at"], name="vault_entry_expiry")]
