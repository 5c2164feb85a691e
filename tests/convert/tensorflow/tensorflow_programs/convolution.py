"""Convolutions in one to three dimensions, and their transposes."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, built, floats, program
from transload.convert.tensorflow.framework import tf

L = keras.layers
LINE, IMAGE, VOLUME = floats("x", None, 11, 4), floats("x", None, 9, 7, 4), floats("x", None, 5, 6, 7, 2)
FREE_IMAGE = floats("x", None, None, None, 4)
PICTURE = {"x": np.random.default_rng(4).standard_normal((2, 9, 8, 4)).astype(np.float32)}


def _layer(name: str, spec: Any, make: Callable[[], Any], example: dict[str, Any] | None = None) -> None:
    def build() -> Any:
        layer = make()
        layer.build(tuple(spec.shape))
        rng = np.random.default_rng(6)
        layer.set_weights([rng.uniform(-0.5, 0.5, each.shape).astype(each.dtype) for each in layer.get_weights()])
        return lambda x: layer(x)

    PROGRAMS[f"convolution.{name}"] = Program(f"convolution.{name}", (spec,), build, example or {})


for _padding in ("valid", "same"):
    _layer(f"conv1d_{_padding}", LINE, lambda p=_padding: L.Conv1D(3, 3, strides=2, padding=p))
    _layer(f"conv1d_dilated_{_padding}", LINE, lambda p=_padding: L.Conv1D(3, 3, dilation_rate=2, padding=p))
    _layer(f"conv2d_{_padding}", IMAGE, lambda p=_padding: L.Conv2D(3, (3, 2), strides=2, padding=p))
    _layer(f"conv2d_dilated_{_padding}", IMAGE, lambda p=_padding: L.Conv2D(3, 3, dilation_rate=(2, 1), padding=p))
    _layer(f"conv2d_any_size_{_padding}", FREE_IMAGE, lambda p=_padding: L.Conv2D(3, 3, strides=2, padding=p), PICTURE)
    _layer(f"conv2d_even_kernel_{_padding}", FREE_IMAGE, lambda p=_padding: L.Conv2D(3, 4, padding=p), PICTURE)
    _layer(f"conv2d_grouped_{_padding}", IMAGE, lambda p=_padding: L.Conv2D(6, 3, groups=2, padding=p))
    _layer(f"conv3d_{_padding}", VOLUME, lambda p=_padding: L.Conv3D(3, 3, strides=(1, 2, 2), padding=p))
    _layer(f"conv3d_dilated_{_padding}", VOLUME, lambda p=_padding: L.Conv3D(3, 2, dilation_rate=2, padding=p))
    _layer(f"depthwise2d_{_padding}", IMAGE, lambda p=_padding: L.DepthwiseConv2D(3, strides=2, padding=p))
    _layer(
        f"depthwise2d_multiplied_{_padding}",
        IMAGE,
        lambda p=_padding: L.DepthwiseConv2D(3, depth_multiplier=2, padding=p),
    )
    _layer(
        f"depthwise2d_dilated_{_padding}", IMAGE, lambda p=_padding: L.DepthwiseConv2D(3, dilation_rate=2, padding=p)
    )
    _layer(f"depthwise1d_{_padding}", LINE, lambda p=_padding: L.DepthwiseConv1D(3, strides=2, padding=p))
    _layer(f"separable2d_{_padding}", IMAGE, lambda p=_padding: L.SeparableConv2D(5, 3, padding=p))
    _layer(f"separable1d_{_padding}", LINE, lambda p=_padding: L.SeparableConv1D(5, 3, padding=p))
    _layer(f"transposed1d_{_padding}", LINE, lambda p=_padding: L.Conv1DTranspose(3, 3, strides=2, padding=p))
    _layer(f"transposed2d_{_padding}", IMAGE, lambda p=_padding: L.Conv2DTranspose(3, 3, strides=2, padding=p))
    _layer(
        f"transposed2d_even_{_padding}", IMAGE, lambda p=_padding: L.Conv2DTranspose(3, 4, strides=(2, 3), padding=p)
    )
    _layer(
        f"transposed2d_any_size_{_padding}",
        FREE_IMAGE,
        lambda p=_padding: L.Conv2DTranspose(3, 3, strides=2, padding=p),
        PICTURE,
    )
    _layer(
        f"transposed2d_wide_stride_{_padding}", IMAGE, lambda p=_padding: L.Conv2DTranspose(3, 2, strides=3, padding=p)
    )
    _layer(f"transposed3d_{_padding}", VOLUME, lambda p=_padding: L.Conv3DTranspose(3, 3, strides=2, padding=p))
_layer("conv1d_causal", LINE, lambda: L.Conv1D(3, 3, dilation_rate=2, padding="causal"))
_layer(
    "transposed2d_output_padding", IMAGE, lambda: L.Conv2DTranspose(3, 3, strides=2, padding="same", output_padding=1)
)
_layer("transposed2d_output_padding_valid", IMAGE, lambda: L.Conv2DTranspose(3, 3, strides=2, output_padding=0))
_layer("conv1d_of_any_length", floats("x", None, None, 4), lambda: L.Conv1D(3, 5, strides=2, padding="same"))


@built(IMAGE, refused="The source refuses the example inputs")
def transposed2d_dilated() -> Any:
    """TensorFlow has no kernel for it on a CPU."""
    layer = L.Conv2DTranspose(3, 3, dilation_rate=2, padding="same")
    return lambda x: layer(x)


def _weights(*shape: int) -> Any:
    return tf.constant(np.random.default_rng(8).standard_normal(shape).astype(np.float32))


@program(IMAGE)
def explicit_padding(x: Any) -> Any:
    return tf.nn.conv2d(x, _weights(3, 3, 4, 2), 2, [[0, 0], [1, 2], [0, 1], [0, 0]])


@program(IMAGE)
def explicit_padding_depthwise(x: Any) -> Any:
    return tf.nn.depthwise_conv2d(x, _weights(3, 3, 4, 1), [1, 1, 1, 1], [[0, 0], [1, 2], [0, 1], [0, 0]])


@program(IMAGE)
def explicit_padding_transposed(x: Any) -> Any:
    shape = [tf.shape(x)[0], 17, 14, 2]
    return tf.nn.conv2d_transpose(x, _weights(3, 3, 2, 4), shape, 2, [[0, 0], [1, 1], [0, 1], [0, 0]])


@program(IMAGE)
def atrous(x: Any) -> Any:
    return tf.nn.atrous_conv2d(x, _weights(3, 3, 4, 2), 2, "SAME")


@program(floats("x", None, 9, 7, 4), floats("kernel", 3, 3, 4, 2))
def kernel_from_input(x: Any, kernel: Any) -> Any:
    return tf.nn.conv2d(x, kernel, 1, "SAME")


@program(floats("x", None, 9, 7, 4), floats("kernel", 3, 3, 4, 2))
def depthwise_kernel_from_input(x: Any, kernel: Any) -> Any:
    return tf.nn.depthwise_conv2d(x, kernel, [1, 1, 1, 1], "SAME")


@program(IMAGE)
def dilation2d(x: Any) -> Any:
    return tf.nn.dilation2d(x, _weights(3, 3, 4), [1, 1, 1, 1], "SAME", "NHWC", [1, 1, 1, 1])


@program(IMAGE)
def erosion2d(x: Any) -> Any:
    return tf.nn.erosion2d(x, _weights(3, 3, 4), [1, 2, 2, 1], "VALID", "NHWC", [1, 1, 1, 1])


@built(floats("image", None, 16, 16, 3))
def residual_block() -> Any:
    image = keras.Input((16, 16, 3))
    first = L.ReLU()(L.BatchNormalization()(L.Conv2D(4, 3, strides=2, padding="same")(image)))
    second = L.BatchNormalization()(L.Conv2D(4, 3, padding="same")(first))
    model = keras.Model(image, L.Dense(3)(L.GlobalAveragePooling2D()(L.Add()([first, second]))))
    return lambda image: model(image, training=False)


@built(floats("image", None, 16, 16, 3))
def u_net() -> Any:
    image = keras.Input((16, 16, 3))
    down = L.Conv2D(4, 3, padding="same", activation="relu")(image)
    bottom = L.Conv2D(6, 3, padding="same")(L.MaxPooling2D()(down))
    up = L.Concatenate()([L.UpSampling2D(interpolation="bilinear")(bottom), down])
    up = L.Concatenate()([L.Conv2DTranspose(4, 3, strides=2, padding="same")(bottom), up])
    model = keras.Model(image, L.Conv2D(2, 1)(up))
    return lambda image: model(image, training=False)
