"""Traces of modules that define their own derivatives."""

from __future__ import annotations

from typing import Any

import pytest
import torch

from transload.convert.torch.inlined_functions import inlined_functions
from transload.convert.torch.script import translate
from transload.serialize.errors import UnsupportedError


class Old(torch.autograd.Function):
    @staticmethod
    def forward(ctx: Any, x: torch.Tensor) -> torch.Tensor:
        ctx.save_for_backward(x)
        return x * torch.tanh(x)


class New(torch.autograd.Function):
    @staticmethod
    def forward(x: torch.Tensor) -> torch.Tensor:
        return x * torch.sigmoid(x)

    @staticmethod
    def setup_context(ctx: Any, inputs: Any, output: Any) -> None:
        ctx.save_for_backward(*inputs)


class Module(torch.nn.Module):
    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return New.apply(Old.apply(x))  # type: ignore[no-any-return]


def test_a_trace_holds_their_operators() -> None:
    x = torch.linspace(-2, 2, 5)
    with inlined_functions():
        traced = torch.jit.trace(Module(), (x,), check_trace=False)
    kinds = {node.op_type for node in translate(traced, {"x": x}, dynamic_axes={}, opset=20).model.graph}
    assert {"Tanh", "Sigmoid"} <= kinds
    y = x.clone().requires_grad_()
    assert Old.apply(y).requires_grad, "outside, functions are as they were"


def test_without_that_the_function_is_refused_by_name() -> None:
    x = torch.ones(3)
    traced = torch.jit.trace(Module(), (x,), check_trace=False)
    with pytest.raises(UnsupportedError, match=r"\bOld\b"):
        translate(traced, {"x": x}, dynamic_axes={}, opset=20)
