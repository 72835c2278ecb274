"""The console's page of grants: rights on single objects, which widen what a role gives or, denied, narrow it."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import Any
from urllib.parse import urlencode
from uuid import UUID

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tenants import services
from tenants.errors import TenantsError
from tenants.models import USED, Grant

from . import cells
from . import forms as inputs
from .filters import ChoiceFilter, ParameterFilter
from .pages import TenantAdmin, state_reason

#: How kinds of those who get a grant, and of what it is on, read in a choice.
HOLDERS = {"user": "People", "department": "Departments", "key": "API keys"}
OBJECTS = {"model": "Models", "collection": "Collections", "policy": "Policies", "budget": "Budgets"}
WORDS = {"user": "person", "key": "API key"}
LIST = "admin:tenants_grant_changelist"
MOST = 12  #: grants that another's page shows by themselves


def sentence(grant: Grant) -> str:
    """A right in words."""
    return f"{'may not' if grant.deny else 'may'} {grant.right}"


class KindFilter(ChoiceFilter):
    title, parameter_name = "object", "object_type"
    choices_shown = list(OBJECTS.items())

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(object_type=value)


class DenyFilter(ChoiceFilter):
    title, parameter_name = "kind", "deny"
    choices_shown = [("0", "Granted"), ("1", "Denied")]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(deny=value == "1")


class _OneFilter(ParameterFilter):
    """Grants of one object or holder (`kind:id`), by a link from its page."""

    template = "console/filter_hidden.html"
    columns: tuple[str, str]

    def choices(self, changelist: Any) -> Iterator[Any]:
        yield {"value": self.value() or "", "name": self.parameter_name}

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        kind, _, identity = value.partition(":")
        try:
            return queryset.filter(**dict(zip(self.columns, (kind, UUID(identity)), strict=True)))
        except ValueError:
            return queryset.none()


class HolderFilter(_OneFilter):
    title, parameter_name, columns = "whom", "to", ("to_type", "to_id")


class ObjectFilter(_OneFilter):
    title, parameter_name, columns = "what", "object", ("object_type", "object_id")


class GrantForm(forms.Form):
    """A right on one object for somebody, or its denial."""

    to = inputs.choice("Whom")
    right = inputs.choice(
        "Right",
        choices=[("use", "use"), ("view", "view"), ("change", "change")],
        help_text="Models are called and collections searched by use; policies and budgets are viewed and changed.",
    )
    deny = inputs.tick("Denied", help_text="They may not, whatever their role and other grants say.")
    object = inputs.choice("What")
    reason = inputs.reason()

    field_order = ("to", "deny", "right", "object", "reason")

    def __init__(self, site: Any, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        for name, kinds in (("to", HOLDERS), ("object", OBJECTS)):
            self.fields[name].choices = [("", "Choose…"), *inputs.by_kind(site, kinds)]  # type: ignore[attr-defined]

    def clean_to(self) -> tuple[str, UUID]:
        return _read(self.cleaned_data["to"])

    def clean_object(self) -> tuple[str, UUID]:
        return _read(self.cleaned_data["object"])

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        kind = data["object"][0] if "object" in data else ""
        if kind and data.get("right") == "use" and kind not in USED:
            self.add_error("right", f"A {kind} is viewed or changed; nobody uses one.")
        return data


def _list_of(grant: Grant) -> str:
    """The list of all grants of whoever has this one."""
    return f"{reverse(LIST)}?{urlencode({'to': f'{grant.to_type}:{grant.to_id}'})}"


def _read(value: str) -> tuple[str, UUID]:
    kind, _, identity = value.partition(":")
    return kind, UUID(identity)


@admin.register(Grant)
class GrantPage(TenantAdmin):
    rights = "grants"
    heading = "Grants"
    add_text = "Grant or deny"
    deletable = True
    refusals = (TenantsError,)
    lead = "Rights on single objects, beside what roles give: they widen a role or, denied, narrow it. Denial wins."
    empty = (
        "Nothing is granted or denied",
        "Everybody has what their role gives. Grant a model to one department first.",
    )
    list_display = ("whom", "may_do", "what", "since", "end")
    list_display_links = None
    list_filter = (KindFilter, DenyFilter, HolderFilter, ObjectFilter)
    list_filter_submit = True
    ordering = ("-created_at",)
    sortable_by = ()

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with everybody's and everything's name, read for the whole page at once."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.named(changelist.result_list)
        return changelist

    def named(self, grants: Iterable[Grant]) -> list[Grant]:
        """Grants with `holder` and `thing`: the names of whom they are for and what they are on."""
        found = list(grants)
        wanted: dict[str, set[UUID]] = {}
        for grant in found:
            wanted.setdefault(grant.to_type, set()).add(grant.to_id)
            wanted.setdefault(grant.object_type, set()).add(grant.object_id)
        names = {kind: self.admin_site.names_of(kind, ids) for kind, ids in wanted.items()}
        for grant in found:
            grant.holder = names[grant.to_type].get(grant.to_id, "somebody who is gone")  # type: ignore[attr-defined]
            grant.thing = names[grant.object_type].get(grant.object_id, "one that is gone")  # type: ignore[attr-defined]
        return found

    @admin.display(description="whom")
    def whom(self, grant: Any) -> SafeString:
        return cells.words(grant.holder, WORDS.get(grant.to_type, grant.to_type))

    @admin.display(description="right")
    def may_do(self, grant: Grant) -> SafeString:
        return cells.label(sentence(grant), "bad" if grant.deny else "good")

    @admin.display(description="what")
    def what(self, grant: Any) -> SafeString:
        return cells.words(grant.thing, grant.object_type)

    @admin.display(description="since")
    def since(self, grant: Grant) -> SafeString:
        return cells.moment(grant.created_at)

    @admin.display(description="")
    def end(self, grant: Grant) -> SafeString:
        return cells.link(reverse("admin:tenants_grant_delete", args=[grant.pk]), "Take back…")

    def heading_of(self, request: HttpRequest) -> str:
        """Whose grants they are, when the list is narrowed to one."""
        for name in ("to", "object"):
            kind, _, identity = request.GET.get(name, "").partition(":")
            try:
                found = self.admin_site.names_of(kind, [UUID(identity)]) if kind in {**HOLDERS, **OBJECTS} else {}
            except ValueError:
                continue
            if found:
                return f"Grants {'of' if name == 'to' else 'on'} {next(iter(found.values()))}"
        return self.heading

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        first = {name: request.GET.get(name, "") for name in ("to", "object")}
        form = GrantForm(self.admin_site, request.POST or None, initial={**first, "right": "view"})
        if form.is_valid() and (made := self.grant(form)) is not None:
            [named] = self.named([made])
            messages.success(
                request,
                f"{named.holder} {sentence(named)} {named.thing}; every worker knows within a second.",  # type: ignore[attr-defined]
            )
            return HttpResponseRedirect(_list_of(made))
        lead = "One right on one object. A department's holds for its people and keys."
        return inputs.form_page(self, request, form, title="Grant or deny", submit="Save", lead=lead)

    def grant(self, form: GrantForm) -> Grant | None:
        data = form.cleaned_data
        state_reason(data["reason"])
        (kind, identity), (holder, whom) = data["object"], data["to"]
        return inputs.attempt(
            form, lambda: services.make_grant(kind, identity, holder, whom, data["right"], deny=data["deny"])
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A grant is not changed: it is taken back, and another made."""
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such grant here.")
        return HttpResponseRedirect(_list_of(found))

    def consequences(self, obj: Grant) -> list[str]:
        [named] = self.named([obj])
        ends = "is denied no more" if obj.deny else "is granted no more"
        return [
            f"{named.holder} {sentence(named)} {named.thing}: that {ends}, and their role alone decides.",  # type: ignore[attr-defined]
            "Every worker knows within a second; running streams that are no longer allowed are cut within two.",
        ]

    def delete_model(self, request: HttpRequest, obj: Grant) -> None:
        services.take_back_grant(obj)

    def told(self, request: HttpRequest, kind: str, identity: UUID) -> SafeString:
        """What is granted or denied to somebody, or on something, for their own page; '' for whoever may not see it."""
        if not self.has_view_permission(request):
            return SafeString("")
        to = kind in HOLDERS
        columns = ("to_type", "to_id") if to else ("object_type", "object_id")
        rows = Grant.objects.filter(**dict(zip(columns, (kind, identity), strict=True))).order_by("created_at")
        found: list[Any] = self.named(rows[: MOST + 1])
        boxes = [
            cells.label(
                f"{sentence(one)} {one.object_type}: {one.thing}" if to else f"{one.holder} {sentence(one)}",
                "bad" if one.deny else "good",
            )
            for one in found[:MOST]
        ]
        query = urlencode({"to" if to else "object": f"{kind}:{identity}"})
        links = [cells.link(f"{reverse(LIST)}?{query}", "All grants")] if found else []
        if self.has_add_permission(request):
            links.append(cells.link(f"{reverse('admin:tenants_grant_add')}?{query}", "Grant or deny…"))
        shown = [*boxes, SafeString(" · ".join(links))]
        return format_html('<span class="ch-labels">{}</span>', SafeString(" ".join(shown)))
