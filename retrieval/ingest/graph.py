"""Builds the local embedder's ONNX graph from its published weights: no torch, no download, some seconds.

The graph is BERT with six layers as onnxruntime's fused operators, token ids to sentence vector: mean of the token
vectors, length one. Weights become 8-bit integers per channel (per tensor loses a twentieth of the cosine).
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper
from safetensors.numpy import load_file

LAYERS, HEADS, HIDDEN, EPSILON = 6, 12, 384, 1e-12
CONTRIB = "com.microsoft"

Weights = dict[str, np.ndarray[Any, Any]]


def build(weights: Path, target: Path, quantized: bool = True) -> None:
    """Writes the graph of the weights in a safetensors file to `target`."""
    model = _Graph(load_file(weights)).model()
    if not quantized:
        onnx.save(model, str(target))
        return
    from onnxruntime.quantization import QuantType, quantize_dynamic

    quantize_dynamic(
        model,
        str(target),
        per_channel=True,
        weight_type=QuantType.QInt8,
        # the types behind contrib operators cannot be inferred, so the quantizer is told
        extra_options={"DefaultTensorType": TensorProto.FLOAT},
    )


class _Graph:
    """Collects nodes and weights; every method returns the name of the tensor that it makes."""

    def __init__(self, weights: Weights) -> None:
        self._weights = weights
        self._nodes: list[onnx.NodeProto] = []
        self._constants: list[onnx.TensorProto] = []

    def model(self) -> onnx.ModelProto:
        state = self._embedding()
        for layer in range(LAYERS):
            state = self._layer(state, f"encoder.layer.{layer}.")
        self._pool(state)
        graph = helper.make_graph(
            self._nodes,
            "sentence",
            [
                helper.make_tensor_value_info("ids", TensorProto.INT64, ["batch", "tokens"]),
                helper.make_tensor_value_info("mask", TensorProto.INT32, ["batch", "tokens"]),
            ],
            [helper.make_tensor_value_info("sentence", TensorProto.FLOAT, ["batch", HIDDEN])],
            self._constants,
        )
        opsets = [helper.make_opsetid("", 17), helper.make_opsetid(CONTRIB, 1)]
        model = helper.make_model(graph, opset_imports=opsets, ir_version=8)
        # the graph needs none of the shape inference and fusion that the quantizer would ask for
        helper.set_model_props(model, {"onnx.quant.pre_process": "onnxruntime.quant"})
        return model

    def _embedding(self) -> str:
        # Every text is of token type 0, so that its vector is folded into the positions'.
        types = self._weights["embeddings.token_type_embeddings.weight"][0]
        positions = self._constant("positions", self._weights["embeddings.position_embeddings.weight"] + types)
        words = self._constant("words", self._weights["embeddings.word_embeddings.weight"])
        found = self._node("Gather", [words, "ids"])
        shape = self._node("Shape", ["ids"])
        # one-dimensional indices: with a scalar, onnxruntime folds the slice into an invalid one
        length = self._node("Gather", [shape, self._constant("second", np.array([1], np.int64))])
        zero = self._constant("zero", np.array([0], np.int64))
        place = self._node("Slice", [positions, zero, length, zero])
        return self._norm(self._node("Add", [found, place]), "embeddings.LayerNorm")

    def _layer(self, state: str, name: str) -> str:
        attended = self._attention(state, name + "attention.self.")
        dense = self._linear(attended, name + "attention.output.dense")
        state = self._norm(self._node("Add", [dense, state]), name + "attention.output.LayerNorm")
        inner = self._node("Gelu", [self._linear(state, name + "intermediate.dense")], CONTRIB)
        outer = self._linear(inner, name + "output.dense")
        return self._norm(self._node("Add", [outer, state]), name + "output.LayerNorm")

    def _attention(self, state: str, name: str) -> str:
        parts = [name + part for part in ("query", "key", "value")]
        weight = np.concatenate([self._weights[part + ".weight"].T for part in parts], axis=1)
        bias = np.concatenate([self._weights[part + ".bias"] for part in parts])
        inputs = [state, self._constant(name + "weight", weight), self._constant(name + "bias", bias), "mask"]
        return self._node("Attention", inputs, CONTRIB, num_heads=HEADS)

    def _linear(self, state: str, name: str) -> str:
        weight = self._constant(name + ".weight", self._weights[name + ".weight"].T)
        bias = self._constant(name + ".bias", self._weights[name + ".bias"])
        return self._node("Add", [self._node("MatMul", [state, weight]), bias])

    def _norm(self, state: str, name: str) -> str:
        scale = self._constant(name + ".weight", self._weights[name + ".weight"])
        bias = self._constant(name + ".bias", self._weights[name + ".bias"])
        return self._node("LayerNormalization", [state, scale, bias], epsilon=EPSILON)

    def _pool(self, state: str) -> None:
        """The mean over the tokens that are no padding, brought to length one."""
        last = self._constant("last", np.array([2], np.int64))
        tokens = self._constant("tokens", np.array([1], np.int64))
        mask = self._node("Cast", ["mask"], to=TensorProto.FLOAT)
        spread = self._node("Unsqueeze", [mask, last])
        summed = self._node("ReduceSum", [self._node("Mul", [state, spread]), tokens], keepdims=0)
        mean = self._node("Div", [summed, self._node("ReduceSum", [spread, tokens], keepdims=0)])
        self._nodes.append(helper.make_node("LpNormalization", [mean], ["sentence"], axis=-1, p=2))

    def _constant(self, name: str, value: np.ndarray[Any, Any]) -> str:
        self._constants.append(numpy_helper.from_array(np.ascontiguousarray(value), name))
        return name

    def _node(self, kind: str, inputs: list[str], domain: str = "", **attributes: Any) -> str:
        output = f"{kind.lower()}_{len(self._nodes)}"
        self._nodes.append(helper.make_node(kind, inputs, [output], output, domain=domain, **attributes))
        return output
