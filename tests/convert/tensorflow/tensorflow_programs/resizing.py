"""Resizing images by every method and setting."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, floats, integers, program
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
