"""What happened: one append-only record per decision and per change, and the tree and seals that prove it."""

from __future__ import annotations

from django.db import models
from django.db.models.functions import Now

from tenants.isolation.model import TenantForeignKey, TenantModel, open_tenant


class EvidenceModel(TenantModel):
    """A row that outlives its tenant, so the tenant is not a foreign key of the database."""

    tenant = models.ForeignKey(
        "tenants.Tenant",
        models.DO_NOTHING,
        db_default=open_tenant(),
        db_constraint=False,
        db_index=False,
        editable=False,
        related_name="+",
    )

    class Meta:
        abstract = True


class Event(EvidenceModel):
    """One append-only record. Personal data: the acting person's id and name; never prompts, answers or key material.

    `seq` rises in the order of writing; `detail` holds a changed object's columns before and after, without secrets.
    Beside these columns the database keeps in `xact` the transaction that wrote the row (sql/evidence.sql).
    """

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


class Leaf(EvidenceModel):
    """An event's place in its tenant's history, given when it is sealed; `id` is the event's, `hash` its record's.
    Personal data: none.
    """

    position = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        ordering = ["position"]
        verbose_name_plural = "leaves"
        constraints = [models.UniqueConstraint(fields=["tenant", "position"], name="leaf_position")]


class Node(EvidenceModel):
    """The root of a perfect subtree of 2^8, 2^16 or 2^24 leaves. Personal data: none."""

    height = models.PositiveSmallIntegerField()
    index = models.BigIntegerField()
    hash = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "height", "index"], name="node_place")]


class SealKey(EvidenceModel):
    """A key pair that signs a tenant's seals; the private half is encrypted. `line` is the public half as it is
    published, signed by the key before. Personal data: none.
    """

    name = models.CharField(max_length=64)
    line = models.TextField()
    sealed = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["created_at", "id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="seal_key_name")]

    def __str__(self) -> str:
        return self.name


class Seal(EvidenceModel):
    """A signed tree head: the tenant's first `size` events have the root `root`. `line` is the seal as it is published;
    the next one holds its hash. `frontier` lets the tree grow without reading it; `snapshot` and `cluster` tell the
    next seal what this one saw. Personal data: none.
    """

    number = models.BigIntegerField()
    size = models.BigIntegerField()
    time = models.DateTimeField()
    root = models.BinaryField()
    line = models.TextField()
    frontier = models.BinaryField()
    snapshot = models.TextField()
    cluster = models.CharField(max_length=40, blank=True, default="")

    class Meta:
        ordering = ["-number"]
        constraints = [models.UniqueConstraint(fields=["tenant", "number"], name="seal_number")]

    def __str__(self) -> str:
        return f"seal {self.number}"


class Hold(TenantModel):
    """A legal hold: what its filter fits is not removed while it stands, whatever retention or an erasure request says.
    A released one stays on record. Personal data: what its name and reason say; an actor's id in its filter.
    """

    name = models.CharField(max_length=120)
    reason = models.CharField(max_length=1000)
    filter = models.JSONField(default=dict)
    made_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    released_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "name"], condition=models.Q(released_at__isnull=True), name="one_hold_of_a_name"
            )
        ]

    def __str__(self) -> str:
        return self.name


class Body(EvidenceModel):
    """What went out and came back in one call; its id is the request's. Personal data: yes, in `sealed`, encrypted
    under `key`, which is encrypted under the tenant's; `actor_id` and `user_id` say whose call it was.
    """

    mode = models.CharField(max_length=10)
    actor_id = models.CharField(max_length=80)
    user_id = models.UUIDField(null=True)
    department_id = models.UUIDField(null=True)
    key = models.BinaryField()
    sealed = models.BinaryField()
    created_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()

    class Meta:
        ordering = ["-id"]
        verbose_name_plural = "bodies"
        indexes = [models.Index(fields=["tenant", "expires_at"], name="body_expiry")]


class ErasureState(models.TextChoices):
    SEARCHING = "searching"
    FOUND = "found"
    ERASING = "erasing"
    ERASED = "erased"
    FAILED = "failed"


class SubjectType(models.TextChoices):
    EMAIL = "email"
    PHONE = "phone"
    NAME = "name"
    ID = "id"
    USER = "user"
    KEY = "key"


class ErasureRequest(TenantModel):
    """A person asks to be forgotten, or what is kept of them. `value` is who, encrypted, until it is carried out;
    `subject_hash` (keyed) is what remains of it. `found` and `erased` count by kind; `traces` name what was found.
    Personal data: as said, and what `reason` says.
    """

    subject_type = models.CharField(max_length=10, choices=SubjectType.choices)
    subject_hash = models.CharField(max_length=64)
    value = models.BinaryField(null=True, editable=False)
    reason = models.CharField(max_length=1000)
    keep_documents = models.BooleanField(default=False)
    state = models.CharField(max_length=10, choices=ErasureState.choices, default=ErasureState.SEARCHING)
    error = models.CharField(max_length=300, blank=True, default="")
    made_by = models.CharField(max_length=200, blank=True, default="")
    makers = models.JSONField(default=dict)
    executed_by = models.CharField(max_length=200, blank=True, default="")
    found = models.JSONField(default=dict)
    held = models.JSONField(default=dict)
    erased = models.JSONField(default=dict)
    traces = models.JSONField(default=list)
    certificate = models.TextField(blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    finished_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"erasure {self.state}"


class ExportState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


class ExportFormat(models.TextChoices):
    PACK = "pack"
    JSONL = "jsonl"
    CSV = "csv"
    CEF = "cef"


class Export(TenantModel):
    """An export of the trail. Its file lies in parts, encrypted under `key`, which is encrypted itself; both go when it
    expires. Personal data: what the exported records hold, encrypted; the name of who asked for it.
    """

    format = models.CharField(max_length=10, choices=ExportFormat.choices)
    since = models.DateTimeField(null=True)
    until = models.DateTimeField(null=True)
    request_id = models.UUIDField(null=True)
    state = models.CharField(max_length=10, choices=ExportState.choices, default=ExportState.QUEUED)
    error = models.CharField(max_length=300, blank=True, default="")
    made_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    records = models.BigIntegerField(default=0)
    size = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True, default="")
    key = models.BinaryField(null=True)

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.format} {self.state}"


class ExportPart(TenantModel):
    """A part of an export's file, encrypted. Personal data: see Export."""

    export = TenantForeignKey(Export, models.CASCADE)
    number = models.PositiveIntegerField()
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "export", "number"], name="export_part")]
