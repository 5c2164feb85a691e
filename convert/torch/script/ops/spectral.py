"""Eigenvalues of symmetric matrices, singular values, and what is made of them."""

from __future__ import annotations

import onnx_ir as ir
import torch

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.dtypes import TO_TORCH
from transload.convert.torch.script.ops.linalg import is_vector_side
from transload.convert.torch.script.ops.matrices import (
    DOUBLE,
    INT64,
    batch,
    diagonal,
    full,
    identity,
    narrow,
    reduced,
    repeat,
    smaller,
    transposed,
    triangle,
    wide,
)
from transload.convert.torch.script.ops.orthogonal import qr
from transload.convert.torch.script.ops.reduction import reduce
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Number
from transload.serialize.errors import UnsupportedError

_SWEEPS_AT_MOST = 40
_CONVERGED = 1e-13
"""Columns are orthogonal where the cosine between them is at most this, beside which its own rounding is small."""

# Jacobi's method: rotations of disjoint pairs of rows or columns at once, n - 1 rounds for all pairs (a sweep)


def _rounds(b: Builder, size: Int) -> Int:
    """Rounds in a sweep: a tournament of `size` players, or of one more that stands for a pause."""
    if isinstance(size, int):
        return max(size + size % 2 - 1, 1)
    value = b.scalar(size, INT64)
    return Number(b.Sub(b.Add(value, b.Mod(value, 2)), 1), int)


def _partners(b: Builder, size: Int, rounds: Int, index: ir.Value) -> ir.Value:
    """Who plays whom in a round (the circle method): for each number another, or itself."""
    own = b.scalar_range(size)
    last = b.scalar(rounds, INT64)
    number = b.Mod(index, last)
    other = b.Mod(b.Sub(number, own), last)
    other = b.Where(b.Equal(other, own), last, other)
    # The last player stays in place; who would play himself plays him: twice the number is the round's.
    half = b.Div(b.Add(last, 1), 2)
    other = b.Where(b.Equal(own, last), b.Mod(b.Mul(number, half), last), other)
    return b.Where(b.Equal(other, b.scalar(size, INT64)), own, other)


def _rotations(
    b: Builder, own: ir.Value, other: ir.Value, mixed: ir.Value, partners: ir.Value
) -> tuple[ir.Value, ir.Value]:
    """Cosines and sines that make `mixed` vanish: each column becomes cosine * itself - sine * its partner.

    Both of a pair compute the same rotation, with opposite signs of the sine (Golub and Van Loan, 8.5.2).
    """
    numbers = b.scalar_range(b.size(partners, 0))
    ratio = b.Div(b.Sub(other, own), b.Mul(mixed, 2))
    first = b.Where(b.Less(numbers, partners), b.constant(1.0, DOUBLE), b.constant(-1.0, DOUBLE))
    sign = b.Where(b.Equal(ratio, 0), first, b.Sign(ratio))
    tangent = b.Div(sign, b.Add(b.Abs(ratio), b.Sqrt(b.Add(b.Mul(ratio, ratio), 1))))
    tangent = b.Where(b.Or(b.Equal(mixed, 0), b.Equal(numbers, partners)), 0, tangent)
    cosine = b.Reciprocal(b.Sqrt(b.Add(b.Mul(tangent, tangent), 1)))
    return cosine, b.Mul(cosine, tangent)


def _rotate(b: Builder, matrix: ir.Value, cosine: ir.Value, sine: ir.Value, partners: ir.Value) -> ir.Value:
    """The columns turned."""
    return b.Sub(b.Mul(matrix, cosine), b.Mul(b.Gather(matrix, partners, axis=-1), sine))


def _goes_on(b: Builder, index: ir.Value, rounds: Int, worst: ir.Value) -> ir.Value:
    """Until nothing in a whole sweep was worth a rotation; NaN ends it."""
    ends_sweep = b.Equal(b.Mod(b.Add(index, 1), b.scalar(rounds, INT64)), 0)
    return b.Or(b.Not(ends_sweep), b.Greater(worst, _CONVERGED))


def _worst(b: Builder, index: ir.Value, rounds: Int, former: ir.Value, ratios: ir.Value) -> ir.Value:
    """The largest ratio of this sweep; 0 is for those of nothing."""
    starts = b.Equal(b.Mod(index, b.scalar(rounds, INT64)), 0)
    flat = b.Concat(b.reshape(ratios, [-1]), b.constant([0.0], DOUBLE), axis=0)
    return b.Max(b.Where(starts, 0, former), reduced(b, "ReduceMax", flat, 0))


