"""Plain text."""

from __future__ import annotations

from .draft import Draft
from .letters import decoded


def read(content: bytes, draft: Draft) -> None:
    """Writes a text as it is."""
    draft.verbatim(decoded(content))
