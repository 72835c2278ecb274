"""A stream on its way back: the upstream's events become the client's, with originals in place of placeholders.

Nothing here does I/O. A block of events that all have the same frame around their text (nearly every block of nearly
every stream) is handled as a whole, without parsing; everything else is parsed event by event.
"""

from __future__ import annotations

import json
import re
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any, ClassVar, Final, Protocol

import orjson

from .data import Tokens
from .errors import GatewayError, UpstreamError
from .providers.events import DONE, event, reported_error
from .providers.tokens import count_text, first_tokens, reported

#: Where a text is itself JSON, so that an original must be escaped to stand in it.
_JSON_FIELDS: Final = frozenset({"arguments", "partial_json"})
#: Strings of a delta that are no output of the model.
_LABELS: Final = frozenset({"role", "id", "type", "index", "format"})
#: Attempts to learn the frame of a stream whose events all differ.
_TRIES: Final = 5

_FRAME = re.compile(rb'(data: \{.*?"delta": ?\{"content": ?")(?:[^"\\]|\\.)*("\}.*)\Z', re.DOTALL)

Path = tuple[str | int, ...]


class Restorer(Protocol):
    """Puts originals in the place of placeholders, in a text that comes in pieces."""

    def feed(self, text: str) -> str:
        """What is certain by now; the rest is held."""
        ...

    def flush(self) -> str:
        """What was held, at the end of the text."""
        ...


#: Makes a Restorer; the argument says whether originals are escaped as JSON.
MakeRestorer = Callable[[bool], Restorer]


@dataclass(frozen=True, slots=True)
class Ending:
    """What is known of a stream once its outcome is durable. `base`: the fields that all chunks of it share."""

    base: Mapping[str, Any]
    usage: Mapping[str, Any]  #: OpenAI's object, as the vendor reported it or as it was counted here
    tokens: Tokens
    cost: str | None = None  #: US dollars
    citations: Sequence[Mapping[str, Any]] | None = None
    stopped_by: str = ""
    finish: str = ""  #: of the first choice


class Form(Protocol):
    """How a dialect writes a stream. What it gets are chunks in OpenAI's chat form, restored already."""

    #: Texts stand one after the other: what is held of one goes out before another begins.
    ordered: ClassVar[bool]

    def texts(self, frame: Frame, parts: list[bytes]) -> bytes:
        """Texts of one choice, escaped as in JSON strings, as events."""
        ...

    def chunk(self, value: dict[str, Any]) -> bytes:
        """One chunk as events."""
        ...

    def end(self, last: list[dict[str, Any]], ending: Ending) -> bytes:
        """The last chunks, and what closes a stream that ended well."""
        ...

    def broken(self, error: GatewayError) -> bytes:
        """What closes a stream that did not."""
        ...


class ChatForm:
    """OpenAI's chat completions. `include_usage`: the client asked for the usage event."""

    ordered: ClassVar[bool] = False

    def __init__(self, include_usage: bool = False) -> None:
        self._include_usage = include_usage

    def texts(self, frame: Frame, parts: list[bytes]) -> bytes:
        return frame.wrap(parts)

    def chunk(self, value: dict[str, Any]) -> bytes:
        return dump(value)

    def end(self, last: list[dict[str, Any]], ending: Ending) -> bytes:
        last = list(last)
        if self._include_usage:
            cost = {} if ending.cost is None else {"cost": ending.cost}
            last.append({**ending.base, "choices": [], "usage": {**ending.usage, **cost}})
        if ending.citations is not None:
            if not last:
                last.append({**ending.base, "choices": [{"index": 0, "delta": {}, "finish_reason": None}]})
            last[-1]["citations"] = list(ending.citations)
        return b"".join([*map(dump, last), DONE])

    def broken(self, error: GatewayError) -> bytes:
        return error.event()


