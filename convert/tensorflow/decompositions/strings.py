"""Operations on strings that are others in disguise, and the rows of words that splitting gives."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("Add", "AddV2", when=lambda op: op.inputs[0].dtype == tf.string)
def add(op: Any, x: Any, y: Any) -> Any:
    return tf.strings.join([x, y])


def _has_plain_rows(op: Any) -> bool:
    types = op.get_attr("row_partition_types")
    return types == [b"FIRST_DIM_SIZE", b"VALUE_ROWIDS"] and op.inputs[1].shape.rank in (None, 1)


@decomposition("RaggedTensorToTensor", when=_has_plain_rows)
def ragged_to_tensor(op: Any, shape: Any, values: Any, default: Any, count: Any, rows: Any) -> Any:
    """Rows of unlike length side by side, filled up; tf2onnx fails where all are empty."""
    values.set_shape([None])
    count, rows = tf.cast(count, tf.int32), tf.cast(rows, tf.int32)
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
