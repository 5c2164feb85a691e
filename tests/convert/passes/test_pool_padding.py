"""The Pad_Fusion fault of ONNX Runtime, and the pass that keeps every runtime clear of it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.passes.pool_padding import GuardPoolPaddingPass

NEGATIVES = -1 - np.random.default_rng(0).random((1, 2, 6, 6)).astype(np.float32)


def pad_then(
    nodes: Sequence[onnx.NodeProto], opset: int, initializers: Sequence[onnx.TensorProto] = ()
) -> onnx.ModelProto:
    pads = numpy_helper.from_array(np.array([0, 0, 1, 1, 0, 0, 1, 1]), "pads")
    graph = helper.make_graph(
        [helper.make_node("Pad", ["x", "pads"], ["padded"]), *nodes],
        "pad",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [1, 2, 6, 6])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, [1, 2, None, None])],
        [pads, *initializers],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def pool(op_type: str, source: str = "padded", **attributes: Any) -> onnx.NodeProto:
    return helper.make_node(op_type, [source], ["y"], kernel_shape=[3, 3], strides=[2, 2], **attributes)


def run(
    model: onnx.ModelProto, level: Any = ort.GraphOptimizationLevel.ORT_ENABLE_ALL, disabled: Sequence[str] = ()
) -> np.ndarray[Any, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    options.graph_optimization_level = level
    session = ort.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"], disabled_optimizers=list(disabled)
    )
    output: np.ndarray[Any, Any] = session.run(["y"], {"x": NEGATIVES})[0]
    return output


def right_answer(model: onnx.ModelProto) -> np.ndarray[Any, Any]:
    return run(model, ort.GraphOptimizationLevel.ORT_DISABLE_ALL)


def guard(model: onnx.ModelProto) -> onnx.ModelProto:
    guarded = ir.serde.deserialize_model(model)
    GuardPoolPaddingPass()(guarded)
    return ir.serde.serialize_model(guarded)


def test_onnx_runtime_still_folds_zero_padding_into_max_pool() -> None:
    # The day this fails, ONNX Runtime has mended Pad_Fusion. The pass stays until no supported release has the fault.
    model = pad_then([pool("MaxPool")], 18)
    assert run(model)[0, 0, 0, 0] < 0
    assert run(model, disabled=["Pad_Fusion"])[0, 0, 0, 0] == 0


@pytest.mark.parametrize("opset", [11, 13, 18, 21])
@pytest.mark.parametrize(
    "attributes",
    [{}, {"pads": [0, 0, 0, 0]}, {"pads": [1, 1, 1, 1]}, {"ceil_mode": 1}, {"dilations": [2, 2]}],
    ids=str,
)
def test_guarded_max_pool_is_right_at_every_optimisation_level(attributes: dict[str, Any], opset: int) -> None:
    model = pad_then([pool("MaxPool", **attributes)], opset)
    guarded = guard(model)
    onnx.checker.check_model(guarded, full_check=True)
    for level in (
        ort.GraphOptimizationLevel.ORT_DISABLE_ALL,
        ort.GraphOptimizationLevel.ORT_ENABLE_BASIC,
        ort.GraphOptimizationLevel.ORT_ENABLE_EXTENDED,
        ort.GraphOptimizationLevel.ORT_ENABLE_ALL,
    ):
        np.testing.assert_array_equal(run(guarded, level), right_answer(model))


@pytest.mark.parametrize("between", ["Identity", "Dropout", "Relu"])
def test_a_node_between_that_the_runtime_removes_does_not_bring_the_fault_back(between: str) -> None:
    nodes = [helper.make_node(between, ["padded"], ["between"]), pool("MaxPool", "between", pads=[1, 1, 1, 1])]
    model = pad_then(nodes, 18)
    np.testing.assert_array_equal(run(guard(model)), right_answer(model))


def test_padding_that_the_runtime_folds_to_a_constant_does_not_bring_the_fault_back() -> None:
    model = pad_then([pool("MaxPool")], 13)
    constant = model.graph.initializer.pop(0)
    half = numpy_helper.from_array(numpy_helper.to_array(constant)[:4], "half")
    model.graph.initializer.append(half)
    model.graph.node.insert(0, helper.make_node("Concat", ["half", "half"], ["pads"], axis=0))
    np.testing.assert_array_equal(run(guard(model)), right_answer(model))


def test_average_pool_after_padding_is_right() -> None:
    for attributes in ({}, {"pads": [1, 1, 1, 1]}, {"ceil_mode": 1}, {"count_include_pad": 1}):
        model = pad_then([pool("AveragePool", **attributes)], 18)
        guarded = guard(model)
        assert "auto_pad" in {a.name for a in guarded.graph.node[-1].attribute} or len(guarded.graph.node) == 3
        np.testing.assert_allclose(run(guarded), right_answer(model), rtol=1e-6)


def test_convolution_after_padding_is_right_and_left_alone() -> None:
    kernel = numpy_helper.from_array(np.random.default_rng(1).standard_normal((2, 2, 3, 3)).astype(np.float32), "k")
    model = pad_then([helper.make_node("Conv", ["padded", "k"], ["y"])], 18, [kernel])
    graph = ir.serde.deserialize_model(model)
    assert not GuardPoolPaddingPass()(graph).modified
    np.testing.assert_allclose(run(model), right_answer(model), rtol=1e-5)


def test_a_model_without_padding_is_left_alone() -> None:
    model = pad_then([pool("MaxPool", "x")], 18)
    del model.graph.node[0]
    graph = ir.serde.deserialize_model(model)
    assert not GuardPoolPaddingPass()(graph).modified
