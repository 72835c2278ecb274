"""Reports as files: every format holds the same totals, to the last digit; made by a worker, sent, and forgotten."""

from __future__ import annotations

import csv
import json
from datetime import UTC, datetime, timedelta
from decimal import Decimal
from io import BytesIO, StringIO
from typing import Any

import pytest
from openpyxl import load_workbook
from pypdf import PdfReader

from audit.models import Event
from audit.services import record
from billing import formats, jobs, mail, tasks
from billing.content import Column, Content, Table
from billing.errors import ReportTooLarge
from billing.formats import file_of
from billing.jobs import Wanted, next_time, window_before
from billing.models import Mail, Report, ReportSchedule
from billing.services import usage
from tenants.isolation import scope
from tests.billing.house import House
from tests.billing.mailbox import Mailbox
from tests.billing.test_reports import spent

__all__ = ["spent"]

TODAY = datetime.now(UTC).replace(hour=0, minute=0, second=0, microsecond=0)
TOTAL = "1.000000000579"


def made(house: House, kind: str, format_: str, **more: Any) -> tuple[Report, bytes]:
    """A report of a month up to today, as a worker makes it."""
    wanted = Wanted(kind, format_, TODAY - timedelta(days=30), TODAY + timedelta(days=1), **more)
    with scope(house.tenant):
        asked = jobs.ask(wanted, "Alice")
    jobs.make(house.tenant, asked.pk)
    with scope(house.tenant):
        report = Report.objects.get(pk=asked.pk)
        assert report.state == "succeeded", report.error
        return report, jobs.contents(report)


def in_json(data: bytes) -> tuple[int, str]:
    total = json.loads(data)["total"]
    return total["calls"], total["cost"]


def in_csv(data: bytes) -> tuple[int, str]:
    *_, last = csv.DictReader(StringIO(data.decode()))
    return int(last["calls"]), last["cost"]


def in_xlsx(data: bytes) -> tuple[int, str]:
    head, *_, last = load_workbook(BytesIO(data)).worksheets[0].iter_rows(values_only=True)
    row = dict(zip(head, last, strict=True))
    assert float(row["Cost (USD)"]) == float(row["Cost (USD), exact"])
    return row["Calls"], row["Cost (USD), exact"]


def in_pdf(data: bytes) -> tuple[int, str]:
    text = "\n".join(page.extract_text() for page in PdfReader(BytesIO(data)).pages)
    after = text.split("\nTotal\n")[1].split("\n")
    return int(after[0]), next(word.strip() for word in after if "." in word)


READERS = {"json": in_json, "csv": in_csv, "xlsx": in_xlsx, "pdf": in_pdf}


@pytest.mark.parametrize("kind", ["usage", "statement"])
def test_all_formats_hold_the_ledgers_totals(spent: House, kind: str) -> None:
    with scope(spent.tenant):
        ledger = usage(())["total"]
    found = {name: read(made(spent, kind, name)[1]) for name, read in READERS.items()}
    assert (ledger["calls"], ledger["cost"]) == (3, TOTAL)
    assert found == dict.fromkeys(READERS, (3, TOTAL))


@pytest.mark.parametrize(
    "groups", [["day"], ["user"], ["key"], ["collection"], ["department", "user", "key", "model", "deployment", "day"]]
)
def test_usage_is_grouped_by_anything(spent: House, groups: list[str]) -> None:
    _, data = made(spent, "usage", "csv", group_by=groups)
    head, *lines = csv.reader(StringIO(data.decode()))
    assert head[: len(groups)] == groups
    assert sum(Decimal(line[-1]) for line in lines[:-1]) == Decimal(TOTAL) == Decimal(lines[-1][-1])


