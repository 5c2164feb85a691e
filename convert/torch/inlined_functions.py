"""Letting a trace see into torch.autograd.Function, whose forward it would else hold as one opaque Python call."""

from __future__ import annotations

import contextlib
from collections.abc import Iterator
from typing import Any

import torch
from torch.autograd.function import Function, FunctionCtx


@contextlib.contextmanager
def inlined_functions() -> Iterator[None]:
    """Inside, every `Function.apply` is its forward, as plain operators and without a way back."""

    def apply(cls: Any, *args: Any) -> Any:
        if cls.setup_context is not Function.setup_context:
            return cls.forward(*args)
        return cls.forward(FunctionCtx(), *args)

    with torch.no_grad():
        former = Function.__dict__["apply"]
        Function.apply = classmethod(apply)  # type: ignore[method-assign, assignment]
        try:
            yield
        finally:
            Function.apply = former  # type: ignore[method-assign]