def eigen(b: Builder, matrix: ir.Value) -> tuple[ir.Value, ir.Value]:
    """Eigenvalues, ascending, and eigenvectors of symmetric DOUBLE matrices."""
    size = b.size(matrix, -1)
    if size == 0:
        return diagonal(b, matrix), matrix
    rounds = _rounds(b, size)
    scale = _largest(b, matrix)

    def step(index: ir.Value, worst: ir.Value, rest: ir.Value, vectors: ir.Value) -> tuple[ir.Value, list[ir.Value]]:
        partners = _partners(b, size, rounds, index)
        own = b.unsqueeze(diagonal(b, rest), b.rank(rest) - 2)
        other = b.Gather(own, partners, axis=-1)
        place = b.expand(b.unsqueeze(partners, 0), [*batch(b, rest), 1, size])
        # Both of a pair have to see the same number, although rounding makes the matrix slightly unsymmetric.
        mixed = b.GatherElements(b.Add(rest, transposed(b, rest)), place, axis=b.rank(rest) - 2)
        mixed = b.Mul(mixed, 0.5)
        is_pair = b.Not(b.Equal(partners, b.scalar_range(size)))
        worst = _worst(b, index, rounds, worst, b.Where(is_pair, b.Abs(mixed), 0))
        cosine, sine = _rotations(b, own, other, mixed, partners)
        half = _rotate(b, rest, cosine, sine, partners)
        whole = transposed(b, _rotate(b, transposed(b, half), cosine, sine, partners))
        return _goes_on(b, index, rounds, worst), [worst, whole, _rotate(b, vectors, cosine, sine, partners)]

    start = [b.constant(0.0, DOUBLE), b.Div(matrix, scale), identity(b, b.sizes(matrix))]
    _, rest, vectors = repeat(b, b.mul_int(rounds, _SWEEPS_AT_MOST), start, step)
    values = b.Mul(diagonal(b, rest), b.squeeze(scale, -1))
    return _sorted(b, values, vectors, largest=False)


def _largest(b: Builder, matrix: ir.Value) -> ir.Value:
    """The largest magnitude in each matrix, as a matrix; 1 for zeros."""
    found = reduce(b, "ReduceMax", b.Abs(matrix), [-2, -1], True)
    return b.Where(b.Equal(found, 0), 1, found)


def _sorted(b: Builder, values: ir.Value, vectors: ir.Value, largest: bool) -> tuple[ir.Value, ir.Value]:
    """Values in order, and the columns that belong to them."""
    count = b.int_vector([b.size(values, -1)])
    ordered, places = b.TopK(values, count, axis=-1, largest=int(largest), _outputs=2)
    whole = b.expand(b.unsqueeze(places, b.rank(places) - 1), [*batch(b, vectors), b.size(vectors, -2), -1])
    return ordered, b.GatherElements(vectors, whole, axis=b.rank(vectors) - 1)


@handler("aten::_linalg_eigh")
def eigh_parts(b: Builder, A: ir.Value, UPLO: str = "L", compute_v: bool = True) -> tuple[ir.Value, ir.Value]:
    values, vectors = eigen(b, _symmetric(b, wide(b, A), UPLO))
    return narrow(b, values, A), narrow(b, vectors, A) if compute_v else b.constant([], A.dtype)


def _symmetric(b: Builder, matrix: ir.Value, part: str = "L") -> ir.Value:
    """The matrix of which one triangle is read."""
    lower = transposed(b, matrix) if part.upper() == "U" else matrix
    return b.Add(triangle(b, lower, False), transposed(b, triangle(b, lower, False, -1)))


@handler("aten::linalg_eigh")
def linalg_eigh(b: Builder, self: ir.Value, UPLO: str = "L") -> tuple[ir.Value, ir.Value]:
    return eigh_parts(b, self, UPLO)


@handler("aten::linalg_eigvalsh")
def linalg_eigvalsh(b: Builder, self: ir.Value, UPLO: str = "L") -> ir.Value:
    return eigh_parts(b, self, UPLO)[0]


