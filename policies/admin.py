"""The console's pages about policies: what is in force and which level says so, new versions, what they would do."""

from __future__ import annotations

from collections.abc import Callable
from datetime import timedelta
from typing import Any
from uuid import UUID

from django.contrib import admin, messages
from django.contrib.admin.utils import unquote
from django.core.exceptions import PermissionDenied
from django.db import transaction
from django.db.models import Case, IntegerField, QuerySet, Value, When
from django.http import Http404, HttpRequest, HttpResponse, HttpResponseRedirect
from django.template.response import TemplateResponse
from django.urls import URLPattern, path, reverse
from django.utils import timezone
from django.utils.safestring import SafeString

from audit.actions import Action
from audit.services import record
from tenants.console import cells
from tenants.console.filters import ChoiceFilter
from tenants.console.pages import ReadOnlyAdmin, state_reason
from tenants.data import Caller
from tenants.four_eyes import forbidden
from tenants.isolation import PLATFORM
from tenants.services import caller_of_member

from . import drafts, effect, inheritance, matrix, simulation
from .activation import activate
from .comparison import UNSAID, differences
from .editor import Given
from .errors import NotInForce, RulesError
from .marks import marked
from .models import Policy, PolicyScope, PolicyState
from .pii.data import Action as DoneWith
from .pii.errors import PiiError

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
#: The matrix's columns, by who wrote a text.
COLUMNS = {
    "system": "System",
    "user": "User",
    "assistant": "Assistant",
    "tool": "Tool",
    "document": "Document",
    "other": "Other fields",
}
NAMES = {matrix.DEFAULT: "everything else"}
#: Days of past calls on which a version can be tried.
PERIODS = {"1": "24 hours", "7": "7 days", "30": "30 days"}

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
    add_text = "New policy"

    def get_urls(self) -> list[URLPattern]:
        views: dict[str, Callable[..., HttpResponse]] = {
            "edit": self.edit_view,
            "compare": self.compare_view,
            "try": self.try_view,
            "activate": self.activate_view,
        }
        own = [
            path(f"<uuid:policy>/{verb}/", self.admin_site.admin_view(view), name=f"policies_policy_{verb}")
            for verb, view in views.items()
        ]
        return [*own, *super().get_urls()]

    def has_add_permission(self, request: HttpRequest) -> bool:
        return self.may(request, "change")

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

    def whom(self, policy: Policy) -> str:
        """For whom a policy is, in a sentence."""
        if policy.target is None:
            return "every tenant" if policy.tenant_id == PLATFORM else "the whole tenant"
        return f"the {'API key' if policy.scope == PolicyScope.KEY else policy.scope} {self.target(policy)}"

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
        """One version, opened: what it does by type and source, its other sections, and what holds with it."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        policy = self.get_object(request, unquote(object_id))
        if policy is None:
            raise Http404("There is no policy with this id here.")
        pii = policy.rules.get("pii") or {}
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": policy,
            "title": str(policy),
            "facts": self.facts(policy),
            "grants_told": self.grants_told(request, policy.pk),
            "columns": COLUMNS,
            "pii": [_shown_row(row) for row in matrix.rows(pii) if row.action],
            "lists": lists(pii),
            "sections": [(SECTIONS.get(name, name), cells.document(value)) for name, value in other(policy.rules)],
            "held": [_shown_held(held, policy) for held in effect.in_effect(policy)],
            "versions": self.versions(request, policy)[:20],
            **self.verbs(request, policy),
        }
        return TemplateResponse(request, "console/policy.html", context)

    def versions(self, request: HttpRequest, policy: Policy) -> Any:
        """All versions of a policy, the latest first."""
        named = self.get_queryset(request).filter(name=policy.name, tenant_id=policy.tenant_id)
        return named.order_by("-version")

    def verbs(self, request: HttpRequest, policy: Policy) -> dict[str, Any]:
        """What the person may do with a version, and why they may not put it in force."""
        caller = self.changer(request, policy)
        if caller is None:
            return {"may_change": False}
        waits = policy.state != PolicyState.ACTIVE
        alone = waits and forbidden(policy.written_by, caller)
        return {"may_change": True, "may_activate": waits and not alone, "four_eyes": alone}

    def changer(self, request: HttpRequest, policy: Policy) -> Caller | None:
        """The person as a caller, if they may change this policy."""
        if not self.may(request, "change") or not self.is_own(request, policy):
            return None
        caller = caller_of_member(request)
        if caller is None or not caller.may_on("policies.change", "policy", policy.pk, "change"):
            return None
        return caller

    def opened(self, request: HttpRequest, identity: UUID) -> tuple[Policy, Caller]:
        """A policy that the person may change. Raises Http404, PermissionDenied."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        policy = self.get_object(request, str(identity))
        if policy is None:
            raise Http404("There is no policy with this id here.")
        caller = self.changer(request, policy)
        if caller is None:
            raise PermissionDenied
        return policy, caller

    # -- new versions -------------------------------------------------------------------------------------------------

    def add_view(self, request: HttpRequest, form_url: str = "", extra_context: Any = None) -> HttpResponse:
        """A policy that is not there yet."""
        if not self.has_add_permission(request):
            raise PermissionDenied
        caller = caller_of_member(request)
        if caller is None:
            raise PermissionDenied
        return self._editor(request, None, caller)

    def edit_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """A version, edited in place; what is saved is the next version."""
        return self._editor(request, *self.opened(request, policy))

    def _editor(self, request: HttpRequest, policy: Policy | None, caller: Caller) -> HttpResponse:
        rules = policy.rules if policy else {}
        given = Given.posted(request.POST) if request.method == "POST" else Given.of(rules)
        problem = ""
        if request.method == "POST":
            try:
                made = self._save(given, policy, caller)
            except RulesError as error:
                problem = str(error)
            else:
                messages.success(request, f"{made} is saved as a draft. Try it, then put it in force.")
                return HttpResponseRedirect(reverse("admin:policies_policy_change", args=[made.pk]))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": policy,
            "title": f"Change {policy.name}" if policy else "New policy",
            "given": given,
            "problem": problem,
            "places": [] if policy else self.places(caller),
            "columns": COLUMNS,
            "actions": {str(action): ACTIONS[action] for action in DoneWith},
            "applies_to": self.whom(policy) if policy else "",
        }
        return TemplateResponse(request, "console/policy_edit.html", context)

    def _save(self, given: Given, policy: Policy | None, caller: Caller) -> Policy:
        """Raises RulesError."""
        rules = given.rules(policy.rules if policy else {})
        if policy is not None:
            scope, target, name = policy.scope, policy.target, policy.name
        else:
            offered = {value for value, _ in self.places(caller)}
            if given.place not in offered:
                raise RulesError("Choose whom the policy is for.")
            scope, _, identity = given.place.partition(":")
            target, name = UUID(identity) if identity else None, given.name
            if not name:
                raise RulesError("Give the policy a name; its versions will have it as well.")
        state_reason(given.reason)
        return drafts.write(name, scope, target, rules, caller)

    def places(self, caller: Caller) -> list[tuple[str, str]]:
        """Whom a new policy may be for."""
        if caller.is_platform:
            return [("platform", "every tenant")]
        found = [("tenant", "the whole tenant")]
        for kind, word in (("department", "department"), ("key", "API key")):
            names: dict[UUID, str] = self.admin_site.names_of(kind)
            found += [(f"{kind}:{pk}", f"{word} {name}") for pk, name in sorted(names.items(), key=lambda n: n[1])]
        return found

    # -- what a change would do ---------------------------------------------------------------------------------------

    def compare_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """Two versions, side by side, where they differ."""
        if not self.has_view_permission(request):
            raise PermissionDenied
        one = self.get_object(request, str(policy))
        if one is None:
            raise Http404("There is no policy with this id here.")
        others = effect.comparable(one, self.get_queryset(request))
        wanted = request.GET.get("with", "")
        against = next((row for row in others if str(row.pk) == wanted), effect.usual(one, others))
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": one,
            "title": f"Compare {one}",
            "others": others,
            "against": against,
            "rows": [_shown_difference(row) for row in differences(against.rules, one.rules)] if against else [],
        }
        return TemplateResponse(request, "console/policy_compare.html", context)

    def try_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """A version on a text or on the calls of some days, before it is in force."""
        found, caller = self.opened(request, policy)
        text, days = request.POST.get("text", ""), request.POST.get("days", "7")
        context: dict[str, Any] = {"text": text, "days": days, "periods": PERIODS}
        if request.method == "POST":
            draft = simulation.Draft(found.scope, found.target, found.rules, found.pk, found.name, found.version)
            try:
                context |= _tried(draft, caller.tenant, text if "on_text" in request.POST else None, days)
            except (RulesError, PiiError) as error:
                context["problem"] = str(error)
            else:
                record(
                    Action.POLICY_SIMULATE, object_type="policy", object_id=str(found.pk), detail={"name": found.name}
                )
        context |= {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": found,
            "title": f"Try {found}",
            **self.verbs(request, found),
        }
        return TemplateResponse(request, "console/policy_try.html", context)

    def activate_view(self, request: HttpRequest, policy: UUID) -> HttpResponse:
        """What putting a version in force changes, and the button that does it."""
        found, caller = self.opened(request, policy)
        address = reverse("admin:policies_policy_change", args=[found.pk])
        if request.method == "POST":
            state_reason(request.POST.get("reason", ""))
            try:
                with transaction.atomic():
                    activate(found, caller)
            except NotInForce as error:
                messages.error(request, str(error))
            else:
                messages.success(request, f"{found} is in force. Every worker follows within a second.")
            return HttpResponseRedirect(address)
        before = Policy.objects.filter(
            tenant_id=found.tenant_id, scope=found.scope, target=found.target, state=PolicyState.ACTIVE
        ).first()
        context = {
            **self.admin_site.each_context(request),
            "opts": self.opts,
            "original": found,
            "title": f"Put {found} in force?",
            "before": before,
            "rows": [_shown_difference(row) for row in differences(before.rules if before else {}, found.rules)],
            "applies_to": self.whom(found),
            **self.verbs(request, found),
        }
        return TemplateResponse(request, "console/policy_activate.html", context)

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


