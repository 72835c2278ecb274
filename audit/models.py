"""What happened: one append-only record per decision and per change."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.isolation.model import TenantModel, open_tenant


class Event(TenantModel):
    """One append-only record. Personal data: the acting person's id and name; never prompts, answers or key material.

    `seq` rises in the order of writing; `detail` holds a changed object's columns before and after, without secrets.
    An event outlives its tenant, so the tenant is not a foreign key of the database.
    """

    tenant = models.ForeignKey(
        "tenants.Tenant",
        models.DO_NOTHING,
        db_default=open_tenant(),
        db_constraint=False,
        db_index=False,
        editable=False,
        related_name="+",
    )
    seq = models.BigIntegerField(editable=False, db_default=0)
    time = models.DateTimeField(db_default=Now())
    action = models.CharField(max_length=80)
    decision = models.CharField(max_length=5, choices=[("allow", "allow"), ("deny", "deny")], default="allow")
    reason = models.CharField(max_length=300, blank=True, default="")
    request_id = models.UUIDField(null=True)
    actor_type = models.CharField(max_length=20)
    actor_id = models.CharField(max_length=80, blank=True, default="")
    actor_name = models.CharField(max_length=200, blank=True, default="")
    department_id = models.UUIDField(null=True)
    object_type = models.CharField(max_length=60, blank=True, default="")
    object_id = models.CharField(max_length=80, blank=True, default="")
    policy = models.CharField(max_length=120, blank=True, default="")
    model = models.CharField(max_length=200, blank=True, default="")
    deployment = models.CharField(max_length=200, blank=True, default="")
    region = models.CharField(max_length=20, blank=True, default="")
    entities = models.JSONField(default=dict)
    passages = models.JSONField(default=list)
    tokens = models.JSONField(default=dict)
    cost = models.DecimalField(max_digits=24, decimal_places=12, null=True)
    latency_ms = models.FloatField(null=True)
    detail = models.JSONField(default=dict)

    class Meta:
        ordering = ["-id"]
        # Somebody's own calls, newest first, in a trail of millions.
        indexes = [models.Index(fields=["tenant", "actor_id", "id"], name="event_actor")]
        constraints = [
            # Of one call (and, beside calls, of one request and object) each thing happened once: two writers of the
            # same outcome, a worker and the sweeper, cannot both be believed.
            models.UniqueConstraint(
                fields=["tenant", "request_id", "action", "object_id"],
                condition=models.Q(request_id__isnull=False),
                name="event_once_per_request",
            )
        ]

    def __str__(self) -> str:
        return f"{self.action} {self.decision}"
