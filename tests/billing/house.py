"""A database of its own with two tenants: Acme (Alice in legal, Bob in sales) and Globex (Charlie)."""

from __future__ import annotations

import os
from dataclasses import dataclass, replace
from secrets import token_hex
from typing import Any
from urllib.parse import urlsplit, urlunsplit
from uuid import UUID

import psycopg
import pytest
from django.conf import settings
from django.db import close_old_connections

from billing.data import BudgetView
from billing.prices import PICO, decimal
from tenants.data import Caller
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant

DOLLAR = PICO
CENT = PICO // 100


@dataclass(frozen=True)
class Servers:
    """The test database, as its owner and as the application's role."""

    owner: str
    app: str

    def ask(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """A statement of the owner, who sees all tenants."""
        with psycopg.connect(self.owner, autocommit=True) as connection:
            cursor = connection.execute(statement, parameters)
            return cursor.fetchall() if cursor.description is not None else []


def at(url: str, **changed: str) -> str:
    """A database URL with another name (path) or login (user)."""
    parts = urlsplit(url)
    netloc = parts.netloc.rpartition("@")[2]
    login = changed.get("login", parts.netloc.rpartition("@")[0])
    return urlunsplit(parts._replace(netloc=f"{login}@{netloc}" if login else netloc, path="/" + changed["name"]))


@pytest.fixture(scope="session")
def servers() -> Servers:
    """The session's database."""
    return Servers(os.environ["OWNER_DATABASE_URL"], settings.DATABASE_URL)


@dataclass(frozen=True)
class House:
    """A tenant of this test's own, with callers of two departments."""

    servers: Servers
    tenant: UUID
    legal: UUID
    sales: UUID
    alice: Caller
    bob: Caller

    def rows(self, statement: str, *parameters: Any) -> list[tuple[Any, ...]]:
        """What the application's role sees in this tenant's scope."""
        with psycopg.connect(self.servers.app) as connection:
            connection.execute("select set_config('app.tenant', %s, true)", (str(self.tenant),))
            return connection.execute(statement, parameters).fetchall()

    def one(self, statement: str, *parameters: Any) -> Any:
        return self.rows(statement, *parameters)[0][0]

    def budget(
        self, limit: int, scope: str = "tenant", target: UUID | None = None, period: str = "month"
    ) -> BudgetView:
        """A budget with a limit in pico-dollars."""
        view = BudgetView(uuid7(), scope, target, period, limit)
        with psycopg.connect(self.servers.app) as connection:
            connection.execute("select set_config('app.tenant', %s, true)", (str(self.tenant),))
            connection.execute(
                'insert into billing_budget (id, scope, target, period, "limit", warn_at, created_at) '
                "values (%s, %s, %s, %s, %s, '{}', now())",
                (view.id, scope, target, period, decimal(limit)),
            )
        return view

    def department_of(self, caller: Caller) -> str:
        return caller.department_slug


def make_house(servers: Servers, name: str) -> House:
    tenant, legal, sales = uuid7(), uuid7(), uuid7()
    close_old_connections()  # a test before may have ended all of the database's
    with scope(PLATFORM):
        Tenant.objects.get_or_create(pk=PLATFORM, defaults={"slug": "platform", "name": "Platform"})
        Tenant.objects.create(pk=tenant, slug=f"{name}-{token_hex(4)}", name=name.title())
    for department, slug in ((legal, "legal"), (sales, "sales")):  # as the owner: the tenant's trail stays empty
        servers.ask(
            "insert into tenants_department (tenant_id, id, slug, name) values (%s, %s, %s, %s)",
            tenant,
            department,
            slug,
            slug.title(),
        )
    alice = Caller(
        tenant=tenant,
        tenant_slug=name,
        key=uuid7(),
        user=None,
        name="Alice's key",
        role="developer",
        clearance=1,
        department=legal,
        department_slug="legal",
        departments=(legal,),
    )
    bob = replace(alice, key=uuid7(), name="Bob's key", department=sales, department_slug="sales", departments=(sales,))
    return House(servers, tenant, legal, sales, alice, bob)


@pytest.fixture
def acme(servers: Servers, database: None) -> House:
    return make_house(servers, "acme")


@pytest.fixture
def globex(servers: Servers, database: None) -> House:
    """Charlie's. He must see nothing of Acme."""
    return make_house(servers, "globex")
