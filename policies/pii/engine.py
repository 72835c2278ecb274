"""Finds personal data in a text. The only importer of Presidio.

A text is folded to plain characters, one pass of the prefilter says which recognizers can find anything at all, these
run, and context words lift weak finds. The same is done to what a text hides behind escapes, base64 and hex. Long
texts are cut into overlapping pieces.

Presidio's recognizers are used through their patterns and checksums, in our own loop: its AnalyzerEngine wants a
language model, and its package imports spaCy (2 s, 86 MB in every worker) which no pattern needs. So its package is
imported without its own `__init__`, see `_presidio_recognizer_classes`.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.metadata
import importlib.util
import ipaddress
import logging
import re
import sys
import time
import types
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from functools import lru_cache
from pathlib import Path
from typing import Any, Final, Protocol, runtime_checkable

import regex

from policies.pii.allowance import Allowance, Exhausted
from policies.pii.choices import PRESIDIO, Choice
from policies.pii.context import AFTER, BEFORE, FLOOR, LIFT, LIFTED, MARGIN, SURE, Context
from policies.pii.credentials import NAME as SECRET_NAME
from policies.pii.data import Entity
from policies.pii.errors import DetectorFailed, PiiError, TextTooLarge
from policies.pii.prefilter import Prefilter
from policies.pii.readings import Reading, fold, folded, opaque_runs, unescape
from policies.pii.recognizers import OWN, Recognizer

MAX_CHARACTERS: Final = 2_000_000
TIME_LIMIT: Final = 10.0
PATTERN_TIME_LIMIT: Final = 2.0
PIECE: Final = 16_384
"""Characters looked at in one go: it bounds how long the interpreter is held and what a slow pattern can cost."""
LEAD: Final = 512
"""Characters before a piece's own part, for context words and beginnings."""
TAIL: Final = 1_024
"""Characters after a piece's own part, so that what begins in it is seen whole."""
READING_DEPTH: Final = 3


class Detector(Protocol):
    """Something that finds entities in a text, for instance a named-entity model. It must be thread-safe."""

    @property
    def version(self) -> str:
        """Changes whenever the detector may find something else in the same text."""
        ...

    def detect(self, text: str) -> list[Entity]:
        """What is found in the text; offsets in code points. May raise anything: the request is then refused."""
        ...


@runtime_checkable
class Dear(Protocol):
    """A detector that computes, and remembers what it has computed."""

    def detect_within(self, text: str, allowance: Allowance) -> list[Entity]:
        """As `detect`. Raises Exhausted before it computes more than is allowed."""
        ...


