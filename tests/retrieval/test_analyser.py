"""Words as the index knows them."""

from __future__ import annotations

import pytest

from retrieval.analyser import SLOTS, terms, weights


def slots(text: str) -> set[int]:
    return {term.slot for term in terms(text)}


@pytest.mark.parametrize(
    ("one", "other"),
    [
        ("running", "runs"),
        ("The Leases", "a lease"),
        ("file_name", "file name"),
        ("ｆｕｌｌ－ｗｉｄｔｈ", "full width"),
        ("книгами", "книга"),
        ("الكتاب", "كتاب"),
        ("Verträge", "VERTRÄG"),
    ],
)
def test_forms_of_a_word_are_one_term(one, other):
    assert slots(one) == slots(other) != set()


def test_words_that_say_nothing_are_no_terms():
    assert terms("what is the and of it") == []


def test_scripts_without_spaces_become_pairs():
    assert slots("北京大学") == slots("北京 京大 大学")
    assert len(slots("สวัสดี")) == 5


def test_a_letter_keeps_its_marks():
    assert slots("हिन्दी") != slots("हन्द")


def test_identifiers_have_a_digit_and_three_characters():
    assert [term.identifier for text in ("A4711", "42", "lease", "b2b") for term in terms(text)] == [
        True,
        False,
        False,
        True,
    ]


def test_terms_come_as_a_sparse_vector_wants_them():
    found = terms("one rent two rent three rent")
    assert [term.slot for term in found] == sorted({term.slot for term in found})
    assert max(term.count for term in found) == 3
    assert all(0 < term.slot <= SLOTS for term in found)


def test_a_word_weighs_more_the_more_often_it_stands_in_the_less_text():
    def weight(text: str) -> float:
        return dict(zip((term.slot for term in terms(text)), weights(terms(text)), strict=True))[terms("rent")[0].slot]

    assert weight("rent roof") < weight("rent rent roof") < 2.2
    assert weight("rent " + "roof " * 100) < weight("rent roof")
