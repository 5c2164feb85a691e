"""Nodes of TensorFlow's graphs: the operations of control flow, names, inputs, and all nodes of a GraphDef."""

from __future__ import annotations

from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from graphlib import TopologicalSorter
from typing import Any

LOOPS = frozenset({"While", "StatelessWhile"})
"""Their outputs are as their inputs."""

BRANCHES = frozenset({"If", "StatelessIf"})
"""Their first input chooses one of two functions, `then_branch` and `else_branch`."""

CALLS = frozenset({"PartitionedCall", "StatefulPartitionedCall"})
"""They give what a function `f` gives."""

CASES = frozenset({"Case", "StatelessCase"})
"""Their first input is the number of one of `branches`."""


def node_name(tensor: str) -> str:
    """The node of a tensor (`x:0`) or of an input of another (`x`, `^x`, `x:output:0`)."""
    return tensor.lstrip("^").partition(":")[0]


def all_nodes(graph_def: Any) -> Iterator[Any]:
    """Every node of a GraphDef, those of its functions included."""
    yield from graph_def.node
    for function in graph_def.library.function:
        yield from function.node_def


def data_inputs(node: Any) -> Iterator[str]:
    """A node's inputs without those that only say what comes before it."""
    return (name for name in node.input if not name.startswith("^"))


def called_functions(node: Any) -> list[str]:
    """The functions that a node names; an operation may be a function itself."""
    names = [node.op]
    for attribute in node.attr.values():
        names.append(attribute.func.name)
        names += [function.name for function in attribute.list.func]
    return [name for name in names if name]


def reached_functions(names: Iterable[str], functions: Mapping[str, Any]) -> dict[str, Any]:
    """Those of these functions that are named, and those that they call, by name."""
    found: dict[str, Any] = {}
    waiting = list(names)
    while waiting:
        name = waiting.pop()
        if name in functions and name not in found:
            found[name] = functions[name]
            waiting += [called for node in found[name].node_def for called in called_functions(node)]
    return found


def rewrite(node: Any, op: str, attributes: Mapping[str, Any], inputs: Sequence[str] | None = None) -> None:
    """Make a node another operation with these attributes alone, in place; its inputs stay where none are given."""
    kept = {name: type(attribute)() for name, attribute in attributes.items()}
    for name, attribute in attributes.items():
        kept[name].CopyFrom(attribute)
    node.op = op
    node.attr.clear()
    for name, attribute in kept.items():
        node.attr[name].CopyFrom(attribute)
    if inputs is not None:
        node.input[:] = inputs


def ancestors(nodes: Iterable[Any], wanted: Collection[str]) -> dict[str, frozenset[str]]:
    """Which of the wanted nodes come before each node of a graph or function, by data or control inputs.

    Raises:
        CycleError: the graph has loops as TensorFlow 1 wrote them.
    """
    inputs = {node.name: [node_name(name) for name in node.input] for node in nodes}
    found: dict[str, frozenset[str]] = {}
    for name in TopologicalSorter(inputs).static_order():
        # The arguments of a function are no nodes.
        given = inputs.get(name, [])
        found[name] = frozenset(wanted).intersection(given).union(*(found[each] for each in given))
    return found
