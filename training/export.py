"""Writes the model file: a trained network as a graph of 8-bit integers, with its word pieces and known words.

Activations have fixed scales, taken from held-out text, so that what is found in a segment does not depend on what is
computed beside it. Weights have 7 bits: processors without VNNI add two products in 16 bits.
"""

from __future__ import annotations

import argparse
import json
import random
import zlib
from base64 import b64encode
from collections import defaultdict
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import torch
from onnx import TensorProto, helper, numpy_helper

from policies.pii.ner.words import Lexicon

from .batches import Batch, encode, pack
from .network import TAGS, Body
from .sets import ENGLISH, held_out, read
from .weights import minilm_folder, vocabulary

Array = np.ndarray[Any, Any]
CONTRIB = "com.microsoft"


class Graph:
    """Collects nodes and constants; every method returns the name of the tensor that it makes."""

    def __init__(self) -> None:
        self.nodes: list[onnx.NodeProto] = []
        self.constants: list[onnx.TensorProto] = []

    def constant(self, name: str, value: Any) -> str:
        if all(each.name != name for each in self.constants):
            self.constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def node(self, kind: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self.nodes)}"
        self.nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
        return output

    def split(self, state: str, sizes: str) -> tuple[str, str]:
        """Its two halves."""
        halves = f"half_{len(self.nodes)}.0", f"half_{len(self.nodes)}.1"
        self.nodes.append(helper.make_node("Split", [state, sizes], list(halves), halves[0], axis=1))
        return halves

    def norm(self, state: str, layer: torch.nn.LayerNorm, name: str) -> str:
        scale = self.constant(name + ".weight", layer.weight.detach().numpy())
        bias = self.constant(name + ".bias", layer.bias.detach().numpy())
        return self.node("LayerNormalization", [state, scale, bias], epsilon=layer.eps)


