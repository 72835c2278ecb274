"""What holds for a caller: the most specific policy, within what wider ones locked, and in which context."""

from __future__ import annotations

from datetime import UTC, datetime
from typing import Any
from uuid import UUID, uuid4

import pytest

from policies.conditions import Context
from policies.errors import RulesError
from policies.guardrails import Mode
from policies.pii.data import Direction
from policies.rules import ActivePolicy, Rules, resolve, validate

LEGAL, KEY = uuid4(), uuid4()


def rules(platform: Any = None, tenant: Any = None, department: Any = None, key: Any = None) -> Rules:
    places: list[tuple[str, UUID | None, Any]] = [
        ("key", KEY, key),
        ("platform", None, platform or {}),
        ("department", LEGAL, department),
        ("tenant", None, tenant),
    ]
    policies = [
        ActivePolicy(uuid4(), scope, 1, scope, target, document)
        for scope, target, document in places
        if document is not None
    ]
    return resolve(policies, LEGAL, KEY)


def pii(found: Rules, kind: str) -> tuple[str, float, bool, int]:
    rule = found.pii.rule_for(kind)
    return str(rule.action), rule.threshold, Direction.REQUEST in rule.directions, len(rule.sources)


def test_the_most_specific_policy_wins():
    found = rules({"logging": "none"}, {"logging": "redacted"}, {"logging": "full"}, {"logging": "metadata"})
    assert (found.logging, found.name) == ("metadata", "key")
    assert rules({"logging": "none"}, None, {"logging": "full"}).logging == "full"


def test_what_is_locked_only_becomes_stricter():
    wide = {"pii": {"default": "placeholder", "PERSON": {"action": "mask", "threshold": 0.4}}, "locked": ["pii"]}
    looser = {"pii": {"default": "allow", "PERSON": "allow", "EMAIL_ADDRESS": "allow"}}
    assert [pii(rules(wide, looser), kind)[0] for kind in ("PERSON", "EMAIL_ADDRESS", "URL")] == [
        "mask",
        "placeholder",
        "placeholder",
    ]
    stricter = {"pii": {"PERSON": "block", "EMAIL_ADDRESS": "mask"}}
    assert [pii(rules(wide, stricter), kind)[0] for kind in ("PERSON", "EMAIL_ADDRESS")] == ["block", "mask"]


@pytest.mark.parametrize(
    "loosening",
    [
        {"PERSON": {"action": "placeholder", "threshold": 0.99}},
        {"PERSON": {"action": "placeholder", "sources": ["system"]}},
        {"PERSON": {"action": "placeholder", "directions": ["response"]}},
        {"default": {"action": "placeholder", "threshold": 1.0, "sources": ["system"]}},
        {"PERSON": {"action": "placeholder", "allow_list": ["Mary Roe"]}},
        {"allow_list": ["Mary Roe"]},
        {"media": ["image"]},
    ],
)
def test_what_is_locked_is_not_loosened_by_the_back_door(loosening: dict[str, Any]):
    for wide in ({"pii": {"default": "placeholder"}, "locked": ["pii"]}, {"locked": ["pii"]}):
        found = rules(wide, {"pii": loosening})
        assert pii(found, "PERSON") == ("placeholder", 0.5, True, 6)
        assert not found.pii.allows(found.pii.rule_for("PERSON"), "Mary Roe")
        assert found.pii.media == frozenset()


def test_one_type_may_be_locked_alone():
    wide = {"pii": {"PERSON": {"action": "block", "locked": True}}}
    found = rules(wide, {"pii": {"PERSON": "allow", "URL": "allow"}}, {"pii": {"PERSON": "placeholder"}})
    assert [pii(found, kind)[0] for kind in ("PERSON", "URL")] == ["block", "allow"]


def test_a_narrower_policy_adds_words_that_are_always_found():
    wide = {"pii": {"deny_list": ["Falcon"]}, "locked": ["pii"]}
    found = rules(wide, {"pii": {"deny_list": ["Owl"]}})
    assert {entity.start for entity in found.pii.denied("Falcon and Owl")} == {0, 11}


