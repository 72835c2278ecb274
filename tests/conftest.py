"""What all tests share: the application's own connection, and two tenants that must know nothing of each other."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass, field
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from django.db import connection, connections

from audit.services import BODIES, body_row
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tenants.models import Department, Tenant
from tenants.services import caller_of_key, make_department, make_key, make_tenant

#: The files that take longest begin first, so that none of them runs alone at the end.
LONGEST = (
    "test_revival.py",
    "test_openapi_document.py",
    "test_budgets.py",
    "test_console.py",
)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    places = {name: place for place, name in enumerate(LONGEST)}
    items.sort(key=lambda item: places.get(item.path.name, len(places)))


@pytest.fixture(scope="session")
def django_db_setup() -> None:
    """The session's database is made and migrated already."""


@pytest.fixture(scope="session")
def database(django_db_blocker: Any) -> Iterator[None]:
    """Django's connection, as the application's role. What is written is committed and stays."""
    with django_db_blocker.unblock():
        with scope(PLATFORM):
            Tenant.objects.get_or_create(pk=PLATFORM, defaults={"slug": "platform", "name": "Platform"})
        yield


@pytest.fixture(autouse=True, scope="module")
def own_connection() -> None:
    """Each file connects anew: another may have taken the server away for a while."""
    connections.close_all()


@dataclass
class House:
    """A tenant of a test's own: its departments, keys by role, and ids of keys by their text."""

    id: UUID
    slug: str
    owner_key: str
    departments: dict[str, Department] = field(default_factory=dict)
    keys: dict[str, str] = field(default_factory=dict)
    key_ids: dict[str, UUID] = field(default_factory=dict)

    def key(self, role: str, department: str, **more: Any) -> str:
        """A fresh key of a role in a department."""
        with scope(self.id):
            made, key = make_key(name=role, department=self.departments[department], role=role, **more)
        self.key_ids[key] = made.pk
        return key


def house(name: str, departments: tuple[str, ...]) -> House:
    with scope(PLATFORM):
        tenant, owner = make_tenant(f"{name}-{token_hex(4)}", name.title())
    made = House(tenant.pk, tenant.slug, owner)
    with scope(tenant.pk):
        made.departments = {slug: make_department(slug, slug.title()) for slug in departments}
    for role in ("admin", "developer", "member", "auditor", "billing_manager", "policy_manager"):
        made.keys[role] = made.key(role, departments[0])
    return made


def keep_body(house: House, text: str = "the secret of the house") -> UUID:
    """What is kept of a call of the developer's key that wrote a text, as the journal brings it; the call's id."""
    request, caller = uuid7(), caller_of_key(house.keys["developer"])
    assert caller is not None
    content = {"sent": {}, "said": {}, "request": {"messages": [{"content": text}]}, "answer": None}
    row = body_row(caller, request, "full", 30, content)
    with scope(house.id), connection.cursor() as cursor:
        cursor.execute(BODIES.replace("$1", "%s"), [json.dumps([row], default=str)])
    return request


@pytest.fixture(scope="module")
def acme(database: None) -> House:
    """Acme, with Alice's department legal and Bob's sales."""
    return house("acme", ("legal", "sales"))


@pytest.fixture(scope="module")
def globex(database: None) -> House:
    """Globex, where Charlie works."""
    return house("globex", ("research",))
