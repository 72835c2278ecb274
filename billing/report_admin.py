"""The console's pages about reports: asked for, fetched, and made by themselves."""

from __future__ import annotations

from datetime import timedelta
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from tenants.console import cells
from tenants.console import forms as inputs
from tenants.console.pages import ScopedForm, TenantAdmin
from tenants.console.periods import start_of, today
from tenants.roles import may

from . import jobs, mail, tasks
from .content import TITLES
from .models import Every, Report, ReportFormat, ReportKind, ReportSchedule, ReportState

KINDS = {
    ReportKind.USAGE: "Usage: who spent what, its course, what changed",
    ReportKind.STATEMENT: "Statement: what each department is charged",
    ReportKind.COMPLIANCE: "Compliance: calls, refusals, masked data, reveals, policies, holds",
}
FORMATS = [
    (ReportFormat.PDF, "PDF"),
    (ReportFormat.XLSX, "Excel (XLSX)"),
    (ReportFormat.CSV, "CSV"),
    (ReportFormat.JSON, "JSON"),
]
STATES = {
    ReportState.SUCCEEDED: ("ready", "good"),
    ReportState.FAILED: ("failed", "bad"),
    ReportState.EXPIRED: ("expired", "plain"),
}
EVERY = {Every.DAY: "every day", Every.WEEK: "every week (Monday)", Every.MONTH: "every month (the first)"}


def kinds_for(role: str) -> list[tuple[str, str]]:
    """The kinds of report that a role may make."""
    return [(kind, text) for kind, text in KINDS.items() if may(role, right_for(kind))]


def right_for(kind: str) -> str:
    return "events.all" if kind == ReportKind.COMPLIANCE else "reports.change"


class ReportForm(ScopedForm):
    """What is to be reported; both days are included."""

    kind = inputs.choice("Report")
    format = inputs.choice("Format", choices=FORMATS)
    first = inputs.day("From", initial=lambda: today().replace(day=1))
    last = inputs.day("Up to and with", initial=today)
    groups = inputs.several("Group usage by", choices=list(TITLES.items()), initial=["department", "model"])
    place = inputs.DepartmentField("Only one department", required=False)

    class Meta:
        model = Report
        fields = ()

    role = ""  #: of who asks; the page sets it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = kinds_for(self.role)  # type: ignore[attr-defined]
        self.fields["place"].empty_label = "all"  # type: ignore[attr-defined]

    def clean(self) -> dict[str, Any] | None:
        found = super().clean()
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and first > last:
            self.add_error("last", "Must not be before the first day.")
        if self.cleaned_data.get("kind") == ReportKind.COMPLIANCE and self.cleaned_data.get("place"):
            self.add_error("place", "A compliance report is of the whole tenant.")
        return found

    def wanted(self) -> jobs.Wanted:
        """What was asked for, once it is valid."""
        given = self.cleaned_data
        return jobs.Wanted(
            given["kind"],
            given["format"],
            start_of(given["first"]),
            start_of(given["last"] + timedelta(days=1)),
            given["groups"] if given["kind"] == ReportKind.USAGE else (),
            given["place"].pk if given["place"] else None,
        )


@admin.register(Report)
class ReportPage(TenantAdmin):
    """Reports: asked for here, made by a worker, fetched here."""

    rights = "reports"
    heading = "Reports"
    lead = (
        "Usage, statements and compliance as PDF, Excel, CSV or JSON; all hold the same exact totals. "
        "Files are kept for 30 days."
    )
    empty = ("No report was made yet", "Make a statement of a month, or let one be sent by itself (Schedules).")
    add_text = "Make a report"
    form = ReportForm
    fields = ("kind", "format", "first", "last", "groups", "place")
    list_display = ("asked", "what", "extent", "standing", "weight", "made_by", "fetch")
    list_display_links = ("asked",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Report]:
        """As the API: those of the own departments for a developer; compliance for who may read the trail."""
        member, reports = self.member(request), super().get_queryset(request)
        if not member.may("usage.all"):
            reports = reports.filter(department_id__in=member.departments or ())
        return reports if member.may("events.all") else reports.exclude(kind=ReportKind.COMPLIANCE)

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "make")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.role = self.member(request).role
        return form

    def save_form(self, request: HttpRequest, form: Any, change: bool) -> Any:
        return form.instance

    def save_model(self, request: HttpRequest, obj: Report, form: Any, change: bool) -> None:
        """Asks for the report; a worker makes it when this transaction is there."""
        made = jobs.ask(form.wanted(), str(request.user))
        obj.pk = made.pk
        transaction.on_commit(partial(tasks.dispatch, self.member(request).tenant.pk, made.pk))

    def save_related(self, request: HttpRequest, form: Any, formsets: Any, change: bool) -> None:
        """There is nothing beside a report."""

    def response_add(self, request: HttpRequest, obj: Report, post_url_continue: str | None = None) -> HttpResponse:
        messages.success(request, "The report is being made. It appears below when it is ready.")
        return HttpResponseRedirect(reverse("admin:billing_report_changelist"))

    @admin.display(description="asked for")
    def asked(self, report: Report) -> SafeString:
        return cells.moment(report.created_at)

    @admin.display(description="report")
    def what(self, report: Report) -> SafeString:
        by = f"by {', '.join(TITLES[group].lower() for group in report.group_by)}" if report.group_by else ""
        return cells.words(report.get_kind_display(), by)

    @admin.display(description="days")
    def extent(self, report: Report) -> str:
        last = report.until - timedelta(microseconds=1)
        return f"{report.since:%Y-%m-%d} – {last:%Y-%m-%d}"

    @admin.display(description="state")
    def standing(self, report: Report) -> SafeString:
        text, tone = STATES.get(ReportState(report.state), (report.state, "warn"))
        return cells.label(text, tone, report.error)

    @admin.display(description="size")
    def weight(self, report: Report) -> SafeString:
        return cells.size(report.size) if self.is_ready(report) else cells.NOTHING

    @admin.display(description="file")
    def fetch(self, report: Report) -> SafeString:
        return cells.link(jobs.place_of(report), report.format.upper()) if self.is_ready(report) else cells.NOTHING

    def is_ready(self, report: Report) -> bool:
        return report.state == ReportState.SUCCEEDED and report.expires_at > timezone.now()

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        report = self.get_object(request, unquote(object_id))
        if report is None:
            raise Http404("There is no report with this id here.")
        named = self.admin_site.names_of("department", [report.department_id]) if report.department_id else {}
        facts = [
            ("State", self.standing(report)),
            ("Reason", report.error),
            ("Report", self.what(report)),
            ("Format", report.format.upper()),
            ("Days (UTC)", self.extent(report)),
            ("Department", named.get(report.department_id, "all")),
            ("Size", self.weight(report)),
            ("SHA-256", report.digest),
            ("Asked for by", report.made_by),
            ("Asked for", self.asked(report)),
            ("Kept until", cells.moment(report.expires_at)),
        ]
        links = [("Download", jobs.place_of(report), "")] if self.is_ready(report) else []
        return self.facts_page(request, report, f"Report: {report}", facts, links=links)


