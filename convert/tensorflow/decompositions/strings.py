"""Operations on strings that are others in disguise, and the rows of unlike length that splitting gives."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("Add", "AddV2", when=lambda op: op.inputs[0].dtype == tf.string)
def add(op: Any, x: Any, y: Any) -> Any:
    return tf.strings.join([x, y])


def rows_of_splits(splits: Any, values: Any) -> Any:
    """The row of each of a ragged tensor's values, whose rows begin at the splits."""
    begun = tf.range(tf.size(values))[:, tf.newaxis] >= tf.cast(splits, tf.int32)[tf.newaxis, 1:]
    return tf.reduce_sum(tf.cast(begun, tf.int32), axis=1)


@decomposition("RaggedBincount")
def ragged_bincount(op: Any, splits: Any, values: Any, size: Any, weights: Any) -> Any:
    """Each row's numbers counted; what is `size` or larger is left out, weights of size 0 stand for ones."""
    dtype = op.outputs[0].dtype
    rows, numbers, count = rows_of_splits(splits, values), tf.cast(values, tf.int32), tf.cast(size, tf.int32)
    counted = tf.where(numbers < count)[:, 0]
    marks = tf.ones_like(values, dtype)
    if weights.shape.num_elements() != 0:
        marks = tf.cond(tf.size(weights) > 0, lambda: weights, lambda: marks)
        marks.set_shape(values.shape)
    indices = tf.stack([tf.gather(rows, counted), tf.gather(numbers, counted)], axis=1)
    table = tf.zeros(tf.stack([tf.size(splits) - 1, count]), dtype)
    if op.get_attr("binary_output"):
        return tf.tensor_scatter_nd_update(table, indices, tf.ones_like(tf.gather(marks, counted)))
    return tf.tensor_scatter_nd_add(table, indices, tf.gather(marks, counted))


PLAIN_ROWS = ([b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"], [b"ROW_SPLITS"])


def _has_plain_rows(op: Any) -> bool:
    return op.get_attr("row_partition_types") in PLAIN_ROWS and op.inputs[1].shape.rank in (None, 1)


@decomposition("RaggedTensorToTensor", when=_has_plain_rows)
def ragged_to_tensor(op: Any, shape: Any, values: Any, default: Any, *partition: Any) -> Any:
    """Rows of unlike length side by side, filled up; tf2onnx fails where all are empty."""
    values.set_shape([None])
    if len(partition) == 1:
        count, rows = tf.size(partition[0]) - 1, rows_of_splits(partition[0], values)
    else:
        count, rows = (tf.cast(each, tf.int32) for each in partition)
    lengths = tf.tensor_scatter_nd_add(tf.zeros([count], tf.int32), rows[:, tf.newaxis], tf.ones_like(rows))
    width = tf.reduce_max(tf.concat([lengths, [0]], 0))
    if shape.shape.rank:
        wanted = tf.cast(shape, tf.int32)
        count, width = (
            tf.where(each >= 0, each, own) for each, own in zip(tf.unstack(wanted, num=2), (count, width), strict=True)
        )
    columns = tf.range(tf.size(rows)) - tf.gather(tf.cumsum(lengths, exclusive=True), rows)
    places = tf.where(tf.logical_and(columns < width, rows < count))[:, 0]
    places_in_result = tf.stack([tf.gather(rows, places), tf.gather(columns, places)], axis=1)
    filled = tf.fill(tf.stack([count, width]), default)
    return tf.tensor_scatter_nd_update(filled, places_in_result, tf.gather(values, places))
