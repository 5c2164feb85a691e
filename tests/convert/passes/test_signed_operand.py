"""Products of unsigned bytes by signed bytes that are not constant, and the pass that takes their sign away."""

from __future__ import annotations

from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import pytest
from onnx import TensorProto, helper, numpy_helper
from onnx.reference import ReferenceEvaluator

from transload.convert.passes.signed_operand import UnsignOperandPass
from transload.runtime.configuration import Configuration, provider_list, session_options
from transload.runtime.session import open_session

RNG = np.random.default_rng(0)
# Mostly the largest numbers, which overflow 16 bits in pairs.
X = np.where(RNG.random((3, 64)) < 0.8, 255, RNG.integers(0, 256, (3, 64))).astype(np.uint8)
W = np.where(RNG.random((64, 5)) < 0.8, 127, RNG.integers(-128, 128, (64, 5))).astype(np.int8)
IMAGE, KERNEL = X[:, :32].reshape(1, 6, 4, 4), W.ravel()[:216].reshape(4, 6, 3, 3)
SCALES = {"one": np.float32(1), "step": np.float32(20000), "x_zero": np.uint8(3), "w_zero": np.int8(-7)}
LINEAR = ["x", "one", "x_zero", "w", "one", "w_zero", "step", "x_zero"]

CASES: dict[str, tuple[str, list[str], Any, Any]] = {
    "matrices without zero points": ("MatMulInteger", ["x", "w"], X, W),
    "matrices with the first zero point": ("MatMulInteger", ["x", "w", "x_zero"], X, W),
    "matrices with both zero points": ("MatMulInteger", ["x", "w", "x_zero", "w_zero"], X, W),
    "images with both zero points": ("ConvInteger", ["x", "w", "x_zero", "w_zero"], IMAGE, KERNEL),
    "quantized matrices": ("QLinearMatMul", LINEAR, X, W),
    "quantized images": ("QLinearConv", LINEAR, IMAGE, KERNEL),
}


def make_model(op_type: str, names: list[str], x: Any, w: Any, *, constant: bool = False) -> onnx.ModelProto:
    """With a signed operand whose type only the inference of shapes shows."""
    output = TensorProto.INT32 if op_type.endswith("Integer") else TensorProto.UINT8
    inputs = [
        helper.make_tensor_value_info("x", TensorProto.UINT8, x.shape),
        helper.make_tensor_value_info("v", TensorProto.INT8, w.shape),
    ]
    tensors = {name: value for name, value in SCALES.items() if name in names} | ({"w": w} if constant else {})
    first = [] if constant else [helper.make_node("Identity", ["v"], ["w"])]
    graph = helper.make_graph(
        [*first, helper.make_node(op_type, names, ["y"])],
        "bytes",
        inputs[:1] if constant else inputs,
        [helper.make_tensor_value_info("y", output, None)],
        [numpy_helper.from_array(np.asarray(value), name) for name, value in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", 18)], ir_version=10)


def unsign(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    converted = ir.serde.deserialize_model(model)
    result = UnsignOperandPass()(converted)
    return ir.serde.serialize_model(converted), result.modified


@pytest.mark.parametrize("case", CASES)
def test_products_are_exact_and_of_unsigned_bytes(case: str) -> None:
    op_type, names, x, w = CASES[case]
    model = make_model(op_type, names, x, w)
    changed, modified = unsign(model)
    assert modified
    inferred = onnx.shape_inference.infer_shapes(changed)
    types = {value.name: value.type.tensor_type.elem_type for value in inferred.graph.value_info}
    product = next(node for node in changed.graph.node if node.op_type == op_type)
    assert types[product.input[names.index("w")]] == TensorProto.UINT8
    # onnx's own definition of the operator, in Python.
    (expected,) = ReferenceEvaluator(model).run(None, {"x": x, "v": w})
    configuration = Configuration(1, level="disable")
    session = open_session(
        changed.SerializeToString(), session_options(configuration, "."), provider_list(configuration), "a test"
    )
    np.testing.assert_array_equal(session.run(None, {"x": x, "v": w})[0], expected)


@pytest.mark.parametrize("case", CASES)
def test_constants_stay_signed(case: str) -> None:
    op_type, names, x, w = CASES[case]
    model = make_model(op_type, names, x, w, constant=True)
    changed, modified = unsign(model)
    assert not modified
    assert changed.graph.node == model.graph.node


def test_signed_by_signed_stays() -> None:
    model = make_model("MatMulInteger", ["x", "w"], X, W)
    model.graph.input[0].type.tensor_type.elem_type = TensorProto.INT8
    assert not unsign(model)[1]
