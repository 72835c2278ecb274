"""A file is brought about whole or not at all; a second time it changes nothing."""

from __future__ import annotations

import json
import re
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from io import StringIO
from pathlib import Path

import pytest
from django.conf import settings
from django.core.management import CommandError, call_command
from django.db import connections, transaction
from django.utils import timezone

from audit.models import Event
from billing.models import Budget, BudgetWindow, Price
from config.desired.errors import Refused
from gateway.credentials import open_credential
from gateway.models import Deployment, Model, Provider
from policies.models import Policy
from retrieval.models import Collection, Document
from retrieval.services import Upload, ingest_now
from tenants.isolation import PLATFORM, scope
from tenants.models import ApiKey, Department, IdentityProvider, Membership, Tenant, Webhook
from tenants.services import caller_of_key, make_key, tenant_of
from tenants.webhooks import open_secret
from tests.desired.conftest import HOUSE, applied, events, lines, told


def house(slug: str, names: str) -> str:
    return HOUSE.format(slug=slug, n=names)


def small(slug: str, rest: str = "") -> str:
    """A tenant with some sections; `rest` is one line each, as they stand under the tenant."""
    body = "".join(f"\n    {line}" for line in rest.strip().splitlines())
    return f"tenants:\n  - slug: {slug}\n    name: Acme{body}\n"


def test_a_file_makes_all_that_it_says(slug, names):
    outcome = applied(house(slug, names))
    assert told(outcome) == ""
    with scope(PLATFORM):
        tenant = Tenant.objects.get(slug=slug)
        vendor = Provider.objects.get(name=f"vendor-{names}")
        assert vendor.shared_with == [tenant.pk]
        assert open_credential(vendor.credential, PLATFORM, vendor.pk) == "sk-house-of-cards"
    assert (tenant.name, tenant.rpm) == ("Acme Instruments", 600)
    with scope(tenant.pk):
        assert {one.slug for one in Department.objects.all()} == {"legal", "sales"}
        ann = Membership.objects.get(user__email=f"ann-{names}@acme.example")
        assert (ann.role, ann.clearance, ann.user.name) == ("admin", 3, "Ann Archer")
        assert IdentityProvider.objects.get(protocol="oidc").departments[0][0] == "Legal team"
        routes = Model.objects.get(name="default").routes.all()
        assert {(route.deployment.name, route.weight) for route in routes} == {("quotes", 3), (f"big-{names}", 1)}
        active = Policy.objects.filter(state="active", tenant_id=tenant.pk)
        assert {(one.name, one.version, one.scope) for one in active} == {
            ("careful", 1, "tenant"),
            ("legal-only", 1, "department"),
        }
        assert active.get(name="legal-only").rules == {"residency": ["NO", "self"]}  # Norway is no boolean
        assert {(one.scope, one.limit) for one in Budget.objects.all()} == {
            ("tenant", Decimal(1000)),
            ("department", Decimal("12.5")),
            ("model", Decimal(3)),
        }
        assert Collection.objects.get().chunking == {"words": 120, "overlap": 40, "whole": 300}
        assert open_secret(Webhook.objects.get()) == "whsec-long-enough-to-sign"


def test_a_second_time_nothing_is_written(slug, names):
    applied(house(slug, names))
    before = events(slug)
    for options in ({}, {"only": slug, "prune": True}):
        outcome = applied(house(slug, names), **options)
        assert (told(outcome), outcome.changes) == ("", False)
    assert events(slug) == before


def test_two_at_once_do_the_work_once(slug, names):
    def apply_alone(_):
        try:
            return applied(house(slug, names))
        finally:
            connections.close_all()

    with ThreadPoolExecutor(2) as both:
        outcomes = list(both.map(apply_alone, range(2)))
    assert [told(outcome) for outcome in outcomes] == ["", ""]
    assert sorted(outcome.changes for outcome in outcomes) == [False, True]


def test_a_dry_run_says_everything_and_writes_nothing(slug, names):
    before = events()
    outcome = applied(house(slug, names), dry_run=True)
    said = lines(outcome)
    assert f"+ provider vendor-{names}" in said
    assert "+ policy legal-only@1 (put in force)" in said
    assert "api_key: (secret)" in said
    assert (tenant_of(slug), events()) == (None, before)


def test_the_difference_shows_each_field_before_and_after(slug, names):
    applied(house(slug, names))
    changed = house(slug, names).replace("timeout_s: 30", "timeout_s: 45").replace("threshold: 0.5", "threshold: 0.4")
    said = lines(applied(changed.replace("weight: 3", "weight: 5"), dry_run=True))
    assert f"~ deployment big-{names}\n      timeout_s: 30.0 → 45.0" in said
    assert "~ policy careful@2 (put in force)\n      rules.pii.PERSON.threshold: 0.5 → 0.4" in said
    assert '"weight": 3' in said
    assert '"weight": 5' in said
    assert said.count("~") == 3


