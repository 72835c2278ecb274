"""Secrets never stand in the file: it says where they are, and only whoever applies it reads them there."""

from __future__ import annotations

import json
import re
from dataclasses import dataclass, field
from pathlib import Path as File
from typing import Any

from django.core.exceptions import ImproperlyConfigured

from config.settings import env

HOW = "A secret does not stand in the file: write {env: NAME} (or ${ENV:NAME}) or {file: PATH}."
_WRITTEN = re.compile(r"^\$\{ENV:([A-Za-z_][A-Za-z0-9_]*)\}$")
_SECRET = re.compile(r"key|secret|token|credential|password")
_NAME = re.compile(r"^[A-Za-z_][A-Za-z0-9_]*$")


class Unreadable(Exception):
    """What a reference names is not there; the message says what and where."""


class Misplaced(Exception):
    """A secret, or something that refers to none."""

    def __init__(self) -> None:
        super().__init__(HOW)


@dataclass(frozen=True, slots=True)
class Known:
    """A secret that another program's file holds in the clear, on its way to be sealed."""

    value: str = field(repr=False)


def looked_up(reference: Any) -> str:
    """The secret that a reference stands for; '' for none (null or ''). Raises Misplaced, Unreadable.

    `{fields: {...}}` is a JSON object, for vendors that need more than a key: its values are references or plain words.
    """
    if reference in (None, ""):
        return ""
    if isinstance(reference, Known):
        return reference.value
    if isinstance(reference, str):
        written = _WRITTEN.match(reference)
        if written is None:
            raise Misplaced
        return _from_environment(written[1])
    if isinstance(reference, dict) and len(reference) == 1:
        ((kind, value),) = reference.items()
        if kind == "env" and isinstance(value, str) and _NAME.match(value):
            return _from_environment(value)
        if kind == "file" and isinstance(value, str):
            return _from_file(value)
        if kind == "fields" and isinstance(value, dict) and value:
            return json.dumps({name: _part(name, inner) for name, inner in value.items()}, sort_keys=True)
    raise Misplaced


def _part(name: str, value: Any) -> str:
    """A region or a project may stand in the file, what opens a door may not."""
    open_word = isinstance(value, str) and not value.startswith("${") and not _SECRET.search(name)
    return str(value) if open_word else looked_up(value)


def _from_environment(name: str) -> str:
    """Of NAME, or of the file that NAME_FILE names."""
    try:
        found = env(name, "")
    except (OSError, UnicodeError, ImproperlyConfigured) as error:
        raise Unreadable(f"What {name}_FILE names cannot be read.") from error
    if not found:
        raise Unreadable(f"The environment has no {name}.")
    return found


def _from_file(path: str) -> str:
    try:
        found = File(path).read_text().strip()
    except (OSError, UnicodeError) as error:
        raise Unreadable(f"The file {path} cannot be read.") from error
    if not found:
        raise Unreadable(f"The file {path} is empty.")
    return found


def variable(*words: str) -> str:
    """A name in the environment for somebody's secret: `acme`, `openai`, `api_key` give ACME_OPENAI_API_KEY."""
    name = "_".join(re.sub(r"[^A-Za-z0-9]+", "_", word).strip("_") for word in words if word).upper()
    return name if not name[:1].isdigit() else f"_{name}"