class Engine:
    """All detectors together. `detect` is the one question; an engine keeps no text and is thread-safe."""

    def __init__(
        self,
        detectors: Sequence[Detector] = (),
        *,
        max_characters: int = MAX_CHARACTERS,
        time_limit: float = TIME_LIMIT,
        piece: int = PIECE,
        prefilter: bool = True,
    ) -> None:
        self._patterns = _pattern_detector(prefilter)
        self._detectors = tuple(detectors)
        self._max_characters, self._piece = max_characters, piece
        self.time_limit = time_limit
        self.version = ";".join([self._patterns.version, *(detector.version for detector in self._detectors)])

    def detect(self, text: str, hint: str = "", allowance: Allowance | None = None) -> tuple[Entity, ...]:
        """The entities in a text, overlaps included, in order. `hint` is the name of the field that holds the text.

        Raises TextTooLarge for more than `max_characters`, DetectorFailed when a detector breaks down or time is up,
        and Exhausted when the text needs more than the allowance.
        """
        if len(text) > self._max_characters:
            raise TextTooLarge(len(text), self._max_characters)
        words = hint_words(hint) if hint else ""
        try:
            if allowance is not None:
                allowance.look_at(len(text))
            whole = len(text) <= self._piece
            found = self._whole(text, words, allowance) if whole else self._in_pieces(text, words)
        except (PiiError, Exhausted):
            raise
        except Exception as error:  # noqa: BLE001  whatever it is: what was not inspected does not pass
            # The cause may quote the text, so it is named by its class and not chained.
            raise DetectorFailed(
                f"The detection of personal data failed ({type(error).__name__}), so nothing may pass."
            ) from None
        return _distinct(found) if found else ()

    def _whole(self, text: str, hint: str, allowance: Allowance | None = None) -> set[Entity]:
        found: set[Entity] = set()
        for detector in self._detectors:  # before the patterns, whose work would be lost where these stop
            if allowance is not None and isinstance(detector, Dear):
                found.update(detector.detect_within(text, allowance))
            else:
                found.update(detector.detect(text))
        found.update(self._patterns.find(text, hint))
        return found

    def _in_pieces(self, text: str, hint: str) -> set[Entity]:
        """As `_whole`, in pieces: each answers for what begins in its own part, and for what reaches into it."""
        found = self._in_long_runs(text)
        deadline = time.monotonic() + self.time_limit
        own = 0
        while own < len(text):
            if time.monotonic() > deadline:
                raise DetectorFailed(
                    f"The detection of personal data took more than {self.time_limit:g} s, so nothing may pass."
                )
            start, end = max(0, own - LEAD), min(len(text), own + self._piece)
            after = len(text) if end == len(text) else end - TAIL
            for entity in self._whole(text[start:end], hint):
                at, to = entity.start + start, entity.end + start
                if to <= own or at >= after:
                    continue
                if to == end < len(text):  # it may go on: the next piece begins with it, or it fills a piece of its own
                    to = self._far_end(text, at, to, entity.type, hint)
                found.add(Entity(entity.type, at, to, entity.score))
            own = after
        return found

    def _in_long_runs(self, text: str) -> set[Entity]:
        """What is hidden in base64 or hex that a piece could not show whole, and so not decode."""
        long = [run for run in opaque_runs(text) if run[1] - run[0] > LEAD]
        return {
            Entity(entity.type, start, end, entity.score)
            for start, end, hidden in long
            for entity in self.detect(hidden)
            if entity.score >= SURE
        }

    def _far_end(self, text: str, start: int, end: int, kind: str, hint: str) -> int:
        """Where an entity ends that reaches the end of its piece: it is looked at again, with more text after it."""
        room = end - start
        while end < len(text) and room <= self._max_characters:
            room *= 2
            cut = min(len(text), start + room)
            ends = [
                entity.end + start
                for entity in self._whole(text[start:cut], hint)
                if entity.type == kind and entity.start == 0
            ]
            end = max([end, *ends])
            if end < cut:
                break
        return end


def _distinct(found: Iterable[Entity]) -> tuple[Entity, ...]:
    """Ordered by place, without those that lie inside one of the same type with at least the same score."""
    kept: list[Entity] = []
    for entity in sorted(found, key=_by_place):
        if not any(
            other.type == entity.type and other.end >= entity.end and other.score >= entity.score
            for other in reversed(kept[-8:])
        ):
            kept.append(entity)
    return tuple(kept)


def _by_place(entity: Entity) -> tuple[int, int, float, str]:
    return entity.start, -entity.end, -entity.score, entity.type


# --- patterns ---------------------------------------------------------------------------------------------------------

WHOLE: Final = 128
"""A text of so many characters is looked at whole; of a longer one, only what lies around the anchors."""
_PLANS: Final = 4_096
_ESCAPE: Final = r"%[0-9A-Fa-f]{2}|&#|&[A-Za-z]{2,8};|\\[ux\"'/\\bfnrt]|[\[({] ?(?:at|dot|AT|DOT) ?[\])}]"
_ESCAPE_MARGIN: Final = 160
_ESCAPES_CLUE: Final = r"%[0-9a-f]{2}|&#|&[a-z]{2,8};|\\[ux\"'/\\bfnrt]|[\[({] ?(?:at|dot) ?[\])}]"
_OPAQUE_CLUE: Final = r"[a-z0-9+/_-]{16}|[a-z0-9+/_-]{14}="


@dataclass(frozen=True, slots=True)
class _Armed:
    """A recognizer with the clues it needs."""

    need: int
    recognizer: Recognizer
    context: Any


