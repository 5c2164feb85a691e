"""RecurrentLayersPass: layers of Keras become ONNX's operators, and no loop becomes one that it is not."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import onnx_ir as ir
import onnxruntime as ort
import pytest
from onnx_ir.passes.common import RemoveUnusedNodesPass

from transload.convert.detect import detect_source
from transload.convert.options import ConvertOptions
from transload.convert.passes.constants import insert_constant
from transload.convert.passes.matching import infer_shapes, maker
from transload.convert.passes.recurrent_layers import RecurrentLayersPass
from transload.convert.passes.sequence_loops import read_loop
from transload.convert.pipeline import capture_source

L = keras.layers
LAYERS: dict[str, tuple[str, Any]] = {
    "gru": ("GRU", lambda: L.GRU(5)),
    "gru_before_reset": ("GRU", lambda: L.GRU(5, reset_after=False, return_sequences=True)),
    "gru_relu": ("GRU", lambda: L.GRU(5, activation="relu", recurrent_activation="tanh")),
    "gru_backwards": ("GRU", lambda: L.GRU(5, go_backwards=True, return_sequences=True)),
    "gru_without_bias": ("GRU", lambda: L.GRU(5, use_bias=False)),
    "gru_state": ("GRU", lambda: L.GRU(5, return_sequences=True, return_state=True)),
    "rnn": ("RNN", lambda: L.SimpleRNN(5)),
    "rnn_relu": ("RNN", lambda: L.SimpleRNN(5, activation="relu", return_sequences=True)),
}
LEFT: dict[str, Any] = {
    "gru_hard_sigmoid": lambda: L.GRU(5, recurrent_activation="hard_sigmoid"),
    "rnn_softsign": lambda: L.SimpleRNN(5, activation="softsign"),
    "two_cells": lambda: L.RNN([L.GRUCell(5), L.SimpleRNNCell(5)]),
    "convolution": lambda: L.ConvLSTM1D(4, 3),
}
OTHERS = {
    "Add": "Sub",
    "Sub": "Add",
    "Mul": "Add",
    "Sigmoid": "Tanh",
    "Tanh": "Softsign",
    "Less": "Greater",
    "And": "Xor",
}

SPOILED = ("gru", "gru_before_reset", "rnn")


def capture(layer: Any, steps: int | None = 7, shape: tuple[int, ...] = (3,)) -> ir.Model:
    keras.utils.set_random_seed(0)
    x = keras.Input((steps, *shape))
    model = keras.Model(x, layer(x))
    for weight in model.weights:
        weight.assign(np.random.default_rng(0).uniform(-0.9, 0.9, weight.shape))
    [found] = capture_source(detect_source(model), ConvertOptions())
    return found.model


def run(model: ir.Model, x: np.ndarray[Any, Any]) -> list[np.ndarray[Any, Any]]:
    options = ort.SessionOptions()
    options.log_severity_level = 4
    session = ort.InferenceSession(ir.to_proto(model).SerializeToString(), options)
    outputs: list[np.ndarray[Any, Any]] = session.run(None, {session.get_inputs()[0].name: x})
    return outputs


def rewrite(model: ir.Model) -> tuple[ir.Model, bool]:
    done = model.clone()
    modified = RecurrentLayersPass()(done).modified
    RemoveUnusedNodesPass()(done)
    return done, modified


def operators(model: ir.Model) -> set[str]:
    return {node.op_type for node in model.graph}


def sequences(steps: int) -> np.ndarray[Any, Any]:
    return np.random.default_rng(1).standard_normal((2, steps, 3)).astype(np.float32)


@pytest.mark.parametrize("steps", [7, None], ids=["fixed", "any"])
@pytest.mark.parametrize("name", LAYERS)
def test_a_layer_becomes_one_operator(name: str, steps: int | None) -> None:
    operator, make = LAYERS[name]
    before = capture(make(), steps)
    assert "Loop" in operators(before)
    done, modified = rewrite(before)
    assert modified
    assert operator in operators(done)
    assert "Loop" not in operators(done)
    for length in (7,) if steps else (1, 4):
        assert [value.name for value in done.graph.outputs] == [value.name for value in before.graph.outputs]
        for found, expected in zip(run(done, sequences(length)), run(before, sequences(length)), strict=True):
            np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("name", LEFT)
def test_what_no_operator_says_stays_a_loop(name: str) -> None:
    shape = (8, 2) if name == "convolution" else (3,)
    before = capture(LEFT[name](), shape=shape)
    assert "Loop" in operators(before)
    assert not rewrite(before)[1]


def test_a_mask_stays_a_loop() -> None:
    assert not rewrite(capture(lambda x: L.GRU(5)(L.Masking()(x))))[1]


@pytest.mark.parametrize("name", SPOILED)
def test_a_loop_with_one_other_operator_stays_what_it_is(name: str) -> None:
    plain = capture(LAYERS[name][1]())
    [loop] = [node for node in plain.graph if node.op_type == "Loop"]
    places = [place for place, node in enumerate(loop.attributes["body"].as_graph()) if node.op_type in OTHERS]
    assert len(places) > 5
    for place in places:
        before = plain.clone()
        [loop] = [node for node in before.graph if node.op_type == "Loop"]
        node = loop.attributes["body"].as_graph()[place]
        node.op_type = OTHERS[node.op_type]
        done, _ = rewrite(before)
        for found, right in zip(run(done, sequences(7)), run(before, sequences(7)), strict=True):
            np.testing.assert_allclose(found, right, rtol=1e-5, atol=1e-6, err_msg=f"{node.op_type} at {place}")


def test_a_state_that_is_given_is_the_first() -> None:
    x, state = keras.Input((7, 3)), keras.Input((5,))
    model = keras.Model([x, state], L.GRU(5)(x, initial_state=state))
    [found] = capture_source(detect_source(model), ConvertOptions())
    done, modified = rewrite(found.model)
    assert modified
    session = ort.InferenceSession(ir.to_proto(done).SerializeToString())
    feed = {"x": sequences(7), "state": np.random.default_rng(2).standard_normal((2, 5)).astype(np.float32)}
    [result] = session.run(None, dict(zip((each.name for each in session.get_inputs()), feed.values(), strict=True)))
    np.testing.assert_allclose(result, model([feed["x"], feed["state"]]), rtol=1e-5, atol=1e-6)


def test_one_state_for_all_rows_stays_a_loop() -> None:
    before = capture(LAYERS["rnn"][1]())
    [loop] = [node for node in before.graph if node.op_type == "Loop"]
    [place] = [place for place, value in enumerate(loop.inputs) if maker(value, "Expand") is not None]
    row = ir.tensor(np.zeros((1, 5), np.float32), name="row")
    loop.replace_input_with(place, insert_constant(loop, row))
    assert not rewrite(before)[1]
    assert rewrite(capture(LAYERS["rnn"][1]()))[1]


def test_older_opsets_stay() -> None:
    before = capture(LAYERS["rnn"][1]())
    before.graph.opset_imports[""] = 12
    assert not rewrite(before)[1]


def test_what_is_no_matrix_at_each_step_stays_a_loop() -> None:
    model = capture(LAYERS["rnn"][1]())
    [loop] = [node for node in model.graph if node.op_type == "Loop"]
    shapes = infer_shapes(model)
    found = read_loop(loop, shapes)
    assert found is not None
    for value, shape in ((found.sequence, [7, 3]), (found.sequence, [7, 2, 4, 3]), (found.start, [5])):
        assert read_loop(loop, shapes | {value: ir.Shape(shape)}) is None
