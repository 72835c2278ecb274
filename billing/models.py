"""Can they pay, and what did it cost: prices, budgets, leases and the ledger of usage. Money is exact US dollars."""

from __future__ import annotations

from typing import Any

from django.contrib.postgres.fields import ArrayField
from django.db import models
from django.db.models import F, Q
from django.db.models.functions import Now

from tenants.isolation.model import SharedModel, TenantForeignKey, TenantModel, open_tenant


class Kind(models.TextChoices):
    """Disjoint kinds of tokens: their sum is what the vendor counted."""

    INPUT = "input"
    CACHED_INPUT = "cached_input"
    CACHE_WRITE = "cache_write"
    OUTPUT = "output"
    REASONING = "reasoning"
    AUDIO = "audio"
    IMAGE = "image"
    EMBEDDING = "embedding"
    RERANK = "rerank"


def money(**options: object) -> models.DecimalField[Any, Any]:
    """A column of US dollars, exact to the pico-dollar."""
    return models.DecimalField(max_digits=24, decimal_places=12, **options)  # type: ignore[arg-type]


def collections_of_passages() -> ArrayField[Any, Any]:
    """A column of the collections that a call's passages came from, in rising order. Usually none, or one."""
    return ArrayField(models.UUIDField(), default=list, db_default=[])


class Price(SharedModel):
    """What a million tokens of one kind cost at a deployment, from `valid_from` until the next row of that kind begins.

    Six decimals per million make one token's price a whole number of pico-dollars. Personal data: none.
    """

    deployment_id = models.UUIDField()
    kind = models.CharField(max_length=20, choices=Kind.choices)
    per_million = models.DecimalField(max_digits=18, decimal_places=6)
    valid_from = models.DateTimeField()
    source = models.CharField(max_length=80, default="manual")
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        ordering = ["deployment_id", "kind", "-valid_from"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "deployment_id", "kind", "valid_from"], name="one_price_at_a_time"
            ),
            models.CheckConstraint(condition=Q(per_million__gte=0), name="price_not_negative"),
        ]


class BudgetScope(models.TextChoices):
    TENANT = "tenant"
    DEPARTMENT = "department"
    USER = "user"
    KEY = "key"
    MODEL = "model"


class Budget(TenantModel):
    """A limit per period. `target` is the id of the department, user, key or model (null: the tenant itself).

    Personal data: a person's id where the scope is a user.
    """

    scope = models.CharField(max_length=20, choices=BudgetScope.choices)
    target = models.UUIDField(null=True, blank=True)
    period = models.CharField(max_length=10, choices=[("day", "day"), ("month", "month"), ("total", "total")])
    limit = money()
    warn_at = ArrayField(models.DecimalField(max_digits=4, decimal_places=3), default=list, blank=True)
    created_at = models.DateTimeField(auto_now_add=True)

    class Meta:
        constraints = [models.CheckConstraint(condition=Q(limit__gte=0), name="budget_not_negative")]


class BudgetWindow(TenantModel):
    """One period of a budget. Its start is part of its key, so nothing is ever reset. Personal data: none.

    `reserved` is held by leases; `overrun` is what a vendor charged beyond a reservation (recorded, never hidden).
    """

    budget = TenantForeignKey(Budget, models.CASCADE, related_name="windows", db_index=False)
    starts_at = models.DateTimeField()
    limit = money()
    spent = money(default=0)
    reserved = money(default=0)
    overrun = money(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "budget", "starts_at"], name="one_window_per_period"),
            models.CheckConstraint(condition=Q(reserved__gte=0) & Q(spent__gte=0), name="window_not_negative"),
            models.CheckConstraint(condition=Q(limit__gte=F("spent") + F("reserved")), name="never_overspent"),
        ]


class Lease(TenantModel):
    """A slice of a budget's window held by one worker, which spends it without asking. It ends with its worker.

    `amount` is part of the window's `reserved`; `spent` is what of it has been spent and not yet been moved to the
    window, so that workers never wait for each other to settle a call. Personal data: none.
    """

    window = TenantForeignKey(BudgetWindow, models.CASCADE, related_name="leases", db_index=False)
    worker = models.UUIDField()
    amount = money()
    spent = money(default=0)
    overrun = money(default=0)

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "window", "worker"], name="one_lease_per_worker"),
            models.CheckConstraint(condition=Q(spent__gte=0) & Q(overrun__gte=0), name="lease_not_negative"),
            models.CheckConstraint(condition=Q(amount__gte=F("spent")), name="lease_never_overspent"),
        ]


