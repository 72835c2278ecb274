"""The console's pages about where calls go: models with their routes, deployments, providers."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from datetime import timedelta
from typing import Any, ClassVar
from urllib.parse import urlsplit
from uuid import UUID

from django import forms
from django.conf import settings
from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.db.models import QuerySet
from django.http import HttpRequest, HttpResponse
from django.utils import timezone
from django.utils.html import format_html
from django.utils.safestring import SafeString
from django.utils.text import capfirst
from unfold.admin import TabularInline
from unfold.widgets import UnfoldAdminCheckboxSelectMultipleWidget

from audit import health
from tenants.console import cells
from tenants.console import forms as inputs
from tenants.console.member import callers_seen, member_of
from tenants.console.pages import PlainReferences, ScopedForm, TenantAdmin, counted
from tenants.isolation import PLATFORM, current

from .breakers import OpenBreaker, open_breakers
from .credentials import seal_credential
from .models import Deployment, Model, Provider, Route

#: What a deployment can do, as clients and routing name it.
CAPABILITIES = ["chat", "tools", "json", "vision", "embeddings", "rerank"]

STRATEGIES = {
    "priority": "the first that is healthy",
    "weighted": "by weight",
    "cheapest": "the cheapest",
    "fastest": "the fastest",
    "least_busy": "the least busy",
}


KINDS = {
    "openai_compatible": "OpenAI-compatible",
    "litellm": "by litellm",
    "extractive": "built-in, quotes documents",
    "scripted": "scripted, for tests",
}


def whose(row: Provider | Deployment | Model) -> SafeString:
    """Whether an object is the tenant's own or shared by the platform."""
    return (
        cells.label("platform", "note", "Shared by the platform; read-only here")
        if row.tenant_id == PLATFORM
        else cells.label("own")
    )


class SharedAdmin(TenantAdmin):
    """A page about objects of which the platform shares some: the tenant's own first, the shared ones read-only."""

    deletable = True
    list_display_links = ("name",)
    search_fields = ("name",)
    search_help_text = "A name"

    @admin.display(description="owner")
    def owner(self, row: Any) -> SafeString:
        return whose(row)


class ProviderForm(ScopedForm):
    """An account or endpoint. Its credential is typed in, sealed and never shown again."""

    api_key = inputs.secret(
        "API key", required=False, help_text="Kept sealed. Leave empty to keep the one that is there, or for none."
    )

    class Meta:
        model = Provider
        fields = ("name", "kind", "vendor", "base_url", "region", "self_hosted")
        labels: ClassVar = {"base_url": "Address", "self_hosted": "Self-hosted"}
        help_texts: ClassVar = {
            "vendor": "For litellm: the vendor's name there, as anthropic or gemini.",
            "base_url": "As https://api.openai.com/v1; empty for vendors that litellm knows.",
            "region": "ISO 3166 country code, eu, or self; policies decide by it where data may go.",
        }

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        if "kind" in self.fields:
            offered = [(kind, text) for kind, text in KINDS.items() if kind != "scripted" or settings.SCRIPTED_PROVIDER]
            self.fields["kind"].choices = offered  # type: ignore[attr-defined]

    def clean_base_url(self) -> str:
        address: str = self.cleaned_data["base_url"].strip()
        if address and (urlsplit(address).scheme not in ("http", "https") or not urlsplit(address).hostname):
            raise forms.ValidationError("Write the whole address, beginning with https://.")
        return address

    def clean(self) -> dict[str, Any]:
        """A credential is not sent to another address than the one it was given for."""
        data: dict[str, Any] = super().clean() or self.cleaned_data
        if self.instance.credential and "base_url" in self.changed_data and not data.get("api_key"):
            self.add_error("api_key", "Write the API key again: it is not sent to another address unasked.")
        return data

    def save(self, commit: bool = True) -> Provider:
        if self.cleaned_data["api_key"]:
            sealed = seal_credential(self.cleaned_data["api_key"], UUID(current()), self.instance.pk)
            self.instance.credential = sealed
        saved: Provider = super().save(commit)
        return saved


