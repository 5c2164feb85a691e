"""What is known of the right answer for one input set, and of the source's own rounding, where outputs differ."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Literal

import numpy as np

from transload.convert.capture import Array, Capture, Feed
from transload.convert.equivalence.moved_weights import spread_by_weights
from transload.runtime.comparison import Truth
from transload.serialize.dtypes import FLOATS, dtype_from_numpy

Way = Literal["float64", "inputs moved by one ULP", "weights moved by one ULP"]

MOVES = 4
MORE_MOVES = 16
"""How often inputs are moved at first, and where a difference is left after that: of many thousand elements, a few come
out of four runs almost unmoved by chance."""

COARSE_BITS = 24
"""Of float32's mantissa, the first one included."""


@dataclass(frozen=True)
class Estimate:
    """The truths by output name, and how they were found."""

    truths: dict[str, Truth]
    ways: tuple[Way, ...]


def find_truth(capture: Capture, feed: Feed, reference: Mapping[str, Array]) -> Estimate:
    """The right answers as far as they can be known. Run only where the plain comparison failed: it costs runs.

    1. The source in float64, where it can.
    2. Otherwise the source runs on inputs moved by one ULP, four times; the largest change of each element is its
       noise. Elements that are finite in some runs and NaN or infinite in others have no settled answer.
    3. Moved inputs show how the model carries errors on, not those that it makes itself, and integers cannot be moved
       at all. So the captured graph runs too, with its weights moved by one ULP; the larger noise counts. A wrong
       graph does not make this estimate unsafe: its rounding is as small as the right one's, its fault is not.
    """
    exact = _run_float64(capture, feed, reference)
    if exact is not None:
        return Estimate(exact, ("float64",))
    ways: list[Way] = []
    truths = _move_inputs(capture, feed, reference, MOVES)
    if truths:
        ways.append("inputs moved by one ULP")
    spread = spread_by_weights(capture.model, feed)
    if spread:
        ways.append("weights moved by one ULP")
    for name, noise in spread.items():
        if name in reference and reference[name].shape == noise.shape and _is_float(reference[name]):
            known = truths.get(name) or Truth(reference[name], np.zeros(noise.shape))
            truths[name] = Truth(known.value, np.fmax(known.noise, noise))
    return Estimate(truths, tuple(ways))


def widen_noise(
    capture: Capture, feed: Feed, reference: Mapping[str, Array], estimate: Estimate, moves: int
) -> Estimate | None:
    """The truth in float64, its noise the larger of what float64 and what inputs moved by one ULP show of it.

    A single difference from float64 may be small by chance where the model carries errors on strongly: where a softmax
    of large numbers balances, or a sum lies at the threshold of a branch. None where the inputs are few-digit numbers,
    so that every sum of them is exact in any order: a branch has to go the way that is right for them.

    Args:
        estimate: By float64 alone; other estimates stay what they are.
        moves: How often inputs are moved.
    """
    if estimate.ways != ("float64",) or all(_is_coarse(array) for array in feed.values()):
        return None
    moved = _move_inputs(capture, feed, reference, moves)
    truths = {
        name: Truth(truth.value, np.fmax(truth.noise, moved[name].noise)) if name in moved else truth
        for name, truth in estimate.truths.items()
    }
    return Estimate(truths, ("float64", "inputs moved by one ULP"))


def _is_coarse(array: Array) -> bool:
    """Whether floats are multiples of one power of two, and so small ones that no sum of them rounds."""
    if not _is_float(array) or not array.size:
        return True
    numbers = np.asarray(array, np.float64)
    if not np.isfinite(numbers).all():
        return False
    mantissas, exponents = np.frexp(numbers[numbers != 0])
    # A number m * 2**e with m in [0.5, 1) is a multiple of 2**(e - bits), where bits is the length of m.
    lowest = [int(e) - len(f"{int(abs(m) * 2**53):b}".rstrip("0")) for m, e in zip(mantissas, exponents, strict=True)]
    return not lowest or float(np.abs(numbers).sum()) < 2.0 ** (min(lowest) + COARSE_BITS)


def _run_float64(capture: Capture, feed: Feed, reference: Mapping[str, Array]) -> dict[str, Truth] | None:
    try:
        outputs = capture.reference.run_float64(feed)
    except Exception:
        # Frameworks raise anything where an operator lacks float64; then the noise has to be found another way.
        return None
    if outputs is None:
        return None
    truths = {}
    for name, output in reference.items():
        if name in outputs and outputs[name].shape == output.shape and _is_float(output):
            with np.errstate(invalid="ignore"):
                noise = np.abs(np.asarray(output, np.float64) - outputs[name])
            truths[name] = Truth(np.asarray(outputs[name], np.float64), noise)
    return truths


def _move_inputs(capture: Capture, feed: Feed, reference: Mapping[str, Array], moves: int) -> dict[str, Truth]:
    if not any(_is_float(array) and array.size for array in feed.values()):
        return {}
    floats = {name: np.asarray(output, np.float64) for name, output in reference.items() if _is_float(output)}
    noise = {name: np.zeros(output.shape) for name, output in floats.items()}
    settled = {name: np.ones(output.shape, bool) for name, output in floats.items()}
    for number in range(moves):
        moved = {name: move_by_one_ulp(array, number) for name, array in feed.items()}
        try:
            outputs = capture.reference.run(moved)
        except Exception:
            # A source that takes the input but not its neighbour says nothing about its noise.
            continue
        for name, output in floats.items():
            other = np.asarray(outputs[name], np.float64)
            if other.shape != output.shape:
                continue
            with np.errstate(invalid="ignore"):
                change = np.abs(other - output)
            settled[name] &= _alike(other, output)
            noise[name] = np.fmax(noise[name], np.where(np.isfinite(change), change, 0.0))
    return {
        name: Truth(np.where(settled[name], output, np.where(np.isnan(output), 0.0, np.nan)), noise[name])
        for name, output in floats.items()
    }


def _alike(a: Array, b: Array) -> Array:
    """Where both are finite, both NaN, or the same infinity."""
    return np.asarray((np.isfinite(a) & np.isfinite(b)) | (np.isnan(a) & np.isnan(b)) | (a == b))


def move_by_one_ulp(array: Array, number: int) -> Array:
    """Floats moved by one ULP: all up, all down, then each at random."""
    if not _is_float(array) or not array.size:
        return array
    if number < 2:
        target = np.full(array.shape, np.inf if number else -np.inf)
    else:
        target = np.where(np.random.default_rng(number).random(array.shape) < 0.5, np.inf, -np.inf)
    # Infinities stay: their neighbours are finite.
    target = np.where(np.isinf(np.asarray(array, np.float64)), np.asarray(array, np.float64), target)
    return np.asarray(np.nextafter(array, target.astype(array.dtype)))


def _is_float(array: Array) -> bool:
    return dtype_from_numpy(array.dtype) in FLOATS
