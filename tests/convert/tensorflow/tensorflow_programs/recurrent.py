"""Recurrent layers of Keras in all their settings."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

from tensorflow_programs.program import PROGRAMS, Program, built, floats, integers
from transload.convert.tensorflow.framework import tf

SEQUENCE = floats("x", None, None, 3)


def _apply(layer: Any) -> Callable[[Any], Any]:
    layer.build((None, None, 3))
    _randomize(layer)

    def run(x: Any) -> Any:
        return layer(x, training=False)

    return run


def _randomize(layer: Any) -> None:
    """Biases that are not zero, as training leaves them."""
    rng = np.random.default_rng(5)
    layer.set_weights([rng.uniform(-0.7, 0.7, weight.shape).astype(weight.dtype) for weight in layer.get_weights()])


def _settings(name: str, make: Callable[[], Any], spec: Any = SEQUENCE) -> None:
    PROGRAMS[f"recurrent.{name}"] = Program(f"recurrent.{name}", (spec,), lambda: _apply(make()))


L = keras.layers
_settings("lstm", lambda: L.LSTM(4))
_settings("lstm_sequences", lambda: L.LSTM(4, return_sequences=True))
_settings("lstm_states", lambda: L.LSTM(4, return_sequences=True, return_state=True))
_settings("lstm_backwards", lambda: L.LSTM(4, go_backwards=True, return_sequences=True))
_settings("lstm_without_bias", lambda: L.LSTM(4, use_bias=False))
_settings("lstm_relu", lambda: L.LSTM(4, activation="relu", return_sequences=True))
_settings("lstm_hard_sigmoid", lambda: L.LSTM(4, recurrent_activation="hard_sigmoid", return_sequences=True))
_settings("lstm_elu", lambda: L.LSTM(4, activation="elu"))
_settings("lstm_unrolled", lambda: L.LSTM(4, unroll=True, return_sequences=True), floats("x", None, 5, 3))
_settings("lstm_fixed_length", lambda: L.LSTM(4, return_sequences=True), floats("x", None, 5, 3))
_settings("lstm_fixed_batch", lambda: L.LSTM(4, return_sequences=True), floats("x", 2, None, 3))
_settings("gru", lambda: L.GRU(4))
_settings("gru_sequences", lambda: L.GRU(4, return_sequences=True))
_settings("gru_reset_before", lambda: L.GRU(4, reset_after=False, return_sequences=True))
_settings("gru_states", lambda: L.GRU(4, return_sequences=True, return_state=True))
_settings("gru_backwards", lambda: L.GRU(4, go_backwards=True, return_sequences=True))
_settings("gru_without_bias", lambda: L.GRU(4, use_bias=False))
_settings("gru_relu", lambda: L.GRU(4, activation="relu", return_sequences=True))
_settings("gru_unrolled", lambda: L.GRU(4, unroll=True), floats("x", None, 5, 3))
_settings("simple_rnn", lambda: L.SimpleRNN(4))
_settings("simple_rnn_sequences", lambda: L.SimpleRNN(4, return_sequences=True, return_state=True))
_settings("simple_rnn_relu", lambda: L.SimpleRNN(4, activation="relu"))
_settings("simple_rnn_backwards", lambda: L.SimpleRNN(4, go_backwards=True, return_sequences=True))
_settings("bidirectional_lstm", lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)))
_settings("bidirectional_lstm_last", lambda: L.Bidirectional(L.LSTM(4)))
_settings("bidirectional_gru", lambda: L.Bidirectional(L.GRU(4, return_sequences=True)))
_settings("bidirectional_gru_summed", lambda: L.Bidirectional(L.GRU(4), merge_mode="sum"))
_settings("bidirectional_simple_rnn", lambda: L.Bidirectional(L.SimpleRNN(4, return_sequences=True)))
_settings("bidirectional_mixed", lambda: L.Bidirectional(L.LSTM(4), backward_layer=L.GRU(4, go_backwards=True)))
_settings("lstm_cell", lambda: L.RNN(L.LSTMCell(4), return_sequences=True))
_settings("gru_cell", lambda: L.RNN(L.GRUCell(4), return_sequences=True))
_settings("stacked_cells", lambda: L.RNN([L.LSTMCell(4), L.LSTMCell(2)], return_sequences=True))
_settings("time_distributed_dense", lambda: L.TimeDistributed(L.Dense(2)))


@built(SEQUENCE)
def lstm_stacked() -> Any:
    model = keras.Sequential([keras.Input((None, 3)), L.LSTM(4, return_sequences=True), L.LSTM(2)])
    _randomize(model)
    return lambda x: model(x, training=False)


@built(SEQUENCE)
def gru_on_bidirectional_lstm() -> Any:
    layers = [L.Bidirectional(L.LSTM(4, return_sequences=True)), L.GRU(3, return_sequences=True), L.Dense(2)]
    model = keras.Sequential([keras.Input((None, 3)), *layers])
    _randomize(model)
    return lambda x: model(x, training=False)


def _masked(layer: Any) -> Callable[[Any], Any]:
    model = keras.Sequential([keras.Input((None, 3)), L.Masking(0.0), layer])
    _randomize(model)
    return lambda x: model(x, training=False)


GAPS = np.random.default_rng(2).standard_normal((2, 5, 3)).astype(np.float32)
GAPS[0, 3:] = 0.0
GAPS[1, 1] = 0.0
for _name, _make in {
    "lstm_masked": lambda: L.LSTM(4, return_sequences=True),
    "lstm_masked_last": lambda: L.LSTM(4),
    "gru_masked": lambda: L.GRU(4, return_sequences=True),
    "gru_masked_reset_before": lambda: L.GRU(4, reset_after=False),
    "simple_rnn_masked": lambda: L.SimpleRNN(4, return_sequences=True),
    "bidirectional_lstm_masked": lambda: L.Bidirectional(L.LSTM(4, return_sequences=True)),
    "lstm_masked_zero_output": lambda: L.RNN(L.LSTMCell(4), return_sequences=True, zero_output_for_mask=True),
}.items():
    PROGRAMS[f"recurrent.{_name}"] = Program(
        f"recurrent.{_name}", (SEQUENCE,), lambda make=_make: _masked(make()), example={"x": GAPS}
    )


@built(integers("tokens", None, None), example={"tokens": [[3, 5, 0, 0], [1, 2, 9, 4]]})
def lstm_of_masked_embedding() -> Any:
    layers = [L.Embedding(10, 3, mask_zero=True), L.LSTM(4, return_sequences=True), L.LSTM(3), L.Dense(2)]
    model = keras.Sequential([keras.Input((None,), dtype="int32"), *layers])
    _randomize(model)
    return lambda tokens: model(tokens, training=False)


@built(SEQUENCE, floats("h", None, 4), floats("c", None, 4))
def lstm_with_initial_state() -> Any:
    layer = L.LSTM(4, return_sequences=True, return_state=True)
    layer.build((None, None, 3))
    _randomize(layer)
    return lambda x, h, c: layer(x, initial_state=[h, c], training=False)


@built(SEQUENCE, floats("h", None, 4))
def gru_with_initial_state() -> Any:
    layer = L.GRU(4, return_state=True)
    layer.build((None, None, 3))
    _randomize(layer)
    return lambda x, h: layer(x, initial_state=h, training=False)


@built(floats("x", 2, 5, 3))
def lstm_stateful() -> Any:
    layer = L.LSTM(4, stateful=True)
    layer.build((2, 5, 3))
    _randomize(layer)
    return lambda x: layer(x, training=False)


@built(floats("x", None, None, 3))
def time_major_rnn() -> Any:
    cell = L.GRUCell(4)
    cell.build((None, 3))
    _randomize(cell)

    def run(x: Any) -> Any:
        states = [tf.zeros([tf.shape(x)[1], 4])]
        last, outputs, _ = keras.src.backend.rnn(
            lambda inputs, states: cell(inputs, states, training=False), x, states, time_major=True
        )
        return last, outputs

    return run


@built(floats("x", None, 4, 6, 6, 2))
def conv_lstm() -> Any:
    layer = L.ConvLSTM2D(3, 3, padding="same", return_sequences=True)
    layer.build((None, 4, 6, 6, 2))
    return lambda x: layer(x, training=False)


@built(floats("x", None, None, 3))
def attention_decoder() -> Any:
    """A GRU whose outputs attend to a bidirectional LSTM's."""
    inputs = keras.Input((None, 3))
    memory = L.Bidirectional(L.LSTM(4, return_sequences=True))(inputs)
    query = L.GRU(8, return_sequences=True)(inputs)
    attended = L.Attention()([query, memory])
    model = keras.Model(inputs, L.Dense(2)(L.Concatenate()([query, attended])))
    return lambda x: model(x, training=False)
