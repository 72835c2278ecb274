"""From passages to sources, and from marks back to passages."""

from __future__ import annotations

from uuid import UUID

import pytest

from retrieval.citations import cite, numbered, tokens
from retrieval.data import Passage

TEXT = "Notice is six months. Rent is due monthly. The deposit is 500 euros.\n\nThe roof is the landlord's."


def passage(number: int, text: str = TEXT) -> Passage:
    return Passage(
        UUID(int=number),
        f"d-{number}",
        "Lease",
        2,
        UUID(int=100 + number),
        text,
        3,
        "Terms",
        1000,
        1000 + len(text),
        0.7,
        0.6,
        0.5,
    )


def sources(count: int = 3):
    return numbered([passage(number) for number in range(count)])


def test_sources_are_numbered_from_one_within_the_budget():
    found = numbered([passage(number) for number in range(9)], budget=3 * (tokens(TEXT) + tokens("Lease") + 8))
    assert [source.number for source in found] == [1, 2, 3]


def test_the_first_source_is_always_given():
    assert len(numbered([passage(1, "word " * 9000)], budget=10)) == 1
    assert numbered([], budget=10) == []


def test_a_mark_cites_the_sentence_that_supports_it():
    [citation] = cite("The deposit amounts to 500 euros [2].", sources()).citations
    assert citation == {
        "number": 2,
        "document": {"id": str(UUID(int=1)), "external_id": "d-1", "title": "Lease", "version": 2},
        "chunk_id": str(UUID(int=101)),
        "page": 3,
        "section": "Terms",
        "start": 1043,
        "end": 1068,
        "quote": "The deposit is 500 euros.",
        "score": 0.7,
        "marked": True,
    }
    assert TEXT[citation["start"] - 1000 : citation["end"] - 1000] == citation["quote"]


@pytest.mark.parametrize(
    ("answer", "numbers"),
    [
        ("A [1]. B [3].", [1, 3]),
        ("A [1, 2].", [1, 2]),
        ("A [1-3].", [1, 2, 3]),
        ("A 【2】.", [2]),
        ("A [3][1]", [1, 3]),
    ],
)
def test_marks_are_read_in_the_forms_that_models_write(answer, numbers):
    assert [citation["number"] for citation in cite(answer, sources()).citations] == numbers


def test_marks_without_a_source_are_told():
    cited = cite("A [1]. B [7]. C [0].", sources())
    assert (cited.unknown, [citation["number"] for citation in cited.citations]) == ((0, 7), [1])


def test_an_answer_without_marks_lists_all_sources_as_unmarked():
    cited = cite("Rent is due monthly.", sources())
    assert not cited.marked
    assert [(citation["number"], citation["marked"]) for citation in cited.citations] == [
        (1, False),
        (2, False),
        (3, False),
    ]
    assert {citation["quote"] for citation in cited.citations} == {"Rent is due monthly."}


def test_brackets_that_are_no_marks_are_left_alone():
    assert cite("See [sic] array[i] and [2024] or [12345].", sources()).unknown == ()
