"""The console's pages about money: what was spent, budgets, prices."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from datetime import date, timedelta
from decimal import Decimal
from typing import Any, ClassVar
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST
from unfold.widgets import UnfoldAdminTextInputWidget

from audit.services import record
from tenants.console import cells
from tenants.console import forms as inputs
from tenants.console.member import Member, grants_of, visible_keys
from tenants.console.pages import ReadOnlyAdmin, ScopedForm, TenantAdmin
from tenants.console.periods import read_day, start_of, today
from tenants.roles import Role

from . import check_admin, jobs, report_admin, requests, services
from .errors import RequestRefused
from .formats import NAMES
from .models import Budget, BudgetRequest, BudgetScope, Notice, NoticeKind, Price, ReportState, RequestState, Usage
from .views import download

GROUPS = {
    "department": "department",
    "model": "model",
    "key": "API key",
    "user": "person",
    "collection": "collection",
    "deployment": "deployment",
    "day": "day",
}
TOKENS = {
    "input_tokens": "input",
    "cached_input_tokens": "cached",
    "cache_write_tokens": "cache write",
    "output_tokens": "output",
    "reasoning_tokens": "reasoning",
}


@dataclass(frozen=True, slots=True)
class Wanted:
    """What a report is asked for; both days are included."""

    groups: tuple[str, ...]
    since: date
    until: date
    only: str = ""  #: `department:<id>`, … : one member of a group, looked into

    @classmethod
    def read(cls, parameters: Any) -> Wanted:
        groups = [name for name in ",".join(parameters.getlist("group_by")).split(",") if name in GROUPS]
        until = read_day(parameters.get("until")) or today()
        since = read_day(parameters.get("since")) or until - timedelta(days=29)
        kind, _, identity = parameters.get("only", "").partition(":")
        only = f"{kind}:{identity}" if kind in NEXT and identity else ""
        return cls(tuple(dict.fromkeys(groups)) or ("department", "model"), min(since, until), until, only)

    def query(self, **changed: Any) -> str:
        values = {
            "group_by": ",".join(self.groups),
            "since": self.since,
            "until": self.until,
            "only": self.only,
            **changed,
        }
        return "?" + urlencode({name: value for name, value in values.items() if value != ""})

    def narrowing(self, keys: list[UUID] | None) -> dict[str, Any]:
        """What `services.usage` is to be narrowed to: keys that a person may see (None: all), and `only`."""
        kind, _, identity = self.only.partition(":")
        if not kind:
            return {"keys": keys}
        if kind == "model":
            return {"keys": keys, "models": [identity]}
        try:
            wanted = UUID(identity)
        except ValueError:
            raise Http404("There is nothing with this id here.") from None
        if kind == "key":
            return {"keys": [wanted] if keys is None or wanted in keys else []}
        return {"keys": keys, f"{kind}s": [wanted]}


@admin.register(Usage)
class UsagePage(ReadOnlyAdmin):
    """The ledger as a report; single rows are the calls of the audit trail."""

    rights = "usage"
    heading = "Usage"

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        wanted = Wanted.read(request.GET)
        member = self.member(request)
        if member.may("usage.all"):
            record("usage.read", detail={"filters": dict(request.GET.items())})
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "only": self.name_of(wanted),
            "title": "Usage",
            "wanted": wanted,
            "groups": [(name, text, name in wanted.groups) for name, text in GROUPS.items()],
            "periods": self.periods(wanted),
            "whose": whose(member),
            "downloads": self.downloads(wanted) if member.may("reports.change") else [],
            **self.report(wanted, member),
        }
        return TemplateResponse(request, "console/usage.html", context)

    def change_view(self, request: HttpRequest, object_id: str, *rest: Any, **more: Any) -> HttpResponse:
        raise Http404("Rows of the ledger are shown with their call, in the audit trail.")

    def get_urls(self) -> list[URLPattern]:
        download = self.admin_site.admin_view(self.download_view)
        return [path("download/<slug:ending>/", download, name="billing_usage_download"), *super().get_urls()]

    def downloads(self, wanted: Wanted) -> list[tuple[str, str]]:
        """What is shown, as files: text and address."""
        endings = (("csv", "CSV"), ("xlsx", "Excel"), ("pdf", "PDF"))
        return [(text, reverse("admin:billing_usage_download", args=[end]) + wanted.query()) for end, text in endings]

    def download_view(self, request: HttpRequest, ending: str) -> HttpResponse:
        """What the page shows as a file, made at once: roll-ups are quick. It is recorded."""
        member = self.member(request)
        if not member.may("reports.change"):
            raise PermissionDenied
        if ending not in NAMES:
            raise Http404("There is no such format.")
        wanted = Wanted.read(request.GET)
        since, until = start_of(wanted.since), start_of(wanted.until + timedelta(days=1))
        report = jobs.ask(jobs.Wanted("usage", ending, since, until, wanted.groups), str(request.user))
        jobs.make(member.tenant.pk, report.pk)
        report.refresh_from_db()
        if report.state != ReportState.SUCCEEDED:
            messages.error(request, report.error)
            return HttpResponseRedirect(reverse("admin:billing_usage_changelist") + wanted.query())
        return download(report)

    def periods(self, wanted: Wanted) -> list[tuple[str, str, bool]]:
        """Links to usual periods: text, address, whether it is the shown one."""
        now = today()
        found = {
            "Today": (now, now),
            "7 days": (now - timedelta(days=6), now),
            "30 days": (now - timedelta(days=29), now),
            "This month": (now.replace(day=1), now),
        }
        shown = (wanted.since, wanted.until)
        return [(text, wanted.query(since=a, until=b), (a, b) == shown) for text, (a, b) in found.items()]

    def name_of(self, wanted: Wanted) -> str:
        """What is looked into, by its name; '' when it is everything."""
        kind, _, identity = wanted.only.partition(":")
        try:
            return self.admin_site.names_of(kind, [UUID(identity)]).get(UUID(identity), identity) if kind else ""
        except ValueError:
            return identity

    def report(self, wanted: Wanted, member: Member) -> dict[str, Any]:
        """The table, its total, and cost by day for the chart."""
        since, until = start_of(wanted.since), start_of(wanted.until + timedelta(days=1))
        keys = None if member.may("usage.all") else list(visible_keys(member).values_list("id", flat=True))
        narrowed = wanted.narrowing(keys)
        found = services.usage(wanted.groups, since, until, **narrowed)
        split = next((group for group in wanted.groups if group != "day"), "department")
        by_day = services.usage((split, "day"), since, until, **narrowed)["results"]
        measure = "cost" if Decimal(found["total"]["cost"]) else "calls"  # local models cost nothing
        rows = sorted(found["results"], key=lambda row: Decimal(row["cost"]), reverse=True)
        return {
            "headings": [GROUPS[name] for name in wanted.groups],
            "rows": [usage_row(row, wanted) for row in rows],
            "total": usage_row(found["total"], wanted),
            "tokens": list(TOKENS.values()),
            **chart(by_day, wanted, split, measure),
            "measure": measure,
        }


#: what one looks at next, behind each group
NEXT = {"department": ("key", "model"), "model": ("deployment", "department"), "key": ("model",), "user": ("key",)}


def drill(group: str, row: dict[str, Any], wanted: Wanted) -> str:
    """Where a name leads: the calls of a key or of a day; '' where nothing lies behind it."""
    if not row.get(group):
        return ""
    if group == "day":
        return wanted.query(since=row["day"], until=row["day"], group_by="department,model")
    if group in NEXT and row.get(f"{group}_id"):
        return wanted.query(only=f"{group}:{row[f'{group}_id']}", group_by=",".join(NEXT[group]))
    return ""


def whose(member: Member) -> str:
    """Whose usage somebody sees, said on the page."""
    if member.may("usage.all"):
        return "the whole tenant"
    return "the keys of your departments and your own" if member.role == Role.DEVELOPER else "your own keys"


def usage_row(row: dict[str, Any], wanted: Wanted) -> dict[str, Any]:
    """One line of the report, ready to be shown."""
    return {
        "names": [(row.get(name) or "–", drill(name, row, wanted)) for name in wanted.groups],
        "calls": cells.count(int(row.get("calls") or 0)),
        "tokens": [cells.count(int(row.get(name) or 0)) for name in TOKENS],
        "cost": cells.money(Decimal(row.get("cost") or 0)),
        "estimated": int(row.get("estimated") or 0),
    }


#: so many members of a group have a colour of their own in the chart; the others share one
MOST_SERIES = 6


def chart(rows: Sequence[dict[str, Any]], wanted: Wanted, split: str, measure: str) -> dict[str, Any]:
    """A stacked bar for every day of the period, without calls as well, of `cost` or `calls`; heights are percent of
    the highest day. The largest members of the group `split` have a series each.
    """
    sums: dict[str, Decimal] = {}
    for row in rows:
        name = str(row[split] or "–")
        sums[name] = sums.get(name, Decimal(0)) + Decimal(row[measure])
    names = sorted(sums, key=lambda name: sums[name], reverse=True)
    series = {name: min(place, MOST_SERIES) for place, name in enumerate(names)}
    days: dict[str, list[dict[str, Any]]] = {}
    for row in rows:
        days.setdefault(str(row["day"]), []).append(row)
    totals = {day: sum((Decimal(row[measure]) for row in found), Decimal(0)) for day, found in days.items()}
    top = max(totals.values(), default=Decimal(0)) or Decimal(1)
    length = min((wanted.until - wanted.since).days + 1, 366)
    shown = [wanted.since + timedelta(days=number) for number in range(length)]
    legend = [(name, number) for name, number in series.items() if number < MOST_SERIES]
    if len(names) > MOST_SERIES:
        legend.append((f"{len(names) - MOST_SERIES} more", MOST_SERIES))
    return {
        "chart": [bar_of(day, days.get(str(day), []), wanted, split, series, measure, top) for day in shown],
        "legend": legend,
        "split": GROUPS[split],
        "highest": cells.dollars(top) if measure == "cost" else f"{int(top):,}",
    }


def bar_of(
    day: date,
    rows: list[dict[str, Any]],
    wanted: Wanted,
    split: str,
    series: dict[str, int],
    measure: str,
    top: Decimal,
) -> dict[str, Any]:
    """One day of the chart: its parts (series, height), and what it says in words."""
    parts: dict[int, Decimal] = {}
    for row in rows:
        number = series[str(row[split] or "–")]
        parts[number] = parts.get(number, Decimal(0)) + Decimal(row[measure])
    cost = sum((Decimal(row["cost"]) for row in rows), Decimal(0))
    calls = sum(int(row["calls"]) for row in rows)
    text = f"{cells.dollars(cost)}, {calls:,} calls" if rows else "no calls"
    return {
        "day": day,
        "parts": [
            (number, (max(parts[number], Decimal(0)) * 100 / top).quantize(Decimal("0.1"))) for number in sorted(parts)
        ],
        "text": f"{day:%d %b}: {text}",
        "link": wanted.query(since=day, until=day),
    }


class BudgetForm(ScopedForm):
    """A limit for the tenant, or for one department, person, key or model."""

    aim = inputs.choice("For")
    warn = inputs.text(
        "Warn at", required=False, initial="80", help_text="Percent of the limit; several are separated by commas."
    )

    class Meta:
        model = Budget
        fields = ("period", "limit")

    #: The page's site; the page sets it, because it knows the models' names.
    site: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["aim"].choices = self.aims()  # type: ignore[attr-defined]
        if not self.instance._state.adding:
            self.initial["aim"] = f"{self.instance.scope}:{self.instance.target or ''}"
            self.initial["limit"] = f"{self.instance.limit.normalize():f}"
            self.initial["warn"] = ", ".join(f"{part * 100:.0f}" for part in self.instance.warn_at)

    def aims(self) -> list[Any]:
        """Everything that can have a budget, by kind."""
        return [("tenant:", "the whole tenant"), *inputs.by_kind(self.site, KINDS)]

    def clean_warn(self) -> list[Decimal]:
        parts = [part.strip().removesuffix("%") for part in self.cleaned_data["warn"].split(",") if part.strip()]
        if not all(part.isdigit() and 0 < int(part) <= 100 for part in parts):
            raise forms.ValidationError("Write whole percentages from 1 to 100, separated by commas.")
        return [Decimal(part) / 100 for part in parts]

    def save(self, commit: bool = True) -> Budget:
        scope, _, target = self.cleaned_data["aim"].partition(":")
        self.instance.scope, self.instance.target = scope, UUID(target) if target else None
        self.instance.warn_at = self.cleaned_data["warn"]
        saved: Budget = super().save(commit)
        return saved


KINDS = {"department": "Departments", "user": "People", "key": "API keys", "model": "Models"}
PERIODS = {"day": "a day", "month": "a month", "total": "in all"}


@dataclass(frozen=True, slots=True)
class BudgetBar:
    """A budget as the overview shows it."""

    name: str
    period: str
    bar: SafeString
    text: str
    link: str
    forecast: str  #: as a cell; "" where nobody can tell


@admin.register(Budget)
class BudgetPage(TenantAdmin):
    rights = "budgets"
    granted = "budget"
    add_text = "Add budget"
    deletable = True
    form = BudgetForm
    fields = ("aim", "period", "limit", "warn")
    lead = "A budget cannot be overspent: a call's worst case is reserved before it leaves, and the rest is given back."
    empty = (
        "No budget limits spending yet",
        "Add one for the whole tenant first; departments, people, keys and models can have tighter ones.",
    )
    list_display = ("what", "per", "bar", "spent", "reserved", "remaining", "limited", "likely", "renews", "more")
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Budget]:
        """A developer sees the budgets that their departments' calls use up."""
        member, budgets = self.member(request), super().get_queryset(request).order_by("created_at")
        if member.role != Role.DEVELOPER:
            return budgets
        own = Q(scope=BudgetScope.USER, target=member.user)
        own |= Q(scope=BudgetScope.DEPARTMENT, target__in=member.departments or ())
        own |= Q(scope=BudgetScope.KEY, target__in=visible_keys(member).values("id"))
        own |= Q(pk__in=grants_of(request).shown(self.granted))
        return budgets.filter(own)

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.site = self.admin_site
        return form

    def title_of(self, found: Budget) -> str:
        names: dict[UUID, str] = self.admin_site.names_of("budget", [found.pk])
        return f"Budget of {names[found.pk]}"

    def get_urls(self) -> list[URLPattern]:
        more = self.admin_site.admin_view(self.more_view)
        return [path("<path:object_id>/more/", more, name="billing_budget_more"), *super().get_urls()]

    def more_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asking for more of a budget; somebody else decides."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        budget = self.get_object(request, unquote(object_id))
        if budget is None:
            raise Http404("There is no budget with this id here.")
        [shown] = self.with_state([budget])
        form, who = MoreForm(request.POST or None), str(self.member(request).user)
        if form.is_valid():
            given = form.cleaned_data
            made = inputs.attempt(
                form,
                lambda: requests.ask(
                    budget, given["limit"], given["reason"], asked_by=str(request.user), asked_by_id=who
                ),
                RequestRefused,
            )
            if made is not None:
                messages.success(request, "It is asked for; billing managers and owners are told.")
                return HttpResponseRedirect(reverse("admin:billing_budgetrequest_changelist"))
        lead = (
            f"{cells.dollars(spent(shown))} of {cells.dollars(budget.limit)} {PERIODS[budget.period]} are spent for "
            f"{shown.aim}. Somebody else approves what you ask for."  # type: ignore[attr-defined]
        )
        title = f"More budget for {shown.aim}"  # type: ignore[attr-defined]
        return inputs.form_page(self, request, form, title=title, submit="Ask", lead=lead)

    @admin.display(description="more")
    def more(self, budget: Budget) -> SafeString:
        return cells.link(reverse("admin:billing_budget_more", args=[budget.pk]), "Ask…")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with what is spent and reserved now, read for the whole page at once."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.with_state(changelist.result_list)
        return changelist

    def with_state(self, budgets: Iterable[Budget]) -> list[Budget]:
        """Budgets with `state` (spent, reserved, remaining) and `aim`, the name of what they limit."""
        found = list(budgets)
        states = services.budget_states([budget.pk for budget in found])
        likely = services.forecasts(found, states)
        names: dict[str, dict[UUID, str]] = {}
        for kind in {budget.scope for budget in found if budget.target}:
            wanted = [budget.target for budget in found if budget.scope == kind]
            names[kind] = self.admin_site.names_of(kind, wanted)
        for budget in found:
            budget.state = states.get(budget.pk)  # type: ignore[attr-defined]
            budget.likely = likely.get(budget.pk)  # type: ignore[attr-defined]
            budget.aim = names.get(budget.scope, {}).get(budget.target, "the whole tenant")  # type: ignore
        return found

    def bars(self, request: HttpRequest) -> list[BudgetBar]:
        """The overview's budgets."""
        budgets = self.with_state(self.get_queryset(request)[:12])
        return [
            BudgetBar(
                budget.aim,  # type: ignore[attr-defined]
                PERIODS[budget.period],
                self.bar(budget),
                f"{cells.dollars(spent(budget))} of {cells.dollars(budget.limit)}",
                reverse("admin:billing_budget_change", args=[budget.pk]),
                "" if (likely := forecast_cell(budget)) is cells.NOTHING else likely,
            )
            for budget in budgets
        ]

    @admin.display(description="for")
    def what(self, budget: Any) -> SafeString:
        return cells.words(budget.aim, "" if budget.scope == BudgetScope.TENANT else budget.get_scope_display().lower())

    @admin.display(description="period")
    def per(self, budget: Budget) -> str:
        return PERIODS[budget.period]

    @admin.display(description="used")
    def bar(self, budget: Any) -> SafeString:
        return cells.bar(spent(budget), reserved(budget), budget.limit)

    @admin.display(description="spent")
    def spent(self, budget: Any) -> SafeString:
        over = budget.state.overrun if budget.state else Decimal(0)
        told = cells.money(spent(budget))
        return cells.words(told, f"and {cells.dollars(over)} beyond a reservation") if over else told

    @admin.display(description="reserved")
    def reserved(self, budget: Any) -> SafeString:
        return cells.money(reserved(budget))

    @admin.display(description="remaining")
    def remaining(self, budget: Any) -> SafeString:
        return cells.money(budget.state.remaining if budget.state else budget.limit)

    @admin.display(description="limit")
    def limited(self, budget: Budget) -> SafeString:
        return cells.money(budget.limit)

    @admin.display(description="forecast")
    def likely(self, budget: Any) -> SafeString:
        """How the period is likely to end, and when the money is likely to be gone."""
        return forecast_cell(budget)

    @admin.display(description="renews")
    def renews(self, budget: Any) -> SafeString:
        return cells.moment(budget.state.renews_at if budget.state else None)

    def consequences(self, obj: Budget) -> list[str]:
        [budget] = self.with_state([obj])
        return [
            f"Spending {PERIODS[obj.period]} is no longer limited to {cells.dollars(obj.limit)} for {budget.aim}.",  # type: ignore[attr-defined]
            f"{cells.dollars(spent(budget))} of it are spent; the ledger keeps every call.",
        ]


