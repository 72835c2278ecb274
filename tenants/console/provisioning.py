"""The console's page of provisioning: where the identity provider finds the gateway, and what its groups give here."""

from __future__ import annotations

from datetime import timedelta
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tenants import services
from tenants.errors import TenantsError
from tenants.identity import ROLE_CHOICES
from tenants.models import ApiKey, Clearance, GroupMapping, ScimContact, ScimGroup, ScimMember, ScimUser
from tenants.roles import Role
from tenants.scim import provisioning

from . import cells
from . import forms as inputs
from .pages import TenantAdmin, counted, state_reason

BASE = "/scim/v2"
RIGHT = "scim.use"


class MappingForm(forms.Form):
    """What one group gives."""

    group = inputs.text(
        "Group", max_length=255, help_text="Its name (displayName) at the identity provider; capitals do not count."
    )
    department = inputs.DepartmentField("Department", required=False)
    role = inputs.choice("Role", required=False, choices=[("", "None by this group"), *ROLE_CHOICES])
    clearance = inputs.choice(
        "Clearance",
        required=False,
        choices=[("", "None by this group"), *Clearance.choices],
        help_text="Of several groups the widest role and the highest clearance count, and all departments.",
    )
    reason = inputs.reason()

    def clean_clearance(self) -> int | None:
        said = self.cleaned_data["clearance"]
        return int(said) if said else None

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        if not self.errors and all(data.get(name) in (None, "") for name in ("department", "role", "clearance")):
            raise forms.ValidationError("Say what the group gives: a department, a role or a clearance.")
        return data


class KeyForm(forms.Form):
    """A key that provisions people and does nothing else."""

    name = inputs.text("Name", max_length=200, initial="SCIM")
    days = inputs.number(
        "Works for so many days", required=False, help_text="Empty: it does not expire. Replace it before its time."
    )
    reason = inputs.reason()


def living_keys() -> QuerySet[ApiKey]:
    """The keys that are for provisioning alone."""
    living = Q(revoked_at=None) | Q(revoked_at__gt=timezone.now())
    return ApiKey.objects.filter(living, scopes__contains=[RIGHT]).order_by("-created_at")


