"""Bilinear resizing by ONNX's Resize where that is TensorFlow's, and what NaN, infinities and huge numbers become."""

from __future__ import annotations

from fractions import Fraction
from typing import Any

import keras
import numpy as np
import onnx
import onnxruntime as ort
import pytest
from tensorflow_models import run_capture

from transload.convert.capture import Capture
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow import keras_file, tf_function
from transload.convert.tensorflow.framework import tf

SHAPE = (2, 6, 8, 9)
IMAGES = np.random.default_rng(5).standard_normal(SHAPE).astype(np.float32)
HALF_PIXEL = {"half_pixel_centers": True}
RUNTIME_MODES = ("half_pixel", "asymmetric", "align_corners")


def resize(size: tuple[int, int], **places: bool) -> tuple[Any, Capture]:
    function = tf.function(
        lambda images: {"y": tf.raw_ops.ResizeBilinear(images=images, size=size, **places)},
        input_signature=[tf.TensorSpec([None, *SHAPE[1:]], tf.float32, name="images")],
    )
    (found,) = tf_function.capture(detect_source(function), ConvertOptions())
    return function, found


def operators(found: Capture) -> set[str]:
    return {node.op_type for node in found.model.graph.all_nodes()}


def exact_place(mode: str, target_pixel: int, source: int, target: int) -> Fraction:
    if mode == "align_corners":
        return Fraction(target_pixel * (source - 1), target - 1)
    half = Fraction(1, 2) if mode == "half_pixel" else Fraction(0)
    return (target_pixel + half) * Fraction(source, target) - half


# The translation rests on this; where it fails, ONNX Runtime rounds otherwise than it did.
@pytest.mark.parametrize("mode", RUNTIME_MODES)
@pytest.mark.parametrize(("one", "other"), [(3, 6), (7, 56), (500, 1000), (1023, 2046), (2, 2048)])
def test_onnx_runtime_does_not_round_places_that_are_a_power_of_two_apart(mode: str, one: int, other: int) -> None:
    corners = mode == "align_corners"
    for source, target in ((one + corners, other + corners), (other + corners, one + corners)):
        text = f"""
        <ir_version: 10, opset_import: ["" : 18]>
        g (float[1,1,1,{source}] x) => (float[1,1,1,{target}] y) <int64[4] sizes = {{1, 1, 1, {target}}}>
        {{ y = Resize <mode = "linear", coordinate_transformation_mode = "{mode}"> (x, , , sizes) }}
        """
        session = ort.InferenceSession(onnx.parser.parse_model(text).SerializeToString())
        # A ramp, which gives the places themselves.
        (found,) = session.run(None, {"x": np.arange(source, dtype=np.float32).reshape(1, 1, 1, -1)})
        places = [exact_place(mode, pixel, source, target) for pixel in range(target)]
        expected = [float(min(max(place, Fraction(0)), Fraction(source - 1))) for place in places]
        np.testing.assert_array_equal(found.ravel(), np.array(expected, np.float32))


@pytest.mark.parametrize(
    ("size", "places"),
    [
        ((12, 16), HALF_PIXEL),
        ((3, 32), HALF_PIXEL),
        ((12, 4), {}),
        ((11, 15), {"align_corners": True}),
        ((6, 8), HALF_PIXEL),
    ],
)
def test_sizes_a_power_of_two_apart_are_resized_by_onnx(size: tuple[int, int], places: dict[str, bool]) -> None:
    _, found = resize(size, **places)
    assert {"Resize", "If"} <= operators(found)


@pytest.mark.parametrize(("size", "places"), [((12, 17), HALF_PIXEL), ((12, 16), {"align_corners": True})])
def test_other_sizes_are_not(size: tuple[int, int], places: dict[str, bool]) -> None:
    _, found = resize(size, **places)
    assert "Resize" not in operators(found)


@pytest.mark.parametrize("size", [(12, 16), (9, 11)])
@pytest.mark.parametrize("planted", [np.nan, np.inf, -np.inf, 3e38])
@pytest.mark.parametrize("pixel", [(0, 0, 0, 0), (1, 5, 7, 3), (0, 2, 3, 8)])
def test_what_is_not_finite_stays_where_tensorflow_has_it(
    size: tuple[int, int], planted: float, pixel: tuple[int, ...]
) -> None:
    function, found = resize(size, **HALF_PIXEL)
    images = IMAGES.copy()
    images[pixel] = planted
    # Beside a number as large of the other sign, their difference overflows in TensorFlow.
    images[1, 2, 2:4, 0] = (-3e38, 3e38) if planted == 3e38 else images[1, 2, 2:4, 0]
    expected = function(images)["y"].numpy()
    assert not np.isfinite(expected).all()
    np.testing.assert_allclose(run_capture(found, {"images": images})["y"], expected, rtol=1e-5, atol=1e-5)


def test_convolutions_around_a_resize_stay_in_onnx_s_layout() -> None:
    layers = keras.layers
    image = keras.Input((8, 6, 3), name="image")
    x = layers.ReLU()(layers.BatchNormalization()(layers.Conv2D(8, 3, padding="same")(image)))
    x = layers.UpSampling2D(2, interpolation="bilinear")(x)
    x = layers.UpSampling2D(2, interpolation="bilinear")(layers.Conv2D(8, 3, padding="same")(x))
    x = layers.GlobalAveragePooling2D()(layers.Conv2D(4, 3)(x))
    (found,) = keras_file.capture(detect_source(keras.Model(image, x)), ConvertOptions())
    assert [node.op_type for node in found.model.graph].count("Transpose") == 1
