"""Operators that have no answer for NaN or infinities, so that source and runtime each give what their way gives."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence

import numpy as np
import onnx_ir as ir

from transload.convert.capture import Array, Feed
from transload.runtime.comparison import default_tolerance
from transload.serialize.dtypes import FLOATS, dtype_from_numpy

UNORDERED = frozenset({"TopK", "NonMaxSuppression"})
"""They put numbers in an order, of which NaN has none: which places it gets is up to the sorting."""

QUANTIZED = frozenset({"QuantizeLinear", "DynamicQuantizeLinear", "DequantizeLinear"})
"""Operators of graphs that compute on integers: which of these stand for NaN and infinities is up to the processor."""

TRANSFORMS = frozenset({"DFT", "STFT"})
"""Every result is a sum over all inputs with weights of both signs and zero: which become NaN, which infinite, and
whether a weight of zero keeps a NaN out, is up to how the transform is taken apart."""

REPLACEMENTS = (0.37, -41.0, 2900.0)
"""Three magnitudes of the numbers that stand in for NaN and infinities."""

Ask = Callable[[Feed], Mapping[str, Array] | None]


def find_unanswering(model: ir.Model) -> frozenset[str]:
    """The operators of a graph, or of graphs inside of it, that have no answer for NaN or infinities."""
    return frozenset(node.op_type for node in model.graph.all_nodes()) & (UNORDERED | QUANTIZED | TRANSFORMS)


def is_without_answer(
    operators: frozenset[str], feed: Feed, source: Mapping[str, Array], ours: Sequence[Mapping[str, Array]], ask: Ask
) -> bool:
    """Whether all that differs on a set with NaN or infinities is what such operators make of them.

    The source alone tells which elements depend on them: it is asked with three sorts of finite numbers in their
    place. An element that stays the same depends on none, and must be what it stays in our outputs as well. Behind a
    transform it may be NaN or infinite instead, as a weight of zero, or what rounding leaves of it, keeps nothing out.
    Of the others, behind a transform, none may be finite that the source has infinite or NaN, nor the other way round;
    behind an order, or on integers, they are anything.

    Args:
        operators: What `find_unanswering` gave.
        feed: The inputs, of which a float is not finite.
        source: The source's outputs.
        ours: The outputs of each run of the package.
        ask: The source's outputs for other inputs; None where it refuses, or where the package has others.
    """
    if not operators:
        return False
    # Infinities have their place in an order; boxes that reach there have no area.
    replaced = np.isnan if operators == {"TopK"} else lambda array: ~np.isfinite(array)
    answers = [ask(_fill(feed, replaced, magnitude)) for magnitude in REPLACEMENTS]
    known = [answer for answer in answers if answer is not None]
    if len(known) != len(answers) or not any(replaced(array).any() for array in feed.values() if _is_float(array)):
        return False
    transformed = bool(operators & TRANSFORMS)
    return all(
        _is_explained(outputs[name], source[name], [answer[name] for answer in known], transformed)
        for outputs in ours
        for name in source
    )


def _is_explained(ours: Array, source: Array, answers: Sequence[Array], transformed: bool) -> bool:
    if any(array.shape != source.shape or array.dtype != source.dtype for array in (ours, *answers)):
        # How many there are depends on the order.
        return not transformed and ours.dtype == source.dtype and ours.ndim == source.ndim
    independent = np.logical_and.reduce([_stays(answers[0], other) for other in answers[1:]])
    kept = _same(ours, answers[0])
    if not _is_float(source):
        return bool(kept[independent].all())
    if transformed:
        kept |= ~np.isfinite(ours)
        both = np.isfinite(ours) == np.isfinite(source)
        return bool(kept[independent].all() and both[~independent].all())
    return bool(kept[independent].all())


def _stays(one: Array, other: Array) -> Array:
    """Where two answers of the source are the same but for the rounding that comes with large numbers among inputs."""
    if not _is_float(one):
        return np.asarray(one == other)
    largest = float(np.abs(np.asarray(other, np.float64)[np.isfinite(other)]).max(initial=0.0))
    tolerance = default_tolerance(one)
    with np.errstate(invalid="ignore"):
        change = np.abs(np.asarray(one, np.float64) - np.asarray(other, np.float64))
    return np.asarray((one == other) | (change <= 4 * tolerance.atol + 4 * tolerance.rtol * largest))


def _same(one: Array, other: Array) -> Array:
    """Where two outputs are the same, within the standard's tolerance."""
    if not _is_float(one):
        return np.asarray(one == other)
    tolerance = default_tolerance(one)
    return np.isclose(
        np.asarray(one, np.float64), np.asarray(other, np.float64), tolerance.rtol, 4 * tolerance.atol, equal_nan=True
    )


def _fill(feed: Feed, replaced: Callable[[Array], Array], magnitude: float) -> dict[str, Array]:
    """The feed with numbers of about this magnitude in place of what is not finite."""
    rng = np.random.default_rng(7)
    filled = {}
    for name, array in feed.items():
        filled[name] = array
        if _is_float(array):
            numbers = magnitude * rng.uniform(0.5, 1.5, array.shape)
            filled[name] = np.where(replaced(np.asarray(array, np.float64)), numbers, array).astype(array.dtype)
    return filled


def _is_float(array: Array) -> bool:
    return dtype_from_numpy(array.dtype) in FLOATS
