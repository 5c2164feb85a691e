"""Traces that our own translator can read."""

from __future__ import annotations

import warnings
from dataclasses import dataclass, replace
from typing import Any

import torch

from transload.convert.torch.data_reads import Line
from transload.convert.torch.inlined_functions import inlined_functions
from transload.convert.torch.rolled_loops import SizeReads, rolled_loops
from transload.serialize.errors import UnsupportedError, UnsupportedOperation


@dataclass(frozen=True)
class Trace:
    """The trace of one call.

    Args:
        program: The traced module.
        fixed: The lines at which it took a tensor's value, or a size, for a constant.
        compiled: What the program calls but does not hold; to be kept as long as it is read.
    """

    program: Any
    fixed: frozenset[Line]
    compiled: tuple[Any, ...] = ()


def trace(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> Trace:
    """The trace of a module's call."""
    with warnings.catch_warnings(record=True) as caught, inlined_functions():
        warnings.simplefilter("always")
        traced = torch.jit.trace(module, tensors, check_trace=False, strict=False)  # type: ignore[no-untyped-call]
    about_tracing = (item for item in caught if issubclass(item.category, torch.jit.TracerWarning))  # type: ignore[attr-defined]
    return Trace(traced, frozenset(Line(item.filename, item.lineno) for item in about_tracing))


def trace_with_loops(module: torch.nn.Module, tensors: tuple[torch.Tensor, ...]) -> Trace:
    """The same, in which Python's loops over sizes are loops.

    Raises:
        UnsupportedError: there are none that TorchScript takes.
    """
    with SizeReads() as reads:
        trace(module, tensors)
    with rolled_loops(reads.lines) as compiled:
        traced = trace(module, tensors)
    if not compiled:
        raise UnsupportedError(
            "The module has no loop over a size that TorchScript takes.",
            operations=tuple(UnsupportedOperation(line.read(), str(line)) for line in sorted(reads.lines)),
        )
    return replace(traced, compiled=tuple(compiled))
