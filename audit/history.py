"""A tenant's sealed history as it is stored: its leaves and the proofs over them. Read in the open scope."""

from __future__ import annotations

from collections.abc import Iterable

from .merkle import Range, consistency_path, fold, inclusion_path, node_hash, subtrees
from .models import Leaf, Node
from .seals import KEPT_HEIGHTS

#: heights at which hashes are stored, the leaves among them; between two a hash is made of at most 2^8
_STORED = (0, *KEPT_HEIGHTS)


def root_of(start: int, end: int) -> bytes:
    """The hash of a range that a tree's node covers: the root, for (0, size)."""
    return fold([_subtree(height, index) for height, index in subtrees(start, end)])


def roots_of(ranges: Iterable[Range]) -> list[bytes]:
    return [root_of(start, end) for start, end in ranges]


def inclusion(position: int, size: int) -> list[bytes]:
    """The proof that the leaf at a position is in the tree of `size` leaves (RFC 6962, 2.1.1)."""
    return roots_of(inclusion_path(position, size))


def consistency(first: int, second: int) -> list[bytes]:
    """The proof that the tree of `second` leaves begins with that of `first` (RFC 6962, 2.1.2)."""
    return roots_of(consistency_path(first, second))


def gaps(runs: Iterable[Range], size: int) -> list[bytes]:
    """What is missing between runs of leaves to compute the root of `size` leaves: perfect subtrees, left to right."""
    found, at = [], 0
    for start, end in [*runs, (size, size)]:
        found += [_subtree(height, index) for height, index in subtrees(at, start)]
        at = end
    return found


def _subtree(height: int, index: int) -> bytes:
    """The root of a perfect subtree, from the nearest hashes below it that are stored."""
    stored = max(kept for kept in _STORED if kept <= height)
    count = 1 << height - stored
    hashes = _hashes(stored, index * count, count)
    if len(hashes) != count:
        raise LookupError(f"The tree lacks hashes below height {height}, index {index}.")
    while len(hashes) > 1:
        hashes = [node_hash(*pair) for pair in zip(hashes[::2], hashes[1::2], strict=True)]
    return hashes[0]


def _hashes(height: int, first: int, count: int) -> list[bytes]:
    if height == 0:
        leaves = Leaf.objects.filter(position__gte=first, position__lt=first + count).order_by("position")
        return [bytes(found) for found in leaves.values_list("hash", flat=True)]
    nodes = Node.objects.filter(height=height, index__gte=first, index__lt=first + count).order_by("index")
    return [bytes(found) for found in nodes.values_list("hash", flat=True)]
