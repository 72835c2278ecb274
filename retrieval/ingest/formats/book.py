"""Books (EPUB): their chapters in reading order."""

from __future__ import annotations

import posixpath
from urllib.parse import unquote

from retrieval.errors import Encrypted, IngestError, TooLarge, Unreadable

from . import web
from .draft import Draft
from .letters import decoded
from .markup import all_of, attribute, child, parsed
from .packed import Package


def read(content: bytes, draft: Draft) -> None:
    """Writes an EPUB file on the draft."""
    package = Package(content)
    first = next(all_of(parsed(package.read("META-INF/container.xml")), "rootfile"), None)
    if first is None:
        raise Unreadable
    part = unquote(attribute(first, "full-path"))
    root = parsed(package.read(part))
    locked = package.get("META-INF/encryption.xml")
    hidden = {unquote(attribute(one, "URI")) for one in all_of(parsed(locked), "CipherReference")} if locked else set()
    title = next(all_of(root, "title"), None)
    if title is not None:
        draft.heading(title.text or "", 0)
    items = {attribute(one, "id"): attribute(one, "href") for one in all_of(root, "item")}
    spine = child(root, "spine")
    for one in spine if spine is not None else ():
        href = unquote(items.get(attribute(one, "idref"), "").split("#")[0])
        name = posixpath.normpath(posixpath.join(posixpath.dirname(part), href))
        if name in hidden:
            raise Encrypted
        if href and name in package:
            _chapter(package.read(name), draft)


def _chapter(content: bytes, draft: Draft) -> None:
    try:
        web.write(decoded(content), draft)
    except TooLarge:
        raise
    except IngestError:
        return  # a chapter without text: a plate, a cover
