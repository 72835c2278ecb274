"""Source code: the text stays as it is; functions and classes are its sections."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator

from .draft import STEP, Draft
from .letters import decoded

#: Suffix -> how functions and classes are found.
LANGUAGES = {
    **dict.fromkeys((".py", ".pyi"), "python"),
    **dict.fromkeys((".js", ".jsx", ".ts", ".tsx", ".mjs", ".cjs", ".vue", ".svelte"), "script"),
    **dict.fromkeys((".c", ".h", ".cc", ".cpp", ".hpp", ".cxx", ".hh", ".java", ".cs", ".kt", ".scala"), "braces"),
    **dict.fromkeys((".swift", ".dart", ".php", ".m", ".mm", ".groovy"), "braces"),
    **dict.fromkeys((".go", ".rs", ".zig"), "keywords"),
    **dict.fromkeys((".rb", ".lua", ".ex", ".exs", ".jl", ".r", ".pl", ".pm"), "keywords"),
    **dict.fromkeys((".sh", ".bash", ".zsh", ".ps1"), "shell"),
    **dict.fromkeys((".sql",), "sql"),
    **dict.fromkeys((".css", ".scss", ".less", ".tf", ".hcl", ".proto", ".graphql", ".dockerfile"), ""),
}
_NAME = r"([A-Za-z_$][\w$.:]*)"
_MODIFIERS = (
    r"(?:(?:public|private|protected|internal|static|final|abstract|async|export|default|override|virtual|inline|"
    r"constexpr|unsafe|extern|sealed|partial|open|suspend|data|pub(?:\([^)\n]{1,20}\))?)\s+){0,6}"
)
#: Longer lines are data, or were written by a machine; they are not looked at.
MOST_LINE = 300
_STARTS = {
    "python": re.compile(rf"\s*(?:async\s+)?(?:def|class)\s+{_NAME}"),
    "script": re.compile(
        rf"\s{{0,4}}{_MODIFIERS}(?:(?:function\*?|class|interface|enum|namespace)\s+{_NAME}"
        rf"|(?:const|let|var)\s+{_NAME}\s*=\s*(?:async\s*)?(?:function\b|\([^()\n]{{0,200}}\)\s*(?::[^=\n]{{0,60}})?=>|\w+\s*=>))"
    ),
    "braces": re.compile(
        rf"\s{{0,8}}{_MODIFIERS}(?:(?:class|interface|enum|struct|record|namespace|trait|object|fun|func|function|protocol"
        rf"|extension)\s+{_NAME}|(?!(?:return|else|new|throw|case|delete|typedef|using|goto)\b)[\w<>\[\],.*&:?]{{1,80}}[\s*&]{{1,4}}{_NAME}"
        rf"\s*\([^;{{}}\n]{{0,200}}\)?\s*(?:const|noexcept|throws\s+[\w., ]{{1,80}})?\s*\{{?\s*$)"
    ),
    "keywords": re.compile(
        rf"\s{{0,8}}{_MODIFIERS}"
        rf"(?:func|fn|type|struct|impl|trait|enum|mod|def|defp|defmodule|class|module|function|sub|local function)"
        rf"\s+(?:\([^()\n]{{0,80}}\)\s*)?(?:<[^<>\n]{{0,80}}>\s*)?{_NAME}"
    ),
    "shell": re.compile(rf"(?:function\s+{_NAME}|{_NAME}\s*\(\)\s*)"),
    "sql": re.compile(
        r"\s*create\s+(?:or\s+replace\s+)?(?:temp(?:orary)?\s+|unique\s+|materialized\s+)*"
        r"(?:table|view|function|procedure|trigger|index|type|schema)\s+(?:if\s+not\s+exists\s+)?([\w.\"]+)",
        re.IGNORECASE,
    ),
}


def read(content: bytes, draft: Draft, suffix: str) -> None:
    """Writes source code on the draft."""
    text = decoded(content)
    draft.verbatim(text, sections(text, LANGUAGES.get(suffix, "")))


def sections(text: str, language: str) -> list[tuple[int, str]]:
    """(first character, name) of functions and classes; methods are named with their class."""
    if language == "python":
        found = _python(text)
        if found is not None:
            return found
    return list(_by_lines(text, language))


def _python(text: str) -> list[tuple[int, str]] | None:
    """By Python's own grammar, decorators included; None if it does not follow it."""
    try:
        tree = ast.parse(text)
    except (SyntaxError, ValueError, RecursionError, MemoryError):
        return None
    starts = [0]
    for line in text.split("\n"):
        starts.append(starts[-1] + len(line) + 1)
    found: list[tuple[int, str]] = []
    for name, node in _definitions(tree, ()):
        first = min([node.lineno, *(one.lineno for one in node.decorator_list)])
        found.append((starts[first - 1], name))
    return sorted(found)


def _definitions(
    parent: ast.AST, path: tuple[str, ...]
) -> Iterator[tuple[str, ast.ClassDef | ast.FunctionDef | ast.AsyncFunctionDef]]:
    for node in ast.iter_child_nodes(parent):
        if isinstance(node, ast.ClassDef):
            yield STEP.join((*path, node.name)), node
            yield from _definitions(node, (*path, node.name))
        elif isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
            yield STEP.join((*path, node.name)), node


def _by_lines(text: str, language: str) -> Iterator[tuple[int, str]]:
    """By what their first lines look like; the indentation tells what lies in what."""
    pattern = _STARTS.get(language)
    path: list[tuple[int, str]] = []
    place = 0
    for line in text.split("\n"):
        match = pattern.match(line) if pattern is not None and len(line) <= MOST_LINE else None
        if match:
            depth = len(line) - len(line.lstrip())
            name = next(group for group in match.groups() if group)
            path = [(indent, said) for indent, said in path if indent < depth] + [(depth, name)]
            yield place, STEP.join(said for _, said in path)
        place += len(line) + 1
