"""Reductions over axes, and running sums and products."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow_programs.program import PROGRAMS, Program, floats, integers
from transload.convert.tensorflow.framework import tf

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "sums": lambda x: (tf.reduce_sum(x), tf.reduce_sum(x, 1), tf.reduce_sum(x, [0, 2], keepdims=True)),
    "means": lambda x: (tf.reduce_mean(x), tf.reduce_mean(x, -1), tf.reduce_mean(x, [1, 2], keepdims=True)),
    "products": lambda x: tf.reduce_prod(tf.clip_by_value(x, -2.0, 2.0), -1),
    "extremes": lambda x: (tf.reduce_max(x, 1), tf.reduce_min(x, [0, 1])),
    "logical": lambda x: (tf.reduce_all(x > -1.0, 2), tf.reduce_any(x > 1.0, 1), tf.reduce_any(x > 0.0)),
    "logsumexp": lambda x: tf.reduce_logsumexp(x, -1),
    "norms": lambda x: (tf.norm(x, axis=-1), tf.norm(x, ord=1, axis=1), tf.math.reduce_euclidean_norm(x, 2)),
    "variances": lambda x: (tf.math.reduce_variance(x, 1), tf.math.reduce_std(x, [0, 2])),
    "moments": lambda x: tf.nn.moments(x, [1, 2]),
    "count_nonzero": lambda x: tf.math.count_nonzero(tf.nn.relu(x), axis=1),
    "zero_fraction": lambda x: tf.nn.zero_fraction(tf.nn.relu(x)),
    "argmax": lambda x: (tf.argmax(x, 1), tf.argmin(x, -1, output_type=tf.int32)),
    "argmax_of_ties": lambda x: (tf.argmax(tf.round(x * 0.5), 2), tf.argmin(tf.round(x * 0.5), 2)),
    "cumsum": lambda x: tf.cumsum(x, 1),
    "cumsum_exclusive_reverse": lambda x: tf.cumsum(x, -1, exclusive=True, reverse=True),
    "cumprod": lambda x: tf.math.cumprod(tf.clip_by_value(x, -2.0, 2.0), 1),
    "cumprod_exclusive": lambda x: tf.math.cumprod(tf.clip_by_value(x, -2.0, 2.0), -1, exclusive=True),
    "cumprod_reverse": lambda x: tf.math.cumprod(tf.clip_by_value(x, -2.0, 2.0), -1, exclusive=True, reverse=True),
    "cumulative_logsumexp": lambda x: tf.math.cumulative_logsumexp(x, 1),
    "dynamic_axis": lambda x: tf.reduce_sum(x, tf.range(1, tf.rank(x))),
    "normalized_moments": lambda x: tf.nn.weighted_moments(x, [1], tf.abs(x)),
}
for _name, _function in _FUNCTIONS.items():
    PROGRAMS[f"reductions.{_name}"] = Program(f"reductions.{_name}", (floats("x", None, 3, 4),), lambda f=_function: f)

_INTEGERS: dict[str, Callable[[Any], Any]] = {
    "integer_sums": lambda n: (tf.reduce_sum(n, 1), tf.reduce_max(n, 0), tf.reduce_min(n), tf.reduce_prod(n % 3, 1)),
    "integer_mean": lambda n: tf.reduce_mean(n % 100, 1),
    "integer_cumsum": lambda n: tf.cumsum(n % 100, 1, exclusive=True),
    "integer_argmax": lambda n: tf.argmax(n, 1),
    "integer_cumprod": lambda n: tf.math.cumprod(n % 3, 1),
}
for _name, _function in _INTEGERS.items():
    PROGRAMS[f"reductions.{_name}"] = Program(
        f"reductions.{_name}", (integers("n", None, 4),), lambda f=_function: f, {"n": [[1, -2, 5, 7], [2, 2, 0, -9]]}
    )
