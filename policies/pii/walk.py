"""Masks a whole request: every string leaf, every object key, every long number, and JSON inside of strings.

Nothing is passed because its name is unknown: only words of the protocol itself (`user`, `text`, `messages`) and the
model's name are left alone.
"""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Iterator, Mapping
from concurrent.futures import Executor
from dataclasses import dataclass, field
from functools import partial
from typing import Any, Final

from policies.pii.allowance import Allowance, Exhausted
from policies.pii.cache import Findings
from policies.pii.data import Direction, Entity, PiiRules, Source
from policies.pii.engine import Engine
from policies.pii.errors import Blocked, DetectorFailed, MediaRefused, TooDeep
from policies.pii.jsontext import is_container, rewrite
from policies.pii.masking import CLEAN, Replacement, Verdict, judge, replaced, stand_in
from policies.pii.vault import Vault

DEPTH: Final = 64
"""Containers inside of containers, JSON inside of strings counted with them."""

SOURCE_OF_ROLE: Final = {
    "system": Source.SYSTEM,
    "developer": Source.SYSTEM,
    "user": Source.USER,
    "assistant": Source.ASSISTANT,
    "tool": Source.TOOL,
    "function": Source.TOOL,
}
SOURCE_OF_FIELD: Final = {
    "tools": Source.SYSTEM,
    "functions": Source.SYSTEM,
    "response_format": Source.SYSTEM,
    "system": Source.SYSTEM,
    "instructions": Source.SYSTEM,
    "prompt": Source.USER,
    "input": Source.USER,
    "query": Source.USER,
    "documents": Source.DOCUMENT,
}
SOURCE_OF_PART: Final = {
    "tool_result": Source.TOOL,
    "function_call_output": Source.TOOL,
    "tool_use": Source.ASSISTANT,
    "function_call": Source.ASSISTANT,
    "document": Source.DOCUMENT,
}
MEDIA_OF_PART: Final = {
    "image_url": "image",
    "input_image": "image",
    "image": "image",
    "input_audio": "audio",
    "audio": "audio",
    "input_video": "video",
    "video_url": "video",
    "video": "video",
    "input_file": "file",
    "file": "file",
}


def _words(text: str) -> frozenset[str]:
    return frozenset(text.split())


PLAIN_FIELDS: Final = _words(
    """
    content text messages input value arguments description name title role type data body query prompt note output
    result results items default enum examples properties
    """
)
"""Names of fields that say nothing about what the field holds."""
PROTOCOL_WORDS: Final = PLAIN_FIELDS | _words(
    """
    system developer user assistant tool function model stream temperature top_p top_k max_tokens
    max_completion_tokens max_output_tokens n stop seed tools tool_choice tool_calls tool_call_id parallel_tool_calls
    functions function_call id object string number integer boolean array null required additionalProperties
    parameters strict json_schema json_object schema response_format metadata input_text output_text tool_use
    tool_result function_call_output refusal reasoning_content reasoning_effort auto none any low medium high
    finish_reason frequency_penalty presence_penalty logit_bias logprobs top_logprobs stream_options include_usage
    user_id service_tier store prediction encoding_format dimensions float base64 instructions max_items min_items
    anyOf oneOf allOf $ref $defs format pattern minimum maximum
    """
)
"""Words of the protocols, as names and as values. None can be anybody's data."""
SETTINGS: Final = _words(
    """
    seed n temperature top_p top_k max_tokens max_completion_tokens max_output_tokens frequency_penalty
    presence_penalty dimensions top_logprobs
    """
)
"""Numbers under these names at the top of a request are settings of the call."""

_EMBEDDED_MEDIA: Final = re.compile(
    r"data:(image|audio|video|application)/[^;,\s\"']{1,80}(?:;[^;,\s\"']{1,80})*;base64,", re.IGNORECASE
)
_PAYLOAD: Final = re.compile(r"[A-Za-z0-9+/=_\-\s]*")
_LONG_NUMBER: Final = 100_000_000


@dataclass(frozen=True, slots=True)
class Masked:
    """A request that may leave: its body, how many distinct values of each type were found, and the way back."""

    body: dict[str, Any]
    counts: dict[str, int]
    vault: Vault = field(repr=False)


