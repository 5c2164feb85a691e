"""Putting constants and nodes into a graph, for passes."""

from __future__ import annotations

from collections.abc import Sequence

import onnx_ir as ir


def insert_axes(node: ir.Node, place: int, axes: Sequence[int]) -> None:
    """Give a node axes as an input: a constant of its own, put before it in its graph."""
    name = f"{node.outputs[0].name}_axes"
    node.replace_input_with(place, insert_constant(node, ir.tensor(list(axes), dtype=ir.DataType.INT64, name=name)))


def insert_constant(node: ir.Node, tensor: ir.TensorProtocol) -> ir.Value:
    """A constant of the tensor's name, put before a node in its graph."""
    assert node.graph is not None
    constant = ir.node("Constant", [], {"value": tensor})
    value = constant.outputs[0]
    value.name, value.dtype, value.shape = tensor.name, tensor.dtype, ir.Shape(tensor.numpy().shape)
    node.graph.insert_before(node, constant)
    return value


def put_in_place(last: ir.Node, nodes: Sequence[ir.Node]) -> None:
    """Let new nodes, the last of which gives the result, take the place of a node of one result.

    What the node read stays, for a pass that removes what nobody uses.
    """
    assert last.graph is not None
    (old,), (new,) = last.outputs, nodes[-1].outputs
    nodes[-1].metadata_props.update(last.metadata_props)
    new.type, new.shape = old.type, old.shape
    ir.convenience.replace_nodes_and_values(last.graph, last, [last], nodes, [old], [new])
