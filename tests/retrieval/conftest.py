"""Acme has Alice in legal and Bob in sales; Globex has Charlie, who must see nothing of Acme's."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any
from uuid import UUID, uuid4

import pytest

from retrieval.models import Document
from retrieval.services import Passage, Upload, create_collection, ingest_now, recall_now
from tenants.isolation import PLATFORM, Scope, scope
from tenants.models import Department, Tenant

LEASE = (
    "The monthly rent of the Hamburg warehouse is 12,400 euros, due on the third working day. Either party may end the "
    "lease with six months' notice. The landlord keeps the roof in repair."
)


@dataclass(frozen=True)
class People:
    """Scopes of the three, of Acme's administrator, and the departments."""

    acme: UUID
    globex: UUID
    legal: UUID
    sales: UUID
    admin: Scope
    alice: Scope
    bob: Scope
    charlie: Scope

    def keep(self, text: str = LEASE, collection: str = "contracts", **more: Any) -> Document:
        """Ingests a document as Acme's administrator; the collection is made if need be."""
        with scope(self.admin):
            if not collection_exists(collection):
                create_collection(collection)
            return ingest_now(Upload(collection=collection, text=text, **more))

    def find(self, who: Scope, query: str = "What is the rent of the warehouse?", **more: Any) -> list[Passage]:
        return recall_now(who, query, **more)


def collection_exists(name: str) -> bool:
    from retrieval.models import Collection

    return Collection.objects.filter(name=name).exists()


@pytest.fixture
def people(database: None) -> People:
    """Two tenants of this test's own."""
    mark = uuid4().hex[:12]
    with scope(PLATFORM):
        acme = Tenant.objects.create(slug=f"acme-{mark}", name="Acme")
        globex = Tenant.objects.create(slug=f"globex-{mark}", name="Globex")
    with scope(acme.id):
        legal = Department.objects.create(slug="legal", name="Legal").id
        sales = Department.objects.create(slug="sales", name="Sales").id

    def person(name: str, tenant: UUID, departments: tuple[UUID, ...] | None, clearance: int) -> Scope:
        actor = {"type": "user", "id": str(uuid4()), "name": name}
        return Scope(tenant=tenant, user=UUID(actor["id"]), departments=departments, clearance=clearance, actor=actor)

    return People(
        acme=acme.id,
        globex=globex.id,
        legal=legal,
        sales=sales,
        admin=person("Ada", acme.id, None, 3),
        alice=person("Alice", acme.id, (legal,), 1),
        bob=person("Bob", acme.id, (sales,), 1),
        charlie=person("Charlie", globex.id, None, 3),
    )