class StreamRewriter:
    """One stream. `feed` each block, and when `done`, send what `end` returns: nothing before is the last event.

    alias: the model's name for the client; id: the answer's id; make_restorer: None when there is nothing to restore;
    json_mode: JSON was asked for (content that begins with `{` is taken for JSON as well); include_usage: the client
    asked for the usage event; ceiling: output tokens that are paid for, after which the stream is cut (None: none);
    form: how the dialect writes it (None: as chat completions).
    """

    __slots__ = (
        "_alias",
        "_created",
        "_finished",
        "_form",
        "_frame",
        "_held",
        "_id",
        "_json_mode",
        "_leaves",
        "_make",
        "_meter",
        "_texts",
        "_tries",
        "_usage",
        "done",
        "finish_reasons",
        "stopped_by",
        "tokens",
    )

    def __init__(
        self,
        alias: str,
        id: str,
        make_restorer: MakeRestorer | None = None,
        *,
        json_mode: bool = False,
        include_usage: bool = False,
        ceiling: int | None = None,
        form: Form | None = None,
    ) -> None:
        self._alias, self._id, self._make = alias, id, make_restorer
        self._json_mode = json_mode
        self._form: Form = ChatForm(include_usage) if form is None else form
        self._meter = None if ceiling is None else Meter(ceiling)
        self._frame: Frame | None = None
        self._tries = _TRIES
        self._held: list[dict[str, Any]] = []
        self._leaves: dict[int, dict[Path, Restorer]] = {}
        self._texts: dict[Path, list[bytes | str]] = {}
        self._usage: dict[str, Any] | None = None
        self._created: int | None = None
        self._finished = False
        self.done = False  #: no more blocks are wanted: the upstream has ended or the stream was cut
        self.stopped_by = ""  #: "budget" when it was cut
        self.finish_reasons: dict[int, str] = {}  #: by choice
        self.tokens: Tokens | None = None  #: what the upstream reported

    # -- the stream -----------------------------------------------------------------------------------------------

    def feed(self, block: bytes) -> bytes:
        """What of a block of whole events may go to the client now. Raises UpstreamError."""
        sent: list[bytes] = []
        at = 0
        while at < len(block) and not self.done:
            at = self._framed(block, at, sent) or self._parsed(block, at, sent)
        return b"".join(sent)

    def cut(self) -> None:
        """Ends the stream here, properly: `end` says that the budget stopped it."""
        if not self.done:
            self.stopped_by, self.done = "budget", True

    def end(
        self,
        *,
        citations: Sequence[Mapping[str, Any]] | None = None,
        cost: str | None = None,
        tokens: Tokens | None = None,
    ) -> bytes:
        """The last events, once the outcome is durable: finish, usage where asked, `[DONE]`.

        cost: US dollars for the usage event; tokens: for it as well, when the upstream reported none.
        """
        if self._finished:
            return b""
        self._finished = True
        last = [*self._held, *self._closing()]
        counted = self.tokens or tokens or Tokens()
        ending = Ending(
            base=self._base(),
            usage=self._usage if self._usage is not None else usage_of(counted),
            tokens=counted,
            cost=cost,
            citations=citations,
            stopped_by=self.stopped_by,
            finish=self.finish_reasons.get(0, ""),
        )
        return self._form.end(last, ending)

    def broken(self, error: GatewayError) -> bytes:
        """The last event of a stream that broke: what went wrong, in the dialect's shape."""
        return self._form.broken(error)

    # -- what was delivered -----------------------------------------------------------------------------------------

    def text(self, choice: int = 0) -> str:
        """The content that the upstream has sent for a choice, placeholders in it."""
        return "".join(map(_plain, self._texts.get((choice, "content"), ())))

    def answer(self) -> dict[str, Any]:
        """All that the upstream has said as a completion, for those who look at it: each text under its place."""
        messages: dict[int, dict[str, Any]] = {}
        for path, pieces in self._texts.items():
            name = ".".join(str(part) for part in path[1:])
            messages.setdefault(int(path[0]), {})[name] = "".join(map(_plain, pieces))
        choices = [{"index": index, "message": message} for index, message in sorted(messages.items())]
        return {"choices": choices}

    def restored(self, choice: int = 0) -> str:
        """The same as the client reads it."""
        text = self.text(choice)
        if self._make is None:
            return text
        restorer = self._make(self._is_json(("content",), text))
        return restorer.feed(text) + restorer.flush()

    def output_tokens(self) -> int:
        """All that has passed (contents, arguments, reasoning), counted here: for a stream without reported usage."""
        return sum(count_text("".join(map(_plain, pieces))) for pieces in self._texts.values())

    # -- many events at once ------------------------------------------------------------------------------------------

    def _framed(self, block: bytes, at: int, sent: list[bytes]) -> int:
        """Takes the events from `at` that differ in their text only; returns where they end, 0 when they do not."""
        frame = self._frame
        if frame is None or not block.startswith(frame.head, at):
            return 0
        parts, end = frame.texts(block, at)
        text = b"".join(parts)
        if not parts:
            return 0
        if b"\n" in text or (b'"' in text and not _is_string(text)):
            self._frame = None  # others stand between them: do not look that far again
            return 0
        if self._meter is not None and not self._meter.take_escaped(text):
            return 0
        self._tries = _TRIES
        self._texts.setdefault((frame.choice, "content"), []).append(text)
        if self._held:
            sent.append(self._release())
        if self._make is not None:
            parts = self._restored_parts(frame.choice, parts, text)
        if parts:
            sent.append(self._form.texts(frame, parts))
        return end

    def _restored_parts(self, choice: int, parts: list[bytes], escaped: bytes) -> list[bytes]:
        """The texts of some events with originals. Where something was put in or held, they become one text."""
        text = unescaped(escaped)
        restored = self._restore(choice, ("content",), text)
        if restored == text:
            return parts
        return [_escaped(restored)] if restored else []

    # -- events one by one ------------------------------------------------------------------------------------------

    def _parsed(self, block: bytes, at: int, sent: list[bytes]) -> int:
        """Takes the event at `at`; returns where it ends."""
        end = block.index(b"\n\n", at)
        raw = block[at:end]
        if raw == b"data: [DONE]":
            self.done = True
        else:
            self._take(raw, sent)
        return end + 2

    def _take(self, raw: bytes, sent: list[bytes]) -> None:
        """One event; what may go to the client is appended to `sent`."""
        value = _load(raw[6:])
        if value.get("error"):
            raise reported_error(value["error"])
        upstream_id, upstream_model = value.get("id"), value.get("model")
        value["id"], value["model"] = self._id, self._alias
        self._created = value.get("created", self._created)
        choices = self._without_usage(value)
        if choices is None:
            return
        if self._meter is not None and not self._affords(self._meter, choices):
            self.cut()
            if not _has_text(choices):
                return
        ended = False
        for choice in choices:
            tails = self._choice(choice)
            ended = ended or bool(choice.get("finish_reason"))
            if tails:
                sent.append(self._release() + b"".join(tails))
        if ended:
            self._held.append(value)
            return
        sent.append(self._release() + self._form.chunk(value))
        if not _is_bare_text(choices):
            self._frame = None  # what a dialect puts around a text may be another afterwards
        elif self._tries:
            self._tries -= 1
            self._frame = Frame.of(raw, choices, (upstream_id, self._id), (upstream_model, self._alias))

    def _without_usage(self, value: dict[str, Any]) -> list[dict[str, Any]] | None:
        """The event's choices; None when all that it had was the usage, which waits for the end."""
        usage, choices = value.get("usage"), value.get("choices")
        if isinstance(usage, dict) and usage:
            self._usage, self.tokens = usage, reported(usage) or self.tokens
            del value["usage"]
            if not choices:
                return None
        if not isinstance(choices, list):
            return []
        return [choice for choice in choices if isinstance(choice, dict)]

    def _choice(self, choice: dict[str, Any]) -> list[bytes]:
        """Restores a choice's delta in place; returns the events with held text that must go before it."""
        index, delta = _index(choice), choice.get("delta")
        tails: list[bytes] = []
        if isinstance(delta, dict):
            if self._form.ordered and self._leaves.get(index):
                tails += self._before(index, delta)
            self._walk(index, (), delta)
        if not choice.get("finish_reason"):
            return tails
        self.finish_reasons[index] = str(choice["finish_reason"])
        for path, tail in self._tails(index):
            if not isinstance(delta, dict) or not _append(delta, path, tail):
                tails.append(self._form.chunk(self._event_of(index, _nested(path, tail))))
        return tails

    def _before(self, index: int, delta: dict[str, Any]) -> list[bytes]:
        """Held ends of texts that this delta does not go on with, when it begins or goes on with another."""
        going_on = {path for path, text in _leaves_of(delta) if text}
        if not going_on:
            return []
        leaves = self._leaves[index]
        tails = [(path, leaves.pop(path).flush()) for path in [*leaves] if path not in going_on]
        return [self._form.chunk(self._event_of(index, _nested(path, tail))) for path, tail in tails if tail]

    def _walk(self, index: int, path: Path, of: dict[str, Any] | list[Any]) -> None:
        items: Iterator[tuple[Any, Any]] = iter(of.items()) if isinstance(of, dict) else enumerate(of)
        for key, value in list(items):
            if isinstance(value, str):
                of[key] = self._string(index, (*path, key), value)
            elif isinstance(value, dict):
                self._walk(index, (*path, _position(value, key) if isinstance(of, list) else key), value)
            elif isinstance(value, list):
                self._walk(index, (*path, key), value)

    def _string(self, index: int, path: Path, text: str) -> str:
        if path[-1] in _LABELS:
            return text
        if text:
            self._texts.setdefault((index, *path), []).append(text)
        return text if self._make is None else self._restore(index, path, text)

    def _restore(self, index: int, path: Path, text: str) -> str:
        leaves = self._leaves.setdefault(index, {})
        restorer = leaves.get(path)
        if restorer is None:
            if not text or text.isspace():
                return text
            assert self._make is not None
            restorer = leaves[path] = self._make(self._is_json(path, text))
        return restorer.feed(text)

    def _is_json(self, path: Path, text: str) -> bool:
        """Whether a text that begins like this is JSON: by its place, as was asked, or by its first character."""
        if path == ("content",):
            return self._json_mode or text.lstrip()[:1] == "{"
        return path[-1] in _JSON_FIELDS

    def _tails(self, index: int) -> Iterator[tuple[Path, str]]:
        for path, restorer in self._leaves.pop(index, {}).items():
            tail = restorer.flush()
            if tail:
                yield path, tail

    def _affords(self, meter: Meter, choices: list[dict[str, Any]]) -> bool:
        """Whether an event fits under the ceiling; a lone text is shortened to what still does."""
        texts = [text for choice in choices for text in _texts_of(choice.get("delta"))]
        if not texts or meter.take("".join(texts)):
            return True
        for choice in choices:
            delta = choice.get("delta")
            if isinstance(delta, dict):
                kept = meter.rest(delta["content"]) if len(texts) == 1 and delta.get("content") == texts[0] else ""
                choice["delta"] = {"content": kept} if kept else {}
            choice["finish_reason"] = None
        return False

    # -- the end ----------------------------------------------------------------------------------------------------

    def _release(self) -> bytes:
        """Held finish events, when more follows: they were not the last."""
        if not self._held:
            return b""
        sent = b"".join(map(self._form.chunk, self._held))
        self._held.clear()
        return sent

    def _closing(self) -> list[dict[str, Any]]:
        """Held text of choices that did not finish, and their finish when the stream was cut."""
        events = []
        for index in sorted({*self._leaves, *(int(path[0]) for path in self._texts)} - self.finish_reasons.keys()):
            events += [self._event_of(index, _nested(path, tail)) for path, tail in self._tails(index)]
            if self.stopped_by:
                self.finish_reasons[index] = "length"
                events.append(self._event_of(index, {}, "length"))
        if self.stopped_by:
            if not events:
                events.append(self._event_of(0, {}, "length"))
            events[-1]["customhouse"] = {"stopped_by": self.stopped_by}
        return events

    def _event_of(self, index: int, delta: dict[str, Any], finish: str | None = None) -> dict[str, Any]:
        choice = {"index": index, "delta": delta, "finish_reason": finish}
        return {**self._base(), "choices": [choice]}

    def _base(self) -> dict[str, Any]:
        return {
            "id": self._id,
            "object": "chat.completion.chunk",
            "created": self._created or 0,
            "model": self._alias,
        }


