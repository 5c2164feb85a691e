"""Whether outputs answer to the inputs at all: agreement on what never changes proves little."""

from __future__ import annotations

from collections.abc import Iterable, Mapping

import numpy as np

from transload.convert.capture import Array
from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.interface import Tolerance

STEPS = 10.0
"""By how many tolerances an output has to move before agreement within one tolerance says something."""


def find_responding(
    example: Mapping[str, Array], other: Mapping[str, Array], tolerances: Mapping[str, Tolerance]
) -> set[str]:
    """The outputs that `other` inputs moved well beyond their tolerance, or to another shape."""
    return {
        name for name, value in other.items() if name in example and _moved(example[name], value, tolerances.get(name))
    }


def describe_unmoved(names: Iterable[str]) -> tuple[str, ...]:
    """A sentence for the user about each output that no input set moved."""
    return tuple(
        f"The output {name!r} hardly changed over all input sets: that source and package agree there shows little."
        for name in names
    )


def _moved(example: Array, other: Array, tolerance: Tolerance | None) -> bool:
    if example.shape != other.shape:
        return True
    if tolerance is None or dtype_from_numpy(example.dtype) not in FLOATS:
        return not np.array_equal(example, other)
    before, after = np.asarray(example, np.float64), np.asarray(other, np.float64)
    finite = np.isfinite(before) & np.isfinite(after)
    steps = STEPS * (tolerance.atol + tolerance.rtol * np.abs(before[finite]))
    return bool(np.any(np.abs(after[finite] - before[finite]) > steps))