def test_locked_models_residency_and_logging_only_shrink():
    wide = {
        "models": {"allow": ["a", "b"], "deny": ["x"], "default_max_tokens": 100},
        "residency": ["DE", "FR"],
        "logging": "redacted",
        "locked": ["models", "residency", "logging"],
    }
    narrow = {"models": {"allow": ["b", "c"], "default_max_tokens": 500}, "residency": ["US"], "logging": "full"}
    found = rules(wide, narrow)
    assert [found.allows_model(name) for name in "abcx"] == [False, True, False, False]
    assert (found.default_max_tokens, found.logging) == (100, "redacted")
    assert found.residency == frozenset()  # nowhere, which is not the same as anywhere
    assert rules(wide, {"logging": "none"}).logging == "none"


OFFICE = {"unless": {"network": ["10.0.0.0/8", "fd00::/8"]}, "refuse": "Only from the office."}
NIGHT = {
    "when": {"time": {"days": ["mon"], "from": "22:00", "to": "06:00", "timezone": "Europe/Berlin"}},
    "rules": {"models": {"deny": ["a"]}},
}
MARKETING = {"when": {"purpose": ["marketing"]}, "rules": {"pii": {"PERSON": "block"}, "logging": "none"}}


@pytest.mark.parametrize(
    ("address", "refused"),
    [("10.1.2.3", False), ("fd00::1", False), ("11.0.0.1", True), ("", True), ("nonsense", True)],
)
def test_a_network_decides(address: str, refused: bool):
    found = rules({"conditions": [OFFICE]}).at(Context(address))
    assert found.refusal == ("Only from the office." if refused else "")


@pytest.mark.parametrize(
    ("moment", "allowed"),
    [
        (datetime(2026, 1, 5, 20, 59, tzinfo=UTC), True),  # Monday 21:59 in Berlin
        (datetime(2026, 1, 5, 21, 0, tzinfo=UTC), False),
        (datetime(2026, 1, 6, 4, 59, tzinfo=UTC), False),  # the night that began on Monday
        (datetime(2026, 1, 6, 5, 0, tzinfo=UTC), True),
        (datetime(2026, 1, 5, 4, 0, tzinfo=UTC), True),  # the night before is Sunday's
        (datetime(2026, 7, 6, 20, 0, tzinfo=UTC), False),  # summer
    ],
)
def test_an_hour_decides(moment: datetime, allowed: bool):
    assert rules({"conditions": [NIGHT]}).at(Context(moment=moment)).allows_model("a") is allowed


def test_a_purpose_decides_and_what_it_brings_only_tightens():
    wide = rules({"pii": {"PERSON": "mask"}, "conditions": [MARKETING]})
    assert pii(wide.at(Context(purpose="marketing")), "PERSON")[0] == "block"
    assert pii(wide.at(Context(purpose="support")), "PERSON")[0] == "mask"
    assert pii(wide.at(Context()), "PERSON")[0] == "mask"
    loosening = {"when": {"purpose": ["x"]}, "rules": {"pii": {"PERSON": "allow"}, "logging": "full"}}
    found = rules({"pii": {"PERSON": "mask"}, "logging": "none", "conditions": [loosening]}).at(Context(purpose="x"))
    assert (pii(found, "PERSON")[0], found.logging) == ("mask", "none")


def test_a_condition_asks_what_a_token_proves_of_the_device():
    managed = {"unless": {"claim": {"device.managed": ["true"], "amr": ["hwk", "fpt"]}}, "refuse": "Not from here."}
    asked = rules({"conditions": [managed]})
    for claims, refused in (
        ({"device": {"managed": True}, "amr": ["pwd", "hwk"]}, False),
        ({"device.managed": "true", "amr": "fpt"}, False),
        ({"device": {"managed": False}, "amr": ["hwk"]}, True),
        ({"device": {"managed": True}, "amr": ["pwd"]}, True),
        ({"device": {"managed": {"true": 1}}, "amr": ["hwk"]}, True),
        ({"device": "true", "amr": ["hwk"]}, True),
        ({}, True),
        (None, True),
    ):
        assert bool(asked.at(Context(claims=claims)).refusal) is refused, claims
    for wrong in ({}, [], "device", {"device": []}, {"device": "true"}, {"device": [True]}):
        with pytest.raises(RulesError, match="claim"):
            rules({"conditions": [{"when": {"claim": wrong}, "refuse": "x"}]})