def mask_request(
    body: dict[str, Any],
    rules: PiiRules,
    engine: Engine,
    vault: Vault,
    cache: Findings,
    *,
    sources: Mapping[int | str, Source] | None = None,
    allowance: Allowance | None = None,
) -> Masked:
    """A masked copy of a request's body; what needs no change is shared with the original.

    `sources` says for messages (by index) and other fields (by name) that they hold something else than their role or
    name tells: passages of documents, above all.
    Counts are of distinct values: a value that stands five times in the request counts once.
    Raises Blocked, MediaRefused, TextTooLarge, TooDeep (all PiiRefused), or DetectorFailed; Exhausted where the body
    needs more than the allowance: what was found until then is remembered, and the same call may go on from it.
    """
    walk = _Walk(body, rules, engine, vault, cache, Direction.REQUEST, allowance)
    masked = walk.request(body, sources or {})
    walk.refuse_blocked()
    return Masked(masked, walk.counts(), vault)


def mask_value(
    value: Any,
    rules: PiiRules,
    engine: Engine,
    vault: Vault,
    cache: Findings,
    *,
    source: Source = Source.OTHER,
    direction: Direction = Direction.REQUEST,
) -> tuple[Any, dict[str, int]]:
    """Any JSON value, masked, and the counts. Raises as `mask_request`."""
    walk = _Walk(value, rules, engine, vault, cache, direction)
    masked = walk.value(value, source, "", 0)
    walk.refuse_blocked()
    return masked, walk.counts()


def redact(
    text: str,
    rules: PiiRules,
    engine: Engine,
    vault: Vault,
    cache: Findings,
    *,
    source: Source = Source.USER,
    direction: Direction = Direction.REQUEST,
) -> list[Replacement]:
    """What is to be replaced in one text, by place. Raises as `mask_request`."""
    walk = _Walk(text, rules, engine, vault, cache, direction)
    replacements = walk.replacements(text, source)
    walk.refuse_blocked()
    return replacements


async def mask_request_async(
    body: dict[str, Any],
    rules: PiiRules,
    engine: Engine,
    vault: Vault,
    cache: Findings,
    *,
    sources: Mapping[int | str, Source] | None = None,
    executor: Executor | None = None,
) -> Masked:
    """As `mask_request`; on the event loop while little is new, in a thread otherwise.

    A thread makes it no faster, as the interpreter is one; it keeps the loop answering. The two take turns of
    `sys.getswitchinterval()`, and the loop loses its turn at each scan and system call. Measured with 400-character
    prompts masked on the loop beside a long one in the thread: a step of the loop waits 15 ms (99th percentile) with
    Python's 5 ms turns, 8 ms with turns of 1 ms, and no less with shorter ones, which only cost more.
    """
    mask = partial(mask_request, body, rules, engine, vault, cache, sources=sources)
    try:
        return mask(allowance=Allowance())
    except Exhausted:
        return await asyncio.get_running_loop().run_in_executor(executor, mask)


def strings(value: Any) -> list[str]:
    """Every string of a JSON value, keys included."""
    found: list[str] = []
    waiting = [value]
    for item in waiting:  # it grows while it is walked
        if isinstance(item, str):
            found.append(item)
        elif isinstance(item, dict):
            found += item
            waiting += item.values()
        elif isinstance(item, list):
            waiting += item
    return found


