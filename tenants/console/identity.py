"""The console's page of identity providers: who vouches for the tenant's people, tried before anybody relies on it."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tenants import identity
from tenants.isolation.scope import CLEARANCES
from tenants.models import Clearance, Department, IdentityProvider
from tenants.tokens import ALGORITHMS, MOST_SKEW

from . import cells
from . import forms as inputs
from .pages import TenantAdmin, state_reason


class TableField(forms.CharField):
    """What a claim's values stand for: lines of `value = word`, as pairs."""

    def __init__(self, label: str, **options: Any) -> None:
        widget = inputs.long_text(label).widget
        widget.attrs["rows"] = 3
        super().__init__(label=label, widget=widget, required=False, **options)

    def clean(self, value: Any) -> list[tuple[str, str]]:
        found: dict[str, str] = {}
        for line in filter(None, map(str.strip, super().clean(value).splitlines())):
            said, _, word = (part.strip() for part in line.rpartition("="))
            if not said or not word:
                raise forms.ValidationError(f"“{line}” is not of the form: value = word")
            found[said] = word
        if len(found) > identity.MOST_VALUES:
            raise forms.ValidationError(f"At most {identity.MOST_VALUES} lines.")
        return list(found.items())


class ProviderForm(forms.Form):
    """An identity provider: how its tokens are known, and what their claims mean here."""

    name = inputs.text("Name", max_length=200)
    issuer = inputs.text(
        "Issuer", max_length=500, help_text="Exactly as tokens say it in iss, with or without a last slash."
    )
    audience = inputs.text(
        "Audience", max_length=300, help_text="What tokens for this gateway say in aud. It is yours alone."
    )
    jwks_url = inputs.text(
        "Address of its keys (JWKS)",
        required=False,
        max_length=500,
        help_text="Empty: found by discovery from the issuer.",
    )
    algorithms = inputs.several("Signed with", choices=[(name, name) for name in ALGORITHMS], initial=["RS256"])
    user_claim = inputs.text(
        "Claim of the user", max_length=200, initial="sub", help_text="The actor in the audit trail."
    )
    email_trusted = inputs.tick(
        "Its e-mail addresses are verified",
        help_text="For providers that never say email_verified and let nobody choose.",
    )
    members_only = inputs.tick(
        "Only for members", help_text="Tokens of people without a place in this tenant are refused."
    )
    department_claim = inputs.text("Claim of the department", required=False, max_length=200)
    departments = TableField("Departments", help_text="Lines as: Sales EMEA = sales. The first that a token has pays.")
    department = inputs.DepartmentField("Department of all others", required=False, help_text="None: they are refused.")
    role_claim = inputs.text(
        "Claim of the role", required=False, max_length=200, help_text="A path works: realm_access.roles"
    )
    roles = TableField("Roles", help_text="Lines as: llm-developers = developer. The widest that a token has counts.")
    role = inputs.choice(
        "Role of all others",
        required=False,
        choices=[("", "None: they are refused"), *identity.ROLE_CHOICES],
    )
    clearance_claim = inputs.text("Claim of the clearance", required=False, max_length=200)
    clearances = TableField("Clearances", help_text="Lines as: cleared = confidential")
    clearance = inputs.step("Clearance of all others", choices=Clearance.choices, initial=Clearance.INTERNAL)
    rpm = inputs.number("Requests per minute, for each person", required=False)
    tpm = inputs.number("Tokens per minute, for each person", required=False)
    clock_skew = forms.IntegerField(
        label="Seconds that clocks may differ",
        min_value=0,
        max_value=MOST_SKEW,
        initial=60,
        widget=inputs.number("").widget,
    )
    active = inputs.tick("Lets people in", initial=True)
    sign_in = inputs.tick("People sign in to this console with it", help_text="Needs a client at the provider.")
    client_id = inputs.text("Client id", required=False, max_length=300)
    client_secret = inputs.secret(
        "Client secret",
        required=False,
        max_length=500,
        help_text="Kept sealed and never shown. Empty: it stays as it is; a public client needs none.",
    )
    scopes = inputs.text(
        "Scopes",
        required=False,
        max_length=300,
        initial="openid email profile",
        help_text="Add what brings groups or roles along.",
    )
    makes_members = inputs.tick(
        "Makes members",
        help_text="Whoever it signs in gets a place here, as the tables above say. Otherwise they must be invited.",
    )
    reason = inputs.reason()

    def clean_issuer(self) -> str:
        return self._address("issuer")

    def clean_jwks_url(self) -> str:
        return self._address("jwks_url") if self.cleaned_data["jwks_url"] else ""

    def clean_algorithms(self) -> list[str]:
        found: list[str] = self.cleaned_data["algorithms"]
        if not found:
            raise forms.ValidationError("Tick at least one.")
        return found

    def clean_scopes(self) -> str:
        found = str(self.cleaned_data["scopes"]).split() or ["email", "profile"]
        return " ".join(dict.fromkeys(["openid", *found]))

    def clean_departments(self) -> list[list[str]]:
        places = {slug: str(place) for place, slug in Department.objects.values_list("pk", "slug")}
        return [[value, known(places, slug, "department")] for value, slug in self.cleaned_data["departments"]]

    def clean_roles(self) -> dict[str, str]:
        words = {role.value: role.value for role in identity.ROLES}
        return {value: known(words, word, "role for tokens") for value, word in self.cleaned_data["roles"]}

    def clean_clearances(self) -> dict[str, int]:
        steps = {word: place for place, word in enumerate(CLEARANCES)}
        return {value: known(steps, word, "clearance") for value, word in self.cleaned_data["clearances"]}

    def clean(self) -> dict[str, Any]:
        data: dict[str, Any] = super().clean() or {}
        for claim, table in (
            ("department_claim", "departments"),
            ("role_claim", "roles"),
            ("clearance_claim", "clearances"),
        ):
            if data.get(table) and not data.get(claim):
                self.add_error(claim, "Say which claim's values these are.")
        if data.get("sign_in") and not data.get("client_id"):
            self.add_error("client_id", "Signing in needs a client at the provider: say its id.")
        if not data.get("client_secret"):
            data.pop("client_secret", None)
        return data

    def _address(self, name: str) -> str:
        value: str = self.cleaned_data[name].strip()
        problem = identity.unsafe_issuer(value)
        if problem:
            raise forms.ValidationError(problem)
        return value


