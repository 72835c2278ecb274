"""Tables in text (CSV, TSV): separator and encoding are found, whatever the suffix says."""

from __future__ import annotations

import csv
import io
from collections.abc import Iterator

from retrieval.errors import Unreadable

from .draft import Draft
from .letters import MOST_CHARACTERS, decoded

SEPARATORS = ",;\t|"
#: Characters and rows by which the separator is found.
SAMPLE_CHARACTERS, SAMPLE_ROWS = 64 * 1024, 50


def read(content: bytes, draft: Draft) -> None:
    """Writes the rows of a file on the draft."""
    text = decoded(content)
    first, _, rest = text.partition("\n")
    if len(first) == 5 and first.startswith("sep="):  # how Excel says it
        separator, text = first[4], rest
    else:
        separator = separator_of(text)
    csv.field_size_limit(MOST_CHARACTERS)
    try:
        rows = list(_rows(text, separator))
    except csv.Error as error:
        raise Unreadable(f"The table cannot be read: {error}.") from error
    if all(len(row) <= 1 for row in rows):
        draft.paragraph("\n".join(cell for row in rows for cell in row))
    else:
        draft.table(rows)


def separator_of(text: str) -> str:
    """The sign that cuts most rows of a sample into the same number of cells."""
    sample = text[:SAMPLE_CHARACTERS]
    best, most = ",", 0.0
    for separator in SEPARATORS:
        widths = [len(row) for row in _sampled(sample, separator)]
        usual = max(set(widths), key=widths.count, default=1)
        score = widths.count(usual) / len(widths) * min(usual, 20) if usual > 1 else 0.0
        if score > most:
            best, most = separator, score
    return best


def _sampled(sample: str, separator: str) -> list[list[str]]:
    found: list[list[str]] = []
    try:
        for row in _rows(sample, separator):
            found.append(row)
            if len(found) >= SAMPLE_ROWS:
                break
    except csv.Error:
        pass  # the sample ends in the middle of a cell; what came before tells enough
    return [row for row in found if row]


def _rows(text: str, separator: str) -> Iterator[list[str]]:
    yield from csv.reader(io.StringIO(text), delimiter=separator)