def forecast_cell(budget: Any) -> SafeString:
    """`$12.40` of a period, and a word where it will not be enough."""
    likely = budget.likely
    if likely is None or (likely.spent is None and likely.runs_out_at is None):
        return cells.NOTHING
    said = cells.NOTHING if likely.spent is None else cells.money(likely.spent)
    if likely.runs_out_at is None:
        return said
    out = likely.runs_out_at
    gone = spent(budget) >= budget.limit
    text = "used up" if gone else f"runs out {out:%d %b, %H:%M}" if budget.period != "day" else f"runs out {out:%H:%M}"
    return format_html("{} {}", said, cells.label(text, "bad" if gone else "warn", f"{out:%Y-%m-%d %H:%M} UTC"))


def spent(budget: Any) -> Decimal:
    return budget.state.spent if budget.state else Decimal(0)


def reserved(budget: Any) -> Decimal:
    return budget.state.reserved if budget.state else Decimal(0)


class MoreForm(forms.Form):
    """How much more, and why."""

    limit = forms.DecimalField(label="New limit (USD)", max_digits=24, decimal_places=12, min_value=Decimal(0))
    reason = inputs.long_text("Why it is needed", max_length=500)

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["limit"].widget = UnfoldAdminTextInputWidget(attrs={"inputmode": "decimal"})
        self.fields["reason"].widget.attrs["rows"] = 3


