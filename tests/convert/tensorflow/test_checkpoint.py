"""Checkpoints of TensorFlow 1 with their graph."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_models import run_capture

import transload as tl
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.source import SourceKind
from transload.convert.source_digest import digest_files
from transload.convert.tensorflow.checkpoint import capture
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.interface import Dict, Tensor

v1 = tf.compat.v1
WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3) - 5
X = np.random.default_rng(2).standard_normal((3, 4)).astype(np.float32)


def write_checkpoint(folder: Path, *, resource: bool = True, reads: str = "") -> Path:
    """`scores = softmax(x @ w)`, and a loss of labels as training has it."""
    with tf.Graph().as_default(), v1.Session() as session:
        x = v1.placeholder(tf.float32, [None, 4], name="x")
        labels = v1.placeholder(tf.int32, [None], name="labels")
        weight = v1.get_variable("w", initializer=WEIGHT, use_resource=resource)
        logits = tf.matmul(x, weight)
        tf.nn.softmax(logits, name="scores")
        tf.nn.sparse_softmax_cross_entropy_with_logits(labels, logits, name="loss")
        if reads:
            tf.io.read_file(reads, name="stolen")
        session.run(v1.global_variables_initializer())
        v1.train.Saver().save(session, str(folder / "model.ckpt"))
    return folder / "model.ckpt.meta"


@pytest.fixture(scope="module")
def meta(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return write_checkpoint(tmp_path_factory.mktemp("checkpoint"))


def expected(x: Any) -> Any:
    powers = np.exp(x @ WEIGHT)
    return powers / powers.sum(-1, keepdims=True)


@pytest.mark.parametrize(
    "name", ["model.ckpt", "model.ckpt.meta", "model.ckpt.index", "model.ckpt.data-00000-of-00001"]
)
def test_a_checkpoint_is_found_by_its_prefix_and_by_each_of_its_files(meta: Path, name: str) -> None:
    source = detect_source(meta.with_name(name))
    assert (source.kind, source.path) == (SourceKind.TF_CHECKPOINT, meta)


def test_a_text_graph_is_found_too(meta: Path, tmp_path: Path) -> None:
    from tensorflow.core.protobuf.meta_graph_pb2 import MetaGraphDef

    for file in meta.parent.glob("model.ckpt.*"):
        (tmp_path / file.name).write_bytes(file.read_bytes())
    proto = MetaGraphDef.FromString(meta.read_bytes())
    (tmp_path / meta.name).write_text(text_format.MessageToString(proto))
    source = detect_source(tmp_path / meta.name)
    assert source.kind is SourceKind.TF_CHECKPOINT
    (found,) = capture(source, ConvertOptions(outputs=("scores",)))
    np.testing.assert_allclose(run_capture(found, {"x": X})["scores"], expected(X), rtol=1e-5)


def test_the_folder_names_its_checkpoints(meta: Path) -> None:
    with pytest.raises(UsageError, match=r"folder of checkpoints(.|\n)*model\.ckpt\.meta"):
        detect_source(meta.parent)


@pytest.mark.parametrize("resource", [True, False])
def test_only_placeholders_that_the_outputs_need_are_inputs(tmp_path: Path, resource: bool) -> None:
    source = detect_source(write_checkpoint(tmp_path, resource=resource))
    (found,) = capture(source, ConvertOptions(outputs=("scores:0",)))
    assert found.inputs == {"x": Tensor("x", "float32", ("batch", 4))}
    assert found.outputs == Dict({"scores": Tensor("scores", "float32", (None, 3))})
    assert found.source.sha256 == digest_files(tmp_path, tmp_path.glob("model.ckpt.*"))
    for outputs in (run_capture(found, {"x": X}), found.reference.run({"x": X})):
        np.testing.assert_allclose(outputs["scores"], expected(X), rtol=1e-5)


def test_without_outputs_the_graph_s_ends_are_named(meta: Path) -> None:
    with pytest.raises(UsageError, match=r"--outputs(.|\n)*scores:0, loss/") as caught:
        capture(detect_source(meta), ConvertOptions())
    assert "save" not in caught.value.hint


def test_a_checkpoint_goes_the_whole_way(meta: Path, tmp_path: Path) -> None:
    path = tl.convert_model(meta, outputs=["scores"]).save(tmp_path / "m.tload")
    np.testing.assert_allclose(tl.load(path)(x=X)["scores"], expected(X), rtol=1e-5)


def test_a_checkpoint_without_its_weights_is_refused(tmp_path: Path) -> None:
    meta = write_checkpoint(tmp_path)
    (tmp_path / "model.ckpt.index").unlink()
    with pytest.raises(SourceError, match=r"cannot restore model\.ckpt"):
        capture(detect_source(meta), ConvertOptions(outputs=("scores",)))


def test_a_graph_that_reads_files_is_refused(tmp_path: Path) -> None:
    meta = write_checkpoint(tmp_path, reads="/etc/hostname")
    with pytest.raises(SourceError, match=r"ReadFile \(node 'stolen'\)"):
        capture(detect_source(meta), ConvertOptions(outputs=("scores",)))
