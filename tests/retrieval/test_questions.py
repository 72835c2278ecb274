"""Questions that lean on the conversation before them."""

from __future__ import annotations

import pytest

from retrieval.questions import leans, standalone

RENT = "What is the monthly rent of the Hamburg warehouse?"


@pytest.mark.parametrize(
    "turn",
    [
        "And for the office?",
        "Why?",
        "When does it end?",
        "Who has to repair them?",
        "Und wie lange ist dessen Laufzeit vereinbart?",
        "Et pour le bureau ?",
        "¿Y para la oficina?",
        "",
    ],
)
def test_a_follow_up_is_also_searched_for_with_the_question_before_it(turn: str):
    assert leans(turn)
    assert standalone([RENT, turn]) == [turn, f"{RENT}\n{turn}"]


@pytest.mark.parametrize(
    "turn",
    [
        RENT,
        "How many days of holiday do employees of the Berlin office have?",
        "Which notice period applies to the supply agreement with Globex Industries?",
        "Wie viele Urlaubstage haben Beschäftigte im Büro Berlin im ersten Jahr?",
    ],
)
def test_a_question_that_stands_alone_is_searched_for_alone(turn: str):
    assert standalone(["Tell me about the warehouse lease of last year.", turn]) == [turn]


def test_turns_go_back_to_the_one_that_stands_alone():
    turns = ["Unrelated history of bees and their honey in winter", RENT, "And the office?", "Why?"]
    assert standalone(turns) == ["Why?", f"{RENT}\nAnd the office?\nWhy?"]


def test_no_more_than_three_turns_stand_together():
    assert standalone([RENT, "why", "how", "when"])[-1] == "why\nhow\nwhen"


def test_the_first_turn_has_nothing_to_lean_on():
    assert standalone(["And the office?"]) == ["And the office?"]
    assert standalone([]) == []
