"""Budgets and reports on the outside."""

from __future__ import annotations

import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from typing import Any
from uuid import UUID

from django.core.exceptions import ObjectDoesNotExist
from django.utils import timezone
from rest_framework import serializers

from tenants import references
from tenants.api.fields import Money, Reference, Strict, plain
from tenants.models import Tenant

from . import mail
from .data import window_of
from .errors import NoMailServer
from .forecasts import forecasts
from .jobs import Wanted, next_time, place_of, window_before
from .models import (
    Budget,
    BudgetRequest,
    BudgetScope,
    Discount,
    Every,
    ExchangeRate,
    Notice,
    Reconciliation,
    Report,
    ReportFormat,
    ReportKind,
    ReportSchedule,
    ReportState,
    Rerating,
)
from .reports import GROUPS, budget_states


class BudgetSerializer(Strict, serializers.ModelSerializer[Budget]):
    """`spent`, `reserved` and `remaining` are those of the present period; `forecast` is how it is likely to end."""

    scope = serializers.ChoiceField(choices=BudgetScope.choices)
    target = serializers.CharField(required=False, allow_null=True, allow_blank=True)
    limit = Money(min_value=Decimal(0))
    warn_at = serializers.ListField(
        child=serializers.DecimalField(max_digits=4, decimal_places=3, min_value=0, max_value=1), required=False
    )

    class Meta:
        model = Budget
        fields = ("id", "scope", "target", "period", "limit", "warn_at", "created_at")
        read_only_fields = ("id", "created_at")

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        scope = attrs.get("scope", self.instance.scope if self.instance else "")
        if "target" in attrs or self.instance is None:
            attrs["target"] = self._target(scope, attrs.get("target") or "")
        return attrs

    def _target(self, scope: str, reference: str) -> Any:
        if scope == BudgetScope.TENANT:
            return None
        try:
            return references.resolve(scope, reference)
        except ObjectDoesNotExist as error:
            raise serializers.ValidationError({"target": str(error)}) from error

    def to_representation(self, instance: Budget) -> dict[str, Any]:
        states = self.context.get("states") or budget_states([instance.pk])
        state = states[instance.pk]
        likely = (self.context.get("forecasts") or forecasts([instance], states))[instance.pk]
        return {
            "id": str(instance.pk),
            "scope": instance.scope,
            "target": str(instance.target) if instance.target else None,
            "period": instance.period,
            "limit": plain(instance.limit),
            "warn_at": [plain(share) for share in instance.warn_at],
            "spent": plain(state.spent),
            "reserved": plain(state.reserved),
            "remaining": plain(state.remaining),
            "renews_at": state.renews_at.isoformat() if state.renews_at else None,
            "forecast": None if likely.spent is None else plain(likely.spent),
            "runs_out_at": likely.runs_out_at.isoformat() if likely.runs_out_at else None,
            "created_at": serializers.DateTimeField().to_representation(instance.created_at),
        }


class Moment(serializers.DateTimeField):
    """A time in ISO 8601, or a date: its beginning, in UTC."""

    def to_internal_value(self, value: Any) -> Any:
        if isinstance(value, str) and len(value) == len("2026-11-25"):
            value += "T00:00:00Z"
        found: datetime = super().to_internal_value(value)
        return found if found.tzinfo else found.replace(tzinfo=UTC)


class GroupBy(serializers.ListField):
    """Groups as a list, or separated by commas as in an address; each once, in the order given."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.ChoiceField(choices=GROUPS), required=False, **options)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            data = [part.strip() for part in data.split(",") if part.strip()]
        return list(dict.fromkeys(super().to_internal_value(data)))


class DepartmentId(serializers.CharField):
    """A department by id or slug."""

    def __init__(self, **options: Any) -> None:
        super().__init__(required=False, allow_null=True, **options)

    def to_internal_value(self, data: Any) -> Any:
        try:
            return references.resolve("department", super().to_internal_value(data))
        except ObjectDoesNotExist as error:
            raise serializers.ValidationError(str(error)) from error

    def to_representation(self, value: Any) -> str:
        return str(value)


#: nobody needs more of a report at once, and what is read must end
LONGEST = timedelta(days=3 * 366)


class ReportSerializer(Strict):
    """What a report is asked for. Without times: a statement of the month before, anything else of the last 30 days."""

    kind = serializers.ChoiceField(choices=ReportKind.choices)
    format = serializers.ChoiceField(choices=ReportFormat.choices, default=ReportFormat.JSON)
    group_by = GroupBy()
    department = DepartmentId()
    currency = serializers.RegexField("^[A-Z]{3}$", required=False)

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is no name that a class can have."""
        return {
            **super().get_fields(),
            "from": Moment(required=False, allow_null=True, source="since"),
            "to": Moment(required=False, allow_null=True, source="until"),
        }

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        check_grouping(attrs)
        since, until = _period(attrs["kind"], attrs.get("since"), attrs.get("until"))
        if since >= until:
            raise serializers.ValidationError({"to": "Must be later than `from`."})
        if until - since > LONGEST:
            raise serializers.ValidationError({"from": "A report covers three years at most."})
        return {**attrs, "since": since, "until": until}


