"""The pages about money: what is shown adds up, is fetched, asked for, compared and corrected by those who may."""

from __future__ import annotations

from decimal import Decimal

from django.core.files.uploadedfile import SimpleUploadedFile
from django.urls import reverse
from django.utils import timezone

from audit.models import Event
from billing import jobs, reconciliation, rerating
from billing.models import (
    Budget,
    BudgetRequest,
    Correction,
    Notice,
    Reconciliation,
    Report,
    ReportSchedule,
    Rerating,
    Usage,
)
from gateway.models import Deployment
from tenants.ids import uuid7

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


def usage_page(client, **query):
    return client.get(reverse("admin:billing_usage_changelist"), query)


def test_the_course_is_stacked_by_the_first_group(as_role):
    page = usage_page(as_role("billing_manager"), group_by="model").context_data
    [today] = [bar for bar in page["chart"] if bar["parts"]]
    assert page["split"] == "model"
    assert today["parts"] == [(0, Decimal("100.0"))]
    assert [name for name, _ in page["legend"]] == [row["names"][0][0] for row in page["rows"]]


def test_a_name_leads_to_what_is_behind_it_and_the_figures_add_up(acme, as_role):
    client = as_role("billing_manager")
    rows = usage_page(client, group_by="department").context_data["rows"]
    link = next(link for name, link in (row["names"][0] for row in rows) if name == "sales")
    page = client.get(reverse("admin:billing_usage_changelist") + link)
    assert page.context_data["only"] == str(acme.departments["sales"])
    assert [row["names"][0][0] for row in page.context_data["rows"]] == [
        acme.keys["copilot"].name,
        acme.keys["laptop"].name,
    ]
    assert "$0.75" in page.content.decode()


def test_what_one_may_not_see_is_not_behind_any_address(acme, as_role):
    assert usage_page(as_role("bob"), only=f"key:{acme.keys['copilot'].pk}").context_data["rows"] == []
    assert usage_page(as_role("bob"), only=f"key:{acme.keys['laptop'].pk}").context_data["rows"] != []
    assert usage_page(as_role("owner"), only="key:nothing").status_code == 404


def test_what_is_shown_is_downloaded_and_recorded(acme, as_role):
    client = as_role("billing_manager")
    links = dict(usage_page(client, group_by="department").context_data["downloads"])
    file = client.get(links["CSV"])
    assert file["content-type"].startswith("text/csv")
    lines = file.content.decode().splitlines()
    assert lines[0].startswith("department,calls")
    assert lines[-1].startswith("Total,3")
    assert client.get(links["Excel"]).content[:2] == b"PK"
    with acme.open():
        assert Event.objects.filter(action="report.read").count() >= 2
    assert usage_page(as_role("bob")).context_data["downloads"] == []
    assert as_role("bob").get(links["CSV"]).status_code == 403


def test_a_budget_says_how_it_is_likely_to_end(acme, as_role):
    page = as_role("billing_manager").get(reverse("admin:billing_budget_changelist")).content.decode()
    assert "forecast" in page.lower()


def test_more_budget_is_asked_for_by_one_and_given_by_another(acme, as_role):
    with acme.open():
        budget = Budget.objects.create(
            scope="department", target=acme.departments["legal"].pk, period="month", limit=Decimal(3)
        )
    more = reverse("admin:billing_budget_more", args=[budget.pk])
    alice = as_role("alice")
    assert "ask for more than that" in alice.post(more, {"limit": "3", "reason": "x"}).content.decode()
    assert alice.post(more, {"limit": "8.5", "reason": "the merger"}).status_code == 302
    with acme.open():
        made = BudgetRequest.objects.get()
    place = reverse("admin:billing_budgetrequest_change", args=[made.pk])
    assert "Approve" not in alice.get(place).content.decode()
    approve = reverse("admin:billing_budgetrequest_decide", args=[made.pk, "approve"])
    assert alice.post(approve).status_code == 403
    manager = as_role("billing_manager")
    assert "the merger" in manager.get(place).content.decode()
    assert manager.post(approve).status_code == 302
    with acme.open():
        assert Budget.objects.get(pk=budget.pk).limit == Decimal("8.5")
    assert "approved already" in manager.post(approve, follow=True).content.decode()
    assert as_role("bob").get(more).status_code == 403


