"""Checking one input set: source against package, with graph optimisations off and on."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import msgspec
import numpy as np

from transload.convert.capture import Array, Feed
from transload.convert.equivalence.blame import find_blame
from transload.convert.equivalence.graph_runs import run_in_runtime
from transload.convert.equivalence.inputs import InputSet
from transload.convert.equivalence.nan_readings import find_kernels_that_lose_nan, find_reading
from transload.convert.equivalence.quantized_outputs import allow_steps
from transload.convert.equivalence.sides import Refusal, RunError, Sides, ask_both, ask_package, ask_source, same_bytes
from transload.convert.equivalence.ties import find_ties
from transload.convert.equivalence.truth import MORE_MOVES, MOVES, Estimate, find_truth, widen_noise
from transload.convert.equivalence.unanswered import find_unanswering, is_without_answer
from transload.runtime.comparison import OutputComparison, compare_outputs, format_rows
from transload.serialize.dtypes import FLOATS, dtype_from_numpy
from transload.serialize.errors import MismatchError
from transload.serialize.interface import Case

Rows = tuple[OutputComparison, ...]

NOISE_LIMIT = 0.05
"""The share of the largest output above which the source's own noise makes a set useless as evidence."""


@dataclass(frozen=True)
class Checked:
    """What became of one input set.

    Args:
        case: The record for the proof.
        feed: The inputs that the source took, or would not take.
        source: The source's outputs; empty where it refused.
        plain, package: The package's outputs, with graph optimisations off and on.
        rows: The comparisons, of both runs of the package.
        error: Why source and package are not the same here; None where they agree.
    """

    case: Case
    feed: dict[str, Array] = field(repr=False)
    source: dict[str, Array] = field(default_factory=dict, repr=False)
    plain: dict[str, Array] = field(default_factory=dict, repr=False)
    package: dict[str, Array] = field(default_factory=dict, repr=False)
    rows: Rows = ()
    error: MismatchError | None = None

    @property
    def is_defined(self) -> bool:
        """Whether the source has an answer with which the package's agrees."""
        return self.case.result in ("equal", "noise")


def check_inputs(sides: Sides, inputs: InputSet) -> Checked:
    """As `judge_inputs`, and a difference is an error.

    Raises:
        MismatchError: they differ; the report has a row for each output that does, and a line of blame.
    """
    checked = judge_inputs(sides, inputs)
    if checked.error is not None:
        raise checked.error
    return checked


def judge_inputs(sides: Sides, inputs: InputSet) -> Checked:
    """Compare source and package on one input set.

    The set `differs` where `error` says so. It is `equal` when the plain comparison passes. Only when it does not is
    the truth asked for, which costs further runs: then it is `noise` when both runs of the package are as near the
    truth as the source. It is `undefined`

    1. when the source raises;
    2. when NaN or infinities lie in other places only at elements where the source's own answer is not settled: where
       float64, or inputs moved by one ULP, put something else there;
    3. when it takes noise of more than 5 % of the largest output to call the two the same, which shows nothing; the
       noise of a branch or another jump that rounding decides is among it;
    4. when a sort meets equal elements, whose order the source leaves open, and the outputs agree on inputs close by;
    5. when ONNX Runtime loses a NaN that the graph carries on (see `_excuse`);
    6. when a dimension smaller than the example's leaves a convolution or pool less than its kernel, and ONNX Runtime
       refuses that. TensorFlow goes on with an empty result, and what comes out in the end is arbitrary. A kernel's
       size is an attribute, so this is never a dimension frozen in the graph.
    """
    feed, source = inputs.feed, ask_source(sides, inputs.feed)
    if isinstance(source, Refusal) and inputs.gentle is not None:
        feed, source = inputs.gentle, ask_source(sides, inputs.gentle)
    if isinstance(source, Refusal):
        return Checked(Case(inputs.name, "undefined", note=f"the source refuses: {source.reason}"), feed)
    try:
        plain, optimized = ask_both(sides, feed)
        return _judge_outputs(sides, inputs.name, feed, source, plain, optimized)
    except RunError as failure:
        if inputs.is_smaller and failure.is_kernel_too_large:
            note = f"smaller than a kernel; ONNX Runtime refuses: {failure.message}"
            return Checked(Case(inputs.name, "undefined", note=note), feed, source)
        error = MismatchError(
            f"{sides.engine} fails on the input set {inputs.name!r}, for which the source has an answer: "
            f"{failure.message}",
            where=failure.node or f"component {sides.capture.component!r}",
            hint="Sizes too small for the model can cause this: give larger ones with --input, or --example FILE.npz.",
        )
    except MismatchError as found:
        error = found
    return Checked(Case(inputs.name, "differs", note=error.what), feed, source, error=error)