def test_the_trail_names_the_file_and_its_digest(slug):
    applied(small(slug, "departments: [{slug: legal, name: Legal}]"))
    with scope(tenant_of(slug)):
        event = Event.objects.get(action="department.create")
    assert (event.actor_type, event.actor_id) == ("system", "apply")
    assert event.reason.startswith("house.yaml sha256:")
    assert len(event.reason.partition("sha256:")[2]) == 64


def test_rules_that_differ_are_a_new_version_in_force(slug):
    policy = "policies: [{name: careful, rules: {logging: LOGGING}}]"
    for mode in ("none", "metadata"):
        applied(small(slug, policy.replace("LOGGING", mode)))
    with scope(tenant_of(slug)):
        own = Policy.objects.filter(name="careful").order_by("version")
        assert [(one.version, one.state) for one in own] == [(1, "archived"), (2, "active")]


def test_with_four_eyes_a_policy_stays_a_draft_and_that_is_said(slug):
    text = small(slug, "four_eyes: true\npolicies: [{name: careful, rules: {logging: none}}]")
    assert "careful@1 stays a draft: the tenant asks for four eyes" in lines(applied(text))
    again = applied(text)
    assert not again.changes
    assert "stays a draft" in lines(again)
    with scope(tenant_of(slug)):
        assert [one.state for one in Policy.objects.filter(name="careful")] == ["draft"]


def test_one_place_has_one_policy_in_force(slug):
    two = "policies:\n  - {name: one, rules: {logging: none}}\n  - {name: two, rules: {logging: metadata}}"
    assert "tenants[0].policies[0] is in force for the same scope" in told(applied(small(slug, two)))
    applied(small(slug, "policies: [{name: one, rules: {logging: none}}]"))
    said = lines(applied(small(slug, "policies: [{name: two, rules: {logging: metadata}}]")))
    assert "- policy one@1 (archived: two@1 takes its place)" in said


def test_a_budget_that_is_raised_keeps_what_was_spent(slug):
    budget = "budgets: [{scope: tenant, period: month, limit: LIMIT}]"
    applied(small(slug, budget.replace("LIMIT", "10")))
    with scope(tenant_of(slug)):
        row = Budget.objects.get()
        BudgetWindow.objects.create(budget=row, starts_at=timezone.now(), limit=row.limit, spent=Decimal("7.25"))
    assert 'limit: "10.00" → "20.00"' in lines(applied(small(slug, budget.replace("LIMIT", "20"))))
    with scope(tenant_of(slug)):
        assert Budget.objects.get().pk == row.pk
        assert BudgetWindow.objects.get().spent == Decimal("7.25")


def test_prices_are_added_and_never_changed(slug):
    start = (
        "providers: [{name: own, kind: extractive}]\n"
        "deployments: [{name: d, provider: own, upstream_model: local-extractive}]\n"
    )
    applied(small(slug, start + "prices: [{deployment: d, kind: input, per_million: 1, valid_from: 2026-01-01}]"))
    now = small(slug, "prices: [{deployment: d, kind: input, per_million: 2}]")
    assert 'per_million: "1.00" → "2.00"' in lines(applied(now))
    assert not applied(now).changes
    tenant = tenant_of(slug)
    with scope(tenant):
        own = Price.objects.filter(tenant_id=tenant).order_by("valid_from")
        assert [one.per_million for one in own] == [Decimal(1), Decimal(2)]
    other = "prices: [{deployment: d, kind: input, per_million: 3, valid_from: 2026-01-01}]"
    assert "prices[0].per_million: It is 1.00 from then on, and no price changes" in told(applied(small(slug, other)))


# -- secrets ----------------------------------------------------------------------------------------------------------


def provider(slug: str, key: str) -> str:
    return small(slug, f"providers: [{{name: own, kind: litellm, vendor: anthropic, api_key: {key}}}]")


def sealed(slug: str) -> tuple[bytes, str]:
    with scope(tenant_of(slug)):
        row = Provider.objects.get(name="own")
        return bytes(row.credential), open_credential(row.credential, row.tenant_id, row.pk)


