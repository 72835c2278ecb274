"""Which level sets a rule, what a lock leaves of a narrower one, and where two documents differ."""

from __future__ import annotations

from uuid import uuid4

import pytest

from policies.comparison import UNSAID, differences
from policies.errors import RulesError
from policies.inheritance import chain, traced
from policies.matrix import SOURCES, Wanted, rows, written
from policies.rules import ActivePolicy, combine

LEGAL = uuid4()


def policy(scope, rules, target=None):
    return ActivePolicy(uuid4(), f"{scope}'s", 1, scope, target, rules)


def told(*policies):
    return {held.place: (held.value, held.by.scope, held.locked and held.locked.scope) for held in traced(policies)}


def test_the_narrowest_that_says_something_sets_it():
    held = told(
        policy("platform", {"pii": {"default": "placeholder"}, "logging": "metadata"}),
        policy("tenant", {"pii": {"PERSON": "mask"}}),
    )
    assert held == {
        "pii.default": ("placeholder", "platform", None),
        "logging": ("metadata", "platform", None),
        "pii.PERSON": ("mask", "tenant", None),
    }


def test_what_is_locked_says_who_locked_it_and_is_only_tightened():
    held = told(
        policy(
            "platform",
            {"pii": {"PERSON": {"action": "mask", "locked": True}}, "logging": "none", "locked": ["logging"]},
        ),
        policy("tenant", {"pii": {"PERSON": "placeholder"}, "logging": "full"}),
    )
    assert held["logging"] == ("none", "platform", "platform")
    value, _, locked = held["pii.PERSON"]
    assert (value["action"], locked) == ("mask", "platform")


def test_what_is_told_is_what_holds():
    documents = [
        {"pii": {"default": "placeholder"}, "models": {"allow": ["a", "b"]}, "locked": ["pii", "models"]},
        {"pii": {"PERSON": "allow", "URL": "block"}, "models": {"allow": ["b", "c"]}, "residency": ["eu"]},
    ]
    held = {name: value for name, (value, _, _) in told(*map(policy, ("platform", "tenant"), documents)).items()}
    rules = combine("x@1", "x", documents)
    assert set(held["models.allow"]) == rules.models_allowed == {"b"}
    assert held["pii.PERSON"]["action"] == rules.pii.rule_for("PERSON").action == "placeholder"
    assert held["pii.URL"]["action"] == "block"
    assert set(held["residency"]) == rules.residency


def test_the_chain_of_a_department_leaves_out_others_and_what_is_narrower():
    mine, other, key = (
        policy(scope, {}, target)
        for scope, target in (("department", LEGAL), ("department", uuid4()), ("key", uuid4()))
    )
    wide, tenant = policy("platform", {}), policy("tenant", {})
    assert chain([key, mine, other, tenant, wide], "department", [("department", LEGAL)]) == [wide, tenant, mine]


def test_an_action_by_name_and_one_in_an_object_do_not_differ():
    one = {"pii": {"PERSON": "mask", "URL": "allow"}, "logging": "metadata"}
    other = {"pii": {"PERSON": {"action": "mask"}, "URL": {"action": "block", "threshold": 0.7}}, "residency": ["eu"]}
    found = [(row.place, row.before, row.after) for row in differences(one, other)]
    assert found == [
        ("logging", "metadata", UNSAID),
        ("pii.URL.action", "allow", "block"),
        ("pii.URL.threshold", UNSAID, 0.7),
        ("residency", UNSAID, ["eu"]),
    ]


@pytest.mark.parametrize(
    "pii",
    [
        {},
        {"default": "mask"},
        {"default": {"action": "placeholder", "sources": ["user", "tool"], "threshold": 0.4}, "PERSON": "block"},
        {
            "PERSON": {"action": "mask", "directions": ["request"], "locked": True},
            "deny_list": ["Owl"],
            "media": ["image"],
        },
        {"URL": "allow"},
    ],
)
def test_a_matrix_that_nobody_touched_is_the_same_rules(pii):
    wanted = [Wanted(row.name, row.action, row.threshold, row.sources) for row in rows(pii)]
    assert differences({"pii": written(pii, wanted)}, {"pii": pii}) == []


def test_a_source_that_is_unticked_passes_there():
    made = written({}, [Wanted("PERSON", "mask", 0.5, frozenset(SOURCES) - {"document"})])
    rules = combine("x@1", "x", [{"pii": made}]).pii.rule_for("PERSON")
    assert "document" not in rules.sources
    assert "user" in rules.sources


def test_an_action_that_holds_nowhere_is_refused():
    with pytest.raises(RulesError, match="acted on nowhere"):
        written({}, [Wanted("PERSON", "mask", 0.5, frozenset())])
