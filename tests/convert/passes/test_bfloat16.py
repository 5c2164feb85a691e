"""ONNX Runtime's bfloat16 kernels, and the pass that computes in float32 what they lack."""

from __future__ import annotations

from typing import Any

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
import torch
from onnx import TensorProto, helper, numpy_helper

from transload.convert.passes.bfloat16 import BFLOAT16_KERNELS, WidenBfloat16Pass

FLOAT, BFLOAT16, INT64 = TensorProto.FLOAT, TensorProto.BFLOAT16, TensorProto.INT64

KERNELS: dict[str, tuple[list[Any], dict[str, Any]]] = {
    "Cast": ([[2, 3]], {"to": FLOAT}),
    "Concat": ([[2, 3], [2, 3]], {"axis": 0}),
    "Constant": ([], {"value": helper.make_tensor("value", BFLOAT16, [1], [1.0])}),
    "ConstantOfShape": ([np.array([2])], {"value": helper.make_tensor("value", BFLOAT16, [1], [1.0])}),
    "Flatten": ([[2, 3]], {}),
    "Gather": ([[2, 3], np.array([1])], {}),
    "GatherElements": ([[2, 3], np.array([[1, 0, 1]])], {}),
    "GatherND": ([[2, 3], np.array([[1, 0]])], {}),
    "Identity": ([[2, 3]], {}),
    "IsNaN": ([[2, 3]], {}),
    "Reshape": ([[2, 3], np.array([3, 2])], {}),
    "Shape": ([[2, 3]], {}),
    "Sign": ([[2, 3]], {}),
    "Slice": ([[2, 3], np.array([0]), np.array([1])], {}),
    "Split": ([[2, 3]], {"axis": 1, "num_outputs": 1}),
    "Squeeze": ([[1, 3], np.array([0])], {}),
    "Transpose": ([[2, 3]], {}),
    "Unsqueeze": ([[2, 3], np.array([0])], {}),
}
"""Inputs (a shape, or a constant) and attributes of a node for each operator."""


def single(op_type: str, inputs: list[Any], attributes: dict[str, Any]) -> onnx.ModelProto:
    """A model of one node over float32 inputs that are cast to bfloat16, and back from it where it gives that."""
    values, initializers, nodes, names = [], [], [], []
    for index, given in enumerate(inputs):
        if isinstance(given, np.ndarray):
            initializers.append(numpy_helper.from_array(given.astype(np.int64), f"c{index}"))
            names.append(f"c{index}")
        else:
            values.append(helper.make_tensor_value_info(f"x{index}", FLOAT, given))
            nodes.append(helper.make_node("Cast", [f"x{index}"], [f"n{index}"], to=BFLOAT16))
            names.append(f"n{index}")
    nodes.append(helper.make_node(op_type, names, ["found"], **attributes))
    nodes.append(helper.make_node("Cast", ["found"], ["y"], to=FLOAT))
    graph = helper.make_graph(nodes, "g", values, [helper.make_empty_tensor_value_info("y")], initializers)
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model)


def run(model: onnx.ModelProto, feed: dict[str, np.ndarray[Any, Any]]) -> np.ndarray[Any, Any]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(model.SerializeToString(), options, ["CPUExecutionProvider"])
    return np.asarray(session.run(None, feed)[0])


def widened(model: onnx.ModelProto) -> onnx.ModelProto:
    graph = ir.serde.deserialize_model(model)
    assert WidenBfloat16Pass()(graph).modified
    return ir.serde.serialize_model(graph)


def feed_of(model: onnx.ModelProto) -> dict[str, np.ndarray[Any, Any]]:
    random = np.random.default_rng(0)
    shapes = {each.name: [dim.dim_value for dim in each.type.tensor_type.shape.dim] for each in model.graph.input}
    return {name: random.standard_normal(shape).astype(np.float32) for name, shape in shapes.items()}


def test_every_operator_that_is_left_alone_has_a_case() -> None:
    assert set(KERNELS) == BFLOAT16_KERNELS


@pytest.mark.parametrize("op_type", sorted(KERNELS))
def test_onnx_runtime_has_the_kernels_that_are_left_alone(op_type: str) -> None:
    model = single(op_type, *KERNELS[op_type])
    assert not WidenBfloat16Pass()(ir.serde.deserialize_model(model)).modified
    run(model, feed_of(model))


def test_onnx_runtime_still_has_no_kernel_for_arithmetic() -> None:
    # The day this fails, look which operators need not be widened any more.
    with pytest.raises(Exception, match="NOT_IMPLEMENTED"):
        run(single("Add", [[2, 3], [2, 3]], {}), {})


def test_a_product_is_rounded_once_as_torch_does_it() -> None:
    model = single("MatMul", [[2, 3], [3, 4]], {})
    feed = feed_of(model)
    left, right = (torch.from_numpy(feed[name]).bfloat16() for name in ("x0", "x1"))
    np.testing.assert_array_equal(run(widened(model), feed), (left @ right).float().numpy())


def test_every_result_is_rounded() -> None:
    # 1 + 2⁻⁹ is 1 in bfloat16, so that the second sum starts from 1 again.
    graph = helper.make_graph(
        [
            helper.make_node("Cast", ["x"], ["n"], to=BFLOAT16),
            helper.make_node("Cast", ["one"], ["o"], to=BFLOAT16),
            helper.make_node("Add", ["o", "n"], ["a"]),
            helper.make_node("Sub", ["a", "o"], ["b"]),
            helper.make_node("Cast", ["b"], ["y"], to=FLOAT),
        ],
        "g",
        [helper.make_tensor_value_info(name, FLOAT, [1]) for name in ("x", "one")],
        [helper.make_tensor_value_info("y", FLOAT, [1])],
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    feed = {"x": np.array([2.0**-9], np.float32), "one": np.array([1.0], np.float32)}
    assert run(widened(onnx.shape_inference.infer_shapes(model)), feed)[0] == 0.0


def test_names_and_types_of_the_interface_stay() -> None:
    graph = helper.make_graph(
        [helper.make_node("Relu", ["x"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", BFLOAT16, [2])],
        [helper.make_tensor_value_info("y", BFLOAT16, [2])],
    )
    model = widened(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    onnx.checker.check_model(model, full_check=True)
    assert [each.name for each in model.graph.output] == ["y"]
    assert model.graph.output[0].type.tensor_type.elem_type == BFLOAT16
    session = ort.InferenceSession(model.SerializeToString(), providers=["CPUExecutionProvider"])
    assert session.get_outputs()[0].type == "tensor(bfloat16)"


def test_weights_stay_narrow() -> None:
    weight = numpy_helper.from_array(np.ones((3, 4), ml_dtypes.bfloat16), "w")
    graph = helper.make_graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        "g",
        [helper.make_tensor_value_info("x", BFLOAT16, [2, 3])],
        [helper.make_tensor_value_info("y", BFLOAT16, [2, 4])],
        [weight],
    )
    model = widened(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10))
    assert [each.data_type for each in model.graph.initializer] == [BFLOAT16]
