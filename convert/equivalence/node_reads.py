"""What a node of a graph reads."""

from __future__ import annotations

import onnx_ir as ir


def list_reads(node: ir.Node) -> list[ir.Value]:
    """Every value that a node reads, in its subgraphs too; those that are made there are among them."""
    values = [value for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        if attribute.type == ir.AttributeType.GRAPH:
            graph = attribute.as_graph()
            values += [value for inner in graph.all_nodes() for value in inner.inputs if value is not None]
            values += list(graph.outputs)
    return values