@admin.register(Provider)
class ProviderPage(SharedAdmin):
    rights = "providers"
    add_text = "Add provider"
    lead = "Accounts at vendors, and endpoints of your own. Credentials are stored sealed and never shown."
    empty = (
        "No provider yet",
        "Add the account or endpoint where models are called, then a deployment for each of its models.",
    )
    list_display = ("name", "owner", "speaks", "address", "place", "credential_kept", "deployment_count")
    form = ProviderForm
    fields = ("name", "kind", "vendor", "base_url", "api_key", "region", "self_hosted")
    sortable_by = ("name", "speaks")

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(number=counted(Deployment.objects.all(), "provider"))

    @admin.display(description="kind", ordering="kind")
    def speaks(self, provider: Provider) -> SafeString:
        return cells.words(KINDS[provider.kind], provider.vendor)

    @admin.display(description="address")
    def address(self, provider: Provider) -> SafeString:
        return cells.words(provider.base_url or "–")

    @admin.display(description="region")
    def place(self, provider: Provider) -> SafeString:
        return cells.words(provider.region or "–", "self-hosted" if provider.self_hosted else "")

    @admin.display(description="credential")
    def credential_kept(self, provider: Provider) -> SafeString:
        return cells.label("kept sealed", "good") if provider.credential else cells.NOTHING

    @admin.display(description="deployments")
    def deployment_count(self, provider: Any) -> SafeString:
        return cells.count(provider.number)

    def consequences(self, obj: Provider) -> list[str]:
        return ["Its credential is removed; calls can no longer be sent there."]


class DeploymentForm(ScopedForm):
    capabilities = forms.MultipleChoiceField(
        choices=[(name, name) for name in CAPABILITIES],
        initial=["chat"],
        required=False,
        widget=UnfoldAdminCheckboxSelectMultipleWidget,
    )

    class Meta:
        model = Deployment
        fields = (
            "provider",
            "name",
            "upstream_model",
            "capabilities",
            "max_concurrency",
            "timeout_s",
            "first_token_timeout_s",
            "max_output_tokens",
            "max_input_tokens",
        )
        labels: ClassVar = {
            "max_concurrency": "Calls at once",
            "timeout_s": "Time limit in seconds",
            "first_token_timeout_s": "Seconds to the first token",
            "max_output_tokens": "Most output tokens",
            "max_input_tokens": "Most input tokens",
        }


def breaker_label(opened: OpenBreaker | None) -> SafeString:
    """That a deployment is not called, why, and when it is tried again; '' while it is called."""
    if opened is None:
        return SafeString("")
    return cells.label(
        f"breaker open: {opened.reason}" if opened.error else "breaker open",
        "bad",
        f"Since {opened.opened_at:%H:%M:%S} UTC; a call tries again from {opened.until:%H:%M:%S} UTC",
    )


