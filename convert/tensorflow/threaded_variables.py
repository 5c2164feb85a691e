"""Variables as data flow: what touches one in a graph, in its branches and in its loops, takes and gives its value."""

from __future__ import annotations

from collections.abc import Collection, Sequence
from dataclasses import dataclass
from graphlib import CycleError
from typing import Any

from transload.convert.tensorflow.decompositions.indexing import SLICE_MASKS
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.graph_nodes import (
    BRANCHES,
    CALLS,
    CASES,
    LOOPS,
    ancestors,
    data_inputs,
    node_name,
    rewrite,
)
from transload.serialize.errors import UnsupportedError, UnsupportedOperation

ASSIGNMENTS = frozenset({"AssignAddVariableOp", "AssignSubVariableOp", "AssignVariableOp"})

SCATTERS = {
    f"ResourceScatter{places}{change}": f"TensorScatter{change}"
    for places in ("", "Nd")
    for change in ("Add", "Sub", "Update")
}
"""Changes of parts, by the operation that gives the whole with the part changed. Those to the larger and the smaller of
two numbers are missing: TensorFlow's operations on variables and on tensors treat NaN differently."""

ASSIGN_SLICE = "ResourceStridedSliceAssign"

CARRIED = ASSIGNMENTS | SCATTERS.keys() | {ASSIGN_SLICE}
"""The changes that a graph without variables can express: the variable's next value is one of its outputs."""

READ = "ReadVariableOp"

CHOICES = BRANCHES | CASES
"""Operations whose first input chooses a function; the others are what the function takes."""

RESULTS = {"AddV2": "z", "Sub": "z"}
"""What a function calls the result of an operation, `name:z:0`, where that is not `output`."""


@dataclass(frozen=True)
class Content:
    """What a variable holds: a DataType, and a TensorShapeProto."""

    dtype: int
    shape: Any


@dataclass(frozen=True)
class Body:
    """The nodes of a graph, or of a function, whose tensors have other names.

    Args:
        nodes: The NodeDefs, as the field of a protobuf message, which are changed.
        library: The library that the functions are in, which new ones are added to.
        function: The FunctionDef; None for a graph.
    """

    nodes: Any
    library: Any
    function: Any = None

    def result(self, node: Any) -> str:
        """The tensor that an operation of one result gives."""
        return f"{node.name}:{RESULTS.get(node.op, 'output')}:0" if self.function is not None else node.name

    def result_of_call(self, node: Any, place: int) -> str:
        """A result of an operation that calls functions."""
        return f"{node.name}:output:{place}" if self.function is not None else f"{node.name}:{place}"


def thread(body: Body, source: str, content: Content) -> str:
    """Rewrite what touches one variable into data flow from its source; the tensor of its last value.

    Functions in which it is touched are copied, and take and give the value too.

    Args:
        body: The graph or function.
        source: The node or argument that stands for the variable, and for its value afterwards.
        content: What the variable holds.

    Raises:
        UnsupportedError: it is otherwise touched than read and assigned as a whole, or in no certain order.
    """
    users = [node for node in body.nodes if source in map(node_name, data_inputs(node))]
    refuse(
        [node for node in users if node.op not in (READ, *CARRIED) and len(_called_with(node, source)) != 1],
        "it touches a variable that the function changes",
    )
    before = _order(body, {node.name for node in users})
    writes = [node for node in users if writes_to(node, source, body.library)]
    writes.sort(key=lambda node: sum(other.name in before[node.name] for other in writes))
    unordered = [
        node
        for node in users
        for write in writes
        if node is not write and write.name not in before[node.name] and node.name not in before[write.name]
    ]
    refuse(unordered, "nothing says whether it comes before or after another that touches the same variable")
    values = [source]
    # The writes are in order, so those before a node are the first ones.
    for node in sorted(users, key=lambda node: sum(write.name in before[node.name] for write in writes)):
        current = values[sum(write.name in before[node.name] for write in writes)]
        if _called_with(node, source):
            value = _thread_call(body, node, source, current, content)
        else:
            value = _thread_operation(body, node, current)
        if node in writes:
            values.append(value)
    return values[-1]


def writes_to(node: Any, source: str, library: Any) -> bool:
    """Whether a node changes the variable that an input of it stands for."""
    if node.op in CARRIED:
        return source in map(node_name, data_inputs(node))
    for place in _called_with(node, source):
        for reference in _functions(node):
            function = _find(library, reference.name)
            argument = function.signature.input_arg[place].name
            if any(writes_to(inner, argument, library) for inner in function.node_def):
                return True
    return False


def refuse(nodes: Sequence[Any], reason: str) -> None:
    """Refuse the nodes, if there are any, for one reason.

    Raises:
        UnsupportedError: there are.
    """
    found = tuple(UnsupportedOperation(node.op, f"node {node.name!r}", reason) for node in nodes)
    if found:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call.",
            operations=found,
            hint="Build layers without stateful=True, pass states as inputs and outputs, or switch training off.",
        )


def _order(body: Body, touching: Collection[str]) -> dict[str, frozenset[str]]:
    try:
        return ancestors(body.nodes, touching)
    except CycleError as error:
        raise UnsupportedError(
            "The function keeps state in its variables from call to call, and has loops as TensorFlow 1 wrote them.",
            hint="Pass states as inputs and outputs.",
        ) from error


