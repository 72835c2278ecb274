"""Policies in the console: edited in place, compared, tried and put in force, by those who may and nobody else."""

from __future__ import annotations

import pytest
from django.urls import reverse

from audit.models import Event
from policies.matrix import SOURCES, rows
from policies.models import Policy
from tenants.isolation import PLATFORM, scope
from tenants.models import Tenant

VERBS = ("edit", "compare", "try", "activate")
CHANGERS = ("owner", "admin", "policy_manager")


def at(verb, policy):
    return reverse(f"admin:policies_policy_{verb}", args=[policy.pk])


def fields(rules, **changes):
    """What the editor sends of a document that nobody touched, and then of what somebody changed."""
    sent = {"type": [], "new_type": "", "action:": "", "other": "{}"}
    for row in rows(rules.get("pii") or {}):
        sent["type"].append(row.name)
        sent |= {f"action:{row.name}": row.action, f"threshold:{row.name}": str(row.threshold)}
        sent[f"source:{row.name}"] = sorted(row.sources) or [str(source) for source in SOURCES]
    return sent | changes


@pytest.fixture(scope="module")
def in_force(acme):
    with acme.open():
        return Policy.objects.get(name=f"policy-{acme.name}")


@pytest.fixture
def draft(acme, in_force):
    with acme.open():
        last = Policy.objects.filter(name=in_force.name).order_by("-version").first()
        made = Policy.objects.create(
            name=in_force.name,
            version=last.version + 1,
            scope="tenant",
            rules={"pii": {"default": "mask", "EMAIL_ADDRESS": "block"}, "residency": ["eu"]},
            written_by={"own": [f"user:{acme.people['policy_manager'].pk}"], "makers": []},
        )
        yield made
        Policy.objects.filter(pk=made.pk).delete()


def test_a_matrix_edited_in_place_is_saved_as_the_next_version(acme, as_role, in_force):
    client = as_role("policy_manager")
    page = client.get(at("edit", in_force)).content.decode()
    assert 'name="action:default"' in page
    sent = fields(in_force.rules, **{"action:PERSON": "hash", "source:PERSON": ["user", "tool"], "reason": "pilot"})
    assert client.post(at("edit", in_force), sent).status_code == 302
    with acme.open():
        made = Policy.objects.filter(name=in_force.name).order_by("-version").first()
        event = Event.objects.get(action="policy.create", object_id=str(made.pk))
        in_force.refresh_from_db()
        made.delete()
    assert made.version == in_force.version + 1
    assert (made.state, in_force.state) == ("draft", "active")
    assert made.rules == {"pii": {"default": "mask", "PERSON": {"action": "hash", "sources": ["user", "tool"]}}}
    assert made.written_by["own"] == [f"user:{acme.people['policy_manager'].pk}"]
    assert (event.actor_name, event.reason) == (acme.people["policy_manager"].name, "pilot")


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"other": "{"}, "not valid JSON"),
        ({"other": '{"loging": "none"}'}, "rules.loging is not a section"),
        ({"action:PERSON": "mask", "source:PERSON": []}, "acted on nowhere"),
        ({"new_type": "badge no", "action:": "mask"}, "needs a type"),
        ({"threshold:default": "2"}, "must be a number from 0 to 1"),
    ],
)
def test_what_means_nothing_is_said_and_nothing_is_saved(acme, as_role, in_force, change, said):
    page = as_role("owner").post(at("edit", in_force), fields(in_force.rules, **change))
    assert said in page.content.decode()
    with acme.open():
        assert Policy.objects.filter(name=in_force.name).count() == 1


def test_a_new_policy_is_written_for_a_department(acme, as_role):
    legal = acme.departments["legal"].pk
    sent = fields({}, name="legal rules", place=f"department:{legal}", other='{"logging": "none"}')
    assert as_role("admin").post(reverse("admin:policies_policy_add"), sent).status_code == 302
    with acme.open():
        made = Policy.objects.get(name="legal rules")
        made.delete()
    assert (made.scope, made.target, made.rules) == ("department", legal, {"logging": "none"})


def test_no_policy_is_written_for_what_is_another_tenants(acme, globex, as_role):
    foreign = globex.departments["legal"].pk
    page = as_role("owner").post(
        reverse("admin:policies_policy_add"), fields({}, name="stolen", place=f"department:{foreign}")
    )
    assert "Choose whom the policy is for" in page.content.decode()


def test_two_versions_stand_side_by_side_where_they_differ(as_role, draft, in_force):
    page = as_role("auditor").get(at("compare", draft)).content.decode()
    assert f"{in_force}, active" in page
    assert "pii.EMAIL_ADDRESS.action" in page
    assert "residency" in page
    assert "pii.default" not in page


