"""Programs that go over time by hand."""

from __future__ import annotations

from typing import Optional

import torch
from script_check import check
from torch import Tensor, nn

TIMES = {"x": {0: "time", 1: "batch"}}


def sequences(*pairs: tuple[int, int]) -> list[tuple[Tensor, ...]]:
    return [(torch.randn(time, batch, 4),) for time, batch in pairs]


class Gates(nn.Module):
    """A long short-term memory cell written out."""

    def __init__(self) -> None:
        super().__init__()
        self.gates = nn.Linear(4 + 3, 12)

    def forward(self, x: Tensor, state: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        h, c = state
        i, f, g, o = self.gates(torch.cat([x, h], -1)).chunk(4, -1)
        c = torch.sigmoid(f) * c + torch.sigmoid(i) * torch.tanh(g)
        return torch.sigmoid(o) * torch.tanh(c), c


class Layer(nn.Module):
    def __init__(self, reverse: bool) -> None:
        super().__init__()
        self.cell = Gates()
        self.reverse = reverse

    def forward(self, x: Tensor, state: Optional[tuple[Tensor, Tensor]] = None) -> tuple[Tensor, Tensor]:
        if state is None:
            zeros = torch.zeros(x.shape[1], 3, dtype=x.dtype, device=x.device)
            state = (zeros, zeros)
        steps = x.unbind(0) if x.shape[0] == 0 else [x[i] for i in range(x.shape[0])]
        if self.reverse:
            steps.reverse()
        outs: list[Tensor] = []
        for step in steps:
            state = self.cell(step, state)
            outs.append(state[0])
        if self.reverse:
            outs.reverse()
        return torch.stack(outs), state[1]


class Both(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layers = nn.ModuleList([Layer(False), Layer(True)])

    def forward(self, x: Tensor) -> tuple[Tensor, list[Tensor]]:
        outs: list[Tensor] = []
        states: list[Tensor] = []
        for layer in self.layers:
            out, state = layer(x)
            outs.append(out)
            states.append(state)
        return torch.cat(outs, -1), states


class Steps(nn.Module):
    """A memory cell of torch in a loop of its own."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.LSTMCell(4, 3)
        self.second = nn.GRUCell(3, 2)

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        h, c = torch.zeros(x.shape[1], 3), torch.zeros(x.shape[1], 3)
        g = torch.zeros(x.shape[1], 2)
        outs: list[Tensor] = []
        for step in x:
            h, c = self.cell(step, (h, c))
            g = self.second(h, g)
            outs.append(g)
        return torch.stack(outs), c


class Feeding(nn.Module):
    """What was given out is taken in again."""

    def __init__(self) -> None:
        super().__init__()
        self.cell = nn.GRUCell(4, 4)
        self.stop = nn.Linear(4, 1)

    def forward(self, x: Tensor, limit: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros_like(x)
        outs: list[Tensor] = []
        steps = 0
        for i in range(int(limit)):
            h = self.cell(x, h)
            x = torch.tanh(h) + x
            outs.append(x)
            steps = i + 1
            if bool(torch.sigmoid(self.stop(h)).mean() > 0.55):
                break
        return torch.stack(outs), torch.tensor(steps)


def test_a_cell_written_out_at_any_length() -> None:
    check(Layer(False), torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_a_layer_that_goes_backwards() -> None:
    check(Layer(True), torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_a_state_is_given() -> None:
    state = (torch.randn(2, 3), torch.randn(2, 3))
    dynamic = {"x": {0: "time"}}
    check(Layer(False), torch.randn(5, 2, 4), state, dynamic=dynamic, others=[(torch.randn(1, 2, 4), state)])


def test_layers_in_both_directions() -> None:
    check(Both(), torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_cells_of_torch_in_a_loop() -> None:
    check(Steps(), torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_outputs_are_fed_back_until_one_says_stop() -> None:
    torch.manual_seed(3)
    module = Feeding()
    others = [(torch.randn(2, 4) * scale, torch.tensor(n)) for scale, n in ((3.0, 1), (5.0, 40), (0.1, 8))]
    check(module, torch.randn(2, 4), torch.tensor(6), others=others)


def test_padded_steps_leave_the_state_as_it_is() -> None:
    def program(x: Tensor, lengths: Tensor, w: Tensor) -> tuple[Tensor, Tensor]:
        h = torch.zeros(x.shape[1], 3)
        outs: list[Tensor] = []
        for i in range(x.shape[0]):
            new = torch.tanh(x[i] @ w + h)
            going = (lengths > i).unsqueeze(1)
            h = torch.where(going, new, h)
            outs.append(new * going)
        return torch.stack(outs, 1), h

    w = torch.randn(4, 3)
    dynamic = {**TIMES, "lengths": {0: "batch"}}
    others = [(torch.randn(2, 3, 4), torch.tensor([2, 0, 1]), w)]
    check(program, torch.randn(5, 2, 4), torch.tensor([5, 3]), w, dynamic=dynamic, others=others)


def test_a_stack_of_states_changed_in_place() -> None:
    def program(x: Tensor) -> Tensor:
        states = torch.zeros(3, x.shape[1], 4)
        for step in x:
            states[0] = torch.tanh(step + states[0])
            for layer in range(1, 3):
                states[layer] = torch.tanh(states[layer - 1] + states[layer])
        return states

    check(program, torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_results_written_into_a_tensor_made_before_the_loop() -> None:
    def program(x: Tensor) -> Tensor:
        out = torch.empty(x.shape[0], x.shape[1], 4)
        h = torch.zeros(x.shape[1], 4)
        for i in range(x.shape[0]):
            h = 0.5 * h + x[i]
            out[i] = h
            out[i, :, 0] *= 2
        return out

    check(program, torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))


def test_a_dict_of_states() -> None:
    def program(x: Tensor) -> Tensor:
        states = {"fast": x[0], "slow": x[0]}
        for step in x:
            states["fast"] = 0.5 * states["fast"] + step
            states["slow"] = 0.9 * states["slow"] + 0.1 * states["fast"]
        return states["fast"] + states["slow"]

    check(program, torch.randn(5, 2, 4), dynamic=TIMES, others=sequences((1, 1), (9, 3)))
