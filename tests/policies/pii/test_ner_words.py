"""What the model of names reads: segments and words."""

from __future__ import annotations

from itertools import pairwise

import pytest
from hypothesis import given
from hypothesis import strategies as st

from policies.pii.ner.words import Lexicon, key_text, segments

PIECES = ["[UNK]", "[unused1]", "[unused2]", "[unused3]", "[unused4]", "the", "ol", "##u", "##wa", "'", "."]
LEXICON = Lexicon(PIECES, {"ol": 1, "the": 8})


def cut(text: str, most: int = 30) -> list[str]:
    return [text[start:end] for start, end in segments(text, most)]


def said(text: str) -> list[str]:
    return [text[word.start : word.end] for word in LEXICON.words(text)]


def test_sentences_and_lines_are_segments_and_short_ones_stay_together():
    assert cut("It rained. We left.\nThe train to the coast was late again. Nobody minded.") == [
        "It rained. We left.\n",
        "The train to the coast was late again. ",
        "Nobody minded.",
    ]


def test_titles_initials_and_abbreviations_end_no_sentence():
    text = "I wrote to Mr. Roe and to J. K. Doe of Roe Ltd. Nobody at St. Mary's answered."
    assert cut(text, 10) == [text]


@given(st.text(alphabet="aB. \n!?,é@1", max_size=400))
def test_segments_are_the_whole_text_in_order(text):
    assert "".join(cut(text)) == text


@given(st.text(max_size=300))
def test_words_lie_in_order_and_hold_all_that_is_no_space(text):
    words = LEXICON.words(text)
    assert all(one.end <= other.start for one, other in pairwise(words))
    inside = {index for word in words for index in range(word.start, word.end)}
    assert all(index in inside for index, character in enumerate(text) if not character.isspace())


def test_words_are_letters_figures_marks_addresses_and_links():
    assert said("Anne-Marie's #7b, 2024: mail a.b@x.example or https://x.example/a?b=1, now") == [
        *("Anne", "-", "Marie", "'", "s", "#", "7b", ",", "2024", ":", "mail", "a.b@x.example", "or"),
        *("https://x.example/a?b=1", ",", "now"),
    ]


def test_unknown_words_are_pieces_and_known_ones_carry_what_is_known():
    the, name = LEXICON.words("the Oluwa")
    assert (the.rows[0], the.rest) == (5, ())
    assert (name.rows[0], name.rest) == (6, (7, 8))
    assert the.rows[4] - LEXICON.kinds == 8


def test_a_lexicon_remembers_only_words_of_its_vocabulary():
    lexicon = Lexicon(PIECES, {})
    lexicon.words("the Oluwa the secret")
    assert set(lexicon._known) == {"the"}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("Call 030 1234 on Monday", "Call 030 9876 on Monday"),
        ("Write to ann@acme.example.", "Write to bob.roe@globex.example."),
        ("See https://acme.example/a for more", "See https://globex.example/bcd for more"),
    ],
)
def test_segments_that_differ_in_figures_and_addresses_are_one(one, other):
    assert key_text(one) == key_text(other)


def test_what_stands_for_an_address_cannot_be_written_by_hand():
    assert key_text("Write to ann@acme.example.") != key_text("Write to \x01.")
    assert key_text("at \x01 ann@acme.example.") != key_text("at \x01 \x01.")


def test_case_is_never_lost():
    assert key_text("ann left") != key_text("Ann left")
    assert LEXICON.words("the")[0].rows[3] != LEXICON.words("The")[0].rows[3]
