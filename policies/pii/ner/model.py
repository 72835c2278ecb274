"""The model file, checked and run: words in, the probabilities of their tags out.

One ONNX file holds everything: the network, the word pieces and what is known about single words. It is run by
onnxruntime on one thread, which lets go of the interpreter's lock while it computes.
"""

from __future__ import annotations

import hashlib
import zlib
from base64 import b64decode
from collections.abc import Sequence
from pathlib import Path
from typing import Any, Final

import numpy as np

from policies.pii.errors import DetectorFailed
from policies.pii.ner.words import Lexicon, Word

PATH: Final = Path(__file__).parent / "names.onnx"
SHA256: Final = "eb97ffbdcaea41c7facac2f69bf5280def8c573812cd87aec5d4b03db2802309"
TYPES: Final = ("PERSON", "LOCATION", "ORGANIZATION", "STREET_ADDRESS")

Floats = np.ndarray[Any, np.dtype[np.float32]]


class Model:
    """A loaded model. Thread-safe. Raises DetectorFailed when the file is missing, another one, or unusable."""

    def __init__(self, path: Path = PATH, sha256: str | None = SHA256) -> None:
        try:
            content = path.read_bytes()
        except OSError as error:
            raise DetectorFailed(f"The model of names cannot be read ({type(error).__name__}): {path.name}.") from None
        self.sha256 = hashlib.sha256(content).hexdigest()
        if sha256 is not None and self.sha256 != sha256:
            raise DetectorFailed(f"The model of names is not the one that belongs to this version: {path.name}.")
        try:
            self._session = _session(path)
            told = self._session.get_modelmeta().custom_metadata_map
            self.lexicon = Lexicon(_unpacked(told["pieces"]).split("\n"), _kinds(_unpacked(told["kinds"])))
        except Exception as error:  # noqa: BLE001  onnxruntime's errors have no common class of their own
            raise DetectorFailed(f"The model of names cannot be loaded ({type(error).__name__}).") from None

    def tags(self, parts: Sequence[Sequence[Word]]) -> Floats:
        """Log-probabilities of the nine tags, a row a word: nothing, then begin and inside of each of TYPES."""
        rows: list[tuple[int, ...]] = []
        rest: list[int] = []
        owner: list[int] = []
        weight: list[float] = []
        start: list[int] = []
        end: list[int] = []
        for words in parts:
            base, count = len(rows), len(words)
            for word in words:
                pieces = word.rest
                if pieces:
                    number = len(pieces)
                    rest += pieces
                    owner += [len(rows)] * number
                    weight += [1 / number] * number
                rows.append(word.rows)
            start += [base] * count
            end += [base + count] * count
        if not rest:
            rest, owner, weight = [0], [0], [0.0]
        tags: Floats = self._session.run(
            None,
            {
                "rows": np.array(rows, np.int64),
                "rest": np.array(rest, np.int64),
                "owner": np.array(owner, np.int64)[:, None],
                "weight": np.array(weight, np.float32)[:, None],
                "place": np.arange(len(rows), dtype=np.int64),
                "start": np.array(start, np.int64),
                "end": np.array(end, np.int64),
            },
        )[0]
        return tags


def _session(path: Path) -> Any:
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = options.inter_op_num_threads = 1
    options.add_session_config_entry("session.intra_op.allow_spinning", "0")
    options.enable_cpu_mem_arena = False
    return onnxruntime.InferenceSession(str(path), options, providers=["CPUExecutionProvider"])


def _unpacked(text: str) -> str:
    return zlib.decompress(b64decode(text)).decode()


def _kinds(text: str) -> dict[str, int]:
    """Lines of bits and words: `9 grace mark ...`."""
    kinds: dict[str, int] = {}
    for line in text.split("\n"):
        bits, *words = line.split(" ")
        kinds.update(dict.fromkeys(words, int(bits)))
    return kinds
