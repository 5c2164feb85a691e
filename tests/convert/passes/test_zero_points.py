"""Zero points of signed bytes that nodes share, and the pass that gives each its own."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.capture import Array
from transload.convert.passes.zero_points import OwnZeroPointsPass
from transload.runtime.integer_sums import EXACT_OPTION

WEIGHT = np.random.default_rng(0).integers(-127, 128, (8, 8)).astype(np.int8)
X = np.arange(16, dtype=np.float32).reshape(2, 8)


def two_layers(zero: np.generic) -> onnx.ModelProto:
    tensors = {"v": WEIGHT.astype(zero.dtype), "w": WEIGHT.T.astype(zero.dtype), "one": np.float32(1), "zero": zero}
    nodes = [
        helper.make_node("DequantizeLinear", ["v", "one", "zero"], ["d"]),
        helper.make_node("DequantizeLinear", ["w", "one", "zero"], ["e"]),
        helper.make_node("MatMul", ["x", "d"], ["z"]),
        helper.make_node("MatMul", ["z", "e"], ["y"]),
    ]
    graph = helper.make_graph(
        nodes,
        "layers",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [2, 8])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [2, 8])],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def run(model: onnx.ModelProto) -> Array:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.add_session_config_entry(EXACT_OPTION, "1")
    session = ort.InferenceSession(model.SerializeToString(), options, providers=["CPUExecutionProvider"])
    result: Array = session.run(None, {"x": X})[0]
    return result


def test_models_open_with_the_option_that_makes_sums_exact() -> None:
    model = two_layers(np.int8(3))
    # Where this opens after an upgrade, the pass has no reason any more.
    with pytest.raises(Exception, match="replace the existing tensor"):
        run(model)
    converted = ir.serde.deserialize_model(model)
    assert OwnZeroPointsPass()(converted).modified
    expected = X @ (WEIGHT - np.float32(3)) @ (WEIGHT.T - np.float32(3))
    np.testing.assert_allclose(run(ir.serde.serialize_model(converted)), expected, rtol=1e-6)


def test_unsigned_zero_points_stay_shared() -> None:
    converted = ir.serde.deserialize_model(two_layers(np.uint8(3)))
    assert not OwnZeroPointsPass()(converted).modified