@dataclass(slots=True)
class Collected:
    """A stream as one completion, and the tokens that it reported."""

    body: dict[str, Any]
    tokens: Tokens | None
    _base: dict[str, Any]

    def events(self, body: Mapping[str, Any]) -> list[bytes]:
        """A completion, this one or what is left of it, as the blocks of a stream."""
        values: list[dict[str, Any]] = []
        for choice in body["choices"]:
            index, message = choice["index"], dict(choice["message"])
            if message.get("tool_calls"):
                message["tool_calls"] = [{"index": n, **call} for n, call in enumerate(message["tool_calls"])]
            values.append({"choices": [{"index": index, "delta": message, "finish_reason": None}]})
            values.append({"choices": [{"index": index, "delta": {}, "finish_reason": choice["finish_reason"]}]})
        if body.get("usage"):
            values.append({"choices": [], "usage": body["usage"]})
        return [*(dump({**self._base, **value}) for value in values), DONE]


def collected(blocks: Sequence[bytes]) -> Collected:
    """The completion that the blocks of a whole stream tell. Raises UpstreamError."""
    choices: dict[int, dict[str, Any]] = {}
    base: dict[str, Any] = {"object": "chat.completion.chunk"}
    usage: dict[str, Any] | None = None
    for raw in b"".join(blocks).split(b"\n\n"):
        if not raw or raw == b"data: [DONE]":
            continue
        value = _load(raw[6:])
        if value.get("error"):
            raise reported_error(value["error"])
        base |= {name: value[name] for name in ("id", "created", "model") if name in value}
        usage = value.get("usage") or usage
        for choice in value.get("choices") or ():
            _gather(choices.setdefault(_index(choice), {"role": "assistant", "content": None}), choice)
    found = [
        {"index": index, "finish_reason": message.pop("finish_reason", None), "message": message}
        for index, message in sorted(choices.items())
    ]
    for choice in found:
        if "tool_calls" in choice["message"]:
            choice["message"]["tool_calls"] = [*choice["message"]["tool_calls"].values()]
    body: dict[str, Any] = {"choices": found} if usage is None else {"choices": found, "usage": usage}
    return Collected(body, reported(usage), base)