def test_a_version_says_which_level_sets_what(acme, as_role, draft):
    with scope(PLATFORM):
        wide = Policy.objects.filter(scope="platform", state="active").first() or Policy.objects.create(
            name="base for pages", scope="platform", state="active", rules={"logging": "metadata"}
        )
    page = as_role("auditor").get(reverse("admin:policies_policy_change", args=[draft.pk]))
    held = {row["place"]: row for row in page.context_data["held"]}
    assert held["residency"]["here"]
    wide_places = [row for row in held.values() if row["by"].id == wide.pk]
    assert wide_places
    with scope(PLATFORM):
        Policy.objects.filter(name="base for pages").delete()


def test_a_draft_is_tried_on_a_text_and_on_past_calls(acme, as_role, draft, call):
    with acme.open():
        call(acme, acme.keys["assistant"], entities={"EMAIL_ADDRESS": 2})
    client = as_role("policy_manager")
    page = client.post(at("try", draft), {"text": "Call 020 7946 0018 <b>now</b>", "on_text": "1"}).content.decode()
    assert "PHONE_NUMBER, score" in page
    assert "020 7946 0018" not in page.partition('id="result"')[2]
    assert "&lt;b&gt;now" in page
    refused = client.post(at("try", draft), {"text": "write to mary@acme.example", "on_text": "1"}).content.decode()
    assert "Refused:" in refused
    past = client.post(at("try", draft), {"days": "1", "on_calls": "1"}).context_data["past"]
    assert past["changes"]["refused"] == past["calls"] >= 1  # nothing says that they stayed in the EU
    assert ("EMAIL_ADDRESS", "mask", "block") in [
        (e["type"], e["before"], e["after"]) for e in past["changes"]["entities"]
    ]


def test_a_draft_is_put_in_force_and_the_one_before_is_archived(acme, as_role, draft, in_force):
    client = as_role("admin")
    assert "is archived" in client.get(at("activate", draft)).content.decode()
    client.post(at("activate", draft), {"reason": "agreed with works council"})
    with acme.open():
        draft.refresh_from_db()
        in_force.refresh_from_db()
        states = draft.state, in_force.state
        reasons = Event.objects.filter(object_id=str(draft.pk)).values_list("reason", flat=True)
        Policy.objects.filter(pk=draft.pk).update(state="archived")
        Policy.objects.filter(pk=in_force.pk).update(state="active")
    assert states == ("active", "archived")
    assert "agreed with works council" in reasons


def test_where_four_eyes_are_asked_for_the_author_is_told_so(acme, as_role, draft):
    with acme.open():
        Tenant.objects.filter(pk=acme.tenant).update(four_eyes=True)
    try:
        author = as_role("policy_manager")
        for page in (reverse("admin:policies_policy_change", args=[draft.pk]), at("activate", draft)):
            assert "somebody else puts it in force" in author.get(page).content.decode()
        author.post(at("activate", draft), {})
        with acme.open():
            draft.refresh_from_db()
        assert draft.state == "draft"
        assert "Put in force" in as_role("owner").get(at("activate", draft)).content.decode()
    finally:
        with acme.open():
            Tenant.objects.filter(pk=acme.tenant).update(four_eyes=False)


@pytest.mark.parametrize("place", ["owner", "admin", "policy_manager", "billing_manager", "auditor", "alice", "bob"])
def test_only_those_who_write_policies_change_them(as_role, draft, place):
    client = as_role(place)
    allowed = place in CHANGERS
    for verb in ("edit", "try", "activate"):
        assert client.get(at(verb, draft)).status_code == (200 if allowed else 403), verb
        if not allowed:
            assert client.post(at(verb, draft), {}).status_code == 403, verb
    sees = allowed or place in ("auditor", "alice")
    assert client.get(at("compare", draft)).status_code == (200 if sees else 403)


@pytest.mark.parametrize("verb", VERBS)
def test_nothing_of_it_exists_for_another_tenant(globex, enter, draft, verb):
    client = enter(globex.people["charlie"])
    assert client.get(at(verb, draft)).status_code == 404
    assert client.post(at(verb, draft), {}).status_code == 404


def test_the_platforms_policy_is_read_and_not_changed(as_role):
    with scope(PLATFORM):
        wide = Policy.objects.create(name="shared for pages", scope="platform", rules={}, version=9)
    client = as_role("owner")
    shown = client.get(reverse("admin:policies_policy_change", args=[wide.pk])).status_code
    changed = [client.post(at(verb, wide), {}).status_code for verb in ("edit", "try", "activate")]
    with scope(PLATFORM):
        Policy.objects.filter(pk=wide.pk).delete()  # other files ask whether the platform has a policy
    assert shown in (200, 404)
    assert set(changed) <= {403, 404}
