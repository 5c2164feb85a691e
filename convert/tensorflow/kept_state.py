"""Functions that change their variables from call to call."""

from __future__ import annotations

from typing import Any

from transload.serialize.errors import UnsupportedError, UnsupportedOperation

CHANGES = frozenset(
    {
        "Assign",
        "AssignAdd",
        "AssignAddVariableOp",
        "AssignSub",
        "AssignSubVariableOp",
        "AssignVariableOp",
        "ResourceScatterAdd",
        "ResourceScatterNdUpdate",
        "ResourceScatterUpdate",
        "ResourceStridedSliceAssign",
    }
)


def refuse_state(function: Any) -> None:
    """Refuse a ConcreteFunction that writes to variables: freezing would leave them as they were, without a word.

    Raises:
        UnsupportedError: it lists each operation that does.
    """
    graph_def = function.graph.as_graph_def()
    nodes = [*graph_def.node, *(node for each in graph_def.library.function for node in each.node_def)]
    found = tuple(
        UnsupportedOperation(node.op, f"node {node.name!r}", "it changes a variable, which the next call would read")
        for node in nodes
        if node.op in CHANGES
    )
    if found:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call.",
            operations=found,
            hint="Build layers without stateful=True, pass states as inputs and outputs, or switch training off.",
        )