class PatternDetector:
    """Recognizers by pattern and checksum: our own and Presidio's, behind one prefilter."""

    def __init__(self, *, prefilter: bool = True, recognizers: Sequence[Recognizer] | None = None) -> None:
        recognizers = tuple(OWN) + presidio_recognizers() if recognizers is None else tuple(recognizers)
        expressions = [_ESCAPES_CLUE, _OPAQUE_CLUE]
        self._escapes, self._opaque = 1, 2
        self._armed = tuple(_arm(recognizer, expressions) for recognizer in recognizers)
        self._plans: dict[int, tuple[_Armed, ...]] = {}
        self._prefilter = Prefilter(expressions) if prefilter else None
        self._everything = (1 << len(expressions)) - 1
        names = ",".join(f"{recognizer.name}:{recognizer.clue}" for recognizer in recognizers)
        presidio = importlib.metadata.version("presidio-analyzer")
        self.version = f"patterns-1/{presidio}/{hashlib.sha256(names.encode()).hexdigest()[:12]}"

    def detect(self, text: str) -> list[Entity]:
        """The entities in a text; overlaps included."""
        return list(_distinct(self.find(text, "")))

    def find(self, text: str, hint: str) -> set[Entity]:
        """The entities in a text and in what it hides. `hint` holds words that count as context (see `hint_words`)."""
        if text.isascii():
            found = self._read(text, hint, READING_DEPTH)
            if hint and _is_secret(text, hint):
                found.add(Entity("SECRET", 0, len(text), 0.75))
            return found
        reading = fold(text)
        found = self._read(reading.text, hint, READING_DEPTH)
        if hint and _is_secret(reading.text, hint):
            found.add(Entity("SECRET", 0, len(reading.text), 0.75))
        return found if reading.starts is None else {_moved(entity, reading) for entity in found}

    def _read(self, text: str, hint: str, depth: int) -> set[Entity]:
        clues = self._clues(text, hint)
        if not clues:
            return set()
        plan = self._plans.get(clues)
        if plan is None:
            plan = self._plan(clues)
        found: set[Entity] = set()
        near: dict[str, list[tuple[int, int]]] = {}
        for armed in plan:
            anchor = armed.recognizer.anchor
            if anchor is None or len(text) <= WHOLE:
                found.update(_lifted(armed, text, hint, text, 0))
                continue
            if anchor not in near:
                near[anchor] = surroundings(text, anchor, MARGIN)
            for start, end in near[anchor]:
                found.update(_lifted(armed, text, hint, text[start:end], start))
        if depth and clues & self._escapes:
            found.update(self._behind_escapes(text, hint, depth - 1))
        if depth and clues & self._opaque:
            found.update(self._behind_runs(text, depth - 1))
        return found

    def _plan(self, clues: int) -> tuple[_Armed, ...]:
        """The recognizers whose clues are all there; remembered, as texts differ more than their sets of clues."""
        plan = tuple(armed for armed in self._armed if armed.need & clues == armed.need)
        if len(self._plans) >= _PLANS:
            self._plans.clear()
        self._plans[clues] = plan
        return plan

    def _clues(self, text: str, hint: str) -> int:
        if self._prefilter is None:
            return self._everything
        if hint:
            text = f"{hint}\n{text}"
        return self._prefilter.clues(text.encode("utf-8", "surrogatepass"))

    def _behind_escapes(self, text: str, hint: str, depth: int) -> Iterator[Entity]:
        for start, end in surroundings(text, _ESCAPE, _ESCAPE_MARGIN) if len(text) > WHOLE else [(0, len(text))]:
            reading = unescape(text[start:end])
            if reading is None:
                continue
            plain = fold(reading.text)
            for entity in self._read(plain.text, hint, depth):
                yield _shifted(_moved(_moved(entity, plain), reading), start)

    def _behind_runs(self, text: str, depth: int) -> Iterator[Entity]:
        """Whatever is found in an encoded run stands for the whole run: no part of it has a place of its own."""
        for start, end, hidden in opaque_runs(text):
            for entity in self._read(folded(hidden), "", depth):
                if entity.score >= SURE:
                    yield Entity(entity.type, start, end, entity.score)


