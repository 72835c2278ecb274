"""What is exported and applied elsewhere is the same; applied to where it came from it changes nothing."""

from __future__ import annotations

from io import StringIO
from secrets import token_hex
from typing import Any

import pytest
import yaml
from django.core.management import CommandError, call_command
from hypothesis import HealthCheck, Phase, given, settings
from hypothesis import strategies as st

from billing.models import Budget
from config.desired.applying import apply
from config.desired.exporting import export, written
from config.desired.kinds import Kind
from config.desired.reading import parse
from config.desired.sections import KINDS
from policies.models import Policy
from tenants.isolation import PLATFORM, scope
from tenants.models import Department, Tenant
from tenants.services import make_key, tenant_of
from tests.desired.conftest import HOUSE, applied, events, lines, told


def parsed(text: str) -> dict[str, Any]:
    return parse(text.encode(), "export.yaml").data


def test_what_was_exported_changes_nothing_where_it_came_from(slug, names):
    applied(HOUSE.format(slug=slug, n=names))
    before = events(slug)
    outcome = apply(parse(export(slug).encode(), "export.yaml"), prune=True)
    assert (told(outcome), outcome.changes, events(slug)) == ("", False, before)
    outcome = apply(parse(export("platform").encode(), "export.yaml"))
    assert (told(outcome), outcome.changes, events(slug)) == ("", False, before)


def test_an_export_makes_the_same_elsewhere(slug, names, monkeypatch):
    own = HOUSE.replace("          - {{deployment: platform/big-{n}}}\n", "").replace(
        "target: big-{n}", "target: default"
    )
    applied(own.format(slug=slug, n=names))
    text, other = export(slug), f"b-{slug}"
    for line in text.splitlines():
        if line.startswith("#   "):
            monkeypatch.setenv(line[4:], "whsec-long-enough-to-sign")
    moved = text.replace(f"slug: {slug}", f"slug: {other}")
    for host in ("8.8.8.8", "customhouse.example"):  # of an issuer and an audience there is one tenant
        moved = moved.replace(f"{host}/{names}", f"{host}/{names}/other")
    assert told(apply(parse(moved.encode(), "export.yaml"))) == ""
    again = export(other).replace(other, slug).replace(f"{names}/other", names)
    assert parsed(again.replace(other.upper().replace("-", "_"), slug.upper().replace("-", "_"))) == parsed(text)


def test_an_export_names_secrets_and_tells_none(slug, names):
    applied(HOUSE.format(slug=slug, n=names))
    text = export("platform") + export(slug)
    assert "sk-house-of-cards" not in text
    assert "whsec" not in text
    assert f"api_key: {{env: VENDOR_{names.upper()}_API_KEY}}" in text
    assert f"#   VENDOR_{names.upper()}_API_KEY" in text


def test_what_belongs_to_one_installation_is_left_out(slug):
    applied(f"tenants: [{{slug: {slug}, name: Acme, departments: [{{slug: legal, name: Legal}}]}}]")
    with scope(tenant_of(slug)):
        key, _ = make_key(name="app", department=Department.objects.get())
        Budget.objects.create(scope="key", target=key.pk, period="day", limit=1)
        Policy.objects.create(name="old", scope="tenant", rules={}, state="archived")
    assert parsed(export(slug)) == {
        "tenants": [{"slug": slug, "name": "Acme", "departments": [{"slug": "legal", "name": "Legal"}]}]
    }


def test_equal_budgets_are_told_apart_by_their_order(slug):
    budget = "{scope: tenant, period: day, limit: %s}"
    text = f"tenants: [{{slug: {slug}, name: Acme, budgets: [{budget % 1}, {budget % 2}]}}]"
    assert lines(applied(text)).count("+ budget") == 2
    assert not applied(text).changes
    assert [one["limit"] for one in parsed(export(slug))["tenants"][0]["budgets"]] == ["1.00", "2.00"]


def test_names_of_the_platform_are_told_from_ones_own(slug, names):
    applied(HOUSE.format(slug=slug, n=names))
    route = f"deployments: [big-{names}, platform/big-{names}]"
    text = f"""
    tenants:
      - slug: {slug}
        deployments: [{{name: big-{names}, provider: own, upstream_model: x}}]
        models: [{{name: both, {route}}}]
    """
    assert told(applied(text)) == ""
    assert not applied(text).changes
    with scope(tenant_of(slug)):
        places = [route.deployment.tenant_id for route in _model("both").routes.order_by("id")]
    assert places == [tenant_of(slug), PLATFORM]
    assert not apply(parse(export(slug).encode(), "export.yaml")).changes


