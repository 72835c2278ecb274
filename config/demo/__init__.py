"""What `make up` shows: a platform, two tenants that know nothing of each other, and their documents.

Everything is found again by its name, so setting up twice changes nothing; keys and the password are derived from the
installation's secret, so that they can be told again without being stored.
"""

from __future__ import annotations

import hashlib
import hmac
from dataclasses import dataclass
from decimal import Decimal
from pathlib import Path
from typing import Any
from uuid import UUID

from django.conf import settings

from billing.models import Budget
from billing.services import import_prices
from config.vendors import VENDORS, Vendor
from gateway.credentials import seal_credential
from gateway.models import Deployment, Model, Provider, Route
from gateway.providers.facts import model_facts, model_prices
from policies.models import Policy
from retrieval.models import Collection, Document
from retrieval.services import Upload, create_collection, ingest_now
from tenants import keys
from tenants.ids import uuid7
from tenants.isolation import PLATFORM, scope
from tenants.models import ApiKey, Department, Membership, Tenant
from tenants.services import add_person, make_department, make_key, make_tenant

FOLDER = Path(__file__).parent
EMAIL = "admin@customhouse.example"


@dataclass(frozen=True, slots=True)
class Demo:
    """One demo tenant: departments, people, documents (file, title, department) and a question that they answer."""

    slug: str
    name: str
    departments: tuple[tuple[str, str], ...]
    people: tuple[tuple[str, str, str, str], ...]
    documents: tuple[tuple[str, str, str], ...]
    question: str


TENANTS = (
    Demo(
        "acme",
        "Acme Instruments",
        (("legal", "Legal"), ("sales", "Sales")),
        (("alice", "Alice Archer", "admin", "legal"), ("bob", "Bob Brandt", "member", "sales")),
        (
            # Lists show the newest first: what the first application may read comes last here.
            ("sales-playbook.txt", "Sales playbook for laboratory scales", "sales"),
            ("travel-policy.md", "Travel and expenses policy", ""),
            ("supplier-agreement.md", "Supplier agreement with Brightwater Packaging", ""),
        ),
        "What is the notice period of the supplier agreement with Brightwater Packaging?",
    ),
    Demo(
        "globex",
        "Globex Research",
        (("research", "Research"),),
        (("charlie", "Charlie Chen", "admin", "research"),),
        (("field-study.md", "Field study on tidal turbines", ""),),
        "How much energy did the tidal turbines produce in eight months?",
    ),
)


def seed() -> dict[str, Any]:
    """Makes what is missing; returns what `demo.json` says, without the address."""
    platform_key = _platform()
    return {
        "console": {"email": EMAIL, "password": _password()},
        "platform_key": platform_key,
        "tenants": [_tenant(demo) for demo in TENANTS],
    }


# -- the platform -----------------------------------------------------------------------------------------------------


def _platform() -> str:
    with scope(PLATFORM):
        Tenant.objects.get_or_create(pk=PLATFORM, defaults={"slug": "platform", "name": "Platform"})
        _baseline()
        _offline_models()
        for vendor in VENDORS:
            if vendor.variable in settings.VENDOR_KEYS:
                _vendor(vendor, settings.VENDOR_KEYS[vendor.variable])
        if not Membership.objects.exists():
            add_person(EMAIL, "Platform administrator", "owner", 3, [], _password())
        return _key("platform", name="Platform", department=None, role="owner", clearance=3)


def _baseline() -> None:
    """The policy that holds everywhere: placeholders for all personal data and secrets that are found."""
    if Policy.objects.filter(tenant_id=PLATFORM, scope="platform").exists():
        return
    from django.utils import timezone

    rules = {"pii": {"default": {"action": "placeholder"}}, "logging": "metadata"}
    Policy.objects.create(name="baseline", scope="platform", rules=rules, state="active", activated_at=timezone.now())


def _offline_models() -> None:
    """Models that need neither a key nor a network."""
    chat = ["chat", "json"]
    _model("local", "extractive", "local-extractive", "local-extractive", chat, self_hosted=True)
    _model("local", "extractive", "local-rerank", "local-rerank", ["rerank"], self_hosted=True)
    if settings.SCRIPTED_PROVIDER:
        _model("scripted", "scripted", "echo", "echo", [*chat, "tools"], self_hosted=True)


def _vendor(vendor: Vendor, value: str) -> None:
    base_url = vendor.base_url or (_ollama(value) if vendor.self_hosted else "")
    secret = "" if vendor.self_hosted else value
    for name in (*vendor.models, *vendor.embeddings):
        able = ["embeddings"] if name in vendor.embeddings else ["chat", "tools", "json", "vision"]
        upstream = f"{vendor.name}/{name}" if vendor.kind == "litellm" else name
        facts = model_facts(name)
        deployment = _model(
            vendor.name,
            vendor.kind,
            name,
            upstream,
            able,
            base_url=base_url,
            secret=secret,
            self_hosted=vendor.self_hosted,
            most=facts.max_output_tokens if facts else None,
            reads=facts.max_input_tokens if facts else None,
        )
        prices = model_prices(name)
        if deployment is not None and prices and not vendor.self_hosted:
            import_prices(deployment.pk, prices, source="litellm")


