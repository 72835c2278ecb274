"""Reports: asked for or due by a schedule, made by a worker, fetched, sent, forgotten when they expire.

asked for ──► queued ──► running ──► succeeded ──► expired
                 ▲          │ worker died │
                 └──────────┴─► failed ◄──┘
"""

from __future__ import annotations

import logging
from collections.abc import Sequence
from dataclasses import dataclass
from datetime import UTC, datetime, timedelta
from hashlib import sha256
from uuid import UUID

from django.utils import timezone

from audit.services import Action, record
from tenants import references
from tenants.isolation import current, scope
from tenants.models import Tenant

from . import mail
from .content import Content, content_of, total_of
from .data import Window
from .errors import BillingError
from .formats import file_of
from .models import Every, Report, ReportFile, ReportSchedule, ReportState

log = logging.getLogger("customhouse.reports")

KEPT = timedelta(days=30)
#: a queued report whose message was lost, and a running one whose worker died, are handed out again after
LOST_AFTER, DEAD_AFTER = timedelta(minutes=2), timedelta(hours=1)
MAKER = {"type": "system", "id": "", "name": "reports"}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked for: `since` to before `until`."""

    kind: str
    format: str
    since: datetime
    until: datetime
    group_by: Sequence[str] = ()
    department: UUID | None = None
    currency: str = ""


def ask(wanted: Wanted, made_by: str, schedule: ReportSchedule | None = None) -> Report:
    """Writes down that a report is wanted, in the open scope, and records it. Hand it to `tasks.dispatch` then."""
    made = Report.objects.create(
        kind=wanted.kind,
        format=wanted.format,
        since=wanted.since,
        until=wanted.until,
        group_by=list(wanted.group_by),
        department_id=wanted.department,
        currency=wanted.currency,
        schedule=schedule,
        made_by=made_by[:200],
        expires_at=timezone.now() + KEPT,
    )
    detail = {"kind": wanted.kind, "format": wanted.format, "from": wanted.since, "to": wanted.until}
    record(Action.REPORT_MAKE, object_type="report", object_id=str(made.pk), detail=detail)
    return made


def make(tenant: UUID, report: UUID) -> None:
    """Makes a queued report. What goes wrong leaves it failed, with the reason."""
    with scope(tenant, actor=MAKER):
        claimed = Report.objects.filter(pk=report, state=ReportState.QUEUED)
        if not claimed.update(state=ReportState.RUNNING, changed_at=timezone.now()):
            return
    try:
        with scope(tenant, actor=MAKER):
            _make(Report.objects.select_related("schedule").get(pk=report))
    except Exception as error:
        if not isinstance(error, BillingError):
            log.exception("report %s failed", report)
        reason = str(error) if isinstance(error, BillingError) else type(error).__name__
        with scope(tenant):
            Report.objects.filter(pk=report, state=ReportState.RUNNING).update(
                state=ReportState.FAILED, error=reason[:300], changed_at=timezone.now()
            )


def _make(report: Report) -> None:
    tenant = Tenant.objects.get(pk=current())
    names = references.names("department", [report.department_id] if report.department_id else [])
    department = None if report.department_id is None else names.get(report.department_id, str(report.department_id))
    content = content_of(report, tenant.name, department)
    data = file_of(content, report.format)
    ReportFile.objects.filter(report=report).delete()
    ReportFile.objects.create(report=report, data=data)
    Report.objects.filter(pk=report.pk).update(
        state=ReportState.SUCCEEDED, size=len(data), digest=sha256(data).hexdigest(), changed_at=timezone.now()
    )
    detail = {
        "kind": report.kind,
        "format": report.format,
        "from": report.since,
        "to": report.until,
        "schedule": report.schedule.name if report.schedule else None,
        "total": total_of(content),
        "download": place_of(report),
    }
    record(Action.REPORT_READY, object_type="report", object_id=str(report.pk), detail=detail)
    if report.schedule is not None:
        _send(report, report.schedule, content)


def _send(report: Report, schedule: ReportSchedule, content: Content) -> None:
    facts = "\n".join(f"{name}: {value}" for name, value in content.facts)
    last = report.until - timedelta(microseconds=1)
    body = f"{content.title} of {content.tenant}, {report.since:%Y-%m-%d} to {last:%Y-%m-%d} (UTC).\n\n{facts}\n"
    mail.write(schedule.emails, f"{schedule.name}: {content.title} {report.since:%Y-%m-%d}", body, report)


def place_of(report: Report) -> str:
    """Where a report's file is fetched."""
    return f"/api/v1/billing/reports/{report.pk}/download"


def contents(report: Report) -> bytes:
    """A report's file, in the open scope."""
    return bytes(ReportFile.objects.get(report=report).data)


# -- by themselves ---------------------------------------------------------------------------------------------------


def window_before(every: str, now: datetime) -> Window:
    """The day, week (from Monday) or month (UTC) that ended last."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if every == Every.DAY:
        return Window(midnight - timedelta(days=1), midnight)
    if every == Every.WEEK:
        monday = midnight - timedelta(days=midnight.weekday())
        return Window(monday - timedelta(days=7), monday)
    first = midnight.replace(day=1)
    return Window((first - timedelta(days=1)).replace(day=1), first)


def next_time(every: str, now: datetime) -> datetime:
    """When the running day, week or month ends, and what the last calls of it cost is written."""
    midnight = now.astimezone(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
    if every == Every.DAY:
        ends = midnight + timedelta(days=1)
    elif every == Every.WEEK:
        ends = midnight + timedelta(days=7 - midnight.weekday())
    else:
        ends = (midnight.replace(day=1) + timedelta(days=32)).replace(day=1)
    return ends + timedelta(hours=1)


def due(now: datetime | None = None) -> list[UUID]:
    """Asks for the reports of the open tenant whose time has come, each once, and returns them."""
    now = now or timezone.now()
    asked = []
    for schedule in ReportSchedule.objects.filter(active=True, next_at__lte=now):
        ours = ReportSchedule.objects.filter(pk=schedule.pk, next_at=schedule.next_at)
        if not ours.update(next_at=next_time(schedule.every, now)):
            continue  # another worker was first
        window = window_before(schedule.every, now)
        assert window.ends is not None
        wanted = Wanted(
            schedule.kind, schedule.format, window.starts, window.ends, schedule.group_by, schedule.department_id
        )
        asked.append(ask(wanted, f"schedule {schedule.name}", schedule).pk)
    return asked


def housekeeping(now: datetime | None = None) -> list[UUID]:
    """Removes what has expired in the open tenant and returns what is to be handed out again."""
    now = now or timezone.now()
    expired = Report.objects.filter(expires_at__lte=now).exclude(state=ReportState.EXPIRED)
    ReportFile.objects.filter(report__in=list(expired.values_list("pk", flat=True))).delete()
    expired.update(state=ReportState.EXPIRED, changed_at=now)
    Report.objects.filter(state=ReportState.RUNNING, changed_at__lt=now - DEAD_AFTER).update(
        state=ReportState.QUEUED, changed_at=now
    )
    lost = Report.objects.filter(state=ReportState.QUEUED, changed_at__lt=now - LOST_AFTER)
    return list(lost.values_list("pk", flat=True)[:100])