def test_a_secret_is_sealed_again_only_when_it_changed(slug, monkeypatch, tmp_path):
    monkeypatch.setenv("VENDOR_KEY", "first-secret")
    applied(provider(slug, "'${ENV:VENDOR_KEY}'"))
    before = sealed(slug)
    assert before[1] == "first-secret"
    assert not applied(provider(slug, "{env: VENDOR_KEY}")).changes
    assert sealed(slug) == before
    (tmp_path / "key").write_text("second-secret\n")
    outcome = applied(provider(slug, f"{{file: {tmp_path / 'key'}}}"))
    assert "api_key: (secret) → (secret)" in lines(outcome)
    assert sealed(slug)[1] == "second-secret"
    assert "second-secret" not in lines(outcome)
    with scope(tenant_of(slug)):
        assert "-secret" not in json.dumps(list(Event.objects.values_list("detail", flat=True)))
        event = Event.objects.get(action="provider.update")
        assert (event.detail["replaced"], event.actor_id) == (["credential"], "apply")


def test_a_secret_does_not_stand_in_the_file(slug):
    problem = told(applied(provider(slug, "sk-in-the-clear")))
    assert "house.yaml:4: tenants[0].providers[0].api_key: A secret does not stand in the file" in problem
    assert "sk-in-the-clear" not in problem
    assert "A secret does not stand" in told(applied(provider(slug, "{fields: {aws_secret_access_key: abc}}")))


def test_a_secret_that_is_not_at_hand_is_missing_for_what_is_new_and_stays_for_what_is_there(slug, monkeypatch):
    assert "The environment has no VENDOR_KEY." in told(applied(provider(slug, "{env: VENDOR_KEY}")))
    monkeypatch.setenv("VENDOR_KEY", "first-secret")
    applied(provider(slug, "{env: VENDOR_KEY}"))
    monkeypatch.delenv("VENDOR_KEY")
    outcome = applied(provider(slug, "{env: VENDOR_KEY}"))
    assert not outcome.changes
    assert "What is sealed stays." in lines(outcome)


def test_a_credential_of_several_fields_is_an_object(slug, monkeypatch):
    monkeypatch.setenv("AWS_ID", "AKIA")
    applied(provider(slug, "{fields: {aws_access_key_id: {env: AWS_ID}, aws_region_name: eu-west-1}}"))
    assert json.loads(sealed(slug)[1]) == {"aws_access_key_id": "AKIA", "aws_region_name": "eu-west-1"}


# -- what is wrong ----------------------------------------------------------------------------------------------------


def test_errors_tell_line_and_place(slug):
    text = small(slug, "departments:\n  - {slug: legal, name: Legal}\n  - slug: sales\n    nmae: Sales")
    with pytest.raises(Refused) as refused:
        applied(text)
    problem = refused.value.problems[0]
    assert problem.text("house.yaml") == (
        "house.yaml:7: tenants[0].departments[1].nmae: This key is unknown; did you mean name?"
    )


@pytest.mark.parametrize(
    ("text", "problem"),
    [
        ("- a", "It must say `platform:` or `tenants:`."),
        ("tenants: {}", "tenants: It must be a list."),
        ("tenants: [{name: Acme}]", "tenants[0]: It has no slug."),
        ("tenants: [{slug: platform}]", "The platform's part stands under `platform:`."),
        ("tenants: [{slug: a}, {slug: a}]", "tenants[1]: This tenant stands here twice."),
        ("platform:\n  providers:", "house.yaml:2: platform.providers: It must be a list; [] is an empty one."),
        ("platform:\n  models: [gpt]", "house.yaml:2: platform.models[0]: It must be an object."),
        ("platform: {}\nplatform: {}", "house.yaml:2: platform: This key stands here twice."),
        ("platform: &a\n  models: [*a]", "It holds itself, or far too much."),
        ("platform: {", "house.yaml:1: This is no YAML"),
        ("platform: !!python/object:os.system {}", "platform: The tag tag:yaml.org,2002:python/object:os.system means"),
        ("\0", "This is no YAML"),
    ],
)
def test_what_makes_no_sense_is_refused(text, problem):
    with pytest.raises(Refused) as refused:
        applied(text)
    assert problem in "\n".join(one.text("house.yaml") for one in refused.value.problems)


