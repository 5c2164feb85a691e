"""Graphs that run over the memory of their own weights."""

from __future__ import annotations

import ml_dtypes
import numpy as np
import onnx
import onnx_ir as ir
import pytest
from captures import FunctionReference, capture, graph, randn
from onnx import helper

from transload.convert.capture import Array, Capture
from transload.convert.equivalence.borrowed_weights import GraphRunner, open_graph
from transload.serialize.dtypes import dtype_from_onnx
from transload.serialize.errors import ExecutionError
from transload.serialize.interface import Interface, Proof

WEIGHT, BIAS = randn(40, 40), randn(40, seed=1)


def made(model: onnx.ModelProto, x: Array) -> Capture:
    number = model.graph.output[0].type.tensor_type.elem_type
    return capture(model, FunctionReference(lambda x: x, ["y"]), {"x": x}, {"y": dtype_from_onnx(number)})


def opened(model: onnx.ModelProto, x: Array) -> GraphRunner:
    found = made(model, x)
    return open_graph(found, Interface("main", found.inputs, found.outputs, {}, found.source, Proof("none")))


def test_large_and_small_weights_are_the_graph_s_own() -> None:
    nodes = [helper.make_node("MatMul", ["x", "w"], ["h"]), helper.make_node("Add", ["h", "b"], ["y"])]
    model = graph(nodes, {"x": ("float32", ["n", 40])}, {"y": "float32"}, {"w": WEIGHT, "b": BIAS})
    x = randn(3, 40, seed=2)
    [y] = opened(model, x).run(["y"], {"x": x})
    np.testing.assert_allclose(y, x @ WEIGHT + BIAS, rtol=1e-5, atol=1e-5)


def test_no_weight_is_copied() -> None:
    """What is written into the source's memory is what the graph computes with."""
    model = graph(
        [helper.make_node("MatMul", ["x", "w"], ["y"])], {"x": ("float32", ["n", 40])}, {"y": "float32"}, {"w": WEIGHT}
    )
    x = randn(3, 40, seed=2)
    found = made(model, x)
    own = WEIGHT.copy()
    found.model.graph.initializers["w"].const_value = ir.tensor(own, name="w")
    runner = open_graph(found, Interface("main", found.inputs, found.outputs, {}, found.source, Proof("none")))
    assert runner.run(["y"], {"x": x})[0].any()
    own[:] = 0
    assert not runner.run(["y"], {"x": x})[0].any()


def test_weights_inside_of_branches_are_their_own() -> None:
    def arm(name: str, weight: Array) -> onnx.GraphProto:
        output = helper.make_tensor_value_info(f"{name}_y", onnx.TensorProto.FLOAT, None)
        node = helper.make_node("MatMul", ["x", f"{name}_w"], [f"{name}_y"])
        return helper.make_graph([node], name, [], [output], [onnx.numpy_helper.from_array(weight, f"{name}_w")])

    nodes = [
        helper.make_node("ReduceSum", ["x"], ["sum"], keepdims=0),
        helper.make_node("Greater", ["sum", "zero"], ["is_positive"]),
        helper.make_node("If", ["is_positive"], ["y"], then_branch=arm("a", WEIGHT), else_branch=arm("b", 2 * WEIGHT)),
    ]
    model = graph(nodes, {"x": ("float32", ["n", 40])}, {"y": "float32"}, {"zero": np.float32(0)})
    x = np.ones((2, 40), np.float32)
    runner = opened(model, x)
    np.testing.assert_allclose(runner.run(["y"], {"x": x})[0], x @ WEIGHT, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(runner.run(["y"], {"x": -x})[0], -2 * x @ WEIGHT, rtol=1e-5, atol=1e-5)


def test_types_that_numpy_lacks_keep_their_bits() -> None:
    table = np.arange(1024).astype(ml_dtypes.bfloat16)
    nodes = [helper.make_node("Gather", ["t", "x"], ["y"])]
    model = graph(nodes, {"x": ("int64", ["n"])}, {"y": "bfloat16"}, {"t": table})
    places = np.array([5, 1000])
    [y] = opened(model, places).run(["y"], {"x": places})
    assert y.dtype == ml_dtypes.bfloat16
    assert y.astype(np.float32).tolist() == table[places].astype(np.float32).tolist()


def test_what_onnx_runtime_refuses_is_an_error() -> None:
    nodes = [helper.make_node("Reshape", ["x", "shape"], ["y"])]
    model = graph(nodes, {"x": ("float32", ["n"])}, {"y": "float32"}, {"shape": np.array([7])})
    runner = opened(model, randn(7))
    with pytest.raises(ExecutionError, match="Reshape"):
        runner.run(["y"], {"x": randn(8)})