@admin.register(GroupMapping)
class ProvisioningPage(TenantAdmin):
    rights = "identity"
    heading = "Provisioning (SCIM)"
    add_text = "Add group"
    deletable = True
    refusals = (TenantsError,)
    change_list_template = "console/provisioning.html"
    lead = "What people get by being in a group of your identity provider. Groups that are not listed give nothing."
    empty = ("No group gives anything yet", "Add one: its members get a department, a role or a clearance.")
    list_display = ("name", "known", "pays", "gives", "cleared")
    list_display_links = ("name",)
    list_select_related = ("department",)
    search_fields = ("group",)
    search_help_text = "A group"
    ordering = ("group",)

    def get_urls(self) -> list[URLPattern]:
        made = self.admin_site.admin_view(self.key_view)
        return [path("key/", made, name="tenants_groupmapping_key"), *super().get_urls()]

    def changelist_view(self, request: HttpRequest, extra_context: dict[str, Any] | None = None) -> HttpResponse:
        if not self.has_view_permission(request):
            raise PermissionDenied
        told = {"facts": self.facts(request), "may_change": self.has_change_permission(request)}
        return super().changelist_view(request, {**told, **(extra_context or {})})

    def facts(self, request: HttpRequest) -> list[tuple[str, object]]:
        """Where the identity provider finds the gateway, and how that goes."""
        contact = ScimContact.objects.first()
        people, active = ScimUser.objects.count(), ScimUser.objects.filter(membership__isnull=False).count()
        base = request.build_absolute_uri(BASE)
        copy = format_html(
            '<span class="ch-id"><code>{}</code><button type="button" class="ch-copy" data-copy="{}" '
            'aria-label="Copy the base URL"></button></span>',
            base,
            base,
        )
        links = [
            cells.link(reverse("admin:tenants_apikey_change", args=[key.pk]), key.name) for key in living_keys()[:10]
        ]
        return [
            ("Base URL", copy),
            ("Keys", cells.lines(links) if links else "none: make one, and give it to your identity provider"),
            ("Last sync", cells.moment(contact.seen_at) if contact else "never"),
            ("People", f"{active:,} active of {people:,}"),
            ("Groups", cells.count(ScimGroup.objects.count())),
        ]

    @admin.display(description="group", ordering="group")
    def name(self, mapping: GroupMapping) -> str:
        return mapping.group

    @admin.display(description="people in it")
    def known(self, mapping: GroupMapping) -> SafeString:
        found = mapping.people  # type: ignore[attr-defined]
        return cells.count(found) if found is not None else cells.label("not sent yet", "warn")

    @admin.display(description="department", ordering="department__name")
    def pays(self, mapping: GroupMapping) -> SafeString:
        return cells.words(str(mapping.department)) if mapping.department else cells.NOTHING

    @admin.display(description="role", ordering="role")
    def gives(self, mapping: GroupMapping) -> SafeString:
        return cells.label(mapping.get_role_display()) if mapping.role else cells.NOTHING

    @admin.display(description="clearance", ordering="clearance")
    def cleared(self, mapping: GroupMapping) -> SafeString:
        said = mapping.get_clearance_display()
        return cells.words(said) if mapping.clearance is not None else cells.NOTHING

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with how many people are in each group, None for one that the identity provider has not sent."""
        changelist = super().get_changelist_instance(request)
        rows = list(changelist.result_list)
        groups = ScimGroup.objects.annotate(people=counted(ScimMember.objects.all(), "group"))
        people = {group.display_name.lower(): group.people for group in groups}
        for row in rows:
            row.people = people.get(row.group.lower())
        changelist.result_list = rows
        return changelist

    def consequences(self, obj: GroupMapping) -> list[str]:
        number = len(provisioning.members_of({obj.group}))
        return [f"{number:,} people lose what this group gave them, within a second; they stay in the tenant."]

    def delete_model(self, request: HttpRequest, obj: GroupMapping) -> None:
        provisioning.remove_mapping(obj)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = MappingForm(request.POST or None)
        if form.is_valid() and (made := self.save(form)) is not None:
            messages.success(request, f"{made.group} is added; its people have it at once.")
            return HttpResponseRedirect(reverse("admin:tenants_groupmapping_changelist"))
        lead = "Whoever is in this group at your identity provider gets it here, and loses it with the group."
        return inputs.form_page(self, request, form, title="Add a group", submit="Add", lead=lead)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found: GroupMapping | None = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such group here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        shown = {
            "group": found.group,
            "department": found.department_id,
            "role": found.role,
            "clearance": "" if found.clearance is None else found.clearance,
        }
        form = MappingForm(request.POST or None, initial=shown)
        if form.is_valid() and self.save(form, found) is not None:
            messages.success(request, f"{found.group} is changed; every worker knows within a second.")
            return HttpResponseRedirect(reverse("admin:tenants_groupmapping_changelist"))
        return inputs.form_page(self, request, form, title=found.group, submit="Save", original=found, deletable=True)

    def save(self, form: MappingForm, found: GroupMapping | None = None) -> GroupMapping | None:
        data = dict(form.cleaned_data)
        state_reason(data.pop("reason"))
        return inputs.attempt(form, lambda: provisioning.save_mapping(**data, found=found))

    def key_view(self, request: HttpRequest) -> HttpResponse:
        """Makes a key for the identity provider. The answer to the form is the only page that ever shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = KeyForm(request.POST or None)
        if request.method == "POST" and form.is_valid() and (made := self.make(form)) is not None:
            return self.shown_once(request, *made)
        lead = "It provisions people and groups of this tenant, and does nothing else. It is shown once."
        return inputs.form_page(self, request, form, title="Make a key for provisioning", submit="Make key", lead=lead)

    def make(self, form: KeyForm) -> tuple[ApiKey, str] | None:
        data = form.cleaned_data
        state_reason(data["reason"])
        ends = timezone.now() + timedelta(days=data["days"]) if data["days"] else None
        return inputs.attempt(
            form,
            lambda: services.make_key(
                name=data["name"],
                department=None,
                role=Role.OWNER,
                clearance=Clearance.PUBLIC,
                scopes=[RIGHT],
                expires_at=ends,
            ),
        )

    def shown_once(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{key.name} is ready",
            "key": key,
            "secret": secret,
            "is_scim": True,
            "base_url": request.build_absolute_uri(BASE),
            "list": reverse("admin:tenants_groupmapping_changelist"),
        }
        page = TemplateResponse(request, "console/key_made.html", context)
        page["Cache-Control"] = "no-store"
        return page
