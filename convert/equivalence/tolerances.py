"""The bound within which an output has to be right."""

from __future__ import annotations

from transload.convert.options import ConvertOptions
from transload.runtime.comparison import DEFAULT_TOLERANCES, EXACT
from transload.serialize.interface import Tensor, Tolerance


def choose_tolerance(tensor: Tensor, options: ConvertOptions) -> Tolerance:
    """The bound for an output: the standard's for its dtype, or what the user gave."""
    standard = DEFAULT_TOLERANCES.get(tensor.dtype, EXACT)
    return Tolerance(
        rtol=standard.rtol if options.rtol is None else options.rtol,
        atol=standard.atol if options.atol is None else options.atol,
    )
