"""Keras files, new and old."""

from __future__ import annotations

from pathlib import Path

import keras
import numpy as np
import pytest
from tensorflow_models import run_capture

from transload.convert.options import ConvertOptions, InputSpec
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow.keras_file import capture
from transload.serialize.errors import SourceError, UsageError
from transload.serialize.interface import Dict, Tensor


def keras_file(path: Path) -> Source:
    return Source(SourceKind.KERAS, path)


@pytest.mark.filterwarnings("ignore")
@pytest.mark.parametrize("suffix", ["keras", "h5"])
@pytest.mark.parametrize("batch", [1, 3])
def test_a_convolutional_model_gives_what_keras_gives(
    image_model: keras.Model, tmp_path: Path, suffix: str, batch: int
) -> None:
    image_model.save(tmp_path / f"m.{suffix}")
    (found,) = capture(keras_file(tmp_path / f"m.{suffix}"), ConvertOptions())
    assert found.inputs == {"image": Tensor("image", "float32", ("batch", 9, 7, 3))}
    assert found.outputs == Tensor("output", "float32", (None, 5))
    image = np.random.default_rng(batch).standard_normal((batch, 9, 7, 3)).astype(np.float32)
    expected = image_model(image, training=False).numpy()
    np.testing.assert_allclose(run_capture(found, {"image": image})["output"], expected, rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(found.reference.run({"image": image})["output"], expected, rtol=1e-6, atol=1e-7)


@pytest.mark.parametrize(("batch", "length"), [(1, 7), (3, 2)])
def test_a_recurrent_model_with_a_dict_of_inputs_gives_what_keras_gives(
    text_model: keras.Model, tmp_path: Path, batch: int, length: int
) -> None:
    text_model.save(tmp_path / "m.keras")
    (found,) = capture(keras_file(tmp_path / "m.keras"), ConvertOptions())
    assert found.inputs == {
        "extra": Tensor("extra", "float32", ("batch", 3)),
        "tokens": Tensor("tokens", "int32", ("batch", "tokens_dim_1")),
    }
    assert isinstance(found.outputs, Dict)
    assert list(found.outputs.items) == ["label", "state"]
    rng = np.random.default_rng(length)
    feed = {
        "tokens": rng.integers(0, 20, (batch, length)).astype(np.int32),
        "extra": rng.standard_normal((batch, 3)).astype(np.float32),
    }
    expected = text_model(feed, training=False)
    ours = run_capture(found, feed)
    for name in ("label", "state"):
        np.testing.assert_allclose(ours[name], expected[name], rtol=1e-5, atol=1e-5)


def test_dropout_does_nothing_at_inference(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((50,), name="x"), keras.layers.Dropout(0.5)])
    model.save(tmp_path / "m.keras")
    (found,) = capture(keras_file(tmp_path / "m.keras"), ConvertOptions())
    x = np.ones((2, 50), np.float32)
    np.testing.assert_array_equal(run_capture(found, {"x": x})["output"], x)


def test_a_model_that_was_never_built_needs_a_description(tmp_path: Path) -> None:
    keras.Sequential([keras.layers.Flatten()]).save(tmp_path / "m.keras")
    with pytest.raises(UsageError, match="does not know its inputs"):
        capture(keras_file(tmp_path / "m.keras"), ConvertOptions())
    options = ConvertOptions(inputs=(InputSpec("x", "float32", ("batch", 2, 3)),))
    (found,) = capture(keras_file(tmp_path / "m.keras"), options)
    x = np.arange(12, dtype=np.float32).reshape(2, 2, 3)
    np.testing.assert_array_equal(run_capture(found, {"x": x})["output"], x.reshape(2, 6))


def test_inputs_in_a_list_keep_their_order_and_an_input_can_be_an_output(tmp_path: Path) -> None:
    first, second = keras.Input((4,), name="second"), keras.Input((4,), name="first")
    model = keras.Model([first, second], [first, keras.layers.Subtract()([first, second])])
    model.save(tmp_path / "m.keras")
    (found,) = capture(keras_file(tmp_path / "m.keras"), ConvertOptions())
    assert list(found.inputs) == ["second", "first"]
    a, b = np.full((2, 4), 5, np.float32), np.full((2, 4), 3, np.float32)
    for outputs in (run_capture(found, {"second": a, "first": b}), found.reference.run({"second": a, "first": b})):
        np.testing.assert_array_equal(outputs["output_0"], a)
        np.testing.assert_array_equal(outputs["output_1"], a - b)


@pytest.mark.parametrize("suffix", ["keras", "h5"])
def test_a_lambda_layer_is_refused_without_trust(tmp_path: Path, suffix: str) -> None:
    path = tmp_path / f"m.{suffix}"
    model = keras.Sequential([keras.Input((4,), name="x"), keras.layers.Lambda(lambda x: x * 2)])
    model.save(path)
    with pytest.raises(SourceError, match=r"Python code(.|\n)*--trust-source") as caught:
        capture(keras_file(path), ConvertOptions())
    assert caught.value.exit_status == 4
    (found,) = capture(keras_file(path), ConvertOptions(trust_source=True))
    x = np.ones((2, 4), np.float32)
    np.testing.assert_array_equal(run_capture(found, {"x": x})["output"], x * 2)


class Custom(keras.layers.Layer):
    def call(self, x):  # type: ignore[no-untyped-def]
        return x + 1


def test_a_class_that_is_not_there_is_named(tmp_path: Path) -> None:
    model = keras.Sequential([keras.Input((4,), name="x"), Custom()])
    model.save(tmp_path / "m.keras")
    with pytest.raises(SourceError, match="Custom"):
        capture(keras_file(tmp_path / "m.keras"), ConvertOptions())


def test_a_damaged_file_is_refused(tmp_path: Path) -> None:
    (tmp_path / "m.keras").write_bytes(b"PK\x05\x06" + bytes(18))
    with pytest.raises(SourceError, match=r"cannot load m\.keras"):
        capture(keras_file(tmp_path / "m.keras"), ConvertOptions())


def test_a_fixed_batch_can_be_asked_for(image_model: keras.Model, tmp_path: Path) -> None:
    image_model.save(tmp_path / "m.keras")
    options = ConvertOptions(inputs=(InputSpec("image", "float32", (2, 9, 7, 3)),))
    (found,) = capture(keras_file(tmp_path / "m.keras"), options)
    assert found.inputs["image"] == Tensor("image", "float32", (2, 9, 7, 3))
    with pytest.raises(UsageError, match="no input 'picture'"):
        capture(
            keras_file(tmp_path / "m.keras"), ConvertOptions(inputs=(InputSpec("picture", "float32", (2, 9, 7, 3)),))
        )