def _gather(message: dict[str, Any], choice: Mapping[str, Any]) -> None:
    """Adds what a chunk says to a message; calls of tools stand under their index."""
    if choice.get("finish_reason"):
        message["finish_reason"] = choice["finish_reason"]
    delta = choice.get("delta")
    for name, value in delta.items() if isinstance(delta, dict) else ():
        if name == "role":
            continue
        if isinstance(value, str):
            message[name] = (message.get(name) or "") + value
        elif name == "tool_calls" and isinstance(value, list):
            for position, call in enumerate(value):
                if isinstance(call, dict):
                    _gather_call(message.setdefault("tool_calls", {}), _position(call, position), call)
        elif value is not None:
            message[name] = value


def _gather_call(calls: dict[int, dict[str, Any]], number: int, call: Mapping[str, Any]) -> None:
    made = calls.setdefault(number, {"id": "", "type": "function", "function": {"name": "", "arguments": ""}})
    made["id"] = call.get("id") or made["id"]
    function = call.get("function")
    if isinstance(function, dict):
        made["function"]["name"] = function.get("name") or made["function"]["name"]
        made["function"]["arguments"] += function.get("arguments") or ""


@dataclass(frozen=True, slots=True)
class Frame:
    """What stands around the text in the events of a stream, and what stands there for the client."""

    choice: int
    head: bytes
    tail: bytes
    our_head: bytes
    our_tail: bytes
    our_joint: bytes

    @classmethod
    def of(
        cls,
        raw: bytes,
        choices: list[dict[str, Any]],
        id: tuple[Any, str],
        model: tuple[Any, str],
    ) -> Frame | None:
        """The frame of an event that holds one choice with a text and nothing else; None for any other."""
        if not _is_bare_text(choices):
            return None
        found = _FRAME.match(raw)
        if found is None or b'"usage":{' in raw.replace(b" ", b""):
            return None
        head, tail = found[1], found[2]
        ours = _renamed(head, tail, (b"id", *id), (b"model", *model))
        if ours is None:
            return None
        our_head, our_tail = ours[0], ours[1] + b"\n\n"
        return cls(_index(choices[0]), head, tail, our_head, our_tail, our_tail + our_head)

    def texts(self, block: bytes, at: int) -> tuple[list[bytes], int]:
        """The texts of the events from `at` that have this frame, and where those end.

        Cut at the blank lines, which no event holds: looking for the whole of what stands between two texts takes four
        times as long. Where all but the last have the frame, one comparison shows it.
        """
        head, tail = self.head, self.tail
        begin, cut, shortest = len(head), -len(tail), len(head) + len(tail)
        events = block[at:].split(b"\n\n")[:-1]
        same = len(events)
        while same and not (events[same - 1].startswith(head) and events[same - 1].endswith(tail)):
            same -= 1  # how a stream ends
        parts = [one[begin:cut] for one in events[:same]]
        framed = head + (tail + b"\n\n" + head).join(parts) + tail + b"\n\n"
        if parts and block.startswith(framed, at):
            return parts, at + len(framed)
        parts = []
        for one in events:
            if len(one) < shortest or not one.startswith(head) or not one.endswith(tail):
                break
            parts.append(one[begin:cut])
            at += len(one) + 2
        return parts, at

    def wrap(self, parts: list[bytes]) -> bytes:
        """The client's events around these texts."""
        return self.our_head + self.our_joint.join(parts) + self.our_tail


