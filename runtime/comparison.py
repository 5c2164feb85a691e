"""Comparing outputs with a reference: what must be exact, what has a tolerance, and how a difference is reported."""

from __future__ import annotations

import itertools
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np

from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.interface import Tolerance

Array = np.ndarray[Any, Any]
Feed = Mapping[str, Array]

DEFAULT_TOLERANCES: dict[str, Tolerance] = {
    "float64": Tolerance(rtol=1e-7, atol=1e-7),
    "float32": Tolerance(rtol=1.3e-6, atol=1e-5),
    "float16": Tolerance(rtol=1e-3, atol=1e-5),
    "bfloat16": Tolerance(rtol=1.6e-2, atol=1e-5),
}
"""torch.testing's defaults (torch/testing/_comparison.py). Float dtypes that are not listed are compared exactly."""

EXACT = Tolerance(rtol=0.0, atol=0.0)

NOISE_FACTOR = 4.0
"""How many times the source's own noise a value may be off (NUMERICS, "What has a tolerance")."""

NOISE_PERCENTILE = 99.0
NOISE_GROUP = 128
"""The fewest elements of like magnitude from which a noise level is read: below this a 99th percentile means little."""

NOISE_ROW = 32
"""The fewest elements of a row that has a noise level of its own."""

CHUNK_ELEMENTS = 1 << 20
"""Elements that are widened to float64 at one time, so that comparing a large output costs little memory."""


@dataclass(frozen=True)
class OutputComparison:
    """How one output compares with its reference.

    Args:
        name: The output's tensor name.
        passed: Whether it counts as the same.
        reason: Why not, in a few words; empty when it passed.
        max_abs_error, max_rel_error: Over the elements that are finite on both sides.
        worst_index: Where the largest miss is (or, when none missed, the largest absolute error); None for no elements.
        worst_ours, worst_reference: Both values there, as text.
        p99_abs_error: 99th percentile of the absolute error.
        cosine: Cosine of the angle between both, over finite elements; 1 where both are zero.
        missed: How many elements miss.
        size: How many elements there are.
        by_noise: Some elements passed only because they are as near the truth as the source is.
        signed_zeros: Elements that are zero on both sides with unlike signs. Reported, never failed.
        unsettled: Elements that are finite, NaN or infinite unlike the reference, where the truth says that the
            reference itself is not settled. They are not counted as missed.
        misplaced: How many of the missed elements are finite, NaN or infinite unlike the reference.
        lost_nan: How many of those are NaN in the reference.
        noise: The largest error of the source itself that elements were allowed four of; 0 where no truth was given.
    """

    name: str
    passed: bool
    reason: str = ""
    max_abs_error: float = 0.0
    max_rel_error: float = 0.0
    worst_index: tuple[int, ...] | None = None
    worst_ours: str = ""
    worst_reference: str = ""
    p99_abs_error: float = 0.0
    cosine: float = 1.0
    missed: int = 0
    size: int = 0
    by_noise: bool = False
    signed_zeros: int = 0
    unsettled: int = 0
    misplaced: int = 0
    lost_nan: int = 0
    noise: float = 0.0


@dataclass(frozen=True)
class Truth:
    """What is known of the right answer for one output, beyond the reference.

    Args:
        value: The best estimate of the right answer, of the reference's shape; float64 for floats.
        noise: The error that the source itself makes, element by element; same shape.
    """

    value: Array
    noise: Array


def compare_outputs(
    ours: Feed,
    reference: Feed,
    tolerances: Mapping[str, Tolerance],
    truth: Mapping[str, Array | Truth] | None = None,
) -> tuple[OutputComparison, ...]:
    """Compare all outputs: number, names and order first, then each by `compare_output`.

    `tolerances` is by output name; an output that it lacks has the default of its dtype.
    """
    if list(ours) != list(reference) and set(ours) == set(reference):
        reason = f"the outputs come in the order {list(ours)} instead of {list(reference)}"
        return tuple(OutputComparison(name, False, reason) for name in reference)
    rows = []
    for name in [*reference, *(name for name in ours if name not in reference)]:
        if name not in ours:
            rows.append(OutputComparison(name, False, "this output is missing"))
        elif name not in reference:
            rows.append(OutputComparison(name, False, "the source has no such output"))
        else:
            rows.append(
                compare_output(
                    name,
                    ours[name],
                    reference[name],
                    tolerances.get(name) or default_tolerance(reference[name]),
                    None if truth is None else truth.get(name),
                )
            )
    return tuple(rows)


