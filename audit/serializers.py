"""Exports, holds and erasure requests on the outside."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any

from rest_framework import serializers

from tenants.api.fields import Strict

from .models import ErasureRequest, ExportFormat, Hold, SubjectType
from .services import department_id


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


#: what a hold's filter may name, and how it is read; times bound when something happened, `to` not included
HOLD_FILTER: dict[str, type[serializers.Field[Any, Any, Any, Any]]] = {
    "from": Moment,
    "to": Moment,
    "actor": serializers.CharField,
    "department": serializers.CharField,
    "request_id": serializers.UUIDField,
    "object_type": serializers.CharField,
    "object_id": serializers.CharField,
}


class HoldSerializer(Strict, serializers.ModelSerializer[Hold]):
    """What is held: `filter` names any of HOLD_FILTER; without one, everything is."""

    filter = serializers.DictField(required=False)

    class Meta:
        model = Hold
        fields = ("id", "name", "reason", "filter", "made_by", "created_at", "released_at")
        read_only_fields = ("id", "made_by", "created_at", "released_at")

    def validate_filter(self, given: dict[str, Any]) -> dict[str, Any]:
        unknown = sorted(set(given) - set(HOLD_FILTER))
        if unknown:
            raise serializers.ValidationError(f"{', '.join(unknown)}: one holds by {', '.join(HOLD_FILTER)}.")
        return {name: self._checked(name, value) for name, value in given.items()}

    def _checked(self, name: str, value: Any) -> str:
        field = HOLD_FILTER[name]()
        read = field.run_validation(value)
        return str(field.to_representation(department_id(read) if name == "department" else read))


class SubjectSerializer(Strict):
    """Who is meant: a value as it stands in texts, or a person or key whose calls are meant, by id."""

    type = serializers.ChoiceField(choices=SubjectType.choices)
    value = serializers.CharField(max_length=300)


class ErasureSerializer(Strict):
    """Who is to be forgotten, and why. `documents` says whether documents that name them go as well."""

    subject = SubjectSerializer()
    reason = serializers.CharField(max_length=1000)
    documents = serializers.ChoiceField(choices=["erase", "keep"], default="erase")


class ErasureShown(serializers.ModelSerializer[ErasureRequest]):
    """A request as it stands; `value` of its subject is never shown again."""

    subject = serializers.SerializerMethodField()
    documents = serializers.SerializerMethodField()

    class Meta:
        model = ErasureRequest
        fields = (
            *("id", "subject", "reason", "documents", "state", "error", "found", "held", "erased", "traces"),
            *("made_by", "executed_by", "created_at", "changed_at", "finished_at"),
        )
        read_only_fields = fields

    def get_subject(self, request: ErasureRequest) -> dict[str, str]:
        return {"type": request.subject_type, "hash": request.subject_hash}

    def get_documents(self, request: ErasureRequest) -> str:
        return "keep" if request.keep_documents else "erase"
