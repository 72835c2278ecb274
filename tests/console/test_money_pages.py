"""The pages about money: reports are asked for and fetched, schedules made."""

from __future__ import annotations

from django.urls import reverse

from billing import jobs
from billing.models import Report, ReportSchedule

ADD = "admin:billing_report_add"


def form(**more):
    given = {"kind": "usage", "format": "csv", "first": "2026-01-01", "last": "2026-01-31", "groups": ["day"]}
    return {**given, **more}


def test_a_report_is_asked_for_made_and_fetched(acme, as_role):
    client = as_role("billing_manager")
    assert client.post(reverse(ADD), form()).status_code == 302
    with acme.open():
        report = Report.objects.first()
    assert (f"{report.since:%Y-%m-%d}", f"{report.until:%Y-%m-%d}", report.group_by) == (
        "2026-01-01",
        "2026-02-01",
        ["day"],
    )
    jobs.make(acme.tenant, report.pk)
    page = client.get(reverse("admin:billing_report_changelist")).content.decode()
    assert jobs.place_of(report) in page
    assert "2026-01-01 – 2026-01-31" in page
    file = client.get(jobs.place_of(report))
    assert (file.status_code, file["content-type"]) == (200, "text/csv; charset=utf-8")
    assert "SHA-256" in client.get(reverse("admin:billing_report_change", args=[report.pk])).content.decode()


def test_an_auditor_is_offered_compliance_and_nothing_else(acme, as_role):
    page = as_role("auditor").get(reverse(ADD)).content.decode()
    assert 'value="compliance"' in page
    assert 'value="statement"' not in page
    assert as_role("auditor").post(reverse(ADD), form()).status_code == 200
    assert as_role("auditor").post(reverse(ADD), form(kind="compliance")).status_code == 302


def test_a_wrong_period_stands_on_the_form(as_role):
    page = as_role("owner").post(reverse(ADD), form(last="2025-12-31")).content.decode()
    assert "Must not be before the first day." in page


def test_a_schedule_is_made_changed_and_removed(acme, as_role, settings):
    client = as_role("billing_manager")
    given = {
        "name": "each month",
        "kind": "statement",
        "format": "pdf",
        "every": "month",
        "to": "finance@acme.example, olivia@acme.example",
        "active": "on",
    }
    settings.EMAIL_HOST = ""
    page = client.post(reverse("admin:billing_reportschedule_add"), given).content.decode()
    assert "No mail server is set" in page
    settings.EMAIL_HOST = "127.0.0.1"
    assert client.post(reverse("admin:billing_reportschedule_add"), given).status_code == 302
    with acme.open():
        made = ReportSchedule.objects.get()
    assert made.emails == ["finance@acme.example", "olivia@acme.example"]
    assert (made.next_at.day, made.made_by) == (1, str(acme.people["billing_manager"]))
    change = reverse("admin:billing_reportschedule_change", args=[made.pk])
    assert client.post(change, {**given, "every": "week"}).status_code == 302
    with acme.open():
        assert ReportSchedule.objects.get().next_at.weekday() == 0
    delete = reverse("admin:billing_reportschedule_delete", args=[made.pk])
    assert "no longer made" in client.get(delete).content.decode()
    assert client.post(delete, {"post": "yes"}).status_code == 302
    with acme.open():
        assert not ReportSchedule.objects.exists()