def default_tolerance(array: Array) -> Tolerance:
    """The standard's tolerance for an array's dtype."""
    return DEFAULT_TOLERANCES.get(dtype_from_numpy(array.dtype), EXACT)


def compare_output(
    name: str, ours: Array, reference: Array, tolerance: Tolerance, truth: Array | Truth | None = None
) -> OutputComparison:
    """Compare one output with its reference.

    Exact: dtype, rank and shape, integers, booleans, strings, the places of NaN, the places and signs of infinities.
    Floats pass when `|ours - reference| <= atol + rtol * |reference| + noise` holds for every element, where `noise` is
    the tolerance's, 0 but for recorded vectors that need it. With a `truth`, an element passes also when
    `|ours - truth| <= 4 * level + atol`, where the level is the larger of the source's own error at that element,
    `|reference - truth|`, and its error at elements of like magnitude (see `noise_levels`).

    Args:
        name: Put into the result.
        ours, reference: Arrays of any dtype.
        tolerance: For floats.
        truth: The right answer in float64, or a `Truth` with a noise of its own.
    """
    ours, reference = np.asarray(ours), np.asarray(reference)
    dtype, expected = dtype_from_numpy(ours.dtype), dtype_from_numpy(reference.dtype)
    if dtype != expected:
        return OutputComparison(name, False, f"dtype {dtype} instead of {expected}", size=reference.size)
    if ours.shape != reference.shape:
        word = "shape" if ours.ndim == reference.ndim else "rank"
        reason = f"{word} differs: {list(ours.shape)} instead of {list(reference.shape)}"
        return OutputComparison(name, False, reason, size=reference.size)
    if dtype not in FLOATS:
        return _compare_exact(name, ours, reference)
    if truth is not None and not isinstance(truth, Truth):
        value = np.asarray(truth)
        truth = Truth(value, np.abs(_widen(reference) - _widen(value))) if value.shape == reference.shape else None
    if truth is not None and truth.value.shape != reference.shape:
        truth = None
    return _compare_floats(name, ours, reference, tolerance, truth)


def noise_levels(truth: Truth, reference: Array) -> Array:
    """For each element, how far off the source itself may be there; float64, flat.

    NUMERICS states the rule for single elements, `|ours - truth| <= 4 * |source - truth| + atol`. Taken literally it
    gives false alarms on every deep model: two independent rounding errors of one size stand in a ratio above 4 at
    one element in six, since the source is at some elements right by luck. So the level of an element is the larger
    of its own noise and the 99th percentile of the noise among elements of like magnitude, that is of the same or
    neighbouring powers of four of |reference|, joined until there are 128 of them (or all there are).

    Some places are noisy as a whole: one position of a text whose normalization divides by little, say, errs at all of
    its logits. So the 99th percentile of an element's own row counts too, where rows, along the last axis, have 32
    elements or more.

    It cannot hide a fault larger than rounding. The level is measured on the source alone, so a fault in the capture
    does not raise it; at 99 of 100 elements of that magnitude the source is nearer the truth than the level, and what
    stays within four of it cannot be told from the source's own rounding. Grouping by magnitude keeps a loud channel
    from hiding a faulty quiet one; the percentile keeps single outliers of the source from doing so.
    """
    magnitude = np.abs(np.asarray(reference, np.float64)).ravel()
    noise = np.asarray(truth.noise, np.float64).ravel()
    levels = np.nan_to_num(noise, nan=0.0, posinf=0.0)
    usable = np.flatnonzero(np.isfinite(noise) & np.isfinite(magnitude))
    if not usable.size:
        return levels
    # Below the smallest float32 everything is one group, zero too.
    power = np.floor(np.log2(np.maximum(magnitude[usable], 2.0**-150)) / 2.0)
    order = usable[np.argsort(power, kind="stable")]
    power = np.sort(power, kind="stable")
    edges = [0, *(np.flatnonzero(np.diff(power)) + 1).tolist(), order.size]
    groups = [0]
    for edge in edges[1:]:
        if edge - groups[-1] >= NOISE_GROUP:
            groups.append(edge)
    # What is left over at the top joins the last group.
    groups = [*groups[:-1], order.size] if len(groups) > 1 else [0, order.size]
    for start, end in itertools.pairwise(groups):
        members = order[start:end]
        levels[members] = np.maximum(levels[members], np.percentile(noise[members], NOISE_PERCENTILE))
    if reference.ndim >= 2 and reference.shape[-1] >= NOISE_ROW:
        rows = np.where(np.isfinite(noise), noise, 0.0).reshape(-1, reference.shape[-1])
        of_row = np.percentile(rows, NOISE_PERCENTILE, axis=1, keepdims=True)
        levels = np.maximum(levels.reshape(rows.shape), of_row).ravel()
    return levels


