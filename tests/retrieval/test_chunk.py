"""How texts are cut."""

from __future__ import annotations

from itertools import pairwise
from uuid import UUID

from hypothesis import given, settings
from hypothesis import strategies as st

from retrieval.data import Extracted
from retrieval.ingest.chunk import Chunking, chunk_id, pieces
from retrieval.ingest.extract import extract

SENTENCE = "Every word of this sentence counts as one of ten. "


def words(text: str) -> int:
    return len(text.split())


def test_a_short_document_stays_whole():
    [piece] = pieces(Extracted("  " + SENTENCE * 30 + "\n"))
    assert (piece.start, piece.text) == (2, (SENTENCE * 30).strip())


def test_a_long_document_is_cut_at_sentences_and_overlaps():
    text = SENTENCE * 100
    found = pieces(Extracted(text))
    assert all(130 <= words(piece.text) <= 200 for piece in found[:-1])
    assert all(piece.text.startswith("Every") and piece.text.endswith("ten.") for piece in found)
    assert all(before.end - after.start == 4 * len(SENTENCE) - 1 for before, after in pairwise(found))


def test_a_heading_begins_a_new_chunk_without_overlap():
    found = pieces(extract(("# One\n\n" + SENTENCE * 15 + "\n\n## Two\n\n" + SENTENCE * 25).encode(), "a.md"))
    assert [piece.section for piece in found][:2] == ["One", "One › Two"]
    assert found[1].text.startswith("## Two")


def test_pages_are_those_on_which_a_chunk_begins():
    found = pieces(Extracted(SENTENCE * 60, pages=((0, 1), (len(SENTENCE) * 30, 2)), page_count=2))
    assert [piece.page for piece in found] == [1, 1, 2, 2]


def test_text_without_spaces_is_cut_as_well():
    chinese = pieces(Extracted("蜜蜂在冬天聚集在蜂后周围。" * 100))
    assert max(len(piece.text) for piece in chinese) <= 220
    endless = pieces(Extracted("x" * 100_000))
    assert max(len(piece.text) for piece in endless) <= 8_000


@settings(max_examples=60, deadline=None)
@given(
    st.lists(st.sampled_from(["word ", "end. ", "\n\n", "中文。", "x" * 90, " ", "\n# H\n"]), max_size=900).map(
        "".join
    ),
    st.integers(20, 60),
    st.integers(0, 20),
)
def test_every_character_that_counts_is_in_some_chunk(text, size, overlap):
    found = pieces(Extracted(text), Chunking(words=size, overlap=overlap, whole=0))
    covered = set()
    for piece in found:
        assert piece.text == text[piece.start : piece.end]
        covered.update(range(piece.start, piece.end))
    assert all(place in covered for place, character in enumerate(text) if not character.isspace())
    assert [piece.start for piece in found] == sorted({piece.start for piece in found})


def test_the_same_chunk_of_the_same_version_has_the_same_id():
    document = UUID(int=5)
    assert chunk_id(document, 1, 0) == chunk_id(document, 1, 0)
    assert len({chunk_id(document, version, ordinal) for version in range(3) for ordinal in range(3)}) == 9
