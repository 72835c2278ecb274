"""Guardrails before and after a model: small classes with one interface, each with a mode.

The `guardrails` part of a policy document is a JSON object, one entry a guardrail:

    {"prompt_injection": {"mode": "block", "threshold": 0.6, "sources": ["user", "document", "tool"]},
     "secrets": {"mode": "redact", "directions": ["request", "response"]},
     "topics": {"mode": "block", "deny": {"weapons": ["nerve agent", "pipe bomb"]}},
     "size": {"mode": "block", "characters": 200000, "messages": 400, "answer_characters": 40000},
     "schema": {"mode": "block"},                    # the answer must be of the schema that the call asked for
     "patterns": [{"name": "ticket", "pattern": "OPS-\\d{6}", "mode": "redact", "replacement": "[ticket]"}]}

Modes: `observe` records what was found, `redact` takes it out as well, `block` refuses the call. Each finding is a
decision in the audit trail, which never holds the text. What cannot be judged (a pattern that takes too long, a
detector that fails) refuses the call, unless the guardrail only observes.
"""

from __future__ import annotations

import json
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from enum import StrEnum
from functools import cache, lru_cache
from typing import Any, Final, Protocol

import regex
from jsonschema import Draft202012Validator
from jsonschema.exceptions import SchemaError, ValidationError

from . import injection
from .errors import PoliciesError, RulesError
from .pii.data import Direction, Source
from .pii.engine import Engine
from .pii.errors import PiiError
from .pii.readings import folded
from .pii.walk import SOURCE_OF_FIELD, SOURCE_OF_ROLE
from .reading import read_object

#: Seconds that one custom pattern may take over one text.
PATTERN_SECONDS: Final = 0.1
LONGEST_PATTERN, MOST_PATTERNS, MOST_WORDS = 1_000, 100, 2_000
SECRET_SCORE: Final = 0.65
INJECTION_THRESHOLD: Final = 0.6


class Mode(StrEnum):
    """What follows from a finding."""

    OBSERVE = "observe"
    REDACT = "redact"
    BLOCK = "block"


_STRICTNESS: Final = {Mode.OBSERVE: 0, Mode.REDACT: 1, Mode.BLOCK: 2}
_BOTH: Final = frozenset(Direction)
_PARAGRAPH: Final = regex.compile(r"\S(?:.*?\S)??(?=\s*\n\s*\n|\s*\Z)", regex.DOTALL)

Path = tuple[str | int, ...]


class GuardrailFailed(PoliciesError):
    """A guardrail could not judge the text, so nothing may pass."""


@dataclass(frozen=True, slots=True)
class Leaf:
    """A string of a request or an answer, where it stands, and who said it."""

    path: Path
    text: str = field(repr=False)
    source: Source


@dataclass(frozen=True, slots=True)
class View:
    """What a guardrail judges: one direction of one call. `schema`: what the answer was asked to be; `restored` gives
    an answer's text as the client will read it, for what is about its form: what is about its content is not judged by
    what the client has said itself.
    """

    direction: Direction
    leaves: Sequence[Leaf]
    body: Mapping[str, Any] = field(repr=False)
    schema: Mapping[str, Any] | None = None
    restored: Callable[[str], str] = str


@dataclass(frozen=True, slots=True)
class Finding:
    """What a guardrail found: in a leaf, from `start` to `end`; without a leaf it is about the whole."""

    label: str
    score: float = 1.0
    leaf: Leaf | None = None
    start: int = 0
    end: int = 0


@dataclass(frozen=True, slots=True)
class Decision:
    """What the audit trail keeps of a guardrail's findings of one kind in one source."""

    guardrail: str
    mode: Mode
    direction: Direction
    label: str
    source: str
    score: float
    count: int

    def row(self) -> dict[str, Any]:
        """As the trail holds it; never with a text."""
        return {
            "guardrail": self.guardrail,
            "mode": self.mode.value,
            "direction": self.direction.value,
            "label": self.label,
            "source": self.source,
            "score": self.score,
            "count": self.count,
        }


@dataclass(frozen=True, slots=True)
class Judged:
    """The body that may go on (with less in it, where a guardrail redacts), and the decisions about it."""

    body: Any = field(repr=False)
    decisions: tuple[Decision, ...] = ()

    @property
    def blocked(self) -> Decision | None:
        """The decision that refuses the call; None when none does."""
        return next((decision for decision in self.decisions if decision.mode is Mode.BLOCK), None)


