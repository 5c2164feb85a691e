"""Convolutions without transposes around them, and inputs that are taken as NCHW."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from tensorflow_models import TwoSignatures, run_capture

import transload as tl
from transload.convert.capture import Capture
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.passes import run_passes
from transload.convert.tensorflow import keras_file, tf_function, tflite_file
from transload.convert.tensorflow.framework import silence, tf
from transload.serialize.errors import UsageError
from transload.serialize.interface import Tensor

NCHW = ConvertOptions(inputs_as_nchw=("image",))
IMAGE = np.random.default_rng(1).standard_normal((2, 9, 7, 3)).astype(np.float32)


@pytest.fixture(scope="module")
def network() -> keras.Model:
    """What image models are made of: residuals, depthwise convolutions, squeeze and excitation, padding."""
    keras.utils.set_random_seed(3)
    layers = keras.layers
    image = keras.Input((9, 7, 3), name="image")
    x = layers.Conv2D(8, 3, strides=2, padding="same", use_bias=False)(image)
    x = layers.Activation("swish")(layers.BatchNormalization()(x))
    y = layers.DepthwiseConv2D(3, padding="same")(x)
    gate = layers.Conv2D(8, 1, activation="sigmoid")(layers.GlobalAveragePooling2D(keepdims=True)(y))
    x = layers.Add()([x, layers.Multiply()([y, gate])])
    x = layers.Concatenate()([layers.MaxPooling2D(2, padding="same")(x), layers.AveragePooling2D(2, padding="same")(x)])
    x = layers.Conv2DTranspose(4, 3, strides=2)(layers.ZeroPadding2D(((1, 0), (0, 1)))(x))
    return keras.Model(image, layers.Dense(5)(layers.GlobalAveragePooling2D()(x)))


def transposes(found: Capture) -> int:
    return sum(node.op_type == "Transpose" for node in run_passes(found.model).model.graph.all_nodes())


def test_a_network_of_nhwc_has_one_transpose_at_its_input(network: keras.Model) -> None:
    (found,) = keras_file.capture(detect_source(network), ConvertOptions())
    assert transposes(found) == 1
    (output,) = run_capture(found, {"image": IMAGE}).values()
    np.testing.assert_allclose(output, network(IMAGE, training=False), rtol=1e-5, atol=1e-5)


def test_an_input_as_nchw_leaves_none(network: keras.Model) -> None:
    (found,) = keras_file.capture(detect_source(network), NCHW)
    assert found.inputs == {"image": Tensor("image", "float32", ("batch", 3, 9, 7))}
    assert found.example["image"].shape[1:] == (3, 9, 7)
    assert transposes(found) == 0
    turned = np.ascontiguousarray(np.transpose(IMAGE, (0, 3, 1, 2)))
    expected = network(IMAGE, training=False)
    for outputs in (run_capture(found, {"image": turned}), found.reference.run({"image": turned})):
        np.testing.assert_allclose(outputs["output"], expected, rtol=1e-5, atol=1e-5)


def test_it_goes_the_whole_way(network: keras.Model, tmp_path: Path) -> None:
    path = tl.convert_model(network, inputs_as_nchw=["image"]).save(tmp_path / "m.tload")
    found = tl.load(path)(image=np.transpose(IMAGE, (0, 3, 1, 2)))
    np.testing.assert_allclose(found, network(IMAGE, training=False), rtol=1e-5, atol=1e-5)


def test_an_example_is_given_as_the_source_takes_it(network: keras.Model) -> None:
    (found,) = keras_file.capture(detect_source(network, (IMAGE,)), NCHW)
    np.testing.assert_array_equal(found.example["image"], np.transpose(IMAGE, (0, 3, 1, 2)))


def test_a_tflite_file_can_take_nchw_too(network: keras.Model, tmp_path: Path) -> None:
    with silence():
        (tmp_path / "m.tflite").write_bytes(tf.lite.TFLiteConverter.from_keras_model(network).convert())
    (found,) = tflite_file.capture(detect_source(tmp_path / "m.tflite"), NCHW)
    turned = np.ascontiguousarray(np.transpose(IMAGE, (0, 3, 1, 2)))
    for outputs in (run_capture(found, {"image": turned}), found.reference.run({"image": turned})):
        np.testing.assert_allclose(outputs["output_0"], network(IMAGE, training=False), rtol=1e-4, atol=1e-5)


def test_an_input_that_is_no_image_is_refused(two_signatures: TwoSignatures) -> None:
    source = detect_source(two_signatures.serve)
    with pytest.raises(UsageError, match="input 'x' is no NHWC image"):
        tf_function.capture(source, ConvertOptions(inputs_as_nchw=("x",)))
    with pytest.raises(UsageError, match=r"no input 'lost'(.|\n)*x, scale"):
        tf_function.capture(source, ConvertOptions(inputs_as_nchw=("lost",)))
