"""Resizing: each axis as a sum of the pixels that each target pixel takes, with their weights, as TensorFlow has it.

A product with a matrix of weights would be shorter, but its zeros turn an infinity anywhere in a row into NaN.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError


@dataclass(frozen=True)
class Taps:
    """What the target pixels of an axis are made of.

    Args:
        pixels: [target size, taps], the source pixels, each inside the image.
        weights: Of the same shape, in double precision.
        counts: Which of them are taken at all; None where all are. A weight of zero counts: it makes NaN of infinity.
    """

    pixels: Any
    weights: Any
    counts: Any = None


def _apply(op: Any, images: Any, rows: Taps, columns: Taps) -> Any:
    """Images [batch, height, width, channels] resized in single precision, the height first."""
    images = tf.cast(images, tf.float32)
    return tf.cast(_resize_axis(_resize_axis(images, rows, 1), columns, 2), op.outputs[0].dtype)


def _resize_axis(images: Any, taps: Taps, axis: int) -> Any:
    """One axis of four, resized."""
    around = (slice(None), slice(None), *[tf.newaxis] * (3 - axis))
    parts = tf.gather(images, taps.pixels, axis=axis) * tf.cast(taps.weights, tf.float32)[around]
    if taps.counts is not None:
        parts = tf.where(taps.counts[around], parts, tf.zeros_like(parts))
    return tf.reduce_sum(parts, axis=axis + 1)


def _sizes(images: Any, size: Any) -> list[tuple[Any, Any]]:
    """Source and target sizes of height and width, as numbers where they are known."""
    known = tf.get_static_value(size)
    found: list[tuple[Any, Any]] = []
    for axis in (1, 2):
        source = images.shape[axis] if images.shape[axis] is not None else tf.shape(images)[axis]
        found.append((source, int(known[axis - 1]) if known is not None else size[axis - 1]))
    return found


def _double(value: Any) -> Any:
    return tf.cast(value, tf.float64)


def _scale(source: Any, target: Any, align_corners: bool) -> Any:
    """Source pixels for each target pixel, in the single precision in which TensorFlow has it."""
    source, target = tf.cast(source, tf.float32), tf.cast(target, tf.float32)
    if not align_corners:
        return source / target
    return tf.where(target > 1.0, (source - 1.0) / tf.maximum(target - 1.0, 1.0), source / target)


@decomposition("ResizeBicubic")
def resize_bicubic(op: Any, images: Any, size: Any) -> Any:
    """Keys' kernel from a table of 1025 places, as TensorFlow has it: A is -0.5 with pixels' centers, else -0.75."""
    centers, corners = op.get_attr("half_pixel_centers"), op.get_attr("align_corners")
    taps = [_cubic_taps(source, target, centers, corners) for source, target in _sizes(images, size)]
    return _apply(op, images, *taps)


def _cubic_taps(source: Any, target: Any, centers: bool, corners: bool) -> Taps:
    table_size = 1024
    places = tf.cast(tf.range(target), tf.float32)
    scale = _scale(source, target, corners)
    position = (places + 0.5) * scale - 0.5 if centers else places * scale
    first = tf.floor(position)
    offset = tf.cast(tf.round((position - first) * table_size), tf.float64) / table_size
    a = -0.5 if centers else -0.75

    def near(x: Any) -> Any:
        return ((a + 2.0) * x - (a + 3.0)) * x * x + 1.0

    def far(x: Any) -> Any:
        return ((a * x - 5.0 * a) * x + 8.0 * a) * x - 4.0 * a

    taps = [far(offset + 1.0), near(offset), near(1.0 - offset), far(2.0 - offset)]
    last = tf.cast(source, tf.int32) - 1
    pixels = [tf.cast(first, tf.int32) + shift for shift in (-1, 0, 1, 2)]
    if centers:
        # Pixels beyond the edge do not count, and the others share their weight.
        taps = [
            tf.where(tf.logical_and(pixel >= 0, pixel <= last), tap, tf.zeros_like(tap))
            for pixel, tap in zip(pixels, taps, strict=True)
        ]
        total = taps[0] + taps[1] + taps[2] + taps[3]
        counts = tf.abs(total) >= 1000.0 * 1.1754943508222875e-38
        taps = [tf.where(counts, tap / tf.where(counts, total, tf.ones_like(total)), tap) for tap in taps]
    return Taps(tf.stack([tf.clip_by_value(pixel, 0, last) for pixel in pixels], axis=1), tf.stack(taps, axis=1))


@decomposition("ResizeArea")
def resize_area(op: Any, images: Any, size: Any) -> Any:
    """Each target pixel is the mean of the part of the source that it covers."""
    taps = [_area_taps(source, target, op.get_attr("align_corners")) for source, target in _sizes(images, size)]
    return _apply(op, images, *taps)


def _area_taps(source: Any, target: Any, corners: bool) -> Taps:
    scale = _scale(source, target, corners)
    places = tf.cast(tf.range(target), tf.float32)
    start, end = (places * scale)[:, tf.newaxis], ((places + 1.0) * scale)[:, tf.newaxis]
    count = tf.cast(tf.math.ceil(scale), tf.int32) + 1
    left = tf.floor(start) + tf.cast(tf.range(count), tf.float32)[tf.newaxis]
    covered = _double(tf.minimum(left + 1.0, end) - tf.maximum(left, start)) / _double(scale)
    # Pixels beyond the edge count as the last one, of which the span may take more than there is.
    pixels = tf.minimum(tf.cast(left, tf.int32), tf.cast(source, tf.int32) - 1)
    return Taps(pixels, covered, left < end)


def _lanczos(radius: float) -> Callable[[Any], Any]:
    def kernel(x: Any) -> Any:
        x = tf.abs(x)
        safe = tf.where(x > 1e-3, x, tf.ones_like(x)) * math.pi
        # Sines in single precision: ONNX Runtime has none of doubles.
        sines = [_double(tf.sin(tf.cast(safe / divisor, tf.float32))) for divisor in (1.0, radius)]
        value = radius * sines[0] * sines[1] / (safe * safe)
        return tf.where(x > radius, tf.zeros_like(x), tf.where(x > 1e-3, value, tf.ones_like(x)))

    return kernel


def _gaussian(x: Any) -> Any:
    """TensorFlow's: radius 1.5, a third of it the deviation."""
    x = tf.abs(x)
    return tf.where(x >= 1.5, tf.zeros_like(x), tf.exp(-x * x / (2.0 * 0.5 * 0.5)))


