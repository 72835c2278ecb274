"""Serializers that refuse what they do not know, and fields of the contract."""

from __future__ import annotations

from decimal import Decimal
from typing import Any, ClassVar
from uuid import UUID

from django.db.models import Model
from drf_spectacular.types import OpenApiTypes
from drf_spectacular.utils import extend_schema_field
from rest_framework import serializers

from tenants.isolation.scope import CLEARANCES


class Strict(serializers.Serializer[Any]):
    """An unknown field is an error that names it, so that a misspelt one is never silently without effect.

    For the OpenAPI document: `sometimes` are fields that not every answer has, `shown` texts that answers have besides.
    """

    sometimes: ClassVar[tuple[str, ...]] = ()
    shown: ClassVar[tuple[str, ...]] = ()

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            unknown = sorted(set(data) - set(self.fields))
            if unknown:
                raise serializers.ValidationError(dict.fromkeys(unknown, "This field is unknown."))
        return super().to_internal_value(data)


@extend_schema_field(OpenApiTypes.STR)
class Reference(serializers.Field[Any, Any, Any, Any]):
    """Another object, by id or by name; shown as `{"id", "name"}`'s id, or as its name."""

    def __init__(self, model: type[Model], by: str = "name", **options: Any) -> None:
        self._model, self._by = model, by
        super().__init__(**options)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, dict):
            data = data.get("id")
        if not isinstance(data, str) or not data:
            raise serializers.ValidationError("Must be an id or a name.")
        found = self._found(data)
        if found is None:
            raise serializers.ValidationError(f"There is no {self._model._meta.verbose_name} {data!r}.")
        return found

    def _found(self, data: str) -> Any:
        rows = self._model._default_manager.all()
        try:
            return rows.filter(pk=UUID(data)).first() or rows.filter(**{self._by: data}).first()
        except ValueError:
            return rows.filter(**{self._by: data}).first()

    def to_representation(self, value: Any) -> str:
        return str(getattr(value, self._by))


@extend_schema_field({"type": "string", "enum": list(CLEARANCES)})
class Clearance(serializers.Field[Any, Any, Any, Any]):
    """public, internal, confidential or restricted."""

    def to_internal_value(self, data: Any) -> int:
        if data not in CLEARANCES:
            raise serializers.ValidationError("Must be one of " + ", ".join(CLEARANCES) + ".")
        return CLEARANCES.index(data)

    def to_representation(self, value: int) -> str:
        return CLEARANCES[value]


@extend_schema_field({"type": ["string", "null"], "enum": [*CLEARANCES, None]})
class MaybeClearance(Clearance):
    """A clearance, or none."""


class Money(serializers.DecimalField):
    """US dollars, exact, never in exponent form."""

    def __init__(self, **options: Any) -> None:
        super().__init__(max_digits=24, decimal_places=12, min_value=options.pop("min_value", None), **options)

    def to_representation(self, value: Any) -> str:
        return plain(Decimal(value))


def plain(value: Decimal) -> str:
    """A decimal with at least two and at most the digits that it has."""
    text = f"{value:f}"
    whole, _, part = text.partition(".")
    return f"{whole}.{part.rstrip('0').ljust(2, '0')}"