def _ollama(address: str) -> str:
    address = address if "//" in address else f"http://{address}"
    return address.rstrip("/") + "/v1"


def _model(
    provider: str,
    kind: str,
    name: str,
    upstream: str,
    capabilities: list[str],
    *,
    base_url: str = "",
    secret: str = "",
    self_hosted: bool = False,
    most: int | None = None,
    reads: int | None = None,
) -> Deployment | None:
    """A platform-wide provider, deployment and model of this name; None when the model is there already."""
    account = Provider.objects.filter(name=provider, tenant_id=PLATFORM).first()
    if account is None:
        account = Provider(
            id=uuid7(),
            name=provider,
            kind=kind,
            base_url=base_url,
            vendor=provider,
            self_hosted=self_hosted,
            region="self" if self_hosted else "",
        )
        account.credential = seal_credential(secret, PLATFORM, account.pk) if secret else None
        account.save(force_insert=True)
    if Model.objects.filter(name=name, tenant_id=PLATFORM).exists():
        return None
    deployment = Deployment.objects.create(
        provider=account,
        name=name,
        upstream_model=upstream,
        capabilities=capabilities,
        max_output_tokens=most,
        max_input_tokens=reads,
    )
    Route.objects.create(model=Model.objects.create(name=name), deployment=deployment)
    return deployment


# -- tenants ----------------------------------------------------------------------------------------------------------


def _tenant(demo: Demo) -> dict[str, Any]:
    with scope(PLATFORM):
        tenant = Tenant.objects.filter(slug=demo.slug).first()
        if tenant is None:
            owner = keys.derive(settings.API_KEY_PEPPER, f"{demo.slug}/owner")
            tenant, _ = make_tenant(demo.slug, demo.name, given=owner)
    with scope(tenant.pk):
        departments = {slug: _department(slug, name) for slug, name in demo.departments}
        first = departments[demo.departments[0][0]]
        for person, name, role, place in demo.people:
            if not Membership.objects.filter(user__email=f"{person}@{demo.slug}.example").exists():
                add_person(f"{person}@{demo.slug}.example", name, role, 2, [departments[place]], _password())
        if not Budget.objects.exists():
            # Ample for the tenant, so that nobody who tries how fast it is runs into it; tighter for departments.
            Budget.objects.create(scope="tenant", period="month", limit=Decimal(100_000), warn_at=[Decimal("0.8")])
            for other in list(departments.values())[1:]:
                Budget.objects.create(
                    scope="department", target=other.pk, period="month", limit=Decimal(250), warn_at=[Decimal("0.8")]
                )
        collection = Collection.objects.filter(name="handbook").first() or create_collection("handbook")
        told = {
            "slug": demo.slug,
            "owner_key": keys.derive(settings.API_KEY_PEPPER, f"{demo.slug}/owner").key,
            "admin_key": _key(f"{demo.slug}/admin", name="Admin", department=first, role="admin", clearance=3),
            "api_key": _key(f"{demo.slug}/app", name="First application", department=first, role="developer"),
            "departments": list(departments),
            "collection": collection.name,
            "question": demo.question,
        }
        missing = [row for row in demo.documents if not _answers(row[1])]
    for file, title, place in missing:
        with scope(tenant.pk):
            _document(collection, file, title, departments[place].pk if place else None)
    return told


def _answers(title: str) -> bool:
    return Document.objects.filter(title=title, state="ready").exists()


def _document(collection: Collection, file: str, title: str, department: UUID | None) -> None:
    made = ingest_now(
        Upload(
            collection=collection.pk,
            content=(FOLDER / file).read_bytes(),
            filename=file,
            external_id=file,
            title=title,
            language="en",
            departments=(department,) if department else (),
        )
    )
    if made.state != "ready":
        raise RuntimeError(f"The demo document {file} could not be read: {made.error}")


def _department(slug: str, name: str) -> Department:
    return Department.objects.filter(slug=slug).first() or make_department(slug, name)


def _key(derived: str, **fields: Any) -> str:
    """A demo key; one that was revoked stays revoked."""
    new = keys.derive(settings.API_KEY_PEPPER, derived)
    if not ApiKey.objects.filter(public_id=new.public_id).exists():
        make_key(given=new, **fields)
    return new.key


def _password() -> str:
    return hmac.new(settings.API_KEY_PEPPER, b"demo password", hashlib.sha256).hexdigest()[:20]