class Meter:
    """Counts output against a ceiling, exactly but seldom: a token has at least one byte, so while the bytes since the
    last count fit, nothing needs counting.
    """

    __slots__ = ("_ceiling", "_counted", "_unsure", "_waiting")

    def __init__(self, ceiling: int) -> None:
        self._ceiling = ceiling
        self._counted = self._unsure = 0
        self._waiting: list[bytes | str] = []

    def take_escaped(self, text: bytes) -> bool:
        """As `take`, for text that is escaped as in a JSON string (which makes it longer, never shorter)."""
        return self._take(text, len(text))

    def take(self, text: str) -> bool:
        """Counts a piece when it fits under the ceiling; otherwise it counts nothing and answers False."""
        return self._take(text, len(text) if text.isascii() else len(text.encode("utf-8", "surrogatepass")))

    def rest(self, text: str) -> str:
        """The beginning of a text that still fits; it is counted."""
        self._settle()
        kept = first_tokens(text, self._ceiling - self._counted)
        self._counted = self._ceiling
        return kept

    def _take(self, text: bytes | str, most: int) -> bool:
        if self._counted + self._unsure + most > self._ceiling:
            self._settle()
            if self._counted + most > self._ceiling and self._counted + count_text(_plain(text)) > self._ceiling:
                return False
        self._unsure += most
        self._waiting.append(text)
        return True

    def _settle(self) -> None:
        self._counted += count_text("".join(map(_plain, self._waiting)))
        self._unsure = 0
        self._waiting.clear()


