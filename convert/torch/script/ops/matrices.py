"""What algorithms over matrices share: counted loops, rows and columns by number, computing in DOUBLE.

A matrix is the last two axes of a tensor; all axes before them are a batch.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.reduction import reduce
from transload.convert.torch.script.values import Number

DOUBLE, INT64, BOOL = ir.DataType.DOUBLE, ir.DataType.INT64, ir.DataType.BOOL

UNROLLED_TRIPS = 8
"""Loops of up to so many trips are written out."""

Index = int | ir.Value
"""A row, column or trip: known while translating, or an INT64 of rank 0."""

COMPARISONS: dict[str, Callable[[Any, int], Any]] = {
    "Equal": lambda places, index: places == index,
    "Less": lambda places, index: places < index,
    "Greater": lambda places, index: places > index,
}

# Loops


def count(
    b: Builder,
    trips: Int,
    carried: Sequence[ir.Value],
    step: Callable[..., Sequence[ir.Value]],
    unrolled: int = UNROLLED_TRIPS,
) -> list[ir.Value]:
    """What `step(index, *carried)` leaves after so many trips: written out where they are few, else an ONNX Loop."""
    if isinstance(trips, int) and trips <= unrolled:
        values = list(carried)
        for index in range(trips):
            values = list(step(index, *values))
        return values
    return repeat(b, trips, carried, lambda index, *values: (None, step(index, *values)))


def repeat(
    b: Builder,
    trips: Int,
    carried: Sequence[ir.Value],
    step: Callable[..., tuple[ir.Value | None, Sequence[ir.Value]]],
) -> list[ir.Value]:
    """An ONNX Loop: `step(index, *carried)` gives whether to go on (None: always), and the values for the next trip.

    No value changes its element type or shape from trip to trip.
    """
    for value in carried:
        b.name_sizes(value)
    index, going = ir.val("trip", ir.DataType.INT64, []), ir.val("going", BOOL, [])
    inputs = [ir.Value(name="carried", type=value.type, shape=value.shape) for value in carried]
    for each in (index, going, *inputs):
        each.name = b.unique(each.name or "")
    with b.block(inputs=[index, going, *inputs]) as graph:
        condition, results = step(index, *inputs)
        outputs = [going if condition is None else condition, *results]
        graph.outputs.extend(value if b.is_local(value) else b.Identity(value) for value in outputs)
    node = ir.Node(
        "",
        "Loop",
        [b.scalar(trips, INT64), b.constant(True, BOOL), *carried],
        [ir.AttrGraph("body", graph)],
        num_outputs=len(carried),
    )
    for output, value in zip(node.outputs, carried, strict=True):
        output.type, output.shape = value.type, value.shape
    b.append(node)
    return list(node.outputs)


# Numbers


def subtract(b: Builder, one: Int | Index, other: Int | Index) -> Index:
    """The difference of two integers."""
    if isinstance(one, int) and isinstance(other, int):
        return one - other
    difference: ir.Value = b.Sub(b.scalar(one, INT64), b.scalar(other, INT64))
    return difference


def smaller(b: Builder, one: Int, other: Int) -> Int:
    """The smaller of two sizes."""
    if isinstance(one, int) and isinstance(other, int):
        return min(one, other)
    return one if b.same_size(one, other) else Number(b.Min(b.scalar(one, INT64), b.scalar(other, INT64)), int)


# Rows and columns


def batch(b: Builder, matrix: ir.Value) -> list[Int]:
    """The sizes of the axes before the matrix."""
    return b.sizes(matrix)[:-2]


def full(b: Builder, number: float | int, sizes: Sequence[Int], dtype: ir.DataType = DOUBLE) -> ir.Value:
    """A tensor of one number."""
    return b.expand(b.constant(number, dtype), sizes)


def identity(b: Builder, sizes: Sequence[Int]) -> ir.Value:
    """The matrices with ones on their diagonals, DOUBLE."""
    rows, columns = b.scalar_range(sizes[-2]), b.scalar_range(sizes[-1])
    return b.expand(b.cast(b.Equal(b.unsqueeze(rows, 1), columns), DOUBLE), sizes)


def take(b: Builder, matrix: ir.Value, index: Index, axis: int) -> ir.Value:
    """One row (axis -2) or column (axis -1), as a matrix."""
    chosen = b.constant([index], INT64) if isinstance(index, int) else b.as_vector(index)
    return b.Gather(matrix, chosen, axis=axis)


def places(b: Builder, comparison: str, size: Int, index: Index, axis: int) -> ir.Value:
    """Which rows (axis -2) or columns (axis -1) are `Equal`, `Less` or `Greater` than one, to go beside a matrix."""
    numbers = b.scalar_range(size)
    known = b.known(numbers)
    if known is not None and isinstance(index, int):
        found = b.constant(COMPARISONS[comparison](known, index).reshape((-1, 1) if axis == -2 else (-1,)))
    else:
        found = getattr(b, comparison)(b.unsqueeze(numbers, 1) if axis == -2 else numbers, index)
    return found


def take_each(b: Builder, matrix: ir.Value, indices: ir.Value, axis: int) -> ir.Value:
    """Rows (axis -2; indices one column) or columns (axis -1; indices one row), others in each matrix of the batch."""
    sizes: list[Int] = [-1] * b.rank(matrix)
    sizes[-3 - axis] = b.size(matrix, -3 - axis)
    return b.GatherElements(matrix, b.expand(indices, sizes), axis=b.rank(matrix) + axis)


def diagonal(b: Builder, matrix: ir.Value) -> ir.Value:
    """The diagonal of square matrices, without the last axis."""
    size = b.size(matrix, -1)
    own = b.expand(b.unsqueeze(b.scalar_range(size), 1), [*batch(b, matrix), size, 1])
    return b.squeeze(b.GatherElements(matrix, own, axis=b.rank(matrix) - 1), -1)


def triangle(b: Builder, matrix: ir.Value, upper: bool, offset: int = 0) -> ir.Value:
    """The matrix with zeros outside of a triangle."""
    return b.Trilu(matrix, b.constant(offset) if offset else None, upper=int(upper))


def transposed(b: Builder, matrix: ir.Value) -> ir.Value:
    """Rows as columns."""
    return b.transpose(matrix, -1, -2)


def reduced(b: Builder, op_type: str, value: ir.Value, *axes: int) -> ir.Value:
    """A reduction that leaves axes out."""
    return reduce(b, op_type, value, list(axes), False)


def first_largest(b: Builder, value: ir.Value, axis: int) -> ir.Value:
    """Where the largest element along an axis, which stays, is first."""
    # ONNX Runtime 1.31 does not reduce empty tensors over axes that are counted from the end.
    return b.ArgMax(value, axis=b.axis(value, axis), keepdims=1)


# Element types and batches


def wide(b: Builder, value: ir.Value) -> ir.Value:
    """In DOUBLE, in which all algorithms here compute."""
    return b.cast(value, DOUBLE)


def narrow(b: Builder, value: ir.Value, like: ir.Value) -> ir.Value:
    """Back in the element type of another tensor."""
    assert like.dtype is not None
    return b.cast(value, like.dtype)


def with_batch(b: Builder, matrix: ir.Value, other: ir.Value) -> ir.Value:
    """The matrix with its batch broadcast to that of another."""
    sizes, own = batch(b, other), batch(b, matrix)
    if len(sizes) == len(own) and all(b.same_size(one, two) for one, two in zip(own, sizes, strict=True)):
        return matrix
    missing = max(len(own) - len(sizes), 0)
    return b.expand(matrix, [*[1] * missing, *sizes, 1, 1])