def test_a_usage_report_tells_its_course_and_what_changed(spent: House) -> None:
    tables = {table["name"]: table for table in json.loads(made(spent, "usage", "json")[1])["tables"]}
    course = tables["trend"]["rows"]
    assert len(course) == 31
    assert (course[-1]["calls"], course[-1]["cost"], course[0]["cost"]) == (3, TOTAL, "0.00")
    assert [(row["department"], row["before"], row["change"]) for row in tables["movers"]["rows"]] == [
        ("sales", "0.00", "1.00"),
        ("legal", "0.00", "0.000000000579"),
    ]


def test_one_departments_statement_is_its_own(spent: House) -> None:
    _, data = made(spent, "statement", "json", department=spent.legal)
    content = json.loads(data)
    assert content["facts"]["Department"] == "legal"
    assert {row["department"] for row in content["tables"][0]["rows"]} == {"legal"}
    assert content["total"]["cost"] == "0.000000000579"


def test_a_compliance_report_counts_what_the_trail_holds(spent: House) -> None:
    with scope(spent.tenant, actor={"type": "user", "id": "1", "name": "Olivia"}):
        record("vault.reveal", object_type="vault", object_id="1")
        record("policy.activate", object_type="policy", object_id="7")
        for _ in range(2):
            record("call.refused", decision="deny", reason="pii_blocked")
    content = json.loads(made(spent, "compliance", "json")[1])
    figures = {(row["area"], row["figure"]): row["count"] for row in content["tables"][0]["rows"]}
    assert figures == {
        ("calls", "answered"): 3,
        ("refusals", "pii_blocked"): 2,
        ("reveals", "vault.reveal"): 1,
        ("policy changes", "policy.activate"): 1,
    }
    assert [row["who"] for row in content["tables"][1]["rows"]] == ["Olivia"]
    assert content["facts"]["Sealed"] == "nothing yet"


def test_nobody_elses_spending_is_in_a_report(spent: House, globex: House) -> None:
    assert in_json(made(globex, "usage", "json")[1]) == (1, "99.00")


def content_of(rows: list[tuple[Any, ...]], columns: tuple[Column, ...]) -> Content:
    table = Table("t", "T", columns, rows, None)
    return Content("usage", "Usage", "Ümit & <Sons> 東京", TODAY, TODAY, TODAY, [("a", "b")], [table])


def test_a_name_never_becomes_a_formula() -> None:
    content = content_of([("=cmd|' /C calc'!A0",), ("@x",), ("-1",)], (Column("name", "Name"),))
    assert file_of(content, "csv").decode().splitlines()[1:] == [
        "\"'=cmd|' /C calc'!A0\"".replace('"', ""),
        "'@x",
        "'-1",
    ]
    sheet = load_workbook(BytesIO(file_of(content, "xlsx"))).worksheets[0]
    assert (sheet["A2"].data_type, sheet["A2"].value) == ("s", "=cmd|' /C calc'!A0")


def test_paper_bears_any_letters_and_says_when_there_is_too_much(monkeypatch: pytest.MonkeyPatch) -> None:
    content = content_of([("Žofie\0 <b>",)], (Column("name", "Name"),))
    text = PdfReader(BytesIO(file_of(content, "pdf"))).pages[0].extract_text()
    assert "Ümit & <Sons> ??" in text
    assert "Zofie <b>" in text or "Žofie <b>" in text
    monkeypatch.setattr(formats, "MOST_ROWS_ON_PAPER", 0)
    with pytest.raises(ReportTooLarge):
        file_of(content, "pdf")


