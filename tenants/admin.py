"""The console's pages about tenants, departments, people and keys."""

from __future__ import annotations

from collections.abc import Iterable
from datetime import datetime, timedelta
from ipaddress import ip_network
from typing import Any, ClassVar

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.contrib.auth.models import Group
from django.contrib.auth.password_validation import validate_password
from django.core.exceptions import PermissionDenied
from django.db.models import Q, QuerySet
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString

from . import second_factor, services
from .console import cells, grants, identity, invitations, provisioning  # noqa: F401  their pages are registered
from .console import forms as inputs
from .console.filters import ChoiceFilter
from .console.member import Member, member_of, visible_keys
from .console.pages import TenantAdmin, counted, state_reason
from .console.periods import start_of, today
from .console.places import FIRST_PLACE, PlaceForm, clearances_up_to, roles_up_to
from .isolation import PLATFORM, current, scope
from .models import ApiKey, Clearance, Department, Membership, MembershipDepartment, Tenant
from .roles import Role, may_give


def not_revoked() -> Q:
    """Keys that are not revoked yet; one that was replaced may have a while to go."""
    return Q(revoked_at=None) | Q(revoked_at__gt=timezone.now())


admin.site.unregister(Group)  # rights come from the role table


@admin.register(Department)
class DepartmentPage(TenantAdmin):
    rights = "departments"
    holder = "department"
    add_text = "Add department"
    deletable = True
    lead = "Cost centres: every call is charged to one, and documents can belong to some."
    empty = ("No department yet", "Add the first cost centre; API keys are made for one.")
    list_display = ("name", "slug", "people_in", "key_count", "number")
    fields = ("name", "slug")
    prepopulated_fields: ClassVar = {"slug": ("name",)}
    search_fields = ("name", "slug")
    search_help_text = "A name"
    ordering = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return (
            super()
            .get_queryset(request)
            .annotate(
                people=counted(MembershipDepartment.objects.all(), "department"),
                living=counted(ApiKey.objects.filter(not_revoked()), "department"),
            )
        )

    @admin.display(description="people", ordering="people")
    def people_in(self, department: Any) -> SafeString:
        return cells.count(department.people)

    @admin.display(description="living keys", ordering="living")
    def key_count(self, department: Any) -> SafeString:
        return cells.count(department.living)

    @admin.display(description="id")
    def number(self, department: Department) -> SafeString:
        return cells.short_id(department.pk)

    def consequences(self, obj: Department) -> list[str]:
        people = obj.members.count()
        return [f"{people} people lose it; they stay in the tenant.", "What it spent stays in the ledger under its id."]


class RoleFilter(ChoiceFilter):
    title, parameter_name = "role", "role"
    choices_shown = list(Role.choices)

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(role=value)


class PersonForm(PlaceForm):
    """A person who joins the open tenant."""

    email = inputs.email("E-mail address")
    name = inputs.text("Name", max_length=200)
    password = inputs.secret(
        "First password",
        autocomplete="new-password",
        required=False,
        help_text="At least 12 characters; tell it to them, they change it themselves. Without one they cannot sign in "
        "here yet. Whoever has an account keeps their own password.",
    )

    field_order = ("email", "name", "role", "clearance", "departments", "password", "reason")

    def clean_password(self) -> str:
        password: str = self.cleaned_data["password"]
        if password:
            validate_password(password)
        return password


