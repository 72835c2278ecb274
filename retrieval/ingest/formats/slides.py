"""Presentations (PPTX): a slide is a page, its title a heading; tables, groups and the speaker's notes are read."""

from __future__ import annotations

from collections.abc import Iterator

from .draft import Draft
from .markup import Element, all_of, attribute, child, main_part, parsed, relation_id, relations, tag
from .packed import Package

#: Placeholders that say nothing of a slide's own.
_BLANKS = {"sldNum", "dt", "ftr", "hdr", "sldImg"}


def read(content: bytes, draft: Draft) -> None:
    """Writes a PPTX file on the draft, in the order in which the slides are shown."""
    package = Package(content)
    part = main_part(package, "ppt/presentation.xml")
    targets = relations(package, part)
    listed = [targets.get(relation_id(one), ("", ""))[1] for one in all_of(parsed(package.read(part)), "sldId")]
    names = [name for name in listed if name in package]
    for number, name in enumerate(names, start=1):
        draft.page(number)
        _slide(package, name, number, draft)
    draft.page_count = len(names)


def _slide(package: Package, name: str, number: int, draft: Draft) -> None:
    root = parsed(package.read(name))
    tree = child(root, "cSld", "spTree")
    shapes = list(_shapes(tree)) if tree is not None else []
    title = next((shape for shape in shapes if _role(shape) in ("title", "ctrTitle")), None)
    named = " ".join(_text(title).split()) if title is not None else ""
    if named:
        draft.heading(named)
    else:
        draft.label(f"Slide {number}")
    for shape in shapes:
        if shape is not title and _role(shape) not in _BLANKS:
            _shape(shape, draft)
    for kind, target in relations(package, name).values():
        if target in package and kind == "diagramData":
            draft.paragraph("\n".join(_lines(parsed(package.read(target)))))
        elif target in package and kind == "notesSlide":
            _notes(parsed(package.read(target)), draft)


def _shapes(parent: Element) -> Iterator[Element]:
    """Shapes, pictures and frames, those in groups as well, in the order in which they were drawn."""
    for element in parent:
        name = tag(element)
        if name in ("sp", "graphicFrame", "pic", "cxnSp"):
            yield element
        elif name == "AlternateContent":
            choice = child(element, "Choice")
            yield from _shapes(choice) if choice is not None else ()
        elif name == "grpSp":
            yield from _shapes(element)


def _role(shape: Element) -> str:
    """The kind of placeholder that a shape fills, "" for none."""
    for way in ("nvSpPr", "nvPicPr", "nvGraphicFramePr"):
        placeholder = child(shape, way, "nvPr", "ph")
        if placeholder is not None:
            return attribute(placeholder, "type") or "body"
    return ""


def _shape(shape: Element, draft: Draft) -> None:
    tables = list(all_of(shape, "tbl"))
    for table in tables:
        draft.table([_text(cell) for cell in row if tag(cell) == "tc"] for row in table if tag(row) == "tr")
    if not tables:
        draft.paragraph(_text(shape))
    if tag(shape) == "pic":
        described = child(shape, "nvPicPr", "cNvPr")
        said = attribute(described, "descr") if described is not None else ""
        if " " in said:  # a sentence, and not the name of a file
            draft.paragraph(said)


def _notes(root: Element, draft: Draft) -> None:
    said = [_text(shape) for shape in all_of(root, "sp") if _role(shape) == "body"]
    text = "\n".join(filter(None, said))
    if text:
        draft.paragraph(f"Notes: {text}")


def _text(shape: Element) -> str:
    return "\n".join(_lines(shape))


def _lines(shape: Element) -> Iterator[str]:
    """The paragraphs below an element."""
    for paragraph in all_of(shape, "p"):
        parts = paragraph.iter("{*}t", "{*}br", "{*}tab")
        line = "".join((element.text or "") if tag(element) == "t" else " " for element in parts).strip()
        if line:
            yield line
