"""Texts in the order in which they answer a question."""

from __future__ import annotations

from retrieval.services import rank

QUERY = "What is the rent of the warehouse?"
RENT = "The monthly rent of the Hamburg warehouse is 12,400 euros."
SOUP = "The canteen serves soup on Mondays."


def test_the_text_that_answers_comes_first():
    soup, rent, near = rank(QUERY, [SOUP, RENT, "Storage halls cost the company a lot each month."])
    assert rent > near > soup
    assert all(0 <= score <= 1 for score in (soup, rent, near))


def test_what_answers_may_stand_far_into_a_long_text():
    long, other = rank(QUERY, [SOUP * 100 + RENT, SOUP * 100])
    assert long > other


def test_odd_texts_have_a_score_as_well():
    assert rank(QUERY, []) == []
    empty, marks = rank(QUERY, ["", "!?"])
    assert max(empty, marks) < 0.3
    assert len(rank("", [RENT])) == 1
