"""Putting a constant into a graph, for passes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def insert_axes(node: ir.Node, place: int, axes: Sequence[int]) -> None:
    """Give a node axes as an input: a constant of its own, put before it in its graph."""
    assert node.graph is not None
    name = f"{node.outputs[0].name}_axes"
    constant = ir.node("Constant", [], {"value": ir.tensor(list(axes), dtype=ir.DataType.INT64, name=name)})
    constant.outputs[0].name = name
    constant.outputs[0].dtype = ir.DataType.INT64
    constant.outputs[0].shape = ir.Shape([len(axes)])
    node.graph.insert_before(node, constant)
    node.replace_input_with(place, constant.outputs[0])
