"""LSTM, GRU and RNN in every configuration, as single ONNX nodes, and packed sequences."""

from __future__ import annotations

import itertools
from typing import Any

import pytest
import torch
from script_check import check, op_types, trace
from torch import Tensor, nn
from torch.nn.utils.rnn import pack_padded_sequence, pad_packed_sequence


class Layer(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor) -> Any:
        return self.layer(x)


class LayerFrom(nn.Module):
    """A layer with an initial state."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, state: Tensor) -> Any:
        return self.layer(x, state)


class LSTMFrom(nn.Module):
    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, hidden: Tensor, cell: Tensor) -> Any:
        return self.layer(x, (hidden, cell))


class Tagger(nn.Module):
    """Sequences of different lengths through a packed layer."""

    def __init__(self, layer: nn.Module) -> None:
        super().__init__()
        self.layer = layer

    def forward(self, x: Tensor, lengths: Tensor) -> tuple[Tensor, Tensor]:
        packed = pack_padded_sequence(x, lengths, batch_first=True, enforce_sorted=False)
        result, _ = self.layer(packed)
        return pad_packed_sequence(result, batch_first=True, padding_value=-1.0)


KINDS = {"LSTM": nn.LSTM, "GRU": nn.GRU, "RNN": nn.RNN}


@pytest.mark.parametrize("kind", KINDS)
@pytest.mark.parametrize(("layers", "both", "batch_first", "bias"), itertools.product((1, 2), *[(False, True)] * 3))
def test_every_configuration_takes_other_lengths_and_batches(
    kind: str, layers: int, both: bool, batch_first: bool, bias: bool
) -> None:
    torch.manual_seed(0)
    layer = KINDS[kind](4, 3, num_layers=layers, bidirectional=both, batch_first=batch_first, bias=bias)
    others = [(torch.randn(2, 7, 4),), (torch.randn(1, 1, 4),)]
    model = check(Layer(layer), torch.randn(5, 2, 4), dynamic={"x": {0: "a", 1: "b"}}, others=others)
    assert op_types(model).count(kind) == layers


def test_an_initial_state_is_taken() -> None:
    state = torch.randn(2, 2, 3)
    check(LayerFrom(nn.GRU(4, 3, num_layers=2)), torch.randn(5, 2, 4), state)
    check(LSTMFrom(nn.LSTM(4, 3, bidirectional=True)), torch.randn(5, 2, 4), state, state + 1)


def test_a_sequence_without_batch_is_taken() -> None:
    check(Layer(nn.LSTM(4, 3)), torch.randn(5, 4), dynamic={"x": {0: "t"}}, others=[(torch.randn(2, 4),)])


def test_relu_is_kept() -> None:
    check(Layer(nn.RNN(4, 3, nonlinearity="relu")), torch.randn(5, 2, 4))


@pytest.mark.parametrize("kind", KINDS)
def test_packed_sequences_end_where_their_lengths_say(kind: str) -> None:
    torch.manual_seed(0)
    module = Tagger(KINDS[kind](4, 3, num_layers=2, bidirectional=True))
    others = [(torch.randn(2, 9, 4), torch.tensor([9, 1])), (torch.randn(1, 3, 4), torch.tensor([2]))]
    dynamic = {"x": {0: "batch", 1: "time"}, "lengths": {0: "batch"}}
    check(module, torch.randn(3, 6, 4), torch.tensor([2, 5, 4]), dynamic=dynamic, others=others)


def test_a_trace_of_packed_sequences_is_translated() -> None:
    example = torch.randn(3, 6, 4), torch.tensor([2, 6, 4])
    check(trace(Tagger(nn.LSTM(4, 3)), *example), *example)


@pytest.mark.parametrize("cell", [nn.LSTMCell(4, 3), nn.GRUCell(4, 3), nn.RNNCell(4, 3)])
def test_cells_are_translated(cell: nn.Module) -> None:
    check(Layer(cell), torch.randn(2, 4), dynamic={"x": {0: "n"}}, others=[(torch.randn(7, 4),)])


@pytest.mark.parametrize(("layers", "both", "bias"), [(1, False, True), (2, True, True), (2, False, False)])
def test_a_projection_takes_other_lengths_and_batches(layers: int, both: bool, bias: bool) -> None:
    torch.manual_seed(0)
    layer = nn.LSTM(4, 3, num_layers=layers, bidirectional=both, bias=bias, proj_size=2, batch_first=True)
    others = [(torch.randn(2, 7, 4),), (torch.randn(1, 1, 4),)]
    check(Layer(layer), torch.randn(5, 3, 4), dynamic={"x": {0: "a", 1: "b"}}, others=others)


def test_a_projection_from_an_initial_state() -> None:
    torch.manual_seed(0)
    hidden, cell = torch.randn(2, 2, 2), torch.randn(2, 2, 3)
    check(LSTMFrom(nn.LSTM(4, 3, bidirectional=True, proj_size=2)), torch.randn(5, 2, 4), hidden, cell)


@pytest.mark.parametrize("opset", [17, 23])
def test_a_projection_at_other_opsets(opset: int) -> None:
    check(Layer(nn.LSTM(4, 3, proj_size=2)), torch.randn(5, 2, 4), opset=opset)


def test_a_projection_over_packed_sequences() -> None:
    torch.manual_seed(0)
    module = Tagger(nn.LSTM(4, 3, num_layers=2, bidirectional=True, proj_size=2))
    others = [(torch.randn(2, 9, 4), torch.tensor([9, 1])), (torch.randn(1, 3, 4), torch.tensor([2]))]
    dynamic = {"x": {0: "batch", 1: "time"}, "lengths": {0: "batch"}}
    check(module, torch.randn(3, 6, 4), torch.tensor([2, 5, 4]), dynamic=dynamic, others=others)
