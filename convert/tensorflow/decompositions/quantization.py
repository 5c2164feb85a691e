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
    inverse = 1.0 / scale
    result = tf.floor((clamped - nudged_low) * inverse + 0.5) * scale + nudged_low
    return tf.where(tf.logical_and(tf.equal(low, 0.0), tf.equal(high, 0.0)), tf.zeros_like(result), result)


@decomposition("FakeQuantWithMinMaxArgs")
def fake_quant_args(op: Any, x: Any) -> Any:
    return _fake_quantize(op, x, tf.constant(op.get_attr("min")), tf.constant(op.get_attr("max")))


@decomposition("FakeQuantWithMinMaxVars", "FakeQuantWithMinMaxVarsPerChannel")
def fake_quant_vars(op: Any, x: Any, low: Any, high: Any) -> Any:
    """tf2onnx has neither a narrow range nor a range for each channel."""
    return _fake_quantize(op, x, low, high)


@decomposition("QuantizeV2", "Dequantize")
def refuse_quantized(op: Any, *inputs: Any) -> Any:
    raise UnsupportedError("Tensors of TensorFlow's own quantized types are not translated.")