def usage_of(tokens: Tokens) -> dict[str, Any]:
    """OpenAI's usage object for tokens of our kinds."""
    prompt = tokens.input + tokens.cached_input + tokens.cache_write + tokens.embedding
    completion = tokens.output + tokens.reasoning
    usage: dict[str, Any] = {
        "prompt_tokens": prompt,
        "completion_tokens": completion,
        "total_tokens": prompt + completion,
    }
    if tokens.cached_input:
        usage["prompt_tokens_details"] = {"cached_tokens": tokens.cached_input}
    if tokens.reasoning:
        usage["completion_tokens_details"] = {"reasoning_tokens": tokens.reasoning}
    return usage


# -- JSON, with the lone surrogates that some vendors send ----------------------------------------------------------


def _load(data: bytes) -> dict[str, Any]:
    try:
        value = orjson.loads(data)
    except orjson.JSONDecodeError:
        try:
            value = json.loads(data)
        except ValueError:
            raise UpstreamError("The model's answer is not valid JSON.") from None
    if not isinstance(value, dict):
        raise UpstreamError("The model's answer is not a chat completion.")
    return value


def dump(value: Any) -> bytes:
    """One event."""
    try:
        return event(value)
    except TypeError:  # a lone surrogate cannot be written as UTF-8, only escaped
        return b"data: " + json.dumps(value, separators=(",", ":")).encode() + b"\n\n"


def _is_string(escaped: bytes) -> bool:
    try:
        orjson.loads(b'"' + escaped + b'"')
    except orjson.JSONDecodeError:
        return False
    return True


