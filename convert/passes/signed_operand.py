"""A pass: products of unsigned bytes by signed bytes that are not constant become products of unsigned bytes."""

from __future__ import annotations

import onnx_ir as ir
from onnx_ir.passes.common import ShapeInferencePass

from transload.convert.passes.constants import insert_constant

PLACES = {"MatMulInteger": (0, 1, 3), "ConvInteger": (0, 1, 3), "QLinearMatMul": (0, 3, 5), "QLinearConv": (0, 3, 5)}
"""Where an operator has its first operand, its second, and the second's zero point."""

SHIFT = 128
"""What a signed byte lacks to an unsigned one."""


class UnsignOperandPass(ir.passes.InPlacePass):
    """Shift second operands, and their zero points, into unsigned bytes; their difference stays the same.

    ONNX Runtime adds products of unsigned by signed bytes in 16 bits on x86 processors without VNNI
    (docs/numerics.md). Loaders set an option against that, which reaches constants only. Unsigned by unsigned it adds
    exactly everywhere, and signed by signed.

    Left alone: constants, which would be slower so on processors with VNNI.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        nodes = [node for node in model.graph.all_nodes() if node.op_type in PLACES and not node.domain]
        nodes = [node for node in nodes if _is_computed(node.inputs[PLACES[node.op_type][1]])]
        if any(_dtype(node, place) is None for node in nodes for place in PLACES[node.op_type][:2]):
            ShapeInferencePass()(model)
        mixed = [node for node in nodes if _is_mixed(node)]
        for node in mixed:
            _, operand, zero = PLACES[node.op_type]
            shifted = _shift(node, operand)
            has_zero = len(node.inputs) > zero and node.inputs[zero] is not None
            name = f"{node.outputs[0].name}_zero"
            shifted_zero = (
                _shift(node, zero)
                if has_zero
                else insert_constant(node, ir.tensor(SHIFT, ir.DataType.UINT8, name=name))
            )
            if len(node.inputs) <= zero:
                node.resize_inputs(zero + 1)
            node.replace_input_with(operand, shifted)
            node.replace_input_with(zero, shifted_zero)
        return ir.passes.PassResult(model, bool(mixed))


def _is_computed(value: ir.Value | None) -> bool:
    if value is None or value.const_value is not None:
        return False
    producer = value.producer()
    return producer is None or producer.op_type != "Constant"


def _dtype(node: ir.Node, place: int) -> ir.DataType | None:
    value = node.inputs[place]
    return value.dtype if value is not None else None


def _is_mixed(node: ir.Node) -> bool:
    first, second, _ = PLACES[node.op_type]
    return _dtype(node, first) == ir.DataType.UINT8 and _dtype(node, second) == ir.DataType.INT8


def _shift(node: ir.Node, place: int) -> ir.Value:
    name = f"{node.outputs[0].name}_{place}"
    wide = _put(node, "Cast", [node.inputs[place]], ir.DataType.INT32, f"{name}_wide", to=ir.DataType.INT32)
    offset = insert_constant(node, ir.tensor(SHIFT, ir.DataType.INT32, name=f"{name}_shift"))
    moved = _put(node, "Add", [wide, offset], ir.DataType.INT32, f"{name}_moved")
    return _put(node, "Cast", [moved], ir.DataType.UINT8, f"{name}_unsigned", to=ir.DataType.UINT8)


def _put(
    node: ir.Node, op_type: str, inputs: list[ir.Value | None], dtype: ir.DataType, name: str, **attributes: int
) -> ir.Value:
    assert node.graph is not None
    made = ir.node(op_type, inputs, attributes)
    made.outputs[0].name, made.outputs[0].dtype = name, dtype
    node.graph.insert_before(node, made)
    return made.outputs[0]