def test_a_condition_may_bring_guardrails_and_never_weaken_them():
    """Injections are blocked for marketing, and a secret stays blocked although the condition would only watch it."""
    held = {
        "prompt_injection": {"mode": "block"},
        "secrets": {"mode": "observe"},
        "size": {"mode": "block", "characters": 10},
    }
    document = {
        "guardrails": {"prompt_injection": {"mode": "observe"}, "secrets": {"mode": "block"}},
        "conditions": [{"when": {"purpose": ["marketing"]}, "rules": {"guardrails": held}}],
    }
    validate(document)
    found = rules(document)
    assert modes(found) == {"prompt_injection": "observe", "secrets": "block"}
    assert modes(found.at(Context(purpose="marketing"))) == {
        "prompt_injection": "block",
        "secrets": "block",
        "size": "block",
    }


def test_locked_guardrails_take_what_is_stricter():
    wide = {
        "guardrails": {
            "size": {"mode": "block", "characters": 100},
            "topics": {"mode": "block", "deny": {"layoffs": ["redundancies"]}},
        },
        "locked": ["guardrails"],
    }
    narrow = {
        "guardrails": {
            "size": {"mode": "observe", "characters": 1000, "messages": 3},
            "topics": {"mode": "observe", "deny": {"layoffs": ["job cuts"], "takeover": ["merger"]}},
        }
    }
    size, topics = sorted(rules(wide, narrow).guardrails.all, key=lambda guardrail: guardrail.name)
    assert (size.mode, size.characters, size.messages) == (Mode.BLOCK, 100, 3)
    assert topics.deny == (("layoffs", ("redundancies", "job cuts")), ("takeover", ("merger",)))
    assert topics.mode is Mode.BLOCK


def modes(found: Rules) -> dict[str, str]:
    return {guardrail.name: guardrail.mode.value for guardrail in found.guardrails.all}


def test_conditions_of_wider_policies_stay():
    found = rules({"conditions": [OFFICE]}, {"conditions": [MARKETING]}, {"conditions": []})
    both = found.at(Context("11.0.0.1", "marketing"))
    assert (both.refusal, pii(both, "PERSON")[0]) == ("Only from the office.", "block")
    assert found.at(Context("10.0.0.1")) is found


@pytest.mark.parametrize(
    ("condition", "place"),
    [
        ({"when": {"network": ["10.0.0.0/8"]}}, "conditions[0] must have either `rules` or `refuse`"),
        ({"refuse": "no"}, "conditions[0] must have either `when` or `unless`"),
        ({"when": {}, "refuse": "no"}, "conditions[0].when must name one of"),
        ({"when": {"colour": ["red"]}, "refuse": "no"}, "conditions[0].when.colour is unknown"),
        ({"when": {"network": ["10.0.0.0/99"]}, "refuse": "no"}, "conditions[0].when.network"),
        ({"when": {"network": []}, "refuse": "no"}, "conditions[0].when.network must be a list"),
        ({"when": {"time": {"timezone": "Mars/Base"}}, "refuse": "no"}, "no time zone 'Mars/Base'"),
        ({"when": {"time": {"from": "25:00"}}, "refuse": "no"}, "conditions[0].when.time.from must be a time"),
        ({"when": {"time": {"days": ["someday"]}}, "refuse": "no"}, "'someday' is none of"),
        ({"when": {"purpose": "x"}, "refuse": "no"}, "conditions[0].when.purpose must be a list"),
        ({"when": {"purpose": ["x"]}, "refuse": ""}, "conditions[0].refuse must be a sentence"),
        ({"when": {"purpose": ["x"]}, "rules": {"locked": []}}, "conditions[0].rules.locked is not a section"),
        ({"when": {"purpose": ["x"]}, "rules": {"pii": {"PERSON": "hide"}}}, "conditions[0].rules: pii.PERSON"),
        ({"when": {"purpose": ["x"]}, "rules": {"pii": 5}}, "conditions[0].rules: pii"),
        ([], "conditions[0] must be an object"),
    ],
)
def test_a_condition_without_meaning_is_refused_with_its_place(condition: Any, place: str):
    with pytest.raises(RulesError) as refused:
        validate({"conditions": [condition]})
    assert place in str(refused.value)