def format_rows(comparisons: tuple[OutputComparison, ...]) -> tuple[str, ...]:
    """One line of text for each output, for reports and error messages."""
    return tuple(_format_row(row) for row in comparisons)


def _format_row(row: OutputComparison) -> str:
    verdict = "ok" if row.passed else "DIFFERS"
    parts = [f"{row.name}: {verdict}" + (" (within the source's own noise)" if row.passed and row.by_noise else "")]
    if row.reason:
        parts.append(row.reason)
    if row.worst_index is not None:
        parts.append(f"max abs error {row.max_abs_error:.3g}, max rel error {row.max_rel_error:.3g}")
        index = ",".join(map(str, row.worst_index))
        parts.append(f"worst at [{index}]: ours {row.worst_ours}, reference {row.worst_reference}")
        parts.append(f"p99 {row.p99_abs_error:.3g}, cosine {row.cosine:.9f}")
        parts.append(f"{row.missed} of {row.size} elements missed")
    if row.signed_zeros:
        parts.append(f"{row.signed_zeros} zeros differ in sign")
    if row.unsettled:
        parts.append(f"{row.unsettled} elements where the source itself is not settled")
    return "; ".join(parts)


def _compare_exact(name: str, ours: Array, reference: Array) -> OutputComparison:
    if dtype_from_numpy(reference.dtype) == "string":
        ours, reference = _as_text(ours), _as_text(reference)
    unequal = (ours != reference).ravel()
    missed = int(np.count_nonzero(unequal))
    if not missed:
        return OutputComparison(name, True, size=reference.size)
    first = int(np.flatnonzero(unequal)[0])
    errors = np.zeros(1)
    if reference.dtype != object:
        # Through Python integers: differences of 64-bit integers fit neither their own dtype nor a float.
        errors = np.array(
            [abs(int(a) - int(b)) for a, b in zip(ours.ravel()[unequal], reference.ravel()[unequal], strict=True)],
            dtype=np.float64,
        )
        first = int(np.flatnonzero(unequal)[int(errors.argmax())])
    return OutputComparison(
        name,
        False,
        f"{missed} of {reference.size} values differ; {reference.dtype} must be equal",
        max_abs_error=float(errors.max()),
        worst_index=_index(first, reference.shape),
        worst_ours=str(ours.ravel()[first]),
        worst_reference=str(reference.ravel()[first]),
        missed=missed,
        size=reference.size,
        cosine=_cosine_of(ours, reference),
        p99_abs_error=float(np.percentile(np.append(errors, np.zeros(reference.size - missed)), 99)),
    )


def _as_text(array: Array) -> Array:
    texts = [item.decode() if isinstance(item, bytes) else str(item) for item in array.ravel()]
    return np.array(texts, dtype=object).reshape(array.shape)


def _cosine_of(ours: Array, reference: Array) -> float:
    if reference.dtype == object:
        return 0.0
    a, b = np.asarray(ours, np.float64).ravel(), np.asarray(reference, np.float64).ravel()
    return _cosine(float(a @ b), float(a @ a), float(b @ b))


def _cosine(product: float, ours: float, reference: float) -> float:
    if not ours or not reference:
        return 1.0 if ours == reference else 0.0
    return float(product / np.sqrt(ours) / np.sqrt(reference))


def _widen(array: Array) -> Array:
    return np.asarray(array, np.float64)


def _kinds(array: Array) -> Array:
    """0 finite, 1 NaN, 2 plus infinity, 3 minus infinity; `array` is float64."""
    return np.where(np.isfinite(array), 0, np.where(np.isnan(array), 1, np.where(array > 0, 2, 3))).astype(np.int8)


@dataclass
class _Sums:
    """What is gathered chunk by chunk."""

    max_rel: float = 0.0
    signed_zeros: int = 0
    unsettled: int = 0
    misplaced: int = 0
    lost_nan: int = 0
    by_noise: bool = False
    product: float = 0.0
    ours: float = 0.0
    reference: float = 0.0