class ScheduleForm(ScopedForm):
    """A report that is made when its day, week or month is over."""

    kind = inputs.choice("Report")
    format = inputs.choice("Format", choices=FORMATS)
    every = inputs.choice("When", choices=list(EVERY.items()), initial=Every.MONTH)
    groups = inputs.several("Group usage by", choices=list(TITLES.items()), initial=["department", "model"])
    place = inputs.DepartmentField("Only one department", required=False)
    to = inputs.text("Send to", required=False, help_text="E-mail addresses, separated by commas.")

    class Meta:
        model = ReportSchedule
        fields = ("name", "active")

    role = ""  #: of who asks; the page sets it

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["kind"].choices = kinds_for(self.role)  # type: ignore[attr-defined]
        self.fields["place"].empty_label = "all"  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            kept = self.instance
            self.initial.update(kind=kept.kind, format=kept.format, every=kept.every, groups=kept.group_by)
            self.initial.update(place=kept.department_id, to=", ".join(kept.emails))

    def clean_to(self) -> list[str]:
        found = [part.strip() for part in self.cleaned_data["to"].split(",") if part.strip()]
        field = forms.EmailField()
        for address in found:
            field.clean(address)
        if len(found) > 20:
            raise forms.ValidationError("Name 20 addresses at most.")
        if found and not mail.is_possible():
            raise forms.ValidationError("No mail server is set: the platform's operator sets CUSTOMHOUSE_SMTP_URL.")
        return list(dict.fromkeys(found))

    def save(self, commit: bool = True) -> ReportSchedule:
        given, kept = self.cleaned_data, self.instance
        if given["every"] != self.initial.get("every") or kept._state.adding:
            kept.next_at = jobs.next_time(given["every"], timezone.now())
        kept.kind, kept.format, kept.every = given["kind"], given["format"], given["every"]
        kept.group_by = given["groups"] if kept.kind == ReportKind.USAGE else []
        kept.department_id = given["place"].pk if given["place"] and kept.kind != ReportKind.COMPLIANCE else None
        kept.emails = given["to"]
        saved: ReportSchedule = super().save(commit)
        return saved


@admin.register(ReportSchedule)
class SchedulePage(TenantAdmin):
    """Reports that are made by themselves."""

    rights = "reports"
    heading = "Schedules"
    deletable = True
    lead = (
        "A report of each day, week or month, made when it is over and sent by e-mail. "
        "Webhooks are told of each as report.ready."
    )
    empty = ("No report is made by itself yet", "Let the statement of each month be sent to those who pay.")
    add_text = "Add schedule"
    form = ScheduleForm
    fields = ("name", "kind", "format", "every", "groups", "place", "to", "active")
    list_display = ("name", "what", "when", "sent_to", "next_one", "running")
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "make")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "make")

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.role = self.member(request).role
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        member = self.member(request)
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or member.may(right_for(obj.kind)))

    def save_model(self, request: HttpRequest, obj: ReportSchedule, form: Any, change: bool) -> None:
        if not change:
            obj.made_by = str(request.user)[:200]
        super().save_model(request, obj, form, change)

    def delete_model(self, request: HttpRequest, obj: ReportSchedule) -> None:
        """What it made stays until it expires."""
        Report.objects.filter(schedule=obj).update(schedule=None)
        super().delete_model(request, obj)

    @admin.display(description="report")
    def what(self, schedule: ReportSchedule) -> SafeString:
        return cells.words(schedule.get_kind_display(), schedule.format.upper())

    @admin.display(description="when")
    def when(self, schedule: ReportSchedule) -> str:
        return EVERY[Every(schedule.every)]

    @admin.display(description="sent to")
    def sent_to(self, schedule: ReportSchedule) -> SafeString:
        return cells.labels(schedule.emails)

    @admin.display(description="next")
    def next_one(self, schedule: ReportSchedule) -> SafeString:
        return cells.moment(schedule.next_at) if schedule.active else cells.NOTHING

    @admin.display(description="state")
    def running(self, schedule: ReportSchedule) -> SafeString:
        return cells.label("on", "good") if schedule.active else cells.label("off")

    def consequences(self, obj: ReportSchedule) -> list[str]:
        return [f"The report is no longer made {EVERY[Every(obj.every)]}.", "What it made stays until it expires."]


__all__ = ["ReportPage", "SchedulePage"]
