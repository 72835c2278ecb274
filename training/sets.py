"""The training sets: documents with spans, folded as the detector folds them, and what they say about single words."""

from __future__ import annotations

import json
from bisect import bisect_left
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from zlib import crc32

from policies.pii.ner.words import COMMON, FIRM, GIVEN, PLACE, SURNAME
from policies.pii.readings import fold

from .documents import Span
from .names import Names

TYPES = ("PERSON", "LOCATION", "ORGANIZATION", "STREET_ADDRESS")
#: set: how often a document of it is read in a round. `enterprise_dev` is for development, `gum` (some of whose texts
#: are not for commercial use) only for measuring.
SETS = {
    "btc": 1.0,
    "wnut17": 0.8,
    "crossner": 1.6,
    "litbank": 0.8,
    "sec_filings": 1.2,
    "wikigold": 2.0,
    "ewt_dev": 2.0,
    "germeval": 0.4,
    "uner_da": 0.4,
    "uner_hr": 0.15,
    "uner_pt": 0.2,
    "uner_sk": 0.15,
    "uner_sv": 0.4,
    "echr_es_train": 0.3,
    "meddocan_train": 0.08,
}
ENGLISH = ("btc", "wnut17", "crossner", "litbank", "sec_filings", "wikigold", "ewt_dev")
IGNORED = "IGNORED"


@dataclass(frozen=True, slots=True)
class Document:
    """A folded text and its spans; IGNORED ones teach nothing."""

    text: str
    spans: list[Span]
    source: str


def read(path: Path) -> Iterator[Document]:
    """The documents of a JSON Lines file."""
    for line in path.read_text().splitlines():
        entry = json.loads(line)
        reading = fold(entry["text"])
        spans = []
        for span in entry["spans"]:
            start, end, kind = span["start"], span["end"], span["label"]
            if reading.starts is not None:
                start, end = bisect_left(reading.starts, start), bisect_left(reading.starts, end)
            if kind == "STREET_ADDRESS" and path.stem == "meddocan_train":
                kind = IGNORED  # it ends an address before the town, the others after it
            if start < end and (kind in TYPES or kind == IGNORED):
                spans.append((start, end, kind))
        yield Document(reading.text, spans, path.stem)


def held_out(document: Document) -> bool:
    """A tenth of each set's documents is never learned from."""
    return crc32(document.text.encode("utf-8", "replace")) % 10 == 0


def known_names(documents: list[Document]) -> dict[str, list[str]]:
    """Every name marked in the English documents, by type, as often as it is marked."""
    known: dict[str, list[str]] = {kind: [] for kind in TYPES}
    for document in documents:
        if document.source not in ENGLISH:
            continue
        for start, end, kind in document.spans:
            name = document.text[start:end]
            if kind in known and name[:1].isupper() and "\n" not in name and len(name) < 40 and not name.isupper():
                known[kind].append(name)
    return {kind: sorted(names) for kind, names in known.items()}


def kinds(names: Names, documents: list[Document]) -> dict[str, int]:
    """What is known about single words in lower case: whether they are names in a list, and whether they are common."""
    found: Counter[str] = Counter()
    bits: dict[str, int] = {}

    def add(name: str, bit: int) -> None:
        for word in fold(name).text.replace("-", " ").replace("'", " ").replace(".", " ").split():
            if len(word) > 1 and word.isalpha():
                bits[word.lower()] = bits.get(word.lower(), 0) | bit

    lists = names.lists()
    for kind, bit in (("given", GIVEN), ("surname", SURNAME), ("place", PLACE), ("firm", FIRM)):
        for name in lists[kind]:
            add(name, bit)
    spans = Counter((document.text[start:end], kind) for document in documents for start, end, kind in document.spans)
    for (name, kind), count in spans.items():
        parts = name.split()
        if count < 2 or not name.istitle():
            continue
        if kind == "PERSON":
            add(parts[0], GIVEN)
            if len(parts) == 2:
                add(parts[1], SURNAME)
        elif kind == "LOCATION":
            add(name, PLACE)
        elif kind == "ORGANIZATION" and len(parts) == 1 and count > 2:
            add(name, FIRM)
    for document in documents:
        if document.source in ENGLISH:
            found.update(word for word in document.text.split() if word.isalpha() and word.islower())
    for word, count in found.items():
        if count >= 12:
            bits[word] = bits.get(word, 0) | COMMON
    return bits
