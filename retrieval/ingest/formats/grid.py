"""Rows of a sheet as people laid them out: blocks between empty rows, with a line of title above a table."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from .draft import Draft

#: Rows that are held at a time: a longer block goes on as the same table's next part.
MOST_ROWS = 200_000


def write(rows: Iterable[Sequence[str]], draft: Draft) -> None:
    """Writes rows as tables, and lone cells above them as paragraphs."""
    block: list[Sequence[str]] = []
    for row in rows:
        if any(cell.strip() for cell in row):
            block.append(row)
        if block and (len(block) >= MOST_ROWS or not any(cell.strip() for cell in row)):
            _block(block, draft)
            block = []
    _block(block, draft)


def _block(block: list[Sequence[str]], draft: Draft) -> None:
    first = 0
    while first < len(block) and _is_lone(block[first]):
        first += 1
    if first == len(block):  # one column: a list
        draft.paragraph("\n".join(" ".join(cell.split()) for row in block for cell in row if cell.strip()))
        return
    for row in block[:first]:
        draft.paragraph(next(cell for cell in row if cell.strip()))
    draft.table(_narrowed(block[first:]))


def _is_lone(row: Sequence[str]) -> bool:
    return sum(1 for cell in row if cell.strip()) == 1


def _narrowed(rows: list[Sequence[str]]) -> list[list[str]]:
    """The rows without columns in which nothing stands."""
    used = sorted({place for row in rows for place, cell in enumerate(row) if cell.strip()})
    return [[row[place] if place < len(row) else "" for place in used] for row in rows]
