"""ONNX Runtime's fault with negative axes of empty tensors, and the pass that keeps every runtime clear of it."""

from __future__ import annotations

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import TensorProto, helper, numpy_helper

from transload.convert.passes.reduction_axes import EXTREMES, REDUCTIONS, CountAxesFromFrontPass


def reduction(op_type: str, axes: list[int], opset: int, keepdims: int = 0, rank: int | None = 2) -> onnx.ModelProto:
    """A reduction of x, with its axes where that opset has them."""
    initializers = []
    if op_type in EXTREMES:
        node = helper.make_node(op_type, ["x"], ["y"], axis=axes[0], keepdims=keepdims)
    elif opset >= 18 or (op_type == "ReduceSum" and opset >= 13):
        initializers = [numpy_helper.from_array(np.array(axes), "axes")]
        node = helper.make_node(op_type, ["x", "axes"], ["y"], keepdims=keepdims)
    else:
        node = helper.make_node(op_type, ["x"], ["y"], axes=axes, keepdims=keepdims)
    shape = None if rank is None else [None] * rank
    result = None if rank is None else [None] * (rank if keepdims else rank - len(axes))
    graph = helper.make_graph(
        [node],
        "reduction",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, shape)],
        [helper.make_tensor_value_info("y", TensorProto.INT64 if op_type in EXTREMES else TensorProto.FLOAT, result)],
        initializers,
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def run_shape(model: onnx.ModelProto, shape: tuple[int, ...]) -> tuple[int, ...]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return tuple(session.run(None, {"x": np.zeros(shape, np.float32)})[0].shape)


def counted(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    graph = ir.serde.deserialize_model(model)
    modified = CountAxesFromFrontPass()(graph).modified
    return ir.serde.serialize_model(graph), modified


def test_onnx_runtime_still_miscounts_negative_axes_of_empty_tensors() -> None:
    # The day this fails, ONNX Runtime is mended. The pass stays until no supported release has the fault.
    assert run_shape(reduction("ReduceSum", [-1], 20), (0, 3)) == (0, 3)
    assert run_shape(reduction("ReduceSum", [1], 20), (0, 3)) == (0,)


@pytest.mark.parametrize("opset", [11, 13, 18, 20])
@pytest.mark.parametrize("op_type", sorted(REDUCTIONS | EXTREMES))
def test_axes_counted_from_the_front_are_right(op_type: str, opset: int) -> None:
    for keepdims, expected in ((0, (0,)), (1, (0, 1))):
        model, modified = counted(reduction(op_type, [-1], opset, keepdims))
        onnx.checker.check_model(model, full_check=True)
        assert modified
        assert run_shape(model, (0, 3)) == expected
        assert run_shape(model, (2, 3)) == (2, *expected[1:])


def test_several_axes_are_counted() -> None:
    model, _ = counted(reduction("ReduceMax", [-1, 0], 18, rank=3))
    assert run_shape(model, (2, 0, 3)) == (0,)


def test_axes_that_are_counted_from_the_front_already_and_unknown_ranks_are_left_alone() -> None:
    assert not counted(reduction("ReduceMax", [1], 18))[1]
    assert not counted(reduction("ReduceMax", [1], 11))[1]
    assert not counted(reduction("ArgMax", [1], 18))[1]
    assert not counted(reduction("ReduceMax", [-1], 18, rank=None))[1]
    assert not counted(reduction("ReduceMax", [-1], 18, rank=0, keepdims=1))[1]
