"""Raising a graph from the opset at which tf2onnx stops."""

from __future__ import annotations

import onnx_ir as ir

from transload.serialize.errors import UnsupportedError

TF2ONNX_OPSET = 18
HIGHEST_OPSET = 23

NEWER = {"StringConcat": 20, "StringSplit": 20, "RegexFullMatch": 20}
"""Operators that came after, with their opset."""

GRID_MODES = {"bilinear": "linear", "bicubic": "cubic"}


def raise_opset(model: ir.Model, opset: int) -> ir.Model:
    """Rewrite a graph of opset 18 in place for a newer one, at least that of its newest operator.

    Between 18 and 23 the operators that are written here have only got more types, but for these:

    1. DFT takes its axis as an input since 20.
    2. GridSample's modes have other names since 20.
    3. GroupNormalization is another one since 21: refused.

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
    for node in list(model.graph.all_nodes()):
        if node.domain:
            continue
        if node.op_type == "DFT" and opset >= 20:
            _move_axis_to_inputs(node)
        elif node.op_type == "GridSample" and opset >= 20 and "mode" in node.attributes:
            mode = node.attributes["mode"].as_string()
            node.attributes["mode"] = ir.AttrString("mode", GRID_MODES.get(mode, mode))
        elif node.op_type == "GroupNormalization" and opset >= 21:
            raise UnsupportedError("GroupNormalization changed with opset 21.", hint="Ask for --opset 20 at most.")
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
