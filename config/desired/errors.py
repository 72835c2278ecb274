"""What can be wrong with a file of the desired state.

Refused   the file, or what it asks for, cannot be; it lists every problem with its place
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass
from typing import Any

#: where something stands in a file: names and, in lists, numbers from 0
Path = tuple[str | int, ...]


@dataclass(frozen=True, slots=True)
class Problem:
    """What is wrong, and where. `line` is counted from 1; 0 where the place is in no line."""

    path: Path
    message: str
    line: int = 0

    def text(self, file: str) -> str:
        """`house.yaml:14: tenants[0].providers[2].base_url: It must be an http or https address.`"""
        place = f"{file}:{self.line}" if self.line else file
        return f"{place}: {spelled(self.path)}: {self.message}" if self.path else f"{place}: {self.message}"


class Refused(Exception):
    """The file cannot be applied."""

    def __init__(self, *problems: Problem) -> None:
        super().__init__("; ".join(problem.text("file") for problem in problems))
        self.problems = problems


def spelled(path: Path) -> str:
    """A place as one writes it: `tenants[0].providers[2].base_url`."""
    text = ""
    for part in path:
        text += f"[{part}]" if isinstance(part, int) else f".{part}" if text else part
    return text


def problems_of(detail: Any, path: Path) -> Iterator[Problem]:
    """What the management API says is wrong, field by field."""
    if isinstance(detail, dict):
        for name, inner in detail.items():
            yield from problems_of(inner, path if name in ("non_field_errors", "detail") else (*path, _part(name)))
    elif isinstance(detail, list) and any(isinstance(inner, dict | list) for inner in detail):
        for number, inner in enumerate(detail):
            if inner:
                yield from problems_of(inner, (*path, number))
    elif isinstance(detail, list):
        yield Problem(path, " ".join(map(str, detail)))
    else:
        yield Problem(path, str(detail))


def _part(name: Any) -> str | int:
    return name if isinstance(name, int) else str(name)


def together(found: Iterable[Refused]) -> Refused:
    """All that several parts have wrong."""
    return Refused(*(problem for refused in found for problem in refused.problems))
