"""A pass: no two nodes share the zero point of signed bytes."""

from __future__ import annotations

import onnx_ir as ir

PLACES = {
    "QuantizeLinear": (2,),
    "DequantizeLinear": (2,),
    "MatMulInteger": (2, 3),
    "ConvInteger": (2, 3),
    "QLinearMatMul": (2, 5, 7),
    "QLinearConv": (2, 5, 7),
}
"""Where operators have their zero points."""


class OwnZeroPointsPass(ir.passes.InPlacePass):
    """Give each node that has a constant zero point of signed bytes one of its own.

    On x86 processors without VNNI loaders ask ONNX Runtime for kernels that add exactly (docs/numerics.md). It turns
    weights of signed bytes into unsigned ones then, with their zero points, and refuses a model in which it would turn
    one around twice (1.31.1: "Attempt to replace the existing tensor"). The copies are a few bytes each.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        seen: set[ir.Value] = set()
        modified = False
        for node in model.graph.all_nodes():
            for place in PLACES.get(node.op_type, ()) if node.domain in ("", "ai.onnx") else ():
                value = node.inputs[place] if place < len(node.inputs) else None
                if value is None or not value.is_initializer() or value.dtype != ir.DataType.INT8:
                    continue
                if value in seen:
                    node.replace_input_with(place, _copy(value, f"{node.outputs[0].name}_zero_{place}"))
                    modified = True
                seen.add(value)
        return ir.passes.PassResult(model, modified)


def _copy(value: ir.Value, name: str) -> ir.Value:
    copy = ir.Value(name=name, type=value.type, shape=value.shape, const_value=value.const_value)
    assert value.graph is not None
    value.graph.register_initializer(copy)
    return copy
