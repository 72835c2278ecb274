"""Tokens: what a vendor reported, and what is counted here when it reports nothing.

Counting is offline: the encoding lies in the litellm package, which is not imported for it.
"""

from __future__ import annotations

import hashlib
import os
import re
from collections.abc import Iterator, Mapping
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Final

import tiktoken

from gateway.data import Tokens

#: The encoding with the fewest tokens for most languages: an honest answer is not taken for one past its ceiling.
ENCODING: Final = "o200k_base"
_SOURCE: Final = "https://openaipublic.blob.core.windows.net/encodings/o200k_base.tiktoken"

#: Text is counted in pieces of so many characters: pathological input stays linear, at most one token more a piece.
PIECE: Final = 20_000

#: What a message costs beyond its text, as OpenAI counts it.
PER_MESSAGE: Final = 4
PER_REPLY: Final = 3

_WORDS: Final = re.compile(r"\w+|[^\w\s]")


def reported(usage: Any) -> Tokens | None:
    """A vendor's `usage` object (OpenAI's form) as disjoint kinds; None when there is nothing to go by."""
    if not isinstance(usage, dict):
        return None
    prompt, completion = _count(usage, "prompt_tokens"), _count(usage, "completion_tokens")
    if prompt is None and completion is None:
        return None
    prompt, completion = prompt or 0, completion or 0
    if "prompt_tokens_details" not in usage and "completion_tokens_details" not in usage:
        return Tokens(input=prompt, output=completion)
    into, out = _details(usage, "prompt_tokens_details"), _details(usage, "completion_tokens_details")
    cached = min(_count(into, "cached_tokens") or 0, prompt)
    written = _count(into, "cache_write_tokens") or _count(into, "cache_creation_tokens") or 0
    written = min(written, prompt - cached)
    reasoning = min(_count(out, "reasoning_tokens") or 0, completion)
    return Tokens(
        input=prompt - cached - written,
        cached_input=cached,
        cache_write=written,
        output=completion - reasoning,
        reasoning=reasoning,
    )


def reported_embedding(usage: Any) -> Tokens | None:
    """The usage of an embeddings answer; None when there is nothing to go by."""
    if not isinstance(usage, dict):
        return None
    prompt = _count(usage, "prompt_tokens")
    if prompt is None:
        prompt = _count(usage, "total_tokens")
    return None if prompt is None else Tokens(embedding=prompt)


def count_text(text: str) -> int:
    """Tokens of a text."""
    if not text:
        return 0
    encoding = _encoding()
    return sum(len(encoding.encode_ordinary(text[at : at + PIECE])) for at in range(0, len(text), PIECE))


def first_tokens(text: str, most: int) -> str:
    """The beginning of a text that is at most so many tokens."""
    encoding, kept = _encoding(), []
    for at in range(0, len(text), PIECE):
        if most <= 0:
            break
        found = encoding.encode_ordinary(text[at : at + PIECE])[:most]
        most -= len(found)
        kept.append(encoding.decode(found, errors="ignore"))
    return "".join(kept)


def count_messages(body: Mapping[str, Any]) -> int:
    """Tokens of a chat request: its messages, tools and response format. An estimate; vendors differ."""
    messages = body.get("messages")
    count = PER_REPLY
    for message in messages if isinstance(messages, list) else ():
        count += PER_MESSAGE + sum(map(count_text, _leaves(message)))
    for name in ("tools", "functions", "response_format"):
        count += sum(count_text(leaf) + 1 for leaf in _leaves(body.get(name)))
    return count


def count_input(body: Mapping[str, Any]) -> int:
    """Tokens of any request: the messages of a chat, the input of an embedding, the texts of a ranking."""
    if "messages" in body:
        return count_messages(body)
    if "documents" in body:
        return sum(map(count_text, _leaves([body.get("query"), body["documents"]])))
    return sum(map(count_text, _leaves(body.get("input"))))


def simple_count(text: str) -> int:
    """Words and marks of a text: the exact and deterministic count of the providers that answer in process."""
    return len(_WORDS.findall(text))


def package_file(*parts: str) -> Path:
    """A data file in the litellm package, without importing it."""
    spec = find_spec("litellm")
    if spec is None or not spec.submodule_search_locations:
        raise FileNotFoundError("The package litellm is not installed; its data files are needed.")
    return Path(spec.submodule_search_locations[0]).joinpath(*parts)


@cache
def _encoding() -> tiktoken.Encoding:
    name = hashlib.sha1(_SOURCE.encode(), usedforsecurity=False).hexdigest()
    bundled = package_file("litellm_core_utils", "tokenizers", name)
    if not bundled.is_file():  # tiktoken would fetch it
        raise FileNotFoundError(f"The encoding {ENCODING} is not in this version of the litellm package.")
    os.environ["TIKTOKEN_CACHE_DIR"] = str(bundled.parent)
    encoding = tiktoken.get_encoding(ENCODING)
    # Its table as a dict of Python's serves pickling alone: 26 MB of the 73 that an encoding holds.
    encoding._mergeable_ranks = {}
    return encoding


def _count(of: Mapping[str, Any], name: str) -> int | None:
    value = of.get(name)
    if type(value) is int:  # nearly always; a bool is none
        return value if value > 0 else 0
    if isinstance(value, bool) or not isinstance(value, int | float):
        return None
    return max(0, int(value))


def _details(usage: Mapping[str, Any], name: str) -> Mapping[str, Any]:
    value = usage.get(name)
    return value if isinstance(value, dict) else {}


def _leaves(value: Any) -> Iterator[str]:
    """Every string in a value, names of fields included."""
    waiting = [value]
    while waiting:
        found = waiting.pop()
        if isinstance(found, str):
            yield found
        elif isinstance(found, dict):
            waiting.extend(found)
            waiting.extend(found.values())
        elif isinstance(found, list):
            waiting.extend(found)
