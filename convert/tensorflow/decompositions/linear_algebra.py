"""Decompositions of matrices and systems of equations, by loops in double precision."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError

Step = Callable[..., Sequence[Any]]

JACOBI_SWEEPS = 10
"""Sweeps of cyclic Jacobi rotations; they converge quadratically, six to eight do for the sizes at hand."""


def _wide(x: Any) -> Any:
    if x.dtype.is_complex:
        raise UnsupportedError("Matrices of complex numbers are not translated.")
    return tf.cast(x, tf.float64)


def _transposed(x: Any) -> Any:
    return tf.linalg.matrix_transpose(x)


def _count(size: Any, step: Step, start: Sequence[Any]) -> list[Any]:
    """Run a step for each number below a size."""
    shapes = (tf.TensorShape([]), *(value.shape for value in start))
    results = tf.while_loop(
        lambda index, *values: index < size,
        lambda index, *values: (
            index + 1,
            *(_like(new, old) for new, old in zip(step(index, *values), values, strict=True)),
        ),
        (tf.constant(0), *start),
        shape_invariants=shapes,
    )
    return list(results[1:])


def _like(new: Any, old: Any) -> Any:
    return tf.ensure_shape(new, old.shape) if new.shape != old.shape else new


def _row_of(x: Any, index: Any) -> Any:
    return tf.gather(x, tf.reshape(index, [1]), axis=-2)


def _column_of(x: Any, index: Any) -> Any:
    return tf.gather(x, tf.reshape(index, [1]), axis=-1)


def _identity_like(x: Any) -> Any:
    """Square matrices of ones and zeros, as many as there are."""
    eye = tf.cast(tf.equal(tf.range(tf.shape(x)[-1])[:, tf.newaxis], tf.range(tf.shape(x)[-1])), x.dtype)
    return tf.broadcast_to(eye, tf.shape(x))


def _factor_lu(matrix: Any) -> tuple[Any, Any, Any]:
    """L and U in one, the order of the rows, and the sign of that order; by outer products with partial pivoting."""
    size = tf.shape(matrix)[-1]
    numbers = tf.range(size)

    def step(index: Any, factors: Any, order: Any, sign: Any) -> list[Any]:
        rows = tf.reshape(numbers, [-1, 1])
        column = tf.abs(_column_of(factors, index))
        column = tf.where(rows < index, -tf.ones_like(column), column)
        found = tf.argmax(tf.squeeze(column, -1), axis=-1, output_type=tf.int32)[..., tf.newaxis, tf.newaxis]
        # Nothing is larger than a NaN in the first place.
        found = tf.where(tf.math.is_nan(_row_of(column, index)), index, found)
        own, other = tf.equal(rows, index), tf.equal(rows, found)
        chosen = tf.reduce_sum(tf.where(other, factors, tf.zeros_like(factors)), axis=-2, keepdims=True)
        chosen_number = tf.reduce_sum(tf.where(other, order, tf.zeros_like(order)), axis=-2, keepdims=True)
        swapped = tf.where(own, chosen, tf.where(other, _row_of(factors, index), factors))
        order = tf.where(own, chosen_number, tf.where(other, _row_of(order, index), order))
        sign = tf.where(tf.equal(found, index), sign, -sign)
        head = _column_of(chosen, index)
        safe = tf.where(tf.equal(head, 0.0), tf.ones_like(head), head)
        factor = _column_of(swapped, index) / safe
        # Only what is left of the matrix: elsewhere a NaN times zero would spread.
        below = tf.logical_and(rows > index, numbers > index)
        rest = tf.where(below, swapped - factor * chosen, swapped)
        mine = tf.logical_and(rows > index, tf.equal(numbers, index))
        return [tf.where(mine, factor + tf.zeros_like(rest), rest), order, sign]

    order = tf.broadcast_to(tf.reshape(numbers, [-1, 1]), tf.shape(matrix[..., :1]))
    order.set_shape(matrix[..., :1].shape)
    sign = tf.ones_like(matrix[..., :1, :1])
    factors, order, sign = _count(size, step, [matrix, order, sign])
    return factors, order, sign


def _solve_triangular(matrix: Any, right: Any, lower: bool, unit: bool = False) -> Any:
    """X with matrix X = right; only one triangle of the matrix is read."""
    size = tf.shape(matrix)[-1]
    numbers = tf.range(size)
    below = numbers[:, tf.newaxis] > numbers if lower else numbers[:, tf.newaxis] < numbers
    strict = tf.where(below, matrix, tf.zeros_like(matrix))

    def step(trip: Any, solution: Any) -> list[Any]:
        index = trip if lower else size - 1 - trip
        value = _row_of(right, index) - tf.matmul(_row_of(strict, index), solution)
        if not unit:
            value = value / _column_of(_row_of(matrix, index), index)
        return [tf.where(tf.equal(numbers[:, tf.newaxis], index), value, solution)]

    return _count(size, step, [tf.zeros_like(right)])[0]


def _solve(matrix: Any, right: Any) -> Any:
    factors, order, _ = _factor_lu(matrix)
    columns = tf.cast(tf.equal(order, tf.range(tf.shape(matrix)[-1])), right.dtype)
    middle = _solve_triangular(factors, tf.matmul(columns, right), True, unit=True)
    return _solve_triangular(factors, middle, False)


def _diagonal(matrix: Any) -> Any:
    return tf.reduce_sum(matrix * _identity_like(matrix), axis=-1)


@decomposition("MatrixDeterminant")
def determinant(op: Any, x: Any) -> Any:
    factors, _, sign = _factor_lu(_wide(x))
    return tf.cast(tf.reduce_prod(_diagonal(factors), axis=-1) * sign[..., 0, 0], x.dtype)


@decomposition("LogMatrixDeterminant")
def log_determinant(op: Any, x: Any) -> tuple[Any, Any]:
    factors, _, sign = _factor_lu(_wide(x))
    diagonal = _diagonal(factors)
    signs = tf.reduce_prod(tf.sign(diagonal), axis=-1) * sign[..., 0, 0]
    return tf.cast(signs, x.dtype), tf.cast(tf.reduce_sum(tf.math.log(tf.abs(diagonal)), axis=-1), x.dtype)


@decomposition("MatrixInverse", "BatchMatrixInverse")
def inverse(op: Any, x: Any) -> Any:
    matrix = _transposed(_wide(x)) if op.get_attr("adjoint") else _wide(x)
    return tf.cast(_solve(matrix, _identity_like(matrix)), x.dtype)


@decomposition("MatrixSolve")
def matrix_solve(op: Any, x: Any, right: Any) -> Any:
    matrix = _transposed(_wide(x)) if op.get_attr("adjoint") else _wide(x)
    return tf.cast(_solve(matrix, _wide(right)), x.dtype)


@decomposition("MatrixTriangularSolve", "BatchMatrixTriangularSolve")
def triangular_solve(op: Any, x: Any, right: Any) -> Any:
    lower, adjoint = op.get_attr("lower"), op.get_attr("adjoint")
    matrix, wide = _wide(x), _wide(right)
    sizes = tf.broadcast_dynamic_shape(tf.shape(matrix)[:-2], tf.shape(wide)[:-2])
    wide = tf.broadcast_to(wide, tf.concat([sizes, tf.shape(wide)[-2:]], 0))
    wide.set_shape(op.outputs[0].shape)
    matrix = _transposed(matrix) if adjoint else matrix
    return tf.cast(_solve_triangular(matrix, wide, lower != adjoint), x.dtype)


@decomposition("Lu")
def lu(op: Any, x: Any) -> tuple[Any, Any]:
    factors, order, _ = _factor_lu(_wide(x))
    return tf.cast(factors, x.dtype), tf.cast(tf.squeeze(order, -1), op.outputs[1].dtype)


@decomposition("Cholesky")
def cholesky(op: Any, x: Any) -> Any:
    """Column by column (Cholesky-Banachiewicz); reads the lower triangle."""
    matrix = _wide(x)
    size = tf.shape(matrix)[-1]
    numbers = tf.range(size)

    def step(index: Any, factor: Any) -> list[Any]:
        row = _row_of(factor, index)
        column = _column_of(matrix, index) - tf.matmul(factor, row, transpose_b=True)
        scaled = column / tf.sqrt(_row_of(column, index))
        scaled = tf.where(numbers[:, tf.newaxis] < index, tf.zeros_like(scaled), scaled)
        return [tf.where(tf.equal(numbers, index), scaled, factor)]

    return tf.cast(_count(size, step, [tf.zeros_like(matrix)])[0], x.dtype)


@decomposition("Qr")
def qr(op: Any, x: Any) -> tuple[Any, Any]:
    """By Householder's reflections, with LAPACK's signs."""
    matrix = _wide(x)
    rows, columns = tf.shape(matrix)[-2], tf.shape(matrix)[-1]
    numbers = tf.range(rows)[:, tf.newaxis]
    smallest = 2.0**-1022 if x.dtype == tf.float64 else 2.0**-126
    square = tf.matmul(matrix, matrix, transpose_b=True)
    start = _identity_like(square)

    def step(index: Any, r: Any, q: Any) -> list[Any]:
        column = _column_of(r, index)
        below = tf.where(numbers >= index, column, tf.zeros_like(column))
        head = _row_of(column, index)
        rest = tf.where(numbers > index, column, tf.zeros_like(column))
        norm = tf.sqrt(tf.reduce_sum(below * below, axis=-2, keepdims=True))
        # What Eigen takes for nothing below the diagonal, so that no sign turns there.
        is_done = tf.reduce_sum(rest * rest, axis=-2, keepdims=True) <= smallest
        target = tf.where(head >= 0, -norm, norm)
        vector = tf.where(tf.equal(numbers, index), head - target, rest)
        size = tf.reduce_sum(vector * vector, axis=-2, keepdims=True)
        scale = tf.where(is_done, tf.zeros_like(size), 2.0 / tf.where(is_done, tf.ones_like(size), size))
        r = r - scale * vector * tf.matmul(vector, r, transpose_a=True)
        q = q - scale * tf.matmul(q, vector) * _transposed(vector)
        return [r, q]

    r, q = _count(tf.minimum(rows, columns), step, [matrix, start])
    r = tf.where(numbers <= tf.range(columns), r, tf.zeros_like(r))
    if not op.get_attr("full_matrices"):
        short = tf.minimum(rows, columns)
        q, r = q[..., :short], r[..., :short, :]
    return tf.cast(q, x.dtype), tf.cast(r, x.dtype)


def _rotate(symmetric: Any, vectors: Any, size: int) -> tuple[Any, Any]:
    """Cyclic Jacobi: a rotation for each pair of axes, a few sweeps over all."""
    pairs = [(p, q) for p in range(size) for q in range(p + 1, size)]
    if not pairs:
        return symmetric, vectors
    table = tf.constant(pairs, tf.int32)
    numbers = tf.range(size)

    def step(trip: Any, a: Any, v: Any) -> list[Any]:
        pair = tf.gather(table, tf.math.floormod(trip, len(pairs)))
        p, q = pair[0], pair[1]
        at_p = tf.cast(tf.equal(numbers, p), a.dtype)[:, tf.newaxis]
        at_q = tf.cast(tf.equal(numbers, q), a.dtype)[:, tf.newaxis]
        row_p, row_q = _row_of(a, p), _row_of(a, q)
        app, aqq, apq = _column_of(row_p, p), _column_of(row_q, q), _column_of(row_p, q)
        none = tf.equal(apq, 0.0)
        theta = (aqq - app) / (2.0 * tf.where(none, tf.ones_like(apq), apq))
        t = tf.where(theta >= 0, tf.ones_like(theta), -tf.ones_like(theta)) / (
            tf.abs(theta) + tf.sqrt(theta * theta + 1.0)
        )
        t = tf.where(none, tf.zeros_like(t), t)
        c = 1.0 / tf.sqrt(t * t + 1.0)
        s = t * c
        # The identity but for the rows and columns p and q.
        rotation = _identity_like(a) + (c - 1.0) * (at_p * tf.transpose(at_p) + at_q * tf.transpose(at_q))
        rotation += s * (at_p * tf.transpose(at_q) - at_q * tf.transpose(at_p))
        return [tf.matmul(tf.matmul(rotation, a, transpose_a=True), rotation), tf.matmul(v, rotation)]

    rotated, vectors = _count(JACOBI_SWEEPS * len(pairs), step, [symmetric, vectors])
    return rotated, vectors


def _eigen(matrix: Any) -> tuple[Any, Any]:
    """Eigenvalues in rising order, and the vectors in the columns."""
    size = matrix.shape[-1]
    if size is None:
        raise UnsupportedError("The size of the matrices depends on the data.")
    lower = tf.linalg.band_part(matrix, -1, 0)
    strict = lower - matrix * _identity_like(matrix)
    rotated, vectors = _rotate(lower + _transposed(strict), _identity_like(matrix), size)
    values = _diagonal(rotated)
    order = tf.argsort(values, axis=-1)
    # A permutation as a product: its rows are chosen by number.
    choice = tf.cast(tf.equal(order[..., tf.newaxis, :], tf.range(size)[:, tf.newaxis]), matrix.dtype)
    return tf.squeeze(tf.matmul(values[..., tf.newaxis, :], choice), -2), tf.matmul(vectors, choice)


@decomposition("SelfAdjointEigV2")
def self_adjoint_eig(op: Any, x: Any) -> list[Any]:
    values, vectors = _eigen(_wide(x))
    empty = tf.zeros([0], x.dtype)
    return [tf.cast(values, x.dtype), tf.cast(vectors, x.dtype) if op.get_attr("compute_v") else empty]


@decomposition("Svd")
def svd(op: Any, x: Any) -> list[Any]:
    """From the eigenvectors of the smaller of A A' and A' A, in double precision."""
    if op.get_attr("compute_uv") and op.get_attr("full_matrices") and x.shape[-1] != x.shape[-2]:
        raise UnsupportedError("Whole bases of matrices that are not square are not translated.")
    matrix = _wide(x)
    wide = (x.shape[-1] or 0) > (x.shape[-2] or 0)
    tall = _transposed(matrix) if wide else matrix
    values, vectors = _eigen(tf.matmul(tall, tall, transpose_a=True))
    values, vectors = tf.reverse(values, [-1]), tf.reverse(vectors, [-1])
    singular = tf.sqrt(tf.maximum(values, 0.0))
    empty = tf.zeros([0], x.dtype)
    if not op.get_attr("compute_uv"):
        return [tf.cast(singular, x.dtype), empty, empty]
    safe = tf.where(singular > 0, singular, tf.ones_like(singular))
    others = tf.matmul(tall, vectors) / safe[..., tf.newaxis, :]
    left, right = (vectors, others) if wide else (others, vectors)
    return [tf.cast(each, x.dtype) for each in (singular, left, right)]


MAX_UNROLLED = 32
"""Larger systems of three diagonals are solved as full ones, in loops."""


@decomposition("TridiagonalSolve")
def tridiagonal_solve(op: Any, diagonals: Any, right: Any) -> Any:
    wide = _wide(diagonals)
    upper, middle, lower = wide[..., 0, :], wide[..., 1, :], wide[..., 2, :]
    if 1 < (diagonals.shape[-1] or 0) <= MAX_UNROLLED:
        above, on, below = (tf.unstack(each, axis=-1) for each in (upper, middle, lower))
        solve = _solve_with_pivots if op.get_attr("partial_pivoting") else _solve_without_pivots
        return tf.cast(solve(above, on, below, tf.unstack(_wide(right), axis=-2)), right.dtype)
    matrix = tf.linalg.diag(middle) + tf.linalg.diag(upper[..., :-1], k=1) + tf.linalg.diag(lower[..., 1:], k=-1)
    return tf.cast(_solve(matrix, _wide(right)), right.dtype)


def _solve_without_pivots(upper: list[Any], middle: list[Any], lower: list[Any], right: list[Any]) -> Any:
    """Thomas' algorithm; shapes as in `_solve_with_pivots`."""
    ratios, sides = [upper[0] / middle[0]], [right[0] / middle[0][..., tf.newaxis]]
    for row in range(1, len(middle)):
        pivot = middle[row] - lower[row] * ratios[-1]
        ratios.append(upper[row] / pivot)
        rest = right[row] - lower[row][..., tf.newaxis] * sides[-1]
        sides.append(rest / pivot[..., tf.newaxis])
    found = [sides.pop()]
    while sides:
        found.insert(0, sides.pop() - ratios[len(sides)][..., tf.newaxis] * found[0])
    return tf.stack(found, axis=-2)


