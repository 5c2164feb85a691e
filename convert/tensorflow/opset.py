"""Raising a graph from the opset at which tf2onnx stops."""

from __future__ import annotations

import onnx_ir as ir

from transload.serialize.errors import UnsupportedError

TF2ONNX_OPSET = 18
HIGHEST_OPSET = 23

NEWER = {"StringConcat": 20, "StringSplit": 20, "RegexFullMatch": 20}
"""Operators that came after, with their opset."""


def raise_opset(model: ir.Model, opset: int) -> ir.Model:
    """Rewrite a graph of opset 18 in place for a newer one, at least that of its newest operator.

    Between 18 and 23 the operators that are written here have only got more types, but for DFT, which takes its axis as
    an input since 20.

    Raises:
        UnsupportedError: the opset is newer than what is known here.
    """
    opset = max([opset, *(_needed(node) for node in model.graph.all_nodes())])
    if opset > HIGHEST_OPSET:
        raise UnsupportedError(
            f"TensorFlow models are written at opset {TF2ONNX_OPSET} to {HIGHEST_OPSET}, not {opset}.",
            hint="Leave out --opset.",
        )
    if opset <= TF2ONNX_OPSET:
        return model
    if opset >= 20:
        for node in [node for node in model.graph.all_nodes() if node.op_type == "DFT" and not node.domain]:
            _move_axis_to_inputs(node)
    model.opset_imports[""] = opset
    return model


def _needed(node: ir.Node) -> int:
    if node.domain:
        return 0
    if node.op_type == "Equal" and any(
        value is not None and value.dtype == ir.DataType.STRING for value in node.inputs
    ):
        return 19
    return NEWER.get(node.op_type, 0)


def _move_axis_to_inputs(node: ir.Node) -> None:
    axis = node.attributes.pop("axis", None)
    number = 1 if axis is None else axis.as_int()
    constant = ir.node("Constant", [], {"value": ir.tensor(number, dtype=ir.DataType.INT64)})
    constant.outputs[0].name = f"{node.outputs[0].name}_axis"
    assert node.graph is not None
    node.graph.insert_before(node, constant)
    node.resize_inputs(3)
    node.replace_input_with(2, constant.outputs[0])
