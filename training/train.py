"""Trains networks for so many minutes of wall clock; writes what `export.py` needs. See README.md."""

from __future__ import annotations

import argparse
import json
import lzma
import random
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import torch
from torch import Tensor, nn
from torch.nn import functional
from torch.optim.swa_utils import AveragedModel, get_ema_multi_avg_fn

from policies.pii.ner.words import Lexicon

from .batches import Batch, Source, Stream, encode, pack
from .names import Names
from .network import REACH, WIDTH, Network
from .sets import Document, known_names
from .weights import minilm_folder, word_table


def tensors(batch: Batch, device: str) -> tuple[Tensor, ...]:
    """What the network reads."""
    each = (batch.rows, batch.rest, batch.owner, batch.weight, batch.start, batch.end)
    return tuple(torch.from_numpy(one).to(device, non_blocking=True) for one in each)


class Clock:
    """How much of a time has passed, and the learning rate that belongs to it."""

    def __init__(self, seconds: float) -> None:
        self._seconds, self._began = seconds, time.monotonic()
        self.steps = 0

    def done(self) -> float:
        """The share that has passed."""
        return (time.monotonic() - self._began) / self._seconds

    def rate(self, highest: float, warm: int = 200) -> float:
        """Up in so many steps, then down to nearly nothing."""
        return highest * min(1, (self.steps + 1) / warm) * max(0.01, 1 - self.done())


def learn(
    networks: list[Network],
    batches: Iterator[Batch],
    device: str,
    seconds: float,
    rate: float,
) -> list[Network]:
    """Networks learn from the marked spans, all from the same batches; running means of them."""
    means = [AveragedModel(each, multi_avg_fn=get_ema_multi_avg_fn(0.999), use_buffers=False) for each in networks]
    optimizers = [
        torch.optim.AdamW(each.parameters(), lr=rate, betas=(0.9, 0.98), weight_decay=0.02) for each in networks
    ]
    clock, lost, seen = Clock(seconds), [torch.zeros((), device=device) for _ in networks], 0
    for batch in batches:
        if clock.done() >= 1:
            break
        inputs, label = tensors(batch, device), torch.from_numpy(batch.label).to(device)
        for number, (network, mean, optimizer) in enumerate(zip(networks, means, optimizers, strict=True)):
            for group in optimizer.param_groups:
                group["lr"] = clock.rate(rate)
            network.train()
            logits = network(*inputs)
            loss = functional.cross_entropy(logits, label, ignore_index=-1)
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(network.parameters(), 1.0)
            optimizer.step()
            mean.update_parameters(network)
            lost[number] += loss.detach()
        clock.steps, seen = clock.steps + 1, seen + len(batch.label)
        if clock.steps % 200 == 0:
            losses = " ".join(f"{each.item() / 200:.4f}" for each in lost)
            print(f"networks {clock.steps:6} {clock.done():4.0%}  loss {losses}", flush=True)
            for each in lost:
                each.zero_()
    print(f"networks: {clock.steps} steps, {seen:,} words", flush=True)
    return [mean.module.eval() for mean in means]


def judged(logits: Tensor, label: np.ndarray[Any, Any]) -> str:
    """Of words: how many named ones are found with their type, and how many found ones are right."""
    found, marked = (logits.argmax(1).cpu().numpy() + 1) // 2, (label + 1) // 2
    told = label >= 0
    figures = []
    for kind in range(1, 5):
        both = (found == kind) & (marked == kind) & told
        figures.append(
            f"{both.sum() / max(1, (marked == kind).sum()):.3f}/{both.sum() / max(1, ((found == kind) & told).sum()):.3f}"
        )
    return " ".join(figures)


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--prepared", type=Path, default=Path("/tmp/customhouse-ner/prepared.json.xz"))
    parser.add_argument("--out", type=Path, default=Path("/tmp/customhouse-ner"))
    parser.add_argument("--weights", type=Path, default=None, help="The folder of all-MiniLM-L6-v2.")
    parser.add_argument("--device", default="cuda" if torch.cuda.is_available() else "cpu")
    parser.add_argument("--processes", type=int, default=1)
    parser.add_argument("--words", type=int, default=4_096, help="In a batch.")
    parser.add_argument("--minutes", type=float, default=55)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--shapes", nargs="*", default=[f"{WIDTH}:{','.join(map(str, REACH))}"])
    parser.add_argument("--seed", type=int, default=7)
    options = parser.parse_args()
    torch.manual_seed(options.seed)
    torch.set_float32_matmul_precision("high")
    options.out.mkdir(parents=True, exist_ok=True)

    prepared = json.loads(lzma.decompress(options.prepared.read_bytes()))
    documents, kept_back = (
        [Document(text, [(start, end, kind) for start, end, kind in spans], source) for text, spans, source in each]
        for each in (prepared["documents"], prepared["held_out"])
    )
    pieces = prepared["pieces"]
    lexicon = Lexicon(pieces, prepared["kinds"])
    known_of_sets = known_names(documents)
    names = Names(random.Random(options.seed), known_of_sets, prepared["sources"])
    seed = options.seed * 1_000

    def source(number: int) -> Source:
        return Source(lexicon, names, documents, seed + number, options.words)

    stream = Stream(source, options.processes)  # before the device is touched: the processes are forks
    batches = iter(stream)
    held = pack([part for each in kept_back for part in encode(lexicon, each.text, each.spans, 120)])
    device = options.device
    known = [word_table(options.weights or minilm_folder()).to(device)]
    print(f"batches: {stream.fresh} new, {stream.again} again", flush=True)

    shapes = [
        (int(width), tuple(map(int, reach.split(",")))) for width, reach in (s.split(":") for s in options.shapes)
    ]
    networks = [Network(known, width, reach).to(device) for width, reach in shapes]
    networks = learn(networks, batches, device, options.minutes * 60, options.rate)
    is_further = torch.tensor([piece.startswith("##") for piece in pieces], device=device)
    for number, (network, shape) in enumerate(zip(networks, shapes, strict=True)):
        with torch.no_grad():
            print(f"network {shape}, held out: {judged(network(*tensors(held, device)), held.label)}", flush=True)
        table = network.rows.table(is_further).cpu().numpy()
        size = np.abs(table).max(1, keepdims=True) / 127
        np.savez_compressed(
            options.out / f"table-{number}.npz", table=np.round(table / size).astype(np.int8), size=size
        )
        torch.save({"shape": shape, "body": network.body.cpu().state_dict()}, options.out / f"body-{number}.pt")
    print(f"batches: {stream.fresh} new, {stream.again} again", flush=True)


if __name__ == "__main__":
    main()
