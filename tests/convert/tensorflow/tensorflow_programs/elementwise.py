"""Functions of single elements."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

from tensorflow_programs.program import PROGRAMS, Program, floats, integers, program
from transload.convert.tensorflow.framework import tf

X = floats("x", None, 4)
Y = floats("y", None, 4)
NUMBERS = [[-3.5, -2.5, -1.5, -0.5], [0.5, 1.5, 2.5, 0.0]]
ODD = [*NUMBERS[:1], [0.5, 1.5, 2.5, float("nan")]]
INTS = {"a": [[-7, -5, 7, 5]], "b": [[3, -3, -3, 3]]}

_UNARY: dict[str, Callable[[Any], Any]] = {
    "is_nan": tf.math.is_nan,
    "is_inf": tf.math.is_inf,
    "is_finite": tf.math.is_finite,
    "abs": tf.abs,
    "sign": tf.sign,
    "round": tf.round,
    "rint": tf.math.rint,
    "floor": tf.floor,
    "ceil": tf.math.ceil,
    "exp": lambda x: tf.exp(tf.minimum(x, 5.0)),
    "expm1": lambda x: tf.math.expm1(tf.minimum(x, 5.0)),
    "log": lambda x: tf.math.log(tf.abs(x) + 1e-3),
    "log1p": lambda x: tf.math.log1p(tf.abs(x)),
    "sqrt": lambda x: tf.sqrt(tf.abs(x)),
    "rsqrt": lambda x: tf.math.rsqrt(tf.abs(x) + 1e-3),
    "square": tf.square,
    "reciprocal": lambda x: tf.math.reciprocal(tf.abs(x) + 0.1),
    "sin": lambda x: tf.sin(tf.clip_by_value(x, -20.0, 20.0)),
    "tan": lambda x: tf.tan(tf.clip_by_value(x, -1.5, 1.5)),
    "asin": lambda x: tf.asin(tf.clip_by_value(x, -1.0, 1.0)),
    "acos": lambda x: tf.acos(tf.clip_by_value(x, -1.0, 1.0)),
    "atan": tf.atan,
    "sinh": lambda x: tf.sinh(tf.clip_by_value(x, -5.0, 5.0)),
    "cosh": lambda x: tf.cosh(tf.clip_by_value(x, -5.0, 5.0)),
    "asinh": tf.asinh,
    "acosh": lambda x: tf.acosh(tf.abs(x) + 1.0),
    "atanh": lambda x: tf.atanh(tf.clip_by_value(x, -0.9, 0.9)),
    "sigmoid": tf.sigmoid,
    "log_sigmoid": tf.math.log_sigmoid,
    "softplus": tf.math.softplus,
    "softsign": tf.nn.softsign,
    "relu": tf.nn.relu,
    "relu6": tf.nn.relu6,
    "leaky_relu": lambda x: tf.nn.leaky_relu(x, 0.3),
    "elu": tf.nn.elu,
    "selu": tf.nn.selu,
    "silu": tf.nn.silu,
    "gelu": tf.nn.gelu,
    "gelu_approximate": lambda x: tf.nn.gelu(x, approximate=True),
    "crelu": tf.nn.crelu,
    "hard_sigmoid": tf.keras.activations.hard_sigmoid,
    "mish": tf.keras.activations.mish,
    "erf": tf.math.erf,
    "erfc": tf.math.erfc,
    "erfinv": lambda x: tf.math.erfinv(tf.clip_by_value(x, -0.99, 0.99)),
    "ndtri": lambda x: tf.math.ndtri(tf.sigmoid(x)),
    "lgamma": lambda x: tf.math.lgamma(tf.abs(x) + 0.1),
    "digamma": lambda x: tf.math.digamma(tf.abs(x) + 0.1),
    "bessel_i0e": tf.math.bessel_i0e,
    "bessel_i1e": tf.math.bessel_i1e,
    "softmax": tf.nn.softmax,
    "log_softmax": tf.nn.log_softmax,
    "softmax_of_first_axis": lambda x: tf.nn.softmax(x, axis=0),
    "cast_to_int": lambda x: tf.cast(tf.clip_by_value(x, -100.0, 100.0), tf.int32),
    "cast_to_bool": lambda x: tf.cast(x, tf.bool),
    "saturate_cast": lambda x: tf.saturate_cast(x, tf.int8),
    "clip": lambda x: tf.clip_by_value(x, -1.0, 1.5),
    "nan_to_zero": lambda x: tf.where(tf.math.is_nan(x), tf.zeros_like(x), x),
    "l2_normalize": lambda x: tf.math.l2_normalize(x, axis=-1),
    "clip_by_norm": lambda x: tf.clip_by_norm(x, 1.5, axes=[1]),
    "bitcast": lambda x: tf.bitcast(x, tf.int32),
    "half": lambda x: tf.cast(tf.cast(x, tf.float16) * tf.constant(2.0, tf.float16), tf.float32),
    "bfloat16": lambda x: tf.cast(tf.cast(x, tf.bfloat16), tf.float32),
    "double": lambda x: tf.cast(x, tf.float64) * tf.constant(1 / 3, tf.float64),
}
_REFUSED = {
    "bitcast": "ONNX cannot read the bits",
    "igamma": "Igamma",
    "polygamma": "Polygamma",
    "zeta": "Zeta",
    "betainc": "Betainc",
    "nextafter": "NextAfter",
}
for _name, _function in _UNARY.items():
    PROGRAMS[f"elementwise.{_name}"] = Program(
        f"elementwise.{_name}",
        (X,),
        lambda f=_function: f,
        {"x": NUMBERS if "softmax" in _name else ODD},
        _REFUSED.get(_name),
    )

_BINARY: dict[str, Callable[[Any, Any], Any]] = {
    "arithmetic": lambda x, y: (x + y, x - y, x * y, tf.math.divide_no_nan(x, y)),
    "maximum_minimum": lambda x, y: (tf.maximum(x, y), tf.minimum(x, y)),
    "pow": lambda x, y: tf.pow(tf.abs(x) + 0.1, tf.clip_by_value(y, -3.0, 3.0)),
    "atan2": tf.atan2,
    "floor_division": lambda x, y: (tf.math.floordiv(x, y), tf.math.floormod(x, y)),
    "truncated_modulo": lambda x, y: tf.truncatemod(x, y),
    "squared_difference": tf.math.squared_difference,
    "xlogy": lambda x, y: tf.math.xlogy(x, tf.abs(y) + 0.1),
    "xlog1py": lambda x, y: tf.math.xlog1py(x, tf.abs(y)),
    "xdivy": lambda x, y: tf.math.xdivy(x, y),
    "comparisons": lambda x, y: (x < y, x <= y, x > y, x >= y, tf.equal(x, y), tf.not_equal(x, y)),
    "logic": lambda x, y: (
        tf.logical_and(x > 0, y > 0),
        tf.logical_or(x > 0, y > 0),
        tf.math.logical_xor(x > 0, y > 0),
        tf.logical_not(x > 0),
    ),
    "where": lambda x, y: tf.where(x > y, x, y),
    "where_broadcast": lambda x, y: tf.where(x[:, :1] > 0, x, y[:, 1:2]),
    "mul_no_nan": tf.math.multiply_no_nan,
    "igamma": lambda x, y: tf.math.igamma(tf.abs(x) + 0.1, tf.abs(y)),
    "polygamma": lambda x, y: tf.math.polygamma(tf.constant(1.0), tf.abs(x) + 0.5 + 0.0 * y),
    "zeta": lambda x, y: tf.math.zeta(tf.abs(x) + 1.5, tf.abs(y) + 0.5),
    "betainc": lambda x, y: tf.math.betainc(tf.abs(x) + 0.5, tf.abs(y) + 0.5, tf.sigmoid(x)),
    "nextafter": lambda x, y: tf.math.nextafter(tf.cast(x, tf.float64), tf.cast(y, tf.float64)),
    "add_n": lambda x, y: tf.add_n([x, y, x]),
    "cross": lambda x, y: tf.linalg.cross(x[:, :3], y[:, :3]),
    "approximately_equal": lambda x, y: tf.raw_ops.ApproximateEqual(x=x, y=y, tolerance=0.5),
    "log_cosh": lambda x, y: tf.keras.losses.LogCosh(reduction="none")(x, y),
    "sigmoid_cross_entropy": lambda x, y: tf.nn.sigmoid_cross_entropy_with_logits(labels=tf.sigmoid(x), logits=y),
    "softmax_cross_entropy": lambda x, y: tf.nn.softmax_cross_entropy_with_logits(labels=tf.nn.softmax(x), logits=y),
    "clip_by_global_norm": lambda x, y: tf.clip_by_global_norm([x, y], 2.0)[0],
}
for _name, _pair in _BINARY.items():
    PROGRAMS[f"elementwise.{_name}"] = Program(
        f"elementwise.{_name}", (X, Y), lambda f=_pair: f, refused=_REFUSED.get(_name)
    )

A, B = integers("a", None, 4), integers("b", None, 4)
_INTEGER: dict[str, Callable[[Any, Any], Any]] = {
    "integer_division": lambda a, b: (a // b, a % b, tf.truncatediv(a, b), tf.truncatemod(a, b)),
    "integer_true_division": lambda a, b: a / b,
    "integer_power": lambda a, b: tf.pow(a, tf.abs(b) % 3),
    "bitwise": lambda a, b: (
        tf.bitwise.bitwise_and(a, b),
        tf.bitwise.bitwise_or(a, b),
        tf.bitwise.bitwise_xor(a, b),
        tf.bitwise.invert(a),
    ),
    "shifts": lambda a, b: (tf.bitwise.left_shift(a, tf.abs(b) % 8), tf.bitwise.right_shift(a, tf.abs(b) % 8)),
    "unsigned_shifts": lambda a, b: tf.bitwise.right_shift(tf.cast(a, tf.uint32), tf.cast(tf.abs(b) % 8, tf.uint32)),
    "population_count": lambda a, b: tf.raw_ops.PopulationCount(x=a + b),
    "integer_maximum": lambda a, b: (tf.maximum(a, b), tf.minimum(a, b), tf.sign(a), tf.abs(b), -a),
    "integer_square": lambda a, b: (a * a, tf.square(b), tf.math.squared_difference(a, b)),
    "narrow_integers": lambda a, b: tf.cast(a, tf.int8) + tf.cast(b, tf.int8),
    "unsigned_bytes": lambda a, b: tf.cast(a, tf.uint8) * tf.cast(b, tf.uint8),
}
for _name, _pair in _INTEGER.items():
    PROGRAMS[f"elementwise.{_name}"] = Program(f"elementwise.{_name}", (A, B), lambda f=_pair: f, INTS)


@program(X)
def sparse_softmax_cross_entropy(x: Any) -> Any:
    return tf.nn.sparse_softmax_cross_entropy_with_logits(labels=tf.argmax(x[:, ::-1], axis=1), logits=x)


@program(X, integers("targets", None), example={"x": NUMBERS, "targets": [1, 2]})
def in_top_k(x: Any, targets: Any) -> Any:
    return tf.math.in_top_k(targets, x, 2)
