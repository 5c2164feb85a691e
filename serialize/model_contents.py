"""Everything inside an ONNX model: its nodes, its tensors wherever they stand, and how deep its graphs nest."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field

import onnx


@dataclass(frozen=True)
class Contents:
    """What one graph or function holds, subgraphs included. `depth` is 0 where there are no subgraphs."""

    nodes: list[onnx.NodeProto] = field(default_factory=list)
    tensors: list[onnx.TensorProto] = field(default_factory=list)
    depth: int = 0

    def external_tensors(self) -> Iterator[onnx.TensorProto]:
        """Every tensor that lies outside the model, or claims to."""
        return filter(is_external, self.tensors)


def is_external(tensor: onnx.TensorProto) -> bool:
    """Whether a tensor's data lies outside the model, or claims to."""
    # Either sign of it counts: readers differ in which of the two they look at.
    return tensor.data_location == onnx.TensorProto.EXTERNAL or bool(tensor.external_data)


def graph_contents(model: onnx.ModelProto) -> Contents:
    """The contents of the model's graph."""
    return _collect([model.graph], (), ())


def function_contents(function: onnx.FunctionProto) -> Contents:
    """The contents of one of the model's own functions."""
    return _collect((), function.node, function.attribute_proto)


def all_contents(model: onnx.ModelProto) -> list[Contents]:
    """The contents of the model's graph, then of each of its functions, in order."""
    return [graph_contents(model), *(function_contents(function) for function in model.functions)]


def _collect(
    graphs: Iterable[onnx.GraphProto], nodes: Iterable[onnx.NodeProto], attributes: Iterable[onnx.AttributeProto]
) -> Contents:
    """Level by level, so that no depth of nesting is a depth of calls."""
    found = Contents()
    depth = -1
    graphs, nodes, attributes = list(graphs), list(nodes), list(attributes)
    while graphs or nodes or attributes:
        depth += 1
        for graph in graphs:
            nodes.extend(graph.node)
            found.tensors.extend(graph.initializer)
            for sparse in graph.sparse_initializer:
                found.tensors.extend((sparse.values, sparse.indices))
        found.nodes.extend(nodes)
        for node in nodes:
            attributes.extend(node.attribute)
        graphs = []
        for attribute in attributes:
            _collect_attribute(attribute, graphs, found.tensors)
        nodes, attributes = [], []
    return Contents(found.nodes, found.tensors, max(depth, 0))


def _collect_attribute(
    attribute: onnx.AttributeProto, graphs: list[onnx.GraphProto], tensors: list[onnx.TensorProto]
) -> None:
    """Whatever an attribute holds, whatever type it claims."""
    if attribute.HasField("g"):
        graphs.append(attribute.g)
    graphs.extend(attribute.graphs)
    if attribute.HasField("t"):
        tensors.append(attribute.t)
    tensors.extend(attribute.tensors)
    sparse = list(attribute.sparse_tensors)
    if attribute.HasField("sparse_tensor"):
        sparse.append(attribute.sparse_tensor)
    for item in sparse:
        tensors.extend((item.values, item.indices))
