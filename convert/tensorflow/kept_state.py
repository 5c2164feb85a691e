"""Functions that change their variables from call to call."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.graph_nodes import all_nodes
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

_CHANGING_PREFIXES = ("ResourceScatter", "ResourceApply", "ResourceSparseApply", "Apply", "SparseApply")

_CHANGING = frozenset(
    {
        "Assign",
        "AssignAdd",
        "AssignAddVariableOp",
        "AssignSub",
        "AssignSubVariableOp",
        "AssignVariableOp",
        "AssignVariableXlaConcatND",
        "CountUpTo",
        "ResourceCountUpTo",
        "ResourceStridedSliceAssign",
        "StridedSliceAssign",
        "ScatterAdd",
        "ScatterDiv",
        "ScatterMax",
        "ScatterMin",
        "ScatterMul",
        "ScatterNdAdd",
        "ScatterNdMax",
        "ScatterNdMin",
        "ScatterNdSub",
        "ScatterNdUpdate",
        "ScatterSub",
        "ScatterUpdate",
    }
)
"""By name, since ScatterNd and ScatterNdNonAliasingAdd change nothing."""


def changes_variable(op_type: str) -> bool:
    """Whether an operation of this type writes to a variable."""
    return op_type in _CHANGING or op_type.startswith(_CHANGING_PREFIXES)


def refuse_state(function: Any) -> None:
    """Refuse a ConcreteFunction that writes to variables: freezing would leave them as they were, without a word.

    Raises:
        UnsupportedError: it lists each operation that does.
    """
    found = tuple(
        UnsupportedOperation(node.op, f"node {node.name!r}", "it changes a variable, which the next call would read")
        for node in all_nodes(function.graph.as_graph_def())
        if changes_variable(node.op)
    )
    if found:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call.",
            operations=found,
            hint="Build layers without stateful=True, pass states as inputs and outputs, or switch training off.",
        )
