"""Resizing images by ONNX's Resize, and between two pixels of each axis where that places pixels otherwise."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from onnx import TensorProto

from transload.convert.capture import Array
from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

INT64, FLOAT, BOOL = int(TensorProto.INT64), int(TensorProto.FLOAT), int(TensorProto.BOOL)
FLOATS = frozenset(
    map(int, (TensorProto.FLOAT16, TensorProto.BFLOAT16, TensorProto.FLOAT, TensorProto.DOUBLE)),
)

TO_NCHW, TO_NHWC = [0, 3, 1, 2], [0, 2, 3, 1]

MAX_PRODUCT_SIZE = 64
"""The largest source axis that is resized by a product with a matrix of weights: from there on gathering is faster."""

MIN_PRODUCT_CHANNELS = 8
"""With fewer, the product of an image's rows is too thin to be fast."""

ELEMENTWISE = frozenset(
    {"Add", "Clip", "Elu", "HardSigmoid", "Identity", "LeakyRelu", "Mul", "PRelu", "Relu", "Sigmoid", "Sub", "Tanh"}
)
"""Operators through which tf2onnx moves a transpose."""

MAX_STEPS_BACK = 8

EXACT_RATIOS = tuple(2**power for power in range(11))


@operator("ResizeNearestNeighbor")
def resize_nearest(g: Emitter) -> str:
    # TensorFlow rounds down (x + 0.5) * scale, which is 0.5 more than ONNX's half_pixel: rounded to the nearest, the
    # same. tf2onnx writes tf_half_pixel_for_nn, which ONNX has no more.
    mode = _mode(g)
    rounding = "floor" if mode == "asymmetric" else "round_prefer_ceil"
    return _resize(g, g.inputs[0], mode="nearest", nearest_mode=rounding)


def _mode(g: Emitter) -> str:
    """ONNX's name for where the pixels of an image are."""
    if g.attribute("align_corners"):
        return "align_corners"
    return "half_pixel" if g.attribute("half_pixel_centers") else "asymmetric"


def _resize(g: Emitter, images: str, **attributes: object) -> str:
    """NHWC images by ONNX's Resize."""
    return str(g.Transpose(_resize_planes(g, str(g.Transpose(images, perm=TO_NCHW)), **attributes), perm=TO_NHWC))


def _resize_planes(g: Emitter, planes: str, **attributes: object) -> str:
    """NCHW images, with the sizes: tf2onnx gives their ratio, which rounds, so that a pixel may be missing."""
    size = g.known(g.inputs[1])
    height_and_width = np.asarray(size, np.int64) if size is not None else g.Cast(g.inputs[1], to=INT64)
    sizes = g.Concat(g.Slice(g.Shape(planes), np.array([0]), np.array([2])), height_and_width, axis=0)
    return str(g.Resize(planes, None, None, sizes, coordinate_transformation_mode=_mode(g), **attributes))


@dataclass(frozen=True)
class Axis:
    """One axis of NHWC images that is resized.

    Args:
        number: Which.
        source, target: Its size before and after as int64 of shape [1]: an array where it is known, else a tensor's
            name.
    """

    number: int
    source: Array | str
    target: Array | str

    @property
    def known(self) -> tuple[int, int] | None:
        """Both sizes, where they are known."""
        if isinstance(self.source, str) or isinstance(self.target, str):
            return None
        return int(self.source.item()), int(self.target.item())


@operator("ResizeBilinear")
def resize_bilinear(g: Emitter) -> str:
    """TensorFlow's `lower + (upper - lower) * share`, the width first, with places in single precision.

    An infinity becomes NaN in it, and NaN stays with the two pixels that a place is between. ONNX's Resize gives other
    answers for these, as weights of zero reach further, and rounds places otherwise unless the sizes are one another's
    multiple by a power of two. Where either may matter, pixels are gathered, which takes two to ten times longer:

    1. Sizes by such a multiple: Resize where all numbers are finite, else gathered.
    2. Small images with many channels, of known size: products with the weights where all are finite, else gathered.
    3. Others: gathered.
    """
    dtype = g.dtype(g.inputs[0])
    images = g.inputs[0] if dtype == FLOAT else g.Cast(g.inputs[0], to=FLOAT)
    width, height = axes = _axes(g, images)
    exact = [_is_exact(g, axis) for axis in axes]
    if not any(each is False for each in exact):
        conditions = [each for each in exact if isinstance(each, str)]
        return _resize_exactly(g, images, axes, conditions, always_finite=dtype not in FLOATS)
    if not _suit_products(g, images, axes):
        return _gather_both(g, images, axes)
    if dtype not in FLOATS:
        return _multiply_both(g, images, width, height)
    return g.choose(
        _is_finite(g, images),
        lambda body: _multiply_both(body, images, width, height),
        lambda body: _gather_both(body, images, axes),
    )


