"""Quantized operators of TFLite on integers, beside its reference kernels, to the last step."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest
from tensorflow_models import run_capture

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.tensorflow.fixed_point import divide_by_power, divide_factors, quantize_factors
from transload.convert.tensorflow.framework import silence, tf
from transload.convert.tensorflow.tflite_file import capture
from transload.convert.tensorflow.tflite_integers import TfliteIntegersPass

L = keras.layers
SHAPE = (9, 7, 8)


def quantize(model: keras.Model, path: Path, shapes: Sequence[tuple[int, ...]]) -> Path:
    """A file of int8, inputs and outputs included."""
    rng = np.random.default_rng(0)
    converter = tf.lite.TFLiteConverter.from_keras_model(model)
    converter.optimizations = [tf.lite.Optimize.DEFAULT]
    # Of several ranges, so that inputs have several steps.
    converter.representative_dataset = lambda: [
        [(rng.standard_normal((1, *shape)) * 2**index + index).astype(np.float32) for index, shape in enumerate(shapes)]
        for _ in range(8)
    ]
    converter.target_spec.supported_ops = [tf.lite.OpsSet.TFLITE_BUILTINS_INT8]
    converter.inference_input_type = converter.inference_output_type = tf.int8
    with silence():
        path.write_bytes(converter.convert())
    return path


LAYERS: dict[str, tuple[Callable[..., Any], tuple[tuple[int, ...], ...]]] = {
    "convolution": (lambda x: L.Conv2D(5, 3, strides=2, padding="same")(x), (SHAPE,)),
    "convolution_clamped": (lambda x: L.ReLU(6.0)(L.Conv2D(16, 1)(x)), (SHAPE,)),
    "convolution_dilated": (lambda x: L.Conv2D(4, 3, dilation_rate=2, activation="relu")(x), (SHAPE,)),
    "depthwise": (lambda x: L.DepthwiseConv2D(3, padding="same")(x), (SHAPE,)),
    "dense": (lambda x: L.Dense(6, activation="relu")(x), ((40,),)),
    # The sums are too large for a product in double precision.
    "dense_wide": (lambda x: L.Dense(6)(x), ((3000,),)),
    "product": (lambda x, y: L.Multiply()([x, y]), (SHAPE, SHAPE)),
    "product_of_channels": (
        lambda x: L.Multiply()([x, L.GlobalMaxPooling2D(keepdims=True)(L.Activation("sigmoid")(x))]),
        (SHAPE,),
    ),
    "sum": (lambda x, y: L.ReLU()(L.Add()([x, y])), (SHAPE, SHAPE)),
    "difference": (lambda x, y: L.Subtract()([x, y]), (SHAPE, SHAPE)),
    "average_windows": (lambda x: L.AveragePooling2D(2)(x), (SHAPE,)),
    "average_windows_at_the_edge": (lambda x: L.AveragePooling2D(3, 2, padding="same")(x), (SHAPE,)),
    "mean": (lambda x: L.GlobalAveragePooling2D()(x), (SHAPE,)),
    "mean_kept": (lambda x: L.GlobalAveragePooling2D(keepdims=True)(x), (SHAPE,)),
    "hard_swish": (lambda x: L.Activation("hard_swish")(x), (SHAPE,)),
    "concatenation": (lambda x: L.Concatenate()([x, L.Activation("tanh")(x)]), (SHAPE,)),
    "pooled_and_scored": (
        lambda x: L.Dense(3, activation="softmax")(L.Flatten()(L.MaxPooling2D(2)(L.Conv2D(4, 3)(x)))),
        (SHAPE,),
    ),
}


@pytest.mark.parametrize("name", LAYERS)
def test_an_operator_gives_the_reference_kernel_s_integers(name: str, tmp_path: Path) -> None:
    build, shapes = LAYERS[name]
    keras.utils.set_random_seed(3)
    inputs = [keras.Input(shape, name=f"x{index}") for index, shape in enumerate(shapes)]
    path = quantize(keras.Model(inputs, build(*inputs)), tmp_path / "m.tflite", shapes)
    (found,) = capture(detect_source(path), ConvertOptions())
    assert {"Floor", "Gather"} & {node.op_type for node in found.model.graph}
    rng = np.random.default_rng(1)
    for batch in (1, 20):
        feed = {
            key: rng.integers(-128, 128, (batch, *shape)).astype(np.int8)
            for key, shape in zip(found.inputs, shapes, strict=True)
        }
        ours, theirs = run_capture(found, feed), found.reference.run(feed)
        assert ours.keys() == theirs.keys()
        for key in ours:
            np.testing.assert_array_equal(ours[key], theirs[key])


def test_floats_before_the_rounding_are_left_alone() -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 18]>
    g (int8[2,3] x, float[2,3] y) => (int8[2,3] z)
    <float s = {0.5}, int8 zero = {3}, float t = {0.25}>
    { a = DequantizeLinear (x, s, zero)  b = Mul (a, y)  z = QuantizeLinear (b, t, zero) }
    """
    assert not TfliteIntegersPass()(ir.from_onnx_text(text)).modified


def test_a_result_that_is_used_before_it_is_rounded_is_left_alone() -> None:
    text = """
    <ir_version: 10, opset_import: ["" : 18]>
    g (int8[2,3] x) => (int8[2,3] z, float[2,3] b)
    <float s = {0.5}, int8 zero = {3}, float t = {0.25}>
    { a = DequantizeLinear (x, s, zero)  b = Mul (a, a)  z = QuantizeLinear (b, t, zero) }
    """
    assert not TfliteIntegersPass()(ir.from_onnx_text(text)).modified


def test_factors_are_rounded_to_31_bits() -> None:
    factors = quantize_factors(np.array([0.5, 1.0, 0.3, 1.0 - 2.0**-40, 2.0**-40]))
    assert factors.multiplier.tolist() == [1 << 30, 1 << 30, round(0.6 * 2**31), 1 << 30, 0]
    assert factors.shift.tolist() == [0, 1, -1, 1, 0]


def test_a_mean_s_factor_keeps_31_bits() -> None:
    factors = divide_factors(quantize_factors(1.0), 6)
    # 2**30 * 2**2 / 6, two bits further to the right.
    assert (int(factors.multiplier), int(factors.shift)) == (2**32 // 6, -1)


def test_halves_are_rounded_away_from_zero() -> None:
    values = np.array([-6, -5, -3, -2, -1, 0, 1, 2, 3, 5, 6])
    assert divide_by_power(values, 2).tolist() == [-2, -1, -1, -1, 0, 0, 0, 1, 1, 1, 2]