def _compare_floats(
    name: str, ours: Array, reference: Array, tolerance: Tolerance, truth: Truth | None
) -> OutputComparison:
    size = reference.size
    if not size:
        return OutputComparison(name, True)
    flat_ours, flat_reference = ours.ravel(), reference.ravel()
    errors = np.zeros(size, np.float64 if reference.dtype == np.float64 else np.float32)
    missed = np.zeros(size, bool)
    levels = None if truth is None else noise_levels(truth, reference)
    values = None if truth is None else truth.value.ravel()
    sums = _Sums()
    for start in range(0, size, CHUNK_ELEMENTS):
        part = slice(start, start + CHUNK_ELEMENTS)
        errors[part], missed[part] = _compare_chunk(
            flat_ours[part],
            flat_reference[part],
            tolerance,
            None if values is None else values[part],
            None if levels is None else levels[part],
            sums,
        )
    count = int(np.count_nonzero(missed))
    # Misplaced NaN and infinities have no error in numbers but are worse than any.
    worst = int(errors.argmax()) if not count else int(np.where(missed, _finite_or_inf(errors), -1.0).argmax())
    finite = errors[np.isfinite(errors)]
    reason = ""
    if sums.misplaced:
        reason = f"NaN or infinity in other places ({sums.misplaced})"
    elif count:
        reason = f"outside atol {tolerance.atol:g} + rtol {tolerance.rtol:g}"
        reason += f" + noise {tolerance.noise:g}" if tolerance.noise else ""
        reason += " and outside the source's own noise" if truth is not None else ""
    return OutputComparison(
        name,
        not count,
        reason,
        max_abs_error=float(finite.max()) if finite.size else 0.0,
        max_rel_error=sums.max_rel,
        worst_index=_index(worst, reference.shape),
        worst_ours=f"{float(flat_ours[worst]):.9g}",
        worst_reference=f"{float(flat_reference[worst]):.9g}",
        p99_abs_error=float(np.percentile(finite, 99)) if finite.size else 0.0,
        cosine=_cosine(sums.product, sums.ours, sums.reference),
        missed=count,
        size=size,
        by_noise=sums.by_noise,
        signed_zeros=sums.signed_zeros,
        unsettled=sums.unsettled,
        misplaced=sums.misplaced,
        lost_nan=sums.lost_nan,
        noise=0.0 if levels is None else float(levels.max()),
    )


def _finite_or_inf(errors: Array) -> Array:
    return np.where(np.isnan(errors), np.inf, errors)


def _compare_chunk(
    ours: Array, reference: Array, tolerance: Tolerance, truth: Array | None, level: Array | None, sums: _Sums
) -> tuple[Array, Array]:
    """Absolute errors (NaN where only one side is finite) and which elements miss."""
    a, b = _widen(ours), _widen(reference)
    kinds_a, kinds_b = _kinds(a), _kinds(b)
    both = (kinds_a == 0) & (kinds_b == 0)
    unlike = kinds_a != kinds_b
    a, b = np.where(both, a, 0.0), np.where(both, b, 0.0)
    with np.errstate(over="ignore"):
        errors = np.abs(a - b)
    missed = errors > tolerance.atol + tolerance.rtol * np.abs(b) + tolerance.noise
    if truth is not None and level is not None and missed.any():
        # The float64 answer in the output's own dtype, which may overflow where the source rightly does.
        center = np.where(np.isfinite(_widen(truth)), _widen(truth), b)
        excused = missed & (np.abs(a - center) <= NOISE_FACTOR * level + tolerance.atol)
        sums.by_noise |= bool(excused.any())
        missed &= ~excused
    if unlike.any():
        settled = unlike
        if truth is not None:
            with np.errstate(over="ignore"):
                settled = unlike & (_kinds(_widen(truth.astype(reference.dtype))) == kinds_b)
        sums.unsettled += int(np.count_nonzero(unlike & ~settled))
        sums.misplaced += int(np.count_nonzero(settled))
        sums.lost_nan += int(np.count_nonzero(settled & np.isnan(reference.astype(np.float64))))
        missed |= settled
    nonzero = both & (b != 0)
    if nonzero.any():
        sums.max_rel = max(sums.max_rel, float(np.max(errors[nonzero] / np.abs(b[nonzero]))))
    zeros = both & (a == 0) & (b == 0)
    sums.signed_zeros += int(np.count_nonzero(zeros & (np.signbit(a) != np.signbit(b))))
    sums.product += float(a @ b)
    sums.ours += float(a @ a)
    sums.reference += float(b @ b)
    return np.where(unlike, np.nan, errors), missed


def _index(flat: int, shape: tuple[int, ...]) -> tuple[int, ...]:
    return tuple(int(i) for i in np.unravel_index(flat, shape))
