"""What stands for the graph of a source that has no translation and is only to be run, beside another model."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir

from transload.serialize.dtypes import ONNX_NUMBER
from transload.serialize.interface import Tensor

OPSET = 18
DOMAIN = "transload.missing"


def make_missing_graph(inputs: Sequence[Tensor], outputs: Sequence[Tensor]) -> ir.Model:
    """One node of a domain that no runtime knows, from all inputs to all outputs."""
    given, results = [_make_value(tensor) for tensor in inputs], [_make_value(tensor) for tensor in outputs]
    node = ir.Node(DOMAIN, "Missing", given, outputs=results, name="missing")
    graph = ir.Graph(given, results, nodes=[node], opset_imports={"": OPSET, DOMAIN: 1}, name="missing")
    return ir.Model(graph, ir_version=10)


def _make_value(tensor: Tensor) -> ir.Value:
    shape = None if tensor.shape is None else ir.Shape(tensor.shape)
    return ir.Value(name=tensor.name, type=ir.TensorType(ir.DataType(ONNX_NUMBER[tensor.dtype])), shape=shape)