def _judge_outputs(
    sides: Sides,
    name: str,
    feed: dict[str, Array],
    source: dict[str, Array],
    plain: dict[str, Array],
    optimized: dict[str, Array],
) -> Checked:
    rows, ways, excuse, error = _compare(sides, plain, optimized, source, None), "", "", None
    if not _passed(rows):
        _demand_repeatable(sides, name, feed, source)
        exact = estimate = find_truth(sides.capture, feed, source)
        rows = _compare(sides, plain, optimized, source, estimate)
        for moves in (MOVES, MORE_MOVES):
            if not _passed(rows) and (wider := widen_noise(sides.capture, feed, source, exact, moves)) is not None:
                estimate, rows = wider, _compare(sides, plain, optimized, source, wider)
        ways = ", ".join(estimate.ways) or "nothing"
    if not _passed(rows):
        excuse = _excuse(sides, feed, source, (plain, optimized), rows) or _excuse_ties(sides, name, feed, rows)
        error = None if excuse else _mismatch(sides, name, feed, source, plain, optimized, rows)
    case = _make_case(name, source, rows, ways, excuse)
    if error is not None:
        case = msgspec.structs.replace(case, result="differs", note=error.report[-1])
    return Checked(case, feed, source, plain, optimized, rows, error)


def check_repetition(sides: Sides, checked: Checked, when: str) -> None:
    """Call the package again with the same inputs: the outputs must have the same bytes.

    Raises:
        MismatchError: a call leaves something behind, or outputs are random.
    """
    for runner, label in ((sides.optimized, "on"), (sides.plain, "off")):
        first = checked.package if runner is sides.optimized else ask_package(sides, runner, checked.feed)
        again = ask_package(sides, runner, checked.feed)
        changed = [name for name in first if not same_bytes(first[name], again[name])]
        if changed:
            raise MismatchError(
                f"The package gives other outputs when called again with the same inputs ({when}, optimisations "
                f"{label}): {', '.join(changed)}.",
                where=f"component {sides.capture.component!r}, input set {checked.case.name!r}",
                hint="The graph holds random operators or state. Put the source into inference mode before converting.",
            )


def _compare(
    sides: Sides,
    plain: Mapping[str, Array],
    optimized: Mapping[str, Array],
    source: Mapping[str, Array],
    estimate: Estimate | None,
) -> Rows:
    """The rows of the run with optimisations off, then those of the other."""
    truths = None if estimate is None else estimate.truths
    rows = []
    for ours in (plain, optimized):
        for row in compare_outputs(ours, source, sides.tolerances, truths):
            is_quantized = row.name in sides.steps and row.name in ours and row.name in source
            step = sides.steps[row.name] if is_quantized else 0.0
            rows.append(allow_steps(row, ours[row.name], source[row.name], step) if is_quantized else row)
    return tuple(rows)


def _passed(rows: Rows) -> bool:
    return all(row.passed for row in rows)


def _demand_repeatable(sides: Sides, name: str, feed: dict[str, Array], source: dict[str, Array]) -> None:
    """Refuse a source that is random: measured as noise, that would excuse anything."""
    again = ask_source(sides, feed)
    if isinstance(again, Refusal) or not _passed(compare_outputs(again, source, sides.tolerances)):
        raise MismatchError(
            f"The source gives other outputs when it is called again with the same inputs (input set {name!r}).",
            where=f"component {sides.capture.component!r}",
            hint="Put the source into inference mode (no dropout, no random numbers) before converting.",
        )


