"""Sorting, counting, and finding what is unique."""

from __future__ import annotations

from typing import Any

from tensorflow_programs.program import floats, integers, program
from transload.convert.tensorflow.framework import tf

N = integers("n", None)
COUNTED = {"n": [3, 1, 3, 0, 1, 3]}


@program(floats("x", None, 5))
def top_k(x: Any) -> Any:
    return tf.math.top_k(x, 3)


@program(integers("n", None, 6), example={"n": [[3, 1, 3, 0, 1, 3], [5, 4, 4, 5, 4, 0]]})
def top_k_of_ties(n: Any) -> Any:
    return tf.math.top_k(n, 4)


@program(floats("x", None, 5), integers("k"), example={"k": 2})
def top_k_of_dynamic_k(x: Any, k: Any) -> Any:
    return tf.math.top_k(x, k)


@program(floats("x", None, 5))
def sort(x: Any) -> Any:
    return tf.sort(x), tf.sort(x, axis=0, direction="DESCENDING")


@program(integers("n", None, 6), example={"n": [[3, 1, 3, 0, 1, 3], [5, 4, 4, 5, 4, 0]]})
def argsort_of_ties(n: Any) -> Any:
    return tf.argsort(n, stable=True), tf.argsort(n, direction="DESCENDING", stable=True)


@program(integers("n", None, 6), example={"n": [[3, 1, 3, 0, 1, 3], [5, 4, 4, 5, 4, 0]]})
def sort_of_integers(n: Any) -> Any:
    return tf.sort(n), tf.sort(n, direction="DESCENDING")


@program(floats("x", None, 5))
def nth_element(x: Any) -> Any:
    return tf.raw_ops.NthElement(input=x, n=2, reverse=False), tf.raw_ops.NthElement(input=x, n=1, reverse=True)


@program(N, example=COUNTED)
def unique(n: Any) -> Any:
    return tf.unique(n)


@program(N, example=COUNTED)
def unique_with_counts(n: Any) -> Any:
    return tf.unique_with_counts(n)


@program(floats("x", None), example={"x": [0.5, -1.0, 0.5, 2.0]})
def unique_of_floats(x: Any) -> Any:
    return tf.unique(tf.round(x), out_idx=tf.int64)


@program(integers("n", None, 2), example={"n": [[3, 1], [2, 2], [3, 1]]})
def unique_rows(n: Any) -> Any:
    return tf.raw_ops.UniqueV2(x=n, axis=[0])


@program(N, example=COUNTED)
def bincount(n: Any) -> Any:
    return tf.math.bincount(tf.abs(n) % 5)


@program(N, floats("w", None), example=COUNTED | {"w": [0.5, 1, 2, 3, 4, 5]})
def bincount_weighted(n: Any, w: Any) -> Any:
    return tf.math.bincount(tf.abs(n) % 5, weights=w, minlength=6, maxlength=6)


@program(integers("n", None, 6), example={"n": [[3, 1, 3, 0, 1, 3], [5, 4, 4, 5, 4, 0]]})
def bincount_of_rows(n: Any) -> Any:
    return tf.math.bincount(tf.abs(n) % 7, minlength=7, maxlength=7, axis=-1)


@program(integers("n", None, 6), example={"n": [[3, 1, 3, 0, 1, 3], [5, 4, 4, 5, 4, 0]]})
def bincount_binary(n: Any) -> Any:
    return tf.math.bincount(tf.abs(n) % 7, minlength=7, maxlength=7, axis=-1, binary_output=True)


@program(floats("x", None, 5), floats("values", None, 3))
def searchsorted(x: Any, values: Any) -> Any:
    rows = tf.sort(x)
    return tf.searchsorted(rows, values), tf.searchsorted(rows, values, side="right", out_type=tf.int64)


@program(N, example=COUNTED)
def searchsorted_in_constants(n: Any) -> Any:
    edges = tf.constant([0, 1, 1, 3, 7])
    return tf.searchsorted(edges, n), tf.searchsorted(edges, n, side="right")


@program(floats("x", None, 4))
def bucketize(x: Any) -> Any:
    return tf.raw_ops.Bucketize(input=x, boundaries=[-1.0, 0.0, 0.5, 2.0])


@program(floats("x", None, 4))
def histogram(x: Any) -> Any:
    return tf.histogram_fixed_width(x, [-1.0, 1.0], nbins=5), tf.histogram_fixed_width_bins(x, [-1.0, 1.0], nbins=5)


@program(N, integers("m", None), example={"n": [0, 1, 2, 2], "m": [0, 2, 1, 2]})
def confusion_matrix(n: Any, m: Any) -> Any:
    return tf.math.confusion_matrix(tf.abs(n) % 3, tf.abs(m) % 3, num_classes=3)


@program(N, integers("m", None), example={"n": [0, 1, 2, 2, 7], "m": [2, 1]}, sizes={"m": ("others",)})
def list_difference(n: Any, m: Any) -> Any:
    return tf.raw_ops.ListDiff(x=n, y=m)


@program(N, example={"n": [2, 0, 1, 3]})
def invert_permutation(n: Any) -> Any:
    return tf.math.invert_permutation(tf.argsort(n))


@program(floats("x", None, 5))
def median(x: Any) -> Any:
    ordered = tf.sort(x, axis=1)
    return ordered[:, 2]


@program(N, integers("m", None), example={"n": [0, 1, 2, 2], "m": [2, 3]}, sizes={"m": ("others",)})
def set_membership(n: Any, m: Any) -> Any:
    return tf.reduce_any(n[:, None] == m[None, :], axis=1)
