"""Which deployments may answer, and what the audit trail says of the others."""

from __future__ import annotations

import time
from types import SimpleNamespace
from typing import Any
from uuid import uuid4

import orjson
import pytest

from billing.services import Budgets, Prices
from gateway import pipeline
from gateway.candidates import Choice, Plan, choose, fit, keep_private, needs
from gateway.catalogue import PART as CATALOGUE
from gateway.catalogue import ModelView
from gateway.data import Call, Target
from gateway.errors import InvalidRequest, PolicyViolation, Unavailable
from gateway.surfaces import anthropic_messages, openai_chat
from policies.rules import combine
from policies.services import Rules
from tenants.snapshot import Snapshot
from tests.gateway.fakes import target

USER = {"role": "user", "content": "hello"}
IMAGE = {"role": "user", "content": [{"type": "image_url", "image_url": {"url": "data:image/png;base64,AAAA"}}]}
TOOL = {"type": "function", "function": {"name": "book"}}
PRICES = {"input": 1, "output": 1}


def call(**body: Any) -> Call:
    return openai_chat.parse(orjson.dumps({"model": "m", "messages": [USER], **body}), uuid4())


def named(name: str, *capabilities: str, **changes: Any) -> Target:
    return target(model=name, capabilities=frozenset(capabilities), **changes)


def rules(**models: Any) -> Rules:
    residency = {"residency": models.pop("residency")} if "residency" in models else {}
    return combine("p@1", "p", [{"models": models, **residency}])


def model(*targets: Target) -> ModelView:
    return ModelView(uuid4(), "m", "priority", "tenant", 0, targets)


def chosen(asked: Call, *targets: Target, tokens: int = 10, **policy: Any) -> Choice:
    choice = Choice(list(targets))
    choose(choice, asked, model(*targets), rules(**policy), lambda _: PRICES, needs(asked))
    fit(choice, tokens)
    return choice


def names(choice: Choice) -> list[str]:
    return [found.name for found in choice.targets]


def reasons(choice: Choice) -> dict[str, str]:
    return {found.name: reason for found, reason in choice.rejected}


# -- what a call needs ------------------------------------------------------------------------------------------------


@pytest.mark.parametrize(
    ("body", "needed"),
    [
        ({}, []),
        ({"messages": [IMAGE]}, ["vision"]),
        ({"tools": [TOOL]}, ["tools"]),
        ({"response_format": {"type": "json_object"}}, ["json"]),
        ({"reasoning_effort": "low"}, ["reasoning"]),
        ({"reasoning_effort": "none"}, []),
        ({"messages": [IMAGE], "tools": [TOOL]}, ["vision", "tools"]),
    ],
)
def test_needs(body: dict[str, Any], needed: list[str]):
    assert list(needs(call(**body))) == needed


def test_thinking_is_a_need_in_anthropics_form_as_well():
    body = {"model": "m", "max_tokens": 5, "messages": [USER], "thinking": {"type": "enabled", "budget_tokens": 1024}}
    assert list(needs(anthropic_messages.parse(orjson.dumps(body), uuid4()))) == ["reasoning"]


def test_a_picture_goes_to_who_says_that_it_sees():
    found = chosen(call(messages=[IMAGE]), named("blind", "chat"), named("seeing", "chat", "vision"))
    assert names(found) == ["seeing"]
    assert reasons(found) == {"blind": "does not say that it knows vision"}


def test_where_nobody_says_so_all_stay():
    assert names(chosen(call(tools=[TOOL]), named("a", "chat"), named("b", "chat"))) == ["a", "b"]


def test_a_need_never_goes_before_policy():
    seeing = named("seeing", "chat", "vision", region="us")
    found = chosen(call(messages=[IMAGE]), seeing, named("blind", "chat", region="de"), residency=["de"])
    assert names(found) == ["blind"]


def test_a_long_prompt_goes_to_who_can_read_it():
    short, long = named("short", "chat", max_input_tokens=100), named("long", "chat", max_input_tokens=10_000)
    assert names(chosen(call(), short, long, tokens=50)) == ["short", "long"]
    assert names(chosen(call(), short, long, tokens=5_000)) == ["long"]
    assert names(chosen(call(), short, long, tokens=50_000)) == ["short", "long"]
    assert names(chosen(call(), short, named("unknown", "chat"), tokens=5_000)) == ["unknown"]


# -- what nobody may answer -------------------------------------------------------------------------------------------


def test_errors_when_none_is_left():
    with pytest.raises(InvalidRequest):
        chosen(call(), named("e", "embeddings"))
    with pytest.raises(PolicyViolation):
        chosen(call(), named("a", "chat", region="us"), residency=["de"])
    with pytest.raises(Unavailable):
        choose(Choice([named("a", "chat")]), call(), model(), rules(), lambda _: {}, ())


