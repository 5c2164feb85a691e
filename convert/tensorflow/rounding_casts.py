"""Casts to fewer bits and back, which round: tf2onnx's optimiser takes them for nothing and drops both."""

from __future__ import annotations

from typing import Any

import onnx_ir as ir
from onnx import TensorProto

BITS = {
    int(TensorProto.DOUBLE): 53,
    int(TensorProto.FLOAT): 24,
    int(TensorProto.FLOAT16): 11,
    int(TensorProto.BFLOAT16): 8,
}
"""Binary digits that each dtype keeps."""

PROTECTED = "RoundingCast"
"""No operator of ONNX's: a name under which no optimiser of tf2onnx knows a Cast."""


def protect_rounding(graph: Any) -> None:
    """Rename the casts of a tf2onnx graph, and of graphs inside of it, that round a float. Changes it in place."""
    for node in graph.get_nodes():
        for inner in (node.get_body_graphs() or {}).values():
            protect_rounding(inner)
        if node.type == "Cast":
            before = BITS.get(graph.get_dtype(node.input[0]) or 0, 0)
            if BITS.get(node.get_attr_value("to"), before) < before:
                node.type = PROTECTED


def unprotect_rounding(model: ir.Model) -> ir.Model:
    """The model with these casts under their own name; changed in place."""
    for node in model.graph.all_nodes():
        if node.op_type == PROTECTED:
            node.op_type = "Cast"
            # TensorFlow's own attributes, which tf2onnx takes off operators that it knows.
            for name in [name for name in node.attributes if name != "to"]:
                del node.attributes[name]
    return model