@pytest.mark.parametrize(
    ("rest", "problem"),
    [
        ("models: [{name: m, deployments: [nowhere]}]", "models[0].deployments: There is no deployment 'nowhere'."),
        ("models: [{name: m, deployments: []}]", "models[0].deployments: A model needs at least one deployment."),
        (
            "budgets: [{scope: department, target: x, period: day, limit: 1}]",
            "budgets[0].target: There is no department",
        ),
        ("budgets: [{scope: tenant, period: day, limit: much}]", "budgets[0].limit: A valid number is required."),
        ("budgets: [{scope: tenant, limit: 1}]", "budgets[0]: It has no period."),
        ("policies: [{name: p, rules: {pii: {PERSON: {action: hide}}}}]", "policies[0].rules: "),
        ("policies: [{name: p, rules: {}, applies_to: {scop: tenant}}]", "policies[0].applies_to.scop: This field is"),
        (
            "providers: [{name: p, kind: openai_compatible}]",
            "providers[0].base_url: An OpenAI-compatible provider needs",
        ),
        (
            "providers: [{name: p, kind: openai_compatible, base_url: 'http://127.0.0.1/v1'}]",
            "house.yaml:4: tenants[0].providers[0].base_url: The host 127.0.0.1 is on a private",
        ),
        (
            "departments: [{slug: a, name: A}, {slug: a, name: B}]",
            "departments[1]: It stands at tenants[0].departments[0]",
        ),
        ("webhooks: [{url: 'https://8.8.8.8', events: ['*']}]", "webhooks[0]: A new webhook needs a secret"),
        ("memberships: [{user: a@b.example}]", "memberships[0]: A new membership needs a role."),
        ("memberships: [{user: a, role: owner}]", "memberships[0].user: Enter a valid email address."),
    ],
)
def test_what_the_api_refuses_a_file_is_refused_as_well(slug, rest, problem):
    outcome = applied(small(slug, rest))
    assert problem in told(outcome)
    assert tenant_of(slug) is None


def test_all_that_is_wrong_in_a_section_is_told_at_once(slug):
    said = told(applied(small(slug, "budgets: [{scope: tenant, period: day, limit: x}, {scope: all, period: day}]")))
    assert "budgets[0].limit" in said
    assert "budgets[1].scope" in said


def test_a_tenant_is_whole_or_as_it_was_and_holds_up_no_other(slug):
    bad = small(slug, "departments: [{slug: legal, name: Legal}]\nbudgets: [{scope: tenant, period: day, limit: x}]")
    other = f"{slug}-too"
    outcome = applied(bad + small(other, "departments: [{slug: legal, name: Legal}]").removeprefix("tenants:\n"))
    assert "budgets[0].limit" in told(outcome)
    assert [part.title for part in outcome.parts] == [f"tenant {other}"]
    assert tenant_of(slug) is None
    assert tenant_of(other) is not None


def test_where_the_platforms_part_fails_no_tenant_is_begun(slug):
    outcome = applied("platform:\n  models: [{name: m, deployments: [nowhere]}]\n" + small(slug))
    assert "platform.models[0].deployments" in told(outcome)
    assert tenant_of(slug) is None


def test_what_cannot_change_any_more_is_refused(slug):
    collection = "collections: [{name: handbook, chunking: {words: WORDS}}]"
    applied(small(slug, collection.replace("WORDS", "100")))
    assert "collections[0].chunking: It stays" in told(applied(small(slug, collection.replace("WORDS", "200"))))


# -- what goes --------------------------------------------------------------------------------------------------------


def test_nothing_goes_unless_that_is_wanted(slug, names):
    applied(house(slug, names))
    assert not applied(
        small(slug, "departments: []\npolicies: []\nbudgets: []").replace("Acme", "Acme Instruments")
    ).changes


def test_pruning_ends_what_the_files_sections_do_not_name_and_no_more(slug, names):
    applied(house(slug, names))
    tenant = tenant_of(slug)
    with scope(tenant):
        ingest_now(Upload(collection=Collection.objects.get().pk, text="The rent is due on Mondays.", title="Rent"))
    kept = small(slug, "policies: []\nbudgets: [{scope: tenant, period: month, limit: 1000}]\ncollections: []")
    outcome = applied(kept.replace("Acme", "Acme Instruments"), prune=True)
    said = lines(outcome)
    assert "- policy careful (archived)" in said
    assert "- budget of department legal by day" in said
    assert "- collection handbook (with 1 documents)" in said
    with scope(tenant):
        assert not Policy.objects.filter(state="active", tenant_id=tenant).exists()
        assert Policy.objects.filter(tenant_id=tenant).count() == 2
        assert Budget.objects.count() == 1
        assert not Document.objects.exists()
        assert Webhook.objects.count() == 1
        assert Deployment.objects.filter(tenant_id=tenant).count() == 1


def test_what_is_in_use_stays_and_that_is_said(slug):
    applied(small(slug, "departments: [{slug: legal, name: Legal}, {slug: sales, name: Sales}]"))
    tenant = tenant_of(slug)
    with scope(tenant):
        make_key(name="app", department=Department.objects.get(slug="legal"))
    outcome = applied(small(slug, "departments: []"), prune=True)
    said = lines(outcome)
    assert "- department sales" in said
    assert "! department legal stays: It is in use" in said
    assert told(outcome) == ""