class _Walk:
    """One pass over one value."""

    def __init__(
        self,
        root: Any,
        rules: PiiRules,
        engine: Engine,
        vault: Vault,
        cache: Findings,
        direction: Direction,
        allowance: Allowance | None = None,
    ) -> None:
        self._root, self._rules, self._engine, self._vault, self._cache = root, rules, engine, vault, cache
        self._direction, self._allowance = direction, allowance
        self._seen: dict[str, set[str]] = {}
        self._blocked: set[str] = set()
        self._reserved = False
        self._deadline = time.monotonic() + engine.time_limit

    def counts(self) -> dict[str, int]:
        return {kind: len(values) for kind, values in sorted(self._seen.items())}

    def refuse_blocked(self) -> None:
        if self._blocked:
            raise Blocked(self._blocked)

    # --- the shape of a request ---------------------------------------------------------------------------------------

    def request(self, body: dict[str, Any], sources: Mapping[int | str, Source]) -> dict[str, Any]:
        changes: dict[str, tuple[str, Any]] = {}
        for name, value in body.items():
            new_name = self.key(name, Source.OTHER, 1)
            if name in SETTINGS and not isinstance(value, (str, dict, list)):
                new: Any = value
            elif name == "model" and isinstance(value, str):  # the gateway knows all of them
                new = value
            elif name in ("messages", "input") and isinstance(value, list):
                new = self._messages(value, sources)
            else:
                new = self.value(value, sources.get(name) or SOURCE_OF_FIELD.get(name, Source.OTHER), _hint(name), 1)
            if new is not value or new_name is not name:
                changes[name] = new_name, new
        return _rebuilt(body, changes)

    def _messages(self, messages: list[Any], sources: Mapping[int | str, Source]) -> list[Any]:
        return _same_or(
            [self._message(message, sources.get(index)) for index, message in enumerate(messages)], messages
        )

    def _message(self, message: Any, source: Source | None) -> Any:
        if not isinstance(message, dict):
            return self.value(message, source or Source.USER, "", 2)
        role, kind = message.get("role"), message.get("type")
        if source is None:
            source = (
                SOURCE_OF_ROLE.get(role, Source.OTHER)
                if isinstance(role, str)
                else _known(SOURCE_OF_PART, kind, Source.OTHER)
            )
        return self._object(message, source, 2, parts=True)

    def _part(self, part: Any, source: Source, depth: int) -> Any:
        """One content part: text, media that the rules must allow, or a tool's result, which has parts of its own."""
        if not isinstance(part, dict):
            return self.value(part, source, "", depth)
        kind = part.get("type")
        source = _known(SOURCE_OF_PART, kind, source)
        media = _known(MEDIA_OF_PART, kind, "") or (
            "file" if kind == "document" and not _is_text_document(part) else ""
        )
        if not media:
            return self._object(part, source, depth, parts=True)
        if media not in self._rules.media:
            raise MediaRefused(media)
        return self._media(part, source, "", depth)

    def _media(self, value: Any, source: Source, name: str, depth: int) -> Any:
        """An allowed part: its payload passes as it is, a link to it as well; all else is masked like any text."""
        _check_depth(depth)
        if isinstance(value, dict):
            changes = {
                key: (self.key(key, source, depth), self._media(item, source, key, depth + 1))
                for key, item in value.items()
            }
            return _rebuilt(value, changes)
        if isinstance(value, list):
            return [self._media(item, source, name, depth + 1) for item in value]
        if isinstance(value, str):
            url = _EMBEDDED_MEDIA.match(value)
            if (url or name in ("data", "file_data")) and _PAYLOAD.fullmatch(value, url.end() if url else 0):
                return value
            found = self._find(value, "") if value.startswith(("http://", "https://")) else None
            if found is not None and all(entity.type == "URL" for entity in found):
                return value
        return self.value(value, source, "", depth)

    # --- any JSON value -----------------------------------------------------------------------------------------------

    def value(self, value: Any, source: Source, hint: str, depth: int) -> Any:
        if isinstance(value, str):
            return self.text(value, source, hint, depth)
        if isinstance(value, dict):
            return self._object(value, source, depth)
        if isinstance(value, list):
            _check_depth(depth)
            return _same_or([self.value(item, source, hint, depth + 1) for item in value], value)
        if isinstance(value, float) or (isinstance(value, int) and abs(value) >= _LONG_NUMBER):
            new = self._number(repr(value), source, hint)
            return value if new is None else new
        return value

    def _object(self, value: dict[str, Any], source: Source, depth: int, *, parts: bool = False) -> dict[str, Any]:
        """An object; with `parts`, its content may be a list of content parts, some of which are media."""
        _check_depth(depth)
        changes: dict[str, tuple[str, Any]] = {}
        for name, item in value.items():
            new_name = self.key(name, source, depth)
            if parts and name == "content" and isinstance(item, list):
                new: Any = _same_or([self._part(part, source, depth + 2) for part in item], item)
            else:
                new = self.value(item, source, _hint(name), depth + 1)
            if new is not item or new_name is not name:
                changes[name] = new_name, new
        return _rebuilt(value, changes)

    def key(self, name: str, source: Source, depth: int) -> str:
        return name if name in PROTOCOL_WORDS else self.text(name, source, "", depth)

    def _number(self, written: str, source: Source, hint: str) -> str | None:
        """What stands for a long number that is somebody's; None for any other."""
        if sum(map(str.isdigit, written)) < 9:
            return None
        verdict = self._judge(written, source, hint)
        if not verdict.entities:
            return None
        best = max(verdict.entities, key=lambda entity: (entity.end - entity.start, entity.score))
        return self._stand_in(best.type, written)

    def text(self, text: str, source: Source, hint: str, depth: int) -> str:
        if text in PROTOCOL_WORDS or not text:
            return text
        self._refuse_embedded_media(text)
        verdict = self._judge(text, source, hint)
        if text[0] in "{[ \t\r\n" and (verdict.entities or (self._rules.has_deny_list and "\\" in text)):
            inner = self._json(text, source, depth)
            if inner is not None:
                return inner
        if not verdict.entities:
            return text
        return replaced(text, self._replacements(text, verdict))

    def replacements(self, text: str, source: Source) -> list[Replacement]:
        """What one text's entities are replaced by, for callers that want the places."""
        return list(self._replacements(text, self._judge(text, source, "")))

    # --- JSON inside of strings --------------------------------------------------------------------------------------

    def _json(self, text: str, source: Source, depth: int) -> str | None:
        """Masks JSON text in place; None if it is no JSON."""
        _check_depth(depth)
        if not is_container(text):
            return None
        hint = ""

        def string(value: str, is_key: bool) -> str:
            nonlocal hint
            if not is_key:
                return self.text(value, source, hint, depth + 1)
            hint = _hint(value)
            return self.key(value, source, depth + 1)

        return rewrite(text, string, lambda written: self._number(written, source, hint))

    # --- one text ----------------------------------------------------------------------------------------------------

    def _find(self, text: str, hint: str) -> tuple[Entity, ...]:
        key = self._cache.key(text, hint, self._engine.version)
        found = self._cache.get(key)
        if found is None:
            if time.monotonic() > self._deadline:
                raise DetectorFailed("The detection of personal data took too long, so nothing may pass.")
            found = self._engine.detect(text, hint, self._allowance)
            self._cache.put(key, found)
        return found

    def _judge(self, text: str, source: Source, hint: str) -> Verdict:
        found = self._find(text, hint)
        if not found and not self._rules.has_deny_list:
            return CLEAN
        verdict = judge(text, found, self._rules, source, self._direction)
        self._blocked |= verdict.blocked
        return verdict

    def _replacements(self, text: str, verdict: Verdict) -> Iterator[Replacement]:
        for entity in verdict.entities:
            new = self._stand_in(entity.type, text[entity.start : entity.end])
            yield Replacement(entity.type, entity.start, entity.end, entity.score, new)

    def _stand_in(self, kind: str, value: str) -> str:
        self._seen.setdefault(kind, set()).add(value)
        if not self._reserved:
            self._vault.reserve(strings(self._root))
            self._reserved = True
        return stand_in(kind, value, self._rules.rule_for(kind).action, self._vault)

    def _refuse_embedded_media(self, text: str) -> None:
        """A data URL is an image, a sound or a file, wherever it stands. One of text is read like text."""
        if ";base64," not in text and ";BASE64," not in text:
            return
        for match in _EMBEDDED_MEDIA.finditer(text):
            media = match[1].lower().replace("application", "file")
            if media not in self._rules.media:
                raise MediaRefused(media)


def _hint(name: str) -> str:
    return "" if name in PLAIN_FIELDS else name


def _known(table: Mapping[str, Any], name: Any, default: Any) -> Any:
    """A table's value for a name that a client wrote, and which so may be anything."""
    return table.get(name, default) if isinstance(name, str) else default


def _is_text_document(part: Mapping[str, Any]) -> bool:
    source = part.get("source")
    return isinstance(source, dict) and source.get("type") in ("text", "content")


def _check_depth(depth: int) -> None:
    if depth > DEPTH:
        raise TooDeep


def _same_or(new: list[Any], old: list[Any]) -> list[Any]:
    """The old list where nothing in it changed."""
    return new if any(one is not other for one, other in zip(new, old, strict=True)) else old


def _rebuilt(value: dict[str, Any], changes: Mapping[str, tuple[str, Any]]) -> dict[str, Any]:
    """The object with its changed names and values, in the order it had; the same object when nothing changed."""
    if not changes:
        return value
    rebuilt: dict[str, Any] = {}
    for name, item in value.items():
        new_name, new = changes.get(name, (name, item))
        while new_name in rebuilt:  # two keys whose masks are alike must not become one
            new_name += "_"
        rebuilt[new_name] = new
    return rebuilt