@lru_cache(maxsize=2)
def _pattern_detector(prefilter: bool) -> PatternDetector:
    """One for the process: making it takes half a second, and it never changes."""
    return PatternDetector(prefilter=prefilter)


def _arm(recognizer: Recognizer, expressions: list[str]) -> _Armed:
    """Gives the recognizer's clues their bits; the same expression is looked for once."""
    wanted = [recognizer.clue]
    if recognizer.context_only and recognizer.context:
        wanted.append(recognizer.context.clue)
    need = 0
    for expression in wanted:
        if expression not in expressions:
            expressions.append(expression)
        need |= 1 << expressions.index(expression)
    return _Armed(need, recognizer, recognizer.context.pattern if recognizer.context else None)


@lru_cache(maxsize=64)
def _clusters(anchor: str, gap: int) -> re.Pattern[str]:
    return re.compile(rf"(?:{anchor})(?:.{{0,{gap}}}?(?:{anchor}))*", re.DOTALL | re.ASCII)


def surroundings(text: str, anchor: str, margin: int) -> list[tuple[int, int]]:
    """The parts of a text around the matches of an anchor, each at least twice the margin away from the next match."""
    matches = _clusters(anchor, 2 * margin).finditer(text)
    return [(max(0, match.start() - margin), min(len(text), match.end() + margin)) for match in matches]


def _lifted(armed: _Armed, text: str, hint: str, part: str, offset: int) -> Iterator[Entity]:
    """What a recognizer finds in a part of a text, with the score that its surroundings in the text give it."""
    only, context = armed.recognizer.context_only, armed.context
    for entity in armed.recognizer.find(part):
        start, end, score = entity.start + offset, entity.end + offset, entity.score
        if (only or score < SURE) and context is not None:
            if (
                context.search(text, max(0, start - BEFORE), start)
                or (hint and context.search(hint))
                or context.search(text, end, end + AFTER)
            ):
                score = min(1.0, max(score + LIFT, LIFTED))
            elif only:
                continue
        if score >= FLOOR:
            yield entity if score == entity.score and not offset else Entity(entity.type, start, end, score)


def _shifted(entity: Entity, offset: int) -> Entity:
    return Entity(entity.type, entity.start + offset, entity.end + offset, entity.score) if offset else entity


def _moved(entity: Entity, reading: Reading) -> Entity:
    if reading.starts is None:
        return entity
    start, end = reading.span(entity.start, entity.end)
    return Entity(entity.type, start, end, entity.score)


_WORD_BREAK: Final = re.compile(r"[_\-.]+|(?<=[a-z0-9])(?=[A-Z])")


@lru_cache(maxsize=4096)
def hint_words(name: str) -> str:
    """A field's name as words, for context: `customerSsn`, `customer_ssn` and `customer-ssn` say "customer ssn"."""
    return _WORD_BREAK.sub(" ", folded(name[:80])).lower()


def _is_secret(text: str, hint: str) -> bool:
    return 6 <= len(text) <= 512 and not any(map(str.isspace, text)) and SECRET_NAME.search(hint) is not None


# --- Presidio ---------------------------------------------------------------------------------------------------------


def presidio_recognizers() -> tuple[Recognizer, ...]:
    """Presidio's recognizers that were chosen, as recognizers of ours."""
    with _presidio_recognizer_classes() as recognizer_class:
        return tuple(_wrapped(choice, recognizer_class(choice)()) for choice in PRESIDIO)


def _wrapped(choice: Choice, presidio: Any) -> Recognizer:
    flags = presidio.global_regex_flags | regex.IGNORECASE | regex.ASCII
    patterns = [
        (
            regex.compile(
                rf"(?<![A-Za-z0-9])(?:{pattern.regex})(?![A-Za-z0-9])" if choice.edges else pattern.regex, flags
            ),
            pattern.score,
        )
        for pattern in presidio.patterns
        if not pattern.name.startswith(choice.without or ("\0",))
    ]
    find = _presidio_find(choice, presidio, patterns)
    context = choice.context or Context.of(*presidio.context)
    return Recognizer(choice.name, find, choice.clue, context, choice.context_only, choice.anchor)