def _solve_with_pivots(upper: list[Any], middle: list[Any], lower: list[Any], right: list[Any]) -> Any:
    """Elimination in TensorFlow's order, with the larger of two rows as the pivot, so that infinities come out alike.

    The unknowns [..., size, columns]; entries of the diagonals are [...], rows of the right side [..., columns].
    """
    size = len(middle)
    pivots, seconds, thirds, sides = [middle[0]], [upper[0]], [], [right[0]]
    for row in range(size - 1):
        pivot, second, side, below = pivots[row], seconds[row], sides[row], lower[row + 1]
        stays = tf.abs(pivot) >= tf.abs(below)
        factor = tf.where(stays, below / pivot, pivot / below)
        next_upper = upper[row + 1] if row < size - 2 else tf.zeros_like(below)
        pivots[row] = tf.where(stays, pivot, below)
        pivots.append(tf.where(stays, middle[row + 1] - factor * second, second - factor * middle[row + 1]))
        seconds[row] = tf.where(stays, second, middle[row + 1])
        seconds.append(tf.where(stays, next_upper, -factor * next_upper))
        thirds.append(tf.where(stays, tf.zeros_like(below), next_upper))
        wide, scale = stays[..., tf.newaxis], factor[..., tf.newaxis]
        sides[row] = tf.where(wide, side, right[row + 1])
        sides.append(tf.where(wide, right[row + 1] - scale * side, side - scale * right[row + 1]))
    found = [sides[-1] / pivots[-1][..., tf.newaxis]]
    for row in reversed(range(size - 1)):
        rest = sides[row] - seconds[row][..., tf.newaxis] * found[0]
        if row < size - 2:
            rest -= thirds[row][..., tf.newaxis] * found[1]
        found.insert(0, rest / pivots[row][..., tf.newaxis])
    return tf.stack(found, axis=-2)


