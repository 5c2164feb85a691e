"""Colours, warps, crops and suppression of overlapping boxes."""

from __future__ import annotations

from typing import Any

from transload.convert.tensorflow.decompositions.registry import decomposition
from transload.convert.tensorflow.framework import tf
from transload.serialize.errors import UnsupportedError

# Colours


@decomposition("RGBToHSV")
def rgb_to_hsv(op: Any, images: Any) -> Any:
    return tf.stack(_to_hsv(images), axis=-1)


def _to_hsv(images: Any) -> tuple[Any, Any, Any]:
    red, green, blue = tf.unstack(images, num=3, axis=-1)
    value = tf.reduce_max(images, axis=-1)
    spread = value - tf.reduce_min(images, axis=-1)
    safe = tf.where(value > 0, value, tf.ones_like(value))
    saturation = tf.where(value > 0, spread / safe, tf.zeros_like(value))
    norm = 1.0 / (6.0 * tf.where(spread > 0, spread, tf.ones_like(spread)))
    hue = tf.where(
        tf.equal(red, value),
        norm * (green - blue),
        tf.where(tf.equal(green, value), norm * (blue - red) + 2.0 / 6.0, norm * (red - green) + 4.0 / 6.0),
    )
    hue = tf.where(spread > 0, hue, tf.zeros_like(hue))
    return tf.where(hue < 0, hue + 1.0, hue), saturation, value


@decomposition("HSVToRGB")
def hsv_to_rgb(op: Any, images: Any) -> Any:
    hue, saturation, value = tf.unstack(images, num=3, axis=-1)
    return _to_rgb(hue, saturation, value)


def _to_rgb(hue: Any, saturation: Any, value: Any) -> Any:
    distance = tf.abs(6.0 * hue - 3.0)
    red = tf.clip_by_value(distance - 1.0, 0.0, 1.0)
    green = tf.clip_by_value(2.0 - tf.abs(6.0 * hue - 2.0), 0.0, 1.0)
    blue = tf.clip_by_value(2.0 - tf.abs(6.0 * hue - 4.0), 0.0, 1.0)
    return tf.stack([((1.0 - saturation) + saturation * part) * value for part in (red, green, blue)], axis=-1)


@decomposition("AdjustSaturation")
def adjust_saturation(op: Any, images: Any, scale: Any) -> Any:
    """With another way back than that of HSVToRGB: a hue that rounds to 1 is in none of the circle's six parts."""
    hue, saturation, value = _to_hsv(images)
    chroma = tf.clip_by_value(saturation * scale, 0.0, 1.0) * value
    place = hue * 6.0
    part = tf.floor(place)
    middle = chroma * (1.0 - tf.abs(tf.math.floormod(place, 2.0) - 1.0))
    none = tf.zeros_like(chroma)
    colors = [_choose_by_number(part, order, none) for order in _orders(chroma, middle, none)]
    return tf.stack(colors, axis=-1) + (value - chroma)[..., tf.newaxis]


def _orders(large: Any, middle: Any, small: Any) -> list[list[Any]]:
    """For red, green and blue what each has in the six parts of the circle of hues."""
    return [
        [large, middle, small, small, middle, large],
        [middle, large, large, middle, small, small],
        [small, small, middle, large, large, middle],
    ]


def _choose_by_number(number: Any, values: list[Any], otherwise: Any) -> Any:
    result = otherwise
    for index, value in enumerate(values):
        result = tf.where(tf.equal(number, float(index)), value, result)
    return result


@decomposition("AdjustHue")
def adjust_hue(op: Any, images: Any, delta: Any) -> Any:
    """By the largest, middle and smallest part of a colour, which may be negative, as the kernel of TensorFlow does."""
    red, green, blue = tf.unstack(images, num=3, axis=-1)
    by_green = tf.where(blue < red, 1.0, tf.where(blue < green, 2.0, 3.0))
    by_red = tf.where(blue < green, 0.0, tf.where(blue < red, 5.0, 4.0))
    part = tf.where(red < green, by_green, by_red)
    large = _choose_by_number(part, [red, green, green, blue, blue, red], red)
    middle = _choose_by_number(part, [green, red, blue, green, red, blue], red)
    small = _choose_by_number(part, [blue, blue, red, red, green, green], red)
    is_gray = tf.equal(large, small)
    ratio = (middle - small) / tf.where(is_gray, tf.ones_like(large), large - small)
    odd = tf.equal(tf.math.floormod(part, 2.0), 1.0)
    hue = tf.where(is_gray, tf.zeros_like(ratio), part + tf.where(odd, 1.0 - ratio, ratio)) + delta * 6.0
    hue = hue - 6.0 * tf.floor(hue / 6.0)
    part = tf.floor(hue)
    rest = hue - part
    rest = tf.where(tf.equal(tf.math.floormod(part, 2.0), 1.0), 1.0 - rest, rest)
    middle = small + rest * (large - small)
    return tf.stack([_choose_by_number(part, order, order[5]) for order in _orders(large, middle, small)], axis=-1)


