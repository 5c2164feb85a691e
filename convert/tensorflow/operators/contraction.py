"""Einstein sums as products of matrices."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, replace

from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

MATMUL_DTYPES = frozenset({int(TensorProto.FLOAT), int(TensorProto.DOUBLE)})

UNIT = "1"
"""The label of an axis of size 1, for a vector that is multiplied as a matrix."""


@dataclass(frozen=True)
class Contraction:
    """A sum of products over labels, as one product of matrices: `left`, `right` and `output` are the operands' labels.

    `batch` labels are those of both operands and the result, `rows` the left operand's own, `columns` the right one's,
    and `summed` those that only the operands have.
    """

    left: str
    right: str
    output: str
    batch: str
    rows: str
    columns: str
    summed: str


@operator("Einsum")
def einsum(g: Emitter) -> str:
    """A sum over two tensors as transposes and MatMul; whatever is no such product stays ONNX's own Einsum.

    tf2onnx makes of each some thirty nodes, most of which compute sizes.
    """
    equation = g.attribute("equation").replace(" ", "")
    contraction = _read(equation)
    product = None
    if contraction is not None and g.dtype(g.inputs[0]) in MATMUL_DTYPES:
        operands = list(g.inputs)
        swapped = _swap(contraction)
        if _cost(swapped) < _cost(contraction):
            contraction, operands = swapped, operands[::-1]
        product = _multiply(g, contraction, operands)
    return product or str(g.Einsum(*g.inputs, equation=equation))


def _read(equation: str) -> Contraction | None:
    """The product that an equation stands for; None where it is no product of matrices, nor of many pairs of them."""
    operands, arrow, output = equation.partition("->")
    terms = operands.split(",")
    if not arrow or len(terms) != 2 or "." in equation:
        return None
    left, right = terms
    if any(len(set(labels)) != len(labels) for labels in (left, right, output)):
        return None
    batch = "".join(label for label in output if label in left and label in right)
    rows = "".join(label for label in output if label in left and label not in right)
    columns = "".join(label for label in output if label in right and label not in left)
    summed = "".join(label for label in left if label in right and label not in output)
    if set(left) != set(batch + rows + summed) or set(right) != set(batch + columns + summed):
        return None
    if not summed or not (rows or columns):
        return None
    return Contraction(left, right, output, batch, rows, columns, summed)


def _swap(one: Contraction) -> Contraction:
    return Contraction(one.right, one.left, one.output, one.batch, one.columns, one.rows, one.summed)


def _cost(one: Contraction) -> int:
    """How many tensors of the product have to be transposed; the result counts first."""
    return 2 * (one.batch + one.rows + one.columns != one.output) + (one.left != one.batch + one.rows + one.summed)


def _multiply(g: Emitter, one: Contraction, operands: Sequence[str]) -> str | None:
    """The product; None where a shape in it cannot be written down."""
    left, right = operands
    if not one.rows:
        whole = replace(one, left=one.left + UNIT, rows=UNIT, output=UNIT + one.output)
        product = _multiply(g, whole, (g.Unsqueeze(left, [len(one.left)]), right))
        return None if product is None else str(g.Squeeze(product, [0]))
    if not one.columns:
        whole = replace(one, right=one.right + UNIT, columns=UNIT, output=one.output + UNIT)
        product = _multiply(g, whole, (left, g.Unsqueeze(right, [len(one.right)])))
        return None if product is None else str(g.Squeeze(product, [len(one.output)]))
    sizes = _sizes(g, one, operands)
    rows: tuple[str, ...] = (one.rows,)
    if not one.batch:
        # A matrix on the right multiplies however many there are on the left.
        rows = tuple(one.rows)
    before = [
        _shape((*one.batch, *rows, one.summed), sizes),
        _shape((*one.batch, one.summed, one.columns), sizes),
    ]
    after = _parted(one, sizes)
    if None in before or after is None:
        return None
    left = _arrange(g, left, one.left, one.batch + one.rows + one.summed)
    right = _arrange(g, right, one.right, one.batch + one.summed + one.columns)
    if len(rows) + len(one.batch) + 1 < len(one.left):
        left = g.Reshape(left, before[0])
    if len(one.batch) + 2 < len(one.right):
        right = g.Reshape(right, before[1])
    result = g.MatMul(left, right)
    if len(one.batch) + len(rows) + 1 < len(one.output):
        result = g.Reshape(result, after)
    return _arrange(g, result, one.batch + one.rows + one.columns, one.output)


def _sizes(g: Emitter, one: Contraction, operands: Sequence[str]) -> dict[str, int]:
    """The size of each label, -1 where neither operand tells it."""
    sizes: dict[str, int] = {}
    for labels, name in zip((one.left, one.right), operands, strict=True):
        shape = g.graph.get_shape(name) or [-1] * len(labels)
        for label, size in zip(labels, shape, strict=True):
            sizes[label] = max(size, sizes.get(label, -1))
    return sizes


def _arrange(g: Emitter, name: str, labels: str, wanted: str) -> str:
    return name if labels == wanted else str(g.Transpose(name, perm=[labels.index(label) for label in wanted]))


def _shape(groups: Sequence[str], sizes: Mapping[str, int]) -> list[int] | None:
    """The shape that joins the labels of each group; None where more than one size would have to be found.

    Groups of one label at the front stay as they are, which 0 stands for.
    """
    shape = []
    is_front = True
    for group in groups:
        is_front = is_front and len(group) == 1
        known = [sizes[label] for label in group]
        shape.append(math.prod(known) if min(known) >= 0 else (0 if is_front else -1))
    return _if_found(shape)


def _parted(one: Contraction, sizes: Mapping[str, int]) -> list[int] | None:
    """The shape that parts the rows and columns of the product again."""
    joined = len(one.rows) if one.batch and len(one.rows) > 1 else 0
    front = len(one.batch) + (0 if joined else len(one.rows))
    labels = one.batch + one.rows + one.columns
    shape = [sizes[label] if sizes[label] >= 0 else (0 if place < front else -1) for place, label in enumerate(labels)]
    if not joined and len(one.columns) == 1:
        return shape
    return _if_found(shape)


def _if_found(shape: list[int]) -> list[int] | None:
    return shape if shape.count(-1) <= 1 else None