class Worker(TenantModel):
    """A server process that holds leases and has calls running; the platform's rows. Personal data: none.

    It says every few seconds that it lives. When it falls silent, the sweeper settles what it left open.
    """

    started_at = models.DateTimeField(db_default=Now())
    seen_at = models.DateTimeField(db_default=Now())
    oldest_call = models.DateTimeField(db_default=Now())
    suspected_at = models.DateTimeField(null=True)
    swept_at = models.DateTimeField(null=True)


class Usage(TenantModel):
    """Tokens and cost of one attempt at a provider; the ledger. Never updated. Personal data: the caller's user id.

    Names stand beside ids, because the ledger outlives what it names: its tenant is not a foreign key, either, which
    spares every call two look-ups. `final` marks the attempt that ended the call; its id is the outcome event's.
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
    request_id = models.UUIDField()
    attempt = models.PositiveSmallIntegerField(default=1)
    time = models.DateTimeField(db_default=Now())
    department_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    model_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    deployment_id = models.UUIDField(null=True)
    deployment = models.CharField(max_length=200, default="")
    input_tokens = models.BigIntegerField(default=0)
    cached_input_tokens = models.BigIntegerField(default=0)
    cache_write_tokens = models.BigIntegerField(default=0)
    output_tokens = models.BigIntegerField(default=0)
    reasoning_tokens = models.BigIntegerField(default=0)
    cost = money(default=0)
    estimated = models.BooleanField(default=False)
    final = models.BooleanField(default=True)
    collections = collections_of_passages()

    class Meta:
        constraints = [
            models.UniqueConstraint(fields=["tenant", "request_id", "attempt"], name="one_charge_per_attempt")
        ]


class Rollup(TenantModel):
    """The ledger by day (UTC) and everything that usage is asked by. Personal data: the caller's user id.

    A trigger on the ledger adds rows in the ledger's own transaction (sql/rollup.sql), so the sums of this table are
    the ledger's at every moment. Several rows may stand for the same day and names: writers only add, and what they
    added is `merged` behind them (compact.sql).
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
    day = models.DateField()
    department_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    model_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    deployment_id = models.UUIDField(null=True)
    deployment = models.CharField(max_length=200, default="")
    collections = collections_of_passages()
    calls = models.BigIntegerField()
    attempts = models.BigIntegerField()
    estimated = models.BigIntegerField()
    input_tokens = models.BigIntegerField()
    cached_input_tokens = models.BigIntegerField()
    cache_write_tokens = models.BigIntegerField()
    output_tokens = models.BigIntegerField()
    reasoning_tokens = models.BigIntegerField()
    cost = money()
    last_at = models.DateTimeField(null=True)
    merged = models.BooleanField(default=False)

    class Meta:
        indexes = [models.Index(fields=["tenant", "day"], name="rollup_day")]


class ReportKind(models.TextChoices):
    USAGE = "usage"
    STATEMENT = "statement"
    COMPLIANCE = "compliance"


class ReportFormat(models.TextChoices):
    JSON = "json"
    CSV = "csv"
    XLSX = "xlsx"
    PDF = "pdf"


class ReportState(models.TextChoices):
    QUEUED = "queued"
    RUNNING = "running"
    SUCCEEDED = "succeeded"
    FAILED = "failed"
    EXPIRED = "expired"


class Every(models.TextChoices):
    DAY = "day"
    WEEK = "week"
    MONTH = "month"


class ReportSchedule(TenantModel):
    """A report that is made by itself, over the day, week (from Monday) or month (UTC) that has ended, and sent.

    Personal data: e-mail addresses; the name of who made it.
    """

    name = models.CharField(max_length=120)
    kind = models.CharField(max_length=12, choices=ReportKind.choices)
    format = models.CharField(max_length=5, choices=ReportFormat.choices)
    group_by = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    department_id = models.UUIDField(null=True, blank=True)
    every = models.CharField(max_length=5, choices=Every.choices)
    emails = ArrayField(models.EmailField(), default=list, blank=True)
    active = models.BooleanField(default=True)
    next_at = models.DateTimeField()
    made_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [models.UniqueConstraint(fields=["tenant", "name"], name="one_schedule_of_a_name")]

    def __str__(self) -> str:
        return self.name