@handler("aten::linalg_eig", "aten::linalg_eigvals", "aten::_linalg_eigvals")
def refuse_eig(b: Builder, self: ir.Value) -> ir.Value:
    raise UnsupportedError(
        "Eigenvalues of matrices that need not be symmetric are not translated.",
        hint="For symmetric matrices there is torch.linalg.eigh.",
    )


# Singular values


def orthogonalize(b: Builder, matrix: ir.Value) -> tuple[ir.Value, ir.Value, ir.Value]:
    """A V with orthogonal columns, their lengths in descending order, and V, of DOUBLE matrices A.

    One-sided Jacobi rotations (Hestenes), which keep small singular values exact.
    """
    size = b.size(matrix, -1)
    rounds = _rounds(b, size)
    scale = _largest(b, matrix)

    def step(index: ir.Value, worst: ir.Value, turned: ir.Value, basis: ir.Value) -> tuple[ir.Value, list[ir.Value]]:
        partners = _partners(b, size, rounds, index)
        own = reduce(b, "ReduceSum", b.Mul(turned, turned), -2, True)
        other = b.Gather(own, partners, axis=-1)
        mixed = reduce(b, "ReduceSum", b.Mul(turned, b.Gather(turned, partners, axis=-1)), -2, True)
        is_pair = b.And(b.Not(b.Equal(partners, b.scalar_range(size))), b.Not(b.Equal(mixed, 0)))
        cosines = b.Div(b.Abs(mixed), b.Mul(b.Sqrt(own), b.Sqrt(other)))
        worst = _worst(b, index, rounds, worst, b.Where(is_pair, cosines, 0))
        cosine, sine = _rotations(b, own, other, mixed, partners)
        results = [worst, *(_rotate(b, each, cosine, sine, partners) for each in (turned, basis))]
        return _goes_on(b, index, rounds, worst), results

    basis = identity(b, [*batch(b, matrix), size, size])
    start = [b.constant(0.0, DOUBLE), b.Div(matrix, scale), basis]
    _, turned, basis = repeat(b, b.mul_int(rounds, _SWEEPS_AT_MOST), start, step)
    turned = b.Mul(turned, scale)
    lengths = b.Mul(b.squeeze(scale, -1), b.Sqrt(reduced(b, "ReduceSum", _square(b, b.Div(turned, scale)), -2)))
    ordered, turned = _sorted(b, lengths, turned, largest=True)
    return turned, ordered, _sorted(b, lengths, basis, largest=True)[1]


def _square(b: Builder, value: ir.Value) -> ir.Value:
    return b.Mul(value, value)


def singular(b: Builder, matrix: ir.Value, complete: bool = False) -> tuple[ir.Value, ir.Value, ir.Value]:
    """U, the singular values, and V of DOUBLE matrices; with `complete` U and V are square."""
    rows, columns = b.size(matrix, -2), b.size(matrix, -1)
    least = smaller(b, rows, columns)
    if least == 0:
        sizes = [identity(b, [*batch(b, matrix), n, n if complete else 0]) for n in (rows, columns)]
        return sizes[0], full(b, 0.0, [*batch(b, matrix), 0]), sizes[1]
    if isinstance(rows, int) and isinstance(columns, int) and rows < columns:
        right, values, left = singular(b, transposed(b, matrix), complete)
        return left, values, right
    turned, values, basis = orthogonalize(b, matrix)
    turned, values = _first(b, turned, least), _first(b, values, least)
    # The columns of singular values 0 have no direction: Q has one for them.
    left, upper = qr(b, turned, complete)
    heads = b.unsqueeze(diagonal(b, _first(b, transposed(b, upper), least)), b.rank(upper) - 2)
    signs = b.Where(b.Less(heads, 0), b.constant(-1.0, DOUBLE), b.constant(1.0, DOUBLE))
    if complete and not b.same_size(rows, least):
        missing = b.add_int(rows, b.mul_int(least, -1))
        signs = b.Concat(signs, full(b, 1.0, [*batch(b, matrix), 1, missing]), axis=-1)
    return b.Mul(left, signs), values, basis if complete else _first(b, basis, least)


def _first(b: Builder, value: ir.Value, size: Int) -> ir.Value:
    """As many columns."""
    return value if b.same_size(b.size(value, -1), size) else b.Slice(value, [0], b.int_vector([size]), [-1])


