"""Normalization that ONNX Runtime computes less precisely than TensorFlow."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


@decomposition("LRN")
def local_response_normalization(op: Any, x: Any) -> Any:
    """Over neighbouring channels, the last axis; ONNX Runtime's LRN is off by 1e-5 of the value."""
    # By a product, as TensorFlow, where a NaN reaches all channels.
    channels = tf.range(tf.shape(x)[3])
    near = tf.abs(channels[:, tf.newaxis] - channels) <= op.get_attr("depth_radius")
    total = tf.matmul(tf.square(x), tf.cast(near, x.dtype))
    return x * tf.pow(op.get_attr("bias") + op.get_attr("alpha") * total, -op.get_attr("beta"))