class Report(TenantModel):
    """A report over a period (`until` not included): asked for, made by a worker, fetched, forgotten when it expires.

    `department_id` narrows it to one department. Personal data: the name of who asked for it.
    """

    kind = models.CharField(max_length=12, choices=ReportKind.choices)
    format = models.CharField(max_length=5, choices=ReportFormat.choices)
    since = models.DateTimeField()
    until = models.DateTimeField()
    group_by = ArrayField(models.CharField(max_length=20), default=list, blank=True)
    department_id = models.UUIDField(null=True)
    currency = models.CharField(max_length=3, blank=True, default="")
    schedule = TenantForeignKey(ReportSchedule, models.DO_NOTHING, null=True, db_index=False, related_name="reports")
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.QUEUED)
    error = models.CharField(max_length=300, blank=True, default="")
    made_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())
    expires_at = models.DateTimeField()
    size = models.BigIntegerField(default=0)
    digest = models.CharField(max_length=64, blank=True, default="")

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_kind_display()} {self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"


class ReportFile(TenantModel):
    """What a report holds; beside it, so that lists do not read it. Personal data: names of people and keys."""

    report = TenantForeignKey(Report, models.CASCADE)
    data = models.BinaryField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "report"], name="one_file_of_a_report")]


class MailState(models.TextChoices):
    PENDING = "pending"
    SENT = "sent"
    FAILED = "failed"


class Mail(TenantModel):
    """A message to one person, written with what it tells of and sent behind it, again until the server takes it.

    Personal data: an e-mail address; what the message says.
    """

    to = models.EmailField()
    subject = models.CharField(max_length=200)
    body = models.TextField()
    report = TenantForeignKey(Report, models.CASCADE, null=True, db_index=False)
    state = models.CharField(max_length=10, choices=MailState.choices, default=MailState.PENDING)
    attempts = models.PositiveSmallIntegerField(default=0)
    error = models.CharField(max_length=300, blank=True, default="")
    next_at = models.DateTimeField(db_default=Now())
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        indexes = [models.Index(fields=["tenant", "next_at"], condition=Q(state="pending"), name="mail_due")]


class NoticeKind(models.TextChoices):
    BUDGET_WARNING = "budget_warning"
    BUDGET_EXHAUSTED = "budget_exhausted"
    UNUSUAL_SPENDING = "unusual_spending"
    UNUSUAL_REFUSALS = "unusual_refusals"


class Notice(TenantModel):
    """Something about money that people were told of, once: of a budget (`subject`) and period, or of a day and a
    department (`subject`; null: the tenant). `share` is the threshold that a budget passed. Personal data: none.
    """

    kind = models.CharField(max_length=20, choices=NoticeKind.choices)
    subject = models.UUIDField(null=True)
    starts_at = models.DateTimeField()
    share = models.DecimalField(max_digits=4, decimal_places=3, null=True)
    figures = models.JSONField(default=dict)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "kind", "subject", "starts_at", "share"],
                nulls_distinct=False,
                name="one_notice_of_a_thing",
            )
        ]


class RefusalDay(TenantModel):
    """How many calls were turned away on a day (UTC) that is over: what is usual. Personal data: none."""

    day = models.DateField()
    refused = models.BigIntegerField()

    class Meta:
        constraints = [models.UniqueConstraint(fields=["tenant", "day"], name="one_count_of_a_day")]


class Reconciliation(TenantModel):
    """A vendor's export against the ledger: `told` is what the file says, `lines` what the comparison found.

    Personal data: the name of who made it.
    """

    vendor = models.CharField(
        max_length=10, choices=[("openai", "OpenAI"), ("anthropic", "Anthropic"), ("generic", "Other")]
    )
    file_name = models.CharField(max_length=200, blank=True, default="")
    first_day = models.DateField()
    last_day = models.DateField()
    options = models.JSONField(default=dict)
    tolerance = money()
    told = models.JSONField(default=list)
    lines = models.JSONField(null=True)
    summary = models.JSONField(null=True)
    state = models.CharField(max_length=10, choices=ReportState.choices, default=ReportState.QUEUED)
    error = models.CharField(max_length=300, blank=True, default="")
    made_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"{self.get_vendor_display()} {self.first_day} – {self.last_day}"


