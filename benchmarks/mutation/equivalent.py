"""Proofs that a planted fault changes nothing: the graph computes the same function, so there is nothing to find."""

from __future__ import annotations

import math
import re

import numpy as np
import onnx_ir as ir
from onnx_ir.passes.common import RemoveUnusedNodesPass

from benchmarks.mutation.operators import constant
from benchmarks.mutation.ranges import Range, find_ranges
from transload.convert.capture import Capture
from transload.convert.equivalence.graph_runs import run_in_runtime

CLAMPED = 1 << 62
"""Bounds of slices beyond this are cut to the tensor's size, whatever that is."""


def prove_equivalent(capture: Capture, index: int, operator: str, mutant: ir.Model) -> str:
    """Why a mutant computes the same function as the graph, in one sentence; '' where that is not proven.

    1. What differs is read by no output.
    2. A bound is never reached, by the ranges of `find_ranges`; or a value is never NaN.
    3. What is added or subtracted is 0 for all inputs.
    4. The value has a single, constant content, which the narrower dtype holds exactly.
    5. A bound of a slice is beyond every size with and without the fault.
    6. The value is only compared with numbers below the bound, or only indexes a table that the narrower dtype spans.
    7. What reads the value has another operand that is NaN for the same inputs.
    8. The same number is added to every element of what goes into a softmax, which takes it off again.
    9. A comparison decides, where both sides are equal, between two values that are the same number there.
    10. A vector is divided by its own norm and summed: where the norm is NaN, so is an element of the vector.
    """
    if _bytes(capture.model) == _bytes(mutant):
        return "without what no output needs, both graphs are the same, byte for byte"
    node = list(capture.model.graph.all_nodes())[index]
    if node.graph is not capture.model.graph:
        return ""
    ranges = find_ranges(capture.model, nan_never_wins=capture.source.framework == "tensorflow")
    known = ranges[node.outputs[0]]
    if (limit := re.fullmatch(r"cut off at (\d+)", operator)) and known.high <= float(limit[1]):
        return f"the value is at most {known.high:g} for all inputs"
    if operator == "NaN turned to zero" and not known.may_be_nan:
        return "the value is not NaN for any input"
    if operator in ("subtraction instead of addition", "addition instead of subtraction"):
        other = ranges.get(node.inputs[1]) if node.inputs[1] is not None else None
        if other is not None and other.low == other.high == 0:
            return "what is added is 0 for all inputs"
    if limit and _only_compared_below(node.outputs[0], float(limit[1])):
        return "all that reads the value compares it with a smaller number"
    if operator == "narrowed to int8" and (rows := _only_indexes(node.outputs[0])) and rows <= 128:
        return f"the value only indexes a table of {rows} rows, beyond which the source has no answer"
    if operator == "NaN turned to zero" and _is_absorbed(node):
        return "what reads the value is NaN for the same inputs without it"
    if operator == "NaN turned to zero" and _divides_own_vector(node):
        return "the vector that the norm divides holds the same NaN, and is summed up"
    if operator == "comparison with equality, or without" and _chooses_equals(capture.model, node):
        return "where both sides are equal, both choices are the same number"
    if operator == "narrowed to float16" and known.low == known.high and _fits_float16(known):
        return f"the value is {known.low:g} for all inputs, which float16 holds exactly"
    if operator.startswith("slice ") and _is_clamped(node, 1 if "begins" in operator else 2):
        return "the bound is beyond every size with and without the fault"
    if operator == "a thousandth added" and _goes_into_softmax(node.outputs[0], ranges):
        return "softmax takes off what is added to every element; masked elements stay 0"
    return ""


def _fits_float16(known: Range) -> bool:
    return not known.may_be_nan and float(np.float16(known.low)) == known.low


def _is_clamped(node: ir.Node, place: int) -> bool:
    array = constant(node, place)
    return array is not None and bool(np.all(np.abs(array.astype(np.float64)) >= CLAMPED))


def _goes_into_softmax(value: ir.Value, ranges: dict[ir.Value, Range]) -> bool:
    """Whether all that reads a value is a softmax, by way of scaling by a constant and of masks that end below it."""
    uses = list(value.uses())
    if len(uses) != 1 or value.is_graph_output():
        return False
    user, place = uses[0]
    if user.op_type in ("Softmax", "LogSoftmax"):
        return True
    if user.op_type in ("Mul", "Div") and place == 0:
        scale = constant(user, 1)
        return scale is not None and scale.size == 1 and _goes_into_softmax(user.outputs[0], ranges)
    if user.op_type == "Where" and place in (1, 2):
        masked = constant(user, 3 - place)
        known = ranges[value]
        lowest = math.inf if masked is None or not masked.size else float(masked.max())
        # exp(-104) is below float32's smallest number.
        below = lowest == -math.inf or lowest < -known.size - 200
        return below and _goes_into_softmax(user.outputs[0], ranges)
    return False


def _only_compared_below(value: ir.Value, limit: float) -> bool:
    """Whether all that reads a value compares it, as the first operand, with a constant below the limit."""
    uses = list(value.uses())
    return bool(uses) and all(
        place == 0
        and user.op_type in ("Greater", "GreaterOrEqual", "Less", "LessOrEqual")
        and (number := constant(user, 1)) is not None
        and bool(np.all(number < limit))
        for user, place in uses
    )


