"""What a policy document may say about personal data, and what it is told when it says something else."""

from __future__ import annotations

import pytest

from policies.pii.data import Action, Direction, Entity, PiiRules, Source
from policies.pii.errors import PiiRulesError
from policies.pii.masking import judge

TEXT = "Write to alice@acme.example."
ALICE = Entity("EMAIL_ADDRESS", 9, 27, 1.0)


def verdict(document: dict, found=(ALICE,), text=TEXT, source=Source.USER, direction=Direction.REQUEST):
    return judge(text, found, PiiRules.parse(document), source, direction)


def test_a_type_that_is_not_named_gets_a_placeholder():
    rule = PiiRules.parse({"PERSON": {"action": "block"}}).rule_for("EMAIL_ADDRESS")
    assert rule.action is Action.PLACEHOLDER
    assert rule.threshold == 0.5


def test_a_type_takes_from_the_default_what_it_does_not_say():
    rule = PiiRules.parse({"default": {"action": "mask", "threshold": 0.8}, "PERSON": {"threshold": 0.9}}).rule_for(
        "PERSON"
    )
    assert (rule.action, rule.threshold) == (Action.MASK, 0.9)


def test_an_action_may_be_said_alone():
    assert PiiRules.parse({"PERSON": "allow"}).rule_for("PERSON").action is Action.ALLOW


def test_rules_are_equal_and_hash_alike_when_they_say_the_same():
    one, other = PiiRules.parse({"A_B": "mask", "C_D": "hash"}), PiiRules.parse({"C_D": "hash", "A_B": "mask"})
    assert one == other
    assert hash(one) == hash(other)


@pytest.mark.parametrize(
    ("document", "words"),
    [
        ([], "pii: must be an object"),
        ({"person": {}}, "'person' is neither an entity type"),
        ({"PERSON": 3}, "pii.PERSON: must be an object"),
        ({"PERSON": {"acton": "mask"}}, "unknown setting 'acton'"),
        ({"PERSON": {"action": "erase"}}, "pii.PERSON.action: must be one of allow, placeholder"),
        ({"PERSON": {"threshold": 2}}, "pii.PERSON.threshold: must be a number from 0 to 1"),
        ({"PERSON": {"threshold": True}}, "must be a number from 0 to 1"),
        ({"PERSON": {"sources": ["users"]}}, "'users' is none of"),
        ({"PERSON": {"sources": []}}, "must not be empty"),
        ({"PERSON": {"directions": "request"}}, "pii.PERSON.directions: must be a list"),
        ({"PERSON": {"allow_list": [""]}}, "pii.PERSON.allow_list: must be a list of texts"),
        ({"media": ["smell"]}, "pii.media: 'smell' is none of"),
        ({"deny_list": "Falcon"}, "pii.deny_list: must be a list of texts"),
    ],
)
def test_what_is_wrong_is_said_with_its_place(document, words):
    with pytest.raises(PiiRulesError, match=words.replace("(", r"\(")):
        PiiRules.parse(document)


def test_a_find_below_the_threshold_passes():
    weak = Entity("EMAIL_ADDRESS", 9, 27, 0.6)
    assert verdict({"EMAIL_ADDRESS": {"threshold": 0.7}}, [weak]).entities == ()
    assert verdict({"EMAIL_ADDRESS": {"threshold": 0.6}}, [weak]).entities


def test_a_type_passes_where_its_rule_does_not_reach():
    document = {"EMAIL_ADDRESS": {"sources": ["tool"], "directions": ["request"]}}
    assert verdict(document, source=Source.TOOL).entities
    assert not verdict(document, source=Source.USER).entities
    assert not verdict(document, source=Source.TOOL, direction=Direction.RESPONSE).entities


@pytest.mark.parametrize(
    "document", [{"allow_list": ["Alice@Acme.Example"]}, {"EMAIL_ADDRESS": {"allow_list": ["ALICE@acme.example"]}}]
)
def test_what_is_allow_listed_passes_in_any_case(document):
    assert not verdict(document).entities


def test_an_allow_list_of_another_type_does_not_help():
    assert verdict({"PERSON": {"allow_list": ["alice@acme.example"]}}).entities


def test_a_deny_listed_word_is_found_as_a_whole_word_in_any_case():
    document = {"deny_list": ["Falcon"], "PROJECT": {"deny_list": ["Blue Owl"]}}
    found = verdict(document, [], "falcon meets BLUE OWL, not falcons").entities
    assert [(entity.type, entity.start, entity.end) for entity in found] == [("DENY_LIST", 0, 6), ("PROJECT", 13, 21)]


def test_a_blocked_type_is_named():
    assert verdict({"EMAIL_ADDRESS": "block"}).blocked == {"EMAIL_ADDRESS"}


def test_what_is_allowed_is_not_masked_under_another_name():
    card = Entity("CREDIT_CARD", 0, 16, 1.0)
    bank = Entity("US_BANK_NUMBER", 0, 16, 0.65)
    assert not verdict({"CREDIT_CARD": "allow"}, [card, bank], "4111111111111111").entities


def test_an_address_inside_of_an_allowed_link_is_masked():
    text = "https://x.example/?u=alice@acme.example"
    found = verdict({"URL": "allow"}, [Entity("URL", 0, 39, 0.6), Entity("EMAIL_ADDRESS", 21, 39, 1.0)], text).entities
    assert [entity.type for entity in found] == ["EMAIL_ADDRESS"]


def test_of_overlapping_finds_one_is_left_that_covers_both():
    both = verdict({}, [Entity("A_A", 0, 6, 0.6), Entity("B_B", 4, 9, 0.9)], "123456789").entities
    assert both == [Entity("B_B", 0, 9, 0.9)]


def test_a_link_keeps_what_is_found_in_it():
    found = verdict({}, [Entity("URL", 0, 39, 0.6), Entity("EMAIL_ADDRESS", 21, 39, 1.0)], "x" * 39).entities
    assert found == [Entity("URL", 0, 39, 0.6)]