def _axes(g: Emitter, images: str) -> tuple[Axis, Axis]:
    """Width and height."""
    size, shape = g.known(g.inputs[1]), g.shape(images)

    def axis(number: int) -> Axis:
        place = np.array([number - 1]), np.array([number])
        source = (
            np.array([shape[number]]) if shape[number] >= 0 else g.Slice(g.Shape(images), place[0] + 1, place[1] + 1)
        )
        if size is not None:
            return Axis(number, source, np.asarray(size, np.int64)[number - 1 : number])
        return Axis(number, source, g.Slice(g.Cast(g.inputs[1], to=INT64), *place))

    return axis(2), axis(1)


def _is_exact(g: Emitter, axis: Axis) -> bool | str:
    """Whether places are a power of two apart, so that neither side rounds them; a truth value for unknown sizes."""
    corners = g.attribute("align_corners")
    if axis.known is not None:
        small, large = sorted(size - bool(corners) for size in axis.known)
        return small * large < 1 << 24 and any(small * ratio == large > 0 for ratio in EXACT_RATIOS)
    source, target = axis.source, axis.target
    if corners:
        source, target = g.Sub(source, np.array([1])), g.Sub(target, np.array([1]))
    multiples = g.Mul(g.Min(source, target), np.array(EXACT_RATIOS))
    is_multiple = g.And(g.Equal(multiples, g.Max(source, target)), g.Greater(multiples, np.array([0])))
    found = g.ReduceMax(g.Cast(is_multiple, to=INT64), keepdims=0)
    # ONNX Runtime multiplies the sizes for aligned corners, in single precision.
    product = g.Squeeze(g.Mul(source, target), np.array([0]))
    return str(g.And(g.Cast(found, to=BOOL), g.Less(product, np.array(1 << 24))))


def _is_finite(g: Emitter, images: str) -> str:
    """The sum of all magnitudes: NaN, infinite, or so large that a difference of two pixels may overflow."""
    return str(g.Less(g.ReduceL1(images, keepdims=0), np.array(np.inf, np.float32)))


def _resize_exactly(
    g: Emitter, images: str, axes: tuple[Axis, Axis], conditions: list[str], always_finite: bool
) -> str:
    if always_finite and not conditions:
        return _resize(g, images, mode="linear")
    in_planes = _comes_in_planes(g, images)
    # Transposed outside of the branches, where the transposes of convolutions meet these and cancel them.
    given = str(g.Transpose(images, perm=TO_NCHW)) if in_planes else images
    if not always_finite:
        conditions = [_is_finite(g, given), *conditions]
    condition = conditions[0]
    for other in conditions[1:]:
        condition = g.And(condition, other)
    if not in_planes:
        return g.choose(
            condition,
            lambda body: _resize(body, given, mode="linear"),
            lambda body: _gather_both(body, given, axes),
        )
    resized = g.choose(
        condition,
        lambda body: _resize_planes(body, given, mode="linear"),
        lambda body: str(body.Transpose(_gather_both(body, body.Transpose(given, perm=TO_NHWC), axes), perm=TO_NCHW)),
    )
    return str(g.Transpose(resized, perm=TO_NHWC))


def _comes_in_planes(g: Emitter, images: str) -> bool:
    """Whether the images are a convolution's, or the like, which is transposed to ONNX's layout and back."""
    for _ in range(MAX_STEPS_BACK):
        node = g.graph.get_node_by_output(images)
        if node is None or node.type not in ELEMENTWISE:
            break
        images = node.input[0]
    return node is not None and node.type == "Transpose" and node.get_attr_value("perm") == TO_NHWC


