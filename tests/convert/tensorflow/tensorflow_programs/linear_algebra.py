"""Products, decompositions and systems of equations."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, floats, program
from transload.convert.tensorflow.framework import tf

X, Y = floats("x", None, 3, 3), floats("y", None, 3, 2)
MATRIX = {"x": np.random.default_rng(10).standard_normal((2, 3, 3)).astype(np.float32)}


def _regular(x: Any) -> Any:
    """Diagonally dominant, so that nothing is near singular."""
    return tf.tanh(x) + 3.0 * tf.eye(3)


def _positive(x: Any) -> Any:
    x = tf.tanh(x)
    return x @ tf.linalg.matrix_transpose(x) + tf.eye(3)


def _symmetric(x: Any) -> Any:
    x = tf.tanh(x)
    return x + tf.linalg.matrix_transpose(x) + tf.linalg.diag([0.0, 4.0, 8.0])


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "determinant": lambda x: (tf.linalg.det(_regular(x)), tf.linalg.det(tf.tanh(x))),
    "log_determinant": lambda x: tf.linalg.slogdet(_regular(x)),
    "logdet": lambda x: tf.linalg.logdet(_positive(x)),
    "inverse": lambda x: tf.linalg.inv(_regular(x)),
    "inverse_adjoint": lambda x: tf.linalg.inv(_regular(x), adjoint=True),
    "inverse_with_pivoting": lambda x: tf.linalg.inv(tf.reverse(_regular(x), [-1])),
    "pseudo_inverse": lambda x: tf.linalg.pinv(_regular(x)),
    "cholesky": lambda x: tf.linalg.cholesky(_positive(x)),
    "qr": lambda x: _unsigned_qr(_regular(x)),
    "lu": lambda x: tf.linalg.lu(_regular(x)),
    "singular_values": lambda x: tf.linalg.svd(_regular(x), compute_uv=False),
    "svd_rebuilt": lambda x: _rebuilt(_regular(x)),
    "eigenvalues": lambda x: tf.linalg.eigvalsh(_symmetric(x)),
    "eigh_rebuilt": lambda x: _rebuilt_eigh(_symmetric(x)),
    "matrix_exponential": lambda x: tf.linalg.expm(tf.tanh(x)),
    "square_root": lambda x: tf.linalg.sqrtm(_positive(x)),
    "trace": tf.linalg.trace,
    "matrix_norms": lambda x: (tf.norm(x, axis=[-2, -1]), tf.norm(x, ord=1, axis=[-2, -1])),
    "band_part": lambda x: (
        tf.linalg.band_part(x, 0, -1),
        tf.linalg.band_part(x, 1, 0),
        tf.linalg.band_part(x, -1, 1),
        tf.linalg.band_part(x[:, :2], 0, 1),
    ),
    "diagonals": lambda x: (
        tf.linalg.diag_part(x),
        tf.linalg.diag_part(x, k=1),
        tf.linalg.diag_part(x, k=(-1, 1), padding_value=9.0),
        tf.linalg.diag(x),
        tf.linalg.diag(x, k=-1),
    ),
    "diagonals_set": lambda x: (
        tf.linalg.set_diag(x, tf.zeros_like(x[..., 0])),
        tf.linalg.set_diag(x, tf.ones_like(x[..., :2, 0]), k=1),
    ),
    "diagonal_matrix_of_vector": lambda x: tf.linalg.tensor_diag(x[0, 0]),
    "diagonal_of_one_matrix": lambda x: tf.linalg.tensor_diag_part(x[0]),
    "tensordot": lambda x: (tf.tensordot(x, x, [[2], [2]]), tf.tensordot(x, [1.0, 2.0, 3.0], 1)),
    "einsum": lambda x: (tf.einsum("bij,bjk->bik", x, x), tf.einsum("bij->bji", x), tf.einsum("bii->bi", x)),
    "einsum_ellipsis": lambda x: (tf.einsum("...ij,...kj->...ik", x, x), tf.einsum("bij,bij->b", x, x)),
    "einsum_of_three": lambda x: tf.einsum("bij,bjk,bkl->bil", x, x, x),
    "einsum_outer": lambda x: tf.einsum("bi,bj->bij", x[:, 0], x[:, 1]),
    "matmul_adjoint": lambda x: (tf.matmul(x, x, transpose_a=True), tf.matmul(x, x, adjoint_b=True)),
    "matvec": lambda x: tf.linalg.matvec(x, x[:, 0]),
    "matrix_power": lambda x: _regular(x) @ _regular(x) @ _regular(x),
    "cosine_similarity": lambda x: -tf.keras.losses.cosine_similarity(x + 3.0, tf.reverse(x, [2]) + 3.0),
    "kronecker": lambda x: tf.linalg.LinearOperatorKronecker(
        [tf.linalg.LinearOperatorFullMatrix(x), tf.linalg.LinearOperatorFullMatrix(x)]
    ).to_dense(),
    "batch_matmul_int": lambda x: tf.matmul(tf.cast(tf.round(x), tf.int32), tf.cast(tf.round(x), tf.int32)),
    "double_inverse": lambda x: tf.linalg.inv(tf.cast(_regular(x), tf.float64)),
}
_REFUSED = {"square_root": "MatrixSquareRoot"}
for _name, _function in _FUNCTIONS.items():
    PROGRAMS[f"linear_algebra.{_name}"] = Program(
        f"linear_algebra.{_name}", (X,), lambda f=_function: f, MATRIX, _REFUSED.get(_name)
    )


def _unsigned_qr(x: Any) -> Any:
    q, r = tf.linalg.qr(x)
    return q, r, q @ r


def _rebuilt(x: Any) -> Any:
    s, u, v = tf.linalg.svd(x)
    return s, tf.matmul(u * s[..., None, :], v, transpose_b=True)


def _rebuilt_eigh(x: Any) -> Any:
    values, vectors = tf.linalg.eigh(x)
    return values, tf.matmul(vectors * values[..., None, :], vectors, transpose_b=True)


_PAIRS: dict[str, Callable[[Any, Any], Any]] = {
    "solve": lambda x, y: tf.linalg.solve(_regular(x), y),
    "solve_adjoint": lambda x, y: tf.linalg.solve(_regular(x), y, adjoint=True),
    "triangular_solve": lambda x, y: tf.linalg.triangular_solve(_regular(x), y),
    "triangular_solve_upper_adjoint": lambda x, y: tf.linalg.triangular_solve(
        _regular(x), y, lower=False, adjoint=True
    ),
    "cholesky_solve": lambda x, y: tf.linalg.cholesky_solve(tf.linalg.cholesky(_positive(x)), y),
    "least_squares": lambda x, y: tf.linalg.lstsq(_regular(x), y),
    "tridiagonal_solve": lambda x, y: tf.linalg.tridiagonal_solve(
        _regular(x), y, diagonals_format="matrix", partial_pivoting=False
    ),
}
for _name, _pair in _PAIRS.items():
    PROGRAMS[f"linear_algebra.{_name}"] = Program(
        f"linear_algebra.{_name}", (X, Y), lambda f=_pair: f, MATRIX | {"y": MATRIX["x"][..., :2]}
    )


@program(floats("x", None, 4), refused="Eig")
def general_eigenvalues(x: Any) -> Any:
    return tf.abs(tf.linalg.eigvals(tf.reshape(x[:1], [2, 2])))
