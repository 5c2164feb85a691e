"""Resizing images by every method and setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, built, floats, integers, program
from transload.convert.tensorflow.framework import tf

IMAGE = floats("image", None, 6, 8, 2)
METHODS = ("bilinear", "nearest", "bicubic", "area", "lanczos3", "lanczos5", "gaussian", "mitchellcubic")


def _add(name: str, function: Callable[..., Any], *specs: Any) -> None:
    PROGRAMS[f"resizing.{name}"] = Program(f"resizing.{name}", specs or (IMAGE,), lambda: function)


for _method in METHODS:
    _add(f"{_method}_up", lambda image, m=_method: tf.image.resize(image, [9, 15], method=m))
    _add(f"{_method}_down", lambda image, m=_method: tf.image.resize(image, [4, 3], method=m))
    _add(f"{_method}_mixed", lambda image, m=_method: tf.image.resize(image, [13, 5], method=m))
    _add(f"{_method}_antialias", lambda image, m=_method: tf.image.resize(image, [4, 3], method=m, antialias=True))
    _add(f"{_method}_antialias_up", lambda image, m=_method: tf.image.resize(image, [7, 11], m, antialias=True))

_RAW = {
    "bilinear": tf.raw_ops.ResizeBilinear,
    "nearest": tf.raw_ops.ResizeNearestNeighbor,
    "bicubic": tf.raw_ops.ResizeBicubic,
}
for _method, _raw in _RAW.items():
    for _corners, _centers in ((False, False), (True, False), (False, True)):
        if _method == "bicubic" and _centers and _corners:
            continue
        _label = "aligned" if _corners else "half_pixel" if _centers else "legacy"
        for _direction, _size in (("up", [9, 15]), ("down", [4, 3])):
            _add(
                f"{_method}_{_label}_{_direction}",
                lambda image, f=_raw, s=_size, a=_corners, h=_centers: f(
                    images=image, size=s, align_corners=a, half_pixel_centers=h
                ),
            )
# Sizes that are one another's multiple by a power of two: ONNX's Resize places their pixels as TensorFlow does.
for _label, _corners, _centers, _sizes in (
    ("legacy", False, False, ([12, 32], [3, 4], [12, 4])),
    ("aligned", True, False, ([11, 15], [21, 29])),
    ("half_pixel", False, True, ([12, 32], [3, 4], [3, 16])),
):
    for _size in _sizes:
        _add(
            f"bilinear_{_label}_to_{_size[0]}_{_size[1]}",
            lambda image, s=_size, a=_corners, h=_centers: tf.raw_ops.ResizeBilinear(
                images=image, size=s, align_corners=a, half_pixel_centers=h
            ),
        )
_CHANNELS = floats("image", None, 6, 8, 9)
for _label, _corners, _centers in (("legacy", False, False), ("aligned", True, False), ("half_pixel", False, True)):
    _add(
        f"bilinear_{_label}_of_channels",
        lambda image, a=_corners, h=_centers: tf.raw_ops.ResizeBilinear(
            images=image, size=[15, 7], align_corners=a, half_pixel_centers=h
        ),
        _CHANNELS,
    )
_add("integers_doubled", lambda i: tf.raw_ops.ResizeBilinear(images=i, size=[4, 6]), integers("i", None, 2, 3, 2))
_add("halves_doubled", lambda i: tf.image.resize(tf.cast(i, tf.float16), [12, 16]))
_add("area_aligned", lambda image: tf.raw_ops.ResizeArea(images=image, size=[4, 3], align_corners=True))
_add("nearest_aligned_to_one", lambda i: tf.raw_ops.ResizeNearestNeighbor(images=i, size=[1, 1], align_corners=True))
_add("preserving_ratio", lambda image: tf.image.resize(image, [9, 9], preserve_aspect_ratio=True))
_add("with_pad", lambda image: tf.image.resize_with_pad(image, 10, 10))
_add("keras_layer", lambda image: tf.keras.layers.Resizing(4, 5)(image))
_add("bytes_nearest", lambda image: tf.image.resize(tf.cast(tf.abs(image) * 9.0, tf.uint8), [9, 5], method="nearest"))
_add("bytes_bilinear", lambda image: tf.image.resize(tf.cast(tf.abs(image) * 9.0, tf.uint8), [9, 5]))


@program(IMAGE, integers("size", 2), example={"size": [7, 5]})
def dynamic_size(image: Any, size: Any) -> Any:
    return tf.image.resize(image, tf.math.floormod(size, 20) + 1)


@program(floats("image", None, None, None, 2), example={"image": np.ones((2, 5, 6, 2), np.float32)})
def doubled(image: Any) -> Any:
    return tf.image.resize(image, tf.shape(image)[1:3] * 2)


@program(floats("image", None, None, None, 2), example={"image": np.ones((2, 5, 6, 2), np.float32)})
def doubled_aligned(image: Any) -> Any:
    size = tf.shape(image)[1:3] * 2 - 1
    return tf.raw_ops.ResizeBilinear(images=image, size=size, align_corners=True)


@program(floats("image", None, None, None, 2), example={"image": np.ones((2, 6, 8, 2), np.float32)})
def halved_or_not(image: Any) -> Any:
    return tf.image.resize(image, tf.shape(image)[1:3] // 2 + 1)


@built(floats("image", None, 6, 8, 3))
def upsampled_convolutions() -> Any:
    first, second = (tf.keras.layers.Conv2D(4, 3, padding="same", activation="relu") for _ in range(2))
    doubling = tf.keras.layers.UpSampling2D(2, interpolation="bilinear")
    return lambda image: second(doubling(first(image)))


@program(floats("image", None, None, None, 2), example={"image": np.ones((2, 5, 6, 2), np.float32)})
def fixed_size_of_any_image(image: Any) -> Any:
    return tf.image.resize(image, [8, 8], method="bicubic")


@program(IMAGE)
def scale_and_translate(image: Any) -> Any:
    return tf.raw_ops.ScaleAndTranslate(
        images=image,
        size=[7, 9],
        scale=[1.3, 0.8],
        translation=[0.5, -1.0],
        kernel_type="triangle",
        antialias=False,
    )
