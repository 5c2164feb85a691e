"""How far the outputs of a package are from those of its module."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np

from transload.convert.capture import Array


def largest_difference(found: Sequence[Array], expected: Sequence[Array]) -> float:
    """The largest difference, relative to the largest output; infinite where shapes or places of NaN differ."""
    worst = 0.0
    for ours, theirs in zip(found, expected, strict=True):
        if ours.shape != theirs.shape or not np.array_equal(np.isnan(ours), np.isnan(theirs)):
            return float("inf")
        defined = ~np.isnan(theirs)
        one, other = ours[defined].astype(np.float64), theirs[defined].astype(np.float64)
        # Equal infinities differ by nothing.
        apart = np.abs(np.subtract(one, other, out=np.zeros_like(one), where=one != other))
        worst = max(worst, float(apart.max(initial=0.0)) / (float(np.abs(other).max(initial=0.0)) or 1.0))
    return worst
