"""Recurrent layers as ONNX's LSTM, GRU and RNN, packed sequences included."""

from __future__ import annotations

from typing import Any, NamedTuple

import onnx_ir as ir
import torch

from transload.convert.torch.script.builder import Builder, Int
from transload.convert.torch.script.ops.projection import run_projected
from transload.convert.torch.script.registry import handler
from transload.convert.torch.script.values import Packed
from transload.serialize.errors import UnsupportedError

INT32, INT64 = ir.DataType.INT32, ir.DataType.INT64
BFLOAT16, FLOAT = ir.DataType.BFLOAT16, ir.DataType.FLOAT


class _Cell(NamedTuple):
    """An ONNX operator; the places of its gates in torch's order of rows; its attributes."""

    op_type: str
    gates: tuple[int, ...]
    attributes: dict[str, Any]


# torch: input, forget, cell, output; reset, update, new. ONNX: i, o, f, c; z, r, h.
LSTM = _Cell("LSTM", (0, 3, 1, 2), {})
GRU = _Cell("GRU", (1, 0, 2), {"linear_before_reset": 1})
RNN_TANH = _Cell("RNN", (0,), {"activations": ["Tanh"]})
RNN_RELU = _Cell("RNN", (0,), {"activations": ["Relu"]})


def _reordered(b: Builder, value: ir.Value, gates: tuple[int, ...]) -> ir.Value:
    """The rows of a weight in ONNX's order of gates; of a constant while translating."""
    if len(gates) == 1:
        return value
    content = value.const_value
    if isinstance(content, ir.tensor_adapters.TorchTensor) and not value.is_graph_input():
        parts = content.raw.chunk(len(gates))
        return b.once(
            ("gates", value, gates), lambda: b.weight(torch.cat([parts[gate] for gate in gates]), f"{value.name}.gates")
        )
    split = b.Split(value, None, axis=0, num_outputs=len(gates), _outputs=len(gates))
    return b.Concat(*[split[gate] for gate in gates], axis=0)


def _stacked(b: Builder, values: list[ir.Value]) -> ir.Value:
    """One value for each direction, stacked; constants while translating."""
    contents = [value.const_value for value in values]
    if all(isinstance(content, ir.tensor_adapters.TorchTensor) for content in contents):
        tensors = [content.raw for content in contents]  # type: ignore[union-attr]
        return b.once(("directions", *values), lambda: b.weight(torch.stack(tensors), f"{values[0].name}.stacked"))
    return b.Concat(*[b.unsqueeze(value, 0) for value in values], axis=0)


def _joined(b: Builder, values: list[ir.Value]) -> ir.Value:
    contents = [value.const_value for value in values]
    if all(isinstance(content, ir.tensor_adapters.TorchTensor) for content in contents):
        tensors = [content.raw for content in contents]  # type: ignore[union-attr]
        return b.once(("biases", *values), lambda: b.weight(torch.cat(tensors), f"{values[0].name}.joined"))
    return b.Concat(*values, axis=0)