REQUESTS = {RequestState.OPEN: "warn", RequestState.APPROVED: "good", RequestState.REFUSED: "bad"}


@admin.register(BudgetRequest)
class RequestPage(ReadOnlyAdmin):
    """Wishes that a budget be raised, and what became of them."""

    rights = "budgets"
    heading = "Requests"
    lead = "Who wants more budget, and why. Approving raises the limit at once; nobody decides on their own request."
    empty = ("Nobody asked for more budget", "Whoever sees a budget can ask for more on the budget's own page.")
    list_display = ("when", "whom", "who", "wish", "reason", "standing", "decided")
    list_display_links = ("when",)
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        decide = self.admin_site.admin_view(require_POST(self.decide_view))
        return [
            path("<path:object_id>/decide/<slug:verb>/", decide, name="billing_budgetrequest_decide"),
            *super().get_urls(),
        ]

    def get_queryset(self, request: HttpRequest) -> QuerySet[BudgetRequest]:
        """All for those who manage money, else one's own."""
        member, rows = self.member(request), super().get_queryset(request).select_related("budget")
        return rows if member.may("budgets.all") else rows.filter(asked_by_id=str(member.user))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.named(changelist.result_list)
        return changelist

    def named(self, rows: Iterable[BudgetRequest]) -> list[BudgetRequest]:
        """Requests with `aim`, the name of what their budget limits."""
        found = list(rows)
        names: dict[str, dict[UUID, str]] = {}
        for kind in {row.budget.scope for row in found if row.budget.target}:
            wanted = [row.budget.target for row in found if row.budget.scope == kind and row.budget.target]
            names[kind] = self.admin_site.names_of(kind, wanted)
        for row in found:
            target = row.budget.target
            row.aim = names.get(row.budget.scope, {}).get(target, "–") if target else "the whole tenant"  # type: ignore
        return found

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        found = self.get_object(request, unquote(object_id))
        if found is None:
            raise Http404("There is no request with this id here.")
        [row] = self.named([found])
        facts = [
            ("State", self.standing(row)),
            ("Budget", self.whom(row)),
            ("Limit now", cells.money(row.budget.limit)),
            ("Limit wanted", cells.money(row.limit)),
            ("Why", row.reason),
            ("Asked by", row.asked_by),
            ("Asked", self.when(row)),
            ("Decided by", row.decided_by or cells.NOTHING),
        ]
        open_ = row.state == RequestState.OPEN and self.may(request, "change")
        mine = row.asked_by_id == str(self.member(request).user)
        verbs = (("Approve", "approve"), ("Refuse", "refuse")) if open_ and not mine else ()
        posts = [(text, reverse("admin:billing_budgetrequest_decide", args=[row.pk, verb])) for text, verb in verbs]
        return self.facts_page(request, row, f"More budget for {row.aim}", facts, posts=posts)  # type: ignore[attr-defined]

    def decide_view(self, request: HttpRequest, object_id: str, verb: str) -> HttpResponse:
        if not self.may(request, "change"):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None or verb not in ("approve", "refuse"):
            raise Http404("There is no request with this id here.")
        try:
            with transaction.atomic():
                who = str(self.member(request).user)
                requests.decide(row, verb == "approve", decided_by=str(request.user), decided_by_id=who)
        except RequestRefused as refusal:
            messages.error(request, str(refusal))
        else:
            messages.success(request, "The limit is raised." if verb == "approve" else "The request is refused.")
        return HttpResponseRedirect(reverse("admin:billing_budgetrequest_changelist"))

    @admin.display(description="asked")
    def when(self, row: BudgetRequest) -> SafeString:
        return cells.moment(row.created_at)

    @admin.display(description="budget for")
    def whom(self, row: Any) -> SafeString:
        return cells.words(row.aim, PERIODS[row.budget.period])

    @admin.display(description="asked by")
    def who(self, row: BudgetRequest) -> str:
        return row.asked_by

    @admin.display(description="wish")
    def wish(self, row: BudgetRequest) -> SafeString:
        return cells.words(cells.dollars(row.limit), f"now {cells.dollars(row.budget.limit)}")

    @admin.display(description="state")
    def standing(self, row: BudgetRequest) -> SafeString:
        return cells.label(row.state, REQUESTS[RequestState(row.state)])

    @admin.display(description="decided by")
    def decided(self, row: BudgetRequest) -> str:
        return row.decided_by or "–"