def _shown_row(row: matrix.Row) -> dict[str, object]:
    return {
        "name": NAMES.get(row.name, row.name),
        "cells": [cells.label(cell, ACTION_TONES.get(cell, "good"), ACTIONS.get(cell, "")) for cell in row.cells],
        "threshold": row.threshold,
        "locked": row.locked,
        "rest": row.rest,
    }


def _shown_held(held: inheritance.Held, policy: Policy) -> dict[str, Any]:
    return {
        "place": held.place,
        "value": _said(held.value),
        "by": held.by,
        "here": held.by.id == policy.pk,
        "locked": held.locked,
    }


def _shown_difference(row: Any) -> dict[str, Any]:
    return {"place": row.place, "before": _said(row.before), "after": _said(row.after)}


def _said(value: Any) -> SafeString:
    """A value of a policy document in one line."""
    if value is UNSAID:
        return cells.NOTHING
    if isinstance(value, list):
        return cells.labels(value)
    if isinstance(value, dict):
        return cells.words(", ".join(f"{name} {_plainly(part)}" for name, part in value.items()) or "nothing")
    return cells.words(_plainly(value))


def _plainly(value: Any) -> str:
    if isinstance(value, list):
        return " ".join(map(_plainly, value)) or "none"
    if isinstance(value, dict):
        return ", ".join(f"{name} {_plainly(part)}" for name, part in value.items()) or "nothing"
    return {True: "yes", False: "no", None: "–"}.get(value, value) if not isinstance(value, str) else value