class Guardrail(Protocol):
    """One check. `mode` says what follows from its findings, `directions` what it looks at."""

    @property
    def name(self) -> str: ...
    @property
    def mode(self) -> Mode: ...
    @property
    def directions(self) -> frozenset[Direction]: ...
    @property
    def replacement(self) -> str:
        """What stands for a finding that is taken out."""
        ...

    def check(self, view: View) -> Iterator[Finding]:
        """What is wrong. Raises GuardrailFailed when it cannot tell."""
        ...


# -- the guardrails -----------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class PromptInjection:
    """Texts that look as if they wanted to take the model over (`policies.injection`)."""

    mode: Mode
    threshold: float = INJECTION_THRESHOLD
    sources: frozenset[Source] = frozenset({Source.USER, Source.DOCUMENT, Source.TOOL, Source.OTHER})
    name: str = "prompt_injection"
    directions: frozenset[Direction] = frozenset({Direction.REQUEST})
    replacement: str = "[removed: it tried to give the model instructions]"

    def check(self, view: View) -> Iterator[Finding]:
        for leaf in view.leaves:
            if leaf.source in self.sources:
                score, signs = injection.score(leaf.text, leaf.source)
                if score >= self.threshold:
                    for start, end in self._where(leaf):
                        yield Finding(signs[0], score, leaf, start, end)

    def _where(self, leaf: Leaf) -> list[tuple[int, int]]:
        """The paragraphs that attack by themselves; all of the text when only the whole of it does."""
        paragraphs = [match.span() for match in _PARAGRAPH.finditer(leaf.text)]
        found = [
            (start, end)
            for start, end in paragraphs
            if injection.score(leaf.text[start:end], leaf.source)[0] >= self.threshold
        ]
        return found or [(0, len(leaf.text))]


@dataclass(frozen=True, slots=True)
class Secrets:
    """Keys, passwords and tokens, as the detector of personal data knows them."""

    mode: Mode
    directions: frozenset[Direction] = _BOTH
    threshold: float = SECRET_SCORE
    name: str = "secrets"
    replacement: str = "[removed: a secret]"

    def check(self, view: View) -> Iterator[Finding]:
        for leaf in view.leaves:
            try:
                found = _engine().detect(leaf.text)
            except PiiError as error:
                raise GuardrailFailed(f"The guardrail {self.name} failed, so nothing may pass.") from error
            for entity in found:
                if entity.type == "SECRET" and entity.score >= self.threshold:
                    yield Finding("secret", entity.score, leaf, entity.start, entity.end)


@dataclass(frozen=True, slots=True)
class Topics:
    """Words and phrases of topics that are not to be talked about: whole words, in any case and disguise."""

    mode: Mode
    deny: tuple[tuple[str, tuple[str, ...]], ...]
    directions: frozenset[Direction] = _BOTH
    name: str = "topics"
    replacement: str = "[removed: a denied topic]"

    def check(self, view: View) -> Iterator[Finding]:
        topics, pattern = _topic_pattern(self.deny)
        for leaf in view.leaves:
            plain = folded(leaf.text)
            same = len(plain) == len(leaf.text)  # else something invisible stood in it, and all of it goes
            for match in pattern.finditer(plain):
                topic = topics[regex.sub(r"\s+", " ", match[0]).casefold()]
                start, end = match.span() if same else (0, len(leaf.text))
                yield Finding(topic, 1.0, leaf, start, end)


@dataclass(frozen=True, slots=True)
class Size:
    """More than is allowed: characters and messages of a request, characters of an answer."""

    mode: Mode
    characters: int | None = None
    messages: int | None = None
    answer_characters: int | None = None
    name: str = "size"
    replacement: str = ""

    @property
    def directions(self) -> frozenset[Direction]:
        """Where a limit is set."""
        into = self.characters is not None or self.messages is not None
        out = self.answer_characters is not None
        return frozenset(({Direction.REQUEST} if into else set()) | ({Direction.RESPONSE} if out else set()))

    def check(self, view: View) -> Iterator[Finding]:
        asking = view.direction is Direction.REQUEST
        most = self.characters if asking else self.answer_characters
        if most is not None and sum(len(leaf.text) for leaf in view.leaves) > most:
            yield Finding("characters")
        messages = view.body.get("messages") if asking else None
        if self.messages is not None and isinstance(messages, list) and len(messages) > self.messages:
            yield Finding("messages")


