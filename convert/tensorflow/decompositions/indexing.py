"""Gathering, scattering and marking places."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError

SLICE_MASKS = ("begin_mask", "end_mask", "ellipsis_mask", "new_axis_mask", "shrink_axis_mask")


@decomposition("OneHot")
def one_hot(op: Any, indices: Any, depth: Any, on_value: Any, off_value: Any) -> Any:
    """tf2onnx's own wants the indices to be of rank 1 unless the depth is the last axis; ONNX counts negatives back."""
    axis = op.get_attr("axis")
    if indices.shape.rank is None:
        raise UnsupportedError("The number of dimensions of the indices depends on the data.")
    rank = indices.shape.rank
    axis = rank if axis == -1 else axis
    sizes = [1] * (rank + 1)
    sizes[axis] = -1
    numbers = tf.reshape(tf.range(tf.cast(depth, indices.dtype)), sizes)
    hits = tf.equal(tf.expand_dims(indices, axis), numbers)
    if on_value.dtype == tf.bool:
        return tf.logical_or(tf.logical_and(hits, on_value), tf.logical_and(tf.logical_not(hits), off_value))
    return tf.where(hits, on_value, off_value)


@decomposition("InplaceUpdate", "InplaceAdd", "InplaceSub")
def inplace(op: Any, x: Any, rows: Any, values: Any) -> Any:
    function = {
        "InplaceUpdate": tf.tensor_scatter_nd_update,
        "InplaceAdd": tf.tensor_scatter_nd_add,
        "InplaceSub": tf.tensor_scatter_nd_sub,
    }[op.type]
    return function(x, tf.reshape(rows, [-1, 1]), values)


@decomposition("TensorStridedSliceUpdate")
def strided_slice_update(op: Any, x: Any, begin: Any, end: Any, strides: Any, values: Any) -> Any:
    """The slice of the places' numbers tells where the values go, whatever the masks say."""
    places = tf.reshape(tf.range(tf.size(x)), tf.shape(x))
    masks = {name: op.get_attr(name) for name in SLICE_MASKS}
    taken = tf.raw_ops.StridedSlice(input=places, begin=begin, end=end, strides=strides, **masks)
    flat = tf.tensor_scatter_nd_update(tf.reshape(x, [-1]), tf.reshape(taken, [-1, 1]), tf.reshape(values, [-1]))
    return tf.ensure_shape(tf.reshape(flat, tf.shape(x)), x.shape)


@decomposition("BroadcastArgs")
def broadcast_args(op: Any, one: Any, other: Any) -> Any:
    count = tf.maximum(tf.size(one), tf.size(other))
    one = tf.concat([tf.ones([count - tf.size(one)], one.dtype), one], 0)
    other = tf.concat([tf.ones([count - tf.size(other)], other.dtype), other], 0)
    return tf.where(tf.equal(one, 1), other, one)


@decomposition("ShapeN")
def shape_n(op: Any, *inputs: Any) -> list[Any]:
    return [tf.shape(each, op.get_attr("out_type")) for each in inputs]


@decomposition("ScatterNd")
def scatter_nd(op: Any, indices: Any, updates: Any, shape: Any) -> Any:
    """tf2onnx lets one of several updates of a place win; they add up."""
    return tf.tensor_scatter_nd_add(tf.zeros(shape, updates.dtype), indices, updates)


@decomposition("DynamicStitch", "ParallelDynamicStitch")
def dynamic_stitch(op: Any, *inputs: Any) -> Any:
    """Later pieces win. tf2onnx joins them in the order of the numbers, so that places named twice come twice."""
    count = len(inputs) // 2
    flat = [tf.reshape(each, [-1]) for each in inputs[:count]]
    size = tf.reduce_max(tf.concat([*flat, [-1]], 0)) + 1
    rest = tf.shape(inputs[count])[inputs[0].shape.rank :]
    result = tf.zeros(tf.concat([[size], rest], 0), op.outputs[0].dtype)
    for numbers, data in zip(flat, inputs[count:], strict=True):
        rows = tf.reshape(data, tf.concat([tf.shape(numbers), rest], 0))
        result = tf.tensor_scatter_nd_update(result, numbers[:, tf.newaxis], rows)
    return result


def _has_empty_ellipsis(op: Any) -> bool:
    """Whether a slice has an ellipsis that stands for no axis, and new axes, which tf2onnx then puts elsewhere."""
    rank, count = op.inputs[0].shape.rank, op.inputs[1].shape.num_elements()
    new_axes, ellipsis = op.get_attr("new_axis_mask"), op.get_attr("ellipsis_mask")
    if rank is None or count is None or not new_axes or not ellipsis:
        return False
    return bool(rank == count - 1 - (new_axes & ~ellipsis).bit_count())


@decomposition("StridedSlice", when=_has_empty_ellipsis)
def strided_slice(op: Any, x: Any, begin: Any, end: Any, strides: Any) -> Any:
    """The same without the ellipsis."""
    place = op.get_attr("ellipsis_mask").bit_length() - 1
    masks = {
        f"{name}_mask": (mask & ((1 << place) - 1)) | (mask >> (place + 1) << place)
        for name in ("begin", "end", "new_axis", "shrink_axis")
        for mask in [op.get_attr(f"{name}_mask")]
    }
    parts = [tf.concat([each[:place], each[place + 1 :]], 0) for each in (begin, end, strides)]
    return tf.raw_ops.StridedSlice(input=x, begin=parts[0], end=parts[1], strides=parts[2], ellipsis_mask=0, **masks)


def _has_batch_axes(op: Any) -> bool:
    return bool(op.get_attr("batch_dims"))


@decomposition("GatherV2", when=_has_batch_axes)
def gather_by_batch(op: Any, x: Any, indices: Any, axis: Any) -> Any:
    """Along an axis for each entry of the axes before: as a gathering of single rows. tf2onnx mixes up the axes."""
    count, known = op.get_attr("batch_dims"), tf.get_static_value(axis)
    rank, wide = x.shape.rank, indices.shape.rank
    if known is None or rank is None or wide is None:
        raise UnsupportedError("The axis, or the number of dimensions, depends on the data.")
    count, axis = count % (wide + 1) if count < 0 else count, int(known) % rank
    # The axis comes right behind the batch's, what was between goes behind the indices.
    between = list(range(count, axis))
    x = tf.transpose(x, [*range(count), axis, *between, *range(axis + 1, rank)])
    sizes, rest = tf.shape(indices), tf.shape(x)[count + 1 :]
    batch = tf.reduce_prod(sizes[:count])
    length = tf.shape(x)[count]
    rows = tf.reshape(x, tf.concat([[batch * length], rest], 0))
    flat = tf.cast(tf.reshape(indices, tf.stack([batch, -1])), tf.int32) + tf.range(batch)[:, tf.newaxis] * length
    taken = tf.gather(rows, tf.reshape(flat, [-1]))
    taken = tf.reshape(taken, tf.concat([sizes, rest], 0))
    inner = list(range(count, wide))
    moved = list(range(wide, wide + len(between)))
    tail = list(range(wide + len(between), wide + rank - count - 1))
    return tf.transpose(taken, [*range(count), *moved, *inner, *tail])
