"""A callable of TensorFlow 1: from some placeholders of a graph to some of its tensors, all by their names."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

from transload.convert.options import ConvertOptions
from transload.convert.tensorflow.function import NamedFunction
from transload.convert.tensorflow.graph_nodes import node_name
from transload.convert.tensorflow.signature import check_names, name_dimensions, name_results
from transload.serialize.errors import UsageError

_NO_SINKS = frozenset({"Placeholder", "Const"})


def name_tensors(
    component: str, wrapped: Any, placeholders: Sequence[str], outputs: Sequence[str], options: ConvertOptions
) -> NamedFunction:
    """The function from placeholders to tensors of a graph, under their names; `:0` is left out of an output's.

    Args:
        component: What the function is called.
        wrapped: The graph as `tf.compat.v1.wrap_function` or the loader of SavedModels gives it.
        placeholders: The names of nodes.
        outputs: The names of tensors, or of nodes, whose first output is meant.
        options: Descriptions of inputs.

    Raises:
        UsageError: an output is not in the graph, or a description does not fit.
    """
    check_names(options, placeholders)
    specs = {spec.name: spec for spec in options.inputs}
    tensors = find_tensors(wrapped.graph, outputs)
    function = wrapped.prune(
        [f"{name}:0" for name in placeholders], {tensor.name.removesuffix(":0"): tensor for tensor in tensors}
    )
    inputs = {
        tensor.name: name_dimensions(name, tensor.shape, tensor.dtype, specs.get(name))
        for name, tensor in zip(placeholders, function.inputs, strict=False)
    }
    tree, results = name_results(function.structured_outputs, function.outputs, placeholders)
    return NamedFunction(component, function, inputs, {leaf.name: leaf for leaf in inputs.values()}, tree, results)


def find_tensors(graph: Any, names: Sequence[str]) -> list[Any]:
    """The tensors of these names, or the first outputs of nodes of these names.

    Raises:
        UsageError: one is not there.
    """
    try:
        return [graph.as_graph_element(name if ":" in name else f"{name}:0") for name in names]
    except (KeyError, ValueError) as error:
        raise UsageError(
            f"The graph lacks an output: {error}", hint=f"Sinks of the graph: {', '.join(list_sinks(graph))}."
        ) from error


def find_placeholders(graph: Any, outputs: Sequence[str]) -> list[str]:
    """The placeholders that these tensors need, in the graph's order.

    Raises:
        UsageError: a tensor is not there, or none needs a placeholder.
    """
    found = _needed_placeholders(graph, [tensor.op.name for tensor in find_tensors(graph, outputs)])
    if not found:
        raise UsageError(
            f"No placeholder leads to {', '.join(outputs)}.",
            hint=f"Sinks of the graph: {', '.join(list_sinks(graph))}.",
        )
    return found


def leads_from_placeholder(graph: Any, output: str) -> bool:
    """Whether a tensor of the graph needs a placeholder."""
    return bool(_needed_placeholders(graph, [node_name(output)]))


def _needed_placeholders(graph: Any, nodes: Sequence[str]) -> list[str]:
    needed: set[str] = set()
    waiting = list(nodes)
    operations = {operation.name: operation for operation in graph.get_operations()}
    while waiting:
        name = waiting.pop()
        if name in operations and name not in needed:
            needed.add(name)
            waiting += [node_name(each) for each in operations[name].node_def.input]
    return [name for name, operation in operations.items() if name in needed and operation.type == "Placeholder"]


def list_sinks(graph: Any) -> list[str]:
    """The first output of every operation that has one and that no other operation uses."""
    operations = graph.get_operations()
    used = {node_name(name) for operation in operations for name in operation.node_def.input}
    return [
        operation.outputs[0].name
        for operation in operations
        if operation.outputs and operation.name not in used and operation.type not in _NO_SINKS
    ]