@dataclass(frozen=True, slots=True)
class Schema:
    """An answer that is not of the JSON schema that the call asked for."""

    mode: Mode
    name: str = "schema"
    directions: frozenset[Direction] = frozenset({Direction.RESPONSE})
    replacement: str = ""

    def check(self, view: View) -> Iterator[Finding]:
        if view.schema is None:
            return
        for leaf in view.leaves:
            if leaf.path[-2:] != ("message", "content"):
                continue
            try:
                _validator(json.dumps(view.schema, sort_keys=True)).validate(json.loads(view.restored(leaf.text)))
            except ValidationError as error:
                yield Finding(f"not {error.validator}"[:60], leaf=leaf)
            except (SchemaError, RecursionError) as error:
                raise GuardrailFailed("The schema that the answer was to have cannot be used.") from error
            except ValueError:
                yield Finding("no JSON", leaf=leaf)


@dataclass(frozen=True, slots=True)
class Pattern:
    """A custom expression. One that takes too long fails."""

    name: str
    mode: Mode
    pattern: str
    directions: frozenset[Direction] = _BOTH
    sources: frozenset[Source] = frozenset(Source)
    replacement: str = "[removed]"

    def check(self, view: View) -> Iterator[Finding]:
        compiled = _compiled(self.pattern)
        for leaf in view.leaves:
            if leaf.source not in self.sources:
                continue
            try:
                spans = [match.span() for match in compiled.finditer(leaf.text, timeout=PATTERN_SECONDS)]
            except TimeoutError as error:
                raise GuardrailFailed(f"The guardrail {self.name!r} took too long, so nothing may pass.") from error
            for start, end in spans:
                if end > start:
                    yield Finding(self.name, 1.0, leaf, start, end)


@cache
def _engine() -> Engine:
    return Engine()


@lru_cache(maxsize=256)
def _topic_pattern(deny: tuple[tuple[str, tuple[str, ...]], ...]) -> tuple[dict[str, str], Any]:
    topics = {folded(phrase).casefold(): topic for topic, phrases in deny for phrase in phrases}
    longest_first = sorted(topics, key=lambda phrase: (-len(phrase), phrase))
    words = [r"\s+".join(regex.escape(word) for word in phrase.split()) for phrase in longest_first]
    return topics, regex.compile(rf"(?<!\w)(?:{'|'.join(words)})(?!\w)", regex.IGNORECASE)


@lru_cache(maxsize=256)
def _validator(schema: str) -> Draft202012Validator:
    found = json.loads(schema)
    Draft202012Validator.check_schema(found)
    return Draft202012Validator(found)


@lru_cache(maxsize=1024)
def _compiled(pattern: str) -> Any:
    return regex.compile(pattern)


# -- all of them ----------------------------------------------------------------------------------------------------