def known(words: Mapping[str, Any], word: str, kind: str) -> Any:
    """What a word of a line stands for."""
    if word not in words:
        raise forms.ValidationError(f"There is no {kind} “{word}”. There are: {', '.join(words)}.")
    return words[word]


def shown(found: IdentityProvider) -> dict[str, Any]:
    """A provider as the form shows it."""
    slugs = {str(place): slug for place, slug in Department.objects.values_list("pk", "slug")}
    tables = {
        "departments": [(value, slugs[place]) for value, place in found.departments if place in slugs],
        "roles": found.roles.items(),
        "clearances": [(value, CLEARANCES[step]) for value, step in found.clearances.items()],
    }
    plain = {name: getattr(found, name) for name in ProviderForm.base_fields if hasattr(found, name)}
    lines = {name: "\n".join(f"{value} = {word}" for value, word in table) for name, table in tables.items()}
    return {**plain, **lines, "department": found.department_id}


class TryForm(forms.Form):
    """A token to be tried."""

    token = inputs.long_text(
        "Token",
        required=False,
        help_text="One of your provider's. It is checked, not kept. Empty: only the keys are fetched.",
    )


@admin.register(IdentityProvider)
class IdentityProviderPage(TenantAdmin):
    rights = "identity"
    heading = "Identity providers"
    add_text = "Add identity provider"
    deletable = True
    lead = "Who vouches for people: their tokens (JWT) call /v1 as a key does, and they may sign in to this console."
    empty = ("No identity provider yet", "Add Entra ID, Okta, Keycloak or any other issuer of signed tokens.")
    list_display = ("provider", "state", "signs_in", "meant_for", "gives", "since")
    list_display_links = ("provider",)
    search_fields = ("name", "issuer")
    search_help_text = "A name or an issuer"
    ordering = ("name",)

    def get_urls(self) -> list[URLPattern]:
        tried = self.admin_site.admin_view(self.try_view)
        return [path("<path:object_id>/try/", tried, name="tenants_identityprovider_try"), *super().get_urls()]

    @admin.display(description="provider", ordering="name")
    def provider(self, found: IdentityProvider) -> SafeString:
        return cells.words(found.name, found.issuer)

    @admin.display(description="state", ordering="active")
    def state(self, found: IdentityProvider) -> SafeString:
        return cells.label("lets in", "good") if found.active else cells.label("off", "warn")

    @admin.display(description="console", ordering="sign_in")
    def signs_in(self, found: IdentityProvider) -> SafeString:
        if not found.sign_in:
            return cells.label("no")
        return cells.label("makes members" if found.makes_members else "signs in", "good")

    @admin.display(description="audience")
    def meant_for(self, found: IdentityProvider) -> str:
        return found.audience

    @admin.display(description="others get")
    def gives(self, found: IdentityProvider) -> SafeString:
        role = found.get_role_display() if found.role else "nothing"
        return cells.words(role, f"up to {found.get_clearance_display().lower()}")

    @admin.display(description="since", ordering="created_at")
    def since(self, found: IdentityProvider) -> SafeString:
        return cells.moment(found.created_at)

    def consequences(self, obj: IdentityProvider) -> list[str]:
        return [
            "Its tokens are refused within a second; running streams of its people are cut within two.",
            "Its issuer and audience are free for others again: to keep them, switch it off instead.",
        ]

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        if not self.has_add_permission(request):
            raise PermissionDenied
        form = ProviderForm(request.POST or None)
        if form.is_valid() and (made := self.save(form)) is not None:
            messages.success(request, f"{made.name} is added. Try it with a token before you rely on it.")
            return HttpResponseRedirect(reverse("admin:tenants_identityprovider_try", args=[made.pk]))
        lead = "Tokens of this issuer for this audience, signed with its published keys, let their owners in."
        return inputs.form_page(self, request, form, title="Add an identity provider", submit="Add", lead=lead)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.found(request, object_id)
        form = ProviderForm(request.POST or None, initial=shown(found))
        if form.is_valid() and self.save(form, found) is not None:
            messages.success(request, f"{found.name} is changed; every worker knows within a second.")
            return HttpResponseRedirect(reverse("admin:tenants_identityprovider_try", args=[found.pk]))
        tried = cells.link(reverse("admin:tenants_identityprovider_try", args=[found.pk]), "Try a token")
        place = [self.member(request).tenant.slug]
        lead = format_html(
            "{} · {}<br>People sign in at {}; the provider sends them back to {}",
            found.issuer,
            tried,
            cells.link(page := request.build_absolute_uri(reverse("admin:sign_in_of", args=place)), page),
            request.build_absolute_uri(reverse("admin:provider_back", args=[*place, found.pk])),
        )
        return inputs.form_page(
            self, request, form, title=found.name, submit="Save", lead=lead, original=found, deletable=True
        )

    def save(self, form: ProviderForm, found: IdentityProvider | None = None) -> IdentityProvider | None:
        data = dict(form.cleaned_data)
        state_reason(data.pop("reason"))
        return inputs.attempt(form, lambda: identity.save(data, found))

    def found(self, request: HttpRequest, object_id: str) -> IdentityProvider:
        """The provider that a page is about, for those who may change it."""
        found: IdentityProvider | None = self.get_object(request, unquote(object_id))
        if found is None or not self.has_view_permission(request, found):
            raise Http404("There is no such identity provider here.")
        if not self.has_change_permission(request, found):
            raise PermissionDenied
        return found

    def try_view(self, request: HttpRequest, object_id: str) -> HttpResponse:
        """Fetches the keys and says whom a token would let in, or why nobody."""
        found = self.found(request, object_id)
        form = TryForm(request.POST or None)
        warnings: list[str] = []
        if request.method == "POST" and form.is_valid():
            told = identity.check(found, form.cleaned_data["token"].strip())
            if not told["ok"]:
                form.add_error(None, told["problem"])
            elif told["caller"] is None:
                warnings = [f"{told['keys']} keys that fit are published."]
            else:
                warnings = sentences(told["caller"])
        page = inputs.form_page(
            self,
            request,
            form,
            title=f"Try {found.name}",
            submit="Try",
            lead=found.issuer,
            original=found,
            warnings=warnings,
        )
        page["Cache-Control"] = "no-store"
        return page


def sentences(caller: Mapping[str, Any]) -> list[str]:
    """Whom a token lets in."""
    member = "a member of this tenant" if caller["member"] else "no member of this tenant"
    return [
        f"It lets in {caller['name']} ({caller['subject']}), {member}.",
        f"As {caller['role']}, cleared up to {CLEARANCES[caller['clearance']]}.",
        f"{caller['department']} pays; searched are documents of {', '.join(caller['departments']) or 'nobody'}.",
    ]
