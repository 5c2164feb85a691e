"""What is refused without trust: by what leads to an operation, whatever its node or function is called."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import pytest
from tensorflow_models import save

from transload.convert.options import ConvertOptions
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import graph_def, saved_model
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.trust import DANGEROUS, RESTORERS, SAVERS, VOCABULARIES, check_trust
from transload.serialize.errors import SourceError

FLOATS = tf.TensorSpec([4], tf.float32, name="x")


def write_checkpoint(x: Any, name: str = "SaveV2") -> Any:
    return tf.raw_ops.SaveV2(prefix="stolen", tensor_names=["a"], shape_and_slices=[""], tensors=[x], name=name)


def frozen(folder: Path, build: Callable[[Any], None]) -> Source:
    with tf.Graph().as_default() as graph:
        build(tf.compat.v1.placeholder(tf.float32, [4], name="x"))
    path = folder / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    return Source(SourceKind.GRAPH_DEF, path)


@pytest.mark.parametrize("name", sorted(DANGEROUS | SAVERS | RESTORERS | VOCABULARIES))
def test_tensorflow_still_has_each_operation_that_is_refused(name: str) -> None:
    # A name that TensorFlow gave up would guard nothing; what came in its place has to be found.
    assert hasattr(tf.raw_ops, name)


def test_a_function_that_writes_a_checkpoint_is_refused_though_it_is_named_like_the_saver_s(tmp_path: Path) -> None:
    @tf.function(input_signature=[FLOATS])
    def _traced_save(x: Any) -> Any:
        write_checkpoint(x)
        return x + 1.0

    path = save(tmp_path / "m", lambda x: {"y": _traced_save(x)}, FLOATS)
    with pytest.raises(SourceError, match=r"SaveV2 \(node 'SaveV2' in function '__inference__traced_save"):
        saved_model.capture(Source(SourceKind.SAVED_MODEL, path), ConvertOptions())


def test_a_function_inside_a_branch_is_looked_into(tmp_path: Path) -> None:
    def branch(x: Any) -> dict[str, Any]:
        def write() -> Any:
            write_checkpoint(x)
            return x

        return {"y": tf.cond(tf.reduce_sum(x) > 0.0, write, lambda: x)}

    with pytest.raises(SourceError, match="SaveV2"):
        saved_model.capture(Source(SourceKind.SAVED_MODEL, save(tmp_path / "m", branch, FLOATS)), ConvertOptions())


def test_a_restoring_operation_that_a_call_reaches_is_refused(tmp_path: Path) -> None:
    def read(x: Any) -> dict[str, Any]:
        (value,) = tf.raw_ops.RestoreV2(
            prefix="/etc/secret", tensor_names=["a"], shape_and_slices=[""], dtypes=[tf.float32]
        )
        return {"y": x + value}

    with pytest.raises(SourceError, match="RestoreV2"):
        saved_model.capture(Source(SourceKind.SAVED_MODEL, save(tmp_path / "m", read, FLOATS)), ConvertOptions())


def test_a_saver_in_a_frozen_graph_is_refused_where_an_output_needs_it(tmp_path: Path) -> None:
    def build(x: Any) -> None:
        with tf.control_dependencies([write_checkpoint(x, name="save/SaveV2")]):
            tf.identity(x, name="y")

    with pytest.raises(SourceError, match=r"SaveV2 \(node 'save/SaveV2'\)"):
        graph_def.capture(frozen(tmp_path, build), ConvertOptions())


def test_a_saver_that_no_output_needs_may_lie_around(tmp_path: Path) -> None:
    def build(x: Any) -> None:
        write_checkpoint(x, name="save/SaveV2")
        tf.negative(x, name="y")

    (found,) = graph_def.capture(frozen(tmp_path, build), ConvertOptions())
    assert [value.name for value in found.model.graph.outputs] == ["y"]


def read_vocabulary(table: Any, path: Any) -> None:
    tf.raw_ops.InitializeTableFromTextFileV2(table_handle=table, filename=path, key_index=-2, value_index=-1)


def save_vocabulary(folder: Path, path: Path, kind: str) -> Source:
    """A SavedModel whose table comes from a file: an asset, a constant in the function, or one that it captured."""
    module = tf.Module()
    if kind == "asset":
        initializer = tf.lookup.TextFileInitializer(str(path), tf.string, -2, tf.int64, -1)
        module.table = tf.lookup.StaticHashTable(initializer, -1)
    else:
        table = tf.lookup.StaticHashTable(
            tf.lookup.KeyValueTensorInitializer(["a"], tf.constant([1], tf.int64), tf.string, tf.int64), -1
        )
        captured = tf.constant(str(path))

        def initialise() -> Any:
            read_vocabulary(table.resource_handle, captured if kind == "captured" else str(path))
            return tf.constant(0)

        module.table = table
        module.initialise = tf.function(initialise, input_signature=[])
    words = [tf.TensorSpec([None], tf.string, name="words")]
    module.serve = tf.function(lambda words: {"ids": module.table.lookup(words)}, input_signature=words)
    tf.saved_model.save(module, str(folder), signatures={"serving_default": module.serve})
    return Source(SourceKind.SAVED_MODEL, folder)


@pytest.mark.parametrize("kind", ["constant", "captured"])
def test_a_vocabulary_outside_of_the_assets_is_refused(tmp_path: Path, kind: str) -> None:
    (tmp_path / "secret.txt").write_text("a\nb\n")
    source = save_vocabulary(tmp_path / "m", tmp_path / "secret.txt", kind)
    with pytest.raises(SourceError, match="InitializeTableFromTextFileV2"):
        saved_model.capture(source, ConvertOptions())


def test_a_vocabulary_among_the_assets_is_read(tmp_path: Path) -> None:
    (tmp_path / "words.txt").write_text("a\nb\n")
    source = save_vocabulary(tmp_path / "m", tmp_path / "words.txt", "asset")
    assert source.path is not None
    check_trust(saved_model.read_saved_model(source.path), source.path)
