"""What is an invention of the model's, and what it was told."""

from __future__ import annotations

from typing import Any

import pytest

from policies.guardrails import Mode
from policies.invented import judge_inventions
from policies.pii.data import PiiRules
from policies.pii.redaction import Pii


@pytest.fixture(scope="module")
def pii():
    made = Pii()
    yield made
    made.close()


def answer(*contents: str, **more: Any) -> dict[str, Any]:
    return {"choices": [{"index": n, "message": {"content": text, **more}} for n, text in enumerate(contents)]}


def rules(action: str) -> PiiRules:
    return PiiRules.parse({"EMAIL_ADDRESS": {"action": action, "directions": ["response"]}, "default": "allow"})


@pytest.mark.parametrize("given", ["a@b.example", "Write to <A@B.EXAMPLE>!", 'and "a@b.example",'])
def test_what_it_was_told_stays(pii, given):
    body = answer("It is a@b.example.")
    judged = judge_inventions(body, rules("mask"), pii, ["nothing", given])
    assert (judged.body, judged.decisions) == (body, ())


@pytest.mark.parametrize("given", ["xa@b.example", "a@b.examples", ""])
def test_part_of_what_it_was_told_is_an_invention(pii, given):
    judged = judge_inventions(answer("It is a@b.example."), rules("mask"), pii, [given])
    assert judged.body == answer("It is *@*.*******.")
    [decision] = judged.decisions
    assert (decision.mode, decision.label, decision.count, decision.source) == (
        Mode.REDACT,
        "EMAIL_ADDRESS",
        1,
        "assistant",
    )


def test_all_choices_and_arguments_are_looked_at_and_the_body_is_not_changed(pii):
    call = {"id": "c1", "type": "function", "function": {"name": "mail", "arguments": '{"to": "c@d.example"}'}}
    body = answer("a@b.example", "none", tool_calls=[call])
    judged = judge_inventions(body, rules("mask"), pii, [])
    assert [choice["message"]["content"] for choice in judged.body["choices"]] == ["*@*.*******", "none"]
    for choice in judged.body["choices"]:
        assert choice["message"]["tool_calls"][0]["function"]["arguments"] == '{"to": "*@*.*******"}'
    assert judged.decisions[0].count == 3
    assert body == answer("a@b.example", "none", tool_calls=[call])


def test_a_block_is_said(pii):
    judged = judge_inventions(answer("a@b.example"), rules("block"), pii, [])
    assert judged.blocked is not None
    assert judged.blocked.label == "EMAIL_ADDRESS"


def test_a_stand_in_is_none_of_the_requests(pii):
    given = ["[EMAIL_ADDRESS_K7Q2M] asks"]
    judged = judge_inventions(answer("a@b.example and [EMAIL_ADDRESS_K7Q2M]"), rules("placeholder"), pii, given)
    made = judged.body["choices"][0]["message"]["content"]
    assert made.endswith(" and [EMAIL_ADDRESS_K7Q2M]")
    assert made.count("K7Q2M") == 1