def unescaped(part: bytes) -> str:
    """A text as it stands in a JSON string, read. Raises UpstreamError."""
    try:
        return part.decode() if b"\\" not in part else str(orjson.loads(b'"' + part + b'"'))
    except (UnicodeDecodeError, orjson.JSONDecodeError):
        try:
            return str(json.loads(b'"' + part + b'"'))
        except ValueError:
            raise UpstreamError("The model's answer is not valid JSON.") from None


def _escaped(text: str) -> bytes:
    try:
        return orjson.dumps(text)[1:-1]
    except TypeError:
        return json.dumps(text)[1:-1].encode()


def _plain(piece: bytes | str) -> str:
    return piece if isinstance(piece, str) else unescaped(piece)


# -- small parts of events ------------------------------------------------------------------------------------------


def _index(choice: Mapping[str, Any]) -> int:
    index = choice.get("index")
    return index if isinstance(index, int) else 0


def _position(element: Mapping[str, Any], position: int) -> int:
    """The `index` that an element of a list gives itself (tool calls do), or where it stands."""
    index = element.get("index")
    return index if isinstance(index, int) else position


def _is_bare_text(choices: list[dict[str, Any]]) -> bool:
    """Whether all that an event adds is a text to one choice."""
    if len(choices) != 1 or choices[0].get("finish_reason"):
        return False
    return [*(choices[0].get("delta") or ())] == ["content"]


def _leaves_of(value: Any, path: Path = ()) -> Iterator[tuple[Path, str]]:
    """Every string of a delta that the model has written, with its path."""
    items: Iterator[tuple[Any, Any]] = iter(value.items()) if isinstance(value, dict) else enumerate(value)
    for key, inner in items:
        if isinstance(inner, str):
            if key not in _LABELS:
                yield (*path, key), inner
        elif isinstance(inner, dict):
            yield from _leaves_of(inner, (*path, _position(inner, key) if isinstance(value, list) else key))
        elif isinstance(inner, list):
            yield from _leaves_of(inner, (*path, key))


def _has_text(choices: list[dict[str, Any]]) -> bool:
    return any(choice.get("delta") for choice in choices)


def _texts_of(value: Any) -> Iterator[str]:
    """The strings of a delta that the model has written."""
    if isinstance(value, dict):
        for key, inner in value.items():
            if isinstance(inner, str):
                if inner and key not in _LABELS:
                    yield inner
            else:
                yield from _texts_of(inner)
    elif isinstance(value, list):
        for inner in value:
            if isinstance(inner, str):
                yield inner
            else:
                yield from _texts_of(inner)


def _renamed(head: bytes, tail: bytes, *fields: tuple[bytes, Any, str]) -> tuple[bytes, bytes] | None:
    """The frame with other values in these fields; None unless each stands in it exactly once, in the expected form."""
    for name, old, new in fields:
        if not isinstance(old, str):
            return None
        for colon in (b'":', b'": '):
            was, becomes = b'"' + name + colon + orjson.dumps(old), b'"' + name + colon + orjson.dumps(new)
            if head.count(was) + tail.count(was) == 1:
                head, tail = head.replace(was, becomes), tail.replace(was, becomes)
                break
        else:
            return None
    return head, tail


def _append(delta: dict[str, Any], path: Path, tail: str) -> bool:
    """Adds held text to the leaf at `path`; False when the delta has no such leaf."""
    place: Any = delta
    for key in path[:-1]:
        place = _at(place, key)
    if isinstance(place, dict) and isinstance(place.get(path[-1]), str):
        place[path[-1]] += tail
        return True
    return False


def _at(place: Any, key: str | int) -> Any:
    if isinstance(place, dict):
        return place.get(key)
    if isinstance(place, list):
        for position, value in enumerate(place):
            if isinstance(value, dict) and _position(value, position) == key:
                return value
    return None


def _nested(path: Path, text: str) -> dict[str, Any]:
    """A delta that holds a text at a path: ("tool_calls", 0, "function", "arguments") and so on."""
    value: Any = text
    for key in reversed(path):
        if isinstance(key, int):
            value = [{"index": key, **value} if isinstance(value, dict) else value]
        else:
            value = {key: value}
    assert isinstance(value, dict)
    return value
