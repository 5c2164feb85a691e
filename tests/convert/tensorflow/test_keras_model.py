"""Keras models in memory: Sequential, functional, subclassed; lists and dicts in and out."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import pytest
from tensorflow_models import run_capture

import transload as tl
from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions, parse_input_spec
from transload.convert.tensorflow.framework import tf
from transload.convert.tensorflow.keras_file import capture
from transload.serialize.errors import UnsupportedError, UsageError
from transload.serialize.interface import Dict, Tensor

RNG = np.random.default_rng(5)


class Scorer(keras.Model):
    """Takes a dict, and weights by keyword; returns a dict whose keys are not sorted. Dropout tells training apart."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = keras.layers.Embedding(20, 6)
        self.score = keras.layers.Dense(3)
        self.drop = keras.layers.Dropout(0.5)

    def call(self, features: Any, weights: Any = None, training: bool = False) -> dict[str, Any]:
        hidden = self.drop(self.embed(features["tokens"]), training=training)
        if weights is not None:
            hidden = hidden * keras.ops.expand_dims(weights, -1)
        pooled = keras.ops.sum(hidden, axis=1)
        return {"scores": self.score(pooled) + features["bias"], "pooled": pooled}


def batch(size: int, length: int) -> dict[str, Any]:
    return {
        "tokens": RNG.integers(0, 20, (size, length)).astype(np.int32),
        "bias": RNG.standard_normal((size, 3)).astype(np.float32),
    }


def test_a_sequential_model_is_converted_from_memory() -> None:
    keras.utils.set_random_seed(1)
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Dense(3, activation="relu")])
    package = tl.convert_model(model)
    assert package.name == "Sequential"
    (component,) = package.components
    assert component.interface.inputs == {"x": Tensor("x", "float32", ("batch", 4))}
    assert component.interface.proof.level == "full"


def test_a_functional_model_with_dicts_is_converted_from_memory(text_model: keras.Model) -> None:
    (found,) = capture(detect_source(text_model), ConvertOptions())
    feed = {"tokens": RNG.integers(0, 20, (3, 5)).astype(np.int32), "extra": RNG.random((3, 3)).astype(np.float32)}
    expected = text_model(feed, training=False)
    ours = run_capture(found, feed)
    for name in ("label", "state"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, atol=1e-5)


def test_arguments_of_a_functional_model_are_the_example(text_model: keras.Model) -> None:
    tokens = np.full((2, 3), 7, np.int64)
    arguments = {"tokens": tokens, "extra": np.ones((2, 3), np.float32)}
    (found,) = capture(detect_source(text_model, (arguments,)), ConvertOptions())
    assert found.example["tokens"].dtype == np.int32
    np.testing.assert_array_equal(found.example["tokens"], tokens)
    with pytest.raises(UsageError, match="takes 2 tensors, extra, tokens; 1 were given"):
        capture(detect_source(text_model, (tokens,)), ConvertOptions())


def test_dict_outputs_that_are_not_sorted_are_not_swapped() -> None:
    x = keras.Input((2,), name="x")
    model = keras.Model(x, {"z": x + 1.0, "a": x - 1.0})
    (found,) = capture(detect_source(model), ConvertOptions())
    values = np.zeros((2, 2), np.float32)
    for outputs in (run_capture(found, {"x": values}), found.reference.run({"x": values})):
        np.testing.assert_array_equal(outputs["z"], values + 1)
        np.testing.assert_array_equal(outputs["a"], values - 1)


def test_a_subclassed_model_takes_what_its_call_takes() -> None:
    model = Scorer()
    example = batch(4, 5)
    weights = np.ones((4, 5), np.float32)
    options = ConvertOptions(
        inputs=(parse_input_spec("features/tokens:int32[batch,length]"), parse_input_spec("weights[batch,length]"))
    )
    (found,) = capture(detect_source(model, (example,), {"weights": weights}), options)
    assert found.inputs == {
        "features": Dict(
            {
                "tokens": Tensor("features/tokens", "int32", ("batch", "length")),
                "bias": Tensor("features/bias", "float32", ("batch", 3)),
            }
        ),
        "weights": Tensor("weights", "float32", ("batch", "length")),
    }
    np.testing.assert_array_equal(found.example["features/bias"], example["bias"])
    other, weights = batch(2, 7), RNG.integers(0, 2, (2, 7)).astype(np.float32)
    expected = model(other, weights=weights, training=False)
    feed = {"features/tokens": other["tokens"], "features/bias": other["bias"], "weights": weights}
    ours = run_capture(found, feed)
    assert set(ours) == {"scores", "pooled"}
    for name, value in expected.items():
        np.testing.assert_allclose(ours[name], value, rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_can_be_described() -> None:
    model = Scorer()
    described = [parse_input_spec("features/tokens:int32[n,length]"), parse_input_spec("features/bias[n,3]")]
    (found,) = capture(detect_source(model), ConvertOptions(inputs=tuple(described)))
    feed = batch(3, 4)
    ours = run_capture(found, {f"features/{name}": value for name, value in feed.items()})
    np.testing.assert_allclose(ours["scores"], model(feed)["scores"], rtol=1e-5, atol=1e-5)


def test_a_subclassed_model_without_arguments_is_refused() -> None:
    with pytest.raises(UsageError, match=r"does not know its inputs(.|\n)*example arguments"):
        capture(detect_source(Scorer()), ConvertOptions())


class Gamma(keras.layers.Layer):
    """An operation that ONNX cannot express."""

    def call(self, x: Any) -> Any:
        return tf.math.igamma(x, x)


def test_an_operation_that_cannot_be_converted_is_named_with_its_layer() -> None:
    x = keras.Input((4,), name="x")
    model = keras.Model(x, Gamma(name="second_gamma")(Gamma(name="first_gamma")(x)))
    with pytest.raises(UnsupportedError) as caught:
        capture(detect_source(model), ConvertOptions())
    assert [operation.name for operation in caught.value.operations] == ["Igamma", "Igamma"]
    for layer in ("first_gamma", "second_gamma"):
        assert any(f"/{layer}" in operation.location for operation in caught.value.operations)