@dataclass(frozen=True, slots=True)
class Guardrails:
    """The guardrails of one policy, in the order in which they look."""

    all: tuple[Guardrail, ...] = ()

    def __bool__(self) -> bool:
        return bool(self.all)

    def look_at(self, direction: Direction) -> bool:
        """Whether any of them looks at this direction."""
        return any(direction in guardrail.directions for guardrail in self.all)

    def hold_answers(self) -> bool:
        """Whether an answer must be whole before its first byte may go out: what is out cannot be taken back."""
        return any(
            Direction.RESPONSE in guardrail.directions and guardrail.mode is not Mode.OBSERVE for guardrail in self.all
        )

    def request(self, body: dict[str, Any], sources: Mapping[int | str, Source] | None = None) -> Judged:
        """Judges what a client sends. `sources`: messages (by index) that somebody else has said."""
        return self._judge(Direction.REQUEST, body, lambda found: request_leaves(found, sources or {}))

    def response(
        self,
        body: dict[str, Any],
        schema: Mapping[str, Any] | None = None,
        restored: Callable[[str], str] = str,
    ) -> Judged:
        """Judges a whole answer in OpenAI's chat form, placeholders in it."""
        return self._judge(Direction.RESPONSE, body, answer_leaves, schema, restored)

    def scores(self, text: str) -> dict[str, float]:
        """How sure it is that a text is an attack, holds a secret, or is about each denied topic: from 0 to 1."""
        leaves = [Leaf(("text",), text, Source.USER)]
        view = View(Direction.REQUEST, leaves, {})
        found = {"prompt_injection": injection.score(text)[0], "secrets": 0.0}
        for finding in Secrets(Mode.OBSERVE, threshold=0.5).check(view):
            found["secrets"] = max(found["secrets"], finding.score)
        for topics in self.all:
            if isinstance(topics, Topics):
                found |= {f"topic/{topic}": 0.0 for topic, _ in topics.deny}
                found |= {f"topic/{finding.label}": 1.0 for finding in topics.check(view)}
        return found

    def flags(self, scores: Mapping[str, float]) -> dict[str, bool]:
        """Which of these scores the policy holds for too high."""
        limits = {"prompt_injection": INJECTION_THRESHOLD, "secrets": SECRET_SCORE}
        for guardrail in self.all:
            if isinstance(guardrail, PromptInjection | Secrets):
                limits[guardrail.name] = guardrail.threshold
        return {name: score >= limits.get(name, 1.0) for name, score in scores.items()}

    def _judge(
        self,
        direction: Direction,
        body: Any,
        leaves_of: Callable[[Any], list[Leaf]],
        schema: Mapping[str, Any] | None = None,
        restored: Callable[[str], str] = str,
    ) -> Judged:
        decisions: list[Decision] = []
        leaves: list[Leaf] | None = None
        for guardrail in self.all:
            if direction not in guardrail.directions:
                continue
            if leaves is None:
                leaves = leaves_of(body)
            found = _findings(guardrail, View(direction, leaves, body, schema, restored))
            decisions += _decided(guardrail, direction, found)
            if guardrail.mode is Mode.REDACT and found:
                body, leaves = _without(body, found, guardrail.replacement), None
        return Judged(body, tuple(decisions))


def _findings(guardrail: Guardrail, view: View) -> list[Finding]:
    try:
        return list(guardrail.check(view))
    except GuardrailFailed:
        if guardrail.mode is not Mode.OBSERVE:
            raise
        return [Finding("failed", 0.0)]


def _decided(guardrail: Guardrail, direction: Direction, found: list[Finding]) -> Iterator[Decision]:
    groups: dict[tuple[str, str], list[Finding]] = {}
    for finding in found:
        source = "" if finding.leaf is None else finding.leaf.source.value
        groups.setdefault((finding.label, source), []).append(finding)
    for (label, source), group in groups.items():
        surest = max(finding.score for finding in group)
        yield Decision(guardrail.name, guardrail.mode, direction, label, source, round(surest, 4), len(group))


def _without(body: Any, found: list[Finding], replacement: str) -> Any:
    """A copy of a body in which the replacement stands for each finding."""
    by_leaf: dict[Path, tuple[str, list[tuple[int, int]]]] = {}
    for finding in found:
        if finding.leaf is not None:
            by_leaf.setdefault(finding.leaf.path, (finding.leaf.text, []))[1].append((finding.start, finding.end))
    for path, (text, spans) in by_leaf.items():
        body = put(body, path, _cut(text, spans, replacement))
    return body


def _cut(text: str, spans: list[tuple[int, int]], replacement: str) -> str:
    pieces: list[str] = []
    at = 0
    for start, end in sorted(spans):
        if end <= at:
            continue
        if start >= at:
            pieces += text[at:start], replacement
        at = end
    return "".join([*pieces, text[at:]])


def put(value: Any, path: Path, text: str) -> Any:
    """A copy of a value in which a text stands at a place."""
    if not path:
        return text
    copy = value.copy()
    copy[path[0]] = put(value[path[0]], path[1:], text)
    return copy


# -- what is looked at ------------------------------------------------------------------------------------------------


def request_leaves(body: Mapping[str, Any], sources: Mapping[int | str, Source]) -> list[Leaf]:
    """All strings of a request but the model's name, with who said them."""
    found: list[Leaf] = []
    for name, value in body.items():
        if name == "model":
            continue
        if name == "messages" and isinstance(value, list):
            for index, message in enumerate(value):
                role = message.get("role") if isinstance(message, dict) else None
                source = sources.get(index) or SOURCE_OF_ROLE.get(str(role), Source.OTHER)
                found += _leaves(message, (name, index), source)
        else:
            found += _leaves(value, (name,), sources.get(name) or SOURCE_OF_FIELD.get(name, Source.OTHER))
    return found


