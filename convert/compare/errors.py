"""How errors are spread over an output: counts by decade, and the worst elements. For reading, not for judging."""

from __future__ import annotations

import numpy as np

from transload.convert.capture import Array
from transload.convert.compare.result import Element
from transload.serialize.dtypes import FLOATS, dtype_from_numpy

DECADES = tuple(range(-12, 4))
"""Bin 0 holds errors of 0, bin k those up to ten to the power DECADES[k - 1], the last all larger ones and NaN."""

WORST = 5


def spread_errors(ours: Array, reference: Array) -> tuple[tuple[int, ...], tuple[Element, ...]]:
    """Counts of absolute errors by decade, and the worst elements; both empty where shapes differ or nothing is there.

    NaN or infinity on one side only counts as an infinite error; strings that differ do too.
    """
    if ours.shape != reference.shape or not reference.size:
        return (), ()
    errors = _errors(ours.ravel(), reference.ravel())
    edges = [0.0, *(10.0**power for power in DECADES)]
    places = np.searchsorted(edges, errors, side="left")
    histogram = np.bincount(places, minlength=len(edges) + 1)
    order = np.argsort(-errors, kind="stable")[:WORST]
    worst = tuple(
        Element(
            tuple(int(axis) for axis in np.unravel_index(int(place), reference.shape)),
            _text(ours.ravel()[place]),
            _text(reference.ravel()[place]),
            float(errors[place]),
        )
        for place in order
        if errors[place] > 0
    )
    return tuple(histogram.tolist()), worst


def _errors(ours: Array, reference: Array) -> Array:
    if not all(dtype_from_numpy(each.dtype) in FLOATS or each.dtype.kind in "biu" for each in (ours, reference)):
        return np.where(ours == reference, 0.0, np.inf)
    a, b = ours.astype(np.float64), reference.astype(np.float64)
    same = (a == b) | (np.isnan(a) & np.isnan(b))
    with np.errstate(invalid="ignore", over="ignore"):
        return np.where(same, 0.0, np.nan_to_num(np.abs(a - b), nan=np.inf, posinf=np.inf))


def _text(value: object) -> str:
    return f"{float(value):.9g}" if isinstance(value, np.floating) else str(value)
