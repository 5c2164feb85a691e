"""Reductions of segments, and what belongs to ragged and sparse tensors."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow_programs.program import PROGRAMS, Program, floats, integers, program
from transload.convert.tensorflow.framework import tf

X = floats("x", None, 3)
IDS = integers("ids", None)
SORTED = {"x": [[1.0, -2, 3], [4, 5, -6], [7, 8, 9], [-1, 0, 1]], "ids": [0, 0, 2, 3]}
UNSORTED = {"x": SORTED["x"], "ids": [3, 0, 3, 1]}

for _name in ("sum", "mean", "max", "min", "prod"):
    _plain, _free = getattr(tf.math, f"segment_{_name}"), getattr(tf.math, f"unsorted_segment_{_name}")
    PROGRAMS[f"segments.{_name}"] = Program(f"segments.{_name}", (X, IDS), lambda f=_plain: f, SORTED)
    PROGRAMS[f"segments.unsorted_{_name}"] = Program(
        f"segments.unsorted_{_name}", (X, IDS), lambda f=_free: lambda x, ids: f(x, ids, 5), UNSORTED
    )

_SPARSE: dict[str, Callable[..., Any]] = {
    "sparse_sum": tf.sparse.segment_sum,
    "sparse_mean": tf.sparse.segment_mean,
    "sparse_sqrt_n": tf.sparse.segment_sqrt_n,
}
for _name, _function in _SPARSE.items():
    PROGRAMS[f"segments.{_name}"] = Program(
        f"segments.{_name}",
        (X, integers("rows", None), IDS),
        lambda f=_function: f,
        {"x": SORTED["x"], "rows": [0, 2, 2, 1], "ids": [0, 0, 1, 1]},
    )


@program(X, IDS, example=UNSORTED)
def unsorted_sqrt_n(x: Any, ids: Any) -> Any:
    return tf.math.unsorted_segment_sqrt_n(x, ids, 5)


@program(floats("x", None), IDS, example={"x": [1.0, 2, 3, 4], "ids": [0, 0, 2, 2]})
def segment_sum_of_numbers(x: Any, ids: Any) -> Any:
    return tf.math.segment_sum(x, ids)


@program(X, integers("ids", None, 3), example={"x": SORTED["x"], "ids": [[0, 1, 2], [2, 1, 0], [0, 0, 0], [1, 2, 3]]})
def unsorted_sum_by_element(x: Any, ids: Any) -> Any:
    return tf.math.unsorted_segment_sum(x, ids, 4)


@program(integers("n", None, 3), IDS, example={"n": [[1, -2, 3], [4, 5, -6], [7, 8, 9]], "ids": [2, 0, 2]})
def unsorted_integers(n: Any, ids: Any) -> Any:
    return tf.math.unsorted_segment_sum(n, ids, 3), tf.math.unsorted_segment_max(n, ids, 3)


@program(integers("tokens", None, 3), example={"tokens": [[1, 2, 0], [3, 3, 4]]})
def embedding_sum_by_segment(tokens: Any) -> Any:
    table = tf.reshape(tf.range(20.0), [10, 2])
    flat = tf.reshape(tokens, [-1])
    ids = tf.repeat(tf.range(tf.shape(tokens)[0]), 3)
    return tf.math.segment_sum(tf.gather(table, flat), ids)


@program(X)
def ragged_row_sums(x: Any) -> Any:
    ragged = tf.RaggedTensor.from_row_splits(tf.reshape(x[:2], [-1]), [0, 2, 2, 6])
    return tf.reduce_sum(ragged, axis=1)


@program(X)
def ragged_to_tensor(x: Any) -> Any:
    ragged = tf.RaggedTensor.from_row_lengths(tf.reshape(x[:2], [-1]), [1, 3, 2])
    return ragged.to_tensor(default_value=-1.0)


@program(X)
def ragged_from_tensor(x: Any) -> Any:
    ragged = tf.RaggedTensor.from_tensor(x, lengths=tf.range(tf.shape(x)[0]) % 4)
    return ragged.flat_values, ragged.row_splits


@program(X)
def sparse_matmul(x: Any) -> Any:
    matrix = tf.sparse.SparseTensor([[0, 1], [2, 0], [3, 2]], [1.0, 2.0, -3.0], [4, 3])
    return tf.sparse.sparse_dense_matmul(matrix, x, adjoint_b=True)


@program(X)
def sparse_to_dense(x: Any) -> Any:
    matrix = tf.sparse.SparseTensor([[0, 1], [1, 0], [3, 2]], x[0], [4, 3])
    return tf.sparse.to_dense(matrix, default_value=-1.0)


@program(integers("n", None, 3), example={"n": [[1, 0, 2], [0, 3, 0]]})
def sparse_from_dense(n: Any) -> Any:
    sparse = tf.sparse.from_dense(n)
    return sparse.indices, sparse.values


@program(integers("n", None, 3), example={"n": [[1, 0, 2], [0, 3, 1]]})
def embedding_lookup_sparse(n: Any) -> Any:
    table = tf.reshape(tf.range(8.0), [4, 2])
    ids = tf.sparse.from_dense(tf.math.floormod(n, 4) + 1)
    shifted = tf.sparse.SparseTensor(ids.indices, ids.values - 1, ids.dense_shape)
    return tf.nn.embedding_lookup_sparse(table, shifted, None, combiner="mean")
