"""Resizing images by ONNX's Resize."""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from transload.convert.tensorflow.operators.emitter import Emitter
from transload.convert.tensorflow.operators.registry import operator

INT64 = int(TensorProto.INT64)


@operator("ResizeNearestNeighbor")
def resize_nearest(g: Emitter) -> str:
    corners, centers = g.attribute("align_corners"), g.attribute("half_pixel_centers")
    mode = "align_corners" if corners else "half_pixel" if centers else "asymmetric"
    # TensorFlow rounds down (x + 0.5) * scale, which is 0.5 more than ONNX's half_pixel: rounded to the nearest, the
    # same. tf2onnx writes tf_half_pixel_for_nn, which ONNX has no more.
    rounding = "round_prefer_ceil" if corners or centers else "floor"
    return _resize(g, g.inputs[0], mode="nearest", coordinate_transformation_mode=mode, nearest_mode=rounding)


def _resize(g: Emitter, images: str, **attributes: object) -> str:
    """With the sizes themselves: tf2onnx gives their ratio, which rounds, so that a pixel may be missing."""
    images = g.Transpose(images, perm=[0, 3, 1, 2])
    size = g.known(g.inputs[1])
    height_and_width = np.asarray(size, np.int64) if size is not None else g.Cast(g.inputs[1], to=INT64)
    sizes = g.Concat(g.Slice(g.Shape(images), np.array([0]), np.array([2])), height_and_width, axis=0)
    return str(g.Transpose(g.Resize(images, None, None, sizes, **attributes), perm=[0, 2, 3, 1]))