def answer_leaves(body: Mapping[str, Any]) -> list[Leaf]:
    """What the model said: contents, reasoning, refusals and the arguments of its calls."""
    found: list[Leaf] = []
    choices = body.get("choices")
    for index, choice in enumerate(choices if isinstance(choices, list) else ()):
        if isinstance(choice, dict) and isinstance(choice.get("message"), dict):
            found += _leaves(choice["message"], ("choices", index, "message"), Source.ASSISTANT)
    return found


#: Strings that are words of the protocol, or no text at all.
_NOT_SAID: Final = frozenset({"role", "type", "id", "tool_call_id", "url", "file_data", "data", "signature", "detail"})


def _leaves(value: Any, path: Path, source: Source) -> Iterator[Leaf]:
    if isinstance(value, str):
        if value and path[-1] not in _NOT_SAID:
            yield Leaf(path, value, source)
    elif isinstance(value, dict):
        for name, item in value.items():
            yield from _leaves(item, (*path, name), source)
    elif isinstance(value, list):
        for index, item in enumerate(value):
            yield from _leaves(item, (*path, index), source)


# -- reading a policy document ----------------------------------------------------------------------------------------


def parse(document: Any) -> Guardrails:
    """The guardrails that a policy document asks for. Raises RulesError, naming the place."""
    entries = read_object(document, "guardrails", frozenset(_PARSERS) | {"patterns"})
    found: list[Guardrail] = [
        parser(entries[name], f"guardrails.{name}") for name, parser in _PARSERS.items() if name in entries
    ]
    patterns = entries.get("patterns", [])
    if not isinstance(patterns, list) or len(patterns) > MOST_PATTERNS:
        raise RulesError(f"guardrails.patterns must be a list of at most {MOST_PATTERNS} patterns.")
    found += [_pattern(entry, f"guardrails.patterns[{number}]") for number, entry in enumerate(patterns)]
    return Guardrails(tuple(found))


def merged(wide: dict[str, Any], narrow: dict[str, Any], locked: bool) -> dict[str, Any]:
    """A narrower document over a wider one, guardrail by guardrail. Where the wider one is locked, its guardrails stay;
    their mode and sizes may become stricter, topics may be denied besides, and other guardrails may be added.
    """
    if not locked:
        return {**wide, **narrow}
    result = {**narrow, **wide}
    for name in wide.keys() & narrow.keys() - {"patterns"}:
        ours, theirs = wide[name], narrow[name]
        if isinstance(ours, dict) and isinstance(theirs, dict):
            result[name] = _tighter(name, ours, theirs)
    patterns = [document.get("patterns", []) for document in (wide, narrow)]
    if all(isinstance(found, list) for found in patterns) and any(patterns):
        result["patterns"] = [*patterns[0], *patterns[1]]
    return result


def _tighter(name: str, ours: dict[str, Any], theirs: dict[str, Any]) -> dict[str, Any]:
    """Of a guardrail what a narrower document may change where the wider one is locked. What has no meaning stays in
    it, to be refused when it is read."""
    found = dict(ours)
    if _strict(theirs) > _strict(ours):
        found["mode"] = theirs["mode"]
    if name == "size":
        for limit in theirs.keys() - {"mode"}:
            both = [entry[limit] for entry in (ours, theirs) if limit in entry]
            found[limit] = min(both) if all(isinstance(value, int) for value in both) else theirs[limit]
    if name == "topics" and isinstance(ours.get("deny"), dict) and isinstance(theirs.get("deny"), dict):
        denied = dict(ours["deny"])
        for topic, words in theirs["deny"].items():
            known = denied.get(topic, [])
            denied[topic] = [*known, *words] if isinstance(known, list) and isinstance(words, list) else words
        found["deny"] = denied
    return found


def _strict(entry: Mapping[str, Any]) -> int:
    mode = entry.get("mode")
    return _STRICTNESS.get(Mode(mode), 0) if mode in set(Mode) else 0


def _injection(entry: Any, place: str) -> PromptInjection:
    found = read_object(entry, place, frozenset({"mode", "threshold", "sources"}))
    return PromptInjection(
        _mode(found, place),
        threshold=_share(found.get("threshold", INJECTION_THRESHOLD), f"{place}.threshold"),
        sources=_some(found, "sources", Source, PromptInjection(Mode.OBSERVE).sources, place),
    )


