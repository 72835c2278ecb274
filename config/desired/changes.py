"""What differs, and how that reads: `+` made, `~` changed (field: before → after), `-` removed."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping
from dataclasses import dataclass, field
from typing import Any

LONGEST = 160
#: what stands for a secret, on either side
SEALED = object()
#: what stands for a value that is not there
NOTHING = object()


@dataclass(frozen=True, slots=True)
class Change:
    """One object that differs. `fields`: (name, before, after); `more` says what goes with it."""

    sign: str
    thing: str
    fields: tuple[tuple[str, Any, Any], ...] = ()
    more: str = ""

    def lines(self) -> Iterator[str]:
        yield f"  {self.sign} {printable(self.thing)}{f' ({self.more})' if self.more else ''}"
        for name, before, after in self.fields:
            arrow = f"{_value(before)} → " if self.sign == "~" else ""
            yield f"      {printable(name)}: {arrow}{_value(after)}"


@dataclass
class Part:
    """What differs in the platform or in one tenant. `notes` are sentences that change nothing."""

    title: str
    changes: list[Change] = field(default_factory=list)
    notes: list[str] = field(default_factory=list)

    def made(self, thing: str, values: Mapping[str, Any], more: str = "") -> None:
        fields = tuple((name, NOTHING, value) for name, value in _flat(values) if value not in (None, "", [], {}))
        self.changes.append(Change("+", thing, fields, more))

    def changed(self, thing: str, before: Mapping[str, Any], after: Mapping[str, Any], more: str = "") -> None:
        """`before` and `after` have the same names."""
        fields = [row for name in after for row in _differences(name, before.get(name, NOTHING), after[name])]
        self.changes.append(Change("~", thing, tuple(fields), more))

    def removed(self, thing: str, more: str = "") -> None:
        self.changes.append(Change("-", thing, (), more))

    def note(self, sentence: str) -> None:
        self.notes.append(sentence)

    def lines(self) -> Iterator[str]:
        yield self.title
        if not self.changes:
            yield "  no change"
        for change in self.changes:
            yield from change.lines()
        for sentence in self.notes:
            yield f"  ! {printable(sentence)}"


def counted(parts: list[Part]) -> dict[str, int]:
    """How many objects are made, changed and removed: {"+", "~", "-"}."""
    signs = [change.sign for part in parts for change in part.changes]
    return {sign: signs.count(sign) for sign in "+~-"}


def _differences(name: str, before: Any, after: Any) -> Iterator[tuple[str, Any, Any]]:
    """Objects are compared name by name, so that a policy's rules show the rule that changed."""
    if before == after and isinstance(before, dict) and list(before) != list(after):
        yield name, list(before), list(after)
    elif isinstance(before, dict) and isinstance(after, dict) and before and after:
        for inner in dict.fromkeys([*before, *after]):
            yield from _differences(f"{name}.{inner}", before.get(inner, NOTHING), after.get(inner, NOTHING))
    elif before != after or before is SEALED:
        yield name, before, after


def _flat(values: Mapping[str, Any], prefix: str = "") -> Iterator[tuple[str, Any]]:
    for name, value in values.items():
        if isinstance(value, dict) and value:
            yield from _flat(value, f"{prefix}{name}.")
        else:
            yield prefix + name, value


def _value(value: Any) -> str:
    if value is SEALED:
        return "(secret)"
    if value is NOTHING:
        return "(nothing)"
    text = json.dumps(value, ensure_ascii=False, default=str)
    text = text if len(text) <= LONGEST else text[: LONGEST - 1] + "…"
    return printable(text)


def printable(text: str) -> str:
    """A line for a terminal, whatever somebody has called something."""
    return "".join(letter if letter.isprintable() else "\N{REPLACEMENT CHARACTER}" for letter in text)
