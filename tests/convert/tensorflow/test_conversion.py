"""Large weights stay out of protobufs and come back unchanged; what cannot be kept apart is frozen whole."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
import tf2onnx.optimizer
from tensorflow_models import run_capture, save

from transload.convert.capture import Capture
from transload.convert.options import ConvertOptions
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import conversion, graph_def, saved_model, separated_weights, tf2onnx_adapter
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError

FLOATS = tf.TensorSpec([None, 4], tf.float32, name="x")
X = np.random.default_rng(3).standard_normal((3, 4)).astype(np.float32)


@pytest.fixture
def separated(monkeypatch: pytest.MonkeyPatch) -> None:
    """As if the smallest models were large."""
    monkeypatch.setattr(conversion, "SEPARATE_BYTES", 0)
    monkeypatch.setattr(separated_weights, "WEIGHT_BYTES", 32)


def capture(path: Path) -> Capture:
    (found,) = saved_model.capture(Source(SourceKind.SAVED_MODEL, path), ConvertOptions())
    return found


def lazy_shapes(found: Capture) -> set[tuple[int, ...]]:
    """The shapes of the weights that are read only when they are written."""
    tensors = [value.const_value for value in found.model.graph.initializers.values()]
    return {tuple(tensor.shape.numpy()) for tensor in tensors if isinstance(tensor, ir.LazyTensor)}


@pytest.mark.usefixtures("separated")
def test_a_convolution_s_weights_are_lazy_and_in_onnx_s_order(image_model: keras.Model, tmp_path: Path) -> None:
    image_model.export(str(tmp_path / "m"), verbose=False)
    found = capture(tmp_path / "m")
    assert {(4, 3, 3, 3), (24, 5)} <= lazy_shapes(found)
    assert [value.name for value in found.model.graph.inputs] == list(found.inputs)
    (name,) = found.inputs
    for batch in (1, 3):
        image = np.random.default_rng(batch).standard_normal((batch, 9, 7, 3)).astype(np.float32)
        (ours,) = run_capture(found, {name: image}).values()
        np.testing.assert_allclose(ours, image_model(image, training=False), rtol=1e-5, atol=1e-6)


@pytest.mark.usefixtures("separated")
def test_a_table_is_looked_up_lazily(tmp_path: Path) -> None:
    table = tf.Variable(np.arange(40, dtype=np.float32).reshape(10, 4))
    ids = tf.TensorSpec([None, 2], tf.int32, name="ids")
    found = capture(save(tmp_path / "m", lambda ids: {"rows": tf.gather(table, ids)}, ids, variables=[table]))
    assert lazy_shapes(found) == {(10, 4)}
    chosen = np.array([[9, 0], [3, 3]], np.int32)
    np.testing.assert_array_equal(run_capture(found, {"ids": chosen})["rows"], table.numpy()[chosen])


@pytest.mark.usefixtures("separated")
def test_a_weight_that_is_also_an_output_and_one_used_twice_come_back(tmp_path: Path) -> None:
    weight = tf.Variable(np.arange(16, dtype=np.float32).reshape(4, 4))

    def serve(x: Any) -> dict[str, Any]:
        return {"y": tf.matmul(x, weight) + tf.matmul(x, weight, transpose_b=True), "weight": weight.read_value()}

    found = capture(save(tmp_path / "m", serve, FLOATS, variables=[weight]))
    ours = run_capture(found, {"x": X})
    np.testing.assert_allclose(ours["y"], X @ weight.numpy() + X @ weight.numpy().T, rtol=1e-5, atol=1e-5)
    np.testing.assert_array_equal(ours["weight"], weight.numpy())


@pytest.mark.usefixtures("separated")
def test_constants_of_a_frozen_graph_are_kept_apart(tmp_path: Path) -> None:
    weight = np.random.default_rng(1).standard_normal((4, 5)).astype(np.float32)
    with tf.Graph().as_default() as graph:
        tf.matmul(tf.compat.v1.placeholder(tf.float32, [None, 4], name="x"), weight, name="y")
    (tmp_path / "g.pb").write_bytes(graph.as_graph_def().SerializeToString())
    (found,) = graph_def.capture(Source(SourceKind.GRAPH_DEF, tmp_path / "g.pb"), ConvertOptions())
    assert lazy_shapes(found) == {(4, 5)}
    np.testing.assert_allclose(run_capture(found, {"x": X})["y"], X @ weight, rtol=1e-5, atol=1e-6)


def save_loop(path: Path) -> Path:
    weight = tf.Variable(np.full((4, 4), 0.5, np.float32))

    def serve(x: Any, count: Any) -> dict[str, Any]:
        def step(i: Any, y: Any) -> tuple[Any, Any]:
            return i + 1, tf.matmul(y, weight)

        return {"y": tf.while_loop(lambda i, y: i < count, step, (tf.constant(0), x))[1]}

    return save(path, serve, FLOATS, tf.TensorSpec([], tf.int32, name="count"), variables=[weight])


@pytest.mark.usefixtures("separated")
def test_a_variable_that_a_loop_takes_is_frozen(tmp_path: Path) -> None:
    found = capture(save_loop(tmp_path / "m"))
    assert lazy_shapes(found) == set()
    ours = run_capture(found, {"x": X, "count": np.array(3, np.int32)})["y"]
    np.testing.assert_allclose(ours, X @ np.linalg.matrix_power(np.full((4, 4), 0.5, np.float32), 3), rtol=1e-5)


@pytest.mark.usefixtures("separated")
def test_weights_that_fit_nowhere_are_refused(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(conversion, "MAX_GRAPH_BYTES", 0)
    with pytest.raises(UnsupportedError, match=r"ends at 2 GiB(.|\n)*loop"):
        capture(save_loop(tmp_path / "m"))


@pytest.mark.usefixtures("separated")
def test_every_operation_that_cannot_be_converted_is_listed_once(tmp_path: Path) -> None:
    weight = tf.Variable(np.ones((4, 4), np.float32))

    def unsupported(x: Any) -> dict[str, Any]:
        y = tf.matmul(x, weight)
        return {"a": tf.math.special.fresnel_cos(y), "b": tf.math.igamma(tf.abs(y), tf.abs(y) + 1.0)}

    with pytest.raises(UnsupportedError, match="2 operations") as caught:
        capture(save(tmp_path / "m", unsupported, FLOATS, variables=[weight]))
    assert sorted(operation.name for operation in caught.value.operations) == ["FresnelCos", "Igamma"]


def test_an_operation_that_tf2onnx_does_not_log_is_found_in_the_graph(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(tf2onnx_adapter._ErrorCollector, "emit", lambda self, record: None)
    with pytest.raises(UnsupportedError) as caught:
        capture(save(tmp_path / "m", lambda x: {"y": tf.math.special.fresnel_cos(x)}, FLOATS))
    (operation,) = caught.value.operations
    assert operation.name == "FresnelCos"


def test_an_optimiser_of_tf2onnx_that_fails_is_left_out(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capfd: pytest.CaptureFixture[str]
) -> None:
    class Broken(tf2onnx.optimizer.IdentityOptimizer):  # type: ignore[misc]
        def optimize(self, graph: Any, iteration: int) -> Any:
            raise ZeroDivisionError

    monkeypatch.setitem(tf2onnx_adapter.OPTIMIZERS, "Broken", Broken)
    path = save(tmp_path / "m", lambda x: {"y": x * 2.0}, FLOATS)
    capfd.readouterr()
    found = capture(path)
    assert capfd.readouterr() == ("", "")
    np.testing.assert_array_equal(run_capture(found, {"x": X})["y"], X * 2)


@pytest.mark.usefixtures("separated")
def test_the_weights_of_a_function_for_xla_are_lazy(tmp_path: Path) -> None:
    module = tf.Module()
    module.weight = tf.Variable(np.random.default_rng(5).standard_normal((4, 3)).astype(np.float32))
    product = tf.function(lambda x: x @ module.weight, jit_compile=True)
    module.call = tf.function(lambda x: tf.nn.relu(product(x)), input_signature=[FLOATS])
    tf.saved_model.save(module, str(tmp_path / "m"), signatures={"serving_default": module.call})
    found = capture(tmp_path / "m")
    assert lazy_shapes(found) == {(4, 3)}
    [output] = run_capture(found, {"x": X}).values()
    np.testing.assert_allclose(output, np.maximum(X @ module.weight.numpy(), 0), rtol=1e-5, atol=1e-6)
