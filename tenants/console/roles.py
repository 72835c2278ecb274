"""The console's page of roles: who may do what, as a matrix, and how many people have each role here."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

from django.core.exceptions import PermissionDenied
from django.http import HttpRequest, HttpResponse
from django.template.response import TemplateResponse

from tenants import services
from tenants.roles import RIGHTS, Role, given_by

from .member import member_of

RIGHT = "memberships.view"
PAGE = "console/roles.html"

#: What each right lets people do, in the order of the page, by area. What a role is let do to its own alone is said
#: where it is: by the right to all of it that it lacks.
WORDS: dict[str, dict[str, str]] = {
    "Calls": {
        "models.call": "Call models",
        "documents.search": "Search documents, within clearance and grants",
        "playground.use": "Try prompts in the playground",
    },
    "Models": {
        "models.view": "See the names of models",
        "routes.view": "See what is behind a model's name",
        "providers.view": "See providers",
        "deployments.view": "See deployments",
        "models.change": "Change models and routes",
        "providers.change": "Change providers and their credentials",
        "deployments.change": "Change deployments",
    },
    "Policies": {"policies.view": "See policies", "policies.change": "Write policies and put them in force"},
    "Documents": {
        "collections.view": "See collections",
        "documents.view": "See documents",
        "collections.change": "Change collections",
        "documents.change": "Upload and remove documents",
    },
    "Money": {
        "usage.view": "See usage: the own",
        "usage.all": "See everybody's usage",
        "budgets.view": "See budgets: the own department's",
        "budgets.all": "See all budgets",
        "budgets.change": "Change budgets",
        "prices.view": "See prices",
        "prices.change": "Change prices of own deployments",
        "reports.view": "See reports",
        "reports.make": "Make reports (auditors: on compliance)",
        "reports.change": "Change schedules of reports",
        "reconciliations.view": "See reconciliations",
        "reconciliations.change": "Reconcile vendors' invoices",
        "reratings.view": "See re-ratings",
        "reratings.change": "Rate usage again",
    },
    "Evidence": {
        "events.view": "See the audit trail: of the own calls or area",
        "events.all": "See the whole audit trail",
        "exports.change": "Export evidence",
        "holds.change": "Place legal holds",
        "erasures.change": "Answer erasure and access requests",
        "reveal.use": "Reveal what was masked, with a purpose",
    },
    "People and keys": {
        "departments.view": "See departments",
        "departments.change": "Change departments",
        "users.view": "See people's accounts",
        "users.change": "Make accounts",
        "memberships.view": "See who belongs here",
        "memberships.change": "Give and take places, never above the own",
        "grants.view": "See grants on single objects",
        "grants.change": "Grant and deny single objects",
        "keys.view": "See API keys: the own, a developer's department's",
        "keys.change": "Make, replace and revoke these keys",
        "keys.all": "See and change all keys",
        "webhooks.view": "See webhooks",
        "webhooks.change": "Change webhooks",
    },
    "Organisation": {
        "tenants.view": "See the tenant's settings",
        "tenants.change": "Change the tenant's settings",
        "identity.view": "See identity providers",
        "identity.change": "Change identity providers",
        "scim.use": "Provision people (SCIM)",
    },
}


@dataclass(frozen=True, slots=True)
class Column:
    """One role: how many people have it, which others it may hand out, and whether it is the viewer's."""

    role: Role
    people: int
    gives: list[str]
    own: bool


def page(request: HttpRequest, context: dict[str, Any]) -> HttpResponse:
    """The matrix."""
    member = member_of(request)
    if member is None or not member.may(RIGHT):
        raise PermissionDenied
    people = services.people_by_role()
    columns = [
        Column(role, people.get(role, 0), [given.label for given in given_by(role)], role == member.role)
        for role in Role
    ]
    areas = [
        (area, [(right, words, [role in RIGHTS[right] for role in Role]) for right, words in rights.items()])
        for area, rights in WORDS.items()
    ]
    return TemplateResponse(request, PAGE, {**context, "title": "Roles", "columns": columns, "areas": areas})
