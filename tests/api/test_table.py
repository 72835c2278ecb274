"""Every route, every role, on objects of one's own tenant and of another: the table of roles is what is answered.

Nothing is changed on the way: an `If-Match` that never holds is looked at after everything that this is about.
"""

from __future__ import annotations

import json
import re
from collections.abc import Iterator
from typing import Any, NamedTuple

import pytest
from django.test import Client
from django.urls import get_resolver

from tenants.api.views import ManagementView
from tenants.roles import may
from tests.api.test_attack import things  # noqa: F401  a fixture
from tests.api.test_permissions import ROLES
from tests.conftest import House


class Route(NamedTuple):
    """One method of one address, with the right that it needs."""

    method: str
    path: str
    right: str


def table() -> Iterator[Route]:
    for prefix in get_resolver().url_patterns:
        for route in getattr(prefix, "url_patterns", []):
            view = getattr(route.callback, "cls", None)
            if view is None or not issubclass(view, ManagementView):
                continue
            path = re.sub(r"\(\?P<\w+>[^)]*\)", "{id}", str(route.pattern)).strip("^$").replace("/?", "")
            for method, action in route.callback.actions.items():
                if method in view.http_method_names and action in view.rights:
                    yield Route(method.upper(), f"/api/v1/{path}", view.rights[action])


ROUTES = sorted(set(table()))
DETAILS = [route for route in ROUTES if "{id}" in route.path]
LISTS = [route for route in ROUTES if "{id}" not in route.path]

#: What the wall or the view hides from a role: (kind, role). For these 404 is as good as 403.
HIDDEN = {
    ("api-keys", "member"),  # one's own alone
    ("budget-requests", "developer"),  # one's own
    ("budget-requests", "policy_manager"),
    ("budget-requests", "member"),
    ("budgets", "developer"),  # those of the own department
    ("feedback", "policy_manager"),  # one's own
    ("feedback", "billing_manager"),
    ("feedback", "auditor"),
    ("feedback", "member"),
    ("ingest-jobs", "policy_manager"),  # the submitter's
    ("ingest-jobs", "billing_manager"),
    ("ingest-jobs", "auditor"),
    ("ingest-jobs", "developer"),
    ("ingest-jobs", "member"),
    ("billing", "developer"),  # reports of the own department
    ("billing", "policy_manager"),
    ("billing", "member"),
    ("audit", "policy_manager"),  # receipts of one's own requests
    ("audit", "billing_manager"),
    ("audit", "developer"),
    ("audit", "member"),
}
#: What the platform alone does, and rights that another one stands in for.
PLATFORMS = {(("POST", f"/api/v1/{kind}")) for kind in ("tenants", "discounts", "exchange-rates")}
INSTEAD = {("/api/v1/restore", "auditor"), ("/api/v1/restore", "owner")}


def ask(method: str, path: str, key: str) -> int:
    headers = {"authorization": f"Bearer {key}", "if-match": '"never"'}
    return Client().generic(method, path, json.dumps({}), "application/json", headers=headers).status_code


def key_of(tenant: House, role: str) -> str:
    return tenant.owner_key if role == "owner" else tenant.keys[role]


def at(things: dict[str, str], path: str) -> str:  # noqa: F811
    kind = next(kind for kind in sorted(things, key=len, reverse=True) if path.startswith(f"/api/v1/{kind}/"))
    return path.replace("{id}", things[kind])


@pytest.fixture(scope="module")
def roles(globex: House) -> dict[str, str]:
    """Globex's keys of all roles."""
    return {role: globex.key(role, "research") if role == "owner" else globex.keys[role] for role in ROLES}


def test_the_table_is_of_every_route():
    assert len(DETAILS) > 40
    assert len(LISTS) > 30


@pytest.mark.parametrize("role", ROLES)
def test_what_is_of_the_own_tenant_is_done_or_refused(things: dict[str, str], acme: House, role: str):  # noqa: F811
    wrong: list[Any] = []
    for route in DETAILS:
        status = ask(route.method, at(things, route.path), key_of(acme, role))
        kind = route.path.split("/")[3]
        if not may(role, route.right):
            fine = {403}
        elif route.method == "GET":
            fine = {200, 400, 409}  # a proof needs parameters, a file has to be ready
        else:
            fine = {412}
        if (kind, role) in HIDDEN:
            fine |= {404}
        if status not in fine:
            wrong.append((*route, status, sorted(fine)))
    assert wrong == []


@pytest.mark.parametrize("role", ROLES)
def test_what_is_of_another_tenant_is_not_there(things: dict[str, str], roles: dict[str, str], role: str):  # noqa: F811
    answers = {route: ask(route.method, at(things, route.path), roles[role]) for route in DETAILS}
    assert {route: status for route, status in answers.items() if status != 404} == {}


@pytest.mark.parametrize("role", ROLES)
def test_lists_are_shown_and_things_are_made_by_those_who_may(acme: House, role: str):
    wrong: list[Any] = []
    for route in LISTS:
        status = ask(route.method, route.path, key_of(acme, role))
        allowed = may(role, route.right) or (route.path, role) in INSTEAD
        allowed = allowed and (route.method, route.path) not in PLATFORMS
        fine = ({200} if route.method == "GET" else {400, 415}) if allowed else {403}
        if status not in fine:
            wrong.append((*route, status, sorted(fine)))
    assert wrong == []