# -- what must stay in the house --------------------------------------------------------------------------------------


def private(choice: Choice, found: dict[str, int], quoted: int | None = None, **policy: Any) -> Choice:
    keep_private(choice, rules(private=policy), found, quoted, model())
    return choice


def both() -> Choice:
    return Choice([named("vendor", "chat"), named("own", "chat", self_hosted=True)])


def test_detected_data_stays_with_self_hosted_deployments():
    found = private(both(), {"US_SSN": 1, "PERSON": 2}, entities=["US_SSN", "CREDIT_CARD"])
    assert names(found) == ["own"]
    assert found.private == "it holds US_SSN"
    assert names(private(both(), {"PERSON": 2}, entities=["US_SSN"])) == ["vendor", "own"]
    assert names(private(both(), {"PERSON": 2}, entities="any")) == ["own"]
    assert names(private(both(), {}, entities="any")) == ["vendor", "own"]


def test_a_cited_documents_classification_keeps_it_in_the_house():
    assert names(private(both(), {}, 2, classification="confidential")) == ["own"]
    assert names(private(both(), {}, 3, classification="confidential")) == ["own"]
    assert names(private(both(), {}, 1, classification="confidential")) == ["vendor", "own"]
    assert names(private(both(), {}, None, classification="confidential")) == ["vendor", "own"]


def test_without_a_deployment_of_ones_own_it_is_refused():
    with pytest.raises(PolicyViolation, match="US_SSN"):
        private(Choice([named("vendor", "chat")]), {"US_SSN": 1}, entities=["US_SSN"])


def test_what_a_wider_policy_locks_is_only_added_to():
    wide = {"models": {"private": {"entities": ["US_SSN"], "classification": "restricted"}}, "locked": ["models"]}
    found = combine("p@1", "p", [wide, {"models": {"private": {"entities": ["PERSON"], "classification": "internal"}}}])
    assert found.private is not None
    assert (found.private.entities, found.private.classification) == ({"US_SSN", "PERSON"}, 1)
    kept = combine("p@1", "p", [wide, {"models": {"deny": ["x"]}}]).private
    assert kept is not None
    assert (kept.entities, kept.classification) == ({"US_SSN"}, 3)


# -- the record -------------------------------------------------------------------------------------------------------


def test_the_record_names_candidates_needs_and_reasons():
    choice = chosen(call(messages=[IMAGE]), named("blind", "chat"), named("seeing", "chat", "vision"))
    assert choice.row(model()) == {
        "route": {
            "strategy": "priority",
            "candidates": ["vendor/seeing"],
            "rejected": [{"deployment": "vendor/blind", "reason": "does not say that it knows vision"}],
            "needs": ["vision"],
        }
    }


def test_where_there_was_nothing_to_choose_nothing_is_recorded():
    assert chosen(call(), named("a", "chat")).row(model()) == {}


# -- what calls have in common ----------------------------------------------------------------------------------------


class Common:
    """One caller's calls to one model, in one snapshot whose prices may change by themselves."""

    def __init__(self, *, next_change: float = float("inf")) -> None:
        self.target = named("a", "chat")
        steps = {self.target.id: ((0.0, PRICES), (next_change, {kind: 7 * price for kind, price in PRICES.items()}))}
        found = model(self.target)
        self.rules = rules()
        self.caller = SimpleNamespace(may_call=lambda *_: True, department=None, user=None, key=uuid4())
        parts = {CATALOGUE: {found.name: found}, "prices": Prices(steps, next_change), "budgets": Budgets({})}
        self.snapshot = Snapshot(uuid4(), (1, 1), {}, parts)

    def plan(self, **body: Any) -> Plan:
        return pipeline._planned(call(**body), self.caller, self.rules, self.snapshot, pipeline.Seen())


def test_calls_that_need_the_same_share_a_plan_and_do_not_change_it():
    common = Common()
    first = common.plan()
    choice = first.choice.copy()
    choice.keep(lambda _: False, "is only a test")
    assert common.plan() is first
    assert (first.choice.targets, first.choice.rejected) == ([common.target], [])
    assert common.plan(tools=[TOOL]) is not first


def test_other_rules_make_another_plan():
    common = Common()
    first = common.plan()
    common.rules = rules(residency=["eu"])
    with pytest.raises(PolicyViolation):
        common.plan()
    assert first.rates == [(PRICES["input"], PRICES["output"])]


def test_a_price_that_changes_by_itself_is_seen_by_the_next_call():
    common = Common(next_change=time.time() + 0.05)
    assert common.plan().rates == [(PRICES["input"], PRICES["output"])]
    time.sleep(0.06)
    assert common.plan().rates == [(7 * PRICES["input"], 7 * PRICES["output"])]
