"""The price list as administrators keep it: rows are added, never changed."""

from __future__ import annotations

from datetime import datetime
from decimal import Decimal
from uuid import UUID

from django.db.models import QuerySet

from .models import Kind, Price

PRICE_KINDS = Kind.choices


def price_rows() -> QuerySet[Price]:
    """The prices that the open scope may read."""
    return Price.objects.all()


def set_price(
    deployment: UUID,
    *,
    kind: str,
    per_million: Decimal,
    valid_from: datetime,
    shared_with: list[UUID] | None = None,
) -> Price:
    """A price per million tokens from a moment on. The same deployment, kind and moment twice is an IntegrityError."""
    return Price.objects.create(
        deployment_id=deployment, kind=kind, per_million=per_million, valid_from=valid_from, shared_with=shared_with
    )