@decomposition("DrawBoundingBoxesV2", "DrawBoundingBoxes", "ExtractGlimpse", "ExtractGlimpseV2")
def refuse_drawing(op: Any, *inputs: Any) -> Any:
    raise UnsupportedError("Drawing, and glimpses whose border is noise, are not translated.")


# Warps


def _fill_position(position: Any, size: Any, mode: str) -> Any:
    """Where a place beyond the edge is looked up; CONSTANT leaves it there."""
    if mode == "CONSTANT":
        return position
    size = tf.cast(size, position.dtype)
    if mode == "NEAREST":
        return tf.clip_by_value(position, 0.0, size - 1.0)
    if mode == "WRAP":
        wide = size - 1.0
        low = position + wide * (tf.cast(tf.cast(-position / tf.maximum(wide, 1.0), tf.int32), position.dtype) + 1.0)
        high = position - wide * tf.cast(tf.cast(position / tf.maximum(wide, 1.0), tf.int32), position.dtype)
        wrapped = tf.where(position < 0, low, tf.where(position > wide, high, position))
        return tf.clip_by_value(tf.where(size <= 1, tf.zeros_like(wrapped), wrapped), 0.0, wide)
    double = 2.0 * size
    low = tf.where(
        position < double,
        double * tf.cast(tf.cast(-position / double, tf.int32), position.dtype) + position,
        position,
    )
    low = tf.where(low < -size, low + double, -low - 1.0)
    high = position - double * tf.cast(tf.cast(position / double, tf.int32), position.dtype)
    high = tf.where(high >= size, double - high - 1.0, high)
    reflected = tf.where(position < 0, low, tf.where(position > size - 1.0, high, position))
    return tf.clip_by_value(tf.where(size <= 1, tf.zeros_like(reflected), reflected), 0.0, size - 1.0)


@decomposition("ImageProjectiveTransformV3", "ImageProjectiveTransformV2")
def projective_transform(op: Any, images: Any, transforms: Any, shape: Any, fill: Any = 0.0) -> Any:
    mode = op.get_attr("fill_mode").decode()
    if images.dtype != tf.float32:
        raise UnsupportedError("Images of another type than float32 are not translated.")
    height, width = tf.shape(images)[1], tf.shape(images)[2]
    y = tf.cast(tf.range(shape[0]), tf.float32)[tf.newaxis, :, tf.newaxis]
    x = tf.cast(tf.range(shape[1]), tf.float32)[tf.newaxis, tf.newaxis, :]
    a = [transforms[:, index, tf.newaxis, tf.newaxis] for index in range(8)]
    depth = a[6] * x + a[7] * y + 1.0
    beyond = tf.equal(depth, 0.0)
    depth = tf.where(beyond, tf.ones_like(depth), depth)
    input_x = _fill_position((a[0] * x + a[1] * y + a[2]) / depth, width, mode)
    input_y = _fill_position((a[3] * x + a[4] * y + a[5]) / depth, height, mode)
    sizes = tf.stack([tf.shape(images)[0], shape[0], shape[1]])
    input_x, input_y = tf.broadcast_to(input_x, sizes), tf.broadcast_to(input_y, sizes)

    def read(row: Any, column: Any) -> Any:
        inside = tf.logical_and(
            tf.logical_and(row >= 0, row < tf.cast(height, tf.float32)),
            tf.logical_and(column >= 0, column < tf.cast(width, tf.float32)),
        )
        flat = tf.cast(row, tf.int32) * width + tf.cast(column, tf.int32)
        flat = tf.where(inside, flat, tf.zeros_like(flat))
        pixels = tf.reshape(images, tf.stack([tf.shape(images)[0], height * width, tf.shape(images)[3]]))
        found = tf.gather(pixels, tf.reshape(flat, tf.stack([tf.shape(images)[0], -1])), axis=1, batch_dims=1)
        found = tf.reshape(found, tf.concat([sizes, tf.shape(images)[3:]], 0))
        return tf.where(inside[..., tf.newaxis], found, fill * tf.ones_like(found))

    if op.get_attr("interpolation") == b"NEAREST":
        result = read(tf.round(input_y), tf.round(input_x))
    else:
        top, left = tf.floor(input_y), tf.floor(input_x)
        down, right = (input_y - top)[..., tf.newaxis], (input_x - left)[..., tf.newaxis]
        upper = (1.0 - right) * read(top, left) + right * read(top, left + 1.0)
        lower = (1.0 - right) * read(top + 1.0, left) + right * read(top + 1.0, left + 1.0)
        result = (1.0 - down) * upper + down * lower
    missing = tf.broadcast_to(beyond, sizes)[..., tf.newaxis]
    return tf.where(missing, fill * tf.ones_like(result), result)


