"""Archives (ZIP): what can be read of the files in it, each under its name."""

from __future__ import annotations

from retrieval.errors import IngestError, NoText

from .draft import Draft
from .packed import Package

#: What systems put into archives for themselves.
_SYSTEM = ("__MACOSX/", ".DS_Store", "Thumbs.db", "desktop.ini", ".git/")


def read(content: bytes, draft: Draft) -> None:
    """Writes the files of an archive on the draft. Raises the error of the first one if none can be read."""
    package = Package(content)
    names = [name for name in package.names if not any(part in name for part in _SYSTEM)]
    errors: list[IngestError] = []
    for name in names:
        error = draft.embed(package.read(name), name) if package.size(name) else None
        errors += [error] if error else []
    if not names:
        raise NoText("The archive is empty.")
    if len(errors) == len(names):
        raise errors[0]