@decomposition("MatrixSolveLs")
def least_squares(op: Any, x: Any, right: Any, regularizer: Any) -> Any:
    matrix, wide = _wide(x), _wide(right)
    normal = tf.matmul(matrix, matrix, transpose_a=True)
    normal += tf.cast(regularizer, tf.float64) * _identity_like(normal)
    return tf.cast(_solve(normal, tf.matmul(matrix, wide, transpose_a=True)), x.dtype)


@decomposition("MatrixExponential", "MatrixSquareRoot", "MatrixLogarithm", "Eig")
def refuse_general(op: Any, *inputs: Any) -> Any:
    raise UnsupportedError("It rests on eigenvalues of general matrices, which are complex and have no short formula.")


# Diagonals


@decomposition("Diag")
def diag(op: Any, values: Any) -> Any:
    """A tensor of twice the rank with the values where the numbers of both halves agree."""
    flat = tf.reshape(values, [-1])
    count = tf.range(tf.size(values))
    matrix = tf.where(tf.equal(count[:, tf.newaxis], count), flat[:, tf.newaxis], tf.zeros([1, 1], values.dtype))
    return tf.reshape(matrix, tf.concat([tf.shape(values)] * 2, 0))


@decomposition("DiagPart")
def diag_part(op: Any, x: Any) -> Any:
    sizes = tf.shape(x)[: x.shape.rank // 2]
    count = tf.reduce_prod(sizes)
    numbers = tf.range(count)
    matrix = tf.reshape(x, tf.stack([count, count]))
    return tf.reshape(tf.gather_nd(matrix, tf.stack([numbers, numbers], axis=1)), sizes)


@decomposition("MatrixBandPart", "BatchMatrixBandPart")
def matrix_band_part(op: Any, x: Any, lower: Any, upper: Any) -> Any:
    """tf2onnx multiplies by zeros, which leaves NaN and infinities."""
    rows = tf.cast(tf.range(tf.shape(x)[-2])[:, tf.newaxis], lower.dtype)
    columns = tf.cast(tf.range(tf.shape(x)[-1])[tf.newaxis], lower.dtype)
    inside = tf.logical_and(
        tf.logical_or(lower < 0, rows - columns <= lower), tf.logical_or(upper < 0, columns - rows <= upper)
    )
    return tf.where(inside, x, tf.zeros_like(x))


@decomposition("MatrixSetDiag", "MatrixSetDiagV2", "MatrixSetDiagV3")
def matrix_set_diag(op: Any, x: Any, diagonal: Any, k: Any = 0) -> Any:
    """One diagonal. tf2onnx writes an operator of ONNX Runtime's own for it."""
    known = tf.get_static_value(k)
    if known is None or len(set(known.ravel().tolist())) != 1:
        raise UnsupportedError("Several diagonals at once are not translated.")
    offset = int(known.ravel()[0])
    if known.size == 2:
        diagonal = tf.squeeze(diagonal, -2)
    rows, columns = tf.shape(x)[-2], tf.shape(x)[-1]
    on = tf.equal(tf.range(rows)[:, tf.newaxis] + offset, tf.range(columns))
    # Each row's own value: the diagonal begins in row -k where k is negative.
    before = max(-offset, 0)
    places = tf.clip_by_value(tf.range(rows) - before, 0, tf.shape(diagonal)[-1] - 1)
    return tf.where(on, tf.gather(diagonal, places, axis=-1)[..., tf.newaxis], x)