def _presidio_find(
    choice: Choice, presidio: Any, patterns: list[tuple[Any, float]]
) -> Callable[[str], Iterable[Entity]]:
    """Pattern, then checksum, as Presidio does it; but time-outs are errors, and nothing quotes the text in a log."""
    kind = presidio.supported_entities[0]

    def find(text: str) -> Iterator[Entity]:
        for pattern, score in patterns:
            for match in pattern.finditer(text, timeout=PATTERN_TIME_LIMIT):
                value = match[0]
                valid = presidio.validate_result(value)
                if valid is False or presidio.invalidate_result(value) or not _says_something(kind, value):
                    continue
                worth = choice.score if valid else score
                if value.isdigit() and not choice.bare:
                    worth = min(worth, 0.4)
                yield Entity(kind, match.start(), match.end(), worth)

    return find


def _says_something(kind: str, value: str) -> bool:
    """An address that every machine has (127.0.0.1, 0.0.0.0, ::1) is nobody's."""
    if kind != "IP_ADDRESS":
        return True
    address = ipaddress.ip_interface(value).ip
    return not (address.is_loopback or address.is_unspecified)


_PACKAGE: Final = "presidio_analyzer"
_BASES: Final = (
    ("analysis_explanation", "AnalysisExplanation"),
    ("recognizer_result", "RecognizerResult"),
    ("entity_recognizer", "EntityRecognizer"),
    ("local_recognizer", "LocalRecognizer"),
    ("pattern", "Pattern"),
    ("pattern_recognizer", "PatternRecognizer"),
)


@contextmanager
def _presidio_recognizer_classes() -> Iterator[Callable[[Choice], Any]]:
    """Yields what gives the class of a choice, from the modules under Presidio's `predefined_recognizers`.

    Python runs a package's `__init__` before any of its modules, and Presidio's imports spaCy, thinc and a web client.
    While this context is open the packages stand in `sys.modules` without having been run; afterwards they are taken
    out again, so whoever imports Presidio elsewhere gets all of it.
    """
    logging.getLogger("presidio-analyzer").addHandler(logging.NullHandler())
    before = {name: module for name, module in sys.modules.items() if name.split(".")[0] == _PACKAGE}
    for name in before:
        del sys.modules[name]
    try:
        root = _bare_package(_PACKAGE, _package_folder())
        for module, name in _BASES:
            setattr(root, name, getattr(importlib.import_module(f"{_PACKAGE}.{module}"), name))
        _bare_package(f"{_PACKAGE}.nlp_engine").NlpArtifacts = object
        _bare_package(f"{_PACKAGE}.predefined_recognizers")
        _bare_package(f"{_PACKAGE}.predefined_recognizers.country_specific")
        for folder in sorted({_module(choice).rpartition(".")[0] for choice in PRESIDIO}):
            _bare_package(folder)
        yield lambda choice: getattr(importlib.import_module(_module(choice)), choice.name)
    finally:
        for name in [name for name in sys.modules if name.split(".")[0] == _PACKAGE]:
            del sys.modules[name]
        sys.modules.update(before)


def _module(choice: Choice) -> str:
    """The module of one of Presidio's recognizers; one of them has a name of its own kind."""
    folder, name = choice.module.split(".")
    within = "generic" if folder == "generic" else f"country_specific.{folder}"
    suffix = "" if name == "it_vat_code" else "_recognizer"
    return f"{_PACKAGE}.predefined_recognizers.{within}.{name}{suffix}"


def _package_folder() -> Path:
    spec = importlib.util.find_spec(_PACKAGE)
    if spec is None or spec.origin is None:
        raise DetectorFailed("presidio-analyzer is not installed.")
    return Path(spec.origin).parent


def _bare_package(name: str, folder: Path | None = None) -> Any:
    """A package whose modules can be imported, although its `__init__` was not run."""
    parent, _, last = name.rpartition(".")
    package: Any = types.ModuleType(name)
    package.__path__ = [str(folder or Path(sys.modules[parent].__path__[0]) / last)]
    sys.modules[name] = package
    return package