def _tried(draft: simulation.Draft, tenant: UUID, text: str | None, days: str) -> dict[str, Any]:
    """Raises RulesError, PiiError."""
    if text is None:
        since = timezone.now() - timedelta(days=int(days) if days in PERIODS else 7)
        return {"past": simulation.simulate_since(since, draft, tenant)}
    found = simulation.simulate_on(text, draft, tenant)
    for side in ("before", "after"):
        found[side]["marked"] = marked(text, found[side]["entities"])
    return {"tried": found, "sides": [(found["before"], "As it is now"), (found["after"], "As it would be")]}


def lists(rules: dict[str, Any]) -> list[tuple[str, SafeString]]:
    """The words that are never touched, those that are always found, and how far a stand-in reaches."""
    titles = {"allow_list": "Never touched", "deny_list": "Always found"}
    found = [(title, cells.labels(rules[name])) for name, title in titles.items() if rules.get(name)]
    if rules.get("scope"):
        found.append(("The same stand-in for the same within one", cells.label(rules["scope"])))
    return found


def other(rules: dict[str, Any]) -> list[tuple[str, Any]]:
    """The sections besides personal data, in the order of SECTIONS."""
    order = list(SECTIONS)
    names = sorted((name for name in rules if name != "pii"), key=lambda n: order.index(n) if n in order else 99)
    return [(name, rules[name]) for name in names]
