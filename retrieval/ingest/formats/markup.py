"""XML, read without what makes it dangerous: no entities of its own, nothing from outside, no endless depth."""

from __future__ import annotations

import posixpath
from collections.abc import Iterator
from typing import Any, TypeAlias

from lxml import etree

from retrieval.errors import Unreadable

from .packed import Package

#: lxml has no types of its own.
Element: TypeAlias = Any


def parsed(content: bytes) -> Element:
    """The root of a document; small faults are mended. Raises Unreadable, also for entities: what they unfold to is
    never what a person wrote.
    """
    parser = etree.XMLParser(
        resolve_entities=False, no_network=True, load_dtd=False, recover=True, huge_tree=False, remove_comments=True
    )
    try:
        root = etree.fromstring(content, parser)
    except (etree.XMLSyntaxError, ValueError) as error:
        raise Unreadable from error
    if root is None:
        raise Unreadable
    declared = root.getroottree().docinfo.internalDTD
    if declared is not None and any(True for _ in declared.iterentities()):
        raise Unreadable("The file defines XML entities of its own, which are not unfolded.")
    return root


def tag(element: Element) -> str:
    """An element's name without its namespace; "" for what is no element."""
    name = element.tag
    return name.rpartition("}")[2] if isinstance(name, str) else ""


def attribute(element: Element, name: str) -> str:
    """An attribute by its name without namespace, "" if there is none."""
    plain = element.get(name)
    if plain is not None:
        return str(plain)
    return next((str(value) for key, value in element.attrib.items() if str(key).endswith("}" + name)), "")


def child(element: Element, *path: str) -> Element | None:
    """A descendant by the names of the way to it."""
    found: Element | None = element
    for name in path:
        found = next((other for other in found if tag(other) == name), None) if found is not None else None
    return found


def all_of(element: Element, name: str) -> Iterator[Element]:
    """All descendants of that name, in the document's order."""
    yield from element.iter("{*}" + name)


def relations(package: Package, part: str) -> dict[str, tuple[str, str]]:
    """What a part of an office file refers to inside the file: id -> (kind, name of the part)."""
    folder, name = posixpath.split(part)
    content = package.get(posixpath.join(folder, "_rels", f"{name}.rels"))
    found: dict[str, tuple[str, str]] = {}
    for one in parsed(content) if content else ():
        if one.get("TargetMode") == "External":
            continue
        target = one.get("Target", "")
        full = target.lstrip("/") if target.startswith("/") else posixpath.normpath(posixpath.join(folder, target))
        found[one.get("Id", "")] = (one.get("Type", "").rpartition("/")[2], full)
    return found


def relation_id(element: Element, name: str = "id") -> str:
    """The id by which an element refers to another part."""
    wanted = f"/relationships}}{name}"
    return next((str(value) for key, value in element.attrib.items() if str(key).endswith(wanted)), "")


def main_part(package: Package, usual: str) -> str:
    """The part with which an office file begins."""
    found = [part for kind, part in relations(package, "").values() if kind == "officeDocument"]
    return next((part for part in [*found, usual] if part in package), usual)
