"""Nodes of TensorFlow's graphs: the operations of control flow, names, and all nodes of a GraphDef."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

LOOPS = frozenset({"While", "StatelessWhile"})
"""Their outputs are as their inputs."""

BRANCHES = frozenset({"If", "StatelessIf"})
"""Their first input chooses one of two functions, `then_branch` and `else_branch`."""

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
