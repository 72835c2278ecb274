"""JSON, JSON Lines and XML: each value is a line with the names that lead to it, each record a paragraph."""

from __future__ import annotations

import json
from collections.abc import Iterator
from typing import Any

from retrieval.errors import TooLarge, Unreadable

from .draft import Draft
from .letters import decoded
from .markup import parsed, tag

#: Names that may lead to one value.
MOST_DEPTH = 60


def read(content: bytes, draft: Draft) -> None:
    """Writes a JSON file on the draft; what is no JSON after all stays a text."""
    text = decoded(content)
    try:
        value = _loaded(text)
    except ValueError:
        if not _lines(text, draft):
            draft.verbatim(text)
        return
    if isinstance(value, dict):
        for name, part in value.items():
            if isinstance(part, dict | list):
                draft.label(str(name))
            _value(part, str(name), draft)
    else:
        _value(value, "", draft)


def _loaded(text: str) -> Any:
    """A JSON value; figures stay as they were written."""
    try:
        return json.loads(text, parse_int=str, parse_float=str, parse_constant=str)
    except RecursionError as error:
        raise TooLarge("The JSON is nested too deep.") from error


def _lines(text: str, draft: Draft) -> bool:
    """JSON Lines, if it is such; a broken line in it is an error, for nobody would miss what is not there."""
    lines = [(number, line) for number, line in enumerate(text.split("\n"), start=1) if line.strip()]
    records: list[Any] = []
    for number, line in lines:
        try:
            records.append(_loaded(line))
        except ValueError:
            if not records or not isinstance(records[0], dict | list):
                return False
            raise Unreadable(f"Line {number} is not valid JSON.") from None
    for record in records:
        _value(record, "", draft)
    return bool(records)


def _value(value: Any, name: str, draft: Draft) -> None:
    """A list of records is a paragraph each, anything else one paragraph."""
    if isinstance(value, list) and any(isinstance(part, dict | list) for part in value):
        for part in value:
            draft.paragraph("\n".join(_said(part, (name,) if name else ())))
    else:
        draft.paragraph("\n".join(_said(value, (name,) if name else ())))


def _said(value: Any, path: tuple[str, ...]) -> Iterator[str]:
    if len(path) > MOST_DEPTH:
        raise TooLarge("The JSON is nested too deep.")
    if isinstance(value, dict):
        for name, part in value.items():
            yield from _said(part, (*path, str(name)))
    elif isinstance(value, list):
        if any(isinstance(part, dict | list) for part in value):
            for part in value:
                yield from _said(part, path)
        elif value:
            yield _line(path, ", ".join(_scalar(part) for part in value))
    elif value is not None and value != "":
        yield _line(path, _scalar(value))


def _scalar(value: Any) -> str:
    if isinstance(value, bool):
        return "true" if value else "false"
    return "" if value is None else str(value)


def _line(path: tuple[str, ...], said: str) -> str:
    return f"{'.'.join(path)}: {said}" if path else said


def read_xml(content: bytes, draft: Draft) -> None:
    """Writes the texts of an XML file, a line an element; elements without text of their own are paragraphs."""
    block: list[str] = []
    for element in parsed(content).iter():
        name, said = tag(element), (element.text or "").strip()
        if not name:
            continue
        if not said and len(element):
            draft.paragraph("\n".join(block))
            block = []
        values = [f"{key}={value}" for key, value in element.attrib.items() if not str(key).startswith("{")]
        if said or values:
            block.append(f"{name}{' ' if values else ''}{' '.join(values)}: {said}".rstrip(": "))
        tail = (element.tail or "").strip()
        if tail:
            block.append(tail)
    draft.paragraph("\n".join(block))