def wanted_of(given: dict[str, Any]) -> Wanted:
    """What a valid ReportSerializer asks for."""
    return Wanted(
        given["kind"],
        given["format"],
        given["since"],
        given["until"],
        given.get("group_by") or (),
        given.get("department"),
        given.get("currency", ""),
    )


def _period(kind: str, since: datetime | None, until: datetime | None) -> tuple[datetime, datetime]:
    now = timezone.now()
    if kind == ReportKind.STATEMENT and since is None and until is None:
        month = window_before(Every.MONTH, now)
        return month.starts, month.ends or now
    if until is None:
        until = window_of("day", now).ends or now
    return since or until - timedelta(days=30), until


def check_grouping(attrs: dict[str, Any]) -> None:
    """Raises ValidationError for a narrowing that the kind does not know."""
    if attrs["kind"] != ReportKind.USAGE and attrs.get("group_by"):
        raise serializers.ValidationError({"group_by": "Only usage is grouped; a statement is by department."})
    if attrs["kind"] != ReportKind.STATEMENT and attrs.get("currency"):
        raise serializers.ValidationError({"currency": "Only a statement is told in another currency."})
    if attrs["kind"] == ReportKind.COMPLIANCE and attrs.get("department"):
        raise serializers.ValidationError({"department": "A compliance report is of the whole tenant."})


def shown_report(report: Report, address: str) -> dict[str, Any]:
    """A report as the outside sees it; `address` is where this installation is reached."""
    ready = report.state == ReportState.SUCCEEDED
    return {
        "id": str(report.pk),
        "kind": report.kind,
        "format": report.format,
        "from": report.since,
        "to": report.until,
        "group_by": report.group_by,
        "department": _id(report.department_id),
        "currency": report.currency or "USD",
        "schedule": _id(report.schedule_id),
        "state": report.state,
        "error": report.error or None,
        "download": address.rstrip("/") + place_of(report) if ready else None,
        "size": report.size if ready else None,
        "sha256": report.digest or None,
        "made_by": report.made_by,
        "created_at": report.created_at,
        "expires_at": report.expires_at,
    }


class WordMap(serializers.DictField):
    """Words to words; in a form as JSON."""

    def __init__(self, **options: Any) -> None:
        super().__init__(child=serializers.CharField(), required=False, **options)

    def get_value(self, dictionary: Any) -> Any:
        return dictionary.get(self.field_name, serializers.empty)

    def to_internal_value(self, data: Any) -> Any:
        if isinstance(data, str):
            try:
                data = json.loads(data)
            except ValueError:
                raise serializers.ValidationError("Must be a JSON object.") from None
        return super().to_internal_value(data)


class ReconciliationSerializer(Strict):
    """A vendor's export: as a file (multipart) or as text (`csv`), and how it is to be read."""

    vendor = serializers.ChoiceField(choices=["openai", "anthropic", "generic"])
    file = serializers.FileField(required=False)
    csv = serializers.CharField(required=False, trim_whitespace=False)
    mapping = WordMap()
    keys = WordMap()
    providers = serializers.ListField(child=serializers.CharField(), required=False)
    tolerance = Money(min_value=Decimal(0), required=False)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if ("file" in attrs) == ("csv" in attrs):
            raise serializers.ValidationError({"file": "Send a file, or its text as `csv`."})
        if "file" in attrs:
            try:
                attrs["csv"] = attrs["file"].read().decode()
            except UnicodeDecodeError:
                raise serializers.ValidationError({"file": "Must be text in UTF-8."}) from None
        return attrs


class DiscountSerializer(Strict):
    """What the platform takes off a tenant's statements; `valid_until` is not included."""

    tenant = Reference(Tenant, by="slug", write_only=True)
    percent = serializers.DecimalField(max_digits=6, decimal_places=3, min_value=0, max_value=100)
    deployment = serializers.UUIDField(source="deployment_id", required=False, allow_null=True)
    valid_from = serializers.DateField()
    valid_until = serializers.DateField(required=False, allow_null=True)

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs.get("valid_until") and attrs["valid_until"] <= attrs["valid_from"]:
            raise serializers.ValidationError({"valid_until": "Must be later than `valid_from`."})
        return attrs


def shown_discount(row: Discount) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "tenants": [str(one) for one in row.shared_with or ()],
        "percent": plain(row.percent),
        "deployment": _id(row.deployment_id),
        "valid_from": row.valid_from,
        "valid_until": row.valid_until,
    }


class ExchangeRateSerializer(Strict):
    """How much of a currency a US dollar is, from a day on."""

    currency = serializers.RegexField("^[A-Z]{3}$")
    per_usd = serializers.DecimalField(max_digits=18, decimal_places=9, min_value=Decimal("0.000000001"))
    valid_from = serializers.DateField()