def _excuse(
    sides: Sides, feed: dict[str, Array], source: dict[str, Array], ours: tuple[dict[str, Array], ...], rows: Rows
) -> str:
    """Why a difference about NaN does not count, as a sentence for the proof; '' where it counts.

    Some kernels of ONNX Runtime lose NaN (`KERNELS_THAT_LOSE_NAN`: MaxPool is among them, and GRU and LSTM), and fused
    activations may. No capture can mend that, and refusing every model that has such a kernel would serve nobody. So a
    difference is excused when the inputs hold NaN or infinities, or nothing is lost but NaN of the source, and the
    graph is shown to be right: with optimisations off it agrees, or under a clear reading of what a maximum over NaN
    is it computes what the source computes (`find_reading`). A capture that turns NaN into something else does so
    under every reading, and fails.

    Some operators have no answer for NaN at all (see `unanswered`): then what depends on it may differ.

    Where no reading can be run, for the graph's size, nothing but the places of NaN and infinities may differ, and one
    of those kernels has to be in the graph.
    """
    finite_inputs = all(_is_finite(array) for array in feed.values())
    failed = [row for row in rows if not row.passed]
    if finite_inputs and any(row.missed != row.lost_nan or not row.missed for row in failed):
        return ""
    kernels = find_kernels_that_lose_nan(sides.capture.model)
    which = ", ".join(kernels) or "a fused kernel"
    if _passed(rows[: len(rows) // 2]) or find_reading(sides.capture.model, feed, source) is not None:
        return f"ONNX Runtime's own handling of NaN differs ({which}); the graph is right about it"
    operators = frozenset() if finite_inputs else find_unanswering(sides.capture.model)
    if is_without_answer(operators, feed, source, ours, lambda other: _ask_all_sides(sides, other)):
        return f"{', '.join(sorted(operators))} has no answer for NaN, or not for infinities; the rest agrees"
    too_large = run_in_runtime(sides.capture.model, feed) is None
    if too_large and kernels and all(row.missed == row.misplaced and row.missed for row in failed):
        return f"NaN and infinities lie in other places, as ONNX Runtime's {which} has it; all other elements agree"
    return ""


def _ask_all_sides(sides: Sides, feed: Feed) -> dict[str, Array] | None:
    """The source's outputs; None where it refuses, or the package differs."""
    source = ask_source(sides, feed)
    if isinstance(source, Refusal):
        return None
    plain, optimized = ask_both(sides, dict(feed))
    rows = _compare(sides, plain, optimized, source, None)
    if not _passed(rows):
        rows = _compare(sides, plain, optimized, source, find_truth(sides.capture, feed, source))
    return source if _passed(rows) else None


def _excuse_ties(sides: Sides, name: str, feed: dict[str, Array], rows: Rows) -> str:
    """Why a difference does not count where the source leaves the order of equal elements open; '' where it counts."""
    ties = find_ties(sides.capture, feed)
    if ties is None or any(row.name not in ties.outputs for row in rows if not row.passed):
        return ""
    if not judge_inputs(sides, InputSet(f"{name}, moved apart", ties.apart)).is_defined:
        return ""
    return "which of equal elements comes first is not defined; with the elements moved apart the outputs agree"


def _is_finite(array: Array) -> bool:
    return dtype_from_numpy(array.dtype) not in FLOATS or bool(np.isfinite(np.asarray(array, np.float64)).all())


def _make_case(name: str, source: Mapping[str, Array], rows: Rows, ways: str, excuse: str) -> Case:
    result, note = "equal", excuse
    if any(row.by_noise for row in rows):
        result, note = "noise", f"measured against: {ways}" if ways else "at most one step of quantization off"
    unsettled = max((row.unsettled for row in rows), default=0)
    if unsettled:
        note = f"{unsettled} elements are NaN or infinite depending on rounding in the source itself; the others agree"
    drowned = _drowned(rows, source)
    if drowned:
        note = f"the source's own rounding error is too large to show anything in {', '.join(dict.fromkeys(drowned))}"
    if unsettled or drowned or excuse:
        result = "undefined"
    return Case(
        name,
        result,
        max_abs_error=max((row.max_abs_error for row in rows), default=0.0),
        max_rel_error=max((row.max_rel_error for row in rows), default=0.0),
        note=note,
    )


def _drowned(rows: Rows, source: Mapping[str, Array]) -> list[str]:
    """The outputs that passed by so much noise that they show nothing."""
    return [row.name for row in rows if row.by_noise and row.noise > NOISE_LIMIT * _largest(source[row.name])]


def _largest(array: Array) -> float:
    values = np.abs(np.asarray(array, np.float64))
    return float(values[np.isfinite(values)].max(initial=0.0))


def _mismatch(
    sides: Sides,
    name: str,
    feed: dict[str, Array],
    source: dict[str, Array],
    plain: dict[str, Array],
    optimized: dict[str, Array],
    rows: Rows,
) -> MismatchError:
    half = len(rows) // 2
    failed_plain = tuple(row for row in rows[:half] if not row.passed)
    failed_optimized = tuple(row for row in rows[half:] if not row.passed)
    which = "off and on" if failed_plain and failed_optimized else "off" if failed_plain else "on"
    blame = find_blame(sides, feed, source, plain, optimized, is_plain_right=not failed_plain)
    return MismatchError(
        f"Source and package differ on the input set {name!r} (graph optimisations {which}).",
        report=(*format_rows(failed_plain or failed_optimized), f"blame: {blame.sentence}"),
        where=f"component {sides.capture.component!r}",
        hint=sides.capture.doubt
        or "If an error of this size is acceptable, give --atol or --rtol; they are recorded in the package.",
    )
