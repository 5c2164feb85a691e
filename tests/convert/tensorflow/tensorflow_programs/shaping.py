"""Shapes, joining and splitting, padding, and tensors made from nothing."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow_programs.program import PROGRAMS, Program, floats, integers, program
from transload.convert.tensorflow.framework import tf

_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "reshape": lambda x: (tf.reshape(x, [-1, 6]), tf.reshape(x, [tf.shape(x)[0], 2, 6]), tf.reshape(x, [-1])),
    "squeeze": lambda x: (tf.squeeze(x[:, :1], 1), tf.expand_dims(x, 1), tf.expand_dims(x, -1)),
    "transpose": lambda x: (tf.transpose(x, [0, 2, 1]), tf.transpose(x), tf.linalg.matrix_transpose(x)),
    "concat": lambda x: (tf.concat([x, x * 2.0], 0), tf.concat([x, x[:, :1]], 1), tf.concat([x, x], -1)),
    "stack": lambda x: (tf.stack([x, -x]), tf.stack([x, -x], axis=-1), tf.unstack(x, axis=1)[1]),
    "split": lambda x: (*tf.split(x, 2, axis=2), *tf.split(x, [1, 2], axis=1), *tf.split(x, [1, -1], axis=2)),
    "tile": lambda x: (tf.tile(x, [1, 2, 1]), tf.tile(x, [2, 1, tf.shape(x)[0]])),
    "repeat": lambda x: (tf.repeat(x, 2, axis=1), tf.repeat(x, [1, 0, 3], axis=1)),
    "broadcast": lambda x: (tf.broadcast_to(x[:, :1], tf.shape(x)), tf.broadcast_to(x[:1], [2, 3, 4])),
    "pad": lambda x: (tf.pad(x, [[0, 0], [1, 2], [0, 1]]), tf.pad(x, [[0, 0], [0, 0], [2, 0]], constant_values=-1.0)),
    "pad_reflect": lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1]], mode="REFLECT"),
    "pad_symmetric": lambda x: tf.pad(x, [[0, 0], [1, 2], [2, 1]], mode="SYMMETRIC"),
    "dynamic_pad": lambda x: tf.pad(x, [[0, tf.shape(x)[0]], [0, 0], [1, tf.shape(x)[0]]]),
    "sizes": lambda x: (tf.shape(x), tf.size(x), tf.rank(x), tf.shape(x, out_type=tf.int64)[0]),
    "shape_n": lambda x: tf.shape_n([x, x[:, 0]]),
    "fills": lambda x: (tf.fill([tf.shape(x)[0], 2], 7.0), tf.zeros_like(x), tf.ones(tf.shape(x)[:2], tf.int32)),
    "ranges": lambda x: (tf.range(tf.shape(x)[0]), tf.range(10, 0, -3), tf.range(0.0, 1.0, 0.25)),
    "linspace": lambda x: (tf.linspace(0.0, 1.0, 5), tf.linspace(tf.reduce_min(x), tf.reduce_max(x), 4)),
    "meshgrid": lambda x: tf.meshgrid(tf.range(tf.shape(x)[0]), tf.range(3)),
    "eye": lambda x: (tf.eye(3), tf.eye(tf.shape(x)[0]), tf.eye(3, batch_shape=[2])),
    "depth_to_space": lambda x: tf.nn.depth_to_space(tf.reshape(x, [-1, 1, 3, 4]), 2),
    "space_to_depth": lambda x: tf.nn.space_to_depth(tf.reshape(x, [-1, 2, 6, 1]), 2),
    "batch_to_space": lambda x: tf.batch_to_space(tf.tile(x[:, :, :, None], [4, 1, 1, 1]), [2, 2], [[0, 1], [1, 0]]),
    "space_to_batch": lambda x: tf.space_to_batch(x[:, :, :, None], [2, 2], [[0, 1], [0, 0]]),
    "space_to_batch_of_sequence": lambda x: tf.space_to_batch(x, [3], [[0, 0]]),
    "extract_patches": lambda x: tf.image.extract_patches(
        tf.reshape(x, [-1, 3, 4, 1]), [1, 2, 2, 1], [1, 1, 2, 1], [1, 1, 1, 1], "VALID"
    ),
    "extract_patches_same": lambda x: tf.image.extract_patches(
        tf.reshape(x, [-1, 3, 2, 2]), [1, 2, 2, 1], [1, 2, 1, 1], [1, 1, 1, 1], "SAME"
    ),
    "extract_patches_dilated": lambda x: tf.image.extract_patches(
        tf.reshape(x, [-1, 3, 4, 1]), [1, 2, 2, 1], [1, 1, 1, 1], [1, 2, 2, 1], "VALID"
    ),
    "ensure_shape": lambda x: tf.ensure_shape(x, [None, 3, 4]),
    "identity_n": lambda x: tf.identity_n([x, x * 2.0]),
    "stop_gradient": lambda x: tf.stop_gradient(x) + tf.raw_ops.PreventGradient(input=x),
    "empty": lambda x: tf.concat([x[:, :0], x], axis=1),
    "flatten_layer": lambda x: tf.keras.layers.Flatten()(x),
    "permute_layer": lambda x: tf.keras.layers.Permute((2, 1))(x),
    "repeat_vector": lambda x: tf.keras.layers.RepeatVector(3)(x[:, 0]),
}
for _name, _function in _FUNCTIONS.items():
    PROGRAMS[f"shaping.{_name}"] = Program(f"shaping.{_name}", (floats("x", None, 3, 4),), lambda f=_function: f)


@program(floats("x", None, None))
def reshape_with_two_unknown_sizes(x: Any) -> Any:
    return tf.reshape(x, [tf.shape(x)[1], tf.shape(x)[0]])


@program(floats("x", None, 4), integers("n"), example={"n": 2})
def tile_by_input(x: Any, n: Any) -> Any:
    return tf.tile(x, [tf.math.floormod(n, 4) + 1, 1])


@program(floats("x", None, 4), integers("counts", None), example={"x": [[1.0, 2, 3, 4]] * 3, "counts": [1, 0, 2]})
def repeat_by_input(x: Any, counts: Any) -> Any:
    return tf.repeat(x, tf.math.floormod(counts, 4), axis=0)


@program(integers("start"), integers("limit"), example={"start": 2, "limit": 9})
def range_of_inputs(start: Any, limit: Any) -> Any:
    start = tf.math.floormod(start, 10)
    return tf.range(start, start + tf.math.floormod(limit, 10) + 1)
