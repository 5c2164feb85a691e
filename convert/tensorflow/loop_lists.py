"""Which lists (TensorArrays) of a graph are in the one form that tf2onnx converts rightly, and which are not."""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable
from typing import Any

import numpy as np

from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.function_graphs import FunctionGraphs
from transload.convert.tensorflow.graph_nodes import LOOPS

MAKERS = frozenset(
    {
        "EmptyTensorList",
        "TensorListReserve",
        "TensorListFromTensor",
        "TensorListSplit",
        "TensorListScatter",
        "TensorListScatterV2",
        "TensorListResize",
        "TensorListConcatLists",
    }
)
KEPT = frozenset({"TensorListReserve", "TensorListFromTensor", "TensorListStack", "Identity", *LOOPS})


def find_free_lists(graph: Any, functions: FunctionGraphs) -> frozenset[str]:
    """The names of the list tensors, made in this graph, that have to be rewritten.

    tf2onnx makes the list that a loop writes a scan output, and the list that it reads a tensor. That is right only
    when each trip writes once, under the number of the trip, and there are as many trips as items; or when the loop
    only reads. Of other lists it keeps the items in the order of writing, as many as there were trips, wherever they
    belong.
    """
    free: set[str] = set()
    for tensors, ops in _components(graph):
        if not any(op.type in MAKERS for op in ops):
            continue
        if not all(_is_kept(op, functions) for op in ops):
            free |= tensors
    return frozenset(free)


def _components(graph: Any) -> list[tuple[set[str], list[Any]]]:
    """Lists that meet at an operation, with the operations; without those that the graph is given or gives."""
    leader: dict[str, str] = {}

    def find(name: str) -> str:
        while leader.setdefault(name, name) != name:
            name = leader[name]
        return name

    users = []
    for op in graph.get_operations():
        names = [tensor.name for tensor in (*op.inputs, *op.outputs) if tensor.dtype == tf.variant]
        if names:
            users.append((names, op))
        for name in names[1:]:
            leader[find(name)] = find(names[0])
    outer = {
        find(t.name) for t in (*getattr(graph, "inputs", ()), *getattr(graph, "outputs", ())) if t.dtype == tf.variant
    }
    tensors: dict[str, set[str]] = defaultdict(set)
    ops: dict[str, list[Any]] = defaultdict(list)
    for names, op in users:
        ops[find(names[0])].append(op)
        tensors[find(names[0])].update(names)
    return [(tensors[name], ops[name]) for name in tensors if name not in outer]


def _is_kept(op: Any, functions: FunctionGraphs) -> bool:
    if op.type not in KEPT:
        return False
    if op.type not in LOOPS:
        return True
    body, condition = functions.graph(op.get_attr("body").name), functions.graph(op.get_attr("cond").name)
    lists = [index for index, tensor in enumerate(op.inputs) if tensor.dtype == tf.variant]
    if any(condition.inputs[index].consumers() for index in lists):
        return False
    return all(_is_read(op, body, index) or _is_written_in_turn(op, body, condition, index) for index in lists)


def _is_read(op: Any, body: Any, index: int) -> bool:
    """Whether the loop reads the list and hands it on as it is."""
    argument = body.inputs[index]
    uses = list(_uses(argument))
    return (
        _origin(op.inputs[index]).op.type == "TensorListFromTensor"
        and _origin(body.outputs[index]) is argument
        and all(use.type == "TensorListGetItem" for use in uses)
        and not op.outputs[index].consumers()
    )


def _is_written_in_turn(op: Any, body: Any, condition: Any, index: int) -> bool:
    argument = body.inputs[index]
    uses = list(_uses(argument))
    made = _origin(op.inputs[index]).op
    if len(uses) != 1 or uses[0].type != "TensorListSetItem" or made.type != "TensorListReserve":
        return False
    if len(_origin(op.inputs[index]).consumers()) != 1 or _origin(body.outputs[index]) is not uses[0].outputs[0]:
        return False
    if len(uses[0].outputs[0].consumers()) > 1:
        return False
    number = _origin(uses[0].inputs[1])
    if number.op.type == "Const":
        return _is_last_kept(op.outputs[index], made, number)
    counters = [each for each, tensor in enumerate(body.inputs) if tensor is number]
    if not counters or not _is_counter(op, body, counters[0]):
        return False
    return _counts_to(op, body, condition, made.inputs[1])


def _is_last_kept(output: Any, made: Any, number: Any) -> bool:
    """Whether every trip overwrites the only item, of which the last is taken: Keras' layers without sequences."""
    if _constant(number) != 0 or _constant(made.inputs[1]) != 1:
        return False
    stacks = list(_uses(output))
    return all(
        stack.type == "TensorListStack" and all(_takes_last(use) for use in _uses(stack.outputs[0])) for stack in stacks
    )


def _takes_last(op: Any) -> bool:
    if op.type != "StridedSlice":
        return False
    begin = _constant(op.inputs[1])
    return begin is not None and np.ravel(begin).tolist() == [-1] and op.get_attr("shrink_axis_mask") == 1


def _is_counter(op: Any, body: Any, index: int) -> bool:
    """Whether a loop's variable is the number of the trip."""
    step = _origin(body.outputs[index]).op
    if _constant(op.inputs[index]) != 0 or step.type not in ("Add", "AddV2"):
        return False
    operands = [_origin(tensor) for tensor in step.inputs]
    return any(a is body.inputs[index] and _constant(b) == 1 for a, b in (operands, operands[::-1]))


def _counts_to(op: Any, body: Any, condition: Any, count: Any) -> bool:
    """Whether the loop ends after `count` trips: every limit of its counters is that number."""
    pending, limits = [_origin(condition.outputs[0])], []
    while pending:
        claim = pending.pop().op
        if claim.type == "LogicalAnd":
            pending += [_origin(tensor) for tensor in claim.inputs]
            continue
        if claim.type != "Less":
            return False
        counter, limit = (_origin(tensor) for tensor in claim.inputs)
        places = [index for index, tensor in enumerate(condition.inputs) if tensor is counter]
        if not places or not _is_counter(op, body, places[0]):
            return False
        limits.append(_outer(op, body, condition, limit))
    return bool(limits) and all(limit is not None and _is_same(limit, count) for limit in limits)


def _outer(op: Any, body: Any, condition: Any, limit: Any) -> Any:
    """The tensor outside of the loop for one that the condition reads and the body leaves alone."""
    if limit.op.type == "Const":
        return limit
    places = [index for index, tensor in enumerate(condition.inputs) if tensor is limit]
    if not places or _origin(body.outputs[places[0]]) is not body.inputs[places[0]]:
        return None
    return op.inputs[places[0]]


def _is_same(one: Any, other: Any) -> bool:
    one, other = _origin(one), _origin(other)
    known = _constant(one)
    return one is other or (known is not None and known == _constant(other))


def _origin(tensor: Any) -> Any:
    """What a tensor is a copy of, through identities and extremes over no axes."""
    while True:
        op = tensor.op
        if op.type == "Identity" or (op.type in ("Max", "Min") and op.inputs[0].shape.rank == 0):
            tensor = op.inputs[0]
        else:
            return tensor


def _uses(tensor: Any) -> Iterable[Any]:
    """The operations that read a tensor, through identities; a function's outputs do not count."""
    for op in tensor.consumers():
        if op.type == "Identity":
            yield from _uses(op.outputs[0])
        else:
            yield op


def _constant(tensor: Any) -> Any:
    return tf.get_static_value(_origin(tensor))
