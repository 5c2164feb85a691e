"""Arithmetic with complex numbers; ONNX has none, so they become pairs of real ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, floats, program
from transload.convert.tensorflow.framework import tf

X, Y = floats("x", None, 4), floats("y", None, 4)


def _parts(*values: Any) -> Any:
    return tuple(part for value in values for part in (tf.math.real(value), tf.math.imag(value)))


_FUNCTIONS: dict[str, Callable[[Any], Any]] = {
    "absolute": tf.abs,
    "angle": lambda z: tf.math.angle(z),
    "conjugate": lambda z: _parts(tf.math.conj(z)),
    "negative": lambda z: _parts(-z),
    "square": lambda z: _parts(tf.square(z)),
    "product": lambda z: _parts(z * tf.reverse(z, [1])),
    "quotient": lambda z: _parts(z / (tf.reverse(z, [1]) + 3.0)),
    "reciprocal": lambda z: _parts(tf.math.reciprocal(z + 3.0)),
    "exponential": lambda z: _parts(tf.exp(z * 0.1)),
    "logarithm": lambda z: _parts(tf.math.log(z + 3.0)),
    "square_root": lambda z: _parts(tf.sqrt(z + 3.0)),
    "scaled": lambda z: _parts(z * tf.cast(2.0, tf.complex64)),
    "sum": lambda z: _parts(tf.reduce_sum(z, axis=1), tf.reduce_mean(z)),
    "matmul": lambda z: _parts(tf.matmul(z, z, adjoint_b=True)),
    "matmul_with_weights": lambda z: _parts(z @ tf.constant(np.eye(4) * (1 + 2j), tf.complex64)),
    "transposed": lambda z: _parts(tf.transpose(z, conjugate=True)),
    "reshaped": lambda z: _parts(tf.reshape(z, [-1, 2]), tf.expand_dims(z, 0), tf.squeeze(z[:, :1], 1)),
    "sliced": lambda z: _parts(z[:, 1:3], z[0], z[:, ::-1], tf.slice(z, [0, 1], [-1, 2])),
    "joined": lambda z: _parts(tf.concat([z, z * 2.0], axis=1), tf.stack([z, z], axis=-1)),
    "gathered": lambda z: _parts(tf.gather(z, [3, 0], axis=1)),
    "padded": lambda z: _parts(tf.pad(z, [[0, 0], [1, 2]])),
    "selected": lambda z: _parts(tf.where(tf.math.real(z) > 0, z, tf.zeros_like(z))),
    "tiled": lambda z: _parts(tf.tile(z, [1, 2])),
    "split": lambda z: _parts(*tf.split(z, 2, axis=1)),
    "equal": lambda z: tf.equal(z, tf.math.conj(z)),
    "cumulative_product_free": lambda z: _parts(tf.cumsum(z, axis=1)),
}
for _name, _function in _FUNCTIONS.items():
    PROGRAMS[f"complex_numbers.{_name}"] = Program(
        f"complex_numbers.{_name}", (X, Y), lambda f=_function: lambda x, y: f(tf.complex(x, y))
    )


@program(X, Y)
def polar_rotation(x: Any, y: Any) -> Any:
    return _parts(tf.complex(x, y) * tf.complex(tf.cos(x), tf.sin(x)))


@program(X)
def cast_to_complex(x: Any) -> Any:
    return _parts(tf.cast(x, tf.complex64) * tf.constant(1 + 2j, tf.complex64))


@program(X, Y)
def complex_loop(x: Any, y: Any) -> Any:
    """The Mandelbrot iteration."""
    start = tf.complex(tf.tanh(x), tf.tanh(y)) * 0.5

    def step(i: Any, z: Any) -> Any:
        return i + 1, z * z * 0.5 + start

    return _parts(tf.while_loop(lambda i, z: i < 4, step, (0, start))[1])


@program(X, Y)
def complex_cond(x: Any, y: Any) -> Any:
    z = tf.complex(x, y)
    return _parts(tf.cond(tf.reduce_sum(x) > 0.0, lambda: z * z, lambda: tf.math.conj(z)))


@program(X, Y)
def double_precision(x: Any, y: Any) -> Any:
    z = tf.complex(tf.cast(x, tf.float64), tf.cast(y, tf.float64))
    return _parts(z * z)


@program(X, Y, refused="complex")
def complex_output(x: Any, y: Any) -> Any:
    return tf.complex(x, y)
