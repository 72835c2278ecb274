"""Two tenants with their people, written and committed: Acme with one person for each role, and Globex with Charlie."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, field
from datetime import timedelta
from decimal import Decimal
from secrets import token_hex
from typing import Any
from uuid import UUID

import pytest
from django.conf import settings
from django.contrib.auth import BACKEND_SESSION_KEY, HASH_SESSION_KEY, SESSION_KEY
from django.test import Client
from django.utils import timezone

from audit.models import Event
from billing.models import Budget, Price, Usage
from gateway.models import Deployment, Model, Provider, Route
from policies.models import Policy
from tenants import keys
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tenants.models import ApiKey, Department, Invitation, Membership, MembershipDepartment, Tenant, User
from tenants.roles import Role

BACKEND = "tenants.sign_in.PasswordBackend"


@dataclass
class House:
    """One tenant of a test: its objects by name, and its people by role."""

    tenant: UUID
    name: str
    departments: dict[str, Department] = field(default_factory=dict)
    people: dict[str, User] = field(default_factory=dict)
    keys: dict[str, ApiKey] = field(default_factory=dict)
    objects: list[Any] = field(default_factory=list)

    def open(self, **more: Any) -> Any:
        return scope(self.tenant, **more)


def make_person(house: House, place: str, role: str, departments: tuple[str, ...] = (), clearance: int = 2) -> User:
    user = User(email=f"{place}-{token_hex(4)}@{house.name}.example", name=f"{place.title()} of {house.name}")
    user.set_unusable_password()
    user.save(force_insert=True)
    membership = Membership.objects.create(user=user, role=role, clearance=clearance)
    for name in departments:
        MembershipDepartment.objects.create(membership=membership, department=house.departments[name])
    house.people[place] = user
    return user


def make_key(house: House, name: str, department: str, **more: Any) -> ApiKey:
    new = keys.generate(settings.API_KEY_PEPPER)
    named = f"{name} of {house.name}"
    made = ApiKey.objects.create(
        name=named, public_id=new.public_id, digest=new.digest, department=house.departments[department], **more
    )
    house.keys[name] = made
    return made


def secret_of(house: House, role: str) -> str:
    """A fresh key of a role, for Legal: the text that an application sends."""
    new = keys.generate(settings.API_KEY_PEPPER)
    named = {"public_id": new.public_id, "digest": new.digest, "department": house.departments["legal"]}
    with house.open():
        ApiKey.objects.create(name=f"{role} {token_hex(4)}", role=role, **named)
    return new.key


def make_call(house: House, key: ApiKey, cost: str = "0.0125", entities: dict[str, int] | None = None) -> UUID:
    """Writes what the journal writes of one call; returns its request id."""
    request, now = uuid7(), timezone.now()
    common = {
        "request_id": request,
        "actor_type": "key",
        "actor_id": str(key.pk),
        "actor_name": key.name,
        "department_id": key.department_id,
        "model": f"model-{house.name}",
        "entities": entities or {},
    }
    Event.objects.create(id=uuid7(), time=now, action="call.intent", **common)
    Event.objects.create(id=uuid7(), time=now, action="call.outcome", cost=Decimal(cost), latency_ms=12, **common)
    Usage.objects.create(
        id=uuid7(),
        request_id=request,
        time=now,
        key_id=key.pk,
        department_id=key.department_id,
        model=common["model"],
        input_tokens=100,
        output_tokens=20,
        cost=Decimal(cost),
    )
    return request


def make_house(name: str) -> House:
    """A tenant with departments, keys, calls, a budget, a policy and a route of its own."""
    slug = f"{name}-{token_hex(4)}"
    with scope(PLATFORM):
        Tenant.objects.get_or_create(pk=PLATFORM, defaults={"slug": "platform", "name": "Platform"})
        tenant = Tenant.objects.create(slug=slug, name=slug.title())
    house = House(tenant.pk, slug)
    with house.open():
        for department in ("legal", "sales"):
            house.departments[department] = Department.objects.create(slug=department, name=f"{department} of {slug}")
        furnish(house)
    return house


def furnish(house: House) -> None:
    provider = Provider.objects.create(name=f"provider-{house.name}", kind="scripted")
    deployment = Deployment.objects.create(provider=provider, name=f"deployment-{house.name}", upstream_model="m")
    model = Model.objects.create(name=f"model-{house.name}")
    Route.objects.create(model=model, deployment=deployment)
    price = Price.objects.create(
        deployment_id=deployment.pk, kind="input", per_million=Decimal("1.5"), valid_from=timezone.now()
    )
    policy = Policy.objects.create(
        name=f"policy-{house.name}", scope="tenant", state="active", rules={"pii": {"default": "mask"}}
    )
    budget = Budget.objects.create(scope="tenant", period="month", limit=Decimal(50))
    house.objects = [provider, deployment, model, price, policy, budget, *house.departments.values()]


@pytest.fixture(scope="module")
def empty(database: None) -> House:
    """A tenant in which nothing has happened yet, with an owner."""
    house = House(UUID(int=0), f"empty-{token_hex(4)}")
    with scope(PLATFORM):
        house.tenant = Tenant.objects.create(slug=house.name, name=house.name.title()).pk
    with house.open():
        make_person(house, "owner", Role.OWNER, clearance=3)
    return house


@pytest.fixture
def call() -> Callable[..., UUID]:
    """Writes what the journal writes of one call: `call(house, key, cost=…, entities=…)`."""
    return make_call


@pytest.fixture(scope="module")
def acme(database: None) -> House:
    """Acme: Alice develops for legal, Bob sells; one person for each other role."""
    house = make_house("acme")
    with house.open():
        for role in (Role.OWNER, Role.ADMIN, Role.POLICY_MANAGER, Role.BILLING_MANAGER, Role.AUDITOR):
            make_person(house, role.value, role, clearance=3)
        make_person(house, "alice", Role.DEVELOPER, ("legal",))
        bob = make_person(house, "bob", Role.MEMBER, ("sales",), clearance=1)
        make_call(house, make_key(house, "assistant", "legal"), entities={"PERSON": 2})
        make_call(house, make_key(house, "copilot", "sales"), cost="0.5")
        make_call(house, make_key(house, "laptop", "sales", user=bob, role=Role.MEMBER), cost="0.25")
        invited = Invitation.objects.create(
            email=f"invited-{house.name}@new.example", expires_at=timezone.now() + timedelta(days=7)
        )
        house.objects += [
            invited,
            *house.keys.values(),
            *Membership.objects.filter(tenant=house.tenant),
            *Event.objects.all(),
        ]
    return house


@pytest.fixture(scope="module")
def globex(database: None) -> House:
    """Globex: Charlie owns it, and must see nothing of Acme."""
    house = make_house("globex")
    with house.open():
        make_person(house, "charlie", Role.OWNER, clearance=3)
        make_call(house, make_key(house, "assistant", "legal"))
    return house


@pytest.fixture(scope="module")
def operator(database: None) -> User:
    """A person of the platform."""
    platform = House(PLATFORM, "platform")
    with scope(PLATFORM):
        Tenant.objects.get_or_create(pk=PLATFORM, defaults={"slug": "platform", "name": "Platform"})
        return make_person(platform, "operator", Role.OWNER, clearance=3)


@pytest.fixture
def enter() -> Callable[[User], Client]:
    """Signs a person in and gives their browser."""

    def enter(user: User) -> Client:
        client = Client()
        session = client.session
        session[SESSION_KEY] = str(user.pk)
        session[BACKEND_SESSION_KEY] = BACKEND
        session[HASH_SESSION_KEY] = user.get_session_auth_hash()
        session.save()
        client.cookies[settings.SESSION_COOKIE_NAME] = session.session_key
        return client

    return enter


@pytest.fixture
def as_role(acme: House, enter: Callable[[User], Client]) -> Callable[[str], Client]:
    """The browser of Acme's person of a role: owner, admin, policy_manager, billing_manager, auditor, alice, bob."""
    return lambda place: enter(acme.people[place])
