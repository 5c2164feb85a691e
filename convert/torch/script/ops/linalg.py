"""Inverses, determinants, systems of equations and functions of matrices."""

from __future__ import annotations

import math

import onnx_ir as ir

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.factorization import LU, factor_lu, lu_info, pivot_numbers, solve_lu
from transload.convert.torch.script.ops.matrices import (
    DOUBLE,
    INT64,
    diagonal,
    identity,
    narrow,
    reduced,
    repeat,
    transposed,
    wide,
)
from transload.convert.torch.script.ops.reduction import reduce
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number

# Systems of equations


def is_vector_side(b: Builder, matrix: ir.Value, right: ir.Value) -> bool:
    """Whether torch takes the right side for a batch of vectors (LinearAlgebraUtils.h: linalg_solve_is_vector_rhs)."""
    if b.rank(right) == 1:
        return True
    if b.rank(right) != b.rank(matrix) - 1:
        return False
    pairs = zip(b.sizes(matrix)[:-1], b.sizes(right), strict=True)
    return all(b.same_size(one, other) for one, other in pairs)


@handler("aten::_linalg_solve_ex")
def solve_with_factors(
    b: Builder, A: ir.Value, B: ir.Value, left: bool = True, check_errors: bool = False
) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    is_vector = left and is_vector_side(b, A, B)
    right = wide(b, b.unsqueeze(B, b.rank(B)) if is_vector else B)
    lu = _factor_transpose(b, A)
    solution = solve_lu(b, lu.factors, lu.order, right, left, adjoint=True)
    solution = b.squeeze(solution, -1) if is_vector else solution
    return narrow(b, solution, B), narrow(b, lu.factors, A), pivot_numbers(b, lu), lu_info(b, lu)


def _factor_transpose(b: Builder, matrix: ir.Value) -> LU:
    """What torch factors: LAPACK reads columns first, and sees the transpose of a contiguous matrix."""
    return factor_lu(b, transposed(b, wide(b, matrix)))


@handler("aten::linalg_solve_ex")
def solve_ex(
    b: Builder, A: ir.Value, B: ir.Value, left: bool = True, check_errors: bool = False
) -> tuple[ir.Value, ir.Value]:
    solution, _, _, info = solve_with_factors(b, A, B, left)
    return solution, info


@handler("aten::linalg_solve")
def solve(b: Builder, A: ir.Value, B: ir.Value, left: bool = True) -> ir.Value:
    return solve_with_factors(b, A, B, left)[0]


@handler("aten::_linalg_check_errors")
def check_errors(b: Builder, info: ir.Value, api_name: str, is_matrix: bool) -> None:
    """torch raises an exception where a matrix is singular."""


@handler("aten::linalg_inv_ex")
def inv_ex(b: Builder, A: ir.Value, check_errors: bool = False) -> tuple[ir.Value, ir.Value]:
    matrix = wide(b, A)
    lu = factor_lu(b, matrix)
    inverse = solve_lu(b, lu.factors, lu.order, identity(b, b.sizes(matrix)))
    return narrow(b, inverse, A), lu_info(b, lu)


@handler("aten::linalg_inv")
def inv(b: Builder, A: ir.Value) -> ir.Value:
    return inv_ex(b, A)[0]


@handler("aten::inverse")
def inverse(b: Builder, self: ir.Value) -> ir.Value:
    return inv_ex(b, self)[0]


@handler("aten::linalg_tensorinv")
def tensorinv(b: Builder, self: ir.Value, ind: int = 2) -> ir.Value:
    sizes = b.sizes(self)
    rows: Int = 1
    for size in sizes[:ind]:
        rows = b.mul_int(rows, size)
    return b.reshape(inverse(b, b.reshape(self, [rows, rows])), [*sizes[ind:], *sizes[:ind]])


# Determinants