def singular_values(b: Builder, matrix: ir.Value) -> ir.Value:
    """The singular values of DOUBLE matrices, in descending order."""
    rows, columns = b.size(matrix, -2), b.size(matrix, -1)
    least = smaller(b, rows, columns)
    if least == 0:
        return full(b, 0.0, [*batch(b, matrix), 0])
    is_wide = isinstance(rows, int) and isinstance(columns, int) and rows < columns
    return _first(b, orthogonalize(b, transposed(b, matrix) if is_wide else matrix)[1], least)


@handler("aten::_linalg_svd")
def svd_parts(
    b: Builder, A: ir.Value, full_matrices: bool = False, compute_uv: bool = True, driver: str | None = None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    if not compute_uv:
        empty = b.constant([], A.dtype)
        return empty, narrow(b, singular_values(b, wide(b, A)), A), empty
    left, values, right = singular(b, wide(b, A), full_matrices)
    return narrow(b, left, A), narrow(b, values, A), narrow(b, transposed(b, right), A)


@handler("aten::linalg_svd")
def linalg_svd(
    b: Builder, A: ir.Value, full_matrices: bool = True, driver: str | None = None
) -> tuple[ir.Value, ir.Value, ir.Value]:
    return svd_parts(b, A, full_matrices)


@handler("aten::svd")
def svd(b: Builder, self: ir.Value, some: bool = True, compute_uv: bool = True) -> tuple[ir.Value, ir.Value, ir.Value]:
    if compute_uv:
        left, values, right = singular(b, wide(b, self), not some)
        return narrow(b, left, self), narrow(b, values, self), narrow(b, right, self)
    assert self.dtype is not None
    rows, columns = b.sizes(self)[-2:]
    zeros = [full(b, 0.0, [*batch(b, self), size, size], self.dtype) for size in (rows, columns)]
    return zeros[0], linalg_svdvals(b, self), zeros[1]


@handler("aten::linalg_svdvals")
def linalg_svdvals(b: Builder, A: ir.Value, driver: str | None = None) -> ir.Value:
    return narrow(b, singular_values(b, wide(b, A)), A)


# Rank and pseudoinverse

Tolerance = ir.Value | Number | float | None


def _is_significant(b: Builder, matrix: ir.Value, sizes: ir.Value, atol: Tolerance, rtol: Tolerance) -> ir.Value:
    """Which singular values, or magnitudes of eigenvalues, count (BatchLinearAlgebra.cpp: get_atol_rtol)."""

    def column(value: Tolerance) -> ir.Value:
        tensor = b.scalar(value if value is not None else 0.0, DOUBLE)
        return b.unsqueeze(tensor, b.rank(tensor)) if b.rank(tensor) else tensor

    relative = column(rtol)
    if rtol is None:
        assert matrix.dtype is not None
        most = b.Max(*(b.scalar(size, DOUBLE) for size in b.sizes(matrix)[-2:]))
        relative = b.Mul(most, torch.finfo(TO_TORCH[matrix.dtype]).eps)
        relative = b.Where(b.Greater(column(atol), 0), 0, relative)
    largest = reduce(b, "ReduceMax", sizes, -1, True)
    return b.Greater(sizes, b.Max(column(atol), b.Mul(relative, largest)))


@handler("aten::linalg_matrix_rank.atol_rtol_tensor")
def matrix_rank(
    b: Builder, input: ir.Value, atol: Tolerance = None, rtol: Tolerance = None, hermitian: bool = False
) -> ir.Value:
    if 0 in b.sizes(input):
        return full(b, 0, batch(b, input), INT64)
    matrix = wide(b, input)
    sizes = b.Abs(eigen(b, _symmetric(b, matrix))[0]) if hermitian else singular_values(b, matrix)
    return reduced(b, "ReduceSum", b.cast(_is_significant(b, input, sizes, atol, rtol), INT64), -1)


@handler("aten::linalg_matrix_rank.atol_rtol_float")
def matrix_rank_of_floats(
    b: Builder, self: ir.Value, atol: Tolerance = None, rtol: Tolerance = None, hermitian: bool = False
) -> ir.Value:
    return matrix_rank(b, self, atol, rtol, hermitian)


@handler("aten::linalg_matrix_rank")
def matrix_rank_of_tol(b: Builder, self: ir.Value, tol: Tolerance, hermitian: bool = False) -> ir.Value:
    return matrix_rank(b, self, tol, 0.0, hermitian)


@handler("aten::linalg_matrix_rank.tol_tensor")
def matrix_rank_of_tensor(b: Builder, input: ir.Value, tol: Tolerance, hermitian: bool = False) -> ir.Value:
    return matrix_rank(b, input, tol, 0.0, hermitian)


@handler("aten::linalg_pinv.atol_rtol_tensor", "aten::linalg_pinv.atol_rtol_float")
def pinv(
    b: Builder, self: ir.Value, atol: Tolerance = None, rtol: Tolerance = None, hermitian: bool = False
) -> ir.Value:
    if 0 in b.sizes(self):
        return transposed(b, self)
    matrix = wide(b, self)
    if hermitian:
        values, left = eigen(b, _symmetric(b, matrix))
        counts = _is_significant(b, self, b.Abs(values), atol, rtol)
        right = b.Div(left, _row(b, b.Where(counts, values, 1)))
    else:
        left, values, basis = orthogonalize(b, matrix)
        counts = _is_significant(b, self, values, atol, rtol)
        divisor = _row(b, b.Where(counts, values, 1))
        left, right = b.Div(left, divisor), b.Div(basis, divisor)
    kept = b.Where(_row(b, counts), right, 0)
    return narrow(b, b.MatMul(kept, transposed(b, left)), self)


def _row(b: Builder, values: ir.Value) -> ir.Value:
    return b.unsqueeze(values, b.rank(values) - 1)


@handler("aten::linalg_pinv", "aten::linalg_pinv.rcond_tensor", "aten::pinverse")
def pinv_of_rcond(b: Builder, self: ir.Value, rcond: Tolerance = 1e-15, hermitian: bool = False) -> ir.Value:
    return pinv(b, self, 0.0, rcond, hermitian)


# Least squares


@handler("aten::linalg_lstsq")
def lstsq(
    builder: Builder, self: ir.Value, b: ir.Value, rcond: Tolerance = None, driver: str | None = None
) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    return _least_squares(builder, self, b, rcond, driver or "gelsy")


def _least_squares(
    b: Builder, matrix: ir.Value, right: ir.Value, rcond: Tolerance, driver: str
) -> tuple[ir.Value, ir.Value, ir.Value, ir.Value]:
    """The shortest of the best solutions, whichever way LAPACK's driver finds it."""
    if 0 in [*b.sizes(matrix), *b.sizes(right)]:
        raise UnsupportedError("Least squares with empty tensors are not translated.")
    is_vector = is_vector_side(b, matrix, right)
    one, other = wide(b, matrix), wide(b, b.unsqueeze(right, b.rank(right)) if is_vector else right)
    turned, values, basis = orthogonalize(b, one)
    counts = _is_significant(b, matrix, values, 0.0, rcond)
    divisor = _row(b, b.Where(counts, values, 1))
    parts = b.MatMul(transposed(b, b.Div(turned, divisor)), other)
    solution = b.MatMul(b.Where(_row(b, counts), b.Div(basis, divisor), 0), parts)
    rank = reduced(b, "ReduceSum", b.cast(counts, INT64), -1)
    residuals = _residuals(b, b.Sub(b.MatMul(one, solution), other), matrix, rank, driver)
    empty, no_rank = b.constant([], matrix.dtype), b.constant([], INT64)
    return (
        narrow(b, b.squeeze(solution, -1) if is_vector else solution, matrix),
        empty if residuals is None else narrow(b, residuals, matrix),
        no_rank if driver == "gels" else rank,
        narrow(b, _first(b, values, smaller(b, *b.sizes(matrix)[-2:])), matrix) if driver in _WITH_VALUES else empty,
    )


_WITH_VALUES = ("gelsd", "gelss")


def _residuals(b: Builder, rest: ir.Value, matrix: ir.Value, rank: ir.Value, driver: str) -> ir.Value | None:
    rows, columns = b.sizes(matrix)[-2:]
    if not isinstance(rows, int) or not isinstance(columns, int):
        raise UnsupportedError("Whether there are residuals depends on sizes that are not known.")
    if driver == "gelsy" or rows <= columns:
        return None
    found = reduced(b, "ReduceSum", _square(b, rest), -2)
    if driver in _WITH_VALUES:
        if b.rank(matrix) > 2:
            raise UnsupportedError("Whether there are residuals depends on the ranks of the matrices.")
        # None where the columns depend on each other.
        end = b.Where(b.Equal(rank, columns), b.scalar(b.size(found, 0), INT64), 0)
        found = b.Slice(found, [0], b.as_vector(end), [0])
    return found
