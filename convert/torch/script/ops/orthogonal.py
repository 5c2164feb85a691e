"""QR factorizations and products of Householder reflections, with LAPACK's signs."""

from __future__ import annotations

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder
from transload.convert.torch.script.ops.matrices import (
    DOUBLE,
    Index,
    batch,
    count,
    full,
    identity,
    narrow,
    places,
    reduced,
    smaller,
    subtract,
    take,
    transposed,
    triangle,
    wide,
    with_batch,
)
from transload.convert.torch.script.registry import handler


def factor_qr(b: Builder, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """DOUBLE matrices as LAPACK's geqrf leaves them: R, and below it the reflections; their factors tau, a column.

    A reflection is 1 - tau v v^T, where v is 1 on the diagonal (LAPACK: larfg).
    """
    rows, columns = b.size(matrix, -2), b.size(matrix, -1)
    steps = smaller(b, rows, columns)

    def step(index: Index, factors: ir.Value, taus: ir.Value) -> list[ir.Value]:
        below, own = places(b, "Greater", rows, index, -2), places(b, "Equal", rows, index, -2)
        column = take(b, factors, index, -1)
        head, rest = take(b, column, index, -2), b.Where(below, column, 0)
        square = b.unsqueeze(reduced(b, "ReduceSum", b.Mul(rest, rest), -2), b.rank(rest) - 2)
        is_zero = b.Equal(square, 0)
        norm = b.Sqrt(b.Add(b.Mul(head, head), square))
        corner = b.Where(is_zero, head, b.Where(b.Less(head, 0), norm, b.Neg(norm)))
        tau = b.Where(is_zero, 0, b.Div(b.Sub(corner, head), corner))
        vector = b.Where(own, 1, b.Where(is_zero, 0, b.Div(rest, b.Sub(head, corner))))
        product = b.Mul(tau, b.MatMul(transposed(b, vector), factors))
        right, mine = places(b, "Greater", columns, index, -1), places(b, "Equal", columns, index, -1)
        changed = b.Sub(factors, b.Mul(vector, b.Where(right, product, 0)))
        left_behind = b.Where(below, vector, b.Where(own, corner, column))
        return [b.Where(mine, left_behind, changed), b.Where(places(b, "Equal", steps, index, -2), tau, taus)]

    start = [matrix, full(b, 0.0, [*batch(b, matrix), steps, 1])]
    factors, taus = count(b, steps, start, step)
    return factors, taus


def reflect(
    b: Builder, factors: ir.Value, taus: ir.Value, matrix: ir.Value, transpose: bool = False, left: bool = True
) -> ir.Value:
    """Q matrix, or with the transpose of Q, or from the right; Q is the product of as many reflections as taus."""
    if not left:
        return transposed(b, reflect(b, factors, taus, transposed(b, matrix), not transpose))
    rows, steps = b.size(factors, -2), b.size(taus, -2)

    def step(trip: Index, product: ir.Value) -> list[ir.Value]:
        index = trip if transpose else subtract(b, subtract(b, steps, 1), trip)
        column = take(b, factors, index, -1)
        below, own = places(b, "Greater", rows, index, -2), places(b, "Equal", rows, index, -2)
        vector = b.Where(own, 1, b.Where(below, column, 0))
        change = b.Mul(take(b, taus, index, -2), b.MatMul(transposed(b, vector), product))
        return [b.Sub(product, b.Mul(vector, change))]

    return count(b, steps, [with_batch(b, matrix, factors)], step)[0]


def qr(b: Builder, matrix: ir.Value, complete: bool = False) -> tuple[ir.Value, ir.Value]:
    """Q and R of DOUBLE matrices."""
    factors, taus = factor_qr(b, matrix)
    rows, steps = b.size(matrix, -2), b.size(taus, -2)
    size = rows if complete else steps
    orthogonal = reflect(b, factors, taus, identity(b, [*batch(b, matrix), rows, size]))
    kept = factors if b.same_size(size, rows) else b.Slice(factors, [0], b.int_vector([size]), [-2])
    return orthogonal, triangle(b, kept, True)


@handler("aten::linalg_qr")
def linalg_qr(b: Builder, A: ir.Value, mode: str = "reduced") -> tuple[ir.Value, ir.Value]:
    orthogonal, upper = qr(b, wide(b, A), mode == "complete")
    if mode == "r":
        return b.constant([], A.dtype), narrow(b, upper, A)
    return narrow(b, orthogonal, A), narrow(b, upper, A)


@handler("aten::qr")
def old_qr(b: Builder, self: ir.Value, some: bool = True) -> tuple[ir.Value, ir.Value]:
    return linalg_qr(b, self, "reduced" if some else "complete")


@handler("aten::geqrf")
def geqrf(b: Builder, self: ir.Value) -> tuple[ir.Value, ir.Value]:
    factors, taus = factor_qr(b, wide(b, self))
    return narrow(b, factors, self), narrow(b, b.squeeze(taus, -1), self)


@handler("aten::linalg_householder_product")
def householder_product(b: Builder, input: ir.Value, tau: ir.Value) -> ir.Value:
    return narrow(b, reflect(b, wide(b, input), _column(b, tau), identity(b, b.sizes(input))), input)


@handler("aten::orgqr")
def orgqr(b: Builder, self: ir.Value, input2: ir.Value) -> ir.Value:
    return householder_product(b, self, input2)


@handler("aten::ormqr")
def ormqr(
    b: Builder, self: ir.Value, input2: ir.Value, input3: ir.Value, left: bool = True, transpose: bool = False
) -> ir.Value:
    return narrow(b, reflect(b, wide(b, self), _column(b, input2), wide(b, input3), transpose, left), self)


def _column(b: Builder, taus: ir.Value) -> ir.Value:
    return b.cast(b.unsqueeze(taus, b.rank(taus)), DOUBLE)
