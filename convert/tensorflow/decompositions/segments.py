"""Reductions of segments: rows with the same number go together."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


def _scatter(data: Any, ids: Any, count: Any, start: Any, reduction: str) -> Any:
    """Rows (numbers, where the ids have the data's rank) put together by number; negative numbers are left out."""
    rank = ids.shape.rank
    flat_ids = tf.reshape(ids, [-1])
    rest = tf.shape(data)[rank:]
    rows = tf.reshape(data, tf.concat([[tf.size(ids)], rest], 0))
    count = tf.cast(tf.reshape(count, []), tf.int32)
    flat_ids = tf.cast(flat_ids, tf.int32)
    # One row more takes what is left out.
    places = tf.where(flat_ids < 0, tf.fill(tf.shape(flat_ids), count), flat_ids)
    base = tf.fill(tf.concat([[count + 1], rest], 0), tf.cast(start, data.dtype))
    scatter = {"add": tf.tensor_scatter_nd_add, "max": tf.tensor_scatter_nd_max, "min": tf.tensor_scatter_nd_min}
    return scatter[reduction](base, places[:, tf.newaxis], rows)[:-1]


def _count(ids: Any) -> Any:
    """One more than the last number of sorted ones."""
    return tf.reduce_max(tf.concat([tf.cast(ids, tf.int32), [-1]], 0)) + 1


def _sizes(ids: Any, count: Any, like: Any) -> Any:
    """How many rows each segment has, with axes behind for the rows' own."""
    ones = tf.ones(tf.shape(ids), like.dtype)
    sizes = _scatter(ones, ids, count, 0, "add")
    return tf.reshape(sizes, tf.concat([tf.shape(sizes), tf.ones([like.shape.rank - ids.shape.rank], tf.int32)], 0))


def _empty_is(value: Any, result: Any, ids: Any, count: Any) -> Any:
    sizes = tf.reshape(_sizes(ids, count, result), tf.concat([[count], tf.ones([result.shape.rank - 1], tf.int32)], 0))
    return tf.where(sizes > 0, result, tf.cast(value, result.dtype) * tf.ones_like(result))


@decomposition("SegmentSum", "SegmentSumV2")
def segment_sum(op: Any, data: Any, ids: Any) -> Any:
    return _scatter(data, ids, _count(ids), 0, "add")


@decomposition("SegmentMean")
def segment_mean(op: Any, data: Any, ids: Any) -> Any:
    count = _count(ids)
    return _scatter(data, ids, count, 0, "add") / tf.maximum(_sizes(ids, count, data), 1)


@decomposition("SegmentMax", "SegmentMaxV2")
def segment_max(op: Any, data: Any, ids: Any) -> Any:
    count = _count(ids)
    return _empty_is(0, _scatter(data, ids, count, _lowest(data.dtype), "max"), ids, count)


@decomposition("SegmentMin", "SegmentMinV2")
def segment_min(op: Any, data: Any, ids: Any) -> Any:
    count = _count(ids)
    return _empty_is(0, _scatter(data, ids, count, _highest(data.dtype), "min"), ids, count)


def _lowest(dtype: Any) -> Any:
    return tf.constant(float("-inf") if dtype.is_floating else dtype.min, dtype)


def _highest(dtype: Any) -> Any:
    return tf.constant(float("inf") if dtype.is_floating else dtype.max, dtype)


@decomposition("UnsortedSegmentSum")
def unsorted_segment_sum(op: Any, data: Any, ids: Any, count: Any) -> Any:
    return _scatter(data, ids, count, 0, "add")


@decomposition("UnsortedSegmentMax")
def unsorted_segment_max(op: Any, data: Any, ids: Any, count: Any) -> Any:
    return _scatter(data, ids, count, tf.constant(data.dtype.min, data.dtype), "max")


@decomposition("UnsortedSegmentMin")
def unsorted_segment_min(op: Any, data: Any, ids: Any, count: Any) -> Any:
    return _scatter(data, ids, count, tf.constant(data.dtype.max, data.dtype), "min")


@decomposition("SparseSegmentSum", "SparseSegmentMean", "SparseSegmentSqrtN")
def sparse_segment(op: Any, data: Any, rows: Any, ids: Any) -> Any:
    return _sparse(op, data, rows, ids, _count(ids))


@decomposition(
    "SparseSegmentSumWithNumSegments", "SparseSegmentMeanWithNumSegments", "SparseSegmentSqrtNWithNumSegments"
)
def sparse_segment_counted(op: Any, data: Any, rows: Any, ids: Any, count: Any) -> Any:
    return _sparse(op, data, rows, ids, tf.cast(count, tf.int32))


def _sparse(op: Any, data: Any, rows: Any, ids: Any, count: Any) -> Any:
    taken = tf.gather(data, rows)
    total = _scatter(taken, ids, count, 0, "add")
    if "Sum" in op.type:
        return total
    sizes = tf.maximum(_sizes(ids, count, taken), 1)
    return total / (sizes if "Mean" in op.type else tf.sqrt(sizes))


@decomposition("SparseTensorDenseMatMul")
def sparse_dense_matmul(op: Any, indices: Any, values: Any, shape: Any, dense: Any) -> Any:
    """Each value times a row, added up; a product with zeros in between would spread NaN and infinities."""
    rows, columns = indices[:, 0], indices[:, 1]
    if op.get_attr("adjoint_a"):
        rows, columns, shape = columns, rows, tf.reverse(shape, [0])
    dense = tf.transpose(dense) if op.get_attr("adjoint_b") else dense
    products = values[:, tf.newaxis] * tf.gather(dense, columns)
    size = tf.concat([shape[:1], tf.shape(dense, shape.dtype)[1:]], 0)
    return tf.tensor_scatter_nd_add(tf.zeros(size, dense.dtype), rows[:, tf.newaxis], products)
