"""Loops over the steps of a sequence, read out of a graph: what comes in at each step, and what is carried on."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.passes.matching import integers, is_standard, maker, number
from transload.convert.passes.shape_values import Element, Shapes, elements_of, sizes_of


@dataclass(frozen=True)
class SequenceLoop:
    """A `Loop` that runs once for each step of a sequence, in order, and carries one tensor of rank 2.

    Args:
        node: The loop.
        sequence: The tensor of rank 3 whose first axis are the steps, outside of the loop.
        step: What the body reads of it.
        state, start, following: What is carried: in the body, before the first step, and after each one.
        last: The loop's output for it.
        results: The loop's outputs that stack one value for each step, with that value in the body.
        unchanged: What the body is handed on unchanged: the value in it, that outside, and the loop's output.
    """

    node: ir.Node
    sequence: ir.Value
    step: ir.Value
    state: ir.Value
    start: ir.Value
    following: ir.Value
    last: ir.Value
    results: tuple[tuple[ir.Value, ir.Value], ...]
    unchanged: tuple[tuple[ir.Value, ir.Value, ir.Value], ...]

    def resolve(self, value: ir.Value | None) -> ir.Value | None:
        """The value that another stands for: behind identities, and outside where the body is handed it unchanged."""
        return _resolve(value, {inner: outer for inner, outer, _ in self.unchanged})


def read_loop(node: ir.Node, shapes: Shapes) -> SequenceLoop | None:
    """The loop over a sequence that a `Loop` is; None where it is none.

    Args:
        node: Any node.
        shapes: The shapes of the values of all graphs.
    """
    if not is_standard(node, "Loop"):
        return None
    body = node.attributes["body"].as_graph()
    count = len(node.inputs) - 2
    carried = list(zip(body.inputs[2:], node.inputs[2:], body.outputs[1:], node.outputs, strict=False))[:count]
    unchanged, counters, others = [], [], []
    for inner, outer, following, output in carried:
        if outer is None:
            return None
        if _resolve(following, {}) is inner and not output.is_graph_output():
            unchanged.append((inner, outer, output))
        elif integers(outer) == [0] and _rank(outer, shapes) == 0 and _is_next(following, inner):
            counters.append((inner, _resolve(following, {}), output))
        else:
            others.append((inner, outer, following, output))
    if len(others) != 1 or any(output.uses() or output.is_graph_output() for _, _, output in counters):
        return None
    number_of_step = body.inputs[0]
    places = {number_of_step, *(inner for inner, _, _ in counters)}
    steps = [each for each in body if _is_step(each, body, places)]
    if len(steps) != 1 or steps[0].inputs[0] is None:
        return None
    sequence = steps[0].inputs[0]
    sizes = sizes_of(sequence, shapes)
    reached = {*places, *(following for _, following, _ in counters if following is not None)}
    outside = {inner: outer for inner, outer, _ in unchanged}
    if sizes is None or len(sizes) != 3 or elements_of(node.inputs[0], shapes) != sizes[:1]:
        return None
    goes_on = _resolve(body.outputs[0], outside)
    if not _holds(node.inputs[1], sizes[0], set(), outside, shapes) or not _holds(
        goes_on, sizes[0], reached, outside, shapes
    ):
        return None
    [(state, start, following, last)] = others
    before = sizes_of(start, shapes)
    if before is None or len(before) != 2 or (before[0] == 1 and sizes[1] != 1):
        # One row may become as many as the sequence has.
        return None
    results = tuple(zip(node.outputs[count:], body.outputs[1 + count :], strict=True))
    return SequenceLoop(node, sequence, steps[0].outputs[0], state, start, following, last, results, tuple(unchanged))


def _rank(value: ir.Value, shapes: Shapes) -> int | None:
    return shapes[value].rank() if value in shapes else None


def _resolve(value: ir.Value | None, outside: dict[ir.Value, ir.Value]) -> ir.Value | None:
    while value is not None:
        if value in outside:
            value = outside[value]
        elif (same := maker(value, "Identity")) is not None:
            value = same.inputs[0]
        else:
            break
    return value


def _is_next(value: ir.Value, counter: ir.Value) -> bool:
    """Whether a value is a counter's next one."""
    node = maker(_resolve(value, {}), "Add")
    if node is None or counter not in node.inputs:
        return False
    step = node.inputs[1] if node.inputs[0] is counter else node.inputs[0]
    return integers(step) == [1]


def _is_step(node: ir.Node, body: ir.Graph, places: set[ir.Value]) -> bool:
    """Whether a node takes the step of a number out of a tensor from outside."""
    if not is_standard(node, "Gather") or node.attributes.get_int("axis", 0) != 0:
        return False
    data, place = node.inputs
    maker_of_data = data.producer() if data is not None else None
    if data is None or data in body.inputs or (maker_of_data is not None and maker_of_data.graph is body):
        return False
    return _without_cast(place) in places


def _without_cast(value: ir.Value | None) -> ir.Value | None:
    while (cast := maker(value, "Cast")) is not None:
        value = cast.inputs[0]
    return value


def _holds(
    value: ir.Value | None, length: Element, numbers: set[ir.Value], outside: dict[ir.Value, ir.Value], shapes: Shapes
) -> bool:
    """Whether a condition is true before each step.

    It is if it compares numbers of steps, the present one's or the next one's, with the length: `number < length`.
    Before the first step the number is 0; what comes out behind the last one does not matter.
    """
    value = _resolve(value, outside)
    if value is None:
        return True
    if (both := maker(value, "And")) is not None:
        return all(_holds(each, length, numbers, outside, shapes) for each in both.inputs)
    comparison = maker(value, "Less")
    if comparison is None:
        constant = ir.convenience.get_const_tensor(value)
        return constant is not None and constant.size == 1 and bool(constant.numpy().item())
    left, right = (_without_cast(_resolve(each, outside)) for each in comparison.inputs)
    left, right = _resolve(left, outside), _without_cast(_resolve(right, outside))
    is_number = left in numbers or integers(left) == [0] or number(left) == 0
    return is_number and length is not None and (elements_of(right, shapes) == [length] or number(right) == length)
