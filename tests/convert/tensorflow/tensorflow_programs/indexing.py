"""Gathering, scattering, slicing and masking."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow_programs.program import PROGRAMS, Program, floats, integers, program
from transload.convert.tensorflow.framework import tf

X = floats("x", None, 4)
CUBE = floats("x", None, 3, 4)

_SLICES: dict[str, Callable[[Any], Any]] = {
    "plain_slices": lambda x: (x[1:], x[:, 1:3], x[..., -2:], x[0]),
    "strided_slices": lambda x: (x[:, ::2], x[..., ::-1], x[::-1, :, 3:0:-2], x[:, -1:-4:-1]),
    "new_axes": lambda x: (x[:, None, 1], x[..., tf.newaxis], x[tf.newaxis, ..., 0]),
    "dynamic_slices": lambda x: (x[: tf.shape(x)[0] // 2 + 1], x[:, tf.shape(x)[0] % 2 :]),
    "dynamic_negative_stride": lambda x: x[tf.shape(x)[0] - 1 :: -1],
    "slice_to_the_end": lambda x: tf.slice(x, [0, 1, tf.shape(x)[0] % 2], [-1, 2, -1]),
    "reverse": lambda x: (tf.reverse(x, [1]), tf.reverse(x, [0, -1])),
    "roll": lambda x: (tf.roll(x, 1, 2), tf.roll(x, [-1, 2], [1, 2]), tf.roll(x, 1, 0)),
    "gather": lambda x: (
        tf.gather(x, [2, 0], axis=1),
        tf.gather(x, 1, axis=-1),
        tf.gather(x, [[0, 3], [1, 1]], axis=2),
    ),
    "gather_nd": lambda x: (tf.gather_nd(x, [[0, 1], [0, 2]]), tf.gather_nd(x, [[[0, 0, 3]], [[0, 2, 1]]])),
    "gather_batched": lambda x: tf.gather(x, tf.argsort(x, axis=-1), axis=-1, batch_dims=2),
    "gather_batched_outer": lambda x: tf.gather(x, tf.argmax(x, axis=-1), axis=2, batch_dims=1),
    "gather_nd_batched": lambda x: tf.gather_nd(x, tf.argmax(x, axis=-1)[..., :2] % 3, batch_dims=1),
    "take_along_axis": lambda x: tf.experimental.numpy.take_along_axis(x, tf.argsort(x, axis=1), axis=1),
    "boolean_mask": lambda x: (tf.boolean_mask(x, x > 0.0), tf.boolean_mask(x, x[:, 0, 0] > 0.0)),
    "nonzero": lambda x: tf.where(x > 0.0),
    "masked_choice": lambda x: tf.where(x[..., :1] > 0.0, x, -x),
    "one_hot": lambda x: (
        tf.one_hot(tf.argmax(x, 2), 4),
        tf.one_hot(tf.argmax(x, 2), 4, on_value=5, off_value=-1, axis=1, dtype=tf.int32),
    ),
    "one_hot_out_of_range": lambda x: tf.one_hot(tf.argmax(x, 2) - 1, 3),
    "where_of_index": lambda x: tf.gather(tf.reshape(x, [-1]), tf.where(tf.reshape(x, [-1]) > 0.0)[:, 0]),
    "dynamic_stitch": lambda x: tf.dynamic_stitch([[0, 2], [1, 3]], [x[0, :2], x[0, 1:]]),
    "dynamic_stitch_overlapping": lambda x: tf.dynamic_stitch([[0, 1], [1, 2]], [x[0, :2], x[0, 1:]]),
    "dynamic_partition": lambda x: tf.dynamic_partition(x, tf.cast(x[:, 0, 0] > 0.0, tf.int32), 2),
    "scatter_nd": lambda x: tf.scatter_nd([[0], [2], [0]], x[0], [4, 4]),
    "scatter_nd_of_elements": lambda x: tf.scatter_nd([[0, 1], [2, 3], [0, 1], [1, 1]], x[0, 0], [3, 4]),
    "scatter_nd_of_dynamic_shape": lambda x: tf.scatter_nd([[0], [0], [0]], x[0], [tf.shape(x)[0] + 1, 4]),
    "slice_update": lambda x: tf.raw_ops.TensorStridedSliceUpdate(
        input=x, begin=[0, 1], end=[1, 3], strides=[1, 1], value=x[:1, 2:4] * 2.0, begin_mask=1
    ),
    "tensor_scatter_update": lambda x: tf.tensor_scatter_nd_update(x, [[0, 1]], [[9.0, 8.0, 7.0, 6.0]]),
    "tensor_scatter_add": lambda x: tf.tensor_scatter_nd_add(x, [[0, 1], [0, 1]], x[0, :2]),
    "tensor_scatter_sub": lambda x: tf.tensor_scatter_nd_sub(x, [[0, 1], [0, 1]], x[0, :2]),
    "tensor_scatter_max": lambda x: tf.tensor_scatter_nd_max(x, [[0, 1], [0, 1]], x[0, :2]),
    "tensor_scatter_min": lambda x: tf.tensor_scatter_nd_min(x, [[0, 1], [0, 1]], x[0, :2]),
    "inplace_update": lambda x: tf.raw_ops.InplaceUpdate(x=x + 0.0, i=[0], v=x[:1] * 2.0),
    "sequence_mask": lambda x: tf.sequence_mask(tf.argmax(x, 2), 5),
    "sequence_mask_to_longest": lambda x: tf.sequence_mask(tf.argmax(x, 2), dtype=tf.float32),
}
for _name, _function in _SLICES.items():
    PROGRAMS[f"indexing.{_name}"] = Program(f"indexing.{_name}", (CUBE,), lambda f=_function: f)


@program(CUBE, integers("lengths", None), example={"lengths": [3, 2]})
def reverse_sequence(x: Any, lengths: Any) -> Any:
    return tf.reverse_sequence(x, tf.abs(lengths) % 4, seq_axis=1, batch_axis=0)


@program(floats("x", 3, None, 2), integers("lengths", None), example={"x": [[[1.0, 2]] * 2] * 3, "lengths": [3, 2]})
def reverse_sequence_of_columns(x: Any, lengths: Any) -> Any:
    return tf.reverse_sequence(x, tf.abs(lengths) % 4, seq_axis=0, batch_axis=1)


@program(integers("ids", None, 2), example={"ids": [[1, 4], [0, 0]]})
def embedding(ids: Any) -> Any:
    return tf.nn.embedding_lookup(tf.reshape(tf.range(15.0), [5, 3]), ids)


@program(integers("ids", None), integers("n"), example={"ids": [1, 4, 0], "n": 5})
def one_hot_of_dynamic_depth(ids: Any, n: Any) -> Any:
    return tf.one_hot(ids, tf.abs(n) % 9 + 1)


@program(CUBE, integers("row"), example={"row": 1})
def row_by_number(x: Any, row: Any) -> Any:
    return x[:, tf.math.floormod(row, 3)]


@program(X, integers("n"), example={"n": 1})
def strided_slice_of_dynamic_ends(x: Any, n: Any) -> Any:
    n = tf.math.floormod(n, 3)
    return x[:, n : n + 2], x[:, :n], x[:, -n - 1 :]


@program(
    X,
    integers("n", None),
    example={"x": [[1.0, 2, 3, 4], [5, 6, 7, 8], [1, 1, 1, 1]], "n": [0, 2]},
    sizes={"n": ("rows",)},
)
def tensor_scatter_of_dynamic_rows(x: Any, n: Any) -> Any:
    rows = tf.math.floormod(n, tf.shape(x)[0])[:, None]
    return tf.tensor_scatter_nd_add(x, rows, tf.ones([tf.shape(n)[0], 4]))
