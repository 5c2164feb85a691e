"""Order, places in an order, and counts."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("LowerBound")
def lower_bound(op: Any, ordered: Any, values: Any) -> Any:
    below = ordered[:, tf.newaxis, :] < values[:, :, tf.newaxis]
    return tf.reduce_sum(tf.cast(below, op.get_attr("out_type")), axis=2)


@decomposition("UpperBound")
def upper_bound(op: Any, ordered: Any, values: Any) -> Any:
    # Not beyond, rather than below or equal: nothing is beyond a NaN.
    beyond = values[:, :, tf.newaxis] < ordered[:, tf.newaxis, :]
    return tf.reduce_sum(tf.cast(tf.logical_not(beyond), op.get_attr("out_type")), axis=2)


@decomposition("Bucketize")
def bucketize(op: Any, x: Any) -> Any:
    edges = tf.constant(op.get_attr("boundaries"), tf.float32)
    beyond = tf.cast(x, tf.float32)[..., tf.newaxis] < edges
    return tf.reduce_sum(tf.cast(tf.logical_not(beyond), tf.int32), axis=-1)


@decomposition("NthElement")
def nth_element(op: Any, x: Any, n: Any) -> Any:
    ordered = tf.sort(x, direction="DESCENDING" if op.get_attr("reverse") else "ASCENDING")
    return tf.gather(ordered, n, axis=-1)


@decomposition("InTopK", "InTopKV2")
def in_top_k(op: Any, predictions: Any, targets: Any, k: Any = None) -> Any:
    limit = tf.cast(op.get_attr("k") if k is None else k, tf.int32)
    classes = tf.shape(predictions)[1]
    known = tf.logical_and(targets >= 0, tf.cast(targets, tf.int32) < classes)
    safe = tf.where(known, tf.cast(targets, tf.int32), tf.zeros_like(targets, tf.int32))
    chosen = tf.gather(predictions, safe, axis=1, batch_dims=1)
    above = tf.reduce_sum(tf.cast(predictions > chosen[:, tf.newaxis], tf.int32), axis=1)
    return tf.logical_and(tf.logical_and(known, tf.math.is_finite(chosen)), above < limit)


@decomposition("HistogramFixedWidth")
def histogram_fixed_width(op: Any, values: Any, limits: Any, nbins: Any) -> Any:
    dtype = op.get_attr("dtype")
    count = tf.cast(nbins, tf.int32)
    width = (limits[1] - limits[0]) / tf.cast(count, values.dtype)
    places = tf.cast(tf.floor((tf.reshape(values, [-1]) - limits[0]) / width), tf.int32)
    places = tf.clip_by_value(places, 0, count - 1)
    hits = tf.equal(places[:, tf.newaxis], tf.range(count)[tf.newaxis])
    return tf.reduce_sum(tf.cast(hits, dtype), axis=0)


@decomposition("ListDiff")
def list_diff(op: Any, x: Any, y: Any) -> tuple[Any, Any]:
    missing = tf.logical_not(tf.reduce_any(tf.equal(x[:, tf.newaxis], y[tf.newaxis]), axis=1))
    places = tf.reshape(tf.where(missing), [-1])
    return tf.gather(x, places), tf.cast(places, op.get_attr("out_idx"))


@decomposition("InvertPermutation")
def invert_permutation(op: Any, x: Any) -> Any:
    """tf2onnx leaves TopK's INT64 where INT32 is declared."""
    return tf.cast(
        tf.scatter_nd(tf.cast(x, tf.int64)[:, tf.newaxis], tf.range(tf.shape(x)[0]), tf.shape(x, tf.int64)), x.dtype
    )


@decomposition("DenseBincount", "Bincount")
def bincount(op: Any, values: Any, size: Any, weights: Any) -> Any:
    """What is `size` or larger is left out; weights of size 0 stand for ones."""
    binary = op.type == "DenseBincount" and op.get_attr("binary_output")
    dtype = op.outputs[0].dtype
    count = tf.cast(size, values.dtype)
    hits = tf.equal(values[..., tf.newaxis], tf.range(count))
    # ONNX Runtime keeps an axis with a negative number where a tensor is empty.
    axis = hits.shape.rank - 2 if hits.shape.rank is not None else -2
    if binary:
        return tf.cast(tf.reduce_any(hits, axis=axis), dtype)
    marks = tf.cast(hits, dtype)
    if weights.shape.num_elements() != 0:
        weights = tf.cond(tf.size(weights) > 0, lambda: weights, lambda: tf.ones_like(values, dtype))
        weights.set_shape(values.shape)
        marks = tf.where(hits, weights[..., tf.newaxis] * tf.ones_like(marks), tf.zeros_like(marks))
    return tf.reduce_sum(marks, axis=axis)
