"""The console's page about policies: what is in force, and what each version says."""

from __future__ import annotations

from typing import Any
from uuid import UUID

from django.contrib import admin
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse
from django.template.response import TemplateResponse
from django.utils.safestring import SafeString

from tenants.console import cells
from tenants.console.filters import ChoiceFilter
from tenants.console.pages import ReadOnlyAdmin
from tenants.isolation import PLATFORM

from .models import Policy, PolicyState

TONES = {PolicyState.ACTIVE: "good", PolicyState.DRAFT: "note", PolicyState.ARCHIVED: "plain"}

#: What an action does to a piece of personal data, for people.
ACTIONS = {
    "allow": "sent as it is",
    "placeholder": "replaced by a placeholder, restored in the answer",
    "surrogate": "replaced by a realistic stand-in, restored in the answer",
    "mask": "masked",
    "hash": "replaced by a keyed hash",
    "block": "the call is refused",
}
ACTION_TONES = {"allow": "warn", "block": "bad"}

SECTIONS = {
    "models": "Models",
    "media": "Images, audio and files",
    "guardrails": "Guardrails",
    "residency": "Where data may go",
    "retention": "Retention",
    "logging": "Logging of prompts and answers",
    "locked": "Locked for narrower policies",
}


class StateFilter(ChoiceFilter):
    title, parameter_name = "state", "state"
    choices_shown = list(PolicyState.choices)

    def narrow(self, queryset: QuerySet[Policy], value: str) -> QuerySet[Policy]:
        return queryset.filter(state=value)


@admin.register(Policy)
class PolicyPage(ReadOnlyAdmin):
    rights = "policies"
    granted = "policy"
    lead = (
        "The most specific policy wins: key, department, tenant, platform. A narrower one only tightens what is locked."
    )
    empty = (
        "No policy is in force",
        "Without one every call is refused. Ask the platform's operator for the baseline.",
    )
    list_display = ("policy", "in_state", "applies_to", "personal_data", "activated")
    list_filter = (StateFilter,)
    search_fields = ("name",)
    search_help_text = "A policy's name"

    def get_queryset(self, request: HttpRequest) -> Any:
        """Those in force first."""
        first = Case(When(state=PolicyState.ACTIVE, then=Value(0)), default=Value(1), output_field=IntegerField())
        return super().get_queryset(request).alias(first=first).order_by("first", "name", "-version")

    @admin.display(description="policy")
    def policy(self, policy: Policy) -> SafeString:
        return cells.words(policy.name, f"version {policy.version}")

    @admin.display(description="state")
    def in_state(self, policy: Policy) -> SafeString:
        return cells.label(policy.state, TONES[PolicyState(policy.state)])

    @admin.display(description="applies to")
    def applies_to(self, policy: Policy) -> SafeString:
        if policy.tenant_id == PLATFORM:
            return cells.words("every tenant", "from the platform")
        return cells.words(self.target(policy), policy.scope if policy.target else "")

    def target(self, policy: Policy) -> str:
        """The name of the department or key that a policy is for."""
        if policy.target is None:
            return "the whole tenant"
        names: dict[UUID, str] = self.admin_site.names_of(policy.scope, [policy.target])
        return names.get(policy.target, str(policy.target))

    @admin.display(description="personal data")
    def personal_data(self, policy: Policy) -> SafeString:
        rules = policy.rules.get("pii")
        if not rules:
            return cells.words("as the wider policy says")
        default = action_of(rules.get("default", "placeholder"))
        others = sum(name.isupper() for name in rules)
        return cells.words(default, f"{others} types differ" if others else "")

    @admin.display(description="activated", ordering="activated_at")
    def activated(self, policy: Policy) -> SafeString:
        return cells.moment(policy.activated_at)

    def change_view(
        self, request: HttpRequest, object_id: str, form_url: str = "", extra_context: dict[str, Any] | None = None
    ) -> HttpResponse:
        """One version, opened: what it does to each kind of personal data, and its other sections."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        policy = self.get_object(request, unquote(object_id))
        if policy is None:
            raise Http404("There is no policy with this id here.")
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": policy,
            "title": str(policy),
            "facts": self.facts(policy),
            "pii": pii_rows(policy.rules.get("pii") or {}),
            "lists": lists(policy.rules.get("pii") or {}),
            "sections": [(SECTIONS.get(name, name), cells.document(value)) for name, value in other(policy.rules)],
            "versions": self.get_queryset(request).filter(name=policy.name, tenant_id=policy.tenant_id)[:20],
        }
        return TemplateResponse(request, "console/policy.html", context)

    def facts(self, policy: Policy) -> list[tuple[str, object]]:
        return [
            ("State", self.in_state(policy)),
            ("Version", policy.version),
            ("Applies to", self.applies_to(policy)),
            ("Activated", cells.moment(policy.activated_at)),
            ("Written", cells.moment(policy.created_at)),
            ("Id", cells.short_id(policy.pk)),
        ]


def action_of(rule: Any) -> str:
    """The action of a rule, which is a word or an object with one."""
    found = rule.get("action", "placeholder") if isinstance(rule, dict) else rule
    return found if isinstance(found, str) else "placeholder"


def pii_rows(rules: dict[str, Any]) -> list[dict[str, object]]:
    """One line for each type of personal data (upper-case names), the default first."""
    types = sorted(name for name in rules if name.isupper())
    return [_pii_row(name, rules[name]) for name in ["default", *types] if name in rules]


def _pii_row(name: str, rule: Any) -> dict[str, object]:
    action = action_of(rule)
    detail = rule if isinstance(rule, dict) else {}
    return {
        "name": "everything else" if name == "default" else name,
        "action": cells.label(action, ACTION_TONES.get(action, "good")),
        "means": ACTIONS.get(action, ""),
        "threshold": detail.get("threshold", ""),
        "where": ", ".join([*detail.get("directions", []), *detail.get("sources", [])]),
        "locked": bool(detail.get("locked")),
    }


def lists(rules: dict[str, Any]) -> list[tuple[str, SafeString]]:
    """The words that are never touched, and those that are always found."""
    titles = {"allow_list": "Never touched", "deny_list": "Always found"}
    return [(title, cells.labels(rules[name])) for name, title in titles.items() if rules.get(name)]


def other(rules: dict[str, Any]) -> list[tuple[str, Any]]:
    """The sections besides personal data, in the order of SECTIONS."""
    order = list(SECTIONS)
    names = sorted((name for name in rules if name != "pii"), key=lambda n: order.index(n) if n in order else 99)
    return [(name, rules[name]) for name in names]
