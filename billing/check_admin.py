"""The console's pages that check money: reconciliation with a vendor's export, and rating a period anew."""

from __future__ import annotations

import json
from datetime import timedelta
from decimal import Decimal
from functools import partial
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils.safestring import SafeString
from django.views.decorators.http import require_POST

from tenants.console import cells
from tenants.console import forms as inputs
from tenants.console.pages import TenantAdmin
from tenants.console.periods import start_of, today

from . import reconciliation, rerating, tasks
from .errors import InvoiceUnreadable
from .models import Reconciliation, ReportState, Rerating, ReratingState
from .reconciliation import CLASSES

TONES = {"equal": "good", "price": "bad", "unmatched": "bad", "unexplained": "bad"}
STATES: dict[str, tuple[str, str]] = {
    ReportState.SUCCEEDED: ("ready", "good"),
    ReportState.FAILED: ("failed", "bad"),
    ReratingState.DRAFTED: ("dry run", "note"),
    ReratingState.APPLIED: ("corrected", "good"),
}
MEANING = {
    "equal": "nothing differs",
    "price": "the same tokens, another amount",
    "estimated": "the vendor sent no usage for some attempts",
    "aborted": "calls were cut off",
    "retried": "attempts failed and others followed",
    "unmatched": "only one side knows of it",
    "unexplained": "none of these",
}
#: lines of a comparison that a page shows; the CSV holds all
MOST_SHOWN = 300


class ExportForm(forms.Form):
    """A vendor's file and how it is to be read."""

    vendor = inputs.choice("Vendor", choices=[("openai", "OpenAI"), ("anthropic", "Anthropic"), ("generic", "Other")])
    file = inputs.upload("CSV file", help_text="The vendor's usage or cost export.")
    mapping = inputs.text(
        "Columns",
        required=False,
        help_text='For other vendors: which column holds what, as {"day": "Date", "model": "Model", "cost": "Amount"}.',
    )
    keys = inputs.text(
        "Keys",
        required=False,
        help_text='Which provider uses which of the vendor\'s keys, as {"key_prod": "openai"}: each is compared then.',
    )

    def clean_mapping(self) -> dict[str, str]:
        return self._words("mapping")

    def clean_keys(self) -> dict[str, str]:
        return self._words("keys")

    def clean_file(self) -> str:
        try:
            return str(self.cleaned_data["file"].read().decode())
        except UnicodeDecodeError:
            raise forms.ValidationError("Must be text in UTF-8.") from None

    def _words(self, name: str) -> dict[str, str]:
        text = self.cleaned_data[name].strip()
        try:
            found = json.loads(text) if text else {}
        except ValueError:
            found = None
        if not isinstance(found, dict) or not all(isinstance(value, str) for value in found.values()):
            raise forms.ValidationError('Write names in quotes, as {"day": "Date"}.')
        return found