def _thread_operation(body: Body, node: Any, current: str) -> str:
    """Rewrite a read or an assignment; the tensor of its result."""
    dtype = node.attr["dtype" if "dtype" in node.attr else "T"]
    data = list(data_inputs(node))
    control = [name for name in node.input if name.startswith("^")]
    was_read = node.op == READ
    if node.op == ASSIGN_SLICE:
        attributes = {name: attribute for name, attribute in node.attr.items() if name in ("T", "Index", *SLICE_MASKS)}
        rewrite(node, "TensorStridedSliceUpdate", attributes, [current, *data[1:], *control])
        return body.result(node)
    if node.op in SCATTERS:
        by_row = not node.op.startswith("ResourceScatterNd")
        indices = _as_column(body, node, data[1]) if by_row else data[1]
        attributes = {"T": dtype, "Tindices": node.attr["Tindices"]}
        rewrite(node, SCATTERS[node.op], attributes, [current, indices, data[2], *control])
        return body.result(node)
    if node.op in ("AssignAddVariableOp", "AssignSubVariableOp"):
        op, inputs = "AddV2" if node.op == "AssignAddVariableOp" else "Sub", [current, data[1]]
    else:
        op, inputs = "Identity", [current if was_read else data[1]]
    rewrite(node, op, {"T": dtype}, [*inputs, *control])
    if was_read and body.function is not None:
        _rename(body, f"{node.name}:value:0", body.result(node))
    return body.result(node)


def _as_column(body: Body, node: Any, indices: str) -> str:
    """Numbers of rows as indices with one coordinate: the tensor of an operation that is added."""
    taken = {each.name for each in body.nodes}
    names = (f"{node.name}/{what}_{count}" for count in range(len(taken)) for what in ("axis", "column"))
    free = (name for name in names if name not in taken)
    axis = body.nodes.add(name=next(free), op="Const")
    value = tf.make_tensor_proto(-1, tf.int32)
    axis.attr["dtype"].type = value.dtype
    axis.attr["value"].tensor.CopyFrom(value)
    column = body.nodes.add(name=next(free), op="ExpandDims", input=[indices, body.result(axis)])
    column.attr["T"].CopyFrom(node.attr["Tindices"])
    column.attr["Tdim"].type = value.dtype
    return body.result(column)


def _rename(body: Body, old: str, new: str) -> None:
    for node in body.nodes:
        for place, name in enumerate(node.input):
            if name == old:
                node.input[place] = new
    for name, tensor in body.function.ret.items():
        if tensor == old:
            body.function.ret[name] = new


def _thread_call(body: Body, node: Any, source: str, current: str, content: Content) -> str:
    """Give the value to the functions that a node calls; the tensor of the value that they leave."""
    [place] = _called_with(node, source)
    changes = writes_to(node, source, body.library)
    node.input[_first_argument(node) + place] = current
    types = node.attr["T" if node.op in LOOPS else "Tin"].list.type
    types[place] = content.dtype
    is_loop = node.op in LOOPS
    for reference in _functions(node):
        function = _copy(body.library, reference.name)
        reference.name = function.signature.name
        argument = function.signature.input_arg[place]
        argument.type = content.dtype
        argument.ClearField("handle_data")
        shapes = function.arg_attr[place].attr["_output_shapes"].list
        shapes.ClearField("shape")
        shapes.shape.add().CopyFrom(content.shape)
        last = thread(Body(function.node_def, body.library, function), argument.name, content)
        if is_loop and reference.name == node.attr["cond"].func.name:
            refuse([node] if last != argument.name else [], "the condition of a loop changes a variable")
        elif is_loop:
            result = function.signature.output_arg[place]
            result.type = content.dtype
            function.ret[result.name] = last
        elif changes:
            result = function.signature.output_arg.add(name=f"kept_{place}", type=content.dtype)
            function.ret[result.name] = last
    if is_loop:
        _set_shape(node, place, content)
        return body.result_of_call(node, place)
    if not changes:
        return current
    results = node.attr["Tout"].list.type
    results.append(content.dtype)
    _set_shape(node, len(results) - 1, content)
    return body.result_of_call(node, len(results) - 1)


def _set_shape(node: Any, place: int, content: Content) -> None:
    """Write down the shape of a node's result, where it has those of the results before."""
    shapes = node.attr["output_shapes"].list.shape
    if len(shapes) == place:
        shapes.add()
    if len(shapes) > place:
        shapes[place].CopyFrom(content.shape)


def _called_with(node: Any, source: str) -> list[int]:
    """At which arguments the functions that a node calls take what a name stands for."""
    if not _functions(node):
        return []
    arguments = list(data_inputs(node))[_first_argument(node) :]
    return [place for place, name in enumerate(arguments) if node_name(name) == source]


def _first_argument(node: Any) -> int:
    return 1 if node.op in CHOICES else 0


def _functions(node: Any) -> list[Any]:
    """The references to functions of an operation of control flow, or of a call, in a certain order."""
    if node.op not in CHOICES | LOOPS | CALLS:
        return []
    found = []
    for _, attribute in sorted(node.attr.items(), key=lambda item: item[0]):
        found += [attribute.func, *attribute.list.func]
    return [reference for reference in found if reference.name]


def _find(library: Any, name: str) -> Any:
    return next(function for function in library.function if function.signature.name == name)


def _copy(library: Any, name: str) -> Any:
    taken = {function.signature.name for function in library.function}
    count = next(count for count in range(len(taken) + 1) if f"{name}_kept_{count}" not in taken)
    function = library.function.add()
    function.CopyFrom(_find(library, name))
    function.signature.name = f"{name}_kept_{count}"
    return function
