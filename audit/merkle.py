"""The Merkle tree of RFC 6962, section 2.1, over leaves in one order. No storage here: hashes and shapes.

A tree of `size` leaves consists of perfect subtrees, one for each bit of its size, largest first. They are its
frontier: enough to append to it, and folded from the right they give its root. A range of leaves is `(start, end)`,
its end not included.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from hashlib import sha256

HASH_BYTES = 32
EMPTY = sha256(b"").digest()

Range = tuple[int, int]
#: (height, index, hash) of a perfect subtree: it covers the leaves from index << height on
Node = tuple[int, int, bytes]


def leaf_hash(data: bytes) -> bytes:
    """The hash of one leaf's bytes."""
    return sha256(b"\x00" + data).digest()


def node_hash(left: bytes, right: bytes) -> bytes:
    """The hash of two subtrees beside each other."""
    return sha256(b"\x01" + left + right).digest()


def fold(hashes: Sequence[bytes]) -> bytes:
    """The root over perfect subtrees that stand side by side, each smaller than the one before."""
    if not hashes:
        return EMPTY
    root = hashes[-1]
    for left in reversed(hashes[:-1]):
        root = node_hash(left, root)
    return root


class Frontier:
    """A growing tree: its size and the roots of the perfect subtrees that it consists of."""

    __slots__ = ("hashes", "size")

    def __init__(self, size: int = 0, packed: bytes = b"") -> None:
        self.size = size
        self.hashes = [packed[at : at + HASH_BYTES] for at in range(0, len(packed), HASH_BYTES)]
        if len(self.hashes) != size.bit_count():
            raise ValueError(f"A tree of {size} leaves has {size.bit_count()} subtrees, not {len(self.hashes)}.")

    def append(self, leaf: bytes) -> list[Node]:
        """Appends a leaf's hash. Returns the subtrees that it completes, smallest first."""
        completed, made, at = [], leaf, self.size
        height = 0
        while at & 1:
            made = node_hash(self.hashes.pop(), made)
            at >>= 1
            height += 1
            completed.append((height, at, made))
        self.hashes.append(made)
        self.size += 1
        return completed

    @property
    def root(self) -> bytes:
        return fold(self.hashes)

    @property
    def packed(self) -> bytes:
        """The hashes, largest subtree first, as the constructor takes them."""
        return b"".join(self.hashes)


def subtrees(start: int, end: int) -> Iterator[tuple[int, int]]:
    """The fewest perfect subtrees that cover a range, from left to right, as (height, index)."""
    while start < end:
        height = (end - start).bit_length() - 1
        if start:
            height = min(height, (start & -start).bit_length() - 1)
        yield height, start >> height
        start += 1 << height


def inclusion_path(index: int, size: int) -> list[Range]:
    """The ranges whose roots prove that leaf `index` is in a tree of `size` leaves, from the leaf upwards."""
    if not 0 <= index < size:
        raise ValueError(f"A tree of {size} leaves has no leaf {index}.")
    start, end, path = 0, size, []
    while end - start > 1:
        middle = start + _split(end - start)
        if index < middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start = middle
    return path[::-1]


def consistency_path(first: int, second: int) -> list[Range]:
    """The ranges whose roots prove that a tree of `second` leaves begins with the tree of `first` leaves."""
    if not 0 <= first <= second:
        raise ValueError(f"A tree of {second} leaves does not begin with one of {first}.")
    if first in (0, second):
        return []
    start, end, whole, path = 0, second, True, []
    while first < end:  # RFC 6962's SUBPROOF: into the half that holds the older tree's end
        middle = start + _split(end - start)
        if first <= middle:
            path.append((middle, end))
            end = middle
        else:
            path.append((start, middle))
            start, whole = middle, False
    return ([] if whole else [(start, end)]) + path[::-1]


def _split(count: int) -> int:
    """The largest power of two below `count`."""
    return 1 << (count - 1).bit_length() - 1