@admin.register(Reconciliation)
class ReconciliationPage(TenantAdmin):
    """A vendor's bill against the ledger."""

    rights = "reconciliations"
    heading = "Reconciliation"
    lead = "A vendor's export is compared with the ledger by day, model and key; every difference gets a class."
    empty = ("Nothing was compared yet", "Download a vendor's usage or cost export as CSV, and add it here.")
    add_text = "Compare an export"
    list_display = ("sent", "whose", "days", "standing", "differing", "billed", "charged")
    list_display_links = ("sent",)
    sortable_by = ()

    def get_queryset(self, request: HttpRequest) -> QuerySet[Reconciliation]:
        return super().get_queryset(request).defer("told", "lines")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ExportForm(request.POST or None, request.FILES or None)
        if form.is_valid() and (made := self.ask(request, form)) is not None:
            transaction.on_commit(partial(tasks.dispatch_reconciliation, self.member(request).tenant.pk, made.pk))
            messages.success(request, "The export is being compared. The result appears below when it is ready.")
            return HttpResponseRedirect(reverse("admin:billing_reconciliation_changelist"))
        return inputs.form_page(self, request, form, title="Compare an export", submit="Compare", lead=self.lead)

    def ask(self, request: HttpRequest, form: ExportForm) -> Reconciliation | None:
        given = form.cleaned_data
        ask = partial(
            reconciliation.ask,
            given["file"],
            given["vendor"],
            file_name=str(request.FILES["file"]),
            made_by=str(request.user),
            mapping=given["mapping"],
            keys=given["keys"],
        )
        return inputs.attempt(form, ask, InvoiceUnreadable)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404("There is no reconciliation with this id here.")
        wanted = request.GET.get("class", "")
        summary = row.summary or {}
        lines = [one for one in row.lines or () if wanted in ("", one["class"])]
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": row,
            "title": str(row),
            "row": row,
            "standing": self.standing(row),
            "classes": [shown_class(name, summary[name], wanted) for name in CLASSES if name in summary],
            "total": summary.get("total") and shown_class("total", summary["total"], wanted),
            "lines": [shown_line(one) for one in lines[:MOST_SHOWN]],
            "left_out": max(len(lines) - MOST_SHOWN, 0),
            "wanted": wanted,
            "download": f"/api/v1/billing/reconciliations/{row.pk}/download",
        }
        return TemplateResponse(request, "console/reconciliation.html", context)

    @admin.display(description="sent")
    def sent(self, row: Reconciliation) -> SafeString:
        return cells.moment(row.created_at)

    @admin.display(description="vendor")
    def whose(self, row: Reconciliation) -> SafeString:
        return cells.words(row.get_vendor_display(), row.file_name)

    @admin.display(description="days")
    def days(self, row: Reconciliation) -> str:
        return f"{row.first_day} – {row.last_day}"

    @admin.display(description="state")
    def standing(self, row: Reconciliation) -> SafeString:
        text, tone = STATES.get(row.state, (row.state, "warn"))
        return cells.label(text, tone, row.error)

    @admin.display(description="lines that differ")
    def differing(self, row: Reconciliation) -> SafeString:
        found = row.summary
        if found is None:
            return cells.NOTHING
        return cells.count(found["total"]["lines"] - found.get("equal", {}).get("lines", 0))

    @admin.display(description="vendor's cost")
    def billed(self, row: Reconciliation) -> SafeString:
        return cells.money(Decimal(row.summary["total"]["vendor_cost"]) if row.summary else None)

    @admin.display(description="our cost")
    def charged(self, row: Reconciliation) -> SafeString:
        return cells.money(Decimal(row.summary["total"]["ledger_cost"]) if row.summary else None)


def shown_class(name: str, found: dict[str, Any], wanted: str) -> dict[str, Any]:
    """One class of differences, ready to be shown."""
    vendor, ledger = Decimal(found["vendor_cost"]), Decimal(found["ledger_cost"])
    return {
        "name": name,
        "meaning": MEANING.get(name, ""),
        "label": cells.label(name, TONES.get(name, "warn")),
        "here": name == wanted,
        "lines": cells.count(found["lines"]),
        "vendor": cells.money(vendor),
        "ledger": cells.money(ledger),
        "difference": cells.money(vendor - ledger),
    }


def shown_line(one: dict[str, Any]) -> dict[str, Any]:
    """One day, model and key, ready to be shown."""
    sides = [one["vendor"] or {}, one["ledger"] or {}]
    return {
        "day": one["day"],
        "model": one["model"],
        "key": one["key"] or "–",
        "label": cells.label(one["class"], TONES.get(one["class"], "warn"), causes(one["causes"])),
        "tokens": [
            (cells.count(side.get("input")), cells.count(side.get("output")), amount(side.get("cost")))
            for side in sides
        ],
        "difference": amount(one["difference"]["cost"]),
    }


def causes(found: dict[str, int]) -> str:
    return ", ".join(f"{count:,} attempts {cause}" for cause, count in found.items())


def amount(text: str | None) -> SafeString:
    return cells.money(None if text is None else Decimal(text))


class PeriodForm(forms.Form):
    """Whole days that are to be rated anew."""

    first = inputs.day("From", initial=lambda: today().replace(day=1))
    last = inputs.day("Up to and with", initial=today)

    def clean(self) -> dict[str, Any] | None:
        first, last = self.cleaned_data.get("first"), self.cleaned_data.get("last")
        if first and last and first > last:
            self.add_error("last", "Must not be before the first day.")
        return super().clean()