@admin.register(Deployment)
class DeploymentPage(SharedAdmin):
    rights = "deployments"
    add_text = "Add deployment"
    form = DeploymentForm
    lead = "One model at one provider. A model's routes choose among them."
    empty = ("No deployment yet", "Add one for each model that a provider serves; a model's routes then point at it.")
    list_display = ("name", "owner", "at", "can", "called", "concurrency", "patience", "route_count")
    list_select_related = ("provider",)
    sortable_by = ("name",)

    def get_queryset(self, request: HttpRequest) -> Any:
        return super().get_queryset(request).annotate(number=counted(Route.objects.all(), "deployment"))

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with the breakers that are open, read for the whole page at once."""
        changelist, opened = super().get_changelist_instance(request), open_breakers()
        changelist.result_list = list(changelist.result_list)
        for deployment in changelist.result_list:
            deployment.opened = opened.get(deployment.pk)
        return changelist

    @admin.display(description="breaker")
    def called(self, deployment: Any) -> SafeString:
        return breaker_label(deployment.opened) or cells.label("closed", "good")

    @admin.display(description="upstream model")
    def at(self, deployment: Deployment) -> SafeString:
        return cells.words(deployment.upstream_model, f"at {deployment.provider}")

    @admin.display(description="can do")
    def can(self, deployment: Deployment) -> SafeString:
        return cells.labels(deployment.capabilities)

    @admin.display(description="at once")
    def concurrency(self, deployment: Deployment) -> SafeString:
        return cells.count(deployment.max_concurrency)

    @admin.display(description="time limit")
    def patience(self, deployment: Deployment) -> str:
        return f"{deployment.timeout_s:g} s"

    @admin.display(description="routes")
    def route_count(self, deployment: Any) -> SafeString:
        return cells.count(deployment.number)

    def consequences(self, obj: Deployment) -> list[str]:
        names = [route.model.name for route in obj.routes.select_related("model")]
        return [f"These models lose a route: {', '.join(names)}."] if names else ["No model routes to it."]


class RouteInline(PlainReferences, TabularInline):  # type: ignore[misc]  # unfold has no types
    """The deployments that may answer for a model."""

    model = Route
    fields = ("deployment", "priority", "weight")
    extra = 0
    min_num = 1
    hide_title = True
    verbose_name_plural = "routes"

    def formfield_for_dbfield(self, db_field: Any, request: HttpRequest, **kwargs: Any) -> Any:
        """A cell of a table has no label of its own: it is named after its column."""
        field = super().formfield_for_dbfield(db_field, request, **kwargs)
        if field is not None:
            field.widget.attrs["aria-label"] = str(capfirst(db_field.verbose_name))
        return field

    def _may(self, request: HttpRequest, verb: str) -> bool:
        member = member_of(request)
        return member is not None and member.may(f"models.{verb}")

    def has_view_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "view")

    def has_add_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")

    def has_change_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")

    def has_delete_permission(self, request: HttpRequest, obj: Any = None) -> bool:
        return self._may(request, "change")


@admin.register(Model)
class ModelPage(SharedAdmin):
    rights = "models"
    granted = "model"
    add_text = "Add model"
    lead = "The names that clients send, and which deployments answer for them."
    empty = ("No model can be called yet", "Add a name that clients send, and route it to a deployment.")
    list_display = ("name", "owner", "how", "path")
    fields = ("name", "strategy")
    inlines = (RouteInline,)
    sortable_by = ("name",)
    change_form_before_template = "console/routes.html"

    def get_queryset(self, request: HttpRequest) -> QuerySet[Model]:
        return super().get_queryset(request).prefetch_related("routes__deployment__provider")

    def get_inlines(self, request: HttpRequest, obj: Any) -> Iterable[Any]:
        """Routes are hidden from those who know models by name only."""
        member = self.member(request)
        return self.inlines if member.may("deployments.view") else ()

    def get_list_display(self, request: HttpRequest) -> Iterable[str]:
        member = self.member(request)
        return self.list_display if member.may("deployments.view") else ("name",)

    @admin.display(description="chooses")
    def how(self, model: Model) -> str:
        return STRATEGIES[model.strategy]

    def get_changelist_instance(self, request: HttpRequest) -> Any:
        """The list with the breakers that are open, read for the whole page at once."""
        changelist, opened = super().get_changelist_instance(request), open_breakers()
        changelist.result_list = list(changelist.result_list)
        for model in changelist.result_list:
            model.opened = opened
        return changelist

    @admin.display(description="answered by")
    def path(self, model: Any) -> SafeString:
        """The routes in the order in which they are tried, each as long as its share of its priority's weight."""
        routes = sorted(model.routes.all(), key=lambda route: (route.priority, -route.weight))
        whole = Counter[int]()
        for route in routes:
            whole[route.priority] += route.weight
        return cells.lines(
            format_html(
                '{} {}<small class="ch-below-name">at {} · priority {}, weight {}</small>'
                '<svg class="ch-share" viewBox="0 0 100 4" preserveAspectRatio="none" aria-hidden="true">'
                '<rect width="100" height="4"></rect><rect class="ch-of" width="{}" height="4"></rect></svg>',
                route.deployment.name,
                breaker_label(model.opened.get(route.deployment_id)),
                route.deployment.provider,
                route.priority,
                route.weight,
                f"{100 * route.weight / (whole[route.priority] or 1):.0f}",
            )
            for route in routes
        )

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """The model with a picture of what answers for it."""
        model = self.get_object(request, unquote(object_id))
        picture = self.picture(request, model) if model is not None and self.may(request, "view", model) else None
        page: HttpResponse = super().change_view(
            request, object_id, form_url, {**(extra_context or {}), "picture": picture}
        )
        return page

    def picture(self, request: HttpRequest, model: Model) -> dict[str, Any] | None:
        """What answers for a model, in the order in which it is tried: weights, prices, and how it did in a day."""
        member = self.member(request)
        routes = list(model.routes.all())
        if not routes or not member.may("routes.view"):
            return None
        seen = {
            one.deployment: one for one in health.deployments(timezone.now() - timedelta(days=1), callers_seen(member))
        }
        ids = [route.deployment_id for route in routes]
        prices = self.admin_site.prices_of(ids) if member.may("prices.view") else {}
        breakers = open_breakers()
        heaviest = max(route.weight for route in routes) or 1
        return {
            "model": model,
            "how": STRATEGIES[model.strategy],
            "routes": [
                {
                    "route": route,
                    "thickness": max(0.6, 6 * route.weight / heaviest),
                    "top": 5 - max(0.6, 6 * route.weight / heaviest) / 2,
                    "provider": route.deployment.provider,
                    "prices": {
                        kind: f"{price.normalize():f}" for kind, price in prices.get(route.deployment_id, {}).items()
                    },
                    "opened": breaker_label(breakers.get(route.deployment_id)),
                    "health": seen.get(f"{route.deployment.provider.name}/{route.deployment.upstream_model}"),
                }
                for route in routes
            ],
        }

    def consequences(self, obj: Model) -> list[str]:
        return [f"Calls that name {obj.name} are answered with “model not found”, at once and on every worker."]
