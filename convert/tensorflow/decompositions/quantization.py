"""Fake quantization: rounding to the steps of an integer type."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError


def _fake_quantize(op: Any, x: Any, low: Any, high: Any) -> Any:
    """Kernels' own way: the range is nudged so that zero is a step, x clamped to it and rounded half up."""
    first = 1.0 if op.get_attr("narrow_range") else 0.0
    last = float(2 ** op.get_attr("num_bits") - 1)
    scale = (high - low) / (last - first)
    from_low = first - low / scale
    # std::round: halves away from zero; what is rounded is within the positive range.
    zero = tf.where(
        from_low < first,
        first * tf.ones_like(from_low),
        tf.where(from_low > last, last * tf.ones_like(from_low), tf.floor(from_low + 0.5)),
    )
    nudged_low, nudged_high = (first - zero) * scale, (last - zero) * scale
    clamped = tf.minimum(tf.maximum(x, nudged_low), nudged_high)
    # The kernel of constant ranges multiplies, that of ranges from outside divides. A plain division by a constant
    # would be made a product by TensorFlow's own simplification of the graph.
    shifted = clamped - nudged_low
    is_constant = op.type == "FakeQuantWithMinMaxArgs"
    steps = shifted * (1.0 / scale) if is_constant else tf.math.divide_no_nan(shifted, scale)
    result = tf.floor(steps + 0.5) * scale + nudged_low
    return tf.where(tf.logical_and(tf.equal(low, 0.0), tf.equal(high, 0.0)), tf.zeros_like(result), result)


@decomposition("FakeQuantWithMinMaxArgs")
def fake_quant_args(op: Any, x: Any) -> Any:
    return _fake_quantize(op, x, tf.constant(op.get_attr("min")), tf.constant(op.get_attr("max")))


@decomposition("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_vars(op: Any, x: Any, low: Any, high: Any) -> Any:
    """tf2onnx has neither a narrow range nor a range for each channel."""
    return _fake_quantize(op, x, low, high)


def _has_one_range(op: Any) -> bool:
    return bool(op.get_attr("range_given") and op.get_attr("axis") == -1)


@decomposition("QuantizeAndDequantizeV2", "QuantizeAndDequantizeV4", when=_has_one_range)
def quantize_and_dequantize(op: Any, x: Any, low: Any, high: Any) -> Any:
    """tf2onnx makes integers in between, which have no NaN."""
    bits, is_signed = op.get_attr("num_bits"), op.get_attr("signed_input")
    first = float(-(1 << (bits - 1)) + bool(op.get_attr("narrow_range"))) if is_signed else 0.0
    last = float((1 << (bits - 1)) - 1) if is_signed else float((1 << bits) - 1)
    unbounded = tf.fill(tf.shape(low), tf.constant(x.dtype.max, x.dtype))
    by_low = tf.where(first * low > 0, first / tf.where(first * low > 0, low, tf.ones_like(low)), unbounded)
    by_high = tf.where(last * high > 0, last / tf.where(last * high > 0, high, tf.ones_like(high)), unbounded)
    is_low = by_low < by_high
    scale = tf.minimum(by_low, by_high)
    inverse = tf.where(is_low, low / first if first else tf.zeros_like(low), high / last)
    clamped = tf.maximum(tf.minimum(x, tf.where(is_low, last * inverse, high)), tf.where(is_low, low, first * inverse))
    steps = clamped * scale
    return (tf.floor(steps + 0.5) if op.get_attr("round_mode") == b"HALF_UP" else tf.round(steps)) * inverse


@decomposition("QuantizeV2", "Dequantize")
def refuse_quantized(op: Any, *inputs: Any) -> Any:
    raise UnsupportedError("Tensors of TensorFlow's own quantized types are not translated.")