@admin.register(Membership)
class PeoplePage(TenantAdmin):
    rights = "memberships"
    holder = "user"
    heading = "People"
    add_text = "Add person"
    deletable = True
    lead = "Who belongs to this tenant, what they may do, and how much they may see."
    empty = ("Nobody here yet", "Add the first person; they sign in with their e-mail address.")
    list_display = ("person", "place", "cleared", "in_departments", "factor", "signed_in", "joined")
    list_display_links = ("person",)
    list_filter = (RoleFilter,)
    list_filter_submit = True
    list_select_related = ("user",)
    search_fields = ("user__name", "user__email")
    search_help_text = "A name or an address"
    ordering = ("user__name", "user__email")

    def get_queryset(self, request: HttpRequest) -> QuerySet[Membership]:
        """The open tenant's people: one's own places elsewhere are readable as well, and do not belong here."""
        own = super().get_queryset(request).filter(tenant=self.member(request).tenant)
        return own.prefetch_related("departments")

    def has_change_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        """Nobody changes the place of somebody above them."""
        allowed = super().has_change_permission(request, obj)
        return allowed and (obj is None or may_give(self.member(request).role, obj.role))

    def has_delete_permission(self, request: HttpRequest, obj: Membership | None = None) -> bool:
        """A tenant keeps at least one owner."""
        return super().has_delete_permission(request, obj) and (obj is None or not is_last_owner(obj))

    @admin.display(description="person", ordering="user__name")
    def person(self, membership: Membership) -> SafeString:
        return cells.words(str(membership.user), membership.user.email)

    @admin.display(description="role", ordering="role")
    def place(self, membership: Membership) -> SafeString:
        if not membership.agreed:
            why = "Another organisation made this account. Invite the person: they open their place by the link."
            return cells.label(f"{membership.get_role_display()}, not agreed", "warn", why)
        return cells.label(membership.get_role_display(), "note" if membership.role == Role.OWNER else "plain")

    @admin.display(description="clearance", ordering="clearance")
    def cleared(self, membership: Membership) -> str:
        return membership.get_clearance_display()

    @admin.display(description="departments")
    def in_departments(self, membership: Membership) -> SafeString:
        if membership.role in (Role.OWNER, Role.ADMIN):
            return cells.words("all")
        return cells.labels(department.name for department in membership.departments.all())

    @admin.display(description="second factor", ordering="user__second_factor_at")
    def factor(self, membership: Membership) -> SafeString:
        return cells.label("on", "good") if membership.user.second_factor_at else cells.label("none")

    @admin.display(description="last sign-in", ordering="user__last_login")
    def signed_in(self, membership: Membership) -> SafeString:
        return cells.moment(membership.user.last_login)

    @admin.display(description="since", ordering="created_at")
    def joined(self, membership: Membership) -> SafeString:
        return cells.moment(membership.created_at)

    def consequences(self, obj: Membership) -> list[str]:
        keys = ApiKey.objects.filter(not_revoked(), user=obj.user).count()
        return [
            f"{obj.user} can no longer open this tenant; what they did stays in the audit trail.",
            f"{keys} living keys of theirs stop working within a second.",
        ]

    def get_urls(self) -> list[URLPattern]:
        reset = self.admin_site.admin_view(self.reset_view)
        return [path("<path:object_id>/reset/", reset, name="tenants_membership_reset"), *super().get_urls()]

    def reset_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks once more, and removes the second factor of somebody who lost it."""
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such person here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        form = RevokeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            state_reason(form.cleaned_data["reason"])
            if inputs.attempt(form, lambda: second_factor.reset(found)):
                messages.success(
                    request,
                    f"{found.user} signs in with the password alone, until they set up a new one. "
                    "Their passkeys were removed as well.",
                )
                return HttpResponseRedirect(reverse("admin:tenants_membership_changelist"))
        return inputs.form_page(
            self,
            request,
            form,
            title=f"Reset the second factor of {found.user}?",
            submit="Reset second factor",
            danger=True,
            original=found,
            warnings=[
                "Make sure that it is really they who ask: whoever knows the password gets in.",
                "Their authenticator and recovery codes stop working at once.",
            ],
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = PersonForm(self.member(request), request.POST or None, initial=FIRST_PLACE)
        if form.is_valid() and (added := self.add(form)) is not None:
            messages.success(request, f"{added.user} is now a {added.get_role_display().lower()} here.")
            return HttpResponseRedirect(reverse("admin:tenants_membership_changelist"))
        lead = "They sign in with their address. A person can belong to several tenants, with a place in each."
        return inputs.form_page(self, request, form, title="Add a person", submit="Add person", lead=lead)

    def add(self, form: PersonForm) -> Membership | None:
        """Saves the form; None when the service refuses, with its sentence on the form."""
        data = form.cleaned_data
        state_reason(data.pop("reason"))
        return inputs.attempt(form, lambda: services.add_person(**data))

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such person here.")
        if not self.has_change_permission(request, found):
            return self.shown(request, found)
        form = PlaceForm(self.member(request), request.POST or None, initial=place_of(found))
        if form.is_valid() and self.change(found, form) is not None:
            messages.success(request, f"{found.user}'s place is changed; every worker knows within a second.")
            return HttpResponseRedirect(reverse("admin:tenants_membership_changelist"))
        return inputs.form_page(
            self,
            request,
            form,
            title=str(found.user),
            submit="Save",
            lead=self.about(request, found),
            original=found,
            deletable=self.has_delete_permission(request, found),
        )

    def about(self, request: HttpRequest, found: Membership) -> SafeString:
        """Whose place it is, the way to help who lost their second factor, and what is granted to them by itself."""
        about = format_html("{}", found.user.email)
        if found.user.second_factor_at is not None:
            reset = cells.link(reverse("admin:tenants_membership_reset", args=[found.pk]), "Reset second factor…")
            about = format_html("{} · {}", about, reset)
        granted = self.grants_told(request, found.user_id)
        return format_html("{}<br>{}", about, granted) if granted else about

    def change(self, found: Membership, form: PlaceForm) -> Membership | None:
        data = form.cleaned_data
        state_reason(data.pop("reason"))
        if is_last_owner(found) and data["role"] != Role.OWNER:
            form.add_error("role", "A tenant keeps at least one owner: make somebody else an owner first.")
            return None
        return inputs.attempt(form, lambda: services.change_place(found, **data))

    def shown(self, request: HttpRequest, found: Membership) -> HttpResponse:
        """A place that one may look at and not change."""
        facts = [
            ("E-mail address", found.user.email),
            ("Role", self.place(found)),
            ("Clearance", self.cleared(found)),
            ("Departments", self.in_departments(found)),
            ("Last sign-in", self.signed_in(found)),
            ("Here since", self.joined(found)),
        ]
        return self.facts_page(request, found, str(found.user), facts)


def is_last_owner(place: Membership) -> bool:
    others = Membership.objects.filter(tenant=place.tenant_id, role=Role.OWNER, agreed=True).exclude(pk=place.pk)
    return place.role == Role.OWNER and not others.exists()


def place_of(found: Membership) -> dict[str, Any]:
    departments = [department.pk for department in found.departments.all()]
    return {"role": found.role, "clearance": found.clearance, "departments": departments}


class KeyForm(forms.Form):
    """A new key: what it is for, and what it may do at most."""

    name = inputs.text("Name", max_length=200, help_text="The application that will use it.")
    department = inputs.DepartmentField("Department", help_text="Pays for its calls.")
    role = inputs.choice("Role", help_text="Applications that only call models need no more than developer.")
    clearance = inputs.step("Clearance", help_text="The highest classification of documents that its calls may use.")
    departments = inputs.DepartmentsField("Also searches documents of")
    models = inputs.several("Models", help_text="None ticked: all that the policy allows.")
    rpm = inputs.number("Requests per minute", required=False, help_text="Empty: only the tenant's limit.")
    tpm = inputs.number("Tokens per minute", required=False, help_text="Empty: only the tenant's limit.")
    ip_allow = inputs.text(
        "Addresses it may be used from", required=False, help_text="As 192.0.2.0/24; separated by commas."
    )
    expires_on = inputs.day("Last day", required=False, help_text="Empty: it does not expire.")
    reason = inputs.reason()

    def __init__(self, maker: Member, models: Iterable[str], *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.fields["role"].choices = roles_up_to(maker.role)  # type: ignore[attr-defined]
        self.fields["clearance"].choices = clearances_up_to(maker.clearance)  # type: ignore[attr-defined]
        self.fields["models"].choices = [(name, name) for name in models]  # type: ignore[attr-defined]
        if maker.departments is not None:
            for name in ("department", "departments"):
                own = Department.objects.filter(pk__in=maker.departments)
                self.fields[name].queryset = own  # type: ignore[attr-defined]

    def clean_ip_allow(self) -> list[str] | None:
        parts = [part.strip() for part in self.cleaned_data["ip_allow"].split(",") if part.strip()]
        for part in parts:
            check_network(part)
        return parts or None

    def clean_expires_on(self) -> datetime | None:
        """The key works until the end of that day (UTC)."""
        day = self.cleaned_data["expires_on"]
        if day is not None and day < today():
            raise forms.ValidationError("This day is over.")
        return None if day is None else start_of(day + timedelta(days=1))


def check_network(text: str) -> None:
    try:
        ip_network(text, strict=False)
    except ValueError:
        raise forms.ValidationError(f"“{text}” is no address or network.") from None


class KeyStateFilter(ChoiceFilter):
    title, parameter_name = "state", "state"
    choices_shown: ClassVar = [("living", "Living"), ("expired", "Expired"), ("revoked", "Revoked")]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        over = Q(expires_at__lte=timezone.now())
        if value == "revoked":
            return queryset.exclude(not_revoked())
        return queryset.filter(not_revoked(), over if value == "expired" else ~over | Q(expires_at=None))


class KeyDepartmentFilter(ChoiceFilter):
    title, parameter_name = "department", "department"

    def offered(self, request: HttpRequest) -> list[tuple[str, str]]:
        return [(one.slug, one.name) for one in Department.objects.all()]

    def narrow(self, queryset: QuerySet[Any], value: str) -> QuerySet[Any]:
        return queryset.filter(department__slug=value)


@admin.register(ApiKey)
class KeyPage(TenantAdmin):
    holder = "key"
    rights = "keys"
    heading = "API keys"
    add_text = "Make key"
    lead = "What applications sign in with. A key is shown once, when it is made; only a keyed hash of it is stored."
    empty = ("No API key yet", "Make one for your application; it goes into the SDK's api_key.")
    list_display = ("key", "state", "pays", "place", "used", "calls", "cost", "expires")
    list_display_links = ("key",)
    list_filter = (KeyStateFilter, KeyDepartmentFilter)
    list_filter_submit = True
    list_select_related = ("department", "user")
    search_fields = ("name", "public_id")
    search_help_text = "A name, or the part after sk-ch-"

    def get_queryset(self, request: HttpRequest) -> QuerySet[ApiKey]:
        return visible_keys(self.member(request)).order_by("-created_at")

    def get_urls(self) -> list[URLPattern]:
        revoke = self.admin_site.admin_view(self.revoke_view)
        rotate = self.admin_site.admin_view(self.rotate_view)
        own = [
            path("<path:object_id>/revoke/", revoke, name="tenants_apikey_revoke"),
            path("<path:object_id>/rotate/", rotate, name="tenants_apikey_rotate"),
        ]
        return [*own, *super().get_urls()]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with what each key was used for, read for the whole page at once."""
        changelist = super().get_changelist_instance(request)
        changelist.result_list = self.with_use(changelist.result_list)
        return changelist

    def with_use(self, keys: Iterable[ApiKey]) -> list[ApiKey]:
        found = list(keys)
        uses = self.admin_site.use_of_keys([key.pk for key in found])
        for key in found:
            key.use = uses.get(key.pk)  # type: ignore[attr-defined]
        return found

    @admin.display(description="key", ordering="name")
    def key(self, key: ApiKey) -> SafeString:
        return cells.words(key.name, f"sk-ch-{key.public_id}-…")

    @admin.display(description="state")
    def state(self, key: ApiKey) -> SafeString:
        if key.revoked_at:
            when = f"{key.revoked_at:%Y-%m-%d %H:%M} UTC"
            return cells.label("revoked", "bad", when) if is_revoked(key) else cells.label("replaced", "warn", when)
        if key.expires_at and key.expires_at <= timezone.now():
            return cells.label("expired", "warn")
        return cells.label("living", "good")

    @admin.display(description="paid by", ordering="department__name")
    def pays(self, key: ApiKey) -> SafeString:
        return cells.words(str(key.department or "–"), str(key.user) if key.user else "")

    @admin.display(description="may do", ordering="role")
    def place(self, key: ApiKey) -> SafeString:
        return cells.words(key.get_role_display(), f"up to {key.get_clearance_display().lower()}")

    @admin.display(description="last used")
    def used(self, key: Any) -> SafeString:
        return cells.moment(key.use.last if key.use else None)

    @admin.display(description="calls, 30 days")
    def calls(self, key: Any) -> SafeString:
        return cells.count(key.use.calls if key.use else 0)

    @admin.display(description="cost, 30 days")
    def cost(self, key: Any) -> SafeString:
        return cells.money(key.use.cost if key.use else None)

    @admin.display(description="expires", ordering="expires_at")
    def expires(self, key: ApiKey) -> SafeString:
        return cells.moment(key.expires_at)

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """Makes a key. The answer to the form is the only page that ever shows it."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        maker = self.member(request)
        models = sorted(self.admin_site.names_of("model").values())
        form = KeyForm(maker, models, request.POST or None, initial=first_key(maker))
        if form.is_valid() and (made := self.make(maker, form)) is not None:
            return self.shown_once(request, *made)
        lead = "A key can never do more than you can. It is shown once, on the next page."
        return inputs.form_page(self, request, form, title="Make an API key", submit="Make key", lead=lead)

    def make(self, maker: Member, form: KeyForm) -> tuple[ApiKey, str] | None:
        data = form.cleaned_data
        state_reason(data.pop("reason"))
        data["model_names"], data["expires_at"] = data.pop("models") or None, data.pop("expires_on")
        return inputs.attempt(form, lambda: services.make_key(**data))

    def shown_once(self, request: HttpRequest, key: ApiKey, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{key.name} is ready",
            "key": key,
            "secret": secret,
            "base_url": request.build_absolute_uri("/v1"),
            "model": (key.model_names or sorted(self.admin_site.names_of("model").values()) or ["MODEL"])[0],
            "list": reverse("admin:tenants_apikey_changelist"),
        }
        page = TemplateResponse(request, "console/key_made.html", context)
        page["Cache-Control"] = "no-store"
        return page

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        """A key: what it may do, and what it was used for. It is not changed, it is revoked and made anew."""
        found = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such key here.")
        self.with_use([found])
        searched = [department.name for department in found.departments.all()]
        facts = [
            ("State", self.state(found)),
            ("Key", f"sk-ch-{found.public_id}-…"),
            ("Paid by", self.pays(found)),
            ("Role", found.get_role_display()),
            ("Clearance", found.get_clearance_display()),
            ("Also searches documents of", cells.labels(searched)),
            ("Models", cells.labels(found.model_names) if found.model_names else "all that the policy allows"),
            ("Scopes", cells.labels(found.scopes) if found.scopes else "all of its role"),
            ("Requests per minute", cells.count(found.rpm) if found.rpm else "the tenant's limit"),
            ("Tokens per minute", cells.count(found.tpm) if found.tpm else "the tenant's limit"),
            ("Used from", cells.labels(found.ip_allow) if found.ip_allow else "anywhere"),
            ("Expires", cells.moment(found.expires_at) if found.expires_at else "never"),
            ("Last used", self.used(found)),
            ("Calls in 30 days", self.calls(found)),
            ("Cost in 30 days", self.cost(found)),
            ("Made", self.made(found)),
            ("Id", cells.short_id(found.pk)),
        ]
        if granted := self.grants_told(request, found.pk):
            facts.append(("Grants", granted))
        links = []
        if not is_revoked(found) and self.has_change_permission(request, found):
            links = [("Revoke key", reverse("admin:tenants_apikey_revoke", args=[found.pk]), "danger")]
            if found.revoked_at is None:
                links.append(("Replace key", reverse("admin:tenants_apikey_rotate", args=[found.pk]), "default"))
        links.append(("Its calls", f"{reverse('admin:audit_event_changelist')}?actor={found.pk}", "default"))
        return self.facts_page(request, found, found.name, facts, links)

    @admin.display(description="made", ordering="created_at")
    def made(self, key: ApiKey) -> SafeString:
        return cells.moment(key.created_at)

    def changeable(self, request: HttpRequest, object_id: str) -> ApiKey:
        """The key that a page wants to end or replace."""
        found: ApiKey | None = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such key here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        return found

    def rotate_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Makes a new key with the same rights; the old one works until the grace is over."""
        found = self.changeable(request, object_id)
        if found.revoked_at is not None:
            messages.info(request, f"{found.name} is revoked or replaced already.")
            return HttpResponseRedirect(reverse("admin:tenants_apikey_changelist"))
        form = RotateForm(request.POST or None)
        if form.is_valid():
            state_reason(form.cleaned_data["reason"])
            grace = form.cleaned_data["grace"]
            made = inputs.attempt(form, lambda: services.rotate_key(found, grace))
            if made is not None:
                return self.shown_once(request, *made)
        return inputs.form_page(
            self,
            request,
            form,
            title=f"Replace {found.name}?",
            submit="Make the new key",
            original=found,
            lead="The new key has the same rights and limits. It is shown once, on the next page.",
        )

    def revoke_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Asks once more, saying what revoking does, and revokes."""
        found = self.changeable(request, object_id)
        if is_revoked(found):
            messages.info(request, f"{found.name} is revoked already.")
            return HttpResponseRedirect(reverse("admin:tenants_apikey_changelist"))
        form = RevokeForm(request.POST or None)
        if request.method == "POST" and form.is_valid():
            state_reason(form.cleaned_data["reason"])
            services.revoke_key(found)
            messages.success(request, f"{found.name} is revoked: every worker refuses it within a second.")
            return HttpResponseRedirect(reverse("admin:tenants_apikey_changelist"))
        return inputs.form_page(
            self,
            request,
            form,
            title=f"Revoke {found.name}?",
            submit="Revoke key",
            danger=True,
            original=found,
            warnings=self.revocation(found),
        )

    def revocation(self, key: ApiKey) -> list[str]:
        """What revoking a key does, in numbers."""
        [used] = self.with_use([key])
        use = used.use  # type: ignore[attr-defined]
        seen = f"It made {use.calls:,} calls in the last 30 days." if use else "It made no call in the last 30 days."
        return [
            seen,
            "Applications that use it are refused within a second; their running streams are cut within two.",
            "This cannot be undone. What it did stays in the audit trail and the ledger.",
        ]


class RevokeForm(forms.Form):
    reason = inputs.reason()


class RotateForm(forms.Form):
    """How long the old key goes on working beside the new one."""

    grace = inputs.step(
        "The old key works for another",
        choices=[(0, "moment: it ends now"), (3600, "hour"), (86_400, "day"), (604_800, "week")],
        initial=86_400,
    )
    reason = inputs.reason()


def is_revoked(key: ApiKey) -> bool:
    return key.revoked_at is not None and key.revoked_at <= timezone.now()


def first_key(maker: Member) -> dict[str, Any]:
    """What most keys are: for calls, within internal documents."""
    role = Role.DEVELOPER if may_give(maker.role, Role.DEVELOPER) else Role.MEMBER
    return {"role": role, "clearance": min(Clearance.INTERNAL, maker.clearance)}


class TenantForm(forms.Form):
    """A new organisation."""

    name = inputs.text("Name", max_length=200)
    slug = inputs.slug(
        "Short name", max_length=63, help_text="Lower-case letters, digits and hyphens; used by the API."
    )


@admin.register(Tenant)
class TenantPage(TenantAdmin):
    """The organisations: the platform's people open any, others those where they have a place."""

    rights = "tenants"
    add_text = "Add tenant"
    lead = "Nothing of one is ever visible to another. Opening one is recorded in its audit trail."
    empty = ("No tenant yet", "Add the first organisation; you get its owner key.")
    list_display = ("organisation", "number", "requests", "tokens", "since", "opens")
    list_display_links = None
    fields = ("name", "slug", "rpm", "tpm", "require_second_factor")
    search_fields = ("name", "slug")
    search_help_text = "A name"
    sortable_by = ()

    def has_add_permission(self, request: HttpRequest) -> bool:
        member = member_of(request)
        return member is not None and member.in_platform and member.operator

    def is_own(self, request: HttpRequest, obj: Any) -> bool:
        member = self.member(request)
        return obj is None or obj.pk == member.tenant.pk or member.in_platform

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The platform's people see all tenants here, whichever is open: the list is read in the platform's scope."""
        if not self.member(request).operator:
            return super().get_changelist_instance(request)
        with scope(PLATFORM):
            changelist = super().get_changelist_instance(request)
            changelist.result_list = list(changelist.result_list)
        return changelist

    @admin.display(description="tenant", ordering="name")
    def organisation(self, tenant: Tenant) -> SafeString:
        return cells.words(tenant.name, tenant.slug)

    @admin.display(description="id")
    def number(self, tenant: Tenant) -> SafeString:
        return cells.short_id(tenant.pk)

    @admin.display(description="requests a minute", ordering="rpm")
    def requests(self, tenant: Tenant) -> SafeString:
        return cells.count(tenant.rpm)

    @admin.display(description="tokens a minute", ordering="tpm")
    def tokens(self, tenant: Tenant) -> SafeString:
        return cells.count(tenant.tpm)

    @admin.display(description="since", ordering="created_at")
    def since(self, tenant: Tenant) -> SafeString:
        return cells.moment(tenant.created_at)

    @admin.display(description="")
    def opens(self, tenant: Tenant) -> SafeString:
        """A button of the list's own form: opening is a POST."""
        if str(tenant.pk) == current():
            return cells.label("open now", "good")
        url = reverse("admin:open_tenant", args=[tenant.pk])
        return format_html(
            '<button type="submit" formaction="{}" class="ch-button" aria-label="Open {}">Open</button>',
            url,
            tenant.name,
        )

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = TenantForm(request.POST or None)
        if form.is_valid():
            made = inputs.attempt(form, lambda: services.make_tenant(**form.cleaned_data))
            if made is not None:
                return self.shown_once(request, *made)
        lead = "It starts with an owner key, shown once on the next page; people are added after opening it."
        return inputs.form_page(self, request, form, title="Add a tenant", submit="Add tenant", lead=lead)

    def shown_once(self, request: HttpRequest, tenant: Tenant, secret: str) -> HttpResponse:
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "title": f"{tenant.name} is ready",
            "secret": secret,
            "is_owner": True,
            "base_url": request.build_absolute_uri("/api/v1"),
            "list": reverse("admin:tenants_tenant_changelist"),
        }
        page = TemplateResponse(request, "console/key_made.html", context)
        page["Cache-Control"] = "no-store"
        return page
