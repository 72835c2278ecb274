"""The local embedder, built from the installed weights."""

from __future__ import annotations

from pathlib import Path
from uuid import UUID

import numpy as np
import onnxruntime
import pytest

from retrieval.ingest import embed, graph
from retrieval.ingest.embed import LocalEmbedder, Queries, WeightsMissing, embedder, fertility

TEXTS = [
    "A man is eating food.",
    "A man is eating a piece of bread.",
    "A monkey is playing drums.",
    "The lease ends on the last day of March unless either party extends it in writing. " * 8,
]


@pytest.fixture(scope="module")
def full(tmp_path_factory):
    """The same graph with unabridged weights."""
    path = tmp_path_factory.mktemp("graph") / "full.onnx"
    graph.build(embed._verified("model.safetensors", embed.WEIGHTS_SHA256), path, quantized=False)
    return onnxruntime.InferenceSession(str(path), providers=["CPUExecutionProvider"])


def unabridged(full, texts) -> np.ndarray:
    model = LocalEmbedder()
    model._session = full
    return model.documents(texts)


def test_vectors_have_length_one_and_tell_meanings_apart():
    vectors = embedder().documents(TEXTS)
    assert vectors.shape == (4, 384)
    assert np.allclose(np.linalg.norm(vectors, axis=1), 1, atol=1e-5)
    assert vectors[0] @ vectors[1] > 0.7 > 0.2 > vectors[0] @ vectors[2]


def test_the_graph_is_the_published_model(full):
    # the cosine that the model's own documentation gives for these two sentences
    one, other = unabridged(full, TEXTS[:2])
    assert one @ other == pytest.approx(0.7553, abs=0.0005)


def test_eight_bits_cost_less_than_a_hundredth_of_the_cosine(full):
    cosines = (embedder().documents(TEXTS) * unabridged(full, TEXTS)).sum(axis=1)
    assert cosines.mean() > 0.99


def test_batches_change_little():
    together = embedder().documents(TEXTS * 5)
    alone = np.vstack([embedder().documents([text]) for text in TEXTS] * 5)
    # eight bits are spread over the range of a whole batch
    assert (together * alone).sum(axis=1).min() > 0.985


def test_a_question_is_embedded_as_a_document():
    assert embedder().query(TEXTS[0]) @ embedder().documents(TEXTS[:1])[0] > 0.999


def test_a_foreign_language_has_more_pieces_a_word():
    model = embedder()
    found = [
        fertility(model, text) for text in ("What is the rent?", "Wie hoch ist die Monatsmiete?", "蜜蜂冬天吃什么")
    ]
    assert found == sorted(found)
    assert found[0] < 1.5 < found[1] < 4 < found[2]


def test_questions_are_remembered_for_one_tenant_and_not_as_text():
    queries = Queries(most=2)
    first = queries.embed_now(UUID(int=1), "a question")
    assert queries.embed_now(UUID(int=1), "a question") is first
    assert queries.embed_now(UUID(int=2), "a question") is not first
    queries.embed_now(UUID(int=3), "a question")
    assert queries.embed_now(UUID(int=1), "a question") is not first
    assert all(isinstance(key, bytes) and len(key) == 16 for key in queries._known)


def test_other_weights_than_the_published_ones_are_refused(monkeypatch):
    with pytest.raises(WeightsMissing):
        embed._verified("model.safetensors", "0" * 64)
    monkeypatch.setattr(embed, "WEIGHTS_PACKAGE", "no_such_package")
    with pytest.raises(WeightsMissing):
        embed._verified("model.safetensors", embed.WEIGHTS_SHA256)


def test_the_graph_is_built_once_and_whole(settings, tmp_path, monkeypatch):
    settings.MODEL_DIR = tmp_path / "models"
    built: list[Path] = []
    monkeypatch.setattr(graph, "build", lambda weights, target: (built.append(target), target.write_bytes(b"graph")))
    first, second = embed.graph_file(), embed.graph_file()
    assert (first, first.read_bytes(), len(built)) == (second, b"graph", 1)
    assert sorted(path.name for path in first.parent.iterdir()) == [".lock", first.name]