def _run(
    b: Builder,
    cell: _Cell,
    sequence: ir.Value,
    lengths: ir.Value | None,
    states: list[ir.Value],
    params: list[ir.Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[ir.Value, ...]:
    """All layers over a time-major sequence; gives the outputs and the last states."""
    if train and dropout:
        raise UnsupportedError("Dropout is in training mode.", hint="Call eval() before saving the module.")
    if sequence.dtype == BFLOAT16:
        # ONNX's recurrent operators do not have that type.
        [sequence], states, params = ([b.cast(each, FLOAT) for each in group] for group in ([sequence], states, params))
        results = _run(
            b, cell, sequence, lengths, states, params, has_biases, num_layers, dropout, train, bidirectional
        )
        return tuple(b.cast(each, BFLOAT16) for each in results)
    directions = 2 if bidirectional else 1
    per_direction = len(params) // (num_layers * directions)
    if per_direction in (3, 5):
        return run_projected(b, sequence, lengths, states, params, num_layers, directions)
    finals: list[list[ir.Value]] = [[] for _ in states]
    for layer in range(num_layers):
        first = layer * directions
        groups = [params[(first + d) * per_direction :][:per_direction] for d in range(directions)]
        weights = [_stacked(b, [_reordered(b, group[place], cell.gates) for group in groups]) for place in (0, 1)]
        bias = None
        if has_biases:
            joined = [_joined(b, [_reordered(b, each, cell.gates) for each in group[2:]]) for group in groups]
            bias = _stacked(b, joined)
        initial = [b.Slice(each, [first], [first + directions], [0]) if num_layers > 1 else each for each in states]
        hidden = b.dim(groups[0][1], 1)
        attributes = {
            key: value * directions if key == "activations" else value for key, value in cell.attributes.items()
        }
        outputs = getattr(b, cell.op_type)(
            sequence,
            *weights,
            bias,
            lengths,
            *initial,
            hidden_size=hidden,
            direction="bidirectional" if bidirectional else "forward",
            _outputs=1 + len(states),
            **attributes,
        )
        steps, batch = b.size(sequence, 0), b.size(sequence, 1)
        merged = b.Transpose(outputs[0], perm=[0, 2, 1, 3])
        assert hidden is not None
        sequence = b.reshape(merged, [steps, batch, directions * hidden])
        for final, each in zip(finals, outputs[1:], strict=True):
            final.append(each)
    return sequence, *(each[0] if len(each) == 1 else b.Concat(*each, axis=0) for each in finals)


def _layer(b: Builder, cell: _Cell, value: ir.Value, batch_first: bool, *arguments: Any) -> tuple[ir.Value, ...]:
    sequence = b.transpose(value, 0, 1) if batch_first else value
    result, *finals = _run(b, cell, sequence, None, *arguments)
    return b.transpose(result, 0, 1) if batch_first else result, *finals


@handler("aten::lstm.input")
def lstm(
    b: Builder,
    input: ir.Value,
    hx: list[ir.Value],
    params: list[ir.Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
    batch_first: bool,
) -> tuple[ir.Value, ...]:
    return _layer(b, LSTM, input, batch_first, hx, params, has_biases, num_layers, dropout, train, bidirectional)


def _register(name: str, cell: _Cell) -> None:
    @handler(f"aten::{name}.input")
    def over_input(
        b: Builder,
        input: ir.Value,
        hx: ir.Value,
        params: list[ir.Value],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
        batch_first: bool,
    ) -> tuple[ir.Value, ...]:
        return _layer(b, cell, input, batch_first, [hx], params, has_biases, num_layers, dropout, train, bidirectional)

    @handler(f"aten::{name}.data")
    def over_packed(
        b: Builder,
        data: Packed,
        batch_sizes: ir.Value,
        hx: ir.Value,
        params: list[ir.Value],
        has_biases: bool,
        num_layers: int,
        dropout: float,
        train: bool,
        bidirectional: bool,
    ) -> tuple[Any, ...]:
        return _packed_layer(b, cell, data, [hx], params, has_biases, num_layers, dropout, train, bidirectional)


for _name, _cell in {"gru": GRU, "rnn_tanh": RNN_TANH, "rnn_relu": RNN_RELU}.items():
    _register(_name, _cell)


# Packed sequences: kept padded, with their lengths


def _packed_layer(b: Builder, cell: _Cell, data: Any, *arguments: Any) -> tuple[Any, ...]:
    if not isinstance(data, Packed):
        raise UnsupportedError("A packed sequence is used that pack_padded_sequence did not make.")
    result, *finals = _run(b, cell, data.padded, b.cast(data.lengths, INT32), *arguments)
    return Packed(result, data.lengths), *finals


@handler("aten::lstm.data")
def lstm_packed(
    b: Builder,
    data: Packed,
    batch_sizes: ir.Value,
    hx: list[ir.Value],
    params: list[ir.Value],
    has_biases: bool,
    num_layers: int,
    dropout: float,
    train: bool,
    bidirectional: bool,
) -> tuple[Any, ...]:
    return _packed_layer(b, LSTM, data, hx, params, has_biases, num_layers, dropout, train, bidirectional)


@handler("aten::_pack_padded_sequence")
def pack_padded_sequence(b: Builder, input: ir.Value, lengths: ir.Value, batch_first: bool) -> tuple[Packed, ir.Value]:
    padded = b.transpose(input, 0, 1) if batch_first else input
    longest = b.ReduceMax(lengths, [0], keepdims=1)
    # Past the longest sequence there is nothing.
    padded = b.Slice(padded, [0], longest, [0])
    steps = b.scalar_range(b.size(padded, 0))
    running = b.Less(b.unsqueeze(steps, 1), b.unsqueeze(lengths, 0))
    return Packed(padded, lengths), b.ReduceSum(b.cast(running, INT64), [1], keepdims=0)


@handler("aten::_pad_packed_sequence")
def pad_packed_sequence(
    b: Builder, data: Packed, batch_sizes: ir.Value, batch_first: bool, padding_value: Any, total_length: Int
) -> tuple[ir.Value, ir.Value]:
    if not isinstance(data, Packed):
        raise UnsupportedError("A packed sequence is used that pack_padded_sequence did not make.")
    padded, lengths = data.padded, data.lengths
    assert padded.dtype is not None
    steps = b.scalar_range(b.size(padded, 0))
    running = b.unsqueeze(b.Less(b.unsqueeze(steps, 1), b.unsqueeze(lengths, 0)), 2)
    padded = b.Where(running, padded, b.scalar(padding_value, padded.dtype))
    if not b.same_size(total_length, b.size(padded, 0)) and total_length != -1:
        missing = b.Sub(b.int_vector([total_length]), b.Shape(padded, start=0, end=1))
        pads = b.Concat(b.constant([0, 0, 0]), missing, b.constant([0, 0]), axis=0)
        padded = b.Pad(padded, pads, b.scalar(padding_value, padded.dtype))
    return b.transpose(padded, 0, 1) if batch_first else padded, lengths
