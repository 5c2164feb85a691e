"""Fake quantization, as training for integer hardware leaves it in graphs."""

from __future__ import annotations

from typing import Any

from tensorflow_programs.program import floats, program
from transload.convert.tensorflow.framework import tf

X = floats("x", None, 4)


@program(X)
def fake_quant_args(x: Any) -> Any:
    return tf.quantization.fake_quant_with_min_max_args(x, min=-2.0, max=3.0)


@program(X)
def fake_quant_vars(x: Any) -> Any:
    return tf.quantization.fake_quant_with_min_max_vars(x, -2.0, 3.0)


@program(X)
def fake_quant_narrow_range(x: Any) -> Any:
    return tf.quantization.fake_quant_with_min_max_vars(x, -2.0, 3.0, num_bits=4, narrow_range=True)


@program(X)
def fake_quant_per_channel(x: Any) -> Any:
    low, high = tf.constant([-1.0, -2.0, -3.0, 0.0]), tf.constant([1.0, 2.0, 1.5, 6.0])
    return tf.quantization.fake_quant_with_min_max_vars_per_channel(x, low, high)


@program(X)
def quantize_and_dequantize(x: Any) -> Any:
    return tf.quantization.quantize_and_dequantize_v2(x, -2.0, 3.0, range_given=True)


@program(X)
def quantize_and_dequantize_by_range(x: Any) -> Any:
    return tf.quantization.quantize_and_dequantize_v2(x, 0.0, 0.0, range_given=False)


@program(X, refused="QuantizeV2")
def quantize_then_dequantize(x: Any) -> Any:
    quantized, low, high = tf.quantization.quantize(x, -2.0, 3.0, tf.quint8)
    return tf.quantization.dequantize(quantized, low, high)