class ReratingState(models.TextChoices):
    QUEUED = "queued"
    DRAFTED = "drafted"
    APPLYING = "applying"
    APPLIED = "applied"
    FAILED = "failed"


class Rerating(TenantModel):
    """A period that was rated anew: first a dry run (`drafted`), then its corrections, if somebody wants them.

    Personal data: the names of who made and applied it.
    """

    since = models.DateTimeField()
    until = models.DateTimeField()
    state = models.CharField(max_length=10, choices=ReratingState.choices, default=ReratingState.QUEUED)
    figures = models.JSONField(null=True)
    error = models.CharField(max_length=300, blank=True, default="")
    made_by = models.CharField(max_length=200, blank=True, default="")
    applied_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    changed_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-id"]

    def __str__(self) -> str:
        return f"Re-rating {self.since:%Y-%m-%d} – {self.until:%Y-%m-%d}"


class Correction(TenantModel):
    """What is added to the cost of one row of the ledger (`usage_id`); never updated, as the ledger. It repeats what
    usage is asked by, and the corrected row's time. Personal data: the caller's user id.
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
    usage_id = models.UUIDField()
    rerating_id = models.UUIDField()
    time = models.DateTimeField()
    department_id = models.UUIDField(null=True)
    user_id = models.UUIDField(null=True)
    key_id = models.UUIDField(null=True)
    model_id = models.UUIDField(null=True)
    model = models.CharField(max_length=200)
    deployment_id = models.UUIDField(null=True)
    deployment = models.CharField(max_length=200, default="")
    collections = collections_of_passages()
    cost = money()

    class Meta:
        indexes = [models.Index(fields=["tenant", "time"], name="correction_time")]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "usage_id", "rerating_id"], name="one_correction_of_a_row")
        ]


class Discount(SharedModel):
    """What the platform's contract with a tenant takes off its statements, in percent, from `valid_from` to before
    `valid_until`: of one deployment, or (null) of all. Budgets and ledger know list prices alone. Personal data: none.
    """

    percent = models.DecimalField(max_digits=6, decimal_places=3)
    deployment_id = models.UUIDField(null=True)
    valid_from = models.DateField()
    valid_until = models.DateField(null=True)
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["-valid_from", "-id"]
        constraints = [
            models.CheckConstraint(condition=Q(percent__gte=0) & Q(percent__lte=100), name="discount_is_a_part")
        ]


class ExchangeRate(SharedModel):
    """How much of a currency (ISO 4217) a US dollar is, from a day on; for statements alone. Personal data: none."""

    currency = models.CharField(max_length=3)
    per_usd = models.DecimalField(max_digits=18, decimal_places=9)
    valid_from = models.DateField()
    created_at = models.DateTimeField(db_default=Now())

    class Meta:
        ordering = ["currency", "-valid_from"]
        constraints = [
            models.UniqueConstraint(fields=["tenant", "currency", "valid_from"], name="one_rate_a_day"),
            models.CheckConstraint(condition=Q(per_usd__gt=0), name="rate_is_positive"),
        ]


class RequestState(models.TextChoices):
    OPEN = "open"
    APPROVED = "approved"
    REFUSED = "refused"


class BudgetRequest(TenantModel):
    """Somebody's wish that a budget be raised to `limit`, and what became of it. Personal data: names and ids of who
    asked and who decided; what the reason says.
    """

    budget = TenantForeignKey(Budget, models.CASCADE, related_name="requests", db_index=False)
    limit = money()
    reason = models.CharField(max_length=500)
    state = models.CharField(max_length=10, choices=RequestState.choices, default=RequestState.OPEN)
    asked_by = models.CharField(max_length=200)
    asked_by_id = models.CharField(max_length=80)
    decided_by = models.CharField(max_length=200, blank=True, default="")
    created_at = models.DateTimeField(db_default=Now())
    decided_at = models.DateTimeField(null=True)

    class Meta:
        ordering = ["-id"]
        constraints = [
            models.UniqueConstraint(
                fields=["tenant", "budget", "asked_by_id"], condition=Q(state="open"), name="one_open_request_each"
            )
        ]

    def __str__(self) -> str:
        return f"Request of {self.asked_by}"
