"""The console's page of identity providers: who vouches for the tenant's people, tried before anybody relies on it."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from django import forms
from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.urls import URLPattern, path, reverse
from django.utils.html import format_html
from django.utils.safestring import SafeString

from tenants import identity, saml
from tenants.errors import MetadataUnreadable
from tenants.isolation.scope import CLEARANCES
from tenants.models import Clearance, Department, IdentityProvider, Protocol
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


class VouchingForm(forms.Form):
    """An identity provider of either protocol: what it says of people, and what that means here."""

    name = inputs.text("Name", max_length=200)
    email_trusted = inputs.tick("Its e-mail addresses are verified")
    department_claim = inputs.text("Claim of the department", required=False, max_length=200)
    departments = TableField("Departments", help_text="Lines as: Sales EMEA = sales. The first that fits pays.")
    department = inputs.DepartmentField("Department of all others", required=False, help_text="None: they are refused.")
    role_claim = inputs.text(
        "Claim of the role", required=False, max_length=200, help_text="A path works: realm_access.roles"
    )
    roles = TableField("Roles", help_text="Lines as: llm-developers = developer. The widest that fits counts.")
    role = inputs.choice(
        "Role of all others",
        required=False,
        choices=[("", "None: they are refused"), *identity.ROLE_CHOICES],
    )
    clearance_claim = inputs.text("Claim of the clearance", required=False, max_length=200)
    clearances = TableField("Clearances", help_text="Lines as: cleared = confidential")
    clearance = inputs.step("Clearance of all others", choices=Clearance.choices, initial=Clearance.INTERNAL)
    clock_skew = forms.IntegerField(
        label="Seconds that clocks may differ",
        min_value=0,
        max_value=MOST_SKEW,
        initial=60,
        widget=inputs.number("").widget,
    )
    active = inputs.tick("Lets people in", initial=True)
    sign_in = inputs.tick("People sign in to this console with it")
    makes_members = inputs.tick(
        "Makes members",
        help_text="Whoever it signs in gets a place here, as the tables above say. Otherwise they must be invited.",
    )
    reason = inputs.reason()

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
        return data


class ProviderForm(VouchingForm):
    """An issuer of tokens: how they are known, and what their claims mean here."""

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
    members_only = inputs.tick(
        "Only for members", help_text="Tokens of people without a place in this tenant are refused."
    )
    rpm = inputs.number("Requests per minute, for each person", required=False)
    tpm = inputs.number("Tokens per minute, for each person", required=False)
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
    field_order = (
        *("name", "issuer", "audience", "jwks_url", "algorithms", "user_claim", "email_trusted", "members_only"),
        *("department_claim", "departments", "department", "role_claim", "roles", "role"),
        *("clearance_claim", "clearances", "clearance", "rpm", "tpm", "clock_skew", "active"),
        *("sign_in", "client_id", "client_secret", "scopes", "makes_members", "reason"),
    )

    def __init__(self, *args: Any, **more: Any) -> None:
        super().__init__(*args, **more)
        self.fields["email_trusted"].help_text = "For providers that never say email_verified and let nobody choose."
        self.fields["sign_in"].help_text = "Needs a client at the provider."

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

    def clean(self) -> dict[str, Any]:
        data = super().clean()
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


class SamlForm(VouchingForm):
    """A provider that speaks SAML: how its responses are known, and what their attributes mean here."""

    metadata = inputs.long_text(
        "Its metadata (XML)",
        required=False,
        max_length=250_000,
        help_text="What the provider offers for download: it holds the next three. Empty: they are as they stand here.",
    )
    issuer = inputs.text("Its entity id", required=False, max_length=500)
    sso_url = inputs.text(
        "Where people sign in", required=False, max_length=500, help_text="SingleSignOnService, binding HTTP-Redirect"
    )
    certificates = inputs.long_text(
        "Certificates that it signs with",
        required=False,
        max_length=40_000,
        help_text="PEM. Add a new one before the provider changes over; each of them is believed.",
    )
    audience = inputs.text("Our entity id", required=False, max_length=300)
    user_claim = inputs.text(
        "Attribute of the user",
        max_length=200,
        initial="sub",
        help_text="sub is the NameID, which must be persistent, or an address that nobody gets after another.",
    )
    field_order = (
        *("name", "metadata", "issuer", "sso_url", "certificates", "audience", "user_claim", "email_trusted"),
        *("department_claim", "departments", "department", "role_claim", "roles", "role"),
        *("clearance_claim", "clearances", "clearance", "clock_skew", "active", "sign_in", "makes_members", "reason"),
    )

    def __init__(self, *args: Any, our_id: str, **more: Any) -> None:
        super().__init__(*args, **more)
        self._our_id = our_id
        self.fields["audience"].help_text = f"What its responses say as audience. Empty: {our_id}"
        self.fields["sign_in"].initial = True
        self.fields["email_trusted"].help_text = "SAML does not say it: without this nobody is known by their address."
        for name, word in (("department", "department"), ("role", "role"), ("clearance", "clearance")):
            self.fields[f"{name}_claim"].label = f"Attribute of the {word}"
        self.fields["role_claim"].help_text = "Its name, or its friendly name."

    def clean_metadata(self) -> dict[str, str]:
        text = self.cleaned_data["metadata"].strip()
        return read(saml.described, text) if text else {}

    def clean_certificates(self) -> str:
        text = self.cleaned_data["certificates"].strip()
        return read(saml.certificates, text) if text else ""

    def clean(self) -> dict[str, Any]:
        data = super().clean()
        data |= data.pop("metadata", None) or {}
        for name in ("issuer", "sso_url", "certificates"):
            if not data.get(name) and not self.errors:
                self.add_error(name, "Send the provider's metadata, or fill this in.")
        if data.get("sso_url") and (problem := identity.unsafe_page(data["sso_url"])):
            self.add_error("sso_url", problem)
        data["audience"] = data.get("audience") or self._our_id
        return data | {"protocol": Protocol.SAML, "algorithms": []}


def read(reading: Callable[[str], Any], text: str) -> Any:
    """What is read from a text; why it cannot be stands beside its field."""
    try:
        return reading(text)
    except MetadataUnreadable as error:
        raise forms.ValidationError(str(error)) from error


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
    fields = {**ProviderForm.base_fields, **SamlForm.base_fields}
    plain = {name: getattr(found, name) for name in fields if hasattr(found, name)}
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
    lead = (
        "Who vouches for people: their tokens (JWT) call /v1 as a key does, and they may sign in to this console, by "
        "OpenID Connect or SAML."
    )
    empty = (
        "No identity provider yet",
        "Add Entra ID, Okta, Keycloak or any other that speaks OpenID Connect or SAML.",
    )
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
        protocol = Protocol.SAML if request.GET.get("protocol") == Protocol.SAML else Protocol.OIDC
        form = self.form_of(request, protocol)
        if form.is_valid() and (made := self.save(form)) is not None:
            messages.success(request, f"{made.name} is added. Try it before you rely on it.")
            return HttpResponseRedirect(reverse("admin:tenants_identityprovider_try", args=[made.pk]))
        if protocol == Protocol.SAML:
            lead = self.told_to_provider(request)
        else:
            lead = format_html(
                "Tokens of this issuer for this audience, signed with its published keys, let their owners in. "
                "Does your provider speak SAML? {}",
                cells.link("?protocol=saml", "Add it as such"),
            )
        title = f"Add an identity provider ({protocol.label})"
        return inputs.form_page(self, request, form, title=title, submit="Add", lead=lead)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: Any = None
    ) -> HttpResponse:
        found = self.found(request, object_id)
        form = self.form_of(request, found.protocol, initial=shown(found))
        if form.is_valid() and self.save(form, found) is not None:
            messages.success(request, f"{found.name} is changed; every worker knows within a second.")
            return HttpResponseRedirect(reverse("admin:tenants_identityprovider_try", args=[found.pk]))
        tried = cells.link(reverse("admin:tenants_identityprovider_try", args=[found.pk]), "Try it")
        page = self.address(request, "sign_in_of")
        lead = format_html("{} · {}<br>People sign in at {}. ", found.issuer, tried, cells.link(page, page))
        if found.protocol == Protocol.SAML:
            lead += self.told_to_provider(request)
        else:
            back = self.address(request, "provider_back", found.pk)
            lead += format_html("The provider sends them back to {}", back)
        return inputs.form_page(
            self, request, form, title=found.name, submit="Save", lead=lead, original=found, deletable=True
        )

    def form_of(self, request: HttpRequest, protocol: str, **more: Any) -> VouchingForm:
        if protocol == Protocol.SAML:
            return SamlForm(request.POST or None, our_id=self.address(request, "saml_back"), **more)
        return ProviderForm(request.POST or None, **more)

    def told_to_provider(self, request: HttpRequest) -> SafeString:
        """What a SAML provider is told of us."""
        return format_html(
            "Tell the provider our entity id and its answers' address (ACS), both {}, or give it {}.",
            self.address(request, "saml_back"),
            cells.link(self.address(request, "saml_metadata"), "our metadata"),
        )

    def address(self, request: HttpRequest, page: str, *more: Any) -> str:
        """The address of a page of this tenant's for people who sign in."""
        return request.build_absolute_uri(reverse(f"admin:{page}", args=[self.member(request).tenant.slug, *more]))

    def save(self, form: VouchingForm, found: IdentityProvider | None = None) -> IdentityProvider | None:
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
        """Fetches the keys and says whom a token would let in, or why nobody. Of SAML the certificates are tried."""
        found = self.found(request, object_id)
        data = request.POST if request.method == "POST" else None
        form = forms.Form(data) if found.protocol == Protocol.SAML else TryForm(data)
        warnings: list[str] = []
        if request.method == "POST" and form.is_valid():
            told = identity.check(found, form.cleaned_data.get("token", "").strip())
            if not told["ok"]:
                form.add_error(None, told["problem"])
            elif found.protocol == Protocol.SAML:
                warnings = [f"{told['keys']} of its certificates are valid. Sign in with it in a window of its own."]
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
            lead=self.tried_at(request, found),
            original=found,
            warnings=warnings,
        )
        page["Cache-Control"] = "no-store"
        return page

    def tried_at(self, request: HttpRequest, found: IdentityProvider) -> str:
        if found.protocol != Protocol.SAML:
            return found.issuer
        page = self.address(request, "sign_in_of")
        return format_html(
            "{}<br>Its certificates are looked at here. To see whom it lets in, sign in with it at {} in a private "
            "window; why it let nobody in stands in the audit trail as session.refused.",
            found.issuer,
            cells.link(page, page),
        )


def sentences(caller: Mapping[str, Any]) -> list[str]:
    """Whom a token lets in."""
    member = "a member of this tenant" if caller["member"] else "no member of this tenant"
    return [
        f"It lets in {caller['name']} ({caller['subject']}), {member}.",
        f"As {caller['role']}, cleared up to {CLEARANCES[caller['clearance']]}.",
        f"{caller['department']} pays; searched are documents of {', '.join(caller['departments']) or 'nobody'}.",
    ]
