"""The smallest ONNX files that show each thing."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import TensorProto, helper, numpy_helper

Dims = Sequence[int | str | None] | None


def value(name: str, dims: Dims, dtype: int = TensorProto.FLOAT) -> onnx.ValueInfoProto:
    return helper.make_tensor_value_info(name, dtype, dims)


def model(
    nodes: Sequence[onnx.NodeProto],
    inputs: Sequence[onnx.ValueInfoProto],
    outputs: Sequence[onnx.ValueInfoProto],
    initializers: Sequence[onnx.TensorProto] = (),
    *,
    opset: int = 18,
    ir_version: int = 10,
    **more: Any,
) -> onnx.ModelProto:
    graph = helper.make_graph(nodes, "graph", inputs, outputs, initializers)
    imports = [helper.make_opsetid("", opset), *more.pop("imports", ())]
    return helper.make_model(graph, opset_imports=imports, ir_version=ir_version, **more)


def linear(dims: Dims = ("batch", 3), **more: Any) -> onnx.ModelProto:
    """`y = x @ w`, with 3 rows and 500 columns of weights."""
    weight = np.random.default_rng(0).standard_normal((3, 500)).astype(np.float32)
    return model(
        [helper.make_node("MatMul", ["x", "w"], ["y"])],
        [value("x", dims)],
        [value("y", [dims[0] if dims else None, 500])],
        [numpy_helper.from_array(weight, "w")],
        **more,
    )


def add(first: Dims, second: Dims, output: Dims) -> onnx.ModelProto:
    """`sum = a + b`, elementwise through a MatMul-free graph that refuses unequal sizes: Concat, then ReduceSum."""
    nodes = [
        helper.make_node("Unsqueeze", ["a", "axis"], ["a1"]),
        helper.make_node("Unsqueeze", ["b", "axis"], ["b1"]),
        helper.make_node("Concat", ["a1", "b1"], ["both"], axis=0),
        helper.make_node("ReduceSum", ["both", "axis"], ["sum"], keepdims=0),
    ]
    axis = numpy_helper.from_array(np.zeros(1, np.int64), "axis")
    return model(nodes, [value("a", first), value("b", second)], [value("sum", output)], [axis])


def save(proto: onnx.ModelProto, path: Path, *, external: bool = False) -> Path:
    onnx.save(
        proto,
        path,
        save_as_external_data=external,
        location=f"{path.stem}.data" if external else None,
        size_threshold=0,
    )
    return path
