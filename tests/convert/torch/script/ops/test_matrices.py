"""Faults of ONNX Runtime that translations go around; a test that fails here tells that one is gone."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnxruntime as ort
import pytest
from onnx import helper

PLAIN, OPTIMIZED = ort.GraphOptimizationLevel.ORT_DISABLE_ALL, ort.GraphOptimizationLevel.ORT_ENABLE_ALL


def run(
    nodes: list[onnx.NodeProto],
    feeds: dict[str, np.ndarray[Any, Any]],
    output: str,
    level: Any = OPTIMIZED,
    **initial: Any,
) -> np.ndarray[Any, Any]:
    inputs = [
        helper.make_tensor_value_info(name, helper.np_dtype_to_tensor_dtype(array.dtype), array.shape)
        for name, array in feeds.items()
    ]
    initializers = [onnx.numpy_helper.from_array(np.array(value), name) for name, value in initial.items()]
    graph = helper.make_graph(nodes, "fault", inputs, [onnx.ValueInfoProto(name=output)], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    options = ort.SessionOptions()
    options.log_severity_level, options.graph_optimization_level = 4, level
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run([output], feeds)[0])


@pytest.mark.parametrize("op_type", ["ReduceSum", "ReduceMax"])
def test_reductions_of_empty_tensors_keep_axes_counted_from_the_end(op_type: str) -> None:
    node = helper.make_node(op_type, ["x", "axes"], ["y"], keepdims=0)
    assert run([node], {"x": np.zeros((0, 5))}, "y", axes=[-1]).shape == (0, 5)


def test_arg_max_of_empty_tensors_keeps_an_axis_counted_from_the_end() -> None:
    node = helper.make_node("ArgMax", ["x"], ["y"], axis=-1, keepdims=1)
    assert run([node], {"x": np.zeros((0, 5))}, "y").shape == (0, 5)


def test_an_expansion_to_nothing_is_optimized_away() -> None:
    nodes = [
        helper.make_node("Where", ["mask", "x", "zero"], ["same"]),
        helper.make_node("Expand", ["same", "to"], ["y"]),
    ]
    nodes.append(helper.make_node("Add", ["y", "zero"], ["z"]))
    feeds = {"x": np.zeros((3, 1))}
    constants = {"mask": np.ones((3, 1), bool), "zero": np.zeros((1, 1)), "to": [1, 0]}
    assert run(nodes, feeds, "z", PLAIN, **constants).shape == (3, 0)
    assert run(nodes, feeds, "z", **constants).shape == (3, 1)


def test_a_matrix_without_rows_times_a_vector_is_refused() -> None:
    node = helper.make_node("MatMul", ["x", "y"], ["z"])
    with pytest.raises(Exception, match="cannot broadcast"):
        run([node], {"x": np.zeros((0, 3)), "y": np.zeros(3)}, "z")


def test_sums_over_other_axes_than_the_last_add_one_after_the_other() -> None:
    x = np.random.default_rng(0).random((200_000, 3)).astype(np.float32)
    got = run([helper.make_node("ReduceSum", ["x", "axes"], ["y"], keepdims=0)], {"x": x}, "y", axes=[0])
    assert np.abs(got / x.astype(np.float64).sum(0) - 1).max() > 5e-6


def test_the_largest_passes_over_nan() -> None:
    node = helper.make_node("ReduceMax", ["x", "axes"], ["y"], keepdims=0)
    assert not np.isnan(run([node], {"x": np.array([[1.0, np.nan, 2.0]])}, "y", axes=[1])).any()


def test_output_padding_as_large_as_the_stride_is_refused() -> None:
    node = helper.make_node("ConvTranspose", ["x", "w"], ["y"], dilations=[3], output_padding=[1])
    feeds = {"x": np.zeros((1, 1, 4), np.float32), "w": np.zeros((1, 1, 2), np.float32)}
    with pytest.raises(Exception, match="inconsistent"):
        run([node], feeds, "y")
