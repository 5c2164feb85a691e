"""Random numbers: two calls give two answers, which no proof can follow."""

from __future__ import annotations

from typing import Any

import keras

from tensorflow_programs.program import built, floats, program
from transload.convert.tensorflow.framework import tf

X = floats("x", None, 4)


@program(X, refused="random")
def uniform(x: Any) -> Any:
    return x + tf.random.uniform([4])


@program(X, refused="random")
def normal_with_seed(x: Any) -> Any:
    return x + tf.random.normal(tf.shape(x), seed=3)


@program(X, refused="random")
def shuffle(x: Any) -> Any:
    return tf.random.shuffle(x)


@program(X, refused="random")
def categorical(x: Any) -> Any:
    return tf.random.categorical(x, 2)


@program(X)
def stateless_uniform_of_fixed_size(x: Any) -> Any:
    """TensorFlow computes it once and for all when the graph is frozen."""
    return x + tf.random.stateless_uniform([4], seed=[1, 2])


@program(X, refused="random")
def stateless_uniform(x: Any) -> Any:
    return x + tf.random.stateless_uniform(tf.shape(x), seed=[1, 2])


@program(X, refused="random")
def active_dropout(x: Any) -> Any:
    return tf.nn.dropout(x, 0.5)


@built(X)
def inactive_dropout() -> Any:
    layer = keras.layers.Dropout(0.5)
    return lambda x: layer(x, training=False) + 1.0
