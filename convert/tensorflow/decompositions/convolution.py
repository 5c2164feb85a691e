"""Transposed convolutions and pooling in settings that tf2onnx does not foresee."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf


def _strides_over_kernel(op: Any) -> bool:
    kernel, strides = op.inputs[1].shape, op.get_attr("strides")
    explicit = op.get_attr("padding") == b"EXPLICIT"
    return (
        not explicit
        and op.get_attr("data_format") == b"NHWC"
        and any(size is not None and size < stride for size, stride in zip(kernel[:2], strides[1:3], strict=True))
    )


@decomposition("Conv2DBackpropInput", when=_strides_over_kernel)
def transposed_convolution(op: Any, sizes: Any, kernel: Any, x: Any) -> Any:
    """Where strides leave pixels that no kernel reaches, tf2onnx writes negative padding; these pixels are zeros.

    A convolution with the kernel turned round, of the pixels set apart by zeros.
    """
    strides, dilations = op.get_attr("strides")[1:3], op.get_attr("dilations")[1:3]
    reach = [(int(kernel.shape[axis]) - 1) * dilations[axis] + 1 for axis in (0, 1)]
    shape = tf.shape(x)
    spread = tf.pad(
        x[:, :, tf.newaxis, :, tf.newaxis], [[0, 0], [0, 0], [0, strides[0] - 1], [0, 0], [0, strides[1] - 1], [0, 0]]
    )
    spread = tf.reshape(spread, [shape[0], shape[1] * strides[0], shape[2] * strides[1], x.shape[3]])
    before = [_padding_before(op, sizes, x, reach, axis) for axis in (0, 1)]
    # As much in front as the kernel reaches less what is cut off, and enough behind for the size that is asked for.
    widths = [
        [reach[axis] - 1 - before[axis], tf.maximum(sizes[axis + 1] + before[axis] - tf.shape(spread)[axis + 1], 0)]
        for axis in (0, 1)
    ]
    spread = tf.pad(spread, [[0, 0], *widths, [0, 0]])
    turned = tf.transpose(tf.reverse(kernel, [0, 1]), [0, 1, 3, 2])
    result = tf.nn.conv2d(spread, turned, 1, "VALID", dilations=dilations)
    return result[:, : sizes[1], : sizes[2]]


def _padding_before(op: Any, sizes: Any, x: Any, reach: list[int], axis: int) -> Any:
    """What TensorFlow cuts off in front: half of what a SAME convolution of the result would pad."""
    if op.get_attr("padding") == b"VALID":
        return 0
    stride = op.get_attr("strides")[axis + 1]
    return tf.maximum((tf.shape(x)[axis + 1] - 1) * stride + reach[axis] - sizes[axis + 1], 0) // 2


@decomposition("MaxPool", when=lambda op: op.get_attr("ksize")[3] != 1 and op.get_attr("data_format") == b"NHWC")
def max_over_channels(op: Any, x: Any) -> Any:
    """TensorFlow takes only windows that lie beside each other and fill the channels. tf2onnx pools the batch."""
    count = op.get_attr("ksize")[3]
    sizes = tf.shape(x)
    return tf.reduce_max(tf.reshape(x, tf.concat([sizes[:3], [sizes[3] // count, count]], 0)), axis=-1)
