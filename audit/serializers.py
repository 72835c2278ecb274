"""Exports on the outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from tenants.api.fields import Strict

from .models import ExportFormat


class Moment(serializers.DateTimeField):
    """A time in ISO 8601, or a date: its beginning, in UTC."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) == len("2026-11-25"):
            value += "T00:00:00Z"
        found: datetime = super().to_internal_value(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class ExportSerializer(Strict):
    """Which records, and in which format. Without any filter: the whole trail."""

    format = serializers.ChoiceField(choices=ExportFormat.choices)
    request_id = serializers.UUIDField(required=False, allow_null=True)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is no name that a class can have."""
        return {
            **super().get_fields(),
            "from": Moment(required=False, allow_null=True, source="since"),
            "to": Moment(required=False, allow_null=True, source="until"),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        since, until = attrs.get("since"), attrs.get("until")
        if since and until and since >= until:
            raise serializers.ValidationError({"to": "Must be later than `from`."})
        return attrs