NOTICES = {
    NoticeKind.BUDGET_WARNING: ("Budget warning", "warn"),
    NoticeKind.BUDGET_EXHAUSTED: ("Budget refuses calls", "bad"),
    NoticeKind.UNUSUAL_SPENDING: ("Unusual spending", "warn"),
    NoticeKind.UNUSUAL_REFUSALS: ("Unusual refusals", "warn"),
}


@admin.register(Notice)
class NoticePage(ReadOnlyAdmin):
    """What people were told of."""

    rights = "budgets"
    heading = "Alerts"
    lead = (
        "Budgets past a threshold or out of room, and days far from the usual. Each is told once: by mail to billing "
        "managers and owners, and to webhooks."
    )
    empty = ("Nothing to tell", "Thresholds are set with each budget; unusual days are known after two weeks of calls.")
    list_display = ("when", "what", "about", "figures_shown", "of_period")
    list_display_links = ("when",)
    sortable_by = ()

    def has_module_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "all")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self.may(request, "all")

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with the names of what each is about, read for the whole page at once."""
        changelist = super().get_changelist_instance(request)
        notices = list(changelist.result_list)
        targets: dict[str, set[UUID]] = {}
        for notice in notices:
            kind, target = about(notice)
            if target:
                targets.setdefault(kind, set()).add(target)
        names = {kind: self.admin_site.names_of(kind, ids) for kind, ids in targets.items()}
        for notice in notices:
            kind, target = about(notice)
            notice.name = names.get(kind, {}).get(target, "the whole tenant" if target is None else "–")
        changelist.result_list = notices
        return changelist

    def change_view(self, request: HttpRequest, object_id: str, *rest: Any, **more: Any) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        notice = self.get_object(request, unquote(object_id))
        if notice is None:
            raise Http404("There is no notice with this id here.")
        figures = [(name.replace("_", " ").capitalize(), value) for name, value in notice.figures.items() if value]
        facts = [("What", self.what(notice)), ("Told", self.when(notice)), ("Period", self.of_period(notice)), *figures]
        return self.facts_page(request, notice, NOTICES[NoticeKind(notice.kind)][0], facts)

    @admin.display(description="told")
    def when(self, notice: Notice) -> SafeString:
        return cells.moment(notice.created_at)

    @admin.display(description="what")
    def what(self, notice: Notice) -> SafeString:
        return cells.label(*NOTICES[NoticeKind(notice.kind)])

    @admin.display(description="about")
    def about(self, notice: Any) -> SafeString:
        return cells.words(notice.name, about(notice)[0] if about(notice)[1] else "")

    @admin.display(description="figures")
    def figures_shown(self, notice: Notice) -> SafeString:
        found = notice.figures
        if notice.kind in (NoticeKind.UNUSUAL_SPENDING, NoticeKind.UNUSUAL_REFUSALS):
            return cells.words(amount(found["value"], notice), f"usually at most {amount(found['usual_most'], notice)}")
        passed = f"passed {notice.share * 100:.0f} %" if notice.share else f"{found.get('refused', 0):,} calls refused"
        of = f"{cells.dollars(Decimal(found['spent']))} of {cells.dollars(Decimal(found['limit']))}"
        return cells.words(of, passed)

    @admin.display(description="period")
    def of_period(self, notice: Notice) -> str:
        return f"{notice.starts_at:%Y-%m-%d}"


def about(notice: Notice) -> tuple[str, UUID | None]:
    """Kind and id of what a notice is about: what its budget limits, or a department."""
    found = notice.figures
    if "scope" in found:
        return found["scope"], UUID(found["target"]) if found["target"] else None
    return "department", notice.subject


def amount(value: str, notice: Notice) -> str:
    return cells.dollars(Decimal(value)) if notice.kind == NoticeKind.UNUSUAL_SPENDING else f"{int(Decimal(value)):,}"


class PriceForm(ScopedForm):
    """The price of a million tokens of one kind, from a moment on."""

    deployment = inputs.choice("Deployment")
    valid_from = inputs.moment("Valid from", initial=timezone.now)

    class Meta:
        model = Price
        fields = ("kind", "per_million", "valid_from")

    site: ClassVar[Any] = None

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        named = [(str(pk), name) for pk, name in self.site.own_deployments().items()]
        self.fields["deployment"].choices = named  # type: ignore[attr-defined]

    def save(self, commit: bool = True) -> Price:
        self.instance.deployment_id = UUID(self.cleaned_data["deployment"])
        saved: Price = super().save(commit)
        return saved


@admin.register(Price)
class PricePage(TenantAdmin):
    """Prices are added, never changed: an old one stays true for the calls of its time."""

    rights = "prices"
    add_text = "Add price"
    form = PriceForm
    fields = ("deployment", "kind", "per_million", "valid_from")
    lead = (
        "US dollars for a million tokens. A price holds until the next one of its kind begins; old calls keep theirs."
    )
    empty = (
        "No prices yet",
        "Deployments of known models bring theirs. Add one for a model of your own, or calls to it cannot be budgeted.",
    )
    list_display = ("deployment", "kind", "price", "since", "source")
    ordering = ("deployment_id", "kind", "-valid_from")
    sortable_by = ()
    list_per_page = 100

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        changelist = super().get_changelist_instance(request)
        found = list(changelist.result_list)
        names = self.admin_site.names_of("deployment", [price.deployment_id for price in found])
        for price in found:
            price.deployment_name = names.get(price.deployment_id, "–")
        changelist.result_list = found
        return changelist

    def get_form(self, request: HttpRequest, obj: Any = None, change: bool = False, **kwargs: Any) -> Any:
        form = super().get_form(request, obj, change, **kwargs)
        form.site = self.admin_site
        return form

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    @admin.display(description="deployment")
    def deployment(self, price: Any) -> str:
        return str(price.deployment_name)

    @admin.display(description="a million tokens")
    def price(self, price: Price) -> SafeString:
        return cells.money(price.per_million)

    @admin.display(description="valid from")
    def since(self, price: Price) -> SafeString:
        return cells.moment(price.valid_from)


__all__ = ["BudgetPage", "NoticePage", "PricePage", "RequestPage", "UsagePage", "check_admin", "report_admin"]
