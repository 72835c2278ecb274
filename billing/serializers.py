"""Budgets on the outside."""

from __future__ import annotations

from decimal import Decimal
from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers

from tenants import references
from tenants.api.fields import Money, Strict, plain

from .models import Budget, BudgetScope
from .reports import budget_states


class BudgetSerializer(Strict, serializers.ModelSerializer[Budget]):
    """`spent`, `reserved` and `remaining` are those of the present period."""

    scope = serializers.ChoiceField(choices=BudgetScope.choices)
    target = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    limit = Money(min_value=Decimal(0))
    warn_at = serializers.ListField(
        child=serializers.DecimalField(max_digits=4, decimal_places=3, min_value=0, max_value=1), required=False
    )

    class Meta:
        model = Budget
        fields = ("id", "scope", "target", "period", "limit", "warn_at", "created_at")
        read_only_fields = ("id", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        scope = attrs.get("scope", self.instance.scope if self.instance else "")
        if "target" in attrs or self.instance is None:
            attrs["target"] = self._target(scope, attrs.get("target") or "")
        return attrs

    def _target(self, scope: str, reference: str) -> Any:
        if scope == BudgetScope.TENANT:
            return None
        try:
            return references.resolve(scope, reference)
        except ObjectDoesNotExist as error:
            raise serializers.ValidationError({"target": str(error)}) from error

    def to_representation(self, instance: Budget) -> dict[str, Any]:
        states = self.context.get("states") or budget_states([instance.pk])
        state = states[instance.pk]
        return {
            "id": str(instance.pk),
            "scope": instance.scope,
            "target": str(instance.target) if instance.target else None,
            "period": instance.period,
            "limit": plain(instance.limit),
            "warn_at": [plain(share) for share in instance.warn_at],
            "spent": plain(state.spent),
            "reserved": plain(state.reserved),
            "remaining": plain(state.remaining),
            "renews_at": state.renews_at.isoformat() if state.renews_at else None,
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }
