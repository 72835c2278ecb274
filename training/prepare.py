"""Gathers what is learned from in one file: documents, lists of names, word pieces. See README.md.

The file is all that `train.py` needs besides the weights, so training can run on a machine without the sets.
"""

from __future__ import annotations

import argparse
import json
import lzma
import random
from dataclasses import astuple
from pathlib import Path
from typing import Any

from .names import Names, sources
from .sets import ENGLISH, SETS, held_out, kinds, known_names, read
from .weights import minilm_folder, vocabulary


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pii/dev"))
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--out", type=Path, default=Path("/tmp/customhouse-ner"))
    options = parser.parse_args()
    options.out.mkdir(parents=True, exist_ok=True)

    every = [each for name in SETS for each in read(options.data / f"{name}.jsonl")]
    documents = [each for each in every if not held_out(each)]
    found = sources()
    names = Names(random.Random(7), known_names(documents), found)
    known = kinds(names, documents)
    (options.out / "kinds.json").write_text(json.dumps(known))
    kept_back = [each for each in every if held_out(each) and each.source in ENGLISH]
    random.Random(1).shuffle(kept_back)
    prepared: dict[str, Any] = {
        "documents": [astuple(each) for each in documents],
        "held_out": [astuple(each) for each in kept_back[:900]],
        "sources": found,
        "kinds": known,
        "pieces": vocabulary(options.weights or minilm_folder()),
    }
    packed = lzma.compress(json.dumps(prepared).encode(), preset=6)
    (options.out / "prepared.json.xz").write_bytes(packed)
    print(f"{len(documents)} documents, {len(known)} known words, {len(packed) / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
