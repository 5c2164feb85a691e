"""Reductions over axes, and running products and logarithms of sums."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError


@decomposition("Sum", when=lambda op: op.inputs[0].dtype == tf.int32)
def sum_of_integers(op: Any, x: Any, axes: Any) -> Any:
    """ONNX Runtime's sum of INT32 stops at the highest number; TensorFlow's goes on at the lowest."""
    return tf.cast(tf.reduce_sum(tf.cast(x, tf.int64), axes, keepdims=op.get_attr("keep_dims")), tf.int32)


@decomposition("EuclideanNorm")
def euclidean_norm(op: Any, x: Any, axes: Any) -> Any:
    return tf.sqrt(tf.reduce_sum(tf.square(x), axes, keepdims=op.get_attr("keep_dims")))


@decomposition("L2Loss")
def l2_loss(op: Any, x: Any) -> Any:
    return tf.reduce_sum(tf.square(x)) / 2


def _axis(axis: Any, x: Any) -> int:
    known = tf.get_static_value(axis)
    if known is None or x.shape.rank is None:
        raise UnsupportedError("The axis, or the number of dimensions, depends on the data.")
    rank: int = x.shape.rank
    return int(known) % max(rank, 1)


def _accumulated(op: Any, x: Any, axis: int, start: float, combine: Any) -> Any:
    """A running combination along an axis, by doubling the span that each element has seen (Hillis and Steele)."""
    x = tf.reverse(x, [axis]) if op.get_attr("reverse") else x
    rank, size = x.shape.rank, tf.shape(x)[axis]
    sizes = x.shape.as_list()
    if op.get_attr("exclusive"):
        x = _moved(x, axis, 1, start)

    def step(span: Any, x: Any) -> tuple[Any, Any]:
        return span * 2, combine(x, _moved(x, axis, span, start))

    if sizes[axis] is not None:
        span = 1
        while span < sizes[axis]:
            span, x = step(span, x)
    else:
        shapes = (tf.TensorShape([]), tf.TensorShape([None] * rank))
        x = tf.while_loop(lambda span, x: span < size, step, (tf.constant(1), x), shape_invariants=shapes)[1]
    return tf.reverse(x, [axis]) if op.get_attr("reverse") else x


def _moved(x: Any, axis: int, span: Any, fill: float) -> Any:
    """Moved along an axis, with another number at the beginning."""
    size = tf.shape(x)[axis]
    widths = [[span, 0] if each == axis else [0, 0] for each in range(x.shape.rank)]
    padded = tf.pad(x, widths, constant_values=tf.constant(fill, x.dtype))
    begin = [0] * x.shape.rank
    return tf.slice(padded, begin, tf.stack([size if each == axis else -1 for each in range(x.shape.rank)]))


@decomposition("Cumprod")
def cumprod(op: Any, x: Any, axis: Any) -> Any:
    return _accumulated(op, x, _axis(axis, x), 1, lambda one, other: one * other)


MAX_UNROLLED = 64


@decomposition("CumulativeLogsumexp")
def cumulative_logsumexp(op: Any, x: Any, axis: Any) -> Any:
    lowest = float(x.dtype.min)

    def combine(total: Any, new: Any) -> Any:
        # TensorFlow's maximum and minimum keep the total where the new number is a NaN.
        larger, smaller = tf.where(total < new, new, total), tf.where(new < total, new, total)
        return larger + tf.math.log1p(tf.exp(smaller - larger))

    known = _axis(axis, x)
    size = x.shape[known]
    if size is None or size > MAX_UNROLLED:
        return _accumulated(op, x, known, lowest, combine)
    # One after another, so that NaN and infinities meet in TensorFlow's order.
    pieces = tf.unstack(x, axis=known)
    pieces = pieces[::-1] if op.get_attr("reverse") else pieces
    totals = [lowest * tf.ones_like(pieces[0])]
    for piece in pieces:
        totals.append(combine(totals[-1], piece))
    chosen = totals[:-1] if op.get_attr("exclusive") else totals[1:]
    return tf.stack(chosen[::-1] if op.get_attr("reverse") else chosen, axis=known)