def test_what_belongs_to_one_key_is_never_pruned(slug):
    applied(small(slug, "departments: [{slug: legal, name: Legal}]"))
    tenant = tenant_of(slug)
    with scope(tenant):
        key, _ = make_key(name="app", department=Department.objects.get(slug="legal"))
        Budget.objects.create(scope="key", target=key.pk, period="day", limit=1)
    assert not applied(small(slug, "budgets: []"), prune=True).changes


def test_the_platform_keeps_a_policy_and_four_eyes_guard_a_tenants(slug):
    with transaction.atomic():  # and takes it back: other tests rely on the platform's policy
        applied("platform:\n  policies: [{name: another, rules: {pii: {default: {action: placeholder}}}}]")
        outcome = applied("platform:\n  policies: []", prune=True)
        transaction.set_rollback(True)
    assert "policy another stays: Without a policy of the platform every call is refused" in lines(outcome)
    applied(small(slug, "policies: [{name: careful, rules: {logging: none}}]"))
    outcome = applied(small(slug, "four_eyes: true\npolicies: []"), prune=True)
    assert "policy careful stays: Four eyes" in lines(outcome)


# -- the guide --------------------------------------------------------------------------------------------------------


def test_the_guides_example_is_applied_as_it_stands(database, monkeypatch):
    text = re.search(r"```yaml\n(.*?)```", (settings.BASE_DIR / "docs/howto/config-as-code.md").read_text(), re.DOTALL)[
        1
    ]
    monkeypatch.setattr(settings, "PRIVATE_HOSTS_ALLOWED", ["login.acme.example", "hooks.acme.example"])
    for name in ("OPENAI_API_KEY", "ACME_HOOK_SECRET"):
        monkeypatch.setenv(name, "a-secret-of-the-guide")
    with transaction.atomic():
        first = applied(text)
        assert (told(first), first.changes) == ("", True)
        assert not applied(text).changes
        with scope(tenant_of("acme")):
            assert Policy.objects.get(name="legal").state == "draft"
            assert Model.objects.get(name="default").routes.count() == 2
        transaction.set_rollback(True)


# -- the command ------------------------------------------------------------------------------------------------------


def run(file: Path, **options: object) -> str:
    out = StringIO()
    call_command("apply", str(file), stdout=out, **options)
    return out.getvalue()


def test_the_command_ends_with_2_for_pending_changes_and_1_for_errors(slug, tmp_path):
    file = tmp_path / "house.yaml"
    file.write_text(small(slug, "departments: [{slug: legal, name: Legal}]"))
    with pytest.raises(SystemExit) as ended:
        run(file, dry_run=True)
    assert ended.value.code == 2
    assert "2 made, 0 changed, 0 removed." in run(file)
    assert "0 made, 0 changed, 0 removed; nothing was written (dry run)." in run(file, dry_run=True)
    file.write_text(small(slug, "departments: [{slug: legal}, {slug: 'no slug', name: X}]"))
    with pytest.raises(CommandError, match=r"house.yaml:4: tenants\[0\].departments\[1\].slug: Enter a valid") as error:
        run(file)
    assert error.value.returncode == 1
    with pytest.raises(CommandError, match="It cannot be read"):
        run(tmp_path / "nowhere.yaml")


def test_one_tenants_part_alone(slug, tmp_path):
    file = tmp_path / "house.yaml"
    file.write_text(small(slug) + small(f"{slug}-too").removeprefix("tenants:\n"))
    run(file, tenant=f"{slug}-too")
    assert (tenant_of(slug), tenant_of(f"{slug}-too") is None) == (None, False)
    with pytest.raises(CommandError, match="It says nothing of 'nobody'"):
        run(file, tenant="nobody")


def test_an_owner_key_is_kept_where_that_is_wanted_and_else_revoked(slug, tmp_path):
    file, kept = tmp_path / "house.yaml", tmp_path / "owners.json"
    file.write_text(small(slug))
    assert "Its owner key is revoked" in run(file)
    with scope(tenant_of(slug)):
        assert ApiKey.objects.get().revoked_at is not None
    file.write_text(small(f"{slug}-too"))
    run(file, owner_keys=kept)
    assert kept.stat().st_mode & 0o777 == 0o600
    caller = caller_of_key(json.loads(kept.read_text())[f"{slug}-too"])
    assert caller is not None
    assert caller.role == "owner"