def _windows(
    images: Any, size: list[int], strides: list[int], rates: list[int], padding: bytes, fill: Any
) -> list[Any]:
    """For each place in a window, rows first, the pixels that all windows have there."""
    if padding == b"SAME":
        widths: list[Any] = [[0, 0]]
        for axis, (length, stride, rate) in enumerate(zip(size, strides, rates, strict=True), 1):
            pixels = tf.shape(images)[axis]
            total = tf.maximum(((pixels + stride - 1) // stride - 1) * stride + (length - 1) * rate + 1 - pixels, 0)
            widths.append([total // 2, total - total // 2])
        images = tf.pad(images, [*widths, [0, 0]], constant_values=fill)
    rows, columns = (tf.shape(images)[axis + 1] - (size[axis] - 1) * rates[axis] for axis in (0, 1))
    return [
        images[:, y : y + rows : strides[0], x : x + columns : strides[1]]
        for y in range(0, size[0] * rates[0], rates[0])
        for x in range(0, size[1] * rates[1], rates[1])
    ]


@decomposition("Dilation2D")
def dilation2d(op: Any, images: Any, kernel: Any) -> Any:
    """The largest of the sums of a window and the kernel; padding is as low as can be."""
    size = [int(length) for length in kernel.shape[:2]]
    strides, rates = op.get_attr("strides")[1:3], op.get_attr("rates")[1:3]
    windows = _windows(images, size, strides, rates, op.get_attr("padding"), images.dtype.min)
    places = [(y, x) for y in range(size[0]) for x in range(size[1])]
    result = images.dtype.min * tf.ones_like(windows[0])
    for window, place in zip(windows, places, strict=True):
        # A NaN is larger than nothing, as in TensorFlow's loop.
        total = window + kernel[place]
        result = tf.where(total > result, total, result)
    return result


@decomposition("ExtractImagePatches")
def extract_patches(op: Any, images: Any) -> Any:
    """tf2onnx convolves with zeros and ones, so that a NaN spreads; and asks for padding before it knows sizes."""
    size, strides, rates = (op.get_attr(name)[1:3] for name in ("ksizes", "strides", "rates"))
    padding = op.get_attr("padding")
    return tf.concat(_windows(images, size, strides, rates, padding, tf.zeros([], images.dtype)), axis=-1)


# Boxes


def _corners(boxes: Any) -> tuple[Any, Any, Any, Any]:
    y1, x1, y2, x2 = tf.unstack(boxes, num=4, axis=-1)
    return tf.minimum(y1, y2), tf.minimum(x1, x2), tf.maximum(y1, y2), tf.maximum(x1, x2)


def _overlaps(one: Any, other: Any) -> Any:
    """Intersection over union of each box of one list with each of another."""
    top, left, bottom, right = (each[..., :, tf.newaxis] for each in _corners(one))
    top2, left2, bottom2, right2 = (each[..., tf.newaxis, :] for each in _corners(other))
    height = tf.maximum(tf.minimum(bottom, bottom2) - tf.maximum(top, top2), 0.0)
    width = tf.maximum(tf.minimum(right, right2) - tf.maximum(left, left2), 0.0)
    common = height * width
    first, second = (bottom - top) * (right - left), (bottom2 - top2) * (right2 - left2)
    union = first + second - common
    some = tf.logical_and(first > 0, second > 0)
    return tf.where(some, common / tf.where(union > 0, union, tf.ones_like(union)), tf.zeros_like(common))


def _suppress(overlaps: Any, scores: Any, limit: Any, threshold: Any, score_threshold: Any, sigma: Any = None) -> Any:
    """Numbers and scores of the chosen boxes, the best first; with a sigma others lose score instead of their place.

    Greedy, as TensorFlow: a box goes when it overlaps a chosen one by more than the threshold. Of equal scores the
    first box is taken.
    """
    count = tf.minimum(tf.cast(limit, tf.int32), tf.shape(scores)[0])
    lowest = tf.constant(float("-inf"), scores.dtype)

    def step(trip: Any, left: Any, numbers: Any, values: Any) -> Any:
        best = tf.argmax(left, output_type=tf.int32)
        value = left[best]
        numbers = tf.concat([numbers, [best]], 0)
        values = tf.concat([values, [value]], 0)
        # Each box with the chosen one, in this order: overlaps that a user gives need not be symmetric.
        row = tf.gather(overlaps, best, axis=1)
        kept = left
        if sigma is not None:
            scale = tf.where(sigma > 0, -0.5 / tf.where(sigma > 0, sigma, tf.ones_like(sigma)), tf.zeros_like(sigma))
            kept = tf.where(row <= threshold, left * tf.exp(scale * row * row), left)
        kept = tf.where(row > threshold, lowest * tf.ones_like(left), kept)
        kept = tf.where(kept > score_threshold, kept, lowest * tf.ones_like(kept))
        kept = tf.where(tf.equal(tf.range(tf.shape(kept)[0]), best), lowest * tf.ones_like(kept), kept)
        return trip + 1, kept, numbers, values

    start = tf.where(scores > score_threshold, scores, lowest * tf.ones_like(scores))
    shapes = (tf.TensorShape([]), start.shape, tf.TensorShape([None]), tf.TensorShape([None]))
    results = tf.while_loop(
        lambda trip, left, *rest: tf.logical_and(trip < count, tf.reduce_max(tf.concat([left, [lowest]], 0)) > lowest),
        step,
        (tf.constant(0), start, tf.zeros([0], tf.int32), tf.zeros([0], scores.dtype)),
        shape_invariants=shapes,
    )
    return results[2], results[3]


@decomposition("NonMaxSuppression")
def non_max_suppression(op: Any, boxes: Any, scores: Any, limit: Any) -> Any:
    return tf.raw_ops.NonMaxSuppressionV2(
        boxes=boxes, scores=scores, max_output_size=limit, iou_threshold=op.get_attr("iou_threshold")
    )


@decomposition("NonMaxSuppressionWithOverlaps")
def non_max_suppression_with_overlaps(
    op: Any, overlaps: Any, scores: Any, limit: Any, threshold: Any, score_threshold: Any
) -> Any:
    return _suppress(overlaps, scores, limit, threshold, score_threshold)[0]


def _is_soft(op: Any) -> bool:
    return bool(tf.get_static_value(op.inputs[5]) != 0.0)


@decomposition("NonMaxSuppressionV5", when=_is_soft)
def non_max_suppression_v5(
    op: Any, boxes: Any, scores: Any, limit: Any, threshold: Any, score_threshold: Any, sigma: Any
) -> tuple[Any, Any, Any]:
    """tf2onnx leaves sigma out."""
    numbers, values = _suppress(_overlaps(boxes, boxes), scores, limit, threshold, score_threshold, sigma)
    found = tf.shape(numbers)[0]
    if op.get_attr("pad_to_max_output_size"):
        numbers = tf.pad(numbers, [[0, limit - found]])
        values = tf.pad(values, [[0, limit - found]])
    return numbers, values, found


@decomposition("CombinedNonMaxSuppression", when=lambda op: op.inputs[0].shape[2] != 1)
def combined_non_max_suppression(
    op: Any, boxes: Any, scores: Any, per_class: Any, total: Any, threshold: Any, score_threshold: Any
) -> Any:
    """Boxes of each class as further boxes of all, with scores for no class but their own."""
    classes = scores.shape[2]
    if classes is None:
        raise UnsupportedError("The number of classes is not known.")
    own = tf.eye(classes, dtype=tf.bool)[tf.newaxis, tf.newaxis]
    spread = tf.where(own, scores[..., tf.newaxis], tf.constant(float("-inf")))
    return tf.raw_ops.CombinedNonMaxSuppression(
        boxes=tf.reshape(boxes, tf.stack([tf.shape(boxes)[0], -1, 1, 4])),
        scores=tf.reshape(spread, tf.stack([tf.shape(scores)[0], -1, classes])),
        max_output_size_per_class=per_class,
        max_total_size=total,
        iou_threshold=threshold,
        score_threshold=score_threshold,
        pad_per_class=op.get_attr("pad_per_class"),
        clip_boxes=op.get_attr("clip_boxes"),
    )