def _secrets(entry: Any, place: str) -> Secrets:
    found = read_object(entry, place, frozenset({"mode", "threshold", "directions"}))
    return Secrets(
        _mode(found, place),
        directions=_some(found, "directions", Direction, _BOTH, place),
        threshold=_share(found.get("threshold", SECRET_SCORE), f"{place}.threshold"),
    )


def _topics(entry: Any, place: str) -> Topics:
    found = read_object(entry, place, frozenset({"mode", "deny", "directions"}))
    deny = found.get("deny")
    if not isinstance(deny, dict) or not deny:
        raise RulesError(f"{place}.deny must be an object of topics with their words.")
    topics = tuple((topic, tuple(_words(words, f"{place}.deny.{topic}"))) for topic, words in deny.items())
    if sum(len(words) for _, words in topics) > MOST_WORDS:
        raise RulesError(f"{place}.deny must hold at most {MOST_WORDS} words.")
    return Topics(_mode(found, place), topics, directions=_some(found, "directions", Direction, _BOTH, place))


def _size(entry: Any, place: str) -> Size:
    limits = ("characters", "messages", "answer_characters")
    found = read_object(entry, place, frozenset({"mode", *limits}))
    wanted: dict[str, Any] = {name: _count(found[name], f"{place}.{name}") for name in limits if name in found}
    if not wanted:
        raise RulesError(f"{place} must set one of {', '.join(limits)}.")
    return Size(_mode(found, place, redacts=False), **wanted)


def _schema(entry: Any, place: str) -> Schema:
    return Schema(_mode(read_object(entry, place, frozenset({"mode"})), place, redacts=False))


def _pattern(entry: Any, place: str) -> Pattern:
    known = frozenset({"name", "pattern", "mode", "directions", "sources", "replacement"})
    found = read_object(entry, place, known)
    name, pattern, replacement = found.get("name"), found.get("pattern"), found.get("replacement", "[removed]")
    if not isinstance(name, str) or not 0 < len(name) <= 60:
        raise RulesError(f"{place}.name must be a string of at most 60 characters.")
    if not isinstance(pattern, str) or not 0 < len(pattern) <= LONGEST_PATTERN:
        raise RulesError(f"{place}.pattern must be an expression of at most {LONGEST_PATTERN} characters.")
    if not isinstance(replacement, str):
        raise RulesError(f"{place}.replacement must be a string.")
    try:
        _compiled(pattern)
    except regex.error as error:
        raise RulesError(f"{place}.pattern is no expression: {error.msg}.") from error
    return Pattern(
        name,
        _mode(found, place),
        pattern,
        directions=_some(found, "directions", Direction, _BOTH, place),
        sources=_some(found, "sources", Source, frozenset(Source), place),
        replacement=replacement,
    )


_PARSERS: Final[Mapping[str, Callable[[Any, str], Guardrail]]] = {
    "size": _size,
    "prompt_injection": _injection,
    "topics": _topics,
    "secrets": _secrets,
    "schema": _schema,
}


def _mode(entry: Mapping[str, Any], place: str, *, redacts: bool = True) -> Mode:
    known = [mode.value for mode in Mode if redacts or mode is not Mode.REDACT]
    mode = entry.get("mode")
    if mode not in known:
        raise RulesError(f"{place}.mode must be one of {', '.join(known)}.")
    return Mode(mode)


def _share(value: Any, place: str) -> float:
    if isinstance(value, bool) or not isinstance(value, int | float) or not 0 < value <= 1:
        raise RulesError(f"{place} must be a number above 0 and at most 1.")
    return float(value)


def _count(value: Any, place: str) -> int:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise RulesError(f"{place} must be a whole number above 0.")
    return value


def _some(entry: Mapping[str, Any], name: str, of: type[Any], default: frozenset[Any], place: str) -> frozenset[Any]:
    """Directions or sources; an empty list would switch the guardrail off without saying so."""
    if name not in entry:
        return default
    chosen = _words(entry[name], f"{place}.{name}")
    known = {member.value for member in of}
    unknown = sorted(set(chosen) - known)
    if unknown:
        raise RulesError(f"{place}.{name}: {unknown[0]!r} is none of {', '.join(sorted(known))}.")
    return frozenset(map(of, chosen))


def _words(value: Any, place: str) -> list[str]:
    if not isinstance(value, list) or not value or not all(isinstance(item, str) and item.strip() for item in value):
        raise RulesError(f"{place} must be a list of texts that are not empty.")
    return value