def shown_rate(row: ExchangeRate) -> dict[str, Any]:
    return {"id": str(row.pk), "currency": row.currency, "per_usd": plain(row.per_usd), "valid_from": row.valid_from}


class BudgetRequestSerializer(Strict):
    """A budget that is to be raised to `limit`, and why."""

    budget = Reference(Budget, by="id")
    limit = Money(min_value=Decimal(0))
    reason = serializers.CharField(max_length=500)


def shown_request(row: BudgetRequest) -> dict[str, Any]:
    return {
        "id": str(row.pk),
        "budget": str(row.budget_id),
        "limit": plain(row.limit),
        "reason": row.reason,
        "state": row.state,
        "asked_by": row.asked_by,
        "decided_by": row.decided_by or None,
        "created_at": row.created_at,
        "decided_at": row.decided_at,
    }


class ReratingSerializer(Strict):
    """A period that is to be rated anew, at the prices as they stand now."""

    def get_fields(self) -> dict[str, serializers.Field[Any, Any, Any, Any]]:
        """`from` is no name that a class can have."""
        return {**super().get_fields(), "from": Moment(source="since"), "to": Moment(source="until")}

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        if attrs["since"] >= attrs["until"]:
            raise serializers.ValidationError({"to": "Must be later than `from`."})
        if attrs["until"] - attrs["since"] > LONGEST:
            raise serializers.ValidationError({"from": "Three years at most are rated at once."})
        return attrs


def shown_rerating(row: Rerating) -> dict[str, Any]:
    """A re-rating as the outside sees it; `total` and `deployments` say what differs, or was corrected."""
    return {
        "id": str(row.pk),
        "from": row.since,
        "to": row.until,
        "state": row.state,
        "error": row.error or None,
        "total": (row.figures or {}).get("total"),
        "deployments": (row.figures or {}).get("deployments"),
        "made_by": row.made_by,
        "applied_by": row.applied_by or None,
        "created_at": row.created_at,
    }


def shown_reconciliation(row: Reconciliation, address: str) -> dict[str, Any]:
    """A reconciliation as the outside sees it, without its lines."""
    ready = row.state == ReportState.SUCCEEDED
    place = f"/api/v1/billing/reconciliations/{row.pk}"
    return {
        "id": str(row.pk),
        "vendor": row.vendor,
        "file_name": row.file_name,
        "first_day": row.first_day,
        "last_day": row.last_day,
        **row.options,
        "tolerance": plain(row.tolerance),
        "state": row.state,
        "error": row.error or None,
        "summary": row.summary,
        "lines": address.rstrip("/") + place + "/lines" if ready else None,
        "download": address.rstrip("/") + place + "/download" if ready else None,
        "made_by": row.made_by,
        "created_at": row.created_at,
    }


def shown_notice(notice: Notice) -> dict[str, Any]:
    """A notice as the outside sees it; `subject` is a budget's or a department's id (null: the whole tenant)."""
    return {
        "id": str(notice.pk),
        "kind": notice.kind,
        "subject": _id(notice.subject),
        "period_starts_at": notice.starts_at,
        "share": None if notice.share is None else plain(notice.share),
        "figures": notice.figures,
        "created_at": notice.created_at,
    }


def _id(value: UUID | None) -> str | None:
    return None if value is None else str(value)


class ReportScheduleSerializer(Strict, serializers.ModelSerializer[ReportSchedule]):
    """A report that is made by itself when its day, week or month is over, and sent to `emails`."""

    format = serializers.ChoiceField(choices=ReportFormat.choices, default=ReportFormat.PDF)
    group_by = GroupBy()
    department = DepartmentId(source="department_id")
    emails = serializers.ListField(child=serializers.EmailField(), required=False, max_length=20)

    class Meta:
        model = ReportSchedule
        fields = (
            *("id", "name", "kind", "format", "group_by", "department", "every", "emails", "active"),
            *("next_at", "made_by", "created_at"),
        )
        read_only_fields = ("id", "next_at", "made_by", "created_at")

    def validate_emails(self, emails: list[str]) -> list[str]:
        if emails:
            try:
                mail.check()
            except NoMailServer as error:
                raise serializers.ValidationError(str(error)) from error
        return list(dict.fromkeys(emails))

    def validate(self, attrs: dict[str, Any]) -> dict[str, Any]:
        before = self.instance
        kind = attrs.get("kind") or (before.kind if before else "")
        given = {
            "kind": kind,
            "group_by": attrs.get("group_by", before.group_by if before else None),
            "department": attrs.get("department_id", before.department_id if before else None),
        }
        check_grouping(given)
        if before is None or "every" in attrs:
            attrs["next_at"] = next_time(attrs.get("every") or (before.every if before else ""), timezone.now())
        return attrs