def _triangle(x: Any) -> Any:
    return tf.maximum(1.0 - tf.abs(x), 0.0)


def _box(x: Any) -> Any:
    x = tf.abs(x)
    return tf.where(x < 0.5, tf.ones_like(x), tf.where(x > 0.5, tf.zeros_like(x), 0.5 * tf.ones_like(x)))


def _keys_cubic(x: Any) -> Any:
    x = tf.abs(x)
    near, far = ((1.5 * x - 2.5) * x) * x + 1.0, ((-0.5 * x + 2.5) * x - 4.0) * x + 2.0
    return tf.where(x >= 2.0, tf.zeros_like(x), tf.where(x >= 1.0, far, near))


def _mitchell_cubic(x: Any) -> Any:
    x = tf.abs(x)
    near = ((7.0 / 6.0) * x - 2.0) * x * x + 8.0 / 9.0
    far = ((-7.0 / 18.0 * x + 2.0) * x - 10.0 / 3.0) * x + 16.0 / 9.0
    return tf.where(x >= 2.0, tf.zeros_like(x), tf.where(x >= 1.0, far, near))


KERNELS: dict[str, tuple[Callable[[Any], Any], float]] = {
    "lanczos1": (_lanczos(1.0), 1.0),
    "lanczos3": (_lanczos(3.0), 3.0),
    "lanczos5": (_lanczos(5.0), 5.0),
    "gaussian": (_gaussian, 1.5),
    "triangle": (_triangle, 1.0),
    "box": (_box, 0.5),
    "keyscubic": (_keys_cubic, 2.0),
    "mitchellcubic": (_mitchell_cubic, 2.0),
}


@decomposition("ScaleAndTranslate")
def scale_and_translate(op: Any, images: Any, size: Any, scale: Any, translation: Any) -> Any:
    kind = op.get_attr("kernel_type").decode()
    if kind not in KERNELS:
        raise UnsupportedError(f"The kernel {kind!r} is not translated.")
    kernel, radius = KERNELS[kind]
    taps = [
        _kernel_taps(source, target, scale[axis], translation[axis], kernel, radius, op.get_attr("antialias"))
        for axis, (source, target) in enumerate(_sizes(images, size))
    ]
    return _apply(op, images, *taps)


def _kernel_taps(
    source: Any, target: Any, scale: Any, translation: Any, kernel: Callable[[Any], Any], radius: float, antialias: bool
) -> Taps:
    inverse = 1.0 / scale
    stretch = tf.maximum(inverse, 1.0) if antialias else tf.ones_like(inverse)
    places = tf.cast(tf.range(target), tf.float32)
    centers = (places + 0.5) * inverse - translation * inverse
    limit = tf.cast(source, tf.float32)
    seen = tf.logical_and(centers >= 0.0, centers <= limit)
    # The span of pixels that TensorFlow looks at, whatever the kernel says beyond. Nothing seen, it begins at 0.
    first = tf.where(seen, tf.maximum(tf.math.ceil(centers - radius * stretch - 0.5), 0.0), 0.0)[:, tf.newaxis]
    last = tf.minimum(tf.floor(centers + radius * stretch - 0.5), limit - 1.0)[:, tf.newaxis]
    count = tf.minimum(2 * tf.cast(tf.math.ceil(radius * stretch), tf.int32) + 1, tf.cast(source, tf.int32))
    pixels = first + tf.cast(tf.range(count), tf.float32)[tf.newaxis]
    offsets = _double(pixels + 0.5 - centers[:, tf.newaxis]) / _double(stretch)
    inside = tf.logical_and(pixels <= last, seen[:, tf.newaxis])
    values = tf.where(inside, kernel(offsets), tf.zeros_like(offsets))
    total = tf.reduce_sum(values, axis=1, keepdims=True)
    counts = tf.abs(total) >= 1000.0 * 1.1754943508222875e-38
    weights = tf.where(counts, values / tf.where(counts, total, tf.ones_like(total)), tf.zeros_like(values))
    return Taps(tf.cast(tf.minimum(pixels, limit - 1.0), tf.int32), weights, pixels <= limit - 1.0)
