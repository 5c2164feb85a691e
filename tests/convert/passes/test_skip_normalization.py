"""KeepResidualApartPass: the fusion that it avoids fires without it, and does not with it; values stay."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime
from onnx import helper

from transload.convert.passes.skip_normalization import KeepResidualApartPass

FLOAT = onnx.TensorProto.FLOAT


def residual(bias: bool = False) -> onnx.ModelProto:
    """x + y (or x + an initializer), normalized."""
    nodes = [helper.make_node("Add", ["x", "b" if bias else "y"], ["s"])]
    nodes.append(helper.make_node("LayerNormalization", ["s", "w", "b"], ["z"]))
    values = [helper.make_tensor_value_info(name, FLOAT, ["n", 3, 4]) for name in "xyz"]
    initializers = [
        onnx.numpy_helper.from_array(np.arange(1, 5, dtype=np.float32), "w"),
        onnx.numpy_helper.from_array(np.ones(4, np.float32), "b"),
    ]
    graph = helper.make_graph(nodes, "g", values[:2], values[2:], initializers)
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def optimized_operators(model: onnx.ModelProto, folder: Path) -> list[str]:
    options = onnxruntime.SessionOptions()
    options.log_severity_level = 4
    options.optimized_model_filepath = str(folder / "optimized.onnx")
    onnxruntime.InferenceSession(model.SerializeToString(), options)
    return [node.op_type for node in onnx.load(folder / "optimized.onnx").graph.node]


def rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    result = KeepResidualApartPass()(ir.from_proto(model))
    return ir.to_proto(result.model), result.modified


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray]) -> np.ndarray:
    return onnxruntime.InferenceSession(model.SerializeToString()).run(None, feed)[0]


def test_the_runtime_fuses_a_residual_sum_left_as_it_is(tmp_path: Path) -> None:
    assert optimized_operators(residual(), tmp_path) == ["SkipLayerNormalization"]


def test_the_runtime_keeps_a_rewritten_residual_sum_apart(tmp_path: Path) -> None:
    model, modified = rewrite(residual())
    assert modified
    assert optimized_operators(model, tmp_path) == ["Sum", "LayerNormalization"]


def test_the_values_stay_the_same() -> None:
    rng = np.random.default_rng(0)
    feed = {name: rng.standard_normal((2, 3, 4)).astype(np.float32) for name in "xy"}
    np.testing.assert_allclose(run(residual(), feed), run(rewrite(residual())[0], feed), rtol=1e-5, atol=1e-6)


def test_a_bias_stays_an_add() -> None:
    assert not rewrite(residual(bias=True))[1]
