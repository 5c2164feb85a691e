"""Functions that change their variables from call to call."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np

from transload.convert.capture import Array
from transload.convert.tensorflow.framework import dtype_name, tf
from transload.convert.tensorflow.graph_nodes import all_nodes, called_functions, node_name, reached_functions, rewrite
from transload.convert.tensorflow.tf2onnx_adapter import inline
from transload.convert.tensorflow.threaded_variables import CARRIED, Body, Content, refuse, thread, writes_to
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
    refuse(
        [node for node in changing if node.op not in CARRIED], "it changes a variable, which the next call would read"
    )
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
        UnsupportedError: variables are otherwise touched than read and assigned as a whole, or in no certain order.
    """
    graph_def = function.graph.as_graph_def()
    captured = [inner.name for _, inner in function.graph.captures]
    graph_def = inline(graph_def, [*inputs, *captured], [*outputs, _fetch_changes(graph_def)])
    variables = {id(variable.handle): variable for variable in function.graph.variables}
    main = Body(graph_def.node, graph_def.library)
    kept: dict[str, KeptVariable] = {}
    results = []
    for outer, inner in function.graph.captures:
        name = node_name(inner.name)
        if any(writes_to(node, name, graph_def.library) for node in graph_def.node):
            variable = variables[id(outer)]
            kept[inner.name] = _name(variable, taken)
            taken = {*taken, kept[inner.name].input.name, kept[inner.name].output.name}
            content = Content(variable.dtype.as_datatype_enum, variable.shape.as_proto())
            results.append(_tensor(thread(main, name, content)))
            node = next(node for node in graph_def.node if node.name == name)
            rewrite(node, "Placeholder", {})
            node.attr["dtype"].type = content.dtype
    _drop_unused_functions(graph_def)
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
    waits = [node.name for node in graph_def.node if changes_variable(node.op) or len(called_functions(node)) > 1]
    node = graph_def.node.add(name="wait_for_changes", op="Const", input=[f"^{name}" for name in waits])
    value = tf.make_tensor_proto(0)
    node.attr["dtype"].type = value.dtype
    node.attr["value"].tensor.CopyFrom(value)
    return f"{node.name}:0"


def _tensor(name: str) -> str:
    return name if ":" in name else f"{name}:0"


def _name(variable: Any, taken: Collection[str]) -> KeptVariable:
    path = variable.name.partition(":")[0]
    name, count = path, 0
    while name in taken or f"{name}_next" in taken:
        name, count = f"{path}_{count + 1}", count + 1
    dtype, shape = dtype_name(variable.dtype), tuple(variable.shape)
    tensors = Tensor(name, dtype, shape), Tensor(f"{name}_next", dtype, shape)
    return KeptVariable(variable, *tensors, np.array(variable.numpy()))


def _drop_unused_functions(graph_def: Any) -> None:
    """Those that still change variables are among them."""
    functions = {function.signature.name: function for function in graph_def.library.function}
    reached = reached_functions((name for node in graph_def.node for name in called_functions(node)), functions)
    unused = [place for place, name in enumerate(functions) if name not in reached]
    for place in reversed(unused):
        del graph_def.library.function[place]