def test_an_export_is_compared_and_its_differences_shown(acme, as_role):
    client = as_role("billing_manager")
    text = f"d,m,c\n{timezone.now():%Y-%m-%d},gpt-4o,12.5\n"
    given = {"vendor": "generic", "mapping": '{"day": "d", "model": "m", "cost": "c"}', "keys": ""}
    add = reverse("admin:billing_reconciliation_add")
    page = client.post(add, {**given, "mapping": "{", "file": SimpleUploadedFile("b.csv", text.encode())})
    assert "Write names in quotes" in page.content.decode()
    page = client.post(add, {**given, "mapping": "", "file": SimpleUploadedFile("b.csv", text.encode())})
    assert "The mapping names columns" in page.content.decode()
    assert client.post(add, {**given, "file": SimpleUploadedFile("b.csv", text.encode())}).status_code == 302
    with acme.open():
        row = Reconciliation.objects.get()
    place = reverse("admin:billing_reconciliation_change", args=[row.pk])
    assert "It is being compared" in client.get(place).content.decode()
    reconciliation.make(acme.tenant, row.pk)
    page = client.get(place).content.decode()
    assert "only one side knows of it" in page
    assert "$12.50" in page
    assert client.get(f"{place}?class=price").context_data["lines"] == []
    assert "b.csv" in client.get(reverse("admin:billing_reconciliation_changelist")).content.decode()


def test_a_period_is_rated_anew_and_corrected(acme, as_role):
    deployment = next(obj for obj in acme.objects if isinstance(obj, Deployment))
    with acme.open():
        Usage.objects.create(
            request_id=uuid7(),
            model="m",
            deployment_id=deployment.pk,
            deployment="p/m",
            input_tokens=2,
            cost=Decimal(1),
        )
    client = as_role("billing_manager")
    days = {"first": f"{timezone.now():%Y-%m-%d}", "last": f"{timezone.now():%Y-%m-%d}"}
    assert client.post(reverse("admin:billing_rerating_add"), days).status_code == 302
    with acme.open():
        row = Rerating.objects.get()
    rerating.make(acme.tenant, row.pk)
    place = reverse("admin:billing_rerating_change", args=[row.pk])
    assert "p/m: 1 rows, -0.999997 USD" in client.get(place).content.decode()
    assert "Write the corrections" not in as_role("auditor").get(place).content.decode()
    apply = reverse("admin:billing_rerating_apply", args=[row.pk])
    assert as_role("auditor").post(apply).status_code == 403
    assert client.post(apply).status_code == 302
    rerating.make(acme.tenant, row.pk)
    assert "corrected" in client.get(place).content.decode()
    with acme.open():
        assert Correction.objects.get().cost == Decimal("-0.999997")


def test_what_people_were_told_of_is_listed_with_its_name_and_figures(acme, as_role):
    sales = acme.departments["sales"]
    figures = {"scope": "department", "target": str(sales.pk), "spent": "8.00", "limit": "10.00"}
    with acme.open():
        notice = Notice.objects.create(
            kind="budget_warning", subject=uuid7(), starts_at=timezone.now(), share=Decimal("0.8"), figures=figures
        )
        Notice.objects.create(
            kind="unusual_refusals", starts_at=timezone.now(), figures={"value": "90", "usual_most": "20"}
        )
    client = as_role("auditor")
    page = client.get(reverse("admin:billing_notice_changelist")).content.decode()
    for said in (sales.name, "$8.00 of $10.00", "passed 80 %", "usually at most 20"):
        assert said in page
    assert "Budget warning" in client.get(reverse("admin:billing_notice_change", args=[notice.pk])).content.decode()