def test_what_goes_wrong_is_said_and_a_dead_workers_report_is_made_again(
    spent: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(formats, "MOST_ROWS_ON_PAPER", 0)
    with scope(spent.tenant):
        report = jobs.ask(Wanted("usage", "pdf", TODAY, TODAY + timedelta(days=1)), "Alice")
    jobs.make(spent.tenant, report.pk)
    with scope(spent.tenant):
        report.refresh_from_db()
        assert (report.state, "XLSX" in report.error) == ("failed", True)
        Report.objects.filter(pk=report.pk).update(state="running", changed_at=TODAY - timedelta(days=1))
        assert jobs.housekeeping() == [] or Report.objects.get(pk=report.pk).state == "queued"
        Report.objects.filter(pk=report.pk).update(changed_at=TODAY - timedelta(days=1))
        assert jobs.housekeeping() == [report.pk]
        jobs.housekeeping(report.expires_at + timedelta(seconds=1))
        assert Report.objects.get(pk=report.pk).state == "expired"


@pytest.mark.parametrize(
    ("every", "starts", "ends", "again"),
    [
        ("day", "2026-11-25", "2026-11-26", "2026-11-27"),
        ("week", "2026-11-16", "2026-11-23", "2026-11-30"),
        ("month", "2026-10-01", "2026-11-01", "2026-12-01"),
    ],
)
def test_a_schedule_is_of_what_is_over(every: str, starts: str, ends: str, again: str) -> None:
    now = datetime(2026, 11, 26, 22, tzinfo=UTC)
    window = window_before(every, now)
    assert (f"{window.starts:%Y-%m-%d}", f"{window.ends:%Y-%m-%d}") == (starts, ends)
    assert next_time(every, now) == datetime.fromisoformat(f"{again}T01:00:00Z")


def schedule(house: House, **more: Any) -> ReportSchedule:
    given = {"name": "monthly", "kind": "statement", "format": "pdf", "every": "month", "next_at": TODAY, **more}
    with scope(house.tenant):
        return ReportSchedule.objects.create(**given)


def test_a_report_that_is_due_is_made_once_and_sent_with_its_file(spent: House, mailbox: Mailbox) -> None:
    schedule(spent, emails=["finance@acme.example", "olivia@acme.example"])
    with scope(spent.tenant):
        [report] = jobs.due()
        assert jobs.due() == []
    jobs.make(spent.tenant, report)
    assert mail.send_due(spent.tenant) == 2
    assert mail.send_due(spent.tenant) == 0
    _, message = mailbox.messages[0]
    assert {to for to, _ in mailbox.messages} == {"finance@acme.example", "olivia@acme.example"}
    assert message["subject"].startswith("monthly: Statement")
    [file] = list(message.iter_attachments())  # type: ignore[attr-defined]
    with scope(spent.tenant):
        assert file.get_content() == jobs.contents(Report.objects.get(pk=report))
        told = Event.objects.get(action="report.ready", object_id=str(report))
    assert told.detail["schedule"] == "monthly"  # which webhooks are told
    assert told.detail["download"].endswith(f"{report}/download")


def test_mail_that_is_refused_is_sent_again_later(spent: House, mailbox: Mailbox) -> None:
    mailbox.refuses = True
    with scope(spent.tenant):
        mail.write(["finance@acme.example"], "subject\nbcc: x", "body")
    assert mail.send_due(spent.tenant) == 0
    with scope(spent.tenant):
        waiting = Mail.objects.get()
        assert (waiting.state, waiting.attempts, "451" in waiting.error) == ("pending", 1, True)
        assert waiting.subject == "subject bcc: x"
        Mail.objects.update(next_at=TODAY)
    mailbox.refuses = False
    assert mail.send_due(spent.tenant) == 1
    with scope(spent.tenant):
        assert Mail.objects.get().state == "sent"


def test_without_a_mail_server_no_mail_is_written(spent: House, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("django.conf.settings.EMAIL_HOST", "")
    with scope(spent.tenant):
        mail.write(["finance@acme.example"], "subject", "body")
        assert not Mail.objects.exists()


def test_the_task_makes_what_is_due_in_every_tenant(
    spent: House, globex: House, monkeypatch: pytest.MonkeyPatch
) -> None:
    schedule(spent, name="a")
    schedule(globex, name="b")
    handed: list[tuple[Any, Any]] = []
    monkeypatch.setattr(tasks, "dispatch", lambda tenant, report: handed.append((tenant, report)))
    tasks.housekeeping_task()
    assert {tenant for tenant, _ in handed} >= {spent.tenant, globex.tenant}
