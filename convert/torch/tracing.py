"""Traces that our own translator can read."""

from __future__ import annotations

import warnings
from typing import Any

import torch

from transload.convert.torch.data_reads import Line
from transload.convert.torch.inlined_functions import inlined_functions


def trace(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> tuple[Any, set[Line]]:
    """The trace of one call, and the lines at which it took a tensor's value, or a size, for a constant."""
    with warnings.catch_warnings(record=True) as caught, inlined_functions():
        warnings.simplefilter("always")
        traced = torch.jit.trace(module, tensors, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
    about_tracing = (item for item in caught if issubclass(item.category, torch.jit.TracerWarning))  # type: ignore[attr-defined]
    return traced, {Line(item.filename, item.lineno) for item in about_tracing}
