"""Testing the test: results of tf2onnx spoiled on purpose, each of which the proof must catch."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import pytest

import transload as tl
from transload.convert.options import ConvertOptions
from transload.convert.source import Source, SourceKind
from transload.convert.tensorflow import conversion, keras_file
from transload.convert.tensorflow.keras_model import capture_model
from transload.serialize.errors import MismatchError
from transload.serialize.interface import Tensor

layers = keras.layers

SOURCE = Source(SourceKind.KERAS)


def images() -> keras.Model:
    """Even sizes, so that SAME padding at stride 2 is one-sided."""
    keras.utils.set_random_seed(1)
    image = keras.Input((8, 6, 3), name="image")
    x = layers.Conv2D(4, 3, strides=2, padding="same", activation="leaky_relu")(image)
    x = layers.AveragePooling2D(3, padding="same")(x)
    return keras.Model(image, layers.Dense(3, activation="softmax")(layers.Flatten()(x)))


def sequences(reset_after: bool) -> keras.Model:
    """A GRU of either variant over the same weights; their biases lie apart, and are equal where both have them."""
    rng = np.random.default_rng(2)
    x = keras.Input((None, 3), name="x")
    gru = layers.GRU(4, reset_after=reset_after)
    model = keras.Model(x, gru(x))
    kernel, recurrent, bias = (rng.standard_normal(shape) for shape in ((3, 12), (4, 12), (2, 12)))
    gru.set_weights([kernel, recurrent, bias if reset_after else bias.sum(0)])
    return model


def nodes(model: ir.Model, op_type: str) -> list[ir.Node]:
    found = [node for node in model.graph.all_nodes() if node.op_type == op_type]
    assert found, f"no {op_type} to spoil among {sorted({node.op_type for node in model.graph.all_nodes()})}"
    return found


def freeze_batch(model: ir.Model) -> None:
    """A reshape with the example's batch of 2 in it, as exporters write that fold it."""
    (flatten,) = nodes(model, "Reshape")
    constant = ir.node("Constant", [], {"value": ir.tensor([2, -1], dtype=ir.DataType.INT64)})
    constant.outputs[0].name = "frozen"
    model.graph.insert_before(flatten, constant)
    flatten.replace_input_with(1, constant.outputs[0])


def flip_padding(model: ir.Model) -> None:
    """The padding of SAME on the other side."""
    (convolution,) = nodes(model, "Conv")
    if "auto_pad" in convolution.attributes:
        assert convolution.attributes["auto_pad"].as_string() == "SAME_UPPER"
        convolution.attributes["auto_pad"] = ir.AttrString("auto_pad", "SAME_LOWER")
        return
    top, left, bottom, right = convolution.attributes["pads"].as_ints()
    assert (top, left) != (bottom, right)
    convolution.attributes["pads"] = ir.AttrInt64s("pads", [bottom, right, top, left])


def count_padding(model: ir.Model) -> None:
    """An average over the padding too."""
    for pool in nodes(model, "AveragePool"):
        pool.attributes["count_include_pad"] = ir.AttrInt64("count_include_pad", 1)


def turn_slope(model: ir.Model) -> None:
    """A leaky slope of 0.01, ONNX's default, instead of Keras' own."""
    (activation,) = nodes(model, "LeakyRelu")
    assert abs(activation.attributes["alpha"].as_float() - 0.01) > 0.1
    activation.attributes["alpha"] = ir.AttrFloat32("alpha", 0.01)


def normalize_batch(model: ir.Model) -> None:
    """A softmax over the batch."""
    (softmax,) = nodes(model, "Softmax")
    softmax.attributes["axis"] = ir.AttrInt64("axis", 0)


def round_weights(model: ir.Model) -> None:
    """Weights of half precision."""
    for value in model.graph.initializers.values():
        tensor = value.const_value
        if tensor is not None and tensor.dtype == ir.DataType.FLOAT and tensor.size > 20:
            value.const_value = ir.tensor(tensor.numpy().astype(np.float16).astype(np.float32))


SPOILS: dict[str, Callable[[ir.Model], None]] = {
    "SAME padding flipped": flip_padding,
    "average counts the padding": count_padding,
    "slope of a leaky activation": turn_slope,
    "softmax over the batch": normalize_batch,
    "weights in half precision": round_weights,
}


def plant(spoil: Callable[[ir.Model], None], monkeypatch: pytest.MonkeyPatch) -> None:
    convert = conversion.convert_graph

    def convert_and_spoil(*arguments: Any) -> ir.Model:
        model = convert(*arguments)
        spoil(model)
        return model

    monkeypatch.setattr(conversion, "convert_graph", convert_and_spoil)


@pytest.mark.parametrize("model", [images(), sequences(True), sequences(False)])
def test_what_nobody_spoiled_is_proven(model: keras.Model) -> None:
    (component,) = tl.convert_model(model).components
    assert component.interface.proof.level == "full"


@pytest.mark.parametrize("spoil", SPOILS.values(), ids=SPOILS.keys())
def test_a_spoiled_result_is_caught(spoil: Callable[[ir.Model], None], monkeypatch: pytest.MonkeyPatch) -> None:
    plant(spoil, monkeypatch)
    with pytest.raises(MismatchError):
        tl.convert_model(images())


def test_a_frozen_batch_axis_is_caught(monkeypatch: pytest.MonkeyPatch) -> None:
    plant(freeze_batch, monkeypatch)
    with pytest.raises(MismatchError, match="batch"):
        tl.convert_model(images(), inputs=["image[batch,8,6,3]"])
    # Where nobody asked for it by name, the package says what the graph can do.
    (component,) = tl.convert_model(images()).components
    assert component.interface.inputs["image"] == Tensor("image", "float32", (2, 8, 6, 3))
    assert any("batch" in note for note in component.interface.proof.notes)


@pytest.mark.parametrize("reset_after", [True, False])
def test_the_wrong_variant_of_a_gru_is_caught(reset_after: bool, monkeypatch: pytest.MonkeyPatch) -> None:
    right, wrong = (
        capture_model(sequences(variant), SOURCE, ConvertOptions()) for variant in (reset_after, not reset_after)
    )
    monkeypatch.setattr(keras_file, "capture_model", lambda *arguments: replace(right, model=wrong.model))
    with pytest.raises(MismatchError, match="output: DIFFERS"):
        tl.convert_model(sequences(reset_after))
