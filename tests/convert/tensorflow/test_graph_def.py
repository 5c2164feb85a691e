"""Frozen GraphDef files, binary and text."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest
from google.protobuf import text_format
from tensorflow_models import run_capture

from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.graph_def import capture
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.interface import Dict, Tensor

WEIGHT = np.arange(12, dtype=np.float32).reshape(4, 3)


def make_graph(rank_known: bool = True) -> Any:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None, 4] if rank_known else None, name="x")
        product = tf.matmul(x, WEIGHT, name="product")
        tf.nn.relu(product, name="positive")
        tf.split(product, 3, axis=1, name="parts")
    return graph.as_graph_def()


@pytest.fixture(params=["pb", "pbtxt"])
def path(request: pytest.FixtureRequest, tmp_path: Path) -> Path:
    target = tmp_path / f"graph.{request.param}"
    graph_def = make_graph()
    if request.param == "pb":
        target.write_bytes(graph_def.SerializeToString())
    else:
        target.write_text(text_format.MessageToString(graph_def))
    return target


def frozen(path: Path) -> Source:
    return Source(SourceKind.GRAPH_DEF, path)


def test_placeholders_are_inputs_and_sinks_are_outputs(path: Path) -> None:
    (found,) = capture(frozen(path), ConvertOptions())
    assert found.inputs == {"x": Tensor("x", "float32", ("batch", 4))}
    assert found.outputs == Dict(
        {"positive": Tensor("positive", "float32", (None, 3)), "parts": Tensor("parts", "float32", (None, 1))}
    )
    x = np.array([[1, -2, 3, -4], [0, 0, 0, 1], [-1, -1, -1, -1]], np.float32)
    ours = run_capture(found, {"x": x})
    np.testing.assert_allclose(ours["positive"], np.maximum(x @ WEIGHT, 0))
    np.testing.assert_allclose(ours["parts"], (x @ WEIGHT)[:, :1])
    theirs = found.reference.run({"x": x})
    assert list(theirs) == ["positive", "parts"]
    np.testing.assert_allclose(theirs["positive"], np.maximum(x @ WEIGHT, 0))


def test_outputs_can_be_chosen_by_tensor_name(path: Path) -> None:
    (found,) = capture(frozen(path), ConvertOptions(outputs=("parts:2", "product")))
    x = np.ones((2, 4), np.float32)
    ours = run_capture(found, {"x": x})
    assert list(ours) == ["parts:2", "product"]
    np.testing.assert_allclose(ours["parts:2"], (x @ WEIGHT)[:, 2:])


def test_an_output_asked_for_twice_is_there_once(path: Path) -> None:
    (found,) = capture(frozen(path), ConvertOptions(outputs=("product", "product:0")))
    assert [value.name for value in found.model.graph.outputs] == ["product"]


def test_a_placeholder_with_a_default_keeps_it_and_a_note_says_so(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        tf.multiply(x, tf.compat.v1.placeholder_with_default(tf.constant(3.0), [], name="scale"), name="y")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    (found,) = capture(frozen(path), ConvertOptions())
    assert list(found.inputs) == ["x"]
    assert found.notes == ("The placeholder 'scale' always has its default value.",)
    x = np.array([1, -2], np.float32)
    np.testing.assert_array_equal(run_capture(found, {"x": x})["y"], x * 3)


def test_an_unknown_output_is_refused_with_the_sinks(path: Path) -> None:
    with pytest.raises(UsageError, match=r"lacks an output(.|\n)*Sinks of the graph: positive:0, parts:0"):
        capture(frozen(path), ConvertOptions(outputs=("none:0",)))


def test_an_input_of_unknown_rank_needs_a_description(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(make_graph(rank_known=False).SerializeToString())
    with pytest.raises(UsageError, match=r"does not know the rank of the input 'x'(.|\n)*--input"):
        capture(frozen(path), ConvertOptions())
    (found,) = capture(frozen(path), ConvertOptions(inputs=(InputSpec("x", "float32", ("rows", 4)),)))
    assert found.inputs == {"x": Tensor("x", "float32", ("rows", 4))}


def test_a_graph_with_variables_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.float32, [None], name="x")
        variable = tf.compat.v1.get_variable("v", [], use_resource=False)
        tf.add(x, variable, name="y")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(UsageError, match="not frozen"):
        capture(frozen(path), ConvertOptions())


def test_a_graph_that_writes_files_is_refused(tmp_path: Path) -> None:
    with tf.Graph().as_default() as graph:
        x = tf.compat.v1.placeholder(tf.string, [], name="x")
        tf.io.write_file("stolen.txt", x)
        tf.identity(x, name="y")
    path = tmp_path / "graph.pb"
    path.write_bytes(graph.as_graph_def().SerializeToString())
    with pytest.raises(SourceError, match="WriteFile"):
        capture(frozen(path), ConvertOptions())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "graph.pb"
    path.write_bytes(b"\xff\xfe\xfd")
    with pytest.raises(SourceError, match="not a readable GraphDef"):
        capture(frozen(path), ConvertOptions())


def test_a_function_in_the_graph_with_a_type_that_cannot_be_is_damage(tmp_path: Path) -> None:
    @tf.function
    def loop(x: Any) -> Any:
        return tf.while_loop(lambda y: tf.reduce_sum(y) < 9.0, lambda y: (y + x,), (x,))

    graph_def = loop.get_concrete_function(tf.TensorSpec([None, 3], tf.float32, "x")).graph.as_graph_def()
    for function in graph_def.library.function:
        function.signature.input_arg[0].type = 0
    path = tmp_path / "graph.pb"
    path.write_bytes(graph_def.SerializeToString())
    with pytest.raises(SourceError, match="does not take the graph"):
        capture(frozen(path), ConvertOptions())
