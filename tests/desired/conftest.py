"""A file in YAML, what applying it does, and a house that it makes."""

from __future__ import annotations

from secrets import token_hex
from textwrap import dedent, indent
from typing import Any

import pytest

from audit.models import Event
from config.desired.applying import Outcome, apply
from config.desired.reading import parse
from tenants.isolation import PLATFORM, scope
from tenants.services import tenant_of
from tests.saml_provider import make_certificate


def applied(text: str, **options: Any) -> Outcome:
    """What applying a file's text does. Raises Refused."""
    return apply(parse(dedent(text).encode(), "house.yaml"), **options)


def lines(outcome: Outcome) -> str:
    return "\n".join(line for part in outcome.parts for line in part.lines())


def told(outcome: Outcome) -> str:
    """What is wrong, as the command says it."""
    return "\n".join(problem.text("house.yaml") for problem in outcome.problems)


def events(*slugs: str) -> int:
    """How many events the trails of some tenants and of the platform hold."""
    found = 0
    for tenant in [PLATFORM, *filter(None, map(tenant_of, slugs))]:
        with scope(tenant):
            found += Event.objects.count()
    return found


@pytest.fixture
def slug(database: None) -> str:
    """A tenant's that is not there yet."""
    return f"acme-{token_hex(4)}"


@pytest.fixture
def names(monkeypatch: pytest.MonkeyPatch) -> str:
    """What is behind a name's first word, so that no two tests share the platform's objects; secrets are at hand."""
    monkeypatch.setenv("HOUSE_KEY", "sk-house-of-cards")
    monkeypatch.setenv("HOOK_SECRET", "whsec-long-enough-to-sign")
    return token_hex(3)


HOUSE = """
platform:
  providers:
    - {{name: vendor-{n}, kind: openai_compatible, base_url: "http://127.0.0.1:9/v1", region: eu, tenants: [{slug}],
       api_key: "${{ENV:HOUSE_KEY}}"}}
  deployments:
    - {{name: big-{n}, provider: vendor-{n}, upstream_model: big, capabilities: [chat, tools], timeout_s: 30}}
  models:
    - {{name: big-{n}, deployments: [big-{n}]}}
  prices:
    - {{deployment: big-{n}, kind: input, per_million: 0.15}}
    - {{deployment: big-{n}, kind: output, per_million: "0.6", valid_from: 2026-01-01}}
tenants:
  - slug: {slug}
    name: Acme Instruments
    rpm: 600
    departments:
      - {{slug: legal, name: Legal}}
      - {{slug: sales, name: Sales}}
    memberships:
      - {{user: Ann-{n}@acme.example, name: Ann Archer, role: admin, departments: [legal], clearance: restricted}}
    identity_providers:
      - name: corporate
        issuer: https://8.8.8.8/{n}
        audience: customhouse
        department_claim: groups
        departments: {{Legal team: legal}}
        department: sales
      - name: directory
        protocol: saml
        issuer: https://idp.example/{n}
        audience: https://customhouse.example/{n}
        sso_url: https://idp.example/sso
        certificates: |
          @certificate@
        sign_in: true
    providers:
      - {{name: own, kind: extractive, self_hosted: true, region: self}}
    deployments:
      - {{name: quotes, provider: own, upstream_model: local-extractive, capabilities: [chat]}}
    models:
      - name: default
        strategy: weighted
        deployments:
          - {{deployment: quotes, weight: 3}}
          - {{deployment: platform/big-{n}}}
    prices:
      - {{deployment: quotes, kind: input, per_million: "0"}}
    policies:
      - name: careful
        rules:
          pii: {{default: {{action: placeholder}}, PERSON: {{action: mask, threshold: 0.5}}}}
      - name: legal-only
        applies_to: {{scope: department, target: legal}}
        rules: {{residency: [NO, self]}}
    budgets:
      - {{scope: tenant, period: month, limit: 1000, warn_at: [0.5, 0.8]}}
      - {{scope: department, target: legal, period: day, limit: "12.50"}}
      - {{scope: model, target: big-{n}, period: total, limit: "3"}}
    collections:
      - {{name: handbook, department: legal, classification: internal, chunking: {{words: 120}}}}
    webhooks:
      - {{url: "https://8.8.8.8/hook", events: ["policy.*", budget.warn], secret: {{env: HOOK_SECRET}}}}
""".replace("@certificate@", indent(make_certificate()[1], " " * 10).strip())