@handler("aten::_linalg_det")
def det_with_factors(b: Builder, A: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    lu = _factor_transpose(b, A)
    result = b.Mul(_permutation_sign(b, lu), reduced(b, "ReduceProd", diagonal(b, lu.factors), -1))
    return narrow(b, result, A), narrow(b, lu.factors, A), pivot_numbers(b, lu)


def _permutation_sign(b: Builder, lu: LU) -> ir.Value:
    """1 or -1 for each matrix."""
    steps = b.unsqueeze(b.scalar_range(b.size(lu.pivots, -2)), 1)
    exchanges = reduced(b, "ReduceSum", b.cast(b.Not(b.Equal(lu.pivots, steps)), INT64), -2, -1)
    return wide(b, b.Sub(1, b.Mul(b.Mod(exchanges, 2), 2)))


@handler("aten::linalg_det")
def linalg_det(b: Builder, A: ir.Value) -> ir.Value:
    return det_with_factors(b, A)[0]


@handler("aten::det")
def det(b: Builder, self: ir.Value) -> ir.Value:
    return det_with_factors(b, self)[0]


@handler("aten::_linalg_slogdet")
def slogdet_with_factors(b: Builder, A: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    lu = _factor_transpose(b, A)
    heads = diagonal(b, lu.factors)
    sign = b.Mul(_permutation_sign(b, lu), reduced(b, "ReduceProd", b.Sign(heads), -1))
    logarithm = reduced(b, "ReduceSum", b.Log(b.Abs(heads)), -1)
    return narrow(b, sign, A), narrow(b, logarithm, A), narrow(b, lu.factors, A), pivot_numbers(b, lu)


@handler("aten::linalg_slogdet")
def linalg_slogdet(b: Builder, A: ir.Value) -> tuple[ir.Value, ir.Value]:
    return slogdet_with_factors(b, A)[:2]


@handler("aten::slogdet")
def slogdet(b: Builder, self: ir.Value) -> tuple[ir.Value, ir.Value]:
    return slogdet_with_factors(b, self)[:2]


@handler("aten::logdet")
def logdet(b: Builder, self: ir.Value) -> ir.Value:
    sign, logarithm = slogdet(b, self)
    return b.Where(b.Less(sign, 0), math.nan, logarithm)


# Functions of matrices

_TAYLOR_DEGREE = 16
_TAYLOR_NORM = 0.5
"""Where the series to this degree is exact to DOUBLE: 0.5 ** 17 / 17! is 2e-20."""


@handler("aten::linalg_matrix_exp")
def linalg_matrix_exp(b: Builder, self: ir.Value) -> ir.Value:
    matrix = wide(b, self)
    if b.size(matrix, -1) == 0:
        return self
    norm = reduce(b, "ReduceMax", reduce(b, "ReduceSum", b.Abs(matrix), -2, True), -1, True)
    halvings = b.Ceil(b.Div(b.Log(b.Div(norm, _TAYLOR_NORM)), math.log(2)))
    # Not so many that 2 to their number is infinite; none for zeros, whose logarithm is.
    halvings = b.Max(b.Min(halvings, b.constant(1000.0, DOUBLE)), b.constant(0.0, DOUBLE))
    start = _exp_series(b, b.Div(matrix, b.Pow(b.constant(2.0, DOUBLE), halvings)))

    def square(index: ir.Value, power: ir.Value) -> tuple[None, list[ir.Value]]:
        return None, [b.Where(b.Less(wide(b, index), halvings), b.MatMul(power, power), power)]

    most = Number(b.cast(reduce(b, "ReduceMax", halvings, None, False), INT64), int)
    return narrow(b, repeat(b, most, [start], square)[0], self)


def _exp_series(b: Builder, matrix: ir.Value) -> ir.Value:
    """The Taylor polynomial of exp, in powers of the fourth power (Paterson and Stockmeyer)."""
    one = identity(b, b.sizes(matrix))
    second = b.MatMul(matrix, matrix)
    powers = [one, matrix, second, b.MatMul(second, matrix)]
    fourth = b.MatMul(second, second)
    result = b.Mul(one, 1 / math.factorial(_TAYLOR_DEGREE))
    for low in range(_TAYLOR_DEGREE - 4, -1, -4):
        terms = [b.Mul(power, 1 / math.factorial(low + each)) for each, power in enumerate(powers)]
        result = b.Add(b.MatMul(result, fourth), b.Sum(*terms))
    return result


@handler("aten::matrix_exp")
def matrix_exp(b: Builder, self: ir.Value) -> ir.Value:
    return linalg_matrix_exp(b, self)
