"""What is known of a tensor that holds sizes: numbers, and sizes of which it is known whose they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.passes.matching import integers, is_standard


@dataclass(frozen=True)
class Size:
    """How long a tensor is along an axis, where that has no name."""

    value: ir.Value
    axis: int


Element = int | str | Size | None
"""A number, a dimension by its name, the size of a tensor, or None where nothing is known."""

Shapes = Mapping[ir.Value, ir.Shape]

PASSED_ON = frozenset({"Cast", "Identity", "Squeeze", "Unsqueeze"})
"""Operators that give the elements which they take, of a scalar or a vector."""


def sizes_of(value: ir.Value, shapes: Shapes) -> list[Element] | None:
    """The sizes of a tensor; None where not even their number is known."""
    shape = shapes.get(value)
    if shape is None:
        return None
    return [_name(dimension) or Size(value, axis) for axis, dimension in enumerate(shape)]


def elements_of(value: ir.Value | None, shapes: Shapes) -> list[Element] | None:
    """The elements of an integer tensor of rank 0 or 1; None where not even their number is known.

    Args:
        value: The tensor.
        shapes: The shapes of the graph's values.
    """
    if value is None:
        return None
    if (constant := integers(value)) is not None:
        return list(constant)
    found = _computed(value.producer(), shapes)
    return _unknown(value, shapes) if found is None else found


def _name(dimension: int | ir.SymbolicDim) -> int | str | None:
    # A size of 0 is no name that is missing.
    return dimension if isinstance(dimension, int) else dimension.value


def _unknown(value: ir.Value, shapes: Shapes) -> list[Element] | None:
    shape = shapes.get(value)
    if shape is None or shape.rank() > 1:
        return None
    count = shape[0] if shape.rank() else 1
    return [None] * count if isinstance(count, int) else None


def _computed(node: ir.Node | None, shapes: Shapes) -> list[Element] | None:
    if node is None or not is_standard(node):
        return None
    if node.op_type == "Shape" and node.inputs[0] is not None:
        sizes = sizes_of(node.inputs[0], shapes)
        start, end = node.attributes.get_int("start", 0), node.attributes.get("end")
        return None if sizes is None else sizes[start : None if end is None else end.as_int()]
    if node.op_type == "Concat":
        return _joined([elements_of(value, shapes) for value in node.inputs])
    if node.op_type not in PASSED_ON | {"Gather", "Slice", "ReduceProd"}:
        return None
    given = elements_of(node.inputs[0], shapes)
    if given is None or _rank(node.inputs[0], shapes) > 1:
        return None
    if node.op_type in PASSED_ON:
        return given if _rank(node.outputs[0], shapes) <= 1 else None
    if node.op_type == "Gather":
        indices = integers(node.inputs[1])
        if indices is None or not all(-len(given) <= index < len(given) for index in indices):
            return None
        return [given[index] for index in indices]
    if node.op_type == "ReduceProd":
        return given if len(given) == 1 else None
    return _sliced(given, node)


def _rank(value: ir.Value | None, shapes: Shapes) -> int:
    """The rank; one too high to be of use where it is not known."""
    shape = shapes.get(value) if value is not None else None
    return 2 if shape is None else shape.rank()


def _joined(parts: Sequence[list[Element] | None]) -> list[Element] | None:
    elements: list[Element] = []
    for part in parts:
        if part is None:
            return None
        elements += part
    return elements


def _sliced(given: list[Element], node: ir.Node) -> list[Element] | None:
    # Attributes before opset 10.
    starts, ends = (integers(value) for value in (*node.inputs[1:], None, None)[:2])
    steps = integers(node.inputs[4]) if len(node.inputs) > 4 and node.inputs[4] is not None else [1]
    if not starts or not ends or steps != [1]:
        return None
    return given[starts[0] : ends[0]]
