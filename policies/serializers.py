"""Policies on the outside."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from rest_framework import serializers

from tenants import references
from tenants.api.fields import Strict
from tenants.data import Caller

from .errors import RulesError
from .models import Policy, PolicyScope
from .rules import ActivePolicy, validate


def valid(rules: Any) -> Any:
    """Rules that mean something in every part."""
    try:
        validate(rules)
    except RulesError as error:
        raise serializers.ValidationError(str(error)) from error
    return rules


class AppliesTo(Strict):
    scope = serializers.ChoiceField(choices=PolicyScope.choices)
    target = serializers.CharField(required=False, allow_null=True, allow_blank=True)


def placed(place: dict[str, Any] | None, caller: Caller) -> tuple[str, UUID | None]:
    """Scope and target of `applies_to`; without it, the whole tenant (for the platform, all of them)."""
    scope = (place or {}).get("scope") or (PolicyScope.PLATFORM if caller.is_platform else PolicyScope.TENANT)
    if (scope == PolicyScope.PLATFORM) != caller.is_platform:
        raise serializers.ValidationError({"applies_to": "The platform's policies are the platform's, and only they."})
    if scope not in (PolicyScope.DEPARTMENT, PolicyScope.KEY):
        return scope, None
    try:
        return scope, references.resolve(scope, (place or {}).get("target") or "")
    except ObjectDoesNotExist as error:
        raise serializers.ValidationError({"applies_to": str(error)}) from error


class PolicySerializer(Strict, serializers.ModelSerializer[Policy]):
    applies_to = AppliesTo(required=False)
    rules = serializers.JSONField()

    class Meta:
        model = Policy
        fields = ("id", "name", "version", "applies_to", "rules", "state", "created_at", "activated_at")
        read_only_fields = ("id", "version", "state", "created_at", "activated_at")

    def validate_rules(self, value: Any) -> Any:
        return valid(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        place = attrs.pop("applies_to", None)
        attrs["scope"], attrs["target"] = placed(place, self.context["view"].caller)
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


class SimulationSerializer(Strict):
    """A policy or rules, and what they are tried on: a text, messages, or the calls since a time."""

    policy = serializers.CharField(required=False)
    rules = serializers.JSONField(required=False)
    applies_to = AppliesTo(required=False)
    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    messages = serializers.ListField(child=serializers.JSONField(), required=False)
    since = serializers.DateTimeField(required=False)

    def validate_rules(self, value: Any) -> Any:
        return valid(value)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _one_of(attrs, ("policy", "rules"))
        _one_of(attrs, ("text", "messages", "since"))
        return attrs


class Named(serializers.Serializer[Any]):
    """A version of a policy, in few words."""

    id = serializers.UUIDField()
    name = serializers.CharField()
    version = serializers.IntegerField()
    scope = serializers.CharField()


class DifferenceSerializer(serializers.Serializer[Any]):
    """One place (`pii.PERSON.action`) and what two versions say there; null: nothing."""

    place = serializers.CharField()
    before = serializers.JSONField()
    after = serializers.JSONField()


class DifferencesSerializer(serializers.Serializer[Any]):
    policy = Named()
    differences = DifferenceSerializer(many=True)

    def get_fields(self) -> dict[str, Any]:
        return {**super().get_fields(), "with": Named(allow_null=True)}  # a word of the language


class HeldSerializer(serializers.Serializer[Any]):
    place = serializers.CharField()
    value = serializers.JSONField()
    set_by = Named()
    locked_by = Named(allow_null=True)


class InEffectSerializer(serializers.Serializer[Any]):
    policy = Named()
    rules = HeldSerializer(many=True)


def label(policy: Policy) -> dict[str, Any]:
    """A version as others name it."""
    return {"id": str(policy.pk), "name": policy.name, "version": policy.version, "scope": policy.scope}


def acting(policy: ActivePolicy) -> dict[str, Any]:
    """The same of a policy that acts."""
    return {"id": str(policy.id), "name": policy.name, "version": policy.version, "scope": policy.scope}


class RedactionSerializer(Strict):
    """A text or messages; `scope` is `request`, `tenant`, or the name of a conversation."""

    text = serializers.CharField(required=False, allow_blank=True, trim_whitespace=False)
    messages = serializers.ListField(child=serializers.JSONField(), required=False)
    language = serializers.CharField(required=False, allow_blank=True, allow_null=True, max_length=35)
    policy = serializers.CharField(required=False, allow_null=True)
    scope = serializers.CharField(required=False, allow_null=True, max_length=200)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        _one_of(attrs, ("text", "messages"))
        return attrs


class RestorationSerializer(Strict):
    """A text with placeholders, and the vault that knows them."""

    text = serializers.CharField(allow_blank=True, trim_whitespace=False)
    vault = serializers.CharField()


def _one_of(attrs: dict[str, Any], names: tuple[str, ...]) -> None:
    if sum(name in attrs for name in names) != 1:
        raise serializers.ValidationError({names[0]: f"Send one of {', '.join(names)}."})
