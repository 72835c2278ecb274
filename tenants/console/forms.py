"""Forms that save through services: their fields look like the rest, their errors stand where they were made."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

from django import forms
from django.db import transaction
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.urls import reverse
from unfold.widgets import (
    UnfoldAdminCheckboxSelectMultipleWidget,
    UnfoldAdminEmailInputWidget,
    UnfoldAdminFileFieldWidget,
    UnfoldAdminIntegerFieldWidget,
    UnfoldAdminPasswordToggleWidget,
    UnfoldAdminSelectWidget,
    UnfoldAdminTextareaWidget,
    UnfoldAdminTextInputWidget,
    UnfoldBooleanWidget,
)

from tenants.errors import TenantsError
from tenants.models import Department

from .pages import REASON_LENGTH, TenantAdmin

Saved = TypeVar("Saved")


def text(label: str, **options: Any) -> forms.CharField:
    return forms.CharField(label=label, widget=UnfoldAdminTextInputWidget, **options)


def long_text(label: str, **options: Any) -> forms.CharField:
    return forms.CharField(label=label, widget=UnfoldAdminTextareaWidget(attrs={"rows": 8}), **options)


def slug(label: str, **options: Any) -> forms.SlugField:
    return forms.SlugField(label=label, widget=UnfoldAdminTextInputWidget, **options)


def email(label: str, **options: Any) -> forms.EmailField:
    return forms.EmailField(label=label, widget=UnfoldAdminEmailInputWidget, **options)


def secret(label: str, autocomplete: str = "off", **options: Any) -> forms.CharField:
    """A value that is typed in and never shown again."""
    widget = UnfoldAdminPasswordToggleWidget(attrs={"autocomplete": autocomplete}, render_value=False)
    return forms.CharField(label=label, widget=widget, strip=False, **options)


def number(label: str, **options: Any) -> forms.IntegerField:
    widget = UnfoldAdminIntegerFieldWidget(attrs={"inputmode": "numeric"})
    return forms.IntegerField(label=label, widget=widget, min_value=1, **options)


def choice(label: str, **options: Any) -> forms.ChoiceField:
    return forms.ChoiceField(label=label, widget=UnfoldAdminSelectWidget, **options)


def step(label: str, **options: Any) -> forms.TypedChoiceField:
    """A choice of numbers."""
    return forms.TypedChoiceField(label=label, widget=UnfoldAdminSelectWidget, coerce=int, **options)


def one_of(label: str, rows: QuerySet[Any], **options: Any) -> forms.ModelChoiceField[Any]:
    """A reference to one of the rows that the open tenant has when the form is shown."""
    return forms.ModelChoiceField(rows, label=label, widget=UnfoldAdminSelectWidget, empty_label="Choose…", **options)


def several(label: str, **options: Any) -> forms.MultipleChoiceField:
    widget = UnfoldAdminCheckboxSelectMultipleWidget()
    return forms.MultipleChoiceField(label=label, widget=widget, required=False, **options)


def tick(label: str, **options: Any) -> forms.BooleanField:
    return forms.BooleanField(label=label, widget=UnfoldBooleanWidget, required=False, **options)


def day(label: str, **options: Any) -> forms.DateField:
    widget = forms.DateInput(attrs={"type": "date", "class": "ch-date"}, format="%Y-%m-%d")
    return forms.DateField(label=label, widget=widget, **options)


def moment(label: str, **options: Any) -> forms.DateTimeField:
    """A day and a time, in UTC as all of the forms."""
    widget = forms.DateTimeInput(attrs={"type": "datetime-local", "class": "ch-date"}, format="%Y-%m-%dT%H:%M")
    return forms.DateTimeField(label=f"{label} (UTC)", widget=widget, **options)


def upload(label: str, **options: Any) -> forms.FileField:
    return forms.FileField(label=label, widget=UnfoldAdminFileFieldWidget, **options)


def reason() -> forms.CharField:
    return text(
        "Reason", required=False, max_length=REASON_LENGTH, help_text="Kept with the change in the audit trail."
    )


def by_kind(site: Any, kinds: Mapping[str, str]) -> list[Any]:
    """Choices of objects (`kind:id`) grouped by kind, under each kind's title; a kind without any is left out."""
    found = []
    for kind, title in kinds.items():
        named = sorted(site.names_of(kind).items(), key=lambda pair: pair[1].lower())
        if named:
            found.append((title, [(f"{kind}:{identity}", name) for identity, name in named]))
    return found


class DepartmentField(forms.ModelChoiceField):  # type: ignore[type-arg]
    """One of the open tenant's departments."""

    def __init__(self, label: str, **options: Any) -> None:
        super().__init__(
            Department.objects.all(), label=label, widget=UnfoldAdminSelectWidget, empty_label="Choose…", **options
        )


class DepartmentsField(forms.ModelMultipleChoiceField):  # type: ignore[type-arg]
    """Some of the open tenant's departments, as boxes to tick."""

    def __init__(self, label: str, **options: Any) -> None:
        widget = UnfoldAdminCheckboxSelectMultipleWidget()
        super().__init__(Department.objects.all(), label=label, required=False, widget=widget, **options)


def attempt(form: forms.Form, save: Callable[[], Saved], refused: type[Exception] = TenantsError) -> Saved | None:
    """Saves within a savepoint; what a service refuses stands on the form, and nothing of it remains."""
    try:
        with transaction.atomic():
            return save()
    except refused as refusal:
        form.add_error(None, str(refusal))
        return None


def form_page(
    page: TenantAdmin, request: HttpRequest, form: forms.Form, *, title: str, submit: str, **more: Any
) -> HttpResponse:
    """A form with its own button. `more` may hold lead, warnings, danger, original, and the address to go back to."""
    back = reverse(f"admin:{page.opts.app_label}_{page.opts.model_name}_changelist")
    context: dict[str, Any] = {
        **page.admin_site.each_context(request),
        "opts": page.opts,
        "title": title,
        "form": form,
        "submit": submit,
        "multipart": form.is_multipart(),
        "back": back,
        **more,
    }
    return TemplateResponse(request, "console/form.html", context)
