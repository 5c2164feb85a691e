"""Intermediate values of TorchScript, by way of parts of torch that are not public."""

from __future__ import annotations

import torch
from torch import Tensor, nn

from transload.convert.torch.taps import tap_method


class Steps(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        doubled = x * 2
        shifted = doubled + 1
        shifted += 5
        return shifted.sum()


def test_torch_still_runs_an_edited_graph() -> None:
    x = torch.tensor([1.0, -2.0])
    values = tap_method(torch.jit.script(Steps()), "forward", (x,))
    assert [value.tolist() for value in values.values()] == [[2.0, -4.0], [3.0, -3.0], [8.0, 2.0], 10.0]


def test_names_are_those_of_the_method_s_own_graph() -> None:
    module = torch.jit.script(Steps())
    names = {output.debugName() for node in module.forward.inlined_graph.nodes() for output in node.outputs()}
    assert set(tap_method(module, "forward", (torch.ones(2),))) <= names
