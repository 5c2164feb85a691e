"""Functions that change their variables from call to call."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from dataclasses import dataclass
from graphlib import CycleError
from typing import Any

import numpy as np

from transload.convert.capture import Array
from transload.convert.tensorflow.framework import dtype_name, tf
from transload.convert.tensorflow.graph_nodes import all_nodes, ancestors, data_inputs, node_name, rewrite
from transload.convert.tensorflow.tf2onnx_adapter import inline
from transload.serialize.errors import UnsupportedError, UnsupportedOperation
from transload.serialize.interface import Tensor

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


CARRIED = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})
"""The changes that a graph without variables can express: the variable's next value is one of its outputs."""

READ = "ReadVariableOp"


@dataclass(frozen=True)
class KeptVariable:
    """A variable that a function changes, as state of the component.

    Args:
        variable: TensorFlow's variable.
        input, output: What the ONNX graph takes and gives.
        initial: The value before the first call.
    """

    variable: Any
    input: Tensor
    output: Tensor
    initial: Array


def keeps_state(function: Any) -> bool:
    """Whether a ConcreteFunction writes to variables, in a way that a component can carry from call to call.

    Raises:
        UnsupportedError: it writes in another way; each operation that does is listed.
    """
    changing = [node for node in all_nodes(function.graph.as_graph_def()) if changes_variable(node.op)]
    _refuse([node for node in changing if node.op not in CARRIED])
    return bool(changing)


def without_state(
    function: Any, inputs: Sequence[str], outputs: Sequence[str], taken: Collection[str]
) -> tuple[Any, tuple[KeptVariable, ...]]:
    """A function that takes the former values of the variables behind its other inputs, and gives the next ones.

    TensorFlow orders what touches one variable by control inputs, so every read has the last value that was written
    before it on each way through the graph.

    Args:
        function: A ConcreteFunction that keeps state.
        inputs, outputs: TensorFlow's names of its tensors, in order.
        taken: Our names of inputs and outputs.

    Raises:
        UnsupportedError: variables are changed in loops or branches, or otherwise touched than read and assigned as a
            whole, or in no certain order.
    """
    graph_def = function.graph.as_graph_def()
    captured = [inner.name for _, inner in function.graph.captures]
    graph_def = inline(graph_def, [*inputs, *captured], [*outputs, _fetch_changes(graph_def)])
    _refuse(
        [node for each in graph_def.library.function for node in each.node_def if changes_variable(node.op)],
        "it changes a variable inside of a loop or branch",
    )
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    touching = _find_touching(graph_def, [node_name(name) for name in captured])
    before = _order(graph_def, {node.name for nodes in touching.values() for node in nodes})
    kept: dict[str, KeptVariable] = {}
    results = []
    for outer, inner in function.graph.captures:
        name = node_name(inner.name)
        if name in touching:
            kept[inner.name] = _name(variables[id(outer)], taken)
            taken = {*taken, kept[inner.name].input.name, kept[inner.name].output.name}
            results.append(_thread(touching[name], name, before))
            node = next(node for node in graph_def.node if node.name == name)
            rewrite(node, "Placeholder", {"dtype": touching[name][0].attr["T"]})
    shapes = {tensor.name: tf.TensorSpec(tensor.shape, tensor.dtype) for tensor in function.inputs}
    shapes |= {name: tf.TensorSpec(each.variable.shape, each.variable.dtype) for name, each in kept.items()}

    def body(*tensors: Any) -> Any:
        graph = tf.compat.v1.get_default_graph()
        given = dict(zip([*inputs, *kept], tensors, strict=True))
        for outer, inner in function.graph.captures:
            if inner.name not in kept:
                given[inner.name] = graph.capture(outer)
                if id(outer) in variables:
                    graph.watch_variable(variables[id(outer)])
        return tf.graph_util.import_graph_def(graph_def, given, [*outputs, *results], name="")

    signature = [shapes[name] for name in (*inputs, *kept)]
    stateless = tf.function(body, input_signature=signature, autograph=False).get_concrete_function()
    return stateless, tuple(kept.values())


def _fetch_changes(graph_def: Any) -> str:
    """Add a node that waits for all that may change a variable, so that nothing of it is cut off; its tensor."""
    waits = [node.name for node in graph_def.node if changes_variable(node.op) or _calls(node)]
    node = graph_def.node.add(name="wait_for_changes", op="Const", input=[f"^{name}" for name in waits])
    value = tf.make_tensor_proto(0)
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)
    return f"{node.name}:0"


def _find_touching(graph_def: Any, captured: Sequence[str]) -> dict[str, list[Any]]:
    """The nodes that touch each captured variable which one of them changes, by the variable's node."""
    found: dict[str, list[Any]] = {name: [] for name in captured}
    for node in graph_def.node:
        for name in dict.fromkeys(map(node_name, data_inputs(node))):
            if name in found:
                found[name].append(node)
    return {name: nodes for name, nodes in found.items() if any(changes_variable(node.op) for node in nodes)}


def _name(variable: Any, taken: Collection[str]) -> KeptVariable:
    path = variable.name.partition(":")[0]
    name, count = path, 0
    while name in taken or f"{name}_next" in taken:
        name, count = f"{path}_{count + 1}", count + 1
    dtype, shape = dtype_name(variable.dtype), tuple(variable.shape)
    tensors = Tensor(name, dtype, shape), Tensor(f"{name}_next", dtype, shape)
    return KeptVariable(variable, *tensors, np.array(variable.numpy()))


def _thread(users: Sequence[Any], placeholder: str, before: Mapping[str, frozenset[str]]) -> str:
    """Rewrite what touches one variable into data flow from the placeholder; the tensor of its last value."""
    _refuse(
        [node for node in users if node.op not in (READ, *CARRIED)], "it touches a variable that the function changes"
    )
    writes = [node for node in users if node.op in CARRIED]
    writes.sort(key=lambda node: sum(other.name in before[node.name] for other in writes))
    unordered = [
        node
        for node in users
        for write in writes
        if node is not write and write.name not in before[node.name] and node.name not in before[write.name]
    ]
    _refuse(unordered, "nothing says whether it comes before or after another that touches the same variable")
    values = [placeholder, *(write.name for write in writes)]
    for node in users:
        # The writes are in order, so those before a node are the first ones.
        current = values[sum(write.name in before[node.name] for write in writes)]
        dtype, data = node.attr["dtype"], list(data_inputs(node))
        control = [name for name in node.input if name.startswith("^")]
        if node.op in ("AssignAddVariableOp", "AssignSubVariableOp"):
            op, inputs = "AddV2" if node.op == "AssignAddVariableOp" else "Sub", [current, data[1]]
        else:
            op, inputs = "Identity", [current if node.op == READ else data[1]]
        rewrite(node, op, {"T": dtype}, [*inputs, *control])
    return f"{values[-1]}:0"


def _order(graph_def: Any, touching: Collection[str]) -> dict[str, frozenset[str]]:
    try:
        return ancestors(graph_def, touching)
    except CycleError as error:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call, and has loops as TensorFlow 1 wrote them.",
            hint="Pass states as inputs and outputs.",
        ) from error


def _calls(node: Any) -> bool:
    return any(attribute.HasField("func") for attribute in node.attr.values())


def _refuse(nodes: Sequence[Any], reason: str = "it changes a variable, which the next call would read") -> None:
    found = tuple(UnsupportedOperation(node.op, f"node {node.name!r}", reason) for node in nodes)
    if found:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call.",
            operations=found,
            hint="Build layers without stateful=True, pass states as inputs and outputs, or switch training off.",
        )
