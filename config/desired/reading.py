"""A YAML file with the line of every value, read as one means it.

Of YAML 1.1's surprises none is left: dates and times stay text, `no` is a country and not false, `010` is ten, and a
key stands once. Anchors and merge keys work.
"""

from __future__ import annotations

import hashlib
import re
from collections.abc import Hashable, Iterable
from dataclasses import dataclass, field, replace
from pathlib import Path as File
from typing import Any

import yaml

from .errors import Path, Problem, Refused

#: far beyond any configuration, and few enough that anchors of anchors cannot fill the memory
MOST_VALUES = 1_000_000
_TAG = "tag:yaml.org,2002:"
_KEPT = (_TAG + "null", _TAG + "merge")
_WORDS = (
    ("bool", re.compile(r"^(?:true|True|TRUE|false|False|FALSE)$"), "tTfF"),
    ("int", re.compile(r"^[-+]?[0-9]+$"), "-+0123456789"),
    ("float", re.compile(r"^[-+]?(?:\.[0-9]+|[0-9]+\.[0-9]*|[0-9]+(?:\.[0-9]*)?[eE][-+]?[0-9]+)$"), "-+.0123456789"),
)


def knowing(words: type[Any]) -> type[Any]:
    """A loader or dumper of PyYAML's that knows our words as well."""
    for name, pattern, first in _WORDS:
        words.add_implicit_resolver(_TAG + name, pattern, list(first))
    return words


def _knowing_nothing_else(words: type[Any]) -> type[Any]:
    words.yaml_implicit_resolvers = {
        first: [(tag, pattern) for tag, pattern in known if tag in _KEPT]
        for first, known in words.yaml_implicit_resolvers.items()
    }
    return words


@knowing
@_knowing_nothing_else
class _Loader(yaml.SafeLoader):
    """PyYAML's safe loader, for its parser, its anchors and its marks."""


def _int(loader: Any, node: Any) -> int:
    return int(loader.construct_scalar(node))


def _float(loader: Any, node: Any) -> float:
    return float(loader.construct_scalar(node))


_Loader.add_constructor(_TAG + "int", _int)
_Loader.add_constructor(_TAG + "float", _float)


@dataclass(frozen=True)
class Document:
    """A file's content, the line of each value in it, and what it is called in the trail."""

    data: Any
    lines: dict[Path, int] = field(default_factory=dict)
    name: str = ""
    digest: str = ""

    @property
    def reason(self) -> str:
        """Why a change was made, for the audit trail: the file and its SHA-256."""
        return f"{self.name[:200]} sha256:{self.digest}"

    def placed(self, problems: Iterable[Problem]) -> Refused:
        """Problems with their lines: of the value, or of the next thing around it that has one."""
        return Refused(*(replace(problem, line=self.line(problem.path)) for problem in problems))

    def line(self, path: Path) -> int:
        while path and path not in self.lines:
            path = path[:-1]
        return self.lines.get(path, 0)


def read(file: File) -> Document:
    """Raises Refused for a file that is none or no YAML."""
    try:
        content = file.read_bytes()
    except OSError as error:
        raise Refused(Problem((), f"It cannot be read: {error.strerror or error}.")) from error
    return parse(content, file.name)


def parse(content: bytes, name: str) -> Document:
    """A file's content. Raises Refused."""
    try:
        loader = _Loader(content)
        node = loader.get_single_node()
        walk = _Walk(loader)
        data = None if node is None else walk.value(node, ())
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        message = f"This is no YAML: {error.problem or error.context}."
        raise Refused(Problem((), message, mark.line + 1 if mark else 0)) from error
    except (yaml.YAMLError, UnicodeError) as error:
        raise Refused(Problem((), f"This is no YAML: {error}.")) from error
    return Document(data, walk.lines, name, hashlib.sha256(content).hexdigest())


class _Walk:
    """Builds plain values and notes where each stands."""

    def __init__(self, loader: Any) -> None:
        self._loader = loader
        self._open: list[Any] = []
        self._count = 0
        self.lines: dict[Path, int] = {}

    def value(self, node: Any, path: Path) -> Any:
        self._count += 1
        if self._count > MOST_VALUES or node in self._open:
            raise Refused(Problem(path, "It holds itself, or far too much.", node.start_mark.line + 1))
        self.lines.setdefault(path, node.start_mark.line + 1)
        if not isinstance(node, yaml.ScalarNode) and node.tag not in (_TAG + "map", _TAG + "seq"):
            raise Refused(Problem(path, f"The tag {node.tag} means nothing here.", node.start_mark.line + 1))
        if isinstance(node, yaml.ScalarNode):
            return self._loader.construct_object(node)
        self._open.append(node)
        inner = self._mapping if isinstance(node, yaml.MappingNode) else self._sequence
        found = inner(node, path)
        self._open.pop()
        return found

    def _sequence(self, node: Any, path: Path) -> list[Any]:
        return [self.value(item, (*path, number)) for number, item in enumerate(node.value)]

    def _mapping(self, node: Any, path: Path) -> dict[str, Any]:
        seen: set[Hashable] = set()
        for key, _ in node.value:
            if not isinstance(key, yaml.ScalarNode):
                raise Refused(Problem(path, "A key must be a word.", key.start_mark.line + 1))
            if key.value in seen and key.value != "<<":
                raise Refused(Problem((*path, key.value), "This key stands here twice.", key.start_mark.line + 1))
            seen.add(key.value)
        self._loader.flatten_mapping(node)
        found: dict[str, Any] = {}
        for key, inner in node.value:
            place = (*path, key.value)
            self.lines[place] = key.start_mark.line + 1
            found[key.value] = self.value(inner, place)
        return found
