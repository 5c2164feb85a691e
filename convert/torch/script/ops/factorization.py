"""Cholesky and LU factorizations, and systems of equations with triangular matrices."""

from __future__ import annotations

from dataclasses import dataclass

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.matrices import (
    INT64,
    Index,
    batch,
    count,
    diagonal,
    first_largest,
    full,
    identity,
    narrow,
    places,
    reduced,
    smaller,
    subtract,
    take,
    take_each,
    transposed,
    triangle,
    wide,
    with_batch,
)
from transload.convert.torch.script.registry import handler
from transload.serialize.errors import UnsupportedError

INT32 = ir.DataType.INT32

# Cholesky


def factor_cholesky(b: Builder, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """The lower factor of DOUBLE matrices, of which it reads the lower triangles, and 0 or the first minor that fails.

    Column by column (Cholesky-Banachiewicz).
    """
    size = b.size(matrix, -1)

    def step(index: Index, factor: ir.Value, info: ir.Value) -> list[ir.Value]:
        row = take(b, factor, index, -2)
        column = b.Sub(take(b, matrix, index, -1), b.MatMul(factor, transposed(b, row)))
        square = take(b, column, index, -2)
        scaled = b.Where(places(b, "Less", size, index, -2), 0, b.Div(column, b.Sqrt(square)))
        failed = b.And(b.Equal(info, 0), b.Not(b.Greater(square, 0)))
        number = b.constant(index + 1) if isinstance(index, int) else b.Add(index, 1)
        return [b.Where(places(b, "Equal", size, index, -1), scaled, factor), b.Where(failed, number, info)]

    start = [full(b, 0.0, b.sizes(matrix)), full(b, 0, [*batch(b, matrix), 1, 1], INT64)]
    factor, info = count(b, size, start, step)
    return factor, b.cast(b.squeeze(info, -1, -2), INT32)


@handler("aten::linalg_cholesky_ex")
def cholesky_ex(
    b: Builder, self: ir.Value, upper: bool = False, check_errors: bool = False
) -> tuple[ir.Value, ir.Value]:
    matrix = wide(b, self)
    factor, info = factor_cholesky(b, transposed(b, matrix) if upper else matrix)
    return narrow(b, transposed(b, factor) if upper else factor, self), info


@handler("aten::cholesky", "aten::linalg_cholesky")
def cholesky(b: Builder, self: ir.Value, upper: bool = False) -> ir.Value:
    return cholesky_ex(b, self, upper)[0]


@handler("aten::cholesky_solve")
def cholesky_solve(b: Builder, self: ir.Value, input2: ir.Value, upper: bool = False) -> ir.Value:
    factor = wide(b, input2)
    lower = transposed(b, factor) if upper else factor
    return narrow(b, _solve_cholesky(b, lower, wide(b, self)), self)


@handler("aten::cholesky_inverse")
def cholesky_inverse(b: Builder, self: ir.Value, upper: bool = False) -> ir.Value:
    factor = wide(b, self)
    lower = transposed(b, factor) if upper else factor
    return narrow(b, _solve_cholesky(b, lower, identity(b, b.sizes(lower))), self)


def _solve_cholesky(b: Builder, lower: ir.Value, right: ir.Value) -> ir.Value:
    middle = solve_triangular(b, lower, right, upper=False)
    return solve_triangular(b, transposed(b, lower), middle, upper=True)


# Triangular systems


def solve_triangular(b: Builder, matrix: ir.Value, right: ir.Value, upper: bool, unit: bool = False) -> ir.Value:
    """X with matrix X = right, in DOUBLE. Of the matrix one triangle is read, where it is `unit` not its diagonal."""
    matrix, right = with_batch(b, matrix, right), with_batch(b, right, matrix)
    size = b.size(matrix, -1)
    matrix = triangle(b, matrix, upper, (1 if upper else -1) if unit else 0)

    def step(trip: Index, solution: ir.Value) -> list[ir.Value]:
        index = subtract(b, subtract(b, size, 1), trip) if upper else trip
        row = take(b, matrix, index, -2)
        value = b.Sub(take(b, right, index, -2), b.MatMul(row, solution))
        if not unit:
            value = b.Div(value, take(b, row, index, -1))
        return [b.Where(places(b, "Equal", size, index, -2), value, solution)]

    return count(b, size, [full(b, 0.0, b.sizes(right))], step)[0]


@handler("aten::linalg_solve_triangular")
def linalg_solve_triangular(
    b: Builder, self: ir.Value, B: ir.Value, upper: bool, left: bool = True, unitriangular: bool = False
) -> ir.Value:
    matrix, right = wide(b, self), wide(b, B)
    if left:
        return narrow(b, solve_triangular(b, matrix, right, upper, unitriangular), B)
    matrix, right = transposed(b, matrix), transposed(b, right)
    return narrow(b, transposed(b, solve_triangular(b, matrix, right, not upper, unitriangular)), B)


@handler("aten::triangular_solve")
def triangular_solve(
    b: Builder,
    self: ir.Value,
    A: ir.Value,
    upper: bool = True,
    transpose: bool = False,
    unitriangular: bool = False,
) -> tuple[ir.Value, ir.Value]:
    matrix = transposed(b, wide(b, A)) if transpose else wide(b, A)
    solution = solve_triangular(b, matrix, wide(b, self), upper != transpose, unitriangular)
    return narrow(b, solution, self), with_batch(b, A, self)


# LU


@dataclass(frozen=True)
class LU:
    """A factorization with partial pivoting, as LAPACK's getrf leaves it.

    Args:
        factors: DOUBLE: U, and below its diagonal L without its own.
        pivots: INT64, a column: for each step the row that it exchanged with its own, from 0.
        order: INT64, a column: for each row of L U the row of the matrix.
    """

    factors: ir.Value
    pivots: ir.Value
    order: ir.Value


def factor_lu(b: Builder, matrix: ir.Value) -> LU:
    """Factor DOUBLE matrices of any shape, by outer products."""
    rows, columns = b.size(matrix, -2), b.size(matrix, -1)
    sizes = batch(b, matrix)
    steps = smaller(b, rows, columns)
    row_numbers = b.unsqueeze(b.scalar_range(rows), 1)

    def step(index: Index, factors: ir.Value, pivots: ir.Value, order: ir.Value) -> list[ir.Value]:
        above, own = places(b, "Less", rows, index, -2), places(b, "Equal", rows, index, -2)
        found = first_largest(b, b.Where(above, -1, b.Abs(take(b, factors, index, -1))), -2)
        other = b.Equal(row_numbers, found)
        row = take_each(b, factors, found, -2)
        factors = b.Where(own, row, b.Where(other, take(b, factors, index, -2), factors))
        order = b.Where(own, take_each(b, order, found, -2), b.Where(other, take(b, order, index, -2), order))
        pivots = b.Where(places(b, "Equal", steps, index, -2), found, pivots)
        head = take(b, row, index, -1)
        # As getrf: a column of zeros stays.
        scaled = b.Div(take(b, factors, index, -1), b.Where(b.Equal(head, 0), 1, head))
        below, mine = places(b, "Greater", rows, index, -2), places(b, "Equal", columns, index, -1)
        factor = b.Where(below, scaled, 0)
        right = places(b, "Greater", columns, index, -1)
        rest = b.Sub(factors, b.Mul(factor, b.Where(right, row, 0)))
        return [b.Where(b.And(below, mine), factor, rest), pivots, order]

    start = [
        matrix,
        b.expand(b.unsqueeze(b.scalar_range(steps), 1), [*sizes, steps, 1]),
        b.expand(row_numbers, [*sizes, rows, 1]),
    ]
    return LU(*count(b, steps, start, step))


def lu_info(b: Builder, lu: LU) -> ir.Value:
    """0, or the number of the first pivot that is zero."""
    steps = b.size(lu.pivots, -2)
    if steps == 0:
        return full(b, 0, batch(b, lu.factors), INT32)
    head = b.Slice(lu.factors, [0, 0], b.int_vector([steps, steps]), [-2, -1])
    is_zero = b.cast(b.Equal(diagonal(b, head), 0), INT64)
    number = b.Add(b.squeeze(first_largest(b, is_zero, -1), -1), 1)
    return b.cast(b.Mul(number, reduced(b, "ReduceMax", is_zero, -1)), INT32)


def pivot_numbers(b: Builder, lu: LU) -> ir.Value:
    """As torch counts them: from 1, INT32."""
    return b.cast(b.squeeze(b.Add(lu.pivots, 1), -1), INT32)


@handler("aten::linalg_lu_factor_ex")
def lu_factor_ex(b: Builder, A: ir.Value, check_errors: bool = False) -> tuple[ir.Value, ir.Value, ir.Value]:
    lu = factor_lu(b, wide(b, A))
    return narrow(b, lu.factors, A), pivot_numbers(b, lu), lu_info(b, lu)


@handler("aten::_lu_with_info")
def lu_with_info(b: Builder, self: ir.Value, check_errors: bool = True) -> tuple[ir.Value, ir.Value, ir.Value]:
    return lu_factor_ex(b, self)


@handler("aten::linalg_lu_factor")
def lu_factor(b: Builder, A: ir.Value) -> tuple[ir.Value, ir.Value]:
    return lu_factor_ex(b, A)[:2]


@handler("aten::linalg_lu")
def linalg_lu(b: Builder, A: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    lu = factor_lu(b, wide(b, A))
    return _permutation(b, lu.order, A), *_split(b, narrow(b, lu.factors, A))


def _split(b: Builder, factors: ir.Value) -> tuple[ir.Value, ir.Value]:
    """L and U of factors of any shape."""
    steps = smaller(b, b.size(factors, -2), b.size(factors, -1))
    left = triangle(b, b.Slice(factors, [0], b.int_vector([steps]), [-1]), False, -1)
    lower = b.Add(left, narrow(b, identity(b, b.sizes(left)), factors))
    return lower, triangle(b, b.Slice(factors, [0], b.int_vector([steps]), [-2]), True)


def _permutation(b: Builder, order: ir.Value, like: ir.Value) -> ir.Value:
    """P with matrix = P L U."""
    numbers = b.unsqueeze(b.scalar_range(b.size(order, -2)), 1)
    return narrow(b, b.cast(b.Equal(numbers, transposed(b, order)), INT32), like)


@handler("aten::lu_unpack")
def lu_unpack(
    b: Builder, LU_data: ir.Value, LU_pivots: ir.Value, unpack_data: bool = True, unpack_pivots: bool = True
) -> tuple[ir.Value, ir.Value, ir.Value]:
    empty = b.constant([], LU_data.dtype)
    lower, upper = _split(b, LU_data) if unpack_data else (empty, empty)
    if not unpack_pivots:
        return empty, lower, upper
    return _permutation(b, _order(b, LU_pivots, b.size(LU_data, -2)), LU_data), lower, upper


def _order(b: Builder, pivots: ir.Value, rows: Int) -> ir.Value:
    """The order that exchanges of rows leave, as a column."""
    numbers = b.unsqueeze(b.scalar_range(rows), 1)
    found = b.unsqueeze(b.Sub(b.cast(pivots, INT64), 1), b.rank(pivots))
    sizes = batch(b, found)

    def step(index: Index, order: ir.Value) -> list[ir.Value]:
        other = take(b, found, index, -2)
        moved = b.Where(b.Equal(numbers, other), take(b, order, index, -2), order)
        return [b.Where(places(b, "Equal", rows, index, -2), take_each(b, order, other, -2), moved)]

    return count(b, b.size(found, -2), [b.expand(numbers, [*sizes, rows, 1])], step)[0]


def solve_lu(
    b: Builder, factors: ir.Value, order: ir.Value, right: ir.Value, left: bool = True, adjoint: bool = False
) -> ir.Value:
    """X with A X = right, or X A = right, or with the transpose of A in its place, in DOUBLE."""
    if not left:
        return transposed(b, solve_lu(b, factors, order, transposed(b, right), adjoint=not adjoint))
    right = with_batch(b, right, factors)
    if not adjoint:
        middle = b.GatherElements(right, _whole_rows(b, order, right), axis=b.rank(right) - 2)
        return solve_triangular(b, factors, solve_triangular(b, factors, middle, False, unit=True), True)
    flipped = transposed(b, factors)
    middle = solve_triangular(b, flipped, solve_triangular(b, flipped, right, False), True, unit=True)
    size = b.int_vector([b.size(order, -2)])
    inverse = b.unsqueeze(b.TopK(b.squeeze(order, -1), size, axis=-1, largest=0, _outputs=2)[1], b.rank(order) - 1)
    return b.GatherElements(middle, _whole_rows(b, inverse, middle), axis=b.rank(middle) - 2)


def _whole_rows(b: Builder, order: ir.Value, matrix: ir.Value) -> ir.Value:
    return b.expand(order, [*batch(b, matrix), -1, b.size(matrix, -1)])


@handler("aten::linalg_lu_solve")
def linalg_lu_solve(
    b: Builder, LU: ir.Value, pivots: ir.Value, B: ir.Value, left: bool = True, adjoint: bool = False
) -> ir.Value:
    order = _order(b, pivots, b.size(LU, -2))
    return narrow(b, solve_lu(b, wide(b, LU), order, wide(b, B), left, adjoint), B)


@handler("aten::lu_solve")
def lu_solve(b: Builder, self: ir.Value, LU_data: ir.Value, LU_pivots: ir.Value) -> ir.Value:
    return linalg_lu_solve(b, LU_data, LU_pivots, self)


@handler("aten::linalg_ldl_factor", "aten::linalg_ldl_factor_ex")
def refuse_ldl_factor(b: Builder, self: ir.Value, hermitian: bool = False, check_errors: bool = False) -> ir.Value:
    raise UnsupportedError("Factorizations with Bunch-Kaufman pivoting are not translated.")


@handler("aten::linalg_ldl_solve")
def refuse_ldl_solve(b: Builder, LD: ir.Value, pivots: ir.Value, B: ir.Value, hermitian: bool = False) -> ir.Value:
    raise UnsupportedError("Factorizations with Bunch-Kaufman pivoting are not translated.")