def build(body: Body, table: Array, size: Array, scales: list[float]) -> Graph:
    """The graph of a network with its table of rows; `scales` are those of each convolution's input."""
    graph = Graph()
    width = table.shape[1]
    graph.constant("table", table)
    graph.constant("size", size.astype(np.float32))

    def looked_up(index: str) -> str:
        found = graph.node("Cast", [graph.node("Gather", ["table", index])], to=TensorProto.FLOAT)
        return graph.node("Mul", [found, graph.node("Gather", ["size", index])])

    one = graph.constant("one", np.array([1], np.int64))
    state = graph.node("ReduceSum", [looked_up("rows"), one], keepdims=0)
    further = graph.node("Mul", [looked_up("rest"), "weight"])
    state = graph.node("ScatterND", [state, "owner", further], reduction="add")
    state = graph.norm(state, body.enter, "enter")
    length = graph.node("Shape", ["place"])
    zero = graph.constant("zero", np.array(128, np.uint8))
    border = graph.constant("border", np.full((1, width), 128, np.uint8))
    halves = graph.constant("halves", np.array([width // 2, width // 2], np.int64))
    sides: dict[int, tuple[str, str]] = {}
    for number, (reach, scale) in enumerate(zip(body.reach, scales, strict=True)):
        if reach not in sides:
            step = graph.constant(f"reach.{reach}", np.array([reach], np.int64))
            left, right = graph.node("Sub", ["place", step]), graph.node("Add", ["place", step])
            sides[reach] = (
                graph.node("Where", [graph.node("GreaterOrEqual", [left, "start"]), left, length]),
                graph.node("Where", [graph.node("Less", [right, "end"]), right, length]),
            )
        normal = graph.norm(state, body.norms[number], f"norm.{number}")
        size_name = graph.constant(f"scale.{number}", np.array(scale, np.float32))
        here = graph.node("QuantizeLinear", [normal, size_name, zero])
        lefts, rights = graph.split(graph.node("Concat", [here, border], axis=0), halves)
        left, right = sides[reach]
        near = graph.node(
            "Concat", [graph.node("Gather", [lefts, left]), here, graph.node("Gather", [rights, right])], axis=1
        )
        mix = body.mixes[number]
        weight = mix.weight.detach().numpy().T
        each = np.abs(weight).max(0) / 63
        inputs = [
            near,
            graph.constant(f"mix.{number}.weight", np.round(weight / each).astype(np.int8)),
            size_name,
            graph.constant(f"mix.{number}.size", each.astype(np.float32)),
            zero,
            graph.constant(f"mix.{number}.zero", np.zeros(len(each), np.int8)),
            graph.constant(f"mix.{number}.bias", mix.bias.detach().numpy()),
        ]
        mixed = graph.node("MatMulIntegerToFloat", inputs, CONTRIB)
        state = graph.node("Add", [state, graph.node("Gelu", [mixed], CONTRIB)])
    state = graph.norm(state, body.leave, "leave")
    head = graph.constant("head.weight", body.head.weight.detach().numpy().T)
    bias = graph.constant("head.bias", body.head.bias.detach().numpy())
    logits = graph.node("Add", [graph.node("MatMul", [state, head]), bias])
    graph.nodes.append(helper.make_node("LogSoftmax", [logits], ["tags"], axis=-1))
    return graph


def model(graph: Graph, told: dict[str, str]) -> onnx.ModelProto:
    """The model file's content."""
    whole = TensorProto.INT64
    inputs = [
        helper.make_tensor_value_info("rows", whole, ["words", 5]),
        helper.make_tensor_value_info("rest", whole, ["further"]),
        helper.make_tensor_value_info("owner", whole, ["further", 1]),
        helper.make_tensor_value_info("weight", TensorProto.FLOAT, ["further", 1]),
        *(helper.make_tensor_value_info(name, whole, ["words"]) for name in ("place", "start", "end")),
    ]
    outputs = [helper.make_tensor_value_info("tags", TensorProto.FLOAT, ["words", TAGS])]
    made = helper.make_graph(graph.nodes, "names", inputs, outputs, graph.constants)
    opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
    proto = helper.make_model(made, opset_imports=opsets, ir_version=8)
    helper.set_model_props(proto, told)
    return proto


def vectors(table: Array, size: Array, batch: Batch) -> torch.Tensor:
    """The words' vectors, from the table."""
    state = (table[batch.rows].astype(np.float32) * size[batch.rows]).sum(1)
    rest = table[batch.rest].astype(np.float32) * size[batch.rest] * batch.weight[:, None]
    np.add.at(state, batch.owner, rest)
    return torch.from_numpy(state)


def scales_of(body: Body, table: Array, size: Array, lexicon: Lexicon, data: Path) -> list[float]:
    """How large the inputs of the convolutions get on held-out text."""
    documents = [each for name in ENGLISH for each in read(data / f"{name}.jsonl") if held_out(each)]
    random.Random(1).shuffle(documents)
    batch = pack([part for each in documents[:600] for part in encode(lexicon, each.text, each.spans, 120)])
    largest: dict[int, float] = defaultdict(float)
    for number, norm in enumerate(body.norms):
        norm.register_forward_hook(
            lambda _, __, out, number=number: largest.__setitem__(
                number, float(torch.quantile(out.abs().amax(1), 0.999))
            )
        )
    with torch.no_grad():
        body(vectors(table, size, batch), torch.from_numpy(batch.start), torch.from_numpy(batch.end))
    return [largest[number] / 127 for number in range(len(body.norms))]


def _packed(text: str) -> str:
    return b64encode(zlib.compress(text.encode(), 9)).decode()


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--data", type=Path, default=Path("../shared/data/pii/dev"))
    parser.add_argument("--checkpoint", type=Path, default=Path("/tmp/customhouse-ner"))
    parser.add_argument("--number", type=int, default=0, help="Which of the networks that were trained together.")
    parser.add_argument("--weights", type=Path, default=None)
    parser.add_argument("--to", type=Path, default=Path("policies/pii/ner/names.onnx"))
    options = parser.parse_args()
    pieces = vocabulary(options.weights or minilm_folder())
    kinds = json.loads((options.checkpoint / "kinds.json").read_text())
    kept = torch.load(options.checkpoint / f"body-{options.number}.pt")
    body = Body(*kept["shape"])
    body.load_state_dict(kept["body"])
    body.eval()
    with np.load(options.checkpoint / f"table-{options.number}.npz") as file:
        table, size = file["table"], file["size"]
    lexicon = Lexicon(pieces, kinds)
    lines = [
        " ".join([str(bits), *sorted(word for word in kinds if kinds[word] == bits)])
        for bits in sorted(set(kinds.values()))
    ]
    graph = build(body, table, size, scales_of(body, table, size, lexicon, options.data))
    told = {"pieces": _packed("\n".join(pieces)), "kinds": _packed("\n".join(lines))}
    content = model(graph, told).SerializeToString()
    options.to.write_bytes(content)
    import hashlib

    print(f"{options.to}: {len(content) / 1e6:.1f} MB, sha256 {hashlib.sha256(content).hexdigest()}")


if __name__ == "__main__":
    main()
