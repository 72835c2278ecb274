"""The tree is that of RFC 6962: known roots, and a second implementation at every size."""

from __future__ import annotations

import json
import random
from itertools import pairwise
from pathlib import Path

import pytest

from audit.merkle import (
    EMPTY,
    Frontier,
    consistency_path,
    fold,
    inclusion_path,
    leaf_hash,
    node_hash,
    subtrees,
)
from audit.verify_customhouse import Tree
from audit.verify_customhouse import subtrees as heights_of
from tests.audit import second

#: The leaves and roots of the reference implementation (google/certificate-transparency, merkletree tests).
LEAVES = ["", "00", "10", "2021", "3031", "40414243", "5051525354555657", "606162636465666768696a6b6c6d6e6f"]
ROOTS = {
    1: "6e340b9cffb37a989ca544e6bb780a2c78901d3fb33738768511a30617afa01d",
    2: "fac54203e7cc696cf0dfcb42c92a1d9dbaf70ad9e621f4bd8d98662f00e3c125",
    3: "aeb6bcfe274b70a14fb067a5e5578264db0fa9b51af5e0ba159158f329e06e77",
    4: "d37ee418976dd95753c1c73862b9398fa2a2cf9b4ff0fdfe8b30cd95209614b7",
    5: "4e3bbb1f7b478dcfe71fb631631519a3bca12c9aefca1612bfce4c13a86264d4",
    6: "76e67dadbcdf1e10e1b74ddc608abd2f98dfb16fbce75277b5232a127f2087ef",
    7: "ddb89be403809e325750d3d263cd78929c2942b7942a34b77e122c9594a74c8c",
    8: "5dc9da79a70659a9ad559cb701ded9a2ab9d823aad2f4960cfe370eff4604328",
}
VECTORS = Path(__file__).parents[2] / "docs" / "reference" / "evidence-vectors.json"


def leaves(count: int) -> list[bytes]:
    return [f"leaf {place}".encode() for place in range(count)]


def grown(data: list[bytes]) -> Frontier:
    tree = Frontier()
    for one in data:
        tree.append(leaf_hash(one))
    return tree


def ranged(data: list[bytes], start: int, end: int) -> bytes:
    return second.mth(data[start:end])


@pytest.mark.parametrize("size", ROOTS)
def test_known_leaves_have_their_known_root(size: int) -> None:
    data = [bytes.fromhex(leaf) for leaf in LEAVES[:size]]
    assert grown(data).root.hex() == second.mth(data).hex() == ROOTS[size]


def test_every_size_has_the_root_of_the_second_implementation() -> None:
    tree, data = Frontier(), leaves(200)
    assert tree.root == second.mth([]) == EMPTY
    for size, one in enumerate(data, 1):
        tree.append(leaf_hash(one))
        assert tree.root == second.mth(data[:size])


def test_a_frontier_grows_on_from_what_was_stored() -> None:
    data = leaves(100)
    for size in range(100):
        half = grown(data[:size])
        again = Frontier(size, half.packed)
        for one in data[size:]:
            again.append(leaf_hash(one))
        assert again.root == second.mth(data)
    with pytest.raises(ValueError, match="subtrees"):
        Frontier(3, b"\0" * 32)


def test_completed_subtrees_are_told_with_their_place() -> None:
    tree, data = Frontier(), leaves(64)
    told = [node for one in data for node in tree.append(leaf_hash(one))]
    assert len(told) == 63
    for height, index, root in told:
        assert root == ranged(data, index << height, index + 1 << height)


def test_inclusion_and_consistency_are_proved_as_in_the_rfc() -> None:
    data = leaves(40)
    for size in range(1, 41):
        some = data[:size]
        for index in range(size):
            made = [ranged(some, *place) for place in inclusion_path(index, size)]
            assert made == second.path(index, some)
            assert second.included(leaf_hash(some[index]), index, size, made) == second.mth(some)
        for first in range(1, size):
            made = [ranged(some, *place) for place in consistency_path(first, size)]
            assert made == second.proof(first, some)
            roots = second.mth(data[:first]), second.mth(some)
            assert second.consistent(first, size, roots[0], made) == roots
    assert consistency_path(0, 5) == consistency_path(5, 5) == []
    for wrong in (lambda: inclusion_path(5, 5), lambda: consistency_path(6, 5)):
        with pytest.raises(ValueError):
            wrong()


def test_any_range_falls_into_perfect_subtrees_that_make_the_root() -> None:
    data, dice = leaves(150), random.Random(7)
    for _ in range(200):
        size = dice.randint(1, 150)
        cuts = sorted({0, size, *(dice.randint(0, size) for _ in range(4))})
        tree, place = Tree(), 0
        for start, end in pairwise(cuts):
            parts = list(subtrees(start, end))
            assert [height for height, _ in parts] == list(heights_of(start, end))
            for height, index in parts:
                assert place == index << height
                place = index + 1 << height
                tree.append(ranged(data, index << height, place), height)
        assert tree.root() == second.mth(data[:size])


def test_folding_nothing_is_the_empty_tree() -> None:
    assert fold([]) == EMPTY
    assert fold([EMPTY]) == EMPTY
    assert node_hash(EMPTY, EMPTY) == second.hashlib.sha256(b"\x01" + EMPTY + EMPTY).digest()


def test_the_published_vectors_are_what_both_compute() -> None:
    published = json.loads(VECTORS.read_text())
    data = [line.encode() for line in published["records"]]
    assert [leaf_hash(one).hex() for one in data] == published["leaf_hashes"]
    for size, root in enumerate(published["roots"]):
        assert grown(data[:size]).root.hex() == second.mth(data[:size]).hex() == root
    for case in published["inclusion"]:
        made = [ranged(data[: case["size"]], *place) for place in inclusion_path(case["index"], case["size"])]
        assert [one.hex() for one in made] == case["proof"]
    for case in published["consistency"]:
        made = [ranged(data, *place) for place in consistency_path(case["first"], case["second"])]
        assert [one.hex() for one in made] == case["proof"]