def _model(name: str) -> Any:
    from gateway.models import Model

    return Model.objects.get(name=name)


def test_the_command_writes_a_file_or_the_terminal(slug, tmp_path):
    applied(f"tenants: [{{slug: {slug}, name: Acme}}]")
    out = StringIO()
    call_command("export", tenant=slug, stdout=out)
    call_command("export", str(tmp_path / "house.yaml"), tenant=slug)
    assert (tmp_path / "house.yaml").read_text() == out.getvalue()
    with pytest.raises(CommandError, match="There is no tenant 'nobody'"):
        call_command("export", tenant="nobody")


@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind.section)
def test_what_an_export_leaves_out_is_what_the_database_gives(kind: type[Kind]):
    """A default that changes must change here as well, or an export would mean something else."""
    model = getattr(kind.view, "queryset", None)
    defaults = {} if model is None else {f.name: f.get_default() for f in model.model._meta.fields if f.has_default()}
    for name, value in kind.usual.items():
        if name in defaults and name not in ("clearance", "classification", "departments"):
            assert defaults[name] == value, name


WORDS = st.text("abcé: #'\"{}[]-?!&*|>%@,0189~yesnotrue", min_size=1, max_size=12).map(str.strip).filter(bool)
RULES = st.fixed_dictionaries(
    {"logging": st.sampled_from(["none", "metadata"])},
    optional={
        "residency": st.lists(st.sampled_from(["NO", "DE", "self"]), max_size=2, unique=True),
        "models": st.fixed_dictionaries({"deny": st.lists(WORDS, max_size=2)}),
        "pii": st.fixed_dictionaries(
            {"PERSON": st.sampled_from(["allow", "mask", {"action": "block", "threshold": 0.5}])}
        ),
    },
)


@st.composite
def houses(draw: Any) -> dict[str, Any]:
    """A tenant whose objects refer to each other at random."""
    slugs = draw(st.lists(st.from_regex(r"[a-z][a-z0-9-]{0,6}", fullmatch=True), min_size=1, max_size=3, unique=True))
    deployments = draw(st.lists(WORDS, min_size=1, max_size=3, unique=True))
    routes = [
        {"deployment": name, "weight": draw(st.integers(0, 9)), "priority": draw(st.integers(0, 3))}
        for name in deployments
    ]
    limit = st.decimals(0, 10**6, places=4).map(str)
    return {
        "departments": [{"slug": slug, "name": draw(WORDS)} for slug in slugs],
        "providers": [{"name": "own", "kind": "extractive", "region": draw(st.sampled_from(["", "NO", "eu"]))}],
        "deployments": [
            {"name": name, "provider": "own", "upstream_model": draw(WORDS), "timeout_s": draw(st.integers(1, 3600))}
            for name in deployments
        ],
        "models": [
            {"name": draw(WORDS), "strategy": draw(st.sampled_from(["priority", "weighted"])), "deployments": routes}
        ],
        "policies": [
            {"name": f"p-{slug}", "applies_to": {"scope": "department", "target": slug}, "rules": draw(RULES)}
            for slug in slugs
        ],
        "budgets": [{"scope": "department", "target": slugs[0], "period": "day", "limit": draw(limit)}],
        "collections": [{"name": draw(WORDS), "department": draw(st.sampled_from([None, *slugs]))}],
    }


@given(houses())
@settings(
    max_examples=8, deadline=None, phases=[Phase.generate], suppress_health_check=[HealthCheck.function_scoped_fixture]
)
def test_any_house_survives_the_way_out_and_in(database, house):
    first, second = (f"t-{token_hex(4)}" for _ in range(2))
    outcome = apply(parse(written({"tenants": [{"slug": first, "name": "T", **house}]}).encode(), "a.yaml"))
    assert told(outcome) == ""
    text = export(first)
    assert not apply(parse(text.encode(), "b.yaml"), prune=True).changes
    assert told(apply(parse(text.replace(first, second).encode(), "c.yaml"))) == ""
    assert export(second).replace(second, first) == text
    assert yaml.safe_load(text)["tenants"][0]["departments"] == parsed(text)["tenants"][0]["departments"]
    with scope(PLATFORM):
        assert Tenant.objects.filter(slug__in=(first, second)).count() == 2