def _only_indexes(value: ir.Value) -> int | None:
    """The rows of the constant table that a value indexes, if that is all that it does."""
    rows = []
    for user, place in value.uses():
        table = constant(user, 0) if user.op_type == "Gather" and place == 1 else None
        if table is None or user.attributes.get_int("axis", 0):
            return None
        rows.append(table.shape[0])
    return min(rows) if rows else None


_CARRYING = frozenset({"Sigmoid", "Softplus", "Tanh", "Neg", "Exp", "Elu", "LeakyRelu", "Abs", "Sqrt"})
"""Elementwise operators that give NaN for NaN, and take one operand."""


def _carried(value: ir.Value | None) -> set[ir.Value]:
    """The values for whose NaN a value is NaN too, element by element."""
    if value is None:
        return set()
    node = value.producer()
    if node is None:
        return {value}
    if node.op_type in _CARRYING:
        return {value} | _carried(node.inputs[0])
    if node.op_type == "Where":
        return {value} | (_carried(node.inputs[1]) & _carried(node.inputs[2]))
    return {value}


def _is_absorbed(node: ir.Node) -> bool:
    """Whether an elementwise node's only reader is a sum or product with what carries the same NaN."""
    uses = list(node.outputs[0].uses())
    if len(uses) != 1 or uses[0][0].op_type not in ("Mul", "Add", "Sub") or node.op_type not in _CARRYING:
        return False
    user, place = uses[0]
    return bool(_carried(node.inputs[0]) & _carried(user.inputs[1 - place]))


def _divides_own_vector(node: ir.Node) -> bool:
    """Whether a norm, or its maximum with a constant, only divides the vector that it is the norm of, and the quotient
    is summed up along the same axes, by way of products."""
    norm = node
    while norm.op_type in ("Max", "Unsqueeze", "Expand") and norm.inputs[0] is not None:
        producer = norm.inputs[0].producer()
        if producer is None:
            return False
        norm = producer
    divided = _only_user(node.outputs[0], ("Max", "Unsqueeze", "Expand"))
    if norm.op_type != "ReduceL2" or divided is None or divided.op_type != "Div" or divided.inputs[0] != norm.inputs[0]:
        return False
    summed = _only_user(divided.outputs[0], ("Mul",))
    axes = constant(norm, 1)
    other = None if summed is None or summed.op_type != "ReduceSum" else constant(summed, 1)
    return axes is not None and other is not None and bool(np.array_equal(axes, other))


def _only_user(value: ir.Value, passing: tuple[str, ...]) -> ir.Node | None:
    """The one node that reads a value, behind those of some types; None where several do."""
    while True:
        uses = list(value.uses())
        if len(uses) != 1 or value.is_graph_output():
            return None
        user = uses[0][0]
        if user.op_type not in passing:
            return user
        value = user.outputs[0]


_ELEMENTWISE = frozenset(
    {"Exp", "Log", "Softplus", "Add", "Sub", "Mul", "Div", "Neg", "Abs", "Relu", "Identity", "Log1p"}
)


def _chooses_equals(model: ir.Model, node: ir.Node) -> bool:
    """Whether a comparison of a value with one number only chooses between two functions of the value, element by
    element, that are the same at that number, bit by bit."""
    value, threshold = node.inputs[0], constant(node, 1)
    user = _only_user(node.outputs[0], ())
    if value is None or threshold is None or threshold.size != 1 or user is None or user.op_type != "Where":
        return False
    if user.inputs[0] is not node.outputs[0] or not all(_is_function_of(each, value) for each in user.inputs[1:]):
        return False
    copy = model.clone()
    made = next(each for each in copy.graph if each.name == node.name)
    chosen = next(each for each in copy.graph if each.name == user.name)
    given = made.inputs[0]
    assert given is not None and given.dtype is not None
    place = ir.Value(name="at_equality", type=ir.TensorType(given.dtype), shape=ir.Shape([1]))
    given.replace_all_uses_with(place)
    copy.graph.inputs[:] = [place]
    # The value itself may be one of the choices.
    copy.graph.outputs[:] = [each for each in chosen.inputs[1:] if each is not None and each is not place]
    for each in copy.graph.outputs:
        each.shape = None
    RemoveUnusedNodesPass()(copy)
    found = run_in_runtime(copy, {"at_equality": threshold.reshape(1)})
    if found is None:
        return False
    numbers = [array.tobytes() for array in found.values()]
    return len({*numbers, *([threshold.tobytes()] if place in chosen.inputs[1:] else [])}) == 1


def _is_function_of(value: ir.Value | None, only: ir.Value) -> bool:
    """Whether a value is computed, element by element, from another one and single numbers alone."""
    if value is None:
        return False
    if value is only:
        return True
    number = ir.convenience.get_const_tensor(value)
    if number is not None:
        return number.size == 1
    node = value.producer()
    return node is not None and node.op_type in _ELEMENTWISE and all(_is_function_of(v, only) for v in node.inputs)


def _bytes(model: ir.Model) -> bytes:
    copy = model.clone()
    RemoveUnusedNodesPass()(copy)
    return bytes(ir.to_proto(copy).SerializeToString(deterministic=True))
