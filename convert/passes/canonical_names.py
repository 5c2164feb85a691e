"""A pass: the same graph gets the same names and the same order of nodes, whatever was converted before it."""

from __future__ import annotations

import re
from collections.abc import Iterable

import onnx_ir as ir

# tf2onnx numbers what it makes with a counter that runs on for the life of the process, and constants of an einsum with
# the address of an object, which also decides which of two equal ones stays: what follows it is taken off too.
_COUNTER = re.compile(r"(?:__\d+)+(?![\w.])|(?<=einsum)\d{9,}_\w+")


class CanonicalNamesPass(ir.passes.InPlacePass):
    """Make names and order depend on the graph alone.

    1. Nodes of the main graph are put in the order in which a walk from the outputs, in order, through the inputs, in
       order, finishes them; initializers in the order of their first use. What the walk does not reach follows.
    2. Numbers that exporters take from a process-wide counter (`Reshape__42`) or an address (`einsum140229445_ba`) are
       taken off the names of nodes and values; a name that is then in use already gets `_1`, `_2` …, in the order of
       the graph.
    3. A node or value without a name is called after its operator.

    Left alone: the names of graph inputs and outputs, which are the interface; functions; order inside subgraphs.
    """

    def call(self, model: ir.Model) -> ir.passes.PassResult:
        """Rewrite the model in place."""
        before = _names(model)
        _order_nodes(model.graph)
        _order_initializers(model.graph)
        _rename(model)
        return ir.passes.PassResult(model, before != _names(model))


def _names(model: ir.Model) -> list[str | None]:
    names: list[str | None] = [name for graph in model.graphs() for name in graph.initializers]
    for node in model.graph.all_nodes():
        names += [node.name, *(value.name for value in node.outputs)]
    return names


def _needed(node: ir.Node) -> list[ir.Value]:
    """The values that a node reads, those that its subgraphs capture included, in order."""
    values = [value for value in node.inputs if value is not None]
    for attribute in node.attributes.values():
        for graph in _subgraphs(attribute):
            for inner in graph.all_nodes():
                values += [value for value in inner.inputs if value is not None]
            values.extend(graph.outputs)
    return values


def _subgraphs(attribute: ir.Attr) -> Iterable[ir.Graph]:
    if attribute.is_ref():
        return ()
    if attribute.type == ir.AttributeType.GRAPH:
        return (attribute.as_graph(),)
    if attribute.type == ir.AttributeType.GRAPHS:
        return attribute.as_graphs()
    return ()


def _order_nodes(graph: ir.Graph) -> None:
    finished: dict[ir.Node, None] = {}
    started: set[ir.Node] = set()
    roots = [value.producer() for value in graph.outputs]
    for root in [*roots, *graph]:
        stack = [] if root is None else [(root, False)]
        while stack:
            node, inputs_done = stack.pop()
            if inputs_done:
                finished[node] = None
            elif node not in started and node.graph is graph:
                started.add(node)
                stack.append((node, True))
                producers = [value.producer() for value in _needed(node)]
                stack.extend((producer, False) for producer in reversed(producers) if producer is not None)
    order = list(finished)
    if order != list(graph):
        graph.remove(order)
        graph.extend(order)


def _order_initializers(graph: ir.Graph) -> None:
    used = {value: None for node in graph for value in _needed(node)} | dict.fromkeys(graph.outputs)
    initializers = list(graph.initializers.values())
    known = set(initializers)
    order = [value for value in used if value in known]
    order += [value for value in initializers if value not in used]
    if order != initializers:
        for value in initializers:
            graph.initializers.pop(str(value.name))
        for value in order:
            graph.register_initializer(value)


def _rename(model: ir.Model) -> None:
    fixed = {*model.graph.inputs, *model.graph.outputs}
    taken = {str(value.name) for value in fixed}
    node_names: set[str] = set()
    values = [value for value in model.graph.initializers.values() if value not in fixed]
    for node in model.graph.all_nodes():
        _name_node(node, node_names)
        for attribute in node.attributes.values():
            for graph in _subgraphs(attribute):
                values += [*graph.inputs, *graph.initializers.values()]
        # An output without a name is one that is left out; it has to stay so.
        values += [value for value in node.outputs if value not in fixed and (value.name or value.uses())]
    values = list(dict.fromkeys(values))
    wanted = [_COUNTER.sub("", value.name or "") or _call_after_operator(value) for value in values]
    # Under names that nobody wants first, so that no two ever share one on the way.
    for index, value in enumerate(values):
        value.name = f"\0{index}"
    for value, name in zip(values, wanted, strict=True):
        value.name = _unique(name, taken)


def _name_node(node: ir.Node, taken: set[str]) -> None:
    node.name = _unique(_COUNTER.sub("", node.name or "") or node.op_type, taken)


def _call_after_operator(value: ir.Value) -> str:
    node = value.producer()
    return f"{node.op_type}_output" if node is not None else "value"


def _unique(name: str, taken: set[str]) -> str:
    candidate, number = name, 0
    while candidate in taken:
        number += 1
        candidate = f"{name}_{number}"
    taken.add(candidate)
    return candidate
