"""What the tables of tenants derive from."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models.expressions import Func, Value
from django.db.models.functions import Cast, NullIf

from tenants.ids import uuid7


class OpenTenant(Func):
    """The tenant whose scope is open: PostgreSQL itself stamps it on new rows."""

    function = "current_setting"
    template = "%(function)s('app.tenant', true)"
    output_field = models.TextField()


def open_tenant() -> Cast:
    """Default of a `tenant_id` column; without a scope it is NULL, which the column refuses."""
    return Cast(NullIf(OpenTenant(), Value("")), models.UUIDField())


class TenantForeignKey(models.ForeignKey[Any, Any]):
    """A reference to another row of the same tenant.

    `Wall` makes the constraint: a composite one on (tenant_id, id), so that a row can never point at another tenant's.
    """

    def __init__(self, to: Any, on_delete: Any, **options: Any) -> None:
        options["db_constraint"] = False
        super().__init__(to, on_delete, **options)


class TenantModel(models.Model):
    """A row of one tenant. Its id is unique by itself; the table's primary key is (tenant_id, id)."""

    id = models.UUIDField(primary_key=True, default=uuid7, editable=False)
    tenant = models.ForeignKey(
        "tenants.Tenant",
        models.CASCADE,
        db_default=open_tenant(),
        editable=False,
        db_index=False,
        related_name="+",
    )

    class Meta:
        abstract = True


class SharedModel(TenantModel):
    """A row of one tenant which, when the platform owns it, other tenants may read: all, or those in `shared_with`."""

    shared_with = ArrayField(models.UUIDField(), null=True, blank=True, editable=False)

    class Meta:
        abstract = True
