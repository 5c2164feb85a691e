"""Python loops over sizes that stay loops in a trace."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

import numpy as np
import pytest
import torch
from torch import Tensor

import transload as tl
from transload.convert.torch.tracing import trace_with_loops
from transload.serialize import Component
from transload.serialize.errors import UnsupportedError
from transload.serialize.interface import input_tensors

OFF = (lambda: False)()
"""Lambdas are not TorchScript: a module that calls one is not scripted as a whole."""


class Recurrence(torch.nn.Module):
    """A list that a loop fills, attributes of the module, and a state that goes on; in a branch, as models have it."""

    def __init__(self) -> None:
        super().__init__()
        self.scale = torch.nn.Parameter(torch.tensor([0.5, 0.25, 2.0]))
        self.factor = 0.5
        self.pick = lambda x: x

    def forward(self, x: Tensor) -> tuple[Tensor, Tensor]:
        batch, length, width = x.shape
        state = torch.zeros(batch, width, dtype=x.dtype)
        kind, missing = x.dtype, None
        if not OFF:
            rows = []
            for index in range(length):
                state = state * self.factor + x[:, index] * self.scale
                if missing is not None:
                    state = state + missing
                rows.append(torch.nn.functional.silu(state).to(kind))
            x = torch.stack(rows, dim=1)
        return self.pick(x), state


class InPlace(torch.nn.Module):
    """Each row becomes the sum of all up to it, in the tensor itself."""

    def __init__(self) -> None:
        super().__init__()
        self.pick = lambda x: x

    def forward(self, x: Tensor) -> Tensor:
        out = self.pick(x).clone()
        for index in range(1, x.shape[1]):
            out[:, index] = out[:, index] + out[:, index - 1]
        return out * 2


class Reversed(torch.nn.Module):
    """No loop, but a list that is as long as a size."""

    def __init__(self) -> None:
        super().__init__()
        self.offset = 2
        self.pick = lambda x: x

    def forward(self, x: Tensor) -> Tensor:
        places = torch.tensor(
            list(range(self.offset, x.shape[1] + self.offset))[::-1],
        )
        result: Tensor = self.pick(x) * places[:, None]
        return result


class Steps(torch.nn.Module):
    """Goes through steps, not through their numbers, and returns what comes of them at once."""

    def forward(self, x: Tensor) -> Tensor:
        x = (lambda steps: steps)(x)
        total = torch.zeros_like(x[:, 0])
        sums = []
        for number, step in enumerate(x.transpose(0, 1)):
            total = total * 0.5 + step * number
            sums.append(total)
        return torch.stack(sums, dim=1)


class OfCells(torch.nn.Module):
    """Calls a module in each turn, which no function of tensors can."""

    def __init__(self) -> None:
        super().__init__()
        torch.manual_seed(0)
        self.cell = torch.nn.GRUCell(3, 3)

    def forward(self, x: Tensor) -> Tensor:
        state = torch.zeros(x.shape[0], 3)
        for index in range(x.shape[1]):
            state = self.cell(x[:, index], state)
        return state


class LoopOfModules(OfCells):
    """The same, and no TorchScript either."""

    def forward(self, x: Tensor) -> Tensor:
        for index in range(x.shape[1]):
            x = x + (lambda row: self.cell(row))(x[:, index])[:, None]
        return x


class Returning(torch.nn.Module):
    """Leaves the function from inside of the loop."""

    def forward(self, x: Tensor) -> Tensor:
        for index in range(x.shape[1]):
            if index == 1:
                return x[:, index]
        return x[:, 0]


def convert(module: torch.nn.Module, *shape: int, **options: Any) -> Component:
    [component] = tl.convert_model(module, (random(shape),), proof="quick", **options).components
    return component


def random(shape: Sequence[int]) -> Tensor:
    return torch.from_numpy(np.random.default_rng(0).standard_normal(shape).astype(np.float32))


@pytest.mark.parametrize(
    ("module", "width"), [(Recurrence(), 3), (InPlace(), "x_dim2"), (Reversed(), "x_dim2"), (Steps(), "x_dim2")]
)
def test_a_loop_over_a_size_follows_it(module: torch.nn.Module, width: int | str) -> None:
    component = convert(module, 2, 5, 3)
    assert component.interface.source.way == "trace with loops"
    assert [tensor.shape for tensor in input_tensors(component.interface)] == [("batch", "x_dim1", width)]
    assert "By way of trace: not dynamic: x_dim1." in component.interface.proof.notes


def test_a_loop_over_a_size_that_the_user_fixes_is_unrolled() -> None:
    component = convert(Recurrence(), 2, 5, 3, inputs=["x[batch,5,3]"])
    assert component.interface.source.way == "trace"
    assert "Loop" not in {node.op_type for node in component.model.graph}


def test_a_loop_that_cannot_stay_one_is_named_where_its_size_is_fixed() -> None:
    component = convert(LoopOfModules(), 2, 5, 3)
    assert [tensor.shape for tensor in input_tensors(component.interface)] == [("batch", 5, 3)]
    told = [note for note in component.interface.proof.notes if note.startswith("By way of trace with loops")]
    assert re.search(r"for index in range\(x\.shape\[1\]\): at .*test_rolled_loops\.py:\d+", told[0])


@pytest.mark.parametrize("module", [OfCells(), Returning(), torch.nn.Linear(3, 3)])
def test_where_nothing_can_stay_a_loop_the_way_is_closed(module: torch.nn.Module) -> None:
    with pytest.raises(UnsupportedError, match="no loop over a size that TorchScript takes"):
        trace_with_loops(module, (random((2, 5, 3)),))


@pytest.mark.parametrize("module", [Recurrence(), OfCells()])
def test_the_module_s_code_is_its_own_again_afterwards(module: Any) -> None:
    function = type(module).forward
    code, names = function.__code__, set(function.__globals__)
    expected = module(random((2, 5, 3)))
    try:
        trace_with_loops(module, (random((2, 5, 3)),))
    except UnsupportedError:
        assert isinstance(module, OfCells)
    assert function.__code__ is code
    assert set(function.__globals__) == names
    torch.testing.assert_close(module(random((2, 5, 3))), expected, rtol=0, atol=0)


def test_what_stays_as_it_stands_computes_what_it_did() -> None:
    """A loop that TorchScript does not take beside one that it takes."""

    class Both(torch.nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.cells, self.recurrence = OfCells(), Recurrence()

        def forward(self, x: Tensor) -> Tensor:
            result: Tensor = self.cells(x) + self.recurrence(x)[1]
            return result

    module, x = Both(), random((2, 5, 3))
    traced = trace_with_loops(module, (x,))
    assert len(traced.compiled) == 1
    torch.testing.assert_close(traced.program(x), module(x), rtol=1e-6, atol=1e-6)
