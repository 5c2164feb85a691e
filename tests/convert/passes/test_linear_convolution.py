"""Linear layers as convolutions: the same numbers, and what must stay as it is."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import numpy as np
import onnx
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx import NodeProto, TensorProto, helper, numpy_helper
from onnx_ir.passes.common import RemoveUnusedNodesPass

from transload.convert.passes.linear_convolution import LinearAsConvolutionPass

RANDOM = np.random.default_rng(0)
WEIGHTS = {
    "w": RANDOM.standard_normal((32, 48)).astype(np.float32),
    "b": RANDOM.standard_normal(48).astype(np.float32),
    "w2": RANDOM.standard_normal((48, 16)).astype(np.float32),
    "b2": RANDOM.standard_normal(16).astype(np.float32),
    "turned": RANDOM.standard_normal((48, 32)).astype(np.float32),
    "odd": RANDOM.standard_normal((24, 48)).astype(np.float32),
    "double": RANDOM.standard_normal((32, 48)),
    "half": np.array(0.5, np.float32),
    "three": np.array(3, np.float32),
    "column": RANDOM.standard_normal(32).astype(np.float32),
    "flat": np.array([-1, 32], np.int64),
    "parted": np.array([-1, 5, 48], np.int64),
    "swapped": np.array([5, -1, 48], np.int64),
}


def make_model(
    nodes: Sequence[NodeProto], shape: Sequence[int | str], outputs: Sequence[str] = ("y",), *, settable: str = ""
) -> onnx.ModelProto:
    """A model of `x`; the weights that the nodes read are initializers, `settable` may be given as an input too."""
    read = {name for node in nodes for name in node.input}
    weights = [numpy_helper.from_array(array, name) for name, array in WEIGHTS.items() if name in read]
    kind = TensorProto.DOUBLE if "double" in read else TensorProto.FLOAT
    inputs = [helper.make_tensor_value_info("x", kind, shape)]
    if settable:
        inputs += [helper.make_tensor_value_info(settable, kind, WEIGHTS[settable].shape)]
    graph = helper.make_graph(
        list(nodes), "g", inputs, [helper.make_empty_tensor_value_info(name) for name in outputs], weights
    )
    model = helper.make_model(graph, opset_imports=[helper.make_opsetid("", 20)], ir_version=10)
    return onnx.shape_inference.infer_shapes(model, strict_mode=True, data_prop=True)


def rewrite(model: onnx.ModelProto) -> tuple[onnx.ModelProto, bool]:
    graph = ir.from_proto(model)
    modified = LinearAsConvolutionPass()(graph).modified
    RemoveUnusedNodesPass()(graph)
    return ir.to_proto(graph), modified


def run(model: onnx.ModelProto, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    return list(ort.InferenceSession(model.SerializeToString(), options).run(None, {"x": x}))


def operators(model: onnx.ModelProto) -> list[str]:
    """Without what only prepares kernels and names axes."""
    weights = {tensor.name for tensor in model.graph.initializer}
    kernels: set[str] = set()
    for node in model.graph.node:
        if node.op_type in ("Transpose", "Unsqueeze") and (node.input[0] in weights | kernels):
            kernels.add(node.output[0])
    return [node.op_type for node in model.graph.node if node.op_type != "Constant" and node.output[0] not in kernels]


LINEAR = [helper.make_node("MatMul", ["x", "w"], ["p"]), helper.make_node("Add", ["b", "p"], ["y"])]
TO_PIXELS, FROM_PIXELS = ["Unsqueeze", "Transpose"], ["Transpose", "Squeeze"]


@pytest.mark.parametrize("shape", [("m", 32), ("b", "m", 32), ("b", "h", 5, 32)], ids=["rank2", "rank3", "rank4"])
def test_a_product_with_its_bias_becomes_one_convolution_for_every_size(shape: tuple[int | str, ...]) -> None:
    model = make_model(LINEAR, shape)
    changed, modified = rewrite(model)
    assert modified
    assert [name for name in operators(changed) if "queeze" not in name] == ["Transpose", "Conv", "Transpose"]
    for size in (1, 3, 17):
        x = RANDOM.standard_normal([each if isinstance(each, int) else size for each in shape]).astype(np.float32)
        np.testing.assert_allclose(run(changed, x)[0], x @ WEIGHTS["w"] + WEIGHTS["b"], rtol=1e-5, atol=1e-5)
    assert not rewrite(changed)[1]


def test_gemm_with_transposed_weights_becomes_a_convolution() -> None:
    model = make_model([helper.make_node("Gemm", ["x", "turned", "b"], ["y"], transB=1)], ("m", 32))
    changed, modified = rewrite(model)
    assert modified
    assert "Gemm" not in operators(changed)
    x = RANDOM.standard_normal((7, 32)).astype(np.float32)
    np.testing.assert_allclose(run(changed, x)[0], x @ WEIGHTS["turned"].T + WEIGHTS["b"], rtol=1e-5, atol=1e-5)


def test_nothing_is_transposed_between_two_layers_with_gelu_in_its_parts_between_them() -> None:
    nodes = [
        *LINEAR,
        helper.make_node("Erf", ["y"], ["erf"]),
        helper.make_node("Mul", ["y", "half"], ["halved"]),
        helper.make_node("Mul", ["erf", "halved"], ["product"]),
        helper.make_node("Add", ["product", "halved"], ["gelu"]),
        helper.make_node("MatMul", ["gelu", "w2"], ["p2"]),
        helper.make_node("Add", ["p2", "b2"], ["z"]),
    ]
    model = make_model(nodes, ("b", "m", 32), ["z"])
    changed, _ = rewrite(model)
    middle = ["Conv", "Erf", "Mul", "Mul", "Add", "Conv"]
    assert operators(changed) == [*TO_PIXELS, *middle, *FROM_PIXELS]
    x = RANDOM.standard_normal((2, 5, 32)).astype(np.float32)
    np.testing.assert_allclose(run(changed, x)[0], run(model, x)[0], rtol=1e-4, atol=1e-4)


def test_gelu_by_tanh_runs_with_the_channels_last() -> None:
    nodes = [
        *LINEAR,
        helper.make_node("Mul", ["y", "half"], ["halved"]),
        helper.make_node("Pow", ["y", "three"], ["cube"]),
        helper.make_node("Add", ["y", "cube"], ["sum"]),
        helper.make_node("Tanh", ["sum"], ["tanh"]),
        helper.make_node("Mul", ["halved", "tanh"], ["gelu"]),
        helper.make_node("MatMul", ["gelu", "w2"], ["z"]),
    ]
    model = make_model(nodes, ("b", "m", 32), ["z"])
    changed, _ = rewrite(model)
    parts = ["Mul", "Pow", "Add", "Tanh", "Mul"]
    conv = [*TO_PIXELS, "Conv", *FROM_PIXELS]
    assert operators(changed) == [*conv, *parts, *conv]
    x = RANDOM.standard_normal((2, 5, 32)).astype(np.float32)
    np.testing.assert_allclose(run(changed, x)[0], run(model, x)[0], rtol=1e-4, atol=1e-3)


def test_a_value_that_something_else_reads_too_has_its_channels_last_there() -> None:
    nodes = [
        *LINEAR,
        helper.make_node("Relu", ["y"], ["r"]),
        helper.make_node("Softmax", ["r"], ["s"], axis=-1),
        helper.make_node("MatMul", ["r", "w2"], ["z"]),
    ]
    model = make_model(nodes, ("b", "m", 32), ["s", "z", "y"])
    changed, _ = rewrite(model)
    x = RANDOM.standard_normal((2, 5, 32)).astype(np.float32)
    for ours, theirs in zip(run(changed, x), run(model, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-4, atol=1e-4)


def test_reshapes_that_join_the_leading_dimensions_and_part_them_vanish() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["rows"]),
        helper.make_node("Gemm", ["rows", "w", "b"], ["sums"]),
        helper.make_node("Reshape", ["sums", "parted"], ["y"]),
    ]
    values = [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["b", 5, 48])]
    model = make_model(nodes, ("b", 5, 32))
    del model.graph.output[:]
    model.graph.output.extend(values)
    changed, _ = rewrite(model)
    assert operators(changed) == [*TO_PIXELS, "Conv", *FROM_PIXELS]
    x = RANDOM.standard_normal((3, 5, 32)).astype(np.float32)
    np.testing.assert_allclose(run(changed, x)[0], run(model, x)[0], rtol=1e-5, atol=1e-5)


def test_reshapes_to_other_leading_dimensions_stay() -> None:
    nodes = [
        helper.make_node("Reshape", ["x", "flat"], ["rows"]),
        helper.make_node("MatMul", ["rows", "w"], ["sums"]),
        helper.make_node("Reshape", ["sums", "swapped"], ["y"]),
    ]
    model = make_model(nodes, (3, 5, 32))
    changed, modified = rewrite(model)
    assert modified
    assert operators(changed).count("Reshape") == 2
    x = RANDOM.standard_normal((3, 5, 32)).astype(np.float32)
    np.testing.assert_allclose(run(changed, x)[0], run(model, x)[0], rtol=1e-5, atol=1e-5)


def test_rows_that_are_not_finite_spoil_no_other_row() -> None:
    model, _ = rewrite(make_model(LINEAR, ("m", 32)))
    x = RANDOM.standard_normal((6, 32)).astype(np.float32)
    clean = run(model, x)[0]
    x[2, 3], x[4, 0] = np.nan, np.inf
    spoilt = run(model, x)[0]
    assert np.isnan(spoilt[2]).all()
    assert np.isinf(spoilt[4]).all()
    np.testing.assert_array_equal(spoilt[[0, 1, 3, 5]], clean[[0, 1, 3, 5]])


def test_a_bias_of_a_product_that_is_an_output_itself_stays_a_sum() -> None:
    model = make_model(LINEAR, ("b", "m", 32), ["p", "y"])
    changed, _ = rewrite(model)
    assert [output.name for output in changed.graph.output] == ["p", "y"]
    x = RANDOM.standard_normal((2, 5, 32)).astype(np.float32)
    for ours, theirs in zip(run(changed, x), run(model, x), strict=True):
        np.testing.assert_allclose(ours, theirs, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize(
    "model",
    [
        make_model([helper.make_node("MatMul", ["x", "odd"], ["y"])], ("m", 24)),
        make_model([helper.make_node("MatMul", ["x", "double"], ["y"])], ("m", 32)),
        make_model([helper.make_node("MatMul", ["x", "w"], ["y"])], ("a", "b", "c", "d", 32)),
        make_model([helper.make_node("MatMul", ["x", "column"], ["y"])], ("m", 32)),
        make_model([helper.make_node("MatMul", ["turned", "x"], ["y"])], (32, "m")),
        make_model([helper.make_node("Gemm", ["x", "w"], ["y"], alpha=2.0)], ("m", 32)),
        make_model([helper.make_node("Gemm", ["x", "w", "b"], ["y"], beta=0.5)], ("m", 32)),
        make_model([helper.make_node("Gemm", ["x", "w"], ["y"], transA=1)], (32, "m")),
        make_model([helper.make_node("Gemm", ["x", "w", "half"], ["y"])], ("m", 32)),
        make_model(LINEAR, ("m", 32), settable="w"),
        make_model([helper.make_node("Tanh", ["w"], ["t"]), helper.make_node("MatMul", ["x", "t"], ["y"])], ("m", 32)),
    ],
    ids=["odd", "double", "rank5", "vector", "left", "alpha", "beta", "transposed", "number", "settable", "computed"],
)
def test_other_products_are_left_alone(model: onnx.ModelProto) -> None:
    changed, modified = rewrite(model)
    assert not modified
    assert [node.op_type for node in changed.graph.node] == [node.op_type for node in model.graph.node]
