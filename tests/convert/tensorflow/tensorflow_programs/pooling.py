"""Pooling in one to three dimensions."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras

from tensorflow_programs.program import PROGRAMS, Program, floats
from transload.convert.tensorflow.framework import tf

L = keras.layers
LINE, IMAGE, VOLUME = floats("x", None, 11, 3), floats("x", None, 9, 7, 3), floats("x", None, 5, 6, 7, 2)

_FUNCTIONS: dict[str, tuple[Any, Callable[[Any], Any]]] = {}
for _padding in ("valid", "same"):
    for _rank, _spec in ((1, LINE), (2, IMAGE), (3, VOLUME)):
        for _kind in ("Max", "Average"):
            _make = getattr(L, f"{_kind}Pooling{_rank}D")
            _FUNCTIONS[f"{_kind.lower()}{_rank}d_{_padding}"] = (
                _spec,
                lambda x, make=_make, p=_padding: make(3, strides=2, padding=p)(x),
            )
_FUNCTIONS |= {
    "global": (
        IMAGE,
        lambda x: (L.GlobalMaxPooling2D()(x), L.GlobalAveragePooling2D(keepdims=True)(x)),
    ),
    "global_volume": (VOLUME, lambda x: (L.GlobalMaxPooling3D()(x), L.GlobalAveragePooling3D()(x))),
    "max_explicit": (IMAGE, lambda x: tf.nn.max_pool2d(x, 3, 2, [[0, 0], [1, 0], [1, 1], [0, 0]])),
    "max_with_argmax": (IMAGE, lambda x: tf.nn.max_pool_with_argmax(x, 2, 2, "VALID")),
    "max_with_argmax_of_batch": (
        IMAGE,
        lambda x: tf.nn.max_pool_with_argmax(x, 3, 2, "SAME", include_batch_in_index=True),
    ),
    "pool_dilated": (IMAGE, lambda x: tf.nn.pool(x, [2, 2], "MAX", dilations=[2, 2], padding="VALID")),
    "average_pool_dilated": (IMAGE, lambda x: tf.nn.pool(x, [2, 2], "AVG", dilations=[2, 2], padding="VALID")),
    "max_over_depth": (IMAGE, lambda x: tf.nn.max_pool(x, [1, 1, 1, 3], [1, 1, 1, 3], "VALID")),
    "fractional_max": (
        IMAGE,
        lambda x: tf.nn.fractional_max_pool(x, [1.0, 1.4, 1.4, 1.0], pseudo_random=True, seed=3)[0],
    ),
    "padded_then_max": (IMAGE, lambda x: tf.nn.max_pool2d(tf.pad(x, [[0, 0], [1, 1], [1, 1], [0, 0]]), 3, 2, "VALID")),
    "adaptive_by_mean": (IMAGE, lambda x: tf.reduce_mean(tf.reshape(x, [-1, 3, 3, 7, 3]), axis=2)),
    "average_any_size": (
        floats("x", None, None, None, 3),
        lambda x: tf.nn.avg_pool2d(tf.pad(x, [[0, 0], [3, 3], [3, 3], [0, 0]]), 3, 2, "SAME"),
    ),
}
_REFUSED = {"fractional_max": "random"}
for _name, (_spec, _function) in _FUNCTIONS.items():
    PROGRAMS[f"pooling.{_name}"] = Program(
        f"pooling.{_name}", (_spec,), lambda f=_function: f, refused=_REFUSED.get(_name)
    )