def _suit_products(g: Emitter, images: str, axes: tuple[Axis, Axis]) -> bool:
    sizes = [axis.known for axis in axes]
    small = all(size is not None and 0 < size[0] <= MAX_PRODUCT_SIZE for size in sizes)
    return small and g.shape(images)[3] >= MIN_PRODUCT_CHANNELS


def _multiply_both(g: Emitter, images: str, width: Axis, height: Axis) -> str:
    """Both axes as products, the height first: as one of large matrices, where its rows are whole rows of pixels."""
    columns, rows = _weights(g, width), _weights(g, height)
    channels = g.shape(images)[3]
    flat = g.Reshape(images, np.array([0, rows.shape[1], columns.shape[1] * channels]))
    resized = g.Reshape(g.MatMul(rows, flat), np.array([0, rows.shape[0], columns.shape[1], channels]))
    return str(g.MatMul(columns, resized))


def _weights(g: Emitter, axis: Axis) -> Array:
    """[target, source]: what each pixel adds to each target pixel of an axis whose sizes are known."""
    assert axis.known is not None
    source, target = axis.known
    lower, upper, share = _places(g, source, target)
    weights = np.zeros((target, source), np.float32)
    np.add.at(weights, (np.arange(target), lower), 1 - share)
    np.add.at(weights, (np.arange(target), upper), share)
    return weights


def _places(g: Emitter, source: int, target: int) -> tuple[Array, Array, Array]:
    """The two pixels that each target pixel is between, and how far it is on the way, as TensorFlow computes them."""
    one = np.float32(1)
    corners = g.attribute("align_corners") and target > 1
    scale = np.float32(source - 1) / np.float32(target - 1) if corners else np.float32(source) / np.float32(target)
    numbers = np.arange(target, dtype=np.float32)
    centers = g.attribute("half_pixel_centers")
    places = (numbers + one / 2) * scale - one / 2 if centers else numbers * scale
    lower = np.maximum(np.floor(places), 0).astype(np.int64)
    upper = np.minimum(np.ceil(places), source - 1).astype(np.int64)
    return lower, upper, (places - np.floor(places)).astype(np.float32)


def _computed_places(g: Emitter, axis: Axis) -> tuple[str, str, str]:
    """The same for sizes that are not known."""
    source, target = (g.Cast(size, to=FLOAT) for size in (axis.source, axis.target))
    half, one = np.array(0.5, np.float32), np.array(1, np.float32)
    scale = g.Div(source, target)
    if g.attribute("align_corners"):
        aligned = g.Div(g.Sub(source, one), g.Max(g.Sub(target, one), one))
        scale = g.Where(g.Greater(target, one), aligned, scale)
    numbers = g.Cast(g.Range(np.array(0), g.Squeeze(axis.target, np.array([0])), np.array(1)), to=FLOAT)
    if g.attribute("half_pixel_centers"):
        places = g.Sub(g.Mul(g.Add(numbers, half), scale), half)
    else:
        places = g.Mul(numbers, scale)
    below = g.Floor(places)
    lower = g.Max(g.Cast(below, to=INT64), np.array(0))
    upper = g.Min(g.Cast(g.Ceil(places), to=INT64), g.Sub(axis.source, np.array([1])))
    return lower, upper, g.Sub(places, below)


def _gather_both(g: Emitter, images: str, axes: tuple[Axis, Axis]) -> str:
    for axis in axes:
        images = _gather(g, images, axis)
    return images


def _gather(g: Emitter, images: str, axis: Axis) -> str:
    """One axis, resized as TensorFlow does, NaN and infinities included."""
    if axis.known is not None:
        lower, upper, share = map(g.tensor, _places(g, *axis.known))
    else:
        lower, upper, share = _computed_places(g, axis)
    share = g.Unsqueeze(share, np.arange(1, 4 - axis.number))
    below = g.Gather(images, lower, axis=axis.number)
    difference = g.Sub(g.Gather(images, upper, axis=axis.number), below)
    return str(g.Add(below, g.Mul(difference, share)))
