"""Policies on the outside."""

from __future__ import annotations

from typing import Any

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers

from tenants import references
from tenants.api.fields import Strict

from .errors import RulesError
from .models import Policy, PolicyScope
from .rules import validate


class AppliesTo(Strict):
    scope = serializers.ChoiceField(choices=PolicyScope.choices)
    target = serializers.CharField(required=False, allow_null=True, allow_blank=True)


class PolicySerializer(Strict, serializers.ModelSerializer[Policy]):
    applies_to = AppliesTo(required=False)
    rules = serializers.JSONField()

    class Meta:
        model = Policy
        fields = ("id", "name", "version", "applies_to", "rules", "state", "created_at", "activated_at")
        read_only_fields = ("id", "version", "state", "created_at", "activated_at")

    def validate_rules(self, value: Any) -> Any:
        try:
            validate(value)
        except RulesError as error:
            raise serializers.ValidationError(str(error)) from error
        return value

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        place = attrs.pop("applies_to", {"scope": PolicyScope.TENANT})
        if (place["scope"] == PolicyScope.PLATFORM) != self.context["view"].caller.is_platform:
            raise serializers.ValidationError(
                {"applies_to": "The platform's policies are the platform's, and only they."}
            )
        attrs["scope"], attrs["target"] = place["scope"], None
        if place["scope"] in (PolicyScope.DEPARTMENT, PolicyScope.KEY):
            try:
                attrs["target"] = references.resolve(place["scope"], place.get("target") or "")
            except ObjectDoesNotExist as error:
                raise serializers.ValidationError({"applies_to": str(error)}) from error
        return attrs

    def to_representation(self, instance: Policy) -> dict[str, Any]:
        moment = serializers.DateTimeField().to_representation
        return {
            "id": str(instance.pk),
            "name": instance.name,
            "version": instance.version,
            "applies_to": {"scope": instance.scope, "target": str(instance.target) if instance.target else None},
            "rules": instance.rules,
            "state": instance.state,
            "created_at": moment(instance.created_at),
            "activated_at": moment(instance.activated_at) if instance.activated_at else None,
        }