@admin.register(Rerating)
class ReratingPage(TenantAdmin):
    """A period at the prices as they stand now."""

    rights = "reratings"
    heading = "Re-rating"
    lead = (
        "What the calls of a period cost at the prices as they stand now. First a dry run says what differs; applying "
        "it writes corrections beside the ledger, which itself never changes. Budgets are not touched."
    )
    empty = ("No period was rated anew", "When a price was wrong, add the right one, then rate its period here.")
    add_text = "Rate a period"
    list_display = ("asked", "days", "standing", "rows", "before", "after", "difference", "made_by")
    list_display_links = ("asked",)
    sortable_by = ()

    def get_urls(self) -> list[URLPattern]:
        apply = self.admin_site.admin_view(require_POST(self.apply_view))
        return [path("<path:object_id>/apply/", apply, name="billing_rerating_apply"), *super().get_urls()]

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return False

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PeriodForm(request.POST or None)
        if form.is_valid():
            given = form.cleaned_data
            until = start_of(given["last"] + timedelta(days=1))
            made = rerating.ask(start_of(given["first"]), until, str(request.user))
            self.hand_over(request, made, "The dry run is being made. It appears below when it is ready.")
            return HttpResponseRedirect(reverse("admin:billing_rerating_changelist"))
        return inputs.form_page(
            self, request, form, title="Rate a period anew", submit="Make a dry run", lead=self.lead
        )

    def apply_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        if not self.may(request, "change"):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404("There is no re-rating with this id here.")
        if rerating.wish(row, str(request.user)):
            self.hand_over(request, row, "The corrections are being written.")
        else:
            messages.error(request, f"Only a dry run that is ready can be applied; this one is {row.state}.")
        return HttpResponseRedirect(reverse("admin:billing_rerating_change", args=[row.pk]))

    def hand_over(self, request: HttpRequest, row: Rerating, said: str) -> None:
        transaction.on_commit(partial(tasks.dispatch_rerating, self.member(request).tenant.pk, row.pk))
        messages.success(request, said)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        row = self.get_object(request, unquote(object_id))
        if row is None:
            raise Http404("There is no re-rating with this id here.")
        found = (row.figures or {}).get("deployments", [])
        facts = [
            ("State", self.standing(row)),
            ("Days (UTC)", self.days(row)),
            ("Rows that differ", self.rows(row)),
            ("Cost before", self.before(row)),
            ("Cost after", self.after(row)),
            ("Difference", self.difference(row)),
            ("Asked for by", row.made_by),
            ("Applied by", row.applied_by or cells.NOTHING),
            (
                "By deployment",
                cells.lines(f"{one['deployment']}: {one['rows']:,} rows, {one['difference']} USD" for one in found),
            ),
        ]
        can = row.state == ReratingState.DRAFTED and found and self.may(request, "change")
        posts = [("Write the corrections", reverse("admin:billing_rerating_apply", args=[row.pk]))] if can else []
        return self.facts_page(request, row, str(row), facts, posts=posts)

    @admin.display(description="asked for")
    def asked(self, row: Rerating) -> SafeString:
        return cells.moment(row.created_at)

    @admin.display(description="days")
    def days(self, row: Rerating) -> str:
        return f"{row.since:%Y-%m-%d} – {row.until - timedelta(microseconds=1):%Y-%m-%d}"

    @admin.display(description="state")
    def standing(self, row: Rerating) -> SafeString:
        text, tone = STATES.get(row.state, (row.state, "warn"))
        return cells.label(text, tone, row.error)

    @admin.display(description="rows that differ")
    def rows(self, row: Rerating) -> SafeString:
        return cells.count(row.figures["total"]["rows"] if row.figures else None)

    @admin.display(description="before")
    def before(self, row: Rerating) -> SafeString:
        return amount(row.figures["total"]["before"] if row.figures else None)

    @admin.display(description="after")
    def after(self, row: Rerating) -> SafeString:
        return amount(row.figures["total"]["after"] if row.figures else None)

    @admin.display(description="difference")
    def difference(self, row: Rerating) -> SafeString:
        return amount(row.figures["total"]["difference"] if row.figures else None)
