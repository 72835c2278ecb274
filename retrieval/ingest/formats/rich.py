"""Rich text (RTF)."""

from __future__ import annotations

import re

from striprtf.striprtf import rtf_to_text

from retrieval.errors import TooLarge, Unreadable

from .draft import Draft

MOST_BYTES = 100 * 1024 * 1024
#: Pictures and other binary data are hexadecimal figures; without them the rest is read in a fraction of the time.
_FIGURES = re.compile(r"(?:[0-9a-fA-F]{32,}\s*)+")


def read(content: bytes, draft: Draft) -> None:
    """Writes an RTF file on the draft."""
    if len(content) > MOST_BYTES:
        raise TooLarge
    write(content.decode("latin-1"), draft)


def write(said: str, draft: Draft) -> None:
    """Writes RTF that is text already."""
    try:
        text = rtf_to_text(_FIGURES.sub("", said), errors="replace")  # type: ignore[no-untyped-call]
    except (ValueError, IndexError, KeyError, LookupError, AttributeError) as error:
        raise Unreadable from error
    rows: list[list[str]] = []
    paragraph: list[str] = []
    for line in text.split("\n"):
        if line.count("|") >= 2 and line.rstrip().endswith("|"):  # a row of a table
            draft.paragraph("\n".join(paragraph))
            paragraph = []
            rows.append(line.rstrip().rstrip("|").split("|"))
            continue
        if rows:
            draft.table(rows)
            rows = []
        paragraph.append(line)
    draft.table(rows)
    draft.paragraph("\n".join(paragraph))
