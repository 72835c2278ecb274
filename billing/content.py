"""What reports say: tables of exact values, of which every format is a picture.

usage       who spent what: by any groups, with its course and what changed most against the period before
statement   what each department is charged, line by line
compliance  what the trail holds of a period, in figures
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass, field
from datetime import UTC, date, datetime, timedelta
from decimal import Decimal
from typing import Any, Literal

from audit.services import compliance

from .models import Report, ReportKind
from .prices import money_string
from .reports import usage
from .terms import CURRENCY_PLACES, Terms, terms_of

Kind = Literal["text", "count", "money", "percent"]
Row = tuple[Any, ...]

TITLES = {
    "department": "Department",
    "user": "Person",
    "key": "API key",
    "model": "Model",
    "deployment": "Deployment",
    "collection": "Collection",
    "day": "Day",
}
TOKEN_TITLES = {
    "input_tokens": "Input tokens",
    "cached_input_tokens": "Cached input",
    "cache_write_tokens": "Cache write",
    "output_tokens": "Output tokens",
    "reasoning_tokens": "Reasoning",
}
#: a course longer than this is told by month
DAYS_SHOWN = 92
MOST_MOVERS = 10


@dataclass(frozen=True, slots=True)
class Column:
    """`name` is for programs, `title` for people."""

    name: str
    title: str
    kind: Kind = "text"


@dataclass(frozen=True, slots=True)
class Table:
    """Values by column: str for text, int for counts, Decimal for money (US dollars, exact) and percent; None: nothing
    to say. `total` has a value for each column as well, or is None.
    """

    name: str
    title: str
    columns: tuple[Column, ...]
    rows: list[Row]
    total: Row | None = None


@dataclass(frozen=True, slots=True)
class Content:
    """A report. The first table is the one that a CSV file holds; `course` is drawn (label, value), oldest first."""

    kind: str
    title: str
    tenant: str
    since: datetime
    until: datetime
    made_at: datetime
    facts: list[tuple[str, str]]
    tables: list[Table]
    course: list[tuple[str, Decimal]] = field(default_factory=list)
    course_title: str = ""

    @property
    def main(self) -> Table:
        return self.tables[0]


def content_of(report: Report, tenant: str, department: str | None) -> Content:
    """Reads what a report says, in the open scope. `department` is the name of the one it is narrowed to."""
    made: tuple[str, list[tuple[str, str]], list[Table], list[tuple[str, Decimal]]] = _MAKERS[report.kind](report)
    title, facts, tables, course = made
    if department is not None:
        facts = [("Department", department), *facts]
    return Content(
        report.kind,
        title,
        tenant,
        report.since,
        report.until,
        datetime.now(UTC),
        facts,
        tables,
        course,
        "Cost by month (USD)" if course and len(course[0][0]) == len("2026-11") else "Cost by day (USD)",
    )


# -- usage -----------------------------------------------------------------------------------------------------------


def _usage(report: Report) -> Any:
    groups = report.group_by or ["department", "model"]
    found = _used(report, groups)
    course = _course(report)
    facts = [
        ("Calls", f"{found['total']['calls']:,}"),
        ("Cost", f"{found['total']['cost']} USD"),
        ("Estimated calls", f"{found['total']['estimated']:,} (the provider sent no usage; counted by tokenizer)"),
    ]
    tables = [_usage_table(found, groups), _course_table(course), _movers(report, groups)]
    return "Usage", facts, tables, [(row[0], row[2]) for row in course]


def _used(
    report: Report, groups: Sequence[str], since: datetime | None = None, until: datetime | None = None
) -> dict[str, Any]:
    departments = None if report.department_id is None else [report.department_id]
    return usage(groups, since or report.since, until or report.until, departments=departments)


def _usage_table(found: dict[str, Any], groups: Sequence[str]) -> Table:
    columns = (
        *(Column(group, TITLES[group]) for group in groups),
        Column("calls", "Calls", "count"),
        *(Column(name, title, "count") for name, title in TOKEN_TITLES.items()),
        Column("estimated", "Estimated", "count"),
        Column("cost", "Cost (USD)", "money"),
    )
    rows = sorted((_usage_row(row, groups) for row in found["results"]), key=lambda row: row[-1], reverse=True)
    total = ("Total", *[""] * (len(groups) - 1), *_usage_row(found["total"], ())) if groups else None
    return Table("usage", "Usage", columns, rows, total)


def _usage_row(row: dict[str, Any], groups: Sequence[str]) -> Row:
    names = (str(row[group] or "–") for group in groups)
    return (*names, row["calls"], *(row[name] for name in TOKEN_TITLES), row["estimated"], Decimal(row["cost"]))


def _course(report: Report) -> list[Row]:
    """(day or month, calls, cost), days without calls as well."""
    by_day = {row["day"]: row for row in _used(report, ["day"])["results"]}
    course: dict[str, tuple[int, Decimal]] = {}
    long = report.until - report.since > timedelta(days=DAYS_SHOWN)
    day = report.since.astimezone(UTC).date()
    while day <= (report.until.astimezone(UTC) - timedelta(microseconds=1)).date():
        label = f"{day:%Y-%m}" if long else f"{day:%Y-%m-%d}"
        row = by_day.get(f"{day:%Y-%m-%d}")
        calls, cost = course.get(label, (0, Decimal(0)))
        course[label] = (calls + row["calls"], cost + Decimal(row["cost"])) if row else (calls, cost)
        day += timedelta(days=1)
    return [(label, calls, cost) for label, (calls, cost) in course.items()]


def _course_table(course: list[Row]) -> Table:
    columns = (Column("period", "Period"), Column("calls", "Calls", "count"), Column("cost", "Cost (USD)", "money"))
    total = ("Total", sum(row[1] for row in course), sum((row[2] for row in course), Decimal(0)))
    return Table("trend", "Course", columns, course, total)


def _movers(report: Report, groups: Sequence[str]) -> Table:
    """What changed most against the period before, which is as long."""
    group = next((group for group in groups if group != "day"), "department")
    before = _costs(_used(report, [group], report.since - (report.until - report.since), report.since), group)
    now = _costs(_used(report, [group]), group)
    rows = [_moved(name, before.get(name, Decimal(0)), now.get(name, Decimal(0))) for name in before | now]
    rows = sorted((row for row in rows if row[3]), key=lambda row: abs(row[3]), reverse=True)[:MOST_MOVERS]
    columns = (
        Column(group, TITLES[group]),
        Column("before", "Period before (USD)", "money"),
        Column("now", "This period (USD)", "money"),
        Column("change", "Change (USD)", "money"),
        Column("change_percent", "Change", "percent"),
    )
    return Table("movers", "What changed most against the period before", columns, rows)


def _costs(found: dict[str, Any], group: str) -> dict[str, Decimal]:
    costs: dict[str, Decimal] = {}
    for row in found["results"]:
        name = str(row[group] or "–")
        costs[name] = costs.get(name, Decimal(0)) + Decimal(row["cost"])
    return costs


def _moved(name: str, before: Decimal, now: Decimal) -> Row:
    percent = ((now - before) * 100 / before).quantize(Decimal("0.1")) if before else None
    return name, before, now, now - before, percent


# -- statements ------------------------------------------------------------------------------------------------------


def _statement(report: Report) -> Any:
    terms = terms_of(report)
    charged = _charged(report, terms)
    lines = sorted(((*names, *line) for names, line in charged.items()), key=lambda line: (line[0], -line[6]))
    columns = (
        Column("department", "Department"),
        Column("model", "Model"),
        Column("deployment", "Deployment"),
        *_amounts(report.currency),
    )
    none = (0, 0, 0, *[Decimal(0)] * (4 if report.currency else 3))
    total = ("Total", "", "", *(_sums(lines) or none))
    facts = [
        ("To be charged", f"{money_string(total[8])} USD"),
        ("Departments", str(len({line[0] for line in lines}))),
        ("Calls", f"{total[3]:,}"),
    ]
    if terms.rate is not None:
        facts.insert(1, (f"In {report.currency}", f"{money_string(total[9])} ({terms.rate:f} a US dollar)"))
    return (
        "Statement",
        facts,
        [Table("lines", "Lines", columns, lines, total), _by_department(lines, report, total)],
        [],
    )


def _charged(report: Report, terms: Terms) -> dict[tuple[str, ...], list[Any]]:
    """Calls, tokens in and out, cost, discount and what is left (and that in the currency) by department, model and
    deployment. A discount has days, so it is taken off day by day; a fraction of a pico-dollar is rounded to even.
    """
    found: dict[tuple[str, ...], list[Any]] = {}
    for row in _used(report, ["department", "model", "deployment", "day"])["results"]:
        names = tuple(str(row[name] or "–") for name in ("department", "model", "deployment"))
        into = row["input_tokens"] + row["cached_input_tokens"] + row["cache_write_tokens"]
        out = row["output_tokens"] + row["reasoning_tokens"]
        cost = Decimal(row["cost"])
        off = terms.off(row["deployment_id"], date.fromisoformat(row["day"]), cost)
        line = [row["calls"], into, out, cost, off, cost - off]
        kept = found.get(names)
        found[names] = line if kept is None else [a + b for a, b in zip(kept, line, strict=True)]
    if terms.rate is not None:
        for line in found.values():
            line.append((line[-1] * terms.rate).quantize(CURRENCY_PLACES))
    return found


def _amounts(currency: str) -> tuple[Column, ...]:
    return (
        Column("calls", "Calls", "count"),
        Column("tokens_in", "Tokens in", "count"),
        Column("tokens_out", "Tokens out", "count"),
        Column("cost", "Cost (USD)", "money"),
        Column("discount", "Discount (USD)", "money"),
        Column("net", "Charged (USD)", "money"),
        *([Column("in_currency", f"Charged ({currency})", "money")] if currency else []),
    )


def _sums(lines: Sequence[Row]) -> Row:
    """All figures of lines, which begin behind three names; nothing for no line."""
    figures = [line[3:] for line in lines]
    return tuple(sum(column) for column in zip(*figures, strict=True))


def _by_department(lines: Sequence[Row], report: Report, total: Row) -> Table:
    names = dict.fromkeys(line[0] for line in lines)
    rows = [(name, *_sums([line for line in lines if line[0] == name])) for name in names]
    columns = (Column("department", "Department"), *_amounts(report.currency))
    return Table("departments", "By department", columns, rows, ("Total", *total[3:]))


# -- compliance ------------------------------------------------------------------------------------------------------


def _compliance(report: Report) -> Any:
    found = compliance(report.since, report.until)
    counted = (Column("area", "Area"), Column("figure", "Figure"), Column("count", "Count", "count"))
    changed = (Column("time", "Time"), Column("action", "Action"), Column("who", "Who"), Column("policy", "Policy"))
    held = (Column("name", "Hold"), Column("reason", "Reason"), Column("since", "Since"), Column("by", "By"))
    total = ("All", "", sum(count for _, _, count in found.figures))
    changes: list[Row] = [(_time(when), *rest) for when, *rest in found.changes]
    holds: list[Row] = [(name, reason, _time(when), by) for name, reason, when, by in found.holds]
    areas: dict[str, int] = {}
    for area, _, count in found.figures:
        areas[area] = areas.get(area, 0) + count
    facts = [
        ("Calls", f"{areas.get('calls', 0):,}"),
        ("Refused", f"{areas.get('refusals', 0):,}"),
        ("Personal data masked", f"{areas.get('entities masked', 0):,}"),
        ("Reveals", f"{areas.get('reveals', 0):,}"),
        ("Policy changes", f"{areas.get('policy changes', 0):,}"),
        ("Holds that stand", f"{len(holds):,}"),
        ("Sealed", _sealed(found.seal)),
    ]
    tables = [
        Table("figures", "Figures", counted, list(found.figures), total),
        Table("policy_changes", "Policy changes", changed, changes),
        Table("holds", "Legal holds that stand", held, holds),
    ]
    return "Compliance", facts, tables, []


def _sealed(seal: dict[str, Any] | None) -> str:
    if seal is None:
        return "nothing yet"
    return f"{seal['records']:,} records by seal {seal['number']} at {_time(seal['time'])}, root {seal['root']}"


def _time(moment: datetime) -> str:
    return f"{moment.astimezone(UTC):%Y-%m-%d %H:%M:%S} UTC"


_MAKERS: dict[str, Callable[[Report], Any]] = {
    ReportKind.USAGE: _usage,
    ReportKind.STATEMENT: _statement,
    ReportKind.COMPLIANCE: _compliance,
}


def total_of(content: Content) -> dict[str, Any]:
    """The main table's total by column name, as the outside sees values."""
    table = content.main
    if table.total is None:
        return {}
    return {
        column.name: said(value)
        for column, value in zip(table.columns, table.total, strict=True)
        if column.kind in ("count", "money")
    }


def said(value: Any) -> Any:
    """A value as JSON has it: money as an exact decimal string."""
    return money_string(value) if isinstance(value, Decimal) else value


__all__ = ["Column", "Content", "Table", "content_of", "said", "total_of"]
